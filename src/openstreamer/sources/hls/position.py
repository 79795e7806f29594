"""Where to begin in a media playlist (draft-pantos-hls-rfc8216bis, section 6.3.3). Pure."""

from dataclasses import dataclass
from typing import Final

from openstreamer.wire.m3u8_documents import MediaPlaylist, MediaSegment

HOLD_BACK_TARGETS: Final = 3  # a live stream is begun this many target durations before its end, 6.3.3
HOLD_BACK_PARTS: Final = 3  # the same in parts, where the server does not say PART-HOLD-BACK, 4.4.3.8
LEAST_TARGET_S: Final = 0.5  # what is believed of a target duration of 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a follower begins: how far before the end of the playlist, and at which time of day."""

    msn: int
    part: int
    behind_s: float
    date_ms: int | None = None


def place(playlist: MediaPlaylist, *, low_latency: bool, near: Position | None = None) -> Position:
    """Where to begin: a list that is complete at its start, a live one near its end, a further rendition
    where the first one began (``near``)."""
    if playlist.ended:
        return _on_demand(playlist)
    if near is not None:
        # A little earlier rather than later: what is too early is dropped, what is missing is silence.
        found = _covering(playlist, near.date_ms)
        if found is not None:
            return found
    hold_s = near.behind_s if near is not None else hold_back_s(playlist, low_latency=low_latency)
    if low_latency:
        found = _independent_part(playlist, hold_s)
        if found is not None:
            return found
    return _segment_before(playlist, hold_s)


def hold_back_s(playlist: MediaPlaylist, *, low_latency: bool) -> float:
    """How far before its end a live stream is begun."""
    if playlist.start_offset_s is not None and playlist.start_offset_s < 0:
        return -playlist.start_offset_s
    control = playlist.control
    if low_latency and playlist.part_target_s:
        return control.part_hold_back_s or HOLD_BACK_PARTS * playlist.part_target_s
    return max(control.hold_back_s or 0.0, HOLD_BACK_TARGETS * target_s(playlist))


def target_s(playlist: MediaPlaylist) -> float:
    """The target duration, as far as it can be believed."""
    return max(playlist.target_duration_s, LEAST_TARGET_S)


def segment_at(playlist: MediaPlaylist, msn: int) -> MediaSegment:
    """The complete segment with this number, which must be listed."""
    return playlist.segments[msn - playlist.media_sequence]


def _on_demand(playlist: MediaPlaylist) -> Position:
    offset_s = playlist.start_offset_s or 0.0
    total_s = sum(segment.duration_s for segment in playlist.segments)
    wanted_s = min(max(offset_s if offset_s >= 0 else total_s + offset_s, 0.0), total_s)
    end_s, msn = 0.0, playlist.media_sequence
    for segment in playlist.segments:
        msn = segment.msn
        end_s += segment.duration_s
        if end_s > wanted_s:
            break
    return Position(msn, 0, 0.0)


def _covering(playlist: MediaPlaylist, date_ms: int | None) -> Position | None:
    """The complete segment that covers a time of day."""
    if date_ms is None:
        return None
    for segment in reversed(playlist.segments):
        begin_ms = segment.program_date_time_ms
        if begin_ms is not None and begin_ms <= date_ms:
            covers = date_ms < begin_ms + segment.duration_s * 1000
            return position_of(playlist, segment.msn, 0) if covers else None
    return None


def position_of(playlist: MediaPlaylist, msn: int, part: int) -> Position:
    """Where a segment, or a part of it, is."""
    growing = playlist.growing
    segment = growing if growing is not None and msn == growing.msn else segment_at(playlist, msn)
    before_s = sum(each.duration_s for each in segment.parts[:part])
    behind_s = segment.duration_s - before_s
    behind_s += sum(each.duration_s for each in playlist.segments if each.msn > msn)
    if growing is not None and msn != growing.msn:
        behind_s += growing.duration_s
    date_ms = segment.program_date_time_ms
    return Position(msn, part, behind_s, None if date_ms is None else date_ms + round(before_s * 1000))


def _independent_part(playlist: MediaPlaylist, hold_s: float) -> Position | None:
    """The newest part that begins with a key frame and is at least ``hold_s`` before the end."""
    behind_s = 0.0
    listed = [*playlist.segments, *([playlist.growing] if playlist.growing is not None else [])]
    for segment in reversed(listed):
        if not segment.parts:
            return None
        for index in range(len(segment.parts) - 1, -1, -1):
            part = segment.parts[index]
            behind_s += part.duration_s
            if part.independent and behind_s >= hold_s:
                return position_of(playlist, segment.msn, index)
    return None


def _segment_before(playlist: MediaPlaylist, hold_s: float) -> Position:
    """The newest segment that begins at least ``hold_s`` before the end, or the oldest there is."""
    behind_s = playlist.growing.duration_s if playlist.growing is not None else 0.0
    for segment in reversed(playlist.segments):
        behind_s += segment.duration_s
        if behind_s >= hold_s:
            return position_of(playlist, segment.msn, 0)
    if playlist.segments:
        return position_of(playlist, playlist.media_sequence, 0)
    return Position(playlist.media_sequence, 0, hold_s)
