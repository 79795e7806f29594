"""Histograms and what fills them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.control.durations import UNMATCHED_ROUTE, RequestDurations
from openstreamer.control.loop_lag import PROBE_INTERVAL_S, LoopLag
from openstreamer.stream.histogram import Histogram


def test_a_value_counts_in_the_first_bucket_that_holds_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.5):
        histogram.observe(value)
    assert histogram.counts == [2, 1, 1]
    assert histogram.total == 5.5


@given(st.lists(st.floats(min_value=0, max_value=100)))
def test_nothing_is_lost(values: list[float]) -> None:
    histogram = Histogram((0.1, 1, 10))
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    for index, bound in enumerate(histogram.bounds):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)


def test_request_series_are_bounded_and_methods_are_known_ones() -> None:
    durations = RequestDurations(most_series=3)
    for number in range(10):
        durations.observe(f"/{number}", "GET", 200, 0.1)
    assert len(durations.series) <= 4
    assert sum(durations.series[(UNMATCHED_ROUTE, "other", 0)].counts) == 7
    durations = RequestDurations()
    durations.observe("/", "HACK", 405, 0.1)
    assert list(durations.series) == [("/", "other", 405)]


async def test_loop_lag_is_what_a_sleep_took_too_long() -> None:
    now_s = 0.0
    overslept_s = iter([0.0, 0.004, 0.2])

    async def sleep(asked_s: float) -> None:
        nonlocal now_s
        try:
            now_s += asked_s + next(overslept_s)
        except StopIteration:
            raise asyncio.CancelledError from None

    lag = LoopLag(clock_s=lambda: now_s, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await lag.run()
    counted = dict(zip(lag.histogram.bounds, lag.histogram.counts, strict=False))
    assert counted[0.001] == 1
    assert counted[0.005] == 1
    assert counted[0.25] == 1
    assert PROBE_INTERVAL_S > 0
