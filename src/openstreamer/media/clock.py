"""Media time: the only place where timestamps change their unit or lose their wraps.

Everything is integer arithmetic. Frame rates are fractions, so that 30000/1001 stays what it is.
"""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

TICKS_PER_SECOND = 90_000
TICKS_PER_MS = 90
FRAME_GRID_TOLERANCE_90K = 90  # 1 ms: a time that was rounded to ms is never farther from the true one
SAMPLE_CLOCK_TOLERANCE_90K = 180  # 2 ms: rounding of the anchor and of the value, and a bit of slack

# Frame rates that cameras and encoders use
STANDARD_FRAME_RATES = (
    Fraction(5), Fraction(10), Fraction(12_000, 1001), Fraction(12), Fraction(25, 2), Fraction(15_000, 1001),
    Fraction(15), Fraction(20), Fraction(24_000, 1001), Fraction(24), Fraction(25), Fraction(30_000, 1001),
    Fraction(30), Fraction(48_000, 1001), Fraction(48), Fraction(50), Fraction(60_000, 1001), Fraction(60),
    Fraction(100), Fraction(120_000, 1001), Fraction(120),
)  # fmt: skip

_LEARNING_FRAMES = 90  # 24 and 24000/1001 are 3.75 ms apart by then, more than rounding can hide
_MISSES_MAX = 3  # re-anchors within one learning period after which a frame rate is not believed any more


def rescale(value: int, from_hz: int, to_hz: int) -> int:
    """``value`` units of 1/``from_hz`` s in units of 1/``to_hz`` s, to the nearest; ties go up."""
    return (2 * value * to_hz + from_hz) // (2 * from_hz)


def ms_to_90k(value_ms: int) -> int:
    """Milliseconds in 90 kHz ticks: exact."""
    return value_ms * TICKS_PER_MS


def ticks_to_ms(value_90k: int) -> int:
    """90 kHz ticks in milliseconds, to the nearest; ties go up."""
    return (value_90k + TICKS_PER_MS // 2) // TICKS_PER_MS


def frames_to_90k(count: int, frame_rate: Fraction) -> int:
    """How many 90 kHz ticks ``count`` frames last, to the nearest; ties go up."""
    return rescale(count * frame_rate.denominator, frame_rate.numerator, TICKS_PER_SECOND)


class Unwrapper:
    """Gives counters of ``bits`` bits their full value back.

    Each value is taken as the one nearest to the value before, so that it may go backwards (reordered
    packets, B-frames) as well as forwards, by less than half the counter's range. The first value is
    kept as it is; an earlier one that follows it may hence come out negative.
    """

    __slots__ = ("_half", "_last", "_mask")

    def __init__(self, bits: int) -> None:
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self._last: int | None = None

    def unwrap(self, value: int) -> int:
        """The full value of ``value``."""
        last = self._last
        if last is None:
            self._last = value & self._mask
        else:
            self._last = last + ((value - last + self._half) & self._mask) - self._half
        return self._last


class SampleClock:
    """Gives audio frames the exact times that rounding to milliseconds took from them.

    It counts samples from an anchor. While a given time is within ``tolerance_90k`` of what the count says,
    the count wins; else (a gap, a jump, a drifting source) the given time becomes the new anchor, and
    ``reanchored`` is true until the next call. ``reanchors`` counts that; the first time is none.
    """

    __slots__ = ("_anchor_90k", "_rate_hz", "_samples", "_tolerance_90k", "reanchored", "reanchors")

    def __init__(self, rate_hz: int, tolerance_90k: int = SAMPLE_CLOCK_TOLERANCE_90K) -> None:
        if rate_hz <= 0 or tolerance_90k < 0:
            raise ValueError(f"a sample clock of {rate_hz} Hz with a tolerance of {tolerance_90k}")
        self._rate_hz = rate_hz
        self._tolerance_90k = tolerance_90k
        self._anchor_90k: int | None = None
        self._samples = 0
        self.reanchored = False
        self.reanchors = 0

    def stamp(self, raw_pts_90k: int, samples: int) -> int:
        """The exact PTS of a frame of ``samples`` samples that came with ``raw_pts_90k``."""
        anchor = self._anchor_90k
        if anchor is None:
            self._anchor_90k = raw_pts_90k
            self._samples = samples
            return raw_pts_90k
        rate = self._rate_hz
        # rescale(self._samples, rate, TICKS_PER_SECOND), spelt out: this runs for every audio frame
        expected = anchor + (2 * self._samples * TICKS_PER_SECOND + rate) // (2 * rate)
        if -self._tolerance_90k <= raw_pts_90k - expected <= self._tolerance_90k:
            self.reanchored = False
            self._samples += samples
            return expected
        self.reanchored = True
        self.reanchors += 1
        self._anchor_90k = raw_pts_90k
        self._samples = samples
        return raw_pts_90k


class FrameGrid:
    """Gives video of constant frame rate the exact times that rounding to milliseconds took from it.

    The grid is an anchor and multiples of the frame duration. A time within 1 ms of the grid is moved
    onto it; one farther off passes as it is and becomes the new anchor (``reanchored``). Missing frames
    leave slots empty. Promises: no time moves by more than 1 ms; DTS that do not fall on the way in do not
    fall on the way out, nor does a PTS come before its DTS.

    Without a ``frame_rate`` one is estimated from the first 90 DTS, which pass unchanged; ``frame_rate`` is
    ``None`` until then. If they fit no standard rate (variable frame rate) everything passes, and the next
    90 are tried. A rate that keeps missing, declared or estimated, is dropped and estimated anew.
    """

    __slots__ = (
        "_anchor_90k",
        "_last_dts_90k",
        "_learning",
        "_misses",
        "_since_miss",
        "frame_rate",
        "reanchored",
        "reanchors",
    )

    def __init__(self, frame_rate: Fraction | None = None) -> None:
        if frame_rate is not None and frame_rate <= 0:
            raise ValueError(f"a frame rate of {frame_rate}")
        self.frame_rate = frame_rate
        self.reanchored = False
        self.reanchors = 0
        self._anchor_90k: int | None = None
        self._last_dts_90k: int | None = None
        self._learning: list[int] = []
        self._misses = 0
        self._since_miss = 0

    def snap(self, pts_90k: int, dts_90k: int) -> tuple[int, int]:
        """The exact PTS and DTS of the frame that follows in decoding order."""
        self.reanchored = False
        dts = self._snap_dts(dts_90k)
        last = self._last_dts_90k
        if last is not None and dts < last <= dts_90k + FRAME_GRID_TOLERANCE_90K:
            dts = last  # it was moved up, and this one not, or less
        self._last_dts_90k = dts
        if pts_90k == dts_90k:
            return dts, dts
        pts = pts_90k
        if self.frame_rate is not None and self._anchor_90k is not None:
            candidate = self._nearest(pts_90k, self._anchor_90k, self.frame_rate)
            if abs(candidate - pts_90k) <= FRAME_GRID_TOLERANCE_90K:
                pts = candidate
        return (max(pts, dts) if pts_90k > dts_90k else pts), dts

    def _snap_dts(self, dts_90k: int) -> int:
        if self.frame_rate is None:
            self._learn(dts_90k)
            return dts_90k
        if self._anchor_90k is None:
            self._anchor_90k = dts_90k
            return dts_90k
        snapped = self._nearest(dts_90k, self._anchor_90k, self.frame_rate)
        if abs(snapped - dts_90k) <= FRAME_GRID_TOLERANCE_90K:
            self._since_miss += 1
            return snapped
        self._miss(dts_90k)
        return dts_90k

    @staticmethod
    def _nearest(time_90k: int, anchor_90k: int, frame_rate: Fraction) -> int:
        numerator, per_slot = frame_rate.numerator, TICKS_PER_SECOND * frame_rate.denominator
        slot = (2 * (time_90k - anchor_90k) * numerator + per_slot) // (2 * per_slot)
        return anchor_90k + (2 * slot * per_slot + numerator) // (2 * numerator)

    def _miss(self, dts_90k: int) -> None:
        self.reanchored = True
        self.reanchors += 1
        self._anchor_90k = dts_90k
        self._misses = self._misses + 1 if self._since_miss < _LEARNING_FRAMES else 1
        self._since_miss = 0
        if self._misses >= _MISSES_MAX:
            self.frame_rate = None
            self._anchor_90k = None
            self._misses = 0
            self._learning = [dts_90k]

    def _learn(self, dts_90k: int) -> None:
        learning = self._learning
        if learning and dts_90k < learning[-1]:
            learning.clear()
        learning.append(dts_90k)
        if len(learning) < _LEARNING_FRAMES:
            return
        found = estimate_frame_rate(learning)
        if found is not None:
            self.frame_rate, self._anchor_90k = found
        learning.clear()


def estimate_frame_rate(dts_90k: Iterable[int]) -> tuple[Fraction, int] | None:
    """The standard frame rate whose grid all of ``dts_90k`` fit within 1 ms, and an anchor on that grid.

    The times must rise. ``None`` when no rate fits, or when fewer than every other slot is used: then a
    multiple of the true rate would fit as well.
    """
    times = list(dts_90k)
    if len(times) < 2 or times[-1] <= times[0]:
        return None
    fits = [fit for rate in STANDARD_FRAME_RATES if (fit := _fit(times, rate)) is not None]
    if not fits:
        return None
    _, rate, anchor_90k = min(fits)  # of those that fit alike the lowest rate: it leaves no slot empty
    return rate, anchor_90k


def _fit(times: list[int], rate: Fraction) -> tuple[int, Fraction, int] | None:
    """How wide the deviations of ``times`` from a grid of ``rate`` spread, the rate, and the best anchor."""
    origin = times[0]
    numerator, per_slot = rate.numerator, TICKS_PER_SECOND * rate.denominator
    slots = [(2 * (time - origin) * numerator + per_slot) // (2 * per_slot) for time in times]
    if slots[-1] > 2 * (len(times) - 1) or any(b <= a for a, b in pairwise(slots)):
        return None
    deviations = [time - origin - frames_to_90k(slot, rate) for time, slot in zip(times, slots, strict=True)]
    low, high = min(deviations), max(deviations)
    if high - low > FRAME_GRID_TOLERANCE_90K:
        return None
    return high - low, rate, origin + (low + high) // 2
