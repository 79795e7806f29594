"""Durations of HTTP requests by route template, method and status: never by path, so that no client can make
series."""

from openstreamer.stream.histogram import Histogram

DURATION_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MOST_SERIES = 1024  # about 60 routes × methods × statuses are real; above that, something is wrong
UNMATCHED_ROUTE = "unmatched"
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestDurations:
    """Histograms of request durations. The media application may share it, with its own route templates."""

    def __init__(self, *, most_series: int = MOST_SERIES) -> None:
        self.series: dict[tuple[str, str, int], Histogram] = {}
        self._most_series = most_series

    def observe(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count one answered request. ``route`` is a template such as ``/streams/{code}``."""
        key = (route, method if method in KNOWN_METHODS else "other", status)
        histogram = self.series.get(key)
        if histogram is None:
            if len(self.series) >= self._most_series:
                key = (UNMATCHED_ROUTE, "other", 0)
            histogram = self.series.setdefault(key, Histogram(DURATION_BOUNDS_S))
        histogram.observe(duration_s)
