"""Pulling HLS: MPEG-TS, fragmented MP4 and packed audio, live and on demand, segment by segment or part by
part, sound in a playlist of its own, AES-128.

A live stream is begun three target durations before its end (with parts: at the hold back that the server
names), which is the buffer; its frames are given out in real time. The clock of the encoder is followed by
keeping that distance. What is on demand is given out in real time from its beginning, and then has ended.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

from openstreamer.config.input_urls import HttpInput
from openstreamer.config.models import Input
from openstreamer.config.urls import redact_request_url
from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import RemoteProtocolError, SourceEnded, SourceError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.batches import FrameBatches
from openstreamer.sources.hls.choice import VARIANT_PARAMETER, VariantChoice, choose, parse_choice
from openstreamer.sources.hls.follow import Edge, Follower, Period
from openstreamer.sources.hls.merge import HOLE_SLACK_90K, FrameMerger
from openstreamer.sources.hls.position import Position
from openstreamer.sources.hls.rendition import Rendition
from openstreamer.sources.hls.segments import SegmentReader
from openstreamer.sources.hls.web import AnsweredBadly, HlsLimits, HlsWeb, resolve, without_fields
from openstreamer.sources.http_client import HttpClient, HttpOptions, input_url
from openstreamer.sources.outbound import Outbound
from openstreamer.sources.pacing import Pacer
from openstreamer.sources.ticks import tick_before_s
from openstreamer.wire.m3u8_documents import MediaPlaylist, MultivariantPlaylist, Playlist

MASTER_DEPTH: Final = 2  # multivariant playlists that name one another; the specification knows one
PARTS_AHEAD: Final = 1.5  # of a low-latency stream: one that is given out, half a one against jitter


@dataclass(slots=True)
class HlsMemory:
    """What the sources of one input leave to the next one: where the playlists of their renditions stalled.

    The last segments of an encoder that died stay listed. Without this they would be played again and again.
    """

    stalled_at: tuple[Edge | None, ...] = ()


class HlsSource:
    """A :class:`~openstreamer.sources.base.Source` that pulls HLS.

    ``http`` and ``chosen`` are the input as it is declared; ``memory`` is that of its earlier sources;
    ``speed`` gives frames out faster than real time.
    """

    def __init__(
        self,
        outbound: Outbound,
        http: HttpInput,
        chosen: Input,
        *,
        limits: HlsLimits | None = None,
        memory: HlsMemory | None = None,
        speed: float = 1.0,
    ) -> None:
        self._speed = speed
        self.memory = memory or HlsMemory()
        self._limits = _within_timeout(limits or HlsLimits(), float(chosen.net.timeout_sec))
        self._wanted_variant = http.endpoint.parameter(VARIANT_PARAMETER)
        self._entry_url = without_fields(input_url(chosen), (VARIANT_PARAMETER,))  # it is for this server
        self._program = chosen.program or None
        self._pids = chosen.pids
        self._statistics = SourceStatistics()
        self._client = HttpClient(outbound, HttpOptions.of(chosen))
        self._web = HlsWeb(self._client, self._limits, self._statistics)
        self._renditions: list[Rendition] = []
        self._merger = FrameMerger(1)
        self._batches = FrameBatches()
        self._tracks: dict[int, Track] = {}
        self._announced: tuple[Track, ...] = ()
        self._with_picture = False
        self._begun = False
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._arrival: asyncio.Future[None] | None = None  # what receive waits for
        self._starving = True  # receive has nothing that will be due
        self._room = asyncio.Event()
        self._clock_s: Callable[[], float] = time.monotonic

    # ------------------------------------------------------------------ the contract

    async def __aenter__(self) -> Self:
        self._clock_s = asyncio.get_running_loop().time
        try:
            await self._open()
        except BaseException:
            self._client.close()
            raise
        self._task = asyncio.get_running_loop().create_task(self._run(), name="hls/pull")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        try:
            if task is not None:
                await asyncio.wait((task,))
        finally:
            self._client.close()
            now_s = self._clock_s()
            followers = [rendition.follower for rendition in self._renditions]
            self.memory.stalled_at = tuple(follower.stalled_edge(now_s) for follower in followers)
            self._merger = FrameMerger(len(self._renditions))
            self._batches.clear()

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        while not (frames := self._batches.take()):
            now_s = self._clock_s()
            if self._begun or self._can_begin(now_s):
                self._release(self._merger.take(now_s))
            if self._batches:
                continue
            wait_s = self._merger.wait_s(now_s) if self._begun else None
            if wait_s is None and self._failure is not None:
                raise self._failure
            await self._wait(wait_s)
        return frames

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Video first; those of the frames that ``receive`` returned last."""
        return self._batches.tracks

    @property
    def protocol(self) -> str:
        """``hls``."""
        return "hls"

    @property
    def statistics(self) -> SourceStatistics:
        """``received_packets`` and ``lost_packets`` count what the container is made of; a segment that was
        left out counts as much as those that came have in the mean."""
        counted = self._statistics
        demuxed = [rendition.reader.statistics for rendition in self._renditions]
        counted.received_packets = sum(each.packets for each in demuxed)
        counted.lost_packets = sum(rendition.lost_packets for rendition in self._renditions)
        counted.dropped_frames = self._merger.dropped_frames + sum(each.dropped_frames for each in demuxed)
        counted.malformed = sum(each.malformed for each in demuxed)
        return counted

    @property
    def arrived_ns(self) -> None:
        """Frames wait for their time: how long says nothing about the network."""

    @property
    def patience_s(self) -> float:
        """How long this stream may say nothing: three target durations, less with parts."""
        return max((rendition.follower.patience_s for rendition in self._renditions), default=0.0)

    @property
    def queued_bytes(self) -> int:
        """Memory of what waits for its time."""
        return self._merger.queued_bytes

    # ------------------------------------------------------------------ opening

    async def _open(self) -> None:
        choice = parse_choice(self._wanted_variant)
        found = await self._load(self._entry_url, {})
        sound_url: str | None = None
        for _ in range(MASTER_DEPTH):
            if not isinstance(found.playlist, MultivariantPlaylist):
                break
            chosen = choose(found.playlist, choice)
            imported = dict(found.playlist.variables)
            if chosen.audio is not None:
                sound_url = resolve(found.url, chosen.audio.uri)
            found = await self._load(resolve(found.url, chosen.variant.uri), imported)
            choice = VariantChoice()
        main = self._add(found, self._follower(), with_sound=sound_url is None)
        if sound_url is not None:
            follower = self._follower(near=main.follower.start)
            self._add(await self._load(sound_url, found.imported), follower, with_picture=False)
        self._merger = FrameMerger(len(self._renditions), Pacer(speed=self._speed))

    def _follower(self, near: Position | None = None) -> Follower:
        """That of the next rendition."""
        stalled_at = self.memory.stalled_at[len(self._renditions) :][:1]
        return Follower(
            near=near,
            stale_least_s=self._limits.stale_least_s,
            stalled_at=stalled_at[0] if stalled_at else None,
        )

    async def _load(self, url: str, imported: dict[str, str]) -> "_Loaded":
        requested_s = self._clock_s()
        try:
            playlist, came_from = await self._web.playlist(url, imported=imported)
        except RemoteProtocolError as err:
            raise SourceRejected(f"hls: {redact_request_url(url)}: {err}") from err
        except AnsweredBadly as err:
            if err.is_refusal:
                raise SourceRejected(str(err)) from err
            raise
        return _Loaded(playlist, url, came_from, imported, requested_s)

    def _add(
        self, found: "_Loaded", follower: Follower, *, with_picture: bool = True, with_sound: bool = True
    ) -> Rendition:
        follower.loaded(found.media(), found.requested_s, self._clock_s())
        reader = SegmentReader(
            wanted=lambda is_video: with_picture if is_video else with_sound,
            program=self._program,
            pids=self._pids,
        )
        rendition = Rendition(
            len(self._renditions),
            self._web,
            self,
            reader,
            first_url=found.asked_url,
            url=found.url,
            imported=found.imported,
            follower=follower,
            clock_s=self._clock_s,
        )
        self._renditions.append(rendition)
        return rendition

    # ------------------------------------------------------------------ the work behind it

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for rendition in self._renditions:
                    group.create_task(rendition.run(), name="hls/rendition")
        except ExceptionGroup as err:
            self._failure = _first_leaf(err)
        else:
            self._failure = self._end()
        self._wake()

    def _end(self) -> SourceError:
        """Why there is no more after the playlists ended in peace."""
        if self._begun or self._merger:
            return SourceEnded(f"hls: {redact_request_url(self._entry_url)}: the playlist has ended")
        losses = [rendition.last_loss for rendition in self._renditions if rendition.last_loss is not None]
        if losses:
            return losses[0]
        return SourceRejected(
            f"hls: {redact_request_url(self._entry_url)}: nothing in the playlist can be played"
        )

    def deliver(self, rendition: int, period: Period, frames: list[Frame]) -> None:
        """Frames of a rendition came (:class:`~.rendition.Sink`)."""
        self._merger.put(rendition, period, frames)
        if self._starving:
            self._wake()

    def hole(self, rendition: int, hole_s: float) -> None:
        """Segments are missing: the picture stands still meanwhile, so that it costs nothing of the buffer.
        A stream that would be given up while it waits goes on at once."""
        if hole_s + HOLE_SLACK_90K / TICKS_PER_SECOND < self._renditions[rendition].follower.patience_s:
            self._merger.hole(rendition, round(hole_s * TICKS_PER_SECOND))

    def segment_ends(self, rendition: int) -> None:
        """A segment or part is complete: see how far ahead of the release it is, and steer."""
        self._merger.segment_ends(rendition)
        follower = self._renditions[rendition].follower
        if rendition == 0 and self._begun and follower.at_edge and not follower.ended:
            ahead_s = self._merger.ahead_s(rendition)
            if ahead_s is not None:
                self._merger.pacer.steer(ahead_s, self._target_s(follower), self._clock_s())

    def has_room(self, rendition: int, *, for_segment: bool) -> bool:
        """Whether what waits is within its bounds."""
        if self._merger.queued_bytes >= self._limits.max_queued_bytes:
            return False
        return not for_segment or self._merger.segments_ahead(rendition) < self._limits.max_segments_ahead

    async def room(self) -> None:
        """Wait until frames were given out."""
        self._room.clear()
        await self._room.wait()

    # ------------------------------------------------------------------ giving out

    def _can_begin(self, now_s: float) -> bool:
        """Once every rendition has frames: then all tracks are known."""
        if not all(
            self._merger.has_frames(index) or rendition.finished
            for index, rendition in enumerate(self._renditions)
        ):
            return False
        if not self._merger:
            return False
        tracks = [track for rendition in self._renditions for track in rendition.reader.tracks]
        self._know(tracks)
        follower = self._renditions[0].follower
        burst_s = 0.0
        if follower.start is not None and not follower.ended:
            behind_s = follower.start.behind_s + now_s - follower.begun_s
            burst_s = max(0.0, behind_s - self._target_s(follower))
        self._merger.begin(burst_s, now_s)
        self._begun = True
        return True

    @staticmethod
    def _target_s(follower: Follower) -> float:
        """How much media shall wait when a segment or part just came."""
        playlist = follower.playlist
        if playlist is not None and follower.low_latency and playlist.part_target_s:
            return PARTS_AHEAD * playlist.part_target_s
        return follower.start.behind_s if follower.start is not None else 0.0

    def _know(self, tracks: list[Track]) -> None:
        for track in tracks:
            self._tracks[track.id] = track
        self._announced = tuple(self._tracks[number] for number in sorted(self._tracks))
        self._with_picture = self._announced[0].is_video

    def _release(self, frames: list[Frame]) -> None:
        if not frames:
            return
        changed = [frame.track for frame in frames if self._tracks.get(frame.track.id) is not frame.track]
        if changed:
            self._know(changed)
        if self._with_picture and len(self._renditions) > 1:
            for frame in frames:
                if not frame.track.is_video:
                    frame.key = False  # a demuxer of sound alone marks every frame
        self._batches.put(frames, self._announced)
        self._room.set()

    async def _wait(self, wait_s: float | None) -> None:
        """Until frames came, the source failed, or ``wait_s`` is over."""
        loop = asyncio.get_running_loop()
        arrival = self._arrival = loop.create_future()
        self._starving = wait_s is None
        timer = None
        if wait_s is not None:
            now_s = loop.time()
            timer = loop.call_at(tick_before_s(now_s + wait_s, now_s), self._wake)
        try:
            await arrival
        finally:
            self._arrival = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)


def _within_timeout(limits: HlsLimits, timeout_s: float) -> HlsLimits:
    """The same, where an input has a timeout of its own (0: it has none): playlists must be whole within."""
    return replace(limits, playlist_timeout_s=timeout_s) if timeout_s else limits


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A playlist as it was loaded first. ``url`` is where it came from after redirects."""

    playlist: Playlist
    asked_url: str
    url: str
    imported: dict[str, str]
    requested_s: float

    def media(self) -> MediaPlaylist:
        if isinstance(self.playlist, MultivariantPlaylist):
            where = redact_request_url(self.url)
            raise SourceRejected(f"hls: {where}: multivariant playlists that name one another")
        if self.playlist.i_frames_only:
            raise SourceRejected(
                f"hls: {redact_request_url(self.url)}: a playlist of key frames only, for seeking"
            )
        return self.playlist


def _first_leaf(group: BaseExceptionGroup[BaseException]) -> Exception:
    """The error behind groups of one: a rendition has two loops, a source has renditions."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            return _first_leaf(each)
        if isinstance(each, SourceError):
            return each
    first = group.exceptions[0]
    return first if isinstance(first, Exception) else SourceEnded("hls: it was cancelled")
