"""A histogram that costs one bisection per observation and is read at scrape time."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Protocol


class HistogramReading(Protocol):
    """What a scrape reads. ``counts`` has one entry per bound and one more for everything above."""

    @property
    def bounds(self) -> Sequence[float]: ...

    @property
    def counts(self) -> Sequence[int]: ...

    @property
    def total(self) -> float: ...


class Histogram:
    """Counts of observations at most as large as each bound; not thread-safe."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(sorted(bounds))
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count ``value`` in the bucket whose bound it does not exceed."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
