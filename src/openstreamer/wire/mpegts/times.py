"""The clock of a program: 33-bit counters unwrapped together, and decoding times that do not fall."""

from openstreamer.media.clock import TICKS_PER_MS, Unwrapper

CLOCK_BITS = 33
_MASK = (1 << CLOCK_BITS) - 1
_HALF = 1 << (CLOCK_BITS - 1)
_LARGEST_STEP_BACK_90K = 1000 * TICKS_PER_MS  # more is a source that began anew: its times are moved to go on
_RESTART_STEP_90K = 20 * TICKS_PER_MS  # what is put between the last old and the first new time


class ProgramClock:
    """One unwrapping for all streams of a program, so that their offsets survive the wrap at 2^33.

    ``first_90k`` and ``last_90k`` are the first and the newest of them in the order of the container.
    """

    __slots__ = ("_unwrapper", "first_90k", "last_90k", "restart_offset_90k")

    def __init__(self) -> None:
        self._unwrapper = Unwrapper(CLOCK_BITS)
        self.first_90k: int | None = None
        self.last_90k = 0
        self.restart_offset_90k = 0

    def unwrap(self, pts: int | None, dts: int | None) -> tuple[int, int] | None:
        """PTS and DTS of one PES packet; a DTS that is not written is the PTS (2.4.3.7)."""
        if pts is None:
            return None
        dts_90k = self._unwrapper.unwrap(pts if dts is None else dts)
        self.last_90k = dts_90k
        if self.first_90k is None:
            self.first_90k = dts_90k
        if dts is None:
            return dts_90k, dts_90k
        pts_90k = dts_90k + ((pts - dts + _HALF) & _MASK) - _HALF
        return (pts_90k, dts_90k) if pts_90k >= dts_90k else (pts_90k, pts_90k)

    @property
    def passed_90k(self) -> int:
        """Media time since the first time that was unwrapped."""
        return 0 if self.first_90k is None else self.last_90k - self.first_90k


class TrackTimes:
    """The decoding times of one track, which do not fall.

    A small step back is held at the last time. After a large one that goes on, the source has begun anew:
    all its times are moved by the same amount, each track when it steps back itself. Steps forward stay.
    """

    __slots__ = ("_clock", "_stepped_back_90k", "last_90k", "offset_90k")

    def __init__(self, clock: ProgramClock) -> None:
        self._clock = clock
        self._stepped_back_90k: int | None = None
        self.last_90k: int | None = None
        self.offset_90k = 0

    def place(self, dts_90k: int) -> int:
        """Where an access unit decoded at ``dts_90k`` goes."""
        placed = dts_90k + self.offset_90k
        last = self.last_90k
        if last is not None and placed < last:
            placed = self._after_step_back(dts_90k, last)
        else:
            self._stepped_back_90k = None
        self.last_90k = placed
        return placed

    def _after_step_back(self, dts_90k: int, last: int) -> int:
        if last - dts_90k - self.offset_90k <= _LARGEST_STEP_BACK_90K:
            return last
        if self._stepped_back_90k is None or dts_90k < self._stepped_back_90k:
            self._stepped_back_90k = dts_90k
            return last
        clock = self._clock
        if dts_90k + clock.restart_offset_90k < last - _LARGEST_STEP_BACK_90K:
            clock.restart_offset_90k = last + _RESTART_STEP_90K - dts_90k
        self._stepped_back_90k = None
        self.offset_90k = clock.restart_offset_90k
        return max(dts_90k + self.offset_90k, last)
