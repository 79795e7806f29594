"""How fast media may enter a stream: a burst, then real time, whatever the source's clock has done before."""

import pytest

from openstreamer.stream.pace import Pace

SECOND_90K = 90_000
SECOND_NS = 1_000_000_000
START_90K = 1_700_000_000 * SECOND_90K  # stream time begins at Unix time


def wait_s(pace: Pace, media_s: float, now_s: float) -> float:
    """How long a frame at ``media_s`` that arrives at ``now_s`` has to wait; negative: not at all."""
    now_ns = int(now_s * SECOND_NS)
    return (pace.due_ns(START_90K + int(media_s * SECOND_90K), now_ns) - now_ns) / SECOND_NS


def test_a_source_in_real_time_never_waits_even_if_its_clock_is_a_little_fast() -> None:
    pace = Pace(burst_s=10)
    assert all(wait_s(pace, second * 1.019, second) <= -9 for second in range(0, 86_400, 10))


def test_a_burst_enters_at_once_and_what_is_beyond_it_when_real_time_comes_there() -> None:
    pace = Pace(burst_s=10)
    assert wait_s(pace, 0, 0) <= 0
    assert wait_s(pace, 10, 0) <= 0
    assert wait_s(pace, 112, 0) == pytest.approx(112 / 1.02 - 10)


def test_what_was_behind_may_catch_up_after_an_outage() -> None:
    pace = Pace(burst_s=10)
    wait_s(pace, 0, 0)
    assert wait_s(pace, 10, 0) <= 0
    assert wait_s(pace, 11, 0) > 0
    assert wait_s(pace, 11, 30) <= 0
    assert wait_s(pace, 21, 30) <= 0
    assert wait_s(pace, 31, 30) > 0


def test_time_that_goes_back_costs_nothing_and_gains_nothing() -> None:
    pace = Pace(burst_s=10)
    wait_s(pace, 0, 0)
    before_s = wait_s(pace, 20, 1)
    assert wait_s(pace, 15, 1) < before_s
    assert wait_s(pace, 20, 1) == before_s


def test_a_negative_burst_is_refused() -> None:
    with pytest.raises(ValueError, match="burst_s"):
        Pace(burst_s=-1)
