"""Pass after pass of the same file on one rising clock, picture and sound together for ever. Pure.

All tracks of a pass are moved by the same amount. That is the length of the pictures, so that they go on at
their pace over the seam: encoders fill up the last frame of sound and add others for their delay, and waiting
for these would hold each last picture for 10 to 40 ms more. Where more sound than that is left, it is the
length of the presentation, from where it begins to where its longest track ends.

Sound comes in whole frames, which seldom fit the pictures. Those of the next pass that would overlap are left
out, and the first that is played follows the last one without a gap: up to half a frame beside its picture
(11 ms of AAC at 48 kHz), in this pass only, because each is placed anew.
"""

from fractions import Fraction
from operator import is_not

from openstreamer.media.clock import TICKS_PER_SECOND, rescale
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track

DEFAULT_STEP_90K = 3_600  # a file of one picture
LONGEST_STEP_90K = TICKS_PER_SECOND  # what the last picture may claim
_FILLING_FRAMES = 3  # of sound behind the last picture: priming, flushing, and what fills up the last one
_SAME_90K = 2  # what rounding to ticks can make of a length
_KEPT_TRACKS = 64  # of a file that changes its parameters now and then


class _TrackLength:
    """What one track is long in one pass. One addition per frame; fractions are made at the end."""

    __slots__ = (
        "_counted_90k",
        "_rate",
        "_said",
        "_units",
        "end_90k",
        "first_90k",
        "first_dts_90k",
        "frames",
        "is_video",
        "last_dts_90k",
        "moved_90k",
        "placed",
        "step_90k",
    )

    def __init__(self, frame: Frame) -> None:
        self.is_video = frame.track.is_video
        self.first_90k = self.end_90k = frame.pts_90k
        self.first_dts_90k = self.last_dts_90k = frame.dts_90k
        self.step_90k = DEFAULT_STEP_90K
        self.frames = 0
        self.placed = False  # whether a frame was
        self.moved_90k = 0  # beside the other tracks of this pass
        self._units = 0  # samples or pictures at the rate in force
        self._said: Fraction | int | None = None  # the rate as the track says it
        self._rate = Fraction(0)
        self._counted_90k = Fraction(0)  # of rates that were in force before
        if self.is_video and (rate := frame.track.video.frame_rate):
            self.step_90k = round(TICKS_PER_SECOND / rate)

    def add(self, frame: Frame) -> int:
        """Returns how long the frame lasts: by its samples or, for pictures, by their distance."""
        dts_90k = frame.dts_90k
        if self.is_video:
            step_90k = dts_90k - self.last_dts_90k
            if 0 < step_90k <= LONGEST_STEP_90K:
                self.step_90k = step_90k
            lasts_90k = self.step_90k
            self._count(1, frame.track.video.frame_rate)
        else:
            audio = frame.track.audio
            try:
                samples = audio.samples_in(frame.payload)
            except MediaError:
                samples = 0
            lasts_90k = self.step_90k = rescale(samples, audio.timescale, TICKS_PER_SECOND)
            self._count(samples, audio.timescale)
        self.last_dts_90k = dts_90k
        self.first_90k = min(self.first_90k, frame.pts_90k)
        self.end_90k = max(self.end_90k, frame.pts_90k + lasts_90k)
        self.frames += 1
        return lasts_90k

    @property
    def length_90k(self) -> Fraction:
        """From the first presentation to the end of the last: exact where counting says the same."""
        measured = self.end_90k - self.first_90k
        counted = self._counted()
        return counted if abs(counted - measured) <= _SAME_90K else Fraction(measured)

    def _count(self, units: int, rate: Fraction | int | None) -> None:
        if rate is not self._said and rate != self._said:
            self._counted_90k = self._counted()
            self._units = 0
            self._said = rate
            self._rate = Fraction(rate or 0)
        self._units += units

    def _counted(self) -> Fraction:
        if not self._rate:
            return self._counted_90k
        return self._counted_90k + self._units * TICKS_PER_SECOND / self._rate


class PassClock:
    """Feed ``place`` with the frames of a pass in decoding order, and ``end_pass`` at its end."""

    def __init__(self) -> None:
        self.passes = 0
        self._exact_90k = Fraction(0)  # how far this pass is moved
        self._offset_90k = 0  # the same in whole ticks
        self._lengths: dict[int, _TrackLength] = {}
        self._ends_90k: dict[int, int] = {}  # of each track on the common clock
        self._known: dict[Track, Track] = {}
        self._last: dict[int, tuple[Track, Track]] = {}
        self._announced: tuple[Track, ...] = ()
        self._announced_of: tuple[Track, ...] = ()

    @property
    def pass_frames(self) -> int:
        """How many frames this pass had so far."""
        return sum(length.frames for length in self._lengths.values())

    @property
    def end_90k(self) -> int:
        """Where the last frame of all tracks ends so far."""
        return max(self._ends_90k.values(), default=0)

    def tracks(self, tracks: tuple[Track, ...]) -> tuple[Track, ...]:
        """The same tracks as the objects they were in earlier passes: a new object would be a change."""
        if tracks is not self._announced_of:
            found = tuple(self._same(track) for track in tracks)
            self._announced_of = tracks
            if len(found) != len(self._announced) or any(map(is_not, found, self._announced)):
                self._announced = found
        return self._announced

    def place(self, frames: list[Frame]) -> list[Frame]:
        """Give frames their place on the common clock. Sound for which the pass before has played some
        already is left out."""
        return [frame for frame in frames if self._place(frame)]

    def end_pass(self) -> None:
        """What follows is the same file from its beginning."""
        lengths = self._lengths
        self._lengths = {}
        self.passes += 1
        if lengths:
            self._exact_90k += _length_90k(lengths)
            self._offset_90k = round(self._exact_90k)

    def _place(self, frame: Frame) -> bool:
        frame.track = track = self._same(frame.track)
        length = self._lengths.get(track.id)
        if length is None:
            length = self._lengths[track.id] = _TrackLength(frame)
        lasts_90k = length.add(frame)
        offset_90k = self._offset_90k + length.moved_90k
        frame.pts_90k += offset_90k
        frame.dts_90k += offset_90k
        ends_90k = self._ends_90k.get(track.id)
        if ends_90k is None:
            ends_90k = frame.pts_90k
        elif self.passes and not track.is_video:
            beside_90k = frame.pts_90k - ends_90k
            if beside_90k < -(lasts_90k // 2):
                return False
            if not length.placed and beside_90k <= lasts_90k // 2:
                _join(length, frame, beside_90k)
        length.placed = True
        self._ends_90k[track.id] = max(frame.pts_90k + lasts_90k, ends_90k)
        return True

    def _same(self, track: Track) -> Track:
        last = self._last.get(track.id)
        if last is not None and last[0] is track:  # nearly always, and without a hash
            return last[1]
        if len(self._known) >= _KEPT_TRACKS and track not in self._known:
            self._known.clear()
        same = self._known.setdefault(track, track)
        self._last[track.id] = (track, same)
        return same


def _join(length: _TrackLength, frame: Frame, beside_90k: int) -> None:
    """Move a pass's sound, of which this is the first, to where that of the pass before ended."""
    length.moved_90k = -beside_90k
    frame.pts_90k -= beside_90k
    frame.dts_90k -= beside_90k


def _length_90k(lengths: dict[int, _TrackLength]) -> Fraction:
    """That of the pictures, or of the whole presentation where it goes on without them."""
    longest_90k = _longest_90k(lengths)
    sounds = [length.step_90k for length in lengths.values() if not length.is_video]
    pictures = [length for length in lengths.values() if length.is_video]
    if not pictures or not sounds:
        return longest_90k
    pictures_90k = max(length.length_90k for length in pictures)
    pictures_90k = max(pictures_90k, *map(_decoded_90k, pictures))
    return pictures_90k if longest_90k - pictures_90k <= _FILLING_FRAMES * max(sounds) else longest_90k


def _longest_90k(lengths: dict[int, _TrackLength]) -> Fraction:
    """From the beginning of the presentation to the end of its longest track.

    Times before 0 are not presented (edit lists, priming), unless there is nothing else.
    """
    begin_90k = min(length.first_90k for length in lengths.values())
    if begin_90k < 0 < max(length.end_90k for length in lengths.values()):
        begin_90k = 0
    ends = [length.first_90k + length.length_90k - begin_90k for length in lengths.values()]
    decoded = [_decoded_90k(length) for length in lengths.values() if length.is_video]
    return max(*ends, *decoded, Fraction(1))


def _decoded_90k(length: _TrackLength) -> Fraction:
    """What pictures need at the least: none may be decoded before the one in front of it."""
    return Fraction(length.last_dts_90k + length.step_90k - length.first_dts_90k - _SAME_90K)
