"""The contract of every source (``sources/base``), as one suite.

A source passes when ``class TestX(SourceContract)`` passes, where the class says how to get one::

    class TestRtmpPublish(SourceContract):
        @asynccontextmanager
        async def rig(self, **bounds) -> AsyncIterator[SourceRig]:
            ...
            yield SourceRig(source, kill_peer=..., silence_peer=...)

The peer behind a rig sends video and audio in real time or faster, for as long as it is asked, and a key
frame at least every two seconds.

The one place where a test measures time is cancellation, since 200 ms is what the contract states. A shared,
loaded machine stalls a process for longer than that now and then: what a thread that only sleeps lost
meanwhile (``stalls``) is allowed in addition, several times over, since a cancellation is several steps, some
of them of children and of the kernel, each of which may be kept waiting as long.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

import pytest

from openstreamer.media.errors import SourceEnded, SourceError, SourceStalled, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.media.track import CodecConfig, Track
from openstreamer.sources.base import Source
from tests.contract.leftovers import nothing_left_behind
from tests.contract.stalls import measured_stalls
from tests.support.waiting import until

DEADLINE_S = 20.0
CANCEL_BOUND_S = 0.2
STALL_ALLOWANCE = 4  # steps that may each have waited for the processor as long as the meter did
SAMPLE_FRAMES = 120


@dataclass
class SourceRig:
    """A source that was not entered yet, and what can happen to its peer.

    ``silence_peer`` makes it stay connected and send nothing more; ``end_peer`` makes it finish on purpose,
    where the protocol can say so. ``buffered_bytes`` and ``blocked`` look into the source: what it holds
    that nobody took, and whether it stopped taking more.
    """

    source: Source
    kill_peer: Callable[[], Awaitable[None]]
    silence_peer: Callable[[], Awaitable[None]]
    buffered_bytes: Callable[[], int]
    blocked: Callable[[], bool]
    end_peer: Callable[[], Awaitable[None]] | None = None


class SourceContract:
    """Derive, name the class ``Test…``, and say how to build a rig."""

    __test__: ClassVar[bool] = False

    buffer_bound_bytes = 4 * 1024 * 1024
    turns_while_connecting = (0, 1, 2, 5, 20)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__test__ = cls.__name__.startswith("Test")

    def rig(self) -> AbstractAsyncContextManager[SourceRig]:
        """A source whose peer is well."""
        raise NotImplementedError

    def backlogged_rig(self) -> AbstractAsyncContextManager[SourceRig]:
        """The same with bounds so small, or a peer so fast, that its buffer is soon full."""
        return self.rig()

    async def test_tracks_are_complete_with_the_first_frames(self) -> None:
        async with self.rig() as rig, rig.source as source:
            await receive(source)
            tracks = source.tracks
            seen = {frame.track for frame in await sample(source)}
        assert seen <= set(tracks)
        assert {track.id for track in tracks} == {track.id for track in seen}

    async def test_every_video_track_begins_with_a_key_frame_that_has_its_parameters(self) -> None:
        async with self.rig() as rig, rig.source as source:
            frames = await sample(source)
        firsts = first_of_each_track(frames)
        for frame in firsts.values():
            if frame.track.is_video:
                assert frame.key, f"{frame} came first"
                assert size_of(frame.track.config) > (0, 0)

    async def test_receive_never_returns_nothing(self) -> None:
        async with self.rig() as rig, rig.source as source:
            for _ in range(20):
                assert await receive(source)

    async def test_no_frame_comes_twice(self) -> None:
        async with self.rig() as rig, rig.source as source:
            frames = await sample(source)
        assert len({id(frame) for frame in frames}) == len(frames)

    async def test_decoding_times_do_not_fall(self) -> None:
        async with self.rig() as rig, rig.source as source:
            frames = await sample(source)
        for track in {frame.track.id for frame in frames}:
            times = [frame.dts_90k for frame in frames if frame.track.id == track]
            assert times == sorted(times)

    async def test_keys_are_on_video_or_on_audio_alone(self) -> None:
        async with self.rig() as rig, rig.source as source:
            frames = await sample(source)
        with_video = any(frame.track.is_video for frame in frames)
        assert any(frame.key for frame in frames)
        assert not any(frame.key for frame in frames if with_video and not frame.track.is_video)

    async def test_payloads_are_bytes_of_their_own(self) -> None:
        async with self.rig() as rig, rig.source as source:
            frames = await sample(source)
        assert {type(frame.payload) for frame in frames} == {bytes}
        assert all(frame.payload for frame in frames)

    async def test_statistics_count_what_was_received(self) -> None:
        async with self.rig() as rig, rig.source as source:
            frames = await sample(source)
            assert source.statistics.received_packets > 0
            assert source.statistics.received_bytes >= sum(len(frame.payload) for frame in frames)

    async def test_its_protocol_is_a_metric_label(self) -> None:
        async with self.rig() as rig:
            assert rig.source.protocol.isidentifier()

    async def test_a_killed_peer_is_unreachable(self) -> None:
        async with self.rig() as rig, rig.source as source:
            await receive(source)
            await rig.kill_peer()
            assert isinstance(await error_of(source), SourceUnreachable)

    async def test_the_error_comes_again_when_asked_again(self) -> None:
        async with self.rig() as rig, rig.source as source:
            await receive(source)
            await rig.kill_peer()
            await error_of(source)
            assert isinstance(await error_of(source), SourceError)

    async def test_a_peer_that_finishes_has_ended(self) -> None:
        async with self.rig() as rig, rig.source as source:
            await receive(source)
            if rig.end_peer is None:
                return  # this protocol cannot say that it is finished
            await rig.end_peer()
            assert isinstance(await error_of(source), SourceEnded)

    async def test_a_silent_peer_blocks_or_is_told(self) -> None:
        """A source may leave the judgement to its consumer, which has a timeout of its own."""
        async with self.rig() as rig, rig.source as source:
            await receive(source)
            await rig.silence_peer()
            try:
                async with asyncio.timeout(1.0):
                    while True:
                        await source.receive()
            except (TimeoutError, SourceStalled):
                return

    @pytest.mark.parametrize("what", ["flowing", "silent"])
    async def test_cancelling_receive_returns_at_once_and_leaves_nothing(self, what: str) -> None:
        async with self.rig() as rig, nothing_left_behind():
            received = asyncio.Event()

            async def use() -> None:
                async with rig.source as source:
                    await receive(source)
                    received.set()
                    while True:
                        await source.receive()

            task = asyncio.get_running_loop().create_task(use())
            async with asyncio.timeout(DEADLINE_S):
                await received.wait()
            if what == "silent":
                await rig.silence_peer()
            await cancel(task)

    async def test_cancelling_the_connect_returns_at_once_and_leaves_nothing(self) -> None:
        for turns in self.turns_while_connecting:
            async with self.rig() as rig, nothing_left_behind():
                task = asyncio.get_running_loop().create_task(use_for_ever(rig.source))
                for _ in range(turns):
                    await asyncio.sleep(0)
                await cancel(task)

    async def test_leaving_it_leaves_nothing(self) -> None:
        async with self.rig() as rig, nothing_left_behind(), rig.source as source:
            await receive(source)

    async def test_leaving_it_after_its_peer_died_leaves_nothing(self) -> None:
        async with self.rig() as rig, nothing_left_behind(), rig.source as source:
            await receive(source)
            await rig.kill_peer()
            await error_of(source)

    async def test_its_memory_is_bounded_when_nobody_receives(self) -> None:
        async with self.backlogged_rig() as rig, rig.source as source:
            await receive(source)
            assert await until(rig.blocked, DEADLINE_S), "it never stopped taking more"
            assert rig.buffered_bytes() <= self.buffer_bound_bytes

    async def test_it_goes_on_after_nobody_received_for_a_while(self) -> None:
        async with self.backlogged_rig() as rig, rig.source as source:
            frames = await receive(source)
            await until(rig.blocked, DEADLINE_S)
            frames += await sample(source)
        for track in {frame.track.id for frame in frames}:
            times = [frame.dts_90k for frame in frames if frame.track.id == track]
            assert times == sorted(times)


async def receive(source: Source) -> list[Frame]:
    """One ``receive``, with the suite's deadline."""
    async with asyncio.timeout(DEADLINE_S):
        return await source.receive()


async def sample(source: Source, count: int = SAMPLE_FRAMES) -> list[Frame]:
    """At least ``count`` frames."""
    frames: list[Frame] = []
    while len(frames) < count:
        frames += await receive(source)
    return frames


async def error_of(source: Source) -> SourceError:
    """What ends the source; frames that still come are left out."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                await source.receive()
            except SourceError as err:
                return err


async def use_for_ever(source: Source) -> None:
    async with source:
        while True:
            await source.receive()


async def cancel(task: "asyncio.Task[None]") -> None:
    """Cancel it, and see that it ends within its bound with nothing but the cancellation."""
    loop = asyncio.get_running_loop()
    with measured_stalls() as meter:
        started_s = loop.time()
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE_S)
        took_s = loop.time() - started_s
    stalled_s = meter.stalled_s
    assert task.cancelled(), f"it ended with {task!r}"
    bound_s = CANCEL_BOUND_S + STALL_ALLOWANCE * stalled_s
    assert took_s < bound_s, f"cancelling took {took_s:.3f} s; the machine stalled for {stalled_s:.3f} s"


def first_of_each_track(frames: list[Frame]) -> dict[Track, Frame]:
    firsts: dict[Track, Frame] = {}
    for frame in frames:
        firsts.setdefault(frame.track, frame)
    return firsts


def size_of(config: CodecConfig) -> tuple[int, int]:
    return getattr(config, "width", 0), getattr(config, "height", 0)
