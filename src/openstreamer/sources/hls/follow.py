"""Which segment or part of a media playlist to fetch next, and when to load the playlist again.

Pure: playlists and the time go in, decisions come out (draft-pantos-hls-rfc8216bis, sections 6.2.5, 6.3.3 and
6.3.4). One follower follows one media playlist from its first load to its end.
"""

from dataclasses import dataclass, replace
from typing import Final

from openstreamer.sources.hls.position import (
    HOLD_BACK_PARTS,
    HOLD_BACK_TARGETS,
    Position,
    place,
    segment_at,
    target_s,
)
from openstreamer.wire.m3u8_documents import (
    ByteRange,
    Key,
    MediaInitialization,
    MediaPlaylist,
    MediaSegment,
    PartialSegment,
)

STALE_TARGETS: Final = 3  # a playlist that did not change for so long has stalled
STILL_STALE_TARGETS: Final = 2  # the same, of one that is as it was when it was given up
STALE_LEAST_S: Final = 5.0  # with target durations of 1 s a hiccup of the network is no stall
RELOAD_LEAST_S: Final = 0.25
BLOCKING_MISSES: Final = 3  # blocking reloads that came back unchanged before they are given up

Period = tuple[int, int]  # restarts of the server that were noticed, discontinuity sequence number
Edge = tuple[
    tuple[int, int], str
]  # the newest segment and part of a list, the URI of its last complete segment


@dataclass(frozen=True, slots=True)
class Fetch:
    """One thing to fetch. ``part`` None: a whole segment. ``rest`` of one whose first parts were fetched
    already. ``hinted``: it is announced and may not exist yet. ``hole_s``: how much media is missing before
    it."""

    msn: int
    part: int | None
    uri: str
    duration_s: float
    period: Period
    byte_range: ByteRange | None = None
    initialization: MediaInitialization | None = None
    key: Key | None = None
    hinted: bool = False
    rest: bool = False
    hole_s: float = 0.0


class Follower:
    """Follows one media playlist.

    ``near`` is where another rendition of the same stream begins: this one begins with the segment that
    covers the same moment. ``stalled_at`` is where the list ended when a follower gave it up: until it
    changes there is nothing new to fetch. ``skipped`` counts segments that could not be had, or are gaps,
    ``taken`` those that were fetched to their end; ``changed_s`` is when the playlist last had anything new,
    ``start`` where and ``begun_s`` when it was begun.
    """

    def __init__(
        self,
        *,
        low_latency: bool = True,
        near: Position | None = None,
        stale_least_s: float = STALE_LEAST_S,
        stalled_at: Edge | None = None,
    ) -> None:
        self.playlist: MediaPlaylist | None = None
        self.start: Position | None = None
        self.begun_s = 0.0
        self.skipped = 0
        self.taken = 0
        self.restarts = 0
        self._allow_low_latency = low_latency
        self._near = near
        self._stalled_at = stalled_at  # None once it has changed
        self._stale_least_s = stale_least_s
        self._next = (0, 0)  # media sequence number, parts of it that are done
        self._hole_s = 0.0  # that was left out since something was fetched
        self._from_first_part = True
        self._discontinuity_shift = 0
        self._loaded_s = 0.0
        self._requested_s = 0.0
        self.changed_s = 0.0
        self._unchanged = 0  # loads in a row that brought nothing new
        self._blocking_misses = 0
        self._backward: MediaPlaylist | None = None  # a list that ended earlier, until the next load
        self._plain = False  # the next load is without directives
        self._refused_hint = ""

    def __repr__(self) -> str:
        return f"<Follower next={self._next} restarts={self.restarts} skipped={self.skipped}>"

    # ------------------------------------------------------------------ loading

    def loaded(self, playlist: MediaPlaylist, requested_s: float, now_s: float) -> None:
        """The playlist was loaded, delta updates applied; the request for it was sent at ``requested_s``."""
        self._requested_s, self._loaded_s = requested_s, now_s
        self._plain = False
        if playlist.kind == "VOD":  # it must not change (4.4.3.5), whether it has EXT-X-ENDLIST or not
            playlist = replace(playlist, ended=True)
        before = self.playlist
        if before is None:
            self.changed_s = now_s
            if playlist.ended or _edge(playlist) != self._stalled_at:
                self._stalled_at = None
            self._begin(playlist, now_s)
            return
        if playlist.next_msn < before.next_msn:
            if self._is_restart(before, playlist):
                self._restart(playlist, now_s)
            else:
                self._unchanged += 1
            return
        self._backward = None
        if playlist.newest == before.newest and playlist.ended == before.ended:
            self._unchanged += 1
            self._blocking_misses += self.blocks
        else:
            self._unchanged = self._blocking_misses = 0
            self.changed_s = now_s
            if self._stalled_at is not None:
                self._stalled_at = None
                self._begin(playlist, now_s)
                return
        self._discontinuity_shift += _shift(before, playlist)
        self.playlist = playlist

    def refused(self, now_s: float) -> None:
        """The server refused the directives of a load, or its delta update is unusable: ask without them."""
        self._plain = True
        self._loaded_s = now_s

    @property
    def ended(self) -> bool:
        """No more will be added to the playlist."""
        return self.playlist is not None and self.playlist.ended

    @property
    def finished(self) -> bool:
        """There is nothing more to fetch, for ever."""
        return self.ended and self.peek() is None

    @property
    def on_demand(self) -> bool:
        """It was complete when it was loaded first."""
        return self.start is not None and self.start.behind_s == 0.0

    @property
    def low_latency(self) -> bool:
        """Whether parts are fetched. Parts that are encrypted are not: their segments are."""
        playlist = self.playlist
        if playlist is None or not self._allow_low_latency or not playlist.part_target_s or playlist.ended:
            return False
        newest = playlist.growing or (playlist.segments[-1] if playlist.segments else None)
        return newest is not None and newest.key is None

    @property
    def blocks(self) -> bool:
        """Whether the server keeps a reload waiting until there is something new (6.2.5.2)."""
        playlist = self.playlist
        allowed = playlist is not None and playlist.control.can_block_reload and not self._plain
        return allowed and self._blocking_misses < BLOCKING_MISSES

    @property
    def reload_s(self) -> float:
        """When to load the playlist again (6.3.4)."""
        playlist = self.playlist
        if playlist is None or (self.blocks and not self._unchanged):
            return self._loaded_s
        interval_s = self.target_s
        if playlist.segments:
            interval_s = min(interval_s, playlist.segments[-1].duration_s)
        if self.low_latency and playlist.part_target_s:
            interval_s = playlist.part_target_s
        if self._unchanged:
            interval_s /= 2
        return max(self._requested_s + interval_s, self._loaded_s + RELOAD_LEAST_S)

    def directives(self, now_s: float) -> dict[str, str]:
        """Delivery directives for the next load (6.2.5): fields for the query of its URL."""
        playlist = self.playlist
        if playlist is None or self._plain:
            return {}
        wanted: dict[str, str] = {}
        if self.blocks:
            msn, part = playlist.newest
            wanted["_HLS_msn"] = str(msn)
            if self.low_latency:
                wanted["_HLS_part"] = str(part)
        skip_s = playlist.control.can_skip_until_s
        if skip_s is not None and now_s - self._loaded_s < skip_s / 2:  # 6.3.7
            wanted["_HLS_skip"] = "YES"
        return wanted

    @property
    def stale_s(self) -> float:
        """When the playlist counts as stalled unless it changes; one that had stalled before, sooner."""
        if self._stalled_at is not None:
            return self.changed_s + STILL_STALE_TARGETS * self.target_s
        return self.changed_s + max(STALE_TARGETS * self.target_s, self._stale_least_s)

    def stalled_edge(self, now_s: float) -> Edge | None:
        """Where the list ends, when it did not grow for longer than it should."""
        if self.playlist is None or self.ended or now_s - self.changed_s <= self.target_s:
            return self._stalled_at
        return _edge(self.playlist)

    @property
    def patience_s(self) -> float:
        """How long a stream of such segments may say nothing without being dead."""
        playlist = self.playlist
        if playlist is not None and self.low_latency and playlist.part_target_s:
            return self.target_s + HOLD_BACK_PARTS * playlist.part_target_s
        return HOLD_BACK_TARGETS * self.target_s

    @property
    def target_s(self) -> float:
        """The target duration."""
        return target_s(self.playlist) if self.playlist is not None else 0.0

    def _is_restart(self, before: MediaPlaylist, playlist: MediaPlaylist) -> bool:
        """A list that ends earlier than the one before comes from a server that began anew, or from a cache
        that is behind. The latter lists the same segments. The former must say so twice."""
        common = range(max(before.media_sequence, playlist.media_sequence), playlist.next_msn)
        if common and all(_same(segment_at(before, msn), segment_at(playlist, msn)) for msn in common):
            return False
        seen, self._backward = self._backward, playlist
        self._plain = True
        return seen is not None

    def _restart(self, playlist: MediaPlaylist, now_s: float) -> None:
        self.restarts += 1
        self._backward = self._stalled_at = None
        self._near = None
        self._discontinuity_shift = 0
        self._unchanged = 0
        self.changed_s = now_s
        self._begin(playlist, now_s)

    # ------------------------------------------------------------------ where to begin

    def _begin(self, playlist: MediaPlaylist, now_s: float) -> None:
        self.playlist, self.begun_s = playlist, now_s
        found = place(playlist, near=self._near, low_latency=self.low_latency)
        self._next = (found.msn, found.part)
        self._from_first_part = found.part == 0
        self._hole_s = 0.0
        self.start = found

    # ------------------------------------------------------------------ what to fetch

    def peek(self) -> Fetch | None:
        """What to fetch next; None while there is nothing."""
        playlist = self.playlist
        if playlist is None or self._stalled_at is not None:
            return None
        if self._next[0] < playlist.media_sequence:
            self._slid_out(playlist)
        while self._next[0] < playlist.next_msn:
            found = self._of_complete(segment_at(playlist, self._next[0]))
            if found is not None:
                return found
        return self._of_growing(playlist)

    def done(self, fetch: Fetch) -> None:
        """``fetch`` was fetched."""
        if not self._is_next(fetch):
            return
        self._hole_s = 0.0
        if fetch.part is None:
            self.taken += 1
            self._next = (fetch.msn + 1, 0)
        else:
            self._next = (fetch.msn, fetch.part + 1)
        if self._next[1] == 0:
            self._from_first_part = True

    def skip(self, fetch: Fetch) -> None:
        """``fetch`` cannot be had: go on with the segment after it."""
        if not self._is_next(fetch):
            return
        self.skipped += 1
        self._hole_s += self._duration_s(fetch)
        self._next = (fetch.msn + 1, 0)
        self._from_first_part = True

    def _is_next(self, fetch: Fetch) -> bool:
        """Whether the server did not begin anew, and nothing slid out, while ``fetch`` was under way."""
        return fetch.period[0] == self.restarts and fetch.msn == self._next[0]

    def hint_failed(self, fetch: Fetch) -> None:
        """What was announced did not come: wait until it is listed."""
        self._refused_hint = fetch.uri

    @property
    def at_edge(self) -> bool:
        """Whether everything that is listed as complete was fetched."""
        playlist = self.playlist
        return playlist is not None and self._next[0] >= playlist.next_msn

    @property
    def listed_from(self) -> int:
        """The oldest segment that the server still lists."""
        return self.playlist.media_sequence if self.playlist is not None else 0

    def _slid_out(self, playlist: MediaPlaylist) -> None:
        """The server was faster: go on where a live stream is begun, not at what slides out next."""
        self._near = None
        found = place(replace(playlist, start_offset_s=None, ended=False), low_latency=self.low_latency)
        self.skipped += found.msn - self._next[0]
        self._hole_s += (found.msn - self._next[0]) * self.target_s
        self._next = (found.msn, found.part)
        self._from_first_part = found.part == 0

    def _of_complete(self, segment: MediaSegment) -> Fetch | None:
        """What is to be fetched of a complete segment; None, after a step to the next, when it is nothing."""
        msn, part = self._next
        if part == 0 and not segment.gap:
            return self._fetch(segment, None)
        if part == 0:
            self._step_over(segment)
            return None
        if segment.parts:
            if part < len(segment.parts):
                return self._fetch_part(segment, segment.parts[part], part)
            self.taken += 1
            self._next = (msn + 1, part - len(segment.parts))  # more only if a hint was of the next segment
            self._from_first_part = True
            return None
        if self._from_first_part:
            return replace(self._fetch(segment, None), rest=True)
        self._step_over(segment)  # its parts are not listed any more: how much is missing is not known
        return None

    def _step_over(self, segment: MediaSegment) -> None:
        """Leave the segment out."""
        self.skipped += 1
        self._hole_s += segment.duration_s
        self._next = (self._next[0] + 1, 0)
        self._from_first_part = True

    def _of_growing(self, playlist: MediaPlaylist) -> Fetch | None:
        msn, part = self._next
        growing = playlist.growing
        if not self.low_latency or msn != playlist.next_msn:
            return None
        if growing is not None and part < len(growing.parts):
            return self._fetch_part(growing, growing.parts[part], part)
        if part != (len(growing.parts) if growing is not None else 0):
            return None  # a hint was fetched and is not listed yet
        return self._hinted(playlist, growing, part)

    def _hinted(self, playlist: MediaPlaylist, growing: MediaSegment | None, part: int) -> Fetch | None:
        """The part that is announced, where it is a resource of its own (4.4.5.3). The first part of a
        segment may come after a discontinuity: what is not listed yet cannot tell."""
        if growing is None:
            return None
        for hint in playlist.hints:
            whole = hint.start == 0 and hint.length is None
            if hint.kind == "PART" and whole and hint.uri != self._refused_hint:
                listed = self._fetch(growing, part)
                duration_s = playlist.part_target_s or 0.0
                return replace(listed, uri=hint.uri, duration_s=duration_s, byte_range=None, hinted=True)
        return None

    def _fetch(self, segment: MediaSegment, part: int | None) -> Fetch:
        return Fetch(
            segment.msn,
            part,
            segment.uri,
            segment.duration_s,
            self._period(segment),
            segment.byte_range,
            segment.initialization,
            segment.key,
            hole_s=self._hole_s,
        )

    def _fetch_part(self, segment: MediaSegment, part: PartialSegment, index: int) -> Fetch | None:
        if part.gap:
            self._step_over(segment)
            return None
        return replace(
            self._fetch(segment, index), uri=part.uri, duration_s=part.duration_s, byte_range=part.byte_range
        )

    def _duration_s(self, fetch: Fetch) -> float:
        """Of a segment, as far as it is known; of one that grows, at most what it may become."""
        playlist = self.playlist
        if fetch.part is None or playlist is None:
            return fetch.duration_s
        listed = playlist.media_sequence <= fetch.msn < playlist.next_msn
        return segment_at(playlist, fetch.msn).duration_s if listed else self.target_s

    def _period(self, segment: MediaSegment) -> Period:
        return self.restarts, segment.discontinuity_sequence + self._discontinuity_shift


def _edge(playlist: MediaPlaylist) -> Edge:
    return playlist.newest, playlist.segments[-1].uri if playlist.segments else ""


def _same(one: MediaSegment, other: MediaSegment) -> bool:
    """Whether two lists mean the same segment: the same resource at the same time of day."""
    return (one.uri, one.byte_range, one.program_date_time_ms) == (
        other.uri,
        other.byte_range,
        other.program_date_time_ms,
    )


def _shift(before: MediaPlaylist, playlist: MediaPlaylist) -> int:
    """What to add to the new discontinuity sequence numbers. Servers that omit EXT-X-DISCONTINUITY-SEQUENCE
    count anew when a discontinuity slides out of the list: a segment keeps the number that it had first."""
    msn = max(before.media_sequence, playlist.media_sequence)
    if msn >= min(before.next_msn, playlist.next_msn):
        return 0
    return segment_at(before, msn).discontinuity_sequence - segment_at(playlist, msn).discontinuity_sequence
