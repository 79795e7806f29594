"""``file://mount/path`` and absolute paths: a file as a live source."""

import asyncio
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from openstreamer.config.input_urls import FileInput
from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import SourceEnded, SourceError, SourceRejected
from openstreamer.media.frame import Frame, held_bytes
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.batches import FrameBatches
from openstreamer.sources.file.interleave import Interleaver
from openstreamer.sources.file.looping import PassClock
from openstreamer.sources.file.opening import MediaFile, name_of, resolve
from openstreamer.sources.file.passes import LibavPasses, OwnPasses, Passes, RunBlocking, within_deadline
from openstreamer.sources.file.readers import SNIFFED_BYTES, Container, sniff
from openstreamer.sources.pacing import Pacer
from openstreamer.sources.ticks import TICK_S, tick_before_s
from openstreamer.wire.demuxer import ListedProgram, programs_in

BATCH_S = 2 * TICK_S  # a quarter of a part of LL-HLS: smooth enough, and a dozen wake-ups per second
AHEAD_90K = TICKS_PER_SECOND // 2  # read before it is due, so that a slow disk is not heard
MOST_AHEAD_BYTES = 4 << 20  # of memory: half a second at 64 Mbit/s; and for files whose times stand still


class FileSource:
    """A :class:`~openstreamer.sources.base.Source` that plays a file in real time.

    ``roots`` maps the names of mounts to directories; nothing outside of them is read. Timestamps of each
    further pass continue those of the one before, all tracks moved alike.

    Entering it opens the file: ``SourceUnreachable`` when that cannot be done now, ``SourceRejected`` when it
    never will.
    """

    def __init__(
        self,
        chosen: FileInput,
        roots: Mapping[str, Path],
        *,
        program: int | None = None,
        pids: Sequence[int] = (),
        run_blocking: RunBlocking = asyncio.to_thread,
    ) -> None:
        self._chosen = chosen
        self._roots = roots
        self._name = name_of(chosen)
        self._program = program
        self._pids = list(pids)
        self._run_blocking = run_blocking
        self._file: MediaFile | None = None
        self.passes: Passes | None = None  # once it is entered
        self._interleaver = Interleaver()
        self._clock = PassClock()
        self._pacer = Pacer()
        self._queue: deque[Frame] = deque()
        self._queued_bytes = 0  # of memory
        self._batches = FrameBatches()
        self._failure: SourceError | None = None
        self._last_due: tuple[float, int] | None = None  # when the last frame was due, and its DTS
        self._statistics = SourceStatistics()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks of the frames that ``receive`` returned last."""
        return self._batches.tracks

    @property
    def protocol(self) -> str:
        """``file``."""
        return "file"

    @property
    def statistics(self) -> SourceStatistics:
        """``received_bytes`` are those of frames that were read."""
        self._statistics.dropped_frames = self.passes.dropped_frames if self.passes is not None else 0
        return self._statistics

    @property
    def programs(self) -> tuple[ListedProgram, ...]:
        """Those of a transport stream."""
        return programs_in(self.passes)

    @property
    def left_out(self) -> str | None:
        """In words, what of the file is not carried although the rest is."""
        return self.passes.left_out if self.passes is not None else None

    @property
    def arrived_ns(self) -> None:
        """Nothing came over a network."""

    @property
    def buffered_bytes(self) -> int:
        """Memory of what was read and not returned yet."""
        return self._interleaver.held_bytes + self._queued_bytes

    async def __aenter__(self) -> Self:
        self._file, container = await self._open()
        try:
            self.passes = await self._passes(self._file, container).__aenter__()
        except BaseException:
            self._file.close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self.passes is not None
        assert self._file is not None
        try:
            await self.passes.__aexit__(exc_type, exc, tb)
        finally:
            self._file.close()

    async def receive(self) -> list[Frame]:
        """The next frames, when they are due; see the contract in ``sources/base``."""
        if frames := self._batches.take():
            return frames
        loop = asyncio.get_running_loop()
        while True:
            await self._fill()
            if not self._queue:
                await self._end()
            if (wait_s := self._pacer.wait_s(self._queue, loop.time())) > 0:
                now_s = loop.time()
                await asyncio.sleep(tick_before_s(now_s + wait_s, now_s) - now_s)
            now_s = loop.time()
            taken = self._pacer.take(self._queue, now_s, BATCH_S)
            if taken:
                self._queued_bytes -= held_bytes(taken)
                self._last_due = self._pacer.due_s(taken[-1], now_s), taken[-1].dts_90k
                self._batches.put(taken, self._announced())
                return self._batches.take()

    # ------------------------------------------------------------------ opening

    async def _open(self) -> tuple[MediaFile, Container]:
        opening = _Opening(self._chosen, self._roots, self._name)
        try:
            await within_deadline(self._run_blocking(opening.open), self._name)
        except BaseException:
            opening.abandon()
            raise
        assert opening.file is not None
        return opening.file, opening.container

    def _passes(self, file: MediaFile, container: Container) -> Passes:
        if container is Container.OTHER:
            return LibavPasses(file, loop=self._chosen.loop, run_blocking=self._run_blocking)
        return OwnPasses(file, container, self._run_blocking, program=self._program, pids=self._pids)

    # ------------------------------------------------------------------ reading

    async def _fill(self) -> None:
        """Read until enough waits, or until there is no more; what fails comes after what was read."""
        queue = self._queue
        while self._failure is None:
            if queue and (
                queue[-1].dts_90k - queue[0].dts_90k >= AHEAD_90K or self._queued_bytes >= MOST_AHEAD_BYTES
            ):
                return
            try:
                await self._read()
            except SourceError as err:
                self._queue_up(self._interleaver.end())
                self._failure = err

    async def _read(self) -> None:
        passes = self.passes
        assert passes is not None
        frames = await passes.read()
        if frames is None:
            self._end_pass()
        elif frames:
            statistics = self._statistics
            statistics.received_packets += len(frames)
            statistics.received_bytes += sum(len(frame.payload) for frame in frames)
            self._queue_up(self._interleaver.put(frames, len(passes.tracks)))

    def _queue_up(self, frames: list[Frame]) -> None:
        placed = self._clock.place(frames)
        self._queue.extend(placed)
        self._queued_bytes += held_bytes(placed)

    def _announced(self) -> tuple[Track, ...]:
        assert self.passes is not None
        return self._clock.tracks(self.passes.tracks)

    def _end_pass(self) -> None:
        self._queue_up(self._interleaver.end())
        if not self._clock.pass_frames:
            raise SourceRejected(f"file: {self._name}: there is nothing in it that can be played")
        self._clock.end_pass()
        if not self._chosen.loop:
            missing = self.passes.missing_samples if self.passes is not None else 0
            cut = f": it is cut off, {missing} samples that it lists are missing" if missing else ""
            raise SourceEnded(f"file: {self._name} ended{cut}")

    async def _end(self) -> None:
        """Raise what ended it, a normal end when the last frame is over."""
        assert self._failure is not None
        if isinstance(self._failure, SourceEnded) and self._last_due is not None:
            due_s, dts_90k = self._last_due
            over_s = due_s + (self._clock.end_90k - dts_90k) / TICKS_PER_SECOND
            await asyncio.sleep(max(0.0, over_s - asyncio.get_running_loop().time()))
        raise self._failure


class _Opening:
    """Opens a file in a thread for somebody who may not wait for the answer: then it is closed again."""

    def __init__(self, chosen: FileInput, roots: Mapping[str, Path], name: str) -> None:
        self.file: MediaFile | None = None
        self.container = Container.OTHER
        self._chosen = chosen
        self._roots = roots
        self._name = name
        self._lock = threading.Lock()
        self._abandoned = False

    def open(self) -> None:
        """Blocks."""
        file = MediaFile(resolve(self._chosen, self._roots), self._name)
        try:
            self.container = sniff(file.read(0, SNIFFED_BYTES))
        except BaseException:
            file.close()
            raise
        with self._lock:
            self.file = file
            if self._abandoned:
                file.close()

    def abandon(self) -> None:
        """Nobody wants the file any more."""
        with self._lock:
            self._abandoned = True
            if self.file is not None:
                self.file.close()
