"""One ring of frames: one writer, any number of readers, and nobody waits for anybody.

Writing appends and never blocks. A reader that falls behind its bound loses whole GOPs, up to a key frame,
and is told so in its statistics. The newest GOP stays in the ring, so that a new reader begins with a key
frame at once. Closing ends every reader with a typed reason.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from openstreamer.media.errors import HubBroken, HubClosed, HubEnded
from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.media.track import Track

MOST_HELD_FRAMES = 256  # a reader that waits for a time is woken for so much at the latest
MOST_HELD_BYTES = 4 << 20
TRIM_BLOCK_FRAMES = 32  # the head of the ring is cut in blocks: deleting from a list's head costs its length


@dataclass(frozen=True, slots=True)
class HubLimits:
    """Bounds of a hub.

    ``max_lag_*`` bound what a reader may have unread; ``max_gop_*`` what is kept for new readers: a GOP
    longer than that is not cached, and a new reader waits for the next key frame instead. Bytes are those of
    memory: payload, and what a frame costs beside it.
    """

    max_lag_s: float = 4.0
    max_lag_bytes: int = 32 * 1024 * 1024
    max_lag_frames: int = 4096
    max_gop_s: float = 12.0
    max_gop_bytes: int = 32 * 1024 * 1024
    max_gop_frames: int = 4096


@dataclass(slots=True)
class TrackFlow:
    """What a hub has seen of one track under its present announcement."""

    frames: int = 0
    payload_bytes: int = 0
    last_frame_ns: int | None = None


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """A snapshot of a hub. ``bytes_total`` counts payload, ``buffered_bytes`` memory."""

    frames_total: int
    bytes_total: int
    readers: int
    dropped_frames_total: int
    buffered_frames: int
    buffered_bytes: int


@dataclass(frozen=True, slots=True)
class ReaderStatistics:
    """A snapshot of one reader."""

    name: str
    lag_frames: int
    dropped_frames: int
    drops: int


class Hub:
    """The ring between the one writer and the readers of a rendition.

    Not thread-safe: everything happens on one event loop.
    """

    def __init__(self, limits: HubLimits | None = None) -> None:
        self.limits = limits or HubLimits()
        self.tracks: tuple[Track, ...] = ()
        self.epoch = 0
        self.flows: dict[int, TrackFlow] = {}
        self._frames: list[Frame] = []
        self._bytes_before: list[int] = []  # parallel to _frames: payload bytes written before this frame
        self._base = 0  # absolute index of _frames[0]
        self._bytes_total = 0
        self._video_90k: int | None = None  # decode time of the newest video frame, if there is video
        self._gop_start: int | None = None
        self._announcements: list[tuple[int, tuple[Track, ...]]] = []
        self._readers: set[HubReader] = set()
        self._writer: HubWriter | None = None
        self._closed: HubClosed | None = None
        self._dropped_frames_total = 0

    @property
    def end(self) -> int:
        """The absolute index that the next frame will get; also the number of frames ever written."""
        return self._base + len(self._frames)

    @property
    def closed(self) -> HubClosed | None:
        """Why the hub is over, or ``None`` while it is open."""
        return self._closed

    @property
    def statistics(self) -> HubStatistics:
        buffered_bytes = self._span(self._base)[1] if self._frames else 0
        return HubStatistics(
            frames_total=self.end,
            bytes_total=self._bytes_total,
            readers=len(self._readers),
            dropped_frames_total=self._dropped_frames_total,
            buffered_frames=len(self._frames),
            buffered_bytes=buffered_bytes,
        )

    @property
    def capacity_used(self) -> float:
        """How full the most loaded reader is, from 0 to 1: at 1 it starts to lose frames."""
        if not self._frames:
            return 0.0
        return max((self._lag_share(reader) for reader in self._readers), default=0.0)

    def writer(self) -> "HubWriter":
        """The one writing end, a context manager; a second one while the first is open is a bug."""
        if self._closed is not None:
            raise self._closed
        assert self._writer is None, "a hub has exactly one writer"
        self._writer = HubWriter(self)
        return self._writer

    def reader(self, name: str) -> "HubReader":
        """A new reading end that begins with the cached GOP, or waits for the next key frame."""
        if self._closed is not None:
            raise self._closed
        reader = HubReader(self, name, self.end if self._gop_start is None else self._gop_start)
        reader._waits_for_key = self._gop_start is None
        self._readers.add(reader)
        return reader

    def close(self, reason: HubClosed | None = None) -> None:
        """End all readers, after what they have unread, with ``reason`` (default: ended on purpose)."""
        if self._closed is not None:
            return
        self._closed = reason or HubEnded("the stream ended")
        for reader in self._readers:
            reader._wake()

    def _announce(self, tracks: tuple[Track, ...]) -> None:
        if tracks == self.tracks:
            return
        self.tracks = tracks
        if not any(track.is_video for track in tracks):
            self._video_90k = None
        self.flows = {track.id: self.flows.get(track.id, TrackFlow()) for track in tracks}
        if self._announcements and self._announcements[-1][0] == self.end:
            self._announcements.pop()
        self._announcements.append((self.end, tracks))

    def _write(self, frames: Sequence[Frame], now_ns: int, *, urgent: bool) -> None:
        """Append ``frames``; ``urgent`` ones concern readers that wait for a later time as well."""
        ring, bytes_before, flows = self._frames, self._bytes_before, self.flows
        total = self._bytes_total
        for frame in frames:
            if frame.key:
                self._gop_start = self._base + len(ring)
                urgent = True
            ring.append(frame)
            bytes_before.append(total)
            size = len(frame.payload)
            total += size
            track = frame.track
            if track.is_video:
                self._video_90k = frame.dts_90k
            flow = flows[track.id]
            flow.frames += 1
            flow.payload_bytes += size
            flow.last_frame_ns = now_ns
        self._bytes_total = total
        if not ring:
            return
        newest = ring[-1]
        if newest.epoch != self.epoch:
            self.epoch = newest.epoch
            urgent = True
        now_90k = newest.dts_90k if self._video_90k is None else self._video_90k
        self._limit_gop()
        for reader in self._readers:
            if reader._waiter is None:
                self._limit_lag(reader)
            elif urgent or now_90k >= reader._until_90k or reader._holds_too_much():
                reader._wake()
        if len(ring) > TRIM_BLOCK_FRAMES:
            self._trim()

    def _span(self, start: int) -> tuple[float, int, int]:
        """Seconds, bytes of memory and frames between the frame at absolute index ``start`` and the end."""
        offset = start - self._base
        newest, first = self._frames[-1], self._frames[offset]
        seconds = (newest.dts_90k - first.dts_90k) / 90_000
        count = len(self._frames) - offset
        return seconds, self._bytes_total - self._bytes_before[offset] + count * FRAME_BYTES, count

    def _limit_gop(self) -> None:
        if self._gop_start is None:
            return
        seconds, size, count = self._span(self._gop_start)
        limits = self.limits
        if seconds > limits.max_gop_s or size > limits.max_gop_bytes or count > limits.max_gop_frames:
            self._gop_start = None

    def _lag_share(self, reader: "HubReader") -> float:
        # A new reader is handed a cached GOP that may be longer than the lag allowed: that is no lag yet.
        start = max(reader._cursor, reader._lag_from, self._base)
        if start >= self.end:
            return 0.0
        seconds, size, count = self._span(start)
        limits = self.limits
        return max(seconds / limits.max_lag_s, size / limits.max_lag_bytes, count / limits.max_lag_frames)

    def _limit_lag(self, reader: "HubReader") -> None:
        """Let a reader that is too far behind lose what it has unread, up to a key frame."""
        if self._lag_share(reader) <= 1.0:
            return
        newest_key = self._gop_start
        if newest_key is not None and newest_key > reader._cursor:
            target = newest_key
        else:
            target = self.end
            reader._waits_for_key = True
        dropped = target - reader._cursor
        reader._cursor = target
        reader._dropped_frames += dropped
        reader._drops += 1
        self._dropped_frames_total += dropped

    def _trim(self) -> None:
        keep_from = self.end if self._gop_start is None else self._gop_start
        for reader in self._readers:
            if reader._cursor < keep_from:
                keep_from = reader._cursor
        surplus = keep_from - self._base
        if surplus >= TRIM_BLOCK_FRAMES or surplus == len(self._frames):
            del self._frames[:surplus], self._bytes_before[:surplus]
            self._base += surplus
            self._forget_announcements()

    def _forget_announcements(self) -> None:
        while len(self._announcements) > 1 and self._announcements[1][0] <= self._base:
            del self._announcements[0]

    def _boundary_after(self, index: int) -> tuple[tuple[Track, ...], int]:
        """The tracks announced for the frame at ``index``, and where the next announcement begins."""
        tracks: tuple[Track, ...] = ()
        for start, announced in self._announcements:
            if start > index:
                return tracks, start
            tracks = announced
        return tracks, self.end

    def _first_key_from(self, index: int) -> int | None:
        for offset in range(index - self._base, len(self._frames)):
            if self._frames[offset].key:
                return self._base + offset
        return None


class HubWriter:
    """The writing end. Leaving its context lets the next writer in; the hub stays open."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def write(self, frames: Sequence[Frame], tracks: tuple[Track, ...], now_ns: int) -> None:
        """Append ``frames``. ``tracks`` are all tracks of the source, those of ``frames`` among them;
        readers learn of a change exactly where it happens. Raises :class:`HubClosed` when the hub is over."""
        hub = self._hub
        assert hub._writer is self, "writing through a writer that was closed"
        if hub._closed is not None:
            raise hub._closed
        announced = hub.tracks
        if tracks is not announced:
            hub._announce(tracks)
        hub._write(frames, now_ns, urgent=hub.tracks is not announced)

    def close(self) -> None:
        """Give the writing end back. Readers get what they waited to get more of."""
        if self._hub._writer is self:
            self._hub._writer = None
            for reader in self._hub._readers:
                reader._wake()


class HubReader:
    """A reading end. ``receive`` gives everything unread in one batch; one task may wait at a time."""

    def __init__(self, hub: Hub, name: str, cursor: int) -> None:
        self.name = name
        self.tracks: tuple[Track, ...] = ()
        self._hub = hub
        self._cursor = cursor
        self._lag_from = hub.end
        self._waits_for_key = False
        self._waiter: asyncio.Future[None] | None = None
        self._until_90k = 0
        self._dropped_frames = 0
        self._drops = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    @property
    def statistics(self) -> ReaderStatistics:
        return ReaderStatistics(
            self.name, max(0, self._hub.end - self._cursor), self._dropped_frames, self._drops
        )

    async def receive(self, until_90k: int = 0) -> list[Frame]:
        """The frames since the last call, at least one, all under the same :attr:`tracks`.

        After a loss the first frame is a key frame. A reader that has nothing to do before the decode time
        ``until_90k`` says so, and is spared being woken for every frame: when nothing is unread, it waits for
        a frame of that time or later, for a key frame, another epoch, other tracks, or the end of the writer.
        The frame is one of video if there is video: decode times of audio run ahead of reordered pictures.

        Raises:
            HubEnded: the stream was stopped, after everything unread was delivered.
            HubBroken: the stream failed for good, or this reader was closed.
        """
        assert self._waiter is None, "a reader has one receiving task"
        while True:
            frames = self._take()
            if frames:
                return frames
            if self._closed:
                raise HubBroken(f"reader {self.name} was closed")
            if self._hub._closed is not None:
                raise self._hub._closed
            self._until_90k = until_90k
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _take(self) -> list[Frame]:
        hub = self._hub
        if self._cursor >= hub.end:
            return []
        if self._waits_for_key:
            key = hub._first_key_from(self._cursor)
            if key is None:
                self._cursor = hub.end
                return []
            self._cursor = key
            self._waits_for_key = False
        self.tracks, stop = hub._boundary_after(self._cursor)
        frames = hub._frames[self._cursor - hub._base : stop - hub._base]
        self._cursor = stop
        return frames

    def _holds_too_much(self) -> bool:
        hub = self._hub
        held = hub.end - self._cursor
        if held <= 0:
            return False
        return held > MOST_HELD_FRAMES or hub._span(self._cursor)[1] > MOST_HELD_BYTES

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Leave the hub; a waiting ``receive`` ends."""
        self._closed = True
        self._hub._readers.discard(self)
        self._wake()
