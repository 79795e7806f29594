"""How long a part is: PART-TARGET from the duration of a frame.

rfc8216bis section 4.4.4.9: no part may be longer than PART-TARGET, and every part but the last of its
segment must last at least 85 % of it. Frames are indivisible, so PART-TARGET must be (just above) a whole
number of frames, and it must not change while a player follows the playlist.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

SHORTEST_PART: Final = 0.85  # of PART-TARGET, section 4.4.4.9
_DECLARED_TOLERANCE = 0.15  # how far a declared frame rate may be from what is measured to be believed
_STANDARD_TOLERANCE = Fraction(3, 100)
_MILLISECOND_TICKS = 91  # timestamps rounded to milliseconds move a frame by up to this, in 1/90000 s

_STANDARD_RATES = tuple(
    Fraction(rate)
    for rate in (
        *(1, 2, 5, 8, 10, 12, 15, 20, Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30),
        *(48, 50, Fraction(60000, 1001), 60, 100, Fraction(120000, 1001), 120),
    )
)


def part_target_s(frame_duration_s: Fraction, wanted_s: float) -> float:
    """PART-TARGET for frames of this duration: as many as fit into ``wanted_s``, at least one, rounded up to
    a whole millisecond so that timestamps rounded to milliseconds still fit."""
    frames = max(1, math.floor(wanted_s / frame_duration_s))
    return math.ceil(frames * frame_duration_s * 1000) / 1000


def fits(part_target: float, frame_duration_s: Fraction) -> bool:
    """Whether parts of whole frames can keep both bounds of an existing PART-TARGET."""
    frames = math.floor(part_target / frame_duration_s)
    return frames >= 1 and frames * frame_duration_s >= SHORTEST_PART * part_target


def frame_duration_s(deltas_90k: Sequence[int], declared_rate: Fraction | None) -> Fraction:
    """The duration of a frame from its first distances.

    A declared rate is believed when the measured one is near it (parameter sets that state field rates or
    nonsense are common); else the mean distance is, moved to a standard rate when near one.
    """
    measured = Fraction(sum(deltas_90k), len(deltas_90k) * 90_000)
    if declared_rate and abs(measured * declared_rate - 1) <= _DECLARED_TOLERANCE:
        return 1 / declared_rate
    rounding = Fraction(_MILLISECOND_TICKS, sum(deltas_90k))
    distances = [(abs(measured * rate - 1), rate) for rate in _STANDARD_RATES]
    distance, nearest = min(distances)
    return 1 / nearest if distance <= min(rounding, _STANDARD_TOLERANCE) else measured
