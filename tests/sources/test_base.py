"""A source without a frame is waited for while it sends, and no longer than for a long GOP."""

import pytest

from openstreamer.sources.base import KEY_FRAME_DEADLINE_S, LOOK_S, QUIET_S, FirstFrameWait

BEGUN_S = 100.0
LEAST_S = 5.0


def waited_s(sends_until_s: float, most_s: float = KEY_FRAME_DEADLINE_S) -> float:
    """How long one is waited for that sends until then."""
    wait = FirstFrameWait(BEGUN_S, 1000, least_s=LEAST_S, most_s=most_s)
    received_bytes = 1000
    now_s: float = BEGUN_S
    while (at_s := wait.next_look_s(now_s, received_bytes)) is not None:
        assert now_s < at_s <= now_s + LOOK_S
        now_s = at_s
        if now_s - BEGUN_S <= sends_until_s:
            received_bytes += 188
    assert wait.limit_s == pytest.approx(now_s - BEGUN_S)
    return now_s - BEGUN_S


@pytest.mark.parametrize(
    ("sends_until_s", "limit_s"),
    [(0.0, LEAST_S), (1.0, LEAST_S), (6.0, 6.0 + QUIET_S), (60.0, KEY_FRAME_DEADLINE_S)],
)
def test_it_is_waited_for_while_media_comes(sends_until_s: float, limit_s: float) -> None:
    assert waited_s(sends_until_s) == pytest.approx(limit_s)


def test_who_asks_for_more_patience_has_it() -> None:
    wait = FirstFrameWait(BEGUN_S, 0, least_s=18.0)
    wait.next_look_s(BEGUN_S + 1.0, 188)
    assert not wait.extended
    assert wait.next_look_s(BEGUN_S + 17.8, 188) == BEGUN_S + 18.0
    assert wait.next_look_s(BEGUN_S + 18.0, 188) is None


def test_a_timer_that_is_a_little_early_is_on_time() -> None:
    wait = FirstFrameWait(BEGUN_S, 0, least_s=LEAST_S)
    assert wait.next_look_s(BEGUN_S + LEAST_S - 1e-6, 0) is None
