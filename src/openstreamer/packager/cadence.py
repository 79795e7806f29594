"""How long a part is: PART-TARGET from the duration of a frame.

rfc8216bis section 4.4.4.9: no part may be longer than PART-TARGET, and every part but the last of its
segment must last at least 85 % of it. Frames are indivisible, so PART-TARGET must be (just above) a whole
number of frames, and it must not change while a player follows the playlist.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from openstreamer.media.clock import STANDARD_FRAME_RATES

SILENCE_90K: Final = 2 * 90_000  # a track this far behind the other one is silent, not late
LONGEST_PATIENCE_90K: Final = 6 * 90_000  # for video of one picture in five seconds
SHORTEST_PART: Final = 0.85  # of PART-TARGET, section 4.4.4.9
_MOST_ROUNDING = Fraction(3, 100)
_MILLISECOND_TICKS = 91  # timestamps rounded to milliseconds move a distance by up to this, in 1/90000 s


def part_target_s(frame_duration_s: Fraction, wanted_s: float) -> float:
    """PART-TARGET for frames of this duration: as many as fit into ``wanted_s``, at least one, rounded up to
    a whole millisecond so that timestamps rounded to milliseconds still fit."""
    frames = max(1, math.floor(wanted_s / frame_duration_s))
    return math.ceil(frames * frame_duration_s * 1000) / 1000


def fits(part_target: float, frame_duration_s: Fraction) -> bool:
    """Whether parts of whole frames can keep both bounds of an existing PART-TARGET."""
    target_s = Fraction(round(part_target * 1000), 1000)  # it is whole milliseconds
    frames = math.floor(target_s / frame_duration_s)
    return frames >= 1 and frames * frame_duration_s >= SHORTEST_PART * part_target


def frame_duration_s(deltas_90k: Sequence[int], declared_rate: Fraction | None) -> Fraction:
    """The duration of a frame from its first distances, which may be rounded to milliseconds: the declared
    rate's if that explains them (parameter sets that state field rates or nonsense are common), else that of
    the nearest standard rate that does, else the mean distance."""
    total = sum(deltas_90k)
    measured = Fraction(total, len(deltas_90k) * 90_000)
    explained = min(Fraction(_MILLISECOND_TICKS, total), _MOST_ROUNDING)
    if declared_rate and abs(measured * declared_rate - 1) <= explained:
        return 1 / declared_rate
    distance, nearest = min((abs(measured * rate - 1), rate) for rate in STANDARD_FRAME_RATES)
    return 1 / nearest if distance <= explained else measured


class VideoPace:
    """How long sound may be ahead of video that is not silent: ``patience_90k``. Two holes of about the same
    length one after the other are no holes, but the pictures of a slow camera; nor is the distance of the
    first two pictures one, so the second picture is waited for as long as for any."""

    __slots__ = ("_before_90k", "_distance_90k", "patience_90k")

    def __init__(self) -> None:
        self.patience_90k = LONGEST_PATIENCE_90K
        self._before_90k: int | None = None
        self._distance_90k = 0

    def picture(self, dts_90k: int) -> None:
        """A picture came."""
        before, self._before_90k = self._before_90k, dts_90k
        if before is None:
            return
        newest = dts_90k - before
        distance, self._distance_90k = self._distance_90k or newest, newest
        if distance > SILENCE_90K or self.patience_90k > SILENCE_90K:
            usual = min(distance, self._distance_90k) * 5 // 4
            self.patience_90k = max(SILENCE_90K, min(usual, LONGEST_PATIENCE_90K))
