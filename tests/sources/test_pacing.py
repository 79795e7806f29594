"""Frames are due in real time, without drift, whatever their clock and their consumer do."""

from collections import deque

import pytest

from openstreamer.media.frame import Frame
from openstreamer.sources.pacing import LIVE_LEAD_S, MAX_STEER, LivePacer, Pacer
from tests.support.media import audio, video

STEP_90K = 3600


def pictures(count: int, first_90k: int = 0) -> deque[Frame]:
    return deque(video(first_90k + n * STEP_90K, key=n == 0) for n in range(count))


def test_the_first_frame_is_due_at_once_and_the_others_at_their_time() -> None:
    pacer = Pacer()
    dues = [pacer.due_s(frame, 100.0) for frame in pictures(3, first_90k=77_000)]
    assert dues == pytest.approx([100.0, 100.04, 100.08])


def test_late_wake_ups_do_not_add_up() -> None:
    pacer = Pacer()
    now_s, dues = 100.0, []
    for frame in pictures(1000):
        due_s = pacer.due_s(frame, now_s)
        dues.append(due_s)
        now_s = max(now_s, due_s) + 0.009
    assert dues[-1] == pytest.approx(100.0 + 999 * 0.04)


def test_what_is_due_within_a_batch_goes_together() -> None:
    pacer, queue = Pacer(), pictures(10)
    assert len(pacer.take(queue, 5.0, batch_s=0.1)) == 3
    assert pacer.wait_s(queue, 5.0) == pytest.approx(0.12)
    assert pacer.take(queue, 5.01, batch_s=0.1) == []
    assert len(pacer.take(queue, 5.121, batch_s=0.1)) == 3


def test_who_comes_very_late_does_not_get_a_burst() -> None:
    pacer, queue = Pacer(), pictures(200)
    pacer.take(queue, 0.0)
    assert len(pacer.take(queue, 5.0, batch_s=0.0)) == 1
    assert pacer.wait_s(queue, 5.0) == pytest.approx(0.04)


def test_who_comes_a_little_late_catches_up() -> None:
    pacer, queue = Pacer(), pictures(200)
    pacer.take(queue, 0.0, batch_s=0.0)
    assert len(pacer.take(queue, 0.4, batch_s=0.0)) == 10


@pytest.mark.parametrize("jump_90k", [-500_000, 500_000])
def test_a_jump_goes_on_where_the_frame_before_was_due(jump_90k: int) -> None:
    pacer, queue = Pacer(), pictures(25, first_90k=900_000)
    queue.extend(pictures(25, first_90k=900_000 + 25 * STEP_90K + jump_90k))
    released_s = []
    now_s = 0.0
    while queue:
        released_s += [now_s] * len(pacer.take(queue, now_s, batch_s=0.0))
        now_s += 0.005
    assert released_s == sorted(released_s)
    assert released_s[-1] == pytest.approx(49 * 0.04, abs=0.08)


def test_a_track_that_lags_by_seconds_does_not_hold_the_others_up() -> None:
    pacer = Pacer()
    queue: deque[Frame] = deque()
    for n in range(100):
        queue += [video(n * STEP_90K, key=n == 0), audio(n * STEP_90K - 300_000)]
    now_s, count = 0.0, 0
    while queue:
        count += len(pacer.take(queue, now_s, batch_s=0.0))
        now_s += 0.01
    assert now_s == pytest.approx(99 * 0.04, abs=0.1)


def test_a_start_in_the_past_gives_a_burst_and_then_real_time() -> None:
    pacer, queue = Pacer(), pictures(100)
    pacer.start(0, 10.0 - 2.0)
    assert len(pacer.take(queue, 10.0, batch_s=0.0)) == 51
    assert pacer.wait_s(queue, 10.0) == pytest.approx(0.04)


@pytest.mark.parametrize(("ahead_s", "sign"), [(20.0, 1), (6.0, 0), (1.0, -1)])
def test_steering_brings_the_distance_back_a_little_at_a_time(ahead_s: float, sign: int) -> None:
    pacer, queue = Pacer(), pictures(1000)
    pacer.take(queue, 0.0, batch_s=0.0)
    before_s = pacer.due_s(queue[0], 0.02)
    pacer.steer(ahead_s, 6.0, 0.02)
    assert pacer.due_s(queue[0], 0.02) == pytest.approx(before_s, abs=0.01), "steering never jumps"
    assert (pacer.rate > 1) - (pacer.rate < 1) == sign
    assert abs(pacer.rate - 1) <= MAX_STEER + 1e-9


def test_a_hole_that_is_known_is_waited_for_and_others_are_not() -> None:
    pacer = Pacer()
    pacer.due_s(video(0, key=True), 0.0)
    pacer.hole_until(4 * 90_000)
    assert pacer.due_s(video(4 * 90_000, key=False), 0.0) == pytest.approx(4.0)
    assert pacer.due_s(video(4 * 90_000, key=False), 0.1) == pytest.approx(4.0), "asking again is fine"
    assert pacer.due_s(video(8 * 90_000, key=False), 0.1) == pytest.approx(4.0), "this one is a jump"


class Arriving:
    """Frames that come at their time, on a clock that is ``fast`` times too fast; ``at_once_s`` of them come
    with the first one."""

    def __init__(self, fast: float = 1.0, at_once_s: float = 0.0) -> None:
        self.pacer = LivePacer()
        self.queue: deque[Frame] = deque()
        self.fast = fast
        self.at_once_s = at_once_s
        self.pacer.start(0, 0.0)

    def delay_s(self, number: int) -> float:
        """How long a picture had to wait."""
        came_s = max(0.0, number * 0.04 / self.fast - self.at_once_s)
        self.queue.append(video(number * STEP_90K, key=number == 0))
        self.pacer.take(self.queue, came_s, batch_s=0.0)
        self.pacer.follow(self.queue, came_s)
        if not self.queue:
            return 0.0
        wait_s = self.pacer.wait_s(self.queue, came_s)
        self.queue.clear()
        return wait_s


@pytest.mark.parametrize("at_once_s", [0.0, LIVE_LEAD_S - 0.1, LIVE_LEAD_S + 0.5])
def test_a_live_clock_that_is_a_little_fast_is_not_held_back_ever_longer(at_once_s: float) -> None:
    arriving = Arriving(1.001, at_once_s)
    delays_s = [arriving.delay_s(number) for number in range(200_000)]  # its lead is used up after 50 min
    assert max(delays_s[100_000:]) < 0.1


def test_live_media_that_was_held_up_goes_at_once() -> None:
    pacer, queue = LivePacer(), pictures(1000)
    pacer.start(0, 100.0)
    assert len(pacer.take(queue, 100.0, batch_s=0.0)) == 76
    assert len(pacer.take(queue, 120.0, batch_s=0.0)) == 500
    assert len(pacer.take(queue, 135.0, batch_s=0.0)) == 375


def test_a_live_clock_that_jumps_may_be_ahead_as_before() -> None:
    pacer, queue = LivePacer(), pictures(25)
    pacer.start(0, 100.0)
    pacer.take(queue, 110.0)
    queue += pictures(100, first_90k=9_000_000)
    assert len(pacer.take(queue, 110.0, batch_s=0.0)) == 76


def test_of_a_server_that_sends_more_than_is_taken_no_clock_is_followed() -> None:
    pacer, queue = LivePacer(), pictures(10_000)
    pacer.start(0, 0.0)
    taken = 0
    for tick in range(2500):
        now_s = tick * 0.1
        taken += len(pacer.take(queue, now_s, batch_s=0.0))
        pacer.pushed(now_s)
        pacer.follow(queue, now_s)
    assert taken == pytest.approx((LIVE_LEAD_S + 249.9) * 25, abs=2)
