"""Silence counts while the process listens, not while it is stopped."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from openstreamer.stream.silence import SilenceDeadline
from tests.support.virtual_time import VirtualTimeLoop, run_virtual


def virtual(scenario: Callable[[VirtualTimeLoop], Awaitable[None]]) -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        await scenario(loop)

    run_virtual(main)


def test_it_ends_its_block_at_its_time() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        with pytest.raises(TimeoutError):
            async with SilenceDeadline(2.0):
                await asyncio.Event().wait()
        assert loop.time() == pytest.approx(1002.0)

    virtual(scenario)


def test_it_counts_from_the_beginning_of_its_block_and_does_nothing_without_one() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        deadline, _never_entered = SilenceDeadline(2.0), SilenceDeadline(1.0)
        await asyncio.sleep(60.0)
        with pytest.raises(TimeoutError):
            async with deadline:
                await asyncio.Event().wait()
        assert loop.time() == pytest.approx(1062.0)

    virtual(scenario)


def test_it_can_be_moved_and_taken_away() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        async with SilenceDeadline(2.0) as deadline:
            await asyncio.sleep(1.95)  # listening for the last time already
            deadline.reschedule(loop.time() + 3.0)
            await asyncio.sleep(2.95)
            deadline.reschedule(None)
            await asyncio.sleep(60.0)
        async with SilenceDeadline(None):
            await asyncio.sleep(60.0)

    virtual(scenario)


def test_what_arrived_while_the_process_was_stopped_is_no_silence() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)

        def stop() -> None:
            theirs.send(b"media")
            loop.stand_still(3.0)

        with theirs:
            async with SilenceDeadline(2.0) as deadline:
                loop.call_soon(stop)
                assert await reader.read(10) == b"media"
                deadline.reschedule(loop.time() + 2.0)
                await asyncio.sleep(1.9)
            writer.close()
            await writer.wait_closed()

    virtual(scenario)


def test_a_process_that_was_stopped_still_notices_silence() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        loop.call_later(0.5, loop.stand_still, 3.0)
        with pytest.raises(TimeoutError):
            async with SilenceDeadline(2.0):
                await asyncio.Event().wait()
        assert loop.time() == pytest.approx(1003.6)

    virtual(scenario)


def test_it_can_be_extended_when_it_is_due() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        until_s = iter((1004.0, 1007.0))
        with pytest.raises(TimeoutError):
            async with SilenceDeadline(2.0, lambda: next(until_s, None)):
                await asyncio.Event().wait()
        assert loop.time() == pytest.approx(1007.0)

    virtual(scenario)
