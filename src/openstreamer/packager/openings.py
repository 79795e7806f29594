"""Where segments begin: numbers, discontinuities, dates and PART-TARGET, decided once for all tracks."""

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.packager import cadence
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import Generation, Opening

_EARLY = 0.05  # of the segment target: a key frame this little before it is at it
_DELTAS_TO_LEARN: Final = 3
# PROGRAM-DATE-TIME follows a source whose clock does not run like ours. Frames can only come late, so the
# least delay of the last segments is the truth. A burst after a network stall is shorter than they are.
_CLOCK_SEGMENTS: Final = 5
_CLOCK_STEP_MS: Final = 1000  # an encoder that cannot keep up, not a drift: say the true time at once
# Of a segment's duration: more than the drift of a bad quartz (200 ppm), and too little for players to see.
# hls.js places segments by their dates, and shifts its timeline against the media by what a date moved.
_CLOCK_SLEW: Final = 0.0005


class Openings:
    """The succession of segments. ``current`` is the growing segment's opening, ``generation`` what the
    source consists of; both are None before the first frames."""

    def __init__(self, options: PackagerOptions, first_msn: int, discontinuity_sequence: int) -> None:
        self.generation: Generation | None = None
        self.current: Opening | None = None
        self.newest_epoch = -1
        self.early_90k = _early_90k(options)
        self.next_msn = first_msn  # the next segment's
        self.discontinuity_sequence = discontinuity_sequence  # the newest segment's
        self._options = options
        # The present segment is due to end this long after its start; the first one may be short.
        self._due_90k = round(min(options.first_segment_target_s, options.segment_target_s) * 90_000)
        # Wall clock of the present epoch: Unix milliseconds = offset + pts / 90.
        self._clock_offset_ms: float | None = None
        # The same of frames as they came: the least of the growing segment, and of those before it.
        self._least_offset_ms: int | None = None
        self._least_offsets_ms: deque[int] = deque(maxlen=_CLOCK_SEGMENTS)
        self._deltas: list[int] | None = None  # while PART-TARGET of the generation is being learned

    def adopt(self, options: PackagerOptions) -> None:
        """Other options from now on. The growing segment may become shorter by them, and the next ones
        longer."""
        self._options = options
        self.early_90k = _early_90k(options)
        self._due_90k = min(self._due_90k, round(options.segment_target_s * 90_000))

    def anchor(self, frames: Sequence[Frame], now_wall_ms: int) -> None:
        """A new epoch: its media time is tied to the wall clock anew. PROGRAM-DATE-TIME never falls."""
        epoch = self.newest_epoch = frames[-1].epoch
        newest_90k = max(frame.pts_90k for frame in frames if frame.epoch == epoch)
        offset_ms = now_wall_ms - newest_90k // 90
        known = self._clock_offset_ms
        self._clock_offset_ms = offset_ms if known is None else max(known, offset_ms)
        self._least_offset_ms = None
        self._least_offsets_ms.clear()

    def observe(self, newest: Frame, now_wall_ms: int) -> None:
        """A frame came at this time of the wall clock."""
        offset_ms = now_wall_ms - newest.pts_90k // 90
        if self._least_offset_ms is None or offset_ms < self._least_offset_ms:
            self._least_offset_ms = offset_ms

    def _follow_clock(self, pts_90k: int) -> int:
        """Unix time in ms of a segment that begins now."""
        known, before = self._clock_offset_ms, self.current
        assert known is not None
        if self._least_offset_ms is not None:
            self._least_offsets_ms.append(self._least_offset_ms)
            self._least_offset_ms = None
        if before is not None and len(self._least_offsets_ms) == _CLOCK_SEGMENTS:
            most_ms = (pts_90k - before.pts_90k) / 90 * _CLOCK_SLEW
            behind_ms = min(self._least_offsets_ms) - known
            if behind_ms <= _CLOCK_STEP_MS:
                behind_ms = max(-most_ms, min(most_ms, behind_ms))
            known = self._clock_offset_ms = known + behind_ms
        return round(known) + pts_90k // 90

    def is_due(self, pts_90k: int, tolerance_90k: int) -> bool:
        """Whether a segment that ends at ``pts_90k`` is as long as it shall be, or nearly."""
        current = self.current
        return current is None or pts_90k + tolerance_90k >= current.pts_90k + self._due_90k

    def changes(self, video: Track | None, audio: Track | None) -> bool:
        """Whether these tracks are another generation."""
        known = self.generation
        return known is None or not (same_media(video, known.video) and same_media(audio, known.audio))

    def open(self, pts_90k: int, epoch: int, video: Track | None, audio: Track | None) -> Opening:
        """Decide on the next segment. Other tracks than before are a discontinuity; another source is not."""
        known, before = self.generation, self.current
        discontinuity = known is not None and self.changes(video, audio)
        self.discontinuity_sequence += discontinuity
        if known is None or discontinuity or before is None or before.epoch != epoch:
            # PART-TARGET is learned anew, and the old one kept if the new frames allow; see _learned.
            known = self.generation = Generation(video, audio, known.part_target_s if known else None)
            self._deltas = []
        if before is not None:
            self._due_90k = round(self._options.segment_target_s * 90_000)
        program_date_time_ms = self._follow_clock(pts_90k)
        self.current = Opening(
            msn=self.next_msn,
            pts_90k=pts_90k,
            epoch=epoch,
            generation=known,
            discontinuity=discontinuity,
            discontinuity_sequence=self.discontinuity_sequence,
            program_date_time_ms=program_date_time_ms,
        )
        self.next_msn += 1
        return self.current

    def amend(self, audio: Track) -> Opening:
        """The growing segment begins with other sound than was decided: from it on the generation is another,
        and the picture as before. Nothing that tells the difference may have been published."""
        current = self.current
        assert current is not None
        self.discontinuity_sequence += not current.discontinuity
        generation = self.generation = replace(current.generation, audio=audio)
        self.current = replace(
            current,
            generation=generation,
            discontinuity=True,
            discontinuity_sequence=self.discontinuity_sequence,
        )
        return self.current

    @property
    def learning(self) -> bool:
        """Whether PART-TARGET of the generation is not certain yet."""
        return self._deltas is not None

    def learn_distance(self, distance_90k: int, *, last: bool = False) -> bool:
        """Take the distance of two pictures; True when PART-TARGET became known or another one. ``last``: a
        segment ends here, and what is known must do: every picture may be a segment of its own."""
        deltas, generation = self._deltas, self.generation
        assert deltas is not None
        assert generation is not None
        deltas.append(distance_90k)
        next_end_s = (sum(deltas) + distance_90k) / 90_000
        if not last and len(deltas) < _DELTAS_TO_LEARN and next_end_s <= self._options.part_target_s:
            return False
        declared = generation.video.video.frame_rate if generation.video is not None else None
        frame_duration_s = cadence.frame_duration_s(deltas, declared)
        generation.frame_rate = 1 / frame_duration_s
        return self.learn_duration(frame_duration_s)

    def learn_duration(self, frame_duration_s: Fraction) -> bool:
        """Take a frame's duration for certain; True when PART-TARGET became known or another one."""
        generation = self.generation
        assert generation is not None
        self._deltas = None
        known = generation.part_target_s
        if known is not None and cadence.fits(known, frame_duration_s):
            return False
        generation.part_target_s = cadence.part_target_s(frame_duration_s, self._options.part_target_s)
        return True


def _early_90k(options: PackagerOptions) -> int:
    return round(options.segment_target_s * _EARLY * 90_000)


def same_media(one: Track | None, other: Track | None) -> bool:
    """Whether two tracks need the same initialisation segment; the number a source gave them is no matter."""
    if one is other:
        return True
    return (
        one is not None
        and other is not None
        and one.config == other.config
        and one.language == other.language
    )
