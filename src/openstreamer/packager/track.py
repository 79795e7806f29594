"""One track: frames in, parts and segments out.

Pure: no IO, no clock. A frame's duration is the distance to its successor, so a part appears when the frame
after it does; only the last frame before an end takes its nominal duration.
"""

from collections.abc import Callable
from typing import Final

from openstreamer.media.clock import rescale
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager.cadence import SHORTEST_PART
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import (
    Generation,
    Init,
    Opening,
    PackagerEvent,
    Part,
    PartReady,
    Segment,
    SegmentReady,
)
from openstreamer.packager.silence import silent_frame
from openstreamer.packager.window import TrackWindow
from openstreamer.wire.mp4.fragment import (
    DELTA_SAMPLE,
    KEY_SAMPLE,
    SEGMENT_TYPE,
    audio_fragment,
    video_fragment,
)
from openstreamer.wire.mp4.init import VIDEO_TIMESCALE_HZ, init_segment, timescale_of

LONGEST_FRAME_S: Final = 5  # a longer distance is a hole in the source, not a picture that stands
LONGEST_AUDIO_HOLE_S: Final = 2  # so much lost audio is bridged by the frame before it
_NOMINAL_FRAME_90K = 3_600  # 25 fps, until the first distance is known
_SILENCE_S = 0.2  # more than this without a frame at a segment's end is no rounding and no frame
_CONTINUITY_90K = 90  # 1 ms: how far a new source's audio may be off before the sample count starts anew


class TrackPackager:
    """What video and audio have in common: parts, segments, initialisation segments.

    ``events`` is the list that whoever owns this track drains after each push.
    """

    def __init__(self, kind: TrackKind, options: PackagerOptions, events: list[PackagerEvent]) -> None:
        self.kind = kind
        self.window = TrackWindow(kind, options)
        self.track: Track | None = None
        self.timescale_hz = VIDEO_TIMESCALE_HZ
        self.repaired_frames = 0
        self.dropped_frames = 0
        self._events = events
        self._init: Init | None = None
        self._sequence_number = 0
        # The growing part: sample table and payloads, its first decode time, and the duration settled so far.
        self._table: list[int] = []
        self._payloads: list[bytes] = []
        self._part_start = 0
        self._part_ticks = 0
        self._last_at = 0
        self._part_limit = 0  # ticks; 0 while PART-TARGET is not known
        self._part_floor = 0
        # The growing segment, in ticks.
        self._segment_start: int | None = None
        self._segment_end = 0

    @property
    def segment(self) -> Segment | None:
        """The segment that grows."""
        return self.window.open

    def begin(self, opening: Opening) -> None:
        """Start a segment. A new generation with this track brings a new initialisation segment."""
        self._prepare(opening)
        self.window.begin(Segment(self.kind, opening, self._init))

    def _prepare(self, opening: Opening) -> None:
        generation = opening.generation
        track = generation.video if self.kind is TrackKind.VIDEO else generation.audio
        if track is not None:
            self._take_over(track, opening.msn)
        self._segment_start = None
        self._set_part_target(generation)

    def _take_over(self, track: Track, msn: int) -> None:
        known = self.track
        self.track = track
        if known is None or known.config != track.config or known.language != track.language:
            self.timescale_hz = timescale_of(track)
            self._init = Init(self.kind, msn, track, init_segment(track))
            self._restart_clock()

    def _restart_clock(self) -> None:
        """The decoder configuration changed: what was counted in the old timescale is void."""

    @property
    def end_90k(self) -> int:
        """Where the newest frame ends on the stream's clock, or where the first one is due."""
        raise NotImplementedError

    @property
    def part_due_90k(self) -> int:
        """The growing part does not end before a frame of this time, unless its segment does. 0 when that is
        not known."""
        raise NotImplementedError

    def retarget(self, generation: Generation) -> None:
        """PART-TARGET of ``generation`` became known."""
        segment = self.segment
        if segment is not None and segment.opening.generation is generation:
            self._set_part_target(generation)

    def _set_part_target(self, generation: Generation) -> None:
        target_s = generation.part_target_s
        if target_s is None:
            self._part_limit = self._part_floor = 0
            return
        self._part_limit = round(target_s * self.timescale_hz) + 1  # + 1: frame times are rounded to ticks
        self._part_floor = int(SHORTEST_PART * target_s * self.timescale_hz)

    def end(self, until_90k: int, next_decode_90k: int | None = None) -> None:
        """Complete the segment. ``until_90k`` is where the next one begins on the stream's clock: what the
        segment stands for when its track fell silent. ``next_decode_90k`` is the decode time of the frame
        that begins it, if there is one."""
        segment = self.segment
        assert segment is not None
        if self._payloads:
            self._settle_last(next_decode_90k)
            self._close_part()
        self._measure(segment, until_90k)
        closed = self.window.close()
        self._events.append(SegmentReady(self.kind, closed))

    def _settle_last(self, next_decode_90k: int | None) -> None:
        raise NotImplementedError

    def _measure(self, segment: Segment, until_90k: int) -> None:
        """EXTINF: the media's own duration, unless the track stopped well before the segment's end, when the
        segment stands for the time until there: playlists of all tracks must advance alike."""
        if self._segment_start is None:
            segment.gap = True
            segment.duration_s = max(0.001, (until_90k - segment.start_pts_90k) / 90_000)
            return
        segment.duration_s = (self._segment_end - self._segment_start) / self.timescale_hz
        stands_for_s = (until_90k - segment.start_pts_90k) / 90_000
        if stands_for_s > 0 and abs(stands_for_s - segment.duration_s) > _SILENCE_S:
            segment.duration_s = stands_for_s

    def _close_part(self) -> None:
        """Turn what was collected into a part of the open segment."""
        segment = self.segment
        assert segment is not None
        index = len(segment.parts)
        self._sequence_number += 1
        independent, data = self._fragment(b"" if index else SEGMENT_TYPE)
        duration_s = self._part_ticks / self.timescale_hz
        if index == 0:
            segment.independent = independent
        if self._segment_start is None:
            self._segment_start = self._part_start
        self._segment_end = self._part_start + self._part_ticks
        part = Part(index, duration_s, independent, data)
        self._table = []
        self._payloads = []
        self._part_ticks = 0
        self.window.add_part(part)
        self._events.append(PartReady(self.kind, segment, part))

    def _fragment(self, prefix: bytes) -> tuple[bool, bytes]:
        """Whether the part can be decoded from its start, and its bytes."""
        raise NotImplementedError


class VideoPackager(TrackPackager):
    """Video: decode times as the frames say them, 90 kHz, composition offsets for B-frames."""

    def __init__(self, options: PackagerOptions, events: list[PackagerEvent]) -> None:
        super().__init__(TrackKind.VIDEO, options, events)
        self._nominal = _NOMINAL_FRAME_90K
        self._last_at = -1
        self._longest = LONGEST_FRAME_S * VIDEO_TIMESCALE_HZ
        self._part_bytes = 0
        self._most_part_bytes = options.max_part_bytes
        self._most_table = 4 * options.max_part_frames

    @property
    def collects(self) -> bool:
        """Whether a part is growing."""
        return bool(self._payloads)

    @property
    def end_90k(self) -> int:
        assert self.segment is not None
        return max(self._last_at + self._nominal, self.segment.start_pts_90k)

    @property
    def part_due_90k(self) -> int:
        return self._part_start + self._part_floor if self._payloads and self._part_limit else 0

    @property
    def last_decode_90k(self) -> int:
        """Decode time of the newest frame."""
        return self._last_at

    def add(self, frame: Frame) -> None:
        """The next frame in decoding order. The first of a segment is a key frame."""
        at = frame.dts_90k
        duration = at - self._last_at
        if not 0 < duration <= self._longest:
            at, duration = self._irregular(at, duration)
        table = self._table
        if table:
            self._nominal = table[-4] = duration
            ticks = self._part_ticks = self._part_ticks + duration
            if (
                ticks + duration > self._part_limit and ticks >= self._part_floor and self._part_limit
            ) or self._part_is_full:
                self._close_part()
                table = self._table
                self._part_start = at
                self._part_bytes = 0
        else:
            self._part_start = at
            self._part_bytes = 0
        payload = frame.payload
        self._last_at = at
        self._part_bytes += len(payload)
        table += (0, len(payload), KEY_SAMPLE if frame.key else DELTA_SAMPLE, frame.pts_90k - at)
        self._payloads.append(payload)

    @property
    def _part_is_full(self) -> bool:
        """Whether the part is as large as it may be, however short it lasts."""
        return self._part_bytes >= self._most_part_bytes or len(self._table) >= self._most_table

    def _irregular(self, at: int, duration: int) -> tuple[int, int]:
        """Decode times must rise (ISO/IEC 14496-12 section 8.6.1.1): a repeated one moves by a tick. The
        frame before a hole keeps its usual duration, and the next part begins after the hole."""
        if duration <= 0:
            self.repaired_frames += 1
            return self._last_at + 1, 1
        if self._table:
            self._settle_last(None)
            self._close_part()
        return at, duration

    def _settle_last(self, next_decode_90k: int | None) -> None:
        duration = self._nominal
        if next_decode_90k is not None and 0 < next_decode_90k - self._last_at <= self._longest:
            duration = next_decode_90k - self._last_at
        self._table[-4] = duration
        self._part_ticks += duration

    def _fragment(self, prefix: bytes) -> tuple[bool, bytes]:
        independent = self._table[2] == KEY_SAMPLE
        return independent, video_fragment(
            self._sequence_number, self._part_start, self._table, self._payloads, prefix
        )


class AudioPackager(TrackPackager):
    """Audio: decode times counted in samples from the first frame of an epoch, so that no rounding of
    timestamps adds up; the stream's clock only corrects the count where samples are missing."""

    def __init__(self, options: PackagerOptions, events: list[PackagerEvent]) -> None:
        super().__init__(TrackKind.AUDIO, options, events)
        self._samples_in: Callable[[bytes], int] = len  # the codec's, from the first segment on
        self._next_at: int | None = None
        self._epoch = -1
        self._last_samples = 0
        self.silence_until_90k = 0  # where the newest frame of made-up silence ends

    def _restart_clock(self) -> None:
        assert self.track is not None
        self._samples_in = self.track.audio.samples_in
        self._next_at = None
        self.silence_until_90k = 0

    def add(self, frame: Frame) -> None:
        """The next frame; one that repeats time already covered, or that is malformed, is dropped."""
        payload = frame.payload
        at = None
        try:
            samples = self._samples_in(payload)
            at = self._place(frame, samples)
        except MediaError:
            pass
        if at is None:
            self.dropped_frames += 1
            return
        table = self._table
        if table:
            self._settle(at)
            ticks = self._part_ticks
            if ticks + samples > self._part_limit and self._part_limit:
                self._close_part()
        if not self._payloads:
            self._open_part(at)
        self._table += (samples, len(payload))
        self._payloads.append(payload)
        self._last_at = at
        self._last_samples = samples
        self._next_at = at + samples

    def begin_again(self, opening: Opening) -> None:
        """The growing segment, of which nothing is published, begins with another configuration. What it
        consists of so far is dropped."""
        self.dropped_frames += len(self._payloads)
        self._table = []
        self._payloads = []
        self._part_ticks = 0
        self._prepare(opening)
        self.window.amend(opening, self._init)

    @property
    def end_90k(self) -> int:
        if self._next_at is not None:
            return rescale(self._next_at, self.timescale_hz, 90_000)
        assert self.segment is not None
        return self.segment.start_pts_90k

    @property
    def part_due_90k(self) -> int:
        if not self._payloads or not self._part_limit:
            return 0
        # It ends when another frame would make it too long. One more is for stamps that the count disagrees
        # with, which it may by half a frame.
        earliest = self._part_start + self._part_limit - 2 * self._last_samples
        return rescale(earliest, self.timescale_hz, 90_000)

    def silence(self) -> Frame | None:
        """A frame of coded silence that follows the newest frame, if the codec allows one."""
        assert self.track is not None
        payload = silent_frame(self.track.audio)
        if payload is None:
            return None
        at_90k = self.end_90k
        samples = self._samples_in(payload)
        self.silence_until_90k = at_90k + rescale(samples, self.timescale_hz, 90_000)
        return Frame(self.track, at_90k, at_90k, False, payload, self._epoch)

    def _place(self, frame: Frame, samples: int) -> int | None:
        """The frame's decode time in samples, or None when it is to be dropped."""
        stamped = rescale(frame.pts_90k, 90_000, self.timescale_hz)
        counted = self._next_at
        fresh = frame.epoch != self._epoch
        self._epoch = frame.epoch
        if counted is None:
            return stamped
        ahead = stamped - counted
        if ahead > (_CONTINUITY_90K * self.timescale_hz // 90_000 if fresh else samples // 2):
            return stamped
        if ahead < -samples:
            return None
        return counted

    def _settle(self, at: int) -> None:
        """The previous frame lasts until this one, so that lost frames leave no hole: players go through a
        frame that lasts too long, and stall at a hole in what is buffered. A silence of seconds is a hole,
        and a new part begins behind it."""
        distance = at - self._last_at
        if distance <= LONGEST_AUDIO_HOLE_S * self.timescale_hz:
            self._table[-2] = distance
            self._part_ticks += distance
            return
        self._part_ticks += self._last_samples
        self._close_part()

    def _open_part(self, at: int) -> None:
        self._part_start = at
        segment = self.segment
        if self._segment_start is None and segment is not None:
            # A segment begins where its first frame does; if the track was silent before, where it was due.
            started_90k = rescale(at, self.timescale_hz, 90_000)
            if started_90k - segment.start_pts_90k <= _SILENCE_S * 90_000:
                segment.start_pts_90k = started_90k

    def _settle_last(self, next_decode_90k: int | None) -> None:
        duration = self._last_samples
        if next_decode_90k is not None:
            distance = rescale(next_decode_90k, 90_000, self.timescale_hz) - self._last_at
            if self._counts_as_lost(distance - duration, duration):
                duration = self._table[-2] = distance
        self._part_ticks += duration

    def _counts_as_lost(self, missing: int, samples: int) -> bool:
        return samples // 2 < missing <= LONGEST_AUDIO_HOLE_S * self.timescale_hz - samples

    def _fragment(self, prefix: bytes) -> tuple[bool, bytes]:
        return True, audio_fragment(
            self._sequence_number, self._part_start, self._table, self._payloads, prefix
        )
