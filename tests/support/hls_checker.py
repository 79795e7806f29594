"""A strict checker of live low-latency playlists over their history.

Feed it every playlist response that a player gets; it notes each broken rule of draft-pantos-hls-rfc8216bis
(sections are named in the messages) and of this server's own promises: no TARGETDURATION or PART-TARGET that
changes, segments of all renditions with the same numbers at the same times, PROGRAM-DATE-TIME on each.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import urlsplit

from tests.support.hls_playlist import (
    ListedSegment,
    MediaPlaylist,
    PlaylistSyntaxError,
    parse,
)

ALIGNED_S = 0.15  # how far segments of the same number may begin from each other in two renditions
DATE_SLACK_S = 0.1
MIN_SEGMENTS = 6
ANSWERS_REMEMBERED = 64  # many more than a player gets of one playlist while it waits for one of another


@dataclass(frozen=True)
class Problem:
    """A broken rule: ``rule`` is short and stable, ``message`` is for people."""

    rule: str
    url: str
    at_s: float
    message: str


@dataclass
class _History:
    """What one playlist has shown so far."""

    segments: dict[int, ListedSegment] = field(default_factory=dict)
    latest: MediaPlaylist | None = None
    first_seen_s: float = 0.0
    hint: str | None = None
    most_segments: int = 0
    longest_s: float = 0.0
    newest: tuple[int, int] = (-1, -1)
    answers: deque[tuple[float, tuple[int, int]]] = field(
        default_factory=lambda: deque(maxlen=ANSWERS_REMEMBERED)
    )  # when each arrived, and the newest then
    promised: tuple[int, int] = (-1, -1)  # by another playlist's rendition report

    def newest_at(self, at_s: float) -> tuple[int, int]:
        """The newest that had arrived by then."""
        return max((newest for arrived_s, newest in self.answers if arrived_s <= at_s), default=(-1, -1))


class HlsChecker:
    """``problems`` is empty as long as all rules hold. ``continuous`` demands that PROGRAM-DATE-TIME advances
    by exactly the segments' durations (no source was away); ``target_may_grow`` allows TARGETDURATION to
    grow (key frames farther apart than it); ``tracks_may_stall`` allows a segment to stand for more time than
    its parts have (a track fell silent)."""

    def __init__(
        self, *, continuous: bool = True, target_may_grow: bool = False, tracks_may_stall: bool = False
    ) -> None:
        self.problems: list[Problem] = []
        self.playlists_checked = 0
        self._continuous = continuous
        self._target_may_grow = target_may_grow
        self._tracks_may_stall = tracks_may_stall
        self._histories: dict[str, _History] = {}
        self._url = ""
        self._at_s = 0.0
        self._asked_s = 0.0

    def feed(self, url: str, at_s: float, text: str, *, asked_s: float | None = None) -> None:
        """A response to ``url`` (its path names the rendition) that arrived at ``at_s``. It was asked for at
        ``asked_s``, at once by default: of two answers that were on their way at the same time nobody knows
        which was made first."""
        self._url, self._at_s = urlsplit(url).path.rsplit("/", 1)[-1], at_s
        self._asked_s = at_s if asked_s is None else asked_s
        if self._url == "index.m3u8":
            return self._check_index(text)
        history = self._histories.setdefault(self._url, _History(first_seen_s=at_s))
        self.playlists_checked += 1
        try:
            playlist = parse(text)
            if playlist.skipped:
                playlist = self._merge(history, playlist)
            self._check(history, playlist)
        except (PlaylistSyntaxError, KeyError, ValueError) as error:
            self._note("syntax", str(error))

    def _check_index(self, text: str) -> None:
        """Players load it once and remember its kind, so that it is a multivariant playlist always. It lists
        the one variant that there is, and sound beside video as a rendition of its own."""
        lines = text.splitlines()
        variants = [line for line in lines if line and not line.startswith("#")]
        if any(line.startswith(("#EXTINF", "#EXT-X-TARGETDURATION")) for line in lines):
            self._note("index-kind", "index.m3u8 is a media playlist")
        elif len(variants) != 1 or sum(line.startswith("#EXT-X-STREAM-INF:") for line in lines) != 1:
            self._note("index-variants", f"{len(variants)} variants")

    def _check(self, history: _History, playlist: MediaPlaylist) -> None:
        if not playlist.segments:
            self._note("no-segments", "a playlist without a complete segment")
            return
        for check in (self._check_head, self._check_segments, self._check_parts, self._check_edge):
            check(playlist)
        self._check_history(history, playlist)
        self._check_reports(history, playlist)
        self._check_alignment()

    def forget(self, url: str) -> None:
        """The rendition is not part of the presentation any more."""
        self._histories.pop(url, None)

    def finish(self) -> None:
        """After the last response: what must have been reached."""
        for url, history in self._histories.items():
            self._url = url
            latest = history.latest
            if latest is None:
                continue
            if history.most_segments < MIN_SEGMENTS:
                self._note("few-segments", f"never more than {history.most_segments} segments")
            if history.longest_s < 3 * latest.target_duration_s:
                self._note("short-playlist", "6.2.2: never as long as three target durations")
            self._check_promise(history)

    def _note(self, rule: str, message: str) -> None:
        self.problems.append(Problem(rule, self._url, self._at_s, message))

    def _demand(self, holds: bool, rule: str, message: str) -> None:
        if not holds:
            self._note(rule, message)

    # -- one playlist --------------------------------------------------------------------------------

    def _check_head(self, playlist: MediaPlaylist) -> None:
        version = playlist.number("EXT-X-VERSION")
        self._demand(version >= 6, "version", f"8: EXT-X-MAP needs version 6, not {version}")
        self._demand("EXT-X-DISCONTINUITY-SEQUENCE" in playlist.tags, "discontinuity-sequence", "is missing")
        self._demand("EXT-X-INDEPENDENT-SEGMENTS" in playlist.tags, "independent-segments", "is missing")
        control, target_s, part_s = playlist.control, playlist.target_duration_s, playlist.part_target_s
        self._demand(control.get("CAN-BLOCK-RELOAD") == "YES", "block-reload", "4.4.3.8: is not announced")
        self._demand(
            float(control.get("HOLD-BACK", "inf")) >= 3 * target_s, "hold-back", "4.4.3.8: below 3 targets"
        )
        skip = control.get("CAN-SKIP-UNTIL")
        self._demand(
            skip is not None and float(skip) >= 6 * target_s, "skip-until", "4.4.3.8: below 6 targets"
        )
        if part_s is None:
            self._note("part-inf", "4.4.3.7: PART-TARGET is missing")
            return
        back = control.get("PART-HOLD-BACK")
        self._demand(
            back is not None and float(back) >= 3 * part_s - 1e-9, "part-hold-back", "4.4.3.8: below 3 parts"
        )

    def _check_segments(self, playlist: MediaPlaylist) -> None:
        previous: ListedSegment | None = None
        for segment in playlist.segments:
            assert segment.duration_s is not None
            rounded = math.floor(segment.duration_s + 0.5)
            self._demand(
                rounded <= playlist.target_duration_s,
                "target-duration",
                f"4.4.3.1: segment {segment.msn} lasts {segment.duration_s} s",
            )
            self._demand(segment.gap or segment.map_uri is not None, "map", f"no EXT-X-MAP for {segment.msn}")
            self._check_date(previous, segment)
            previous = segment
        if playlist.growing is not None:
            self._demand(playlist.growing.map_uri is not None, "map", "no EXT-X-MAP for the growing segment")
            self._check_date(previous, playlist.growing)

    def _check_date(self, previous: ListedSegment | None, segment: ListedSegment) -> None:
        if segment.program_date_time is None:
            self._note("program-date-time", f"segment {segment.msn} has none")
            return
        if previous is None or previous.program_date_time is None or previous.duration_s is None:
            return
        expected = previous.program_date_time + timedelta(seconds=previous.duration_s)
        off_s = (segment.program_date_time - expected).total_seconds()
        self._demand(
            off_s >= -DATE_SLACK_S and (not self._continuous or off_s <= DATE_SLACK_S),
            "program-date-time",
            f"segment {segment.msn} is {off_s:.3f} s off the end of the one before",
        )

    def _check_parts(self, playlist: MediaPlaylist) -> None:
        target_s = playlist.part_target_s
        if target_s is None:
            return
        growing = [playlist.growing] if playlist.growing is not None else []
        for segment in [*playlist.segments, *growing]:
            for index, part in enumerate(segment.parts):
                self._demand(
                    part.duration_s <= target_s + 1e-6,
                    "part-too-long",
                    f"4.4.4.9: part {segment.msn}.{index} lasts {part.duration_s} s of {target_s}",
                )
                last = index == len(segment.parts) - 1
                exempt = part.independent or part.gap or last or segment.parts[index + 1].gap
                self._demand(
                    exempt or part.duration_s >= 0.85 * target_s - 1e-6,
                    "part-too-short",
                    f"4.4.4.9: part {segment.msn}.{index} lasts {part.duration_s} s of {target_s}",
                )
            if segment.parts and segment.duration_s is not None and not segment.gap:
                total_s = sum(part.duration_s for part in segment.parts)
                missing_s = segment.duration_s - total_s
                self._demand(
                    missing_s > -0.01 and (missing_s < 0.01 or self._tracks_may_stall),
                    "parts-sum",
                    f"3.2: segment {segment.msn} lasts {segment.duration_s} s, its parts {total_s:.3f} s",
                )
        self._check_part_places(playlist)

    def _check_part_places(self, playlist: MediaPlaylist) -> None:
        """Parts stand near the end only, and on every segment there."""
        limit_s = 3 * playlist.target_duration_s
        before_end_s = sum(part.duration_s for part in playlist.growing.parts) if playlist.growing else 0.0
        for segment in reversed(playlist.segments):
            if before_end_s > limit_s:
                self._demand(
                    not segment.parts, "old-parts", f"6.2.2: segment {segment.msn} still lists parts"
                )
            before_end_s += segment.duration_s or 0.0
        newest = playlist.segments[-1]
        self._demand(
            bool(newest.parts) or newest.gap, "parts-missing", f"segment {newest.msn} lists no parts"
        )

    def _check_edge(self, playlist: MediaPlaylist) -> None:
        if "EXT-X-ENDLIST" in playlist.tags:
            self._demand(not playlist.hints, "hint-at-end", "4.4.5.3: a hint beside EXT-X-ENDLIST")
            return
        parts = [hint for hint in playlist.hints if hint.get("TYPE") == "PART"]
        self._demand(len(parts) <= 1, "preload-hint", f"6.2.6: {len(parts)} hints of parts")
        for report in playlist.reports:
            self._demand("://" not in report["URI"], "rendition-report", "4.4.5.4: URI must be relative")
            self._demand("LAST-MSN" in report, "rendition-report", "4.4.5.4: LAST-MSN is missing")

    # -- over time -----------------------------------------------------------------------------------

    def _merge(self, history: _History, delta: MediaPlaylist) -> MediaPlaylist:
        """The full playlist that a delta update stands for (section 6.3.7)."""
        if delta.number("EXT-X-VERSION") < 9:
            self._note("version", "8: EXT-X-SKIP needs version 9")
        first = delta.media_sequence
        skipped = []
        for msn in range(first, first + delta.skipped):
            if msn not in history.segments or history.segments[msn].uri is None:
                raise PlaylistSyntaxError(f"skips segment {msn}, which was never listed")
            skipped.append(replace(history.segments[msn], parts=()))
        boundary_s = float(delta.control.get("CAN-SKIP-UNTIL", "inf"))
        kept_s = sum(segment.duration_s or 0.0 for segment in delta.segments)
        self._demand(
            kept_s >= boundary_s - 1e-6, "skip-boundary", "6.2.5.1: skips segments within the boundary"
        )
        carried = skipped[-1]
        base = carried.discontinuity_sequence - delta.number("EXT-X-DISCONTINUITY-SEQUENCE")
        delta.segments = [_shift(segment, base, carried) for segment in delta.segments]
        delta.growing = _shift(delta.growing, base, carried) if delta.growing is not None else None
        return replace(delta, segments=[*skipped, *delta.segments], skipped=0)

    def _check_history(self, history: _History, playlist: MediaPlaylist) -> None:
        before = history.latest
        if before is not None:
            self._check_progress(history, before, playlist)
        for segment in [*playlist.segments, *([playlist.growing] if playlist.growing is not None else [])]:
            self._check_unchanged(history.segments.get(segment.msn), segment)
            known = history.segments.get(segment.msn)
            history.segments[segment.msn] = segment if known is None else _with_known_parts(known, segment)
        history.latest = playlist
        history.newest = max(history.newest, playlist.newest)
        history.answers.append((self._at_s, history.newest))
        history.hint = next((hint["URI"] for hint in playlist.hints if hint.get("TYPE") == "PART"), None)
        history.most_segments = max(history.most_segments, len(playlist.segments))
        total_s = sum(segment.duration_s or 0.0 for segment in playlist.segments)
        history.longest_s = max(history.longest_s, total_s)

    def _check_progress(self, history: _History, before: MediaPlaylist, now: MediaPlaylist) -> None:
        self._demand(now.media_sequence >= before.media_sequence, "media-sequence", "6.2.2: it fell")
        self._demand(
            now.newest >= before.newest, "went-back", f"the end went from {before.newest} to {now.newest}"
        )
        grew = now.target_duration_s > before.target_duration_s
        same = now.target_duration_s == before.target_duration_s
        self._demand(
            same or (grew and self._target_may_grow), "target-changed", "6.2.1: TARGETDURATION changed"
        )
        self._demand(now.part_target_s == before.part_target_s, "part-target-changed", "PART-TARGET changed")
        removed_s = sum(
            segment.duration_s or 0.0 for segment in before.segments if segment.msn < now.media_sequence
        )
        kept_s = sum(segment.duration_s or 0.0 for segment in now.segments)
        self._demand(
            not removed_s or kept_s >= 3 * now.target_duration_s,
            "removed-early",
            "6.2.2: segments were removed from a playlist shorter than three target durations",
        )
        self._check_hint(history, before, now)

    def _check_hint(self, history: _History, before: MediaPlaylist, now: MediaPlaylist) -> None:
        """What was hinted at must be the next part that appears. Parts leave a playlist as they age (6.2.2):
        after a pause of the player those of the segment that grew before may all be gone, and which came next
        cannot be seen any more."""
        if history.hint is None or now.newest == before.newest:
            return
        shown = [*now.segments, *([now.growing] if now.growing is not None else [])]
        grew = before.growing.msn if before.growing is not None else before.segments[-1].msn + 1
        if not any(s.msn == grew and (s.parts or s.gap) for s in shown):
            return
        listed = [(s.msn, index, part.uri) for s in shown for index, part in enumerate(s.parts)]
        fresh = [uri for msn, index, uri in listed if (msn, index) > before.newest]
        if fresh:
            self._demand(
                fresh[0] == history.hint, "preload-hint", f"6.2.6: hinted {history.hint}, came {fresh[0]}"
            )

    def _check_unchanged(self, known: ListedSegment | None, segment: ListedSegment) -> None:
        """What was listed stays as it was listed (section 6.2.1)."""
        if known is None or known == segment:
            return
        rules: tuple[tuple[str, Callable[[ListedSegment], object]], ...] = (
            ("discontinuity-sequence", lambda it: it.discontinuity_sequence),
            ("segment-changed", lambda it: (it.discontinuity, it.map_uri, it.program_date_time)),
        )
        for rule, aspect in rules:
            was, now = aspect(known), aspect(segment)
            self._demand(was == now, rule, f"6.2.1: segment {segment.msn} was {was}, is {now}")
        if known.uri is not None:
            was, now = (
                (known.uri, known.duration_s, known.gap),
                (segment.uri, segment.duration_s, segment.gap),
            )
            self._demand(was == now, "segment-changed", f"6.2.1: segment {segment.msn} was {was}, is {now}")
        common = min(len(known.parts), len(segment.parts))
        self._demand(
            known.parts[:common] == segment.parts[:common], "part-changed", f"6.2.1: parts of {segment.msn}"
        )
        if segment.uri is None:
            self._demand(
                len(segment.parts) >= len(known.parts), "part-removed", f"parts of {segment.msn} went away"
            )

    # -- between renditions --------------------------------------------------------------------------

    def _check_reports(self, history: _History, playlist: MediaPlaylist) -> None:
        self._check_promise(history)
        others = {name for name in self._histories if name != self._url}
        reported = {urlsplit(report["URI"]).path for report in playlist.reports}
        self._demand(others <= reported, "rendition-report", f"B.1: none for {sorted(others - reported)}")
        for report in playlist.reports:
            other = self._histories.get(urlsplit(report["URI"]).path)
            if other is None or "LAST-MSN" not in report:
                continue
            msn, part = int(report["LAST-MSN"]), int(report.get("LAST-PART", 1_000_000))
            known = other.newest_at(self._asked_s)
            newest_msn, newest_part = known
            behind = msn < newest_msn or (msn == newest_msn and part < newest_part < 1_000_000)
            self._demand(
                not behind, "rendition-report", f"4.4.5.4: says {msn}.{part}, {known} was seen before"
            )
            other.promised = max(other.promised, (msn, part))

    def _check_promise(self, history: _History) -> None:
        """What another rendition's report promised is there, or comes within a segment (the two playlists
        were not fetched at the same moment)."""
        self._demand(
            history.promised[0] <= history.newest[0] + 1,
            "rendition-report",
            f"4.4.5.4: a report promised {history.promised}, the playlist is at {history.newest}",
        )

    def _check_alignment(self) -> None:
        mine = self._histories[self._url]
        newest = mine.newest[0]
        for name, other in self._histories.items():
            if name == self._url:
                continue
            for msn in (newest - 1, newest):
                here, there = mine.segments.get(msn), other.segments.get(msn)
                if here is None or there is None or not here.program_date_time or not there.program_date_time:
                    continue
                off_s = abs((here.program_date_time - there.program_date_time).total_seconds())
                self._demand(off_s <= ALIGNED_S, "alignment", f"segment {msn} is {off_s:.3f} s from {name}'s")
                self._demand(
                    here.discontinuity_sequence == there.discontinuity_sequence,
                    "discontinuity-alignment",
                    f"6.2.4: segment {msn} has another discontinuity sequence than in {name}",
                )


def _shift(segment: ListedSegment, by: int, carried: ListedSegment) -> ListedSegment:
    """A segment of a delta update with the discontinuities and the EXT-X-MAP that were skipped."""
    map_uri = segment.map_uri if segment.map_uri is not None else carried.map_uri
    return replace(segment, discontinuity_sequence=segment.discontinuity_sequence + by, map_uri=map_uri)


def _with_known_parts(known: ListedSegment, segment: ListedSegment) -> ListedSegment:
    """Parts may be taken off a playlist as they age; they are remembered."""
    return segment if len(segment.parts) >= len(known.parts) else replace(segment, parts=known.parts)
