"""Child processes: they talk, they die, and whatever happens nothing of them is left."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from openstreamer.media.frame import Frame
from openstreamer.sources.child import ChildDied, ChildLimits, ChildProcess
from openstreamer.wire.pipe import End, Message, PipeEvent
from tests.contract.leftovers import nothing_left_behind
from tests.support.scripted_child import ENVIRONMENT, MODULE
from tests.support.waiting import until

DEADLINE_S = 20.0


def child(*arguments: str, limits: ChildLimits | None = None) -> ChildProcess:
    return ChildProcess(MODULE, arguments, name="a child", limits=limits, environment=ENVIRONMENT)


async def first_message(process: ChildProcess) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for event in await process.receive():
                if isinstance(event, Message):
                    return event.body


async def description(process: ChildProcess) -> dict[str, Any]:
    """What a child says of itself. It is asked, since limits are set from outside and it may run before."""
    process.encoder.send_message({"describe": True})
    await process.flush()
    return await first_message(process)


async def everything(process: ChildProcess) -> tuple[list[PipeEvent], str]:
    """All events, and why there are no more."""
    events: list[PipeEvent] = []
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                events += await process.receive()
            except ChildDied as err:
                return events, str(err)


def is_gone(pid: int) -> bool:
    """Waits until ``pid`` is no process that runs; its parent may not have reaped it."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([pidfd], [], [], DEADLINE_S)[0])
    finally:
        os.close(pidfd)


class TestTalking:
    async def test_messages_go_both_ways(self) -> None:
        async with nothing_left_behind(), child("echo") as process:
            process.encoder.send_message({"hello": "child"})
            await process.flush()
            assert await first_message(process) == {"hello": "child"}

    async def test_what_is_said_before_the_end_is_delivered(self) -> None:
        async with nothing_left_behind(), child("end") as process:
            events, reason = await everything(process)
        assert events[-2:] == [Message({"last": True}), End("finished")]
        assert "exited with status 0" in reason

    async def test_flush_waits_for_a_child_that_does_not_read(self) -> None:
        async with nothing_left_behind(), child("mute") as process:
            for _ in range(100):
                process.encoder.send_message({"padding": "x" * 60_000})
            flush = asyncio.get_running_loop().create_task(process.flush())
            for _ in range(20):
                await asyncio.sleep(0)
            assert not flush.done()
            process.kill()
            await flush

    async def test_more_than_the_socket_holds_goes_both_ways(self) -> None:
        async with nothing_left_behind(), child("echo") as process:
            for number in range(100):
                process.encoder.send_message({"number": number, "padding": "x" * 60_000})
            flush = asyncio.get_running_loop().create_task(process.flush())
            numbers: list[int] = []
            async with asyncio.timeout(DEADLINE_S):
                while len(numbers) < 100:
                    events = await process.receive()
                    numbers += [event.body["number"] for event in events if isinstance(event, Message)]
            await flush
        assert numbers == list(range(100))

    async def test_flush_to_a_dead_child_returns(self) -> None:
        async with nothing_left_behind(), child("die", "0") as process:
            await everything(process)
            process.encoder.send_message({"too": "late"})
            async with asyncio.timeout(DEADLINE_S):
                await process.flush()


class TestIsolation:
    async def test_it_gets_a_group_and_no_secret_and_no_descriptor(self, monkeypatch: Any) -> None:
        monkeypatch.setenv("OPENSTREAMER_SECRET", "hunter2")
        ours = os.open("/etc/hostname", os.O_RDONLY)
        os.set_inheritable(ours, True)
        async with child("describe") as process:
            said = await description(process)
        os.close(ours)
        assert said["group"] is True
        assert "OPENSTREAMER_SECRET" not in said["environment"]
        assert not any("hostname" in name for name in said["files"])
        assert len(said["files"]) == 4
        assert "/dev/null" in said["files"]
        assert said["cwd"] == "/"

    async def test_limits_apply(self) -> None:
        limits = ChildLimits(nice=3, address_space_bytes=1 << 30)
        async with child("describe", limits=limits) as process:
            said = await description(process)
        assert said["nice"] == 3
        lines = said["limits"].splitlines()
        assert next(line for line in lines if "address space" in line).split()[3] == str(1 << 30)
        assert next(line for line in lines if "core file" in line).split()[4] == "0"


class TestDeath:
    async def test_its_last_words_are_in_the_error(self) -> None:
        async with nothing_left_behind(), child("die", "3", "first", "", "cannot open encoder") as process:
            _, reason = await everything(process)
            assert reason == "a child exited with status 3: first; cannot open encoder"
            assert process.returncode == 3

    async def test_a_signal_is_named(self) -> None:
        async with nothing_left_behind(), child("mute") as process:
            os.kill(process.pid, signal.SIGSEGV)
            _, reason = await everything(process)
        assert "was killed by SIGSEGV" in reason

    async def test_a_module_that_does_not_exist_is_told(self) -> None:
        async with nothing_left_behind(), ChildProcess("openstreamer.nothing", name="a child") as process:
            _, reason = await everything(process)
        assert "No module named openstreamer.nothing" in reason

    async def test_an_interpreter_that_does_not_exist_is_told(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(sys, "executable", "/nonexistent/python")
        async with nothing_left_behind():
            with pytest.raises(ChildDied, match="cannot be started"):
                async with child("mute"):
                    pass

    async def test_only_the_last_lines_are_kept_and_cut(self) -> None:
        lines = [f"{number} " + "x" * 2000 for number in range(40)]
        async with child("die", "1", *lines) as process:
            await everything(process)
            words = process.last_words
        assert len(words) == 20
        assert words[-1].startswith("39 x")
        assert max(map(len, words)) == 500

    async def test_control_characters_of_its_words_do_not_reach_logs(self) -> None:
        async with child("die", "1", "\x1b[31mred\r\x07") as process:
            await everything(process)
            assert process.last_words == ("[31mred",)

    async def test_nonsense_kills_it(self) -> None:
        async with nothing_left_behind(), child("nonsense") as process:
            _, reason = await everything(process)
            assert "exceeds" in reason
            assert is_gone(process.pid)


class TestClosing:
    async def test_it_is_killed_with_its_own_children(self) -> None:
        async with child("family") as process:
            grandchild = (await first_message(process))["grandchild"]
        assert is_gone(grandchild)

    async def test_its_death_is_waited_for_when_nobody_is_in_a_hurry(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("openstreamer.sources.child.KILL_WAIT_S", 0.0)
        async with child("mute") as process:
            pass
        assert process.returncode == -signal.SIGKILL

    async def test_grandchildren_go_when_it_crashes_alone(self) -> None:
        async with child("family") as process:
            grandchild = (await first_message(process))["grandchild"]
            os.kill(process.pid, signal.SIGKILL)
            await everything(process)
            assert is_gone(grandchild)

    async def test_it_may_end_by_itself_within_its_grace(self) -> None:
        async with child("polite", limits=ChildLimits(grace_s=DEADLINE_S)) as process:
            await first_message(process)
        assert process.returncode == 7

    async def test_one_that_ignores_the_request_is_killed(self) -> None:
        async with nothing_left_behind(), child("stubborn", limits=ChildLimits(grace_s=0.05)) as process:
            await first_message(process)
        assert process.returncode == -signal.SIGKILL

    async def test_an_error_in_the_block_kills_at_once(self) -> None:
        process = child("polite", limits=ChildLimits(grace_s=DEADLINE_S))
        await process.__aenter__()
        await first_message(process)
        error = ZeroDivisionError()
        await process.__aexit__(ZeroDivisionError, error, None)
        assert process.returncode == -signal.SIGKILL

    @pytest.mark.parametrize("turns", range(6))
    async def test_cancelling_the_start_leaves_nothing(self, turns: int) -> None:
        async def start_and_wait() -> None:
            async with child("stubborn") as process:
                await everything(process)

        async with nothing_left_behind():
            task = asyncio.get_running_loop().create_task(start_and_wait())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def test_cancelling_twice_leaves_nothing(self) -> None:
        async def use() -> None:
            async with child("stubborn", limits=ChildLimits(grace_s=DEADLINE_S)) as process:
                await first_message(process)

        async with nothing_left_behind():
            task = asyncio.get_running_loop().create_task(use())
            await asyncio.sleep(0)
            while not task.done():
                task.cancel()
                await asyncio.sleep(0)

    def test_it_dies_with_the_server(self) -> None:
        """The server is killed, so that nothing but the kernel can take the child along."""
        program = (
            "import asyncio\n"
            "from tests.sources.test_child import child, first_message\n"
            "async def main():\n"
            "    async with child('stubborn') as process:\n"
            "        await first_message(process)\n"
            "        print(process.pid, flush=True)\n"
            "        await asyncio.sleep(1000)\n"
            "asyncio.run(main())\n"
        )
        server = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=ENVIRONMENT)
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
        server.wait()
        server.stdout.close()
        assert is_gone(pid)


class TestBackPressure:
    async def test_a_child_that_nobody_listens_to_is_blocked(self) -> None:
        limits = ChildLimits(pending_bytes=100_000)
        async with nothing_left_behind(), child("flood", "5000", limits=limits) as process:
            assert await until(lambda: process.blocked)
            pending_bytes = process.pending_bytes
            assert 100_000 < pending_bytes <= 100_000 + 256 * 1024
            for _ in range(20):
                await asyncio.sleep(0)
            assert process.pending_bytes == pending_bytes

    async def test_nothing_is_lost_when_it_goes_on(self) -> None:
        limits = ChildLimits(pending_bytes=50_000)
        times: list[int] = []
        async with child("flood", "5000", limits=limits) as process:
            while len(times) < 500:
                assert await until(lambda: process.blocked)
                events = await process.receive()
                times += [e.dts_90k for e in events if isinstance(e, Frame) and e.track.is_video]
        assert times == [number * 3600 for number in range(len(times))]

    async def test_a_record_larger_than_the_bound_still_arrives(self) -> None:
        limits = ChildLimits(pending_bytes=1_000)
        async with child("flood", "3000000", limits=limits) as process:
            async with asyncio.timeout(DEADLINE_S):
                while not any(isinstance(event, Frame) for event in await process.receive()):
                    pass


def on_uvloop(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test())


class TestOnUvloop:
    """The server runs on uvloop, whose transports and child handling are not those of asyncio."""

    def test_talking(self) -> None:
        on_uvloop(TestTalking().test_messages_go_both_ways)

    def test_a_lot_of_talking(self) -> None:
        on_uvloop(TestTalking().test_more_than_the_socket_holds_goes_both_ways)

    def test_last_words(self) -> None:
        on_uvloop(TestDeath().test_its_last_words_are_in_the_error)

    def test_killing(self) -> None:
        on_uvloop(TestClosing().test_one_that_ignores_the_request_is_killed)

    @pytest.mark.parametrize("turns", range(4))
    def test_cancelling(self, turns: int) -> None:
        on_uvloop(lambda: TestClosing().test_cancelling_the_start_leaves_nothing(turns))

    def test_back_pressure(self) -> None:
        on_uvloop(TestBackPressure().test_a_child_that_nobody_listens_to_is_blocked)
