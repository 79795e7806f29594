"""Frames on their way out of a source, in batches that have one set of tracks each."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import SourceError
from openstreamer.media.frame import FRAME_BYTES, Frame, held_bytes
from openstreamer.media.track import Track


class FrameBatches:
    """What a parser made and ``receive`` has not returned yet.

    A parser reads on over a change of tracks; ``receive`` may not, because ``tracks`` must go with what it
    returned last. The owner bounds how much is put in.
    """

    __slots__ = ("_announced", "_follows", "_frames", "_tracks")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._tracks: tuple[Track, ...] = ()
        self._announced: tuple[Track, ...] = ()  # by the parser, for the newest frame
        self._follows = False  # whether the tracks of the queued frames may differ from _tracks

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def queued(self) -> list[Frame]:
        """The frames that wait, oldest first; to be read only."""
        return self._frames

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Those of the frames that ``take`` returned last; before that, those announced."""
        return self._tracks or self._announced

    def put(self, frames: Iterable[Frame], announced: tuple[Track, ...]) -> None:
        """Queue ``frames``; ``announced`` are all tracks that the parser knows after these frames: the same
        object as before says that nothing changed."""
        self._frames += frames
        if announced is not self._announced:
            self._announced = announced
            self._follows = True

    def take(self) -> list[Frame]:
        """The oldest frames, up to the first change of a track; empty when there are none."""
        frames, self._frames = self._frames, []
        if self._follows and frames:
            count = self._follow(frames)
            frames, self._frames = frames[:count], frames[count:]
            self._follows = bool(self._frames) or self._tracks != self._announced
        return frames

    def clear(self) -> None:
        """Forget what waits."""
        self._frames.clear()

    def _follow(self, frames: list[Frame]) -> int:
        """Set ``tracks`` to those of the first frames, and return how many frames have these."""
        present: dict[int, Track] = {}
        count = 0
        for frame in frames:
            if present.setdefault(frame.track.id, frame.track) is not frame.track:
                break
            count += 1
        before = {track.id: track for track in self._tracks}
        self._tracks = tuple(
            present.get(track.id) or before.get(track.id, track) for track in self._announced
        )
        return count


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait for the stream before the network is not read any more."""

    max_queued_bytes: int = 4 << 20  # of memory: payload, and what a frame costs beside it
    max_queued_s: float = 2.0  # of media time, per the decoding times of the frames


class FrameQueue:
    """What a parser made and the stream has not taken yet, and why there is no more.

    The end that the network feeds never waits. It is told when too much waits (what it puts at once is taken
    as a whole, though), and then stops reading until nothing waits any more: so the peer is slowed down, or
    the kernel drops. One task takes at a time.
    """

    __slots__ = (
        "_arrival",
        "_arrived_ns",
        "_batches",
        "_max_queued_90k",
        "_max_queued_bytes",
        "_queued_since_ns",
        "failure",
        "is_full",
        "queued_bytes",
    )

    def __init__(self, limits: QueueLimits) -> None:
        self.is_full = False  # from when too much waits until nothing does
        self.queued_bytes = 0  # of memory, that wait
        self.failure: SourceError | None = None  # what comes after the last frame
        self._max_queued_bytes = limits.max_queued_bytes
        self._max_queued_90k = int(limits.max_queued_s * TICKS_PER_SECOND)
        self._batches = FrameBatches()
        self._queued_since_ns: int | None = None
        self._arrived_ns: int | None = None
        self._arrival: asyncio.Future[None] | None = None  # what wait waits for

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Those of the frames that ``take`` returned last; before that, those announced."""
        return self._batches.tracks

    @property
    def arrived_ns(self) -> int | None:
        """When the oldest frame of what was taken last was put."""
        return self._arrived_ns

    # ------------------------------------------------------------------ the parser's end

    def put(self, frames: list[Frame], announced: tuple[Track, ...], now_ns: int) -> None:
        """Queue ``frames``; ``announced`` are all tracks that are known after them."""
        self._batches.put(frames, announced)
        if not frames:
            return
        for frame in frames:  # of RTMP it is one each time, for every picture of every stream
            self.queued_bytes += FRAME_BYTES + len(frame.payload)
        if self._queued_since_ns is None:
            self._queued_since_ns = now_ns
        queued = self._batches.queued
        if (
            self.queued_bytes > self._max_queued_bytes
            or queued[-1].dts_90k - queued[0].dts_90k > self._max_queued_90k
        ):
            self.is_full = True
        self.wake()

    def fail(self, reason: SourceError) -> None:
        """There is no more: ``take`` raises ``reason`` once nothing waits. Only the first counts."""
        if self.failure is None:
            self.failure = reason
            self.wake()

    def wake(self) -> None:
        """Let ``wait`` return."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    # ------------------------------------------------------------------ the stream's end

    async def receive(self) -> list[Frame]:
        """The next frames, or the failure, once there is either."""
        while not (self._batches or self.failure):
            await self.wait()
        return self.take()

    async def wait(self) -> None:
        """Until ``wake`` is called, which frames and failures do."""
        # A future, not an Event: this runs for every picture of every stream.
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def take(self) -> list[Frame]:
        """The oldest frames, up to the first change of a track; raises the failure when there are none, and
        returns none when there is no failure either."""
        frames = self._batches.take()
        if not frames:
            if self.failure is not None:
                raise self.failure
            return frames
        self._arrived_ns = self._queued_since_ns
        if self._batches:
            self.queued_bytes -= held_bytes(frames)
        else:
            self._begin_anew()
        return frames

    def clear(self) -> None:
        """Forget what waits."""
        self._batches.clear()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.queued_bytes = 0
        self.is_full = False
        self._queued_since_ns = None
