"""Everything one stream serves over HTTP: playlists that block until there is news, segments, parts.

The asynchronous side of the packager. It lives on one event loop with whoever pushes frames; nothing is
locked. It outlives sources: while no frames come, the old playlists are served.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager.directives import Directives, has_arrived, is_too_far
from openstreamer.packager.errors import BadRequest, NotFound, NotReady
from openstreamer.packager.live import LivePackager
from openstreamer.packager.master import bandwidth, master_playlist, offered
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.playlist import URI_END, Report, Terms, low_latency_playlist
from openstreamer.packager.response import NO_CACHE, MediaResponse, media, playlist
from openstreamer.packager.segment import PackagerEvent, PartReady, SegmentReady
from openstreamer.packager.track import TrackPackager
from openstreamer.packager.waiting import WaitingRoom

FIRST_PLAYLIST_WAIT_S: Final = 10.0  # a player that is earlier than the first segment waits this long
BLOCKING_WAIT_TARGETS: Final = 3  # section 6.2.5.2: 503 after three target durations
BLOCKING_CACHE_TARGETS: Final = 6  # appendix B.1: blocking answers are final for their URL
_MAX_RESPONSES = 256  # kept per state; viewers with tokens of their own beyond that are answered afresh

_MEDIA_NAME = re.compile(r"(video|audio)_(\d{1,15})(?:\.(\d{1,6}))?\.m4s")
_INIT_NAME = re.compile(r"(video|audio)_init_(\d{1,15})\.mp4")
_PLAYLISTS = {"video.m3u8": TrackKind.VIDEO, "audio.m3u8": TrackKind.AUDIO}
_TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,512}")  # what cannot break out of a playlist's line or quotes
_CONTENT_TYPES = {"video": "video/mp4", "audio": "audio/mp4"}


class Presentation:
    """One stream as players see it.

    Fed by :meth:`push`; asked by :meth:`fetch`. ``first_msn`` and ``discontinuity_sequence`` are the numbers
    to begin with.
    """

    def __init__(
        self,
        options: PackagerOptions,
        first_msn: int,
        discontinuity_sequence: int = 0,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.packager = LivePackager(options, first_msn, discontinuity_sequence)
        self.last_part_at_ns: int | None = None
        self.parts_total = 0
        self.segments_total = 0
        self.closed = False
        self._options = options
        self._clock_ns = clock_ns
        self._rooms = {kind: WaitingRoom(options.max_waiters) for kind in (TrackKind.VIDEO, TrackKind.AUDIO)}
        self._arrivals = WaitingRoom(options.max_waiters)  # of any track
        # Valid for one state of the packager: texts with URI_END in them, and finished responses.
        self._texts: dict[tuple[str, bool], str] = {}
        self._responses: dict[tuple[str, bool, str, str], MediaResponse] = {}
        self._cached_state: object = None

    # -- feeding -------------------------------------------------------------------------------------

    def push(
        self, frames: Sequence[Frame], tracks: tuple[Track, ...], now_wall_ms: int
    ) -> list[PackagerEvent]:
        """Package frames, wake who waits for what became ready, and return it."""
        return self._publish(self.packager.push(frames, tracks, now_wall_ms))

    def adopt(self, options: PackagerOptions) -> None:
        """Go on with other options. Viewers stay, also those who wait, and so does what they may fetch."""
        self._options = options
        self.packager.adopt(options)

    def flush(self) -> list[PackagerEvent]:
        """The source ended: publish what was held back."""
        return self._publish(self.packager.flush())

    def _publish(self, events: list[PackagerEvent]) -> list[PackagerEvent]:
        if not events:
            return events
        kinds = set()
        for event in events:
            kinds.add(event.kind)
            match event:
                case PartReady():
                    self.parts_total += 1
                case SegmentReady():
                    self.segments_total += 1
        self.last_part_at_ns = self._clock_ns()
        for kind in kinds:
            self._rooms[kind].wake()
        self._arrivals.wake()
        return events

    def close(self) -> None:
        """The stream is over: whoever waits is told that there is nothing."""
        self.closed = True
        for room in (*self._rooms.values(), self._arrivals):
            room.wake()

    # -- observations --------------------------------------------------------------------------------

    @property
    def memory_bytes(self) -> int:
        """Bytes of media that are held."""
        return sum(track.window.media_bytes for track in self.packager.tracks)

    def limit_memory(self, most_bytes: int | None) -> None:
        """Hold no more than about ``most_bytes`` of media, shared among the tracks as they are now; ``None``:
        as much as the options say."""
        bound_bytes = self.packager.options.max_window_bytes
        held_bytes = self.memory_bytes
        for track in self.packager.tracks:
            window = track.window
            if most_bytes is None:
                window.limit(bound_bytes)
            elif held_bytes:
                window.limit(min(bound_bytes, most_bytes * window.media_bytes // held_bytes))

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(room.waiting for room in (*self._rooms.values(), self._arrivals))

    def bitrate_kbps(self, kind: TrackKind) -> int:
        """The average of a track over the window; 0 when there is no such track."""
        track = self.packager.track(kind)
        return round(bandwidth(track.window).average_bps / 1000) if track is not None else 0

    # -- asking --------------------------------------------------------------------------------------

    async def fetch(self, name: str, query: Mapping[str, str]) -> MediaResponse:
        """The resource ``name`` below the stream's code. Waits where HLS says so.

        Raises :class:`NotFound`, :class:`BadRequest` or :class:`NotReady` of ``packager.errors``.
        """
        if self.closed:
            raise NotFound("the stream is over")
        if found := _MEDIA_NAME.fullmatch(name):
            kind, msn, part = found.groups()
            if part is None:
                return self._segment(kind, int(msn))
            return await self._part(kind, int(msn), int(part))
        if name == "index.m3u8":
            return await self._index(query)
        if name in _PLAYLISTS:
            return await self._media_playlist(_PLAYLISTS[name], query)
        if found := _INIT_NAME.fullmatch(name):
            return self._init(found[1], int(found[2]))
        raise NotFound(f"there is no {name!r} here")

    def _track(self, kind: TrackKind) -> TrackPackager:
        track = self.packager.track(kind)
        if track is None or self.closed:
            raise NotFound(f"the stream has no {kind.value}")
        return track

    def _init(self, kind: str, number: int) -> MediaResponse:
        init = self._track(TrackKind(kind)).window.init(number)
        if init is None:
            raise NotFound("this initialisation segment is not in use")
        return media(_CONTENT_TYPES[kind], (init.data,))

    def _segment(self, kind: str, msn: int) -> MediaResponse:
        segment = self._track(TrackKind(kind)).window.segment(msn)
        if segment is None:
            raise NotFound("this segment is not here any more, or not yet")
        return media(_CONTENT_TYPES[kind], segment.chunks)

    async def _part(self, kind: str, msn: int, index: int) -> MediaResponse:
        """A part; the one that playlists hint at is waited for (section 6.2.6)."""
        window = self._track(TrackKind(kind)).window
        part = window.part(msn, index)
        growing = window.open
        if part is None and growing is not None and (growing.msn, len(growing.parts)) == (msn, index):
            await self._rooms[TrackKind(kind)].until(
                lambda: self.closed or growing.closed or len(growing.parts) > index, self._patience_s
            )
            part = window.part(msn, index)
        if part is None or self.closed:
            raise NotFound("this part is not here any more, or not announced")
        return media(_CONTENT_TYPES[kind], (part.data,))

    @property
    def _patience_s(self) -> float:
        return float(BLOCKING_WAIT_TARGETS * self.packager.target_duration_s)

    async def _index(self, query: Mapping[str, str]) -> MediaResponse:
        """The multivariant playlist, also of a single track: players load it once and remember what kind of
        playlist it was, and a source may come back with other tracks. Delivery directives are for media
        playlists (section 6.2.5): here they say nothing."""
        await self._settled()
        if not offered(self.packager.playing, self.packager.generation):
            raise NotFound("the stream has no media")
        return self._rendered("index.m3u8", query, False, NO_CACHE, self._render_master)

    def _render_master(self) -> str:
        generation = self.packager.generation
        frame_rate = generation.frame_rate if generation is not None else None
        return master_playlist(offered(self.packager.playing, generation), frame_rate)

    async def _settled(self) -> None:
        """Until it is known what the stream consists of, or is not going to be."""
        packager = self.packager
        await self._arrivals.until(lambda: self.closed or packager.settled, FIRST_PLAYLIST_WAIT_S)
        if self.closed:
            raise NotFound("the stream is over")

    async def _media_playlist(self, kind: TrackKind, query: Mapping[str, str]) -> MediaResponse:
        directives = Directives.parse(query)
        track = self.packager.track(kind)
        if track is None or not track.window.closed:
            await self._settled()
        window = self._track(kind).window
        if not window.closed:
            raise NotFound(f"the stream has no {kind.value}")
        cache_control = NO_CACHE
        if directives.msn is not None:
            if is_too_far(window, directives, self.packager.part_target_s):
                raise BadRequest("_HLS_msn or _HLS_part asks too far ahead of the playlist")
            await self._rooms[kind].until(
                lambda: self.closed or self._is_gone(track) or has_arrived(window, directives),
                self._patience_s,
            )
            self._track(kind)
            cache_control = f"max-age={BLOCKING_CACHE_TARGETS * self.packager.target_duration_s}"
        name, delta = f"{kind.value}.m3u8", directives.skip
        return self._rendered(name, query, delta, cache_control, lambda: self._render(kind, delta))

    def _is_gone(self, track: TrackPackager | None) -> bool:
        return track is not None and track not in self.packager.tracks

    def _render(self, kind: TrackKind, delta: bool) -> str:
        packager = self.packager
        target_s = packager.part_target_s
        if target_s is None:
            raise NotReady("it is not known yet how long the parts of this stream are; ask again")
        terms = Terms(packager.target_duration_s, target_s, self._options.part_hold_back_parts * target_s)
        reports = [
            Report(f"{other.kind.value}.m3u8", *other.window.last_part)
            for other in packager.playing
            if other.kind is not kind
        ]
        return low_latency_playlist(self._track(kind).window, terms, reports, delta=delta)

    def _rendered(
        self, name: str, query: Mapping[str, str], delta: bool, cache_control: str, render: Callable[[], str]
    ) -> MediaResponse:
        """One rendering per state of the stream and per token, shared by all who ask for it."""
        self._forget_stale()
        token = query.get("token", "")
        if not _TOKEN.fullmatch(token):
            token = ""
        key = (name, delta, cache_control, token)
        response = self._responses.get(key)
        if response is None:
            text = self._texts.get((name, delta))
            if text is None:
                text = self._texts[name, delta] = render()
            response = playlist(text.replace(URI_END, f"?token={token}" if token else ""), cache_control)
            if not token or len(self._responses) < _MAX_RESPONSES:
                self._responses[key] = response
        return response

    def _forget_stale(self) -> None:
        packager = self.packager
        state = (
            [track.window.version for track in packager.tracks],
            packager.target_duration_s,
            packager.generation,
        )
        if state != self._cached_state:
            self._texts.clear()
            self._responses.clear()
            self._cached_state = state
