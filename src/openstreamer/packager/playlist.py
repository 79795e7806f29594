"""Media playlists from a track's window (draft-pantos-hls-rfc8216bis, low-latency profile of appendix B.1).

A URI is followed by ``URI_END`` in what is rendered here, so that one rendering serves every viewer: the
mark is replaced by nothing, or by the viewer's ``?token=``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from openstreamer.packager.segment import Segment
from openstreamer.packager.window import TrackWindow
from openstreamer.wire import m3u8

URI_END: Final = "\x00"  # cannot be in a playlist
VERSION: Final = 9  # EXT-X-SKIP needs 9 (section 8), and one version for full and delta playlists
HOLD_BACK_TARGETS = 3  # HOLD-BACK in target durations, section 4.4.3.8
SKIP_BOUNDARY_TARGETS = 6  # CAN-SKIP-UNTIL in target durations, section 4.4.3.8
PARTS_LISTED_TARGETS = 3  # parts farther from the end are not listed, section 6.2.2


@dataclass(frozen=True, slots=True)
class Report:
    """What a playlist says of another rendition: EXT-X-RENDITION-REPORT."""

    uri: str
    last_msn: int
    last_part: int | None


@dataclass(frozen=True, slots=True)
class Terms:
    """What all playlists of a presentation have in common at a moment."""

    target_duration_s: int
    part_target_s: float
    part_hold_back_s: float


def low_latency_playlist(window: TrackWindow, terms: Terms, reports: Sequence[Report], *, delta: bool) -> str:
    """The live playlist with parts; with ``delta`` a Playlist Delta Update if there is anything to skip.
    ``window`` has at least one complete segment."""
    listed = window.listed
    lines = _head(window, listed, terms)
    skipped = 0
    if delta:
        # Section 6.2.5.1: what ends farther from the end of the last complete segment than the boundary.
        skipped = _count_beyond(listed, SKIP_BOUNDARY_TARGETS * terms.target_duration_s)
    if skipped:
        lines.append(m3u8.skip(skipped))
    parts_from = _first_with_parts(window, listed, terms)
    previous: Segment | None = None
    for segment in listed[skipped:]:
        lines.append(_closed(segment, previous, terms if segment.msn >= parts_from else None))
        previous = segment
    lines += _live_edge(window, previous, terms)
    lines += [
        m3u8.rendition_report(report.uri + URI_END, report.last_msn, report.last_part) for report in reports
    ]
    return m3u8.lines(lines)


def classic_playlist(segments: Sequence[Segment], target_duration_s: int, *, ended: bool = False) -> str:
    """A playlist of complete segments only, as a web server or CDN serves it from files."""
    lines = _common_head(segments, target_duration_s)
    previous: Segment | None = None
    for segment in segments:
        lines.append(_closed(segment, previous, None))
        previous = segment
    if ended:
        lines.append(m3u8.ENDLIST)
    return m3u8.lines(lines).replace(URI_END, "")


def segment_name(segment: Segment, kind: str) -> str:
    return f"{kind}_{segment.msn}.m4s"


def part_name(kind: str, msn: int, index: int) -> str:
    return f"{kind}_{msn}.{index}.m4s"


def _head(window: TrackWindow, listed: Sequence[Segment], terms: Terms) -> list[str]:
    control = m3u8.server_control(
        can_block=True,
        can_skip_until_s=SKIP_BOUNDARY_TARGETS * terms.target_duration_s,
        hold_back_s=HOLD_BACK_TARGETS * terms.target_duration_s,
        part_hold_back_s=terms.part_hold_back_s,
    )
    segments = listed if window.open is None else [*listed, window.open]
    return _common_head(segments, terms.target_duration_s, control, m3u8.part_inf(terms.part_target_s))


def _common_head(segments: Sequence[Segment], target_duration_s: int, *control: str) -> list[str]:
    """Up to the first segment. The discontinuity sequence is that of the first segment before its own
    EXT-X-DISCONTINUITY is counted (section 6.2.2)."""
    first = segments[0].opening
    lines = [
        m3u8.HEADER,
        m3u8.version(VERSION),
        m3u8.target_duration(target_duration_s),
        *control,
        m3u8.media_sequence(first.msn),
        m3u8.discontinuity_sequence(first.discontinuity_sequence - first.discontinuity),
    ]
    if all(segment.independent for segment in segments):
        lines.append(m3u8.INDEPENDENT_SEGMENTS)
    return lines


def _first_with_parts(window: TrackWindow, listed: Sequence[Segment], terms: Terms) -> int:
    """The media sequence number from which parts are listed: near the end, and of the present PART-TARGET."""
    open_s = window.open.parts_duration_s if window.open is not None else 0.0
    beyond = _count_beyond(listed, PARTS_LISTED_TARGETS * terms.target_duration_s - open_s)
    for segment in reversed(listed[beyond:]):
        if segment.opening.generation.part_target_s != terms.part_target_s:
            return segment.msn + 1
    return listed[beyond].msn if beyond < len(listed) else listed[-1].msn + 1


def _count_beyond(listed: Sequence[Segment], distance_s: float) -> int:
    """How many of the oldest segments end farther than this from the end of the last complete one."""
    before_end_s = 0.0
    for index in range(len(listed) - 1, -1, -1):
        if before_end_s >= distance_s:
            return index + 1
        before_end_s += listed[index].duration_s
    return 0


def _closed(segment: Segment, previous: Segment | None, terms: Terms | None) -> str:
    """The lines of a complete segment, with its parts if ``terms`` are given. Rendered once, but for an
    EXT-X-MAP that depends on its neighbour."""
    if terms is not None:
        if segment.lines_with_parts is None:
            segment.lines_with_parts = "\n".join(_segment_lines(segment, terms))
        text = segment.lines_with_parts
    else:
        if segment.lines is None:
            segment.lines = "\n".join(_segment_lines(segment, None))
        text = segment.lines
    initialization = _map_before(segment, previous)
    return text if initialization is None else f"{initialization}\n{text}"


def _map_before(segment: Segment, previous: Segment | None) -> str | None:
    """EXT-X-MAP where a playlist begins and where it changes; a discontinuity's is in its own lines."""
    init = segment.init
    if init is None or segment.opening.discontinuity or (previous is not None and previous.init is init):
        return None
    return m3u8.media_initialization(init.name + URI_END)


def _segment_lines(segment: Segment, terms: Terms | None) -> list[str]:
    lines = _opening_lines(segment)
    if terms is not None:
        lines += _part_lines(segment, terms)
    if segment.gap:
        lines.append(m3u8.GAP)
    lines += [m3u8.extinf(segment.duration_s), segment_name(segment, segment.kind.value) + URI_END]
    return lines


def _opening_lines(segment: Segment) -> list[str]:
    lines: list[str] = []
    if segment.opening.discontinuity:
        lines.append(m3u8.DISCONTINUITY)
        if segment.init is not None:
            lines.append(m3u8.media_initialization(segment.init.name + URI_END))
    lines.append(m3u8.program_date_time(segment.program_date_time_ms))
    return lines


def _part_lines(segment: Segment, terms: Terms) -> list[str]:
    """A frame that stands longer than PART-TARGET cannot be split: its part is said to last PART-TARGET, as
    section 4.4.4.9 demands, and EXTINF of the segment has the true sum."""
    kind = segment.kind.value
    return [
        m3u8.part(
            min(part.duration_s, terms.part_target_s),
            part_name(kind, segment.msn, part.index) + URI_END,
            independent=part.independent,
        )
        for part in segment.parts
    ]


def _live_edge(window: TrackWindow, previous: Segment | None, terms: Terms) -> list[str]:
    """The growing segment's parts, and the hint of the next one. The part after the newest is known to
    belong to the growing segment: parts and segments end at the same frame."""
    growing = window.open
    if growing is None:
        return []
    lines: list[str] = []
    if growing.parts and growing.opening.generation.part_target_s == terms.part_target_s:
        initialization = _map_before(growing, previous)
        if initialization is not None:
            lines.append(initialization)
        lines += _opening_lines(growing) + _part_lines(growing, terms)
    hint = part_name(window.kind.value, growing.msn, len(growing.parts))
    lines.append(m3u8.preload_hint_part(hint + URI_END))
    return lines
