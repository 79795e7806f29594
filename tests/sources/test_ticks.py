"""All sources wake up at the same moments."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.sources.ticks import TICK_S, next_tick_s, tick_before_s

TIMES_S = st.integers(0, 10_000_000_000).map(lambda ms: ms / 1000)  # a loop's clock counts milliseconds


@given(TIMES_S)
def test_the_next_tick_is_ahead_and_at_most_one_tick_away(now_s: float) -> None:
    wait_s = next_tick_s(now_s) - now_s
    assert 0 < wait_s <= TICK_S + 1e-6


@given(TIMES_S, st.integers(0, 39))
def test_whoever_asks_between_two_ticks_gets_the_same_one(now_s: float, later_ms: int) -> None:
    tick_s = next_tick_s(now_s)
    asked_s = next_tick_s(tick_s)
    assert next_tick_s(tick_s + later_ms / 1000) == asked_s


def test_the_tick_before_is_not_missed_when_it_is_now() -> None:
    assert tick_before_s(10.0, 9.0) == 10.0
    assert tick_before_s(10.039, 9.0) == 10.0


@pytest.mark.parametrize("due_s", [10.001, 10.02, 10.039])
def test_what_is_due_before_the_next_tick_does_not_wait_for_it(due_s: float) -> None:
    assert tick_before_s(due_s, 10.0005) == due_s


@given(TIMES_S, st.floats(0, 1))
def test_nothing_that_is_due_comes_late(now_s: float, wait_s: float) -> None:
    due_s = now_s + wait_s
    tick_s = tick_before_s(due_s, now_s)
    assert now_s <= tick_s <= due_s + 1e-6
    assert due_s - tick_s < TICK_S + 1e-6
