from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.aac import SAMPLE_RATES_HZ
from openstreamer.media.clock import (
    STANDARD_FRAME_RATES,
    FrameGrid,
    SampleClock,
    Unwrapper,
    estimate_frame_rate,
    frames_to_90k,
    ms_to_90k,
    rescale,
    ticks_to_ms,
)

NTSC = Fraction(30_000, 1001)
FILM = Fraction(24_000, 1001)

rates = st.sampled_from(STANDARD_FRAME_RATES)


def _rounded_to_ms(time_90k: int) -> int:
    return ms_to_90k(ticks_to_ms(time_90k))


def _cut_to_ms(time_90k: int) -> int:
    return time_90k // 90 * 90


@given(st.integers(-(10**15), 10**15), st.integers(1, 200_000), st.integers(1, 200_000))
def test_rescaling_is_the_nearest_number_and_ties_go_up(value: int, from_hz: int, to_hz: int) -> None:
    exact = Fraction(value * to_hz, from_hz)
    scaled = rescale(value, from_hz, to_hz)
    assert abs(scaled - exact) <= Fraction(1, 2)
    if abs(scaled - exact) == Fraction(1, 2):
        assert scaled > exact


@given(st.integers(0, 10**9), st.sampled_from([rate for rate in SAMPLE_RATES_HZ if rate >= 8_000]))
def test_90_khz_keeps_every_index_of_an_aac_frame(index: int, rate: int) -> None:
    ticks = rescale(index * 1024, rate, 90_000)
    assert abs(rescale(ticks, 90_000, rate) - index * 1024) <= (1 if rate > 90_000 else 0)


@given(st.integers(-(10**12), 10**12))
def test_milliseconds_come_back(value_ms: int) -> None:
    assert ticks_to_ms(ms_to_90k(value_ms)) == value_ms
    assert ticks_to_ms(ms_to_90k(value_ms) + 44) == value_ms
    assert ticks_to_ms(ms_to_90k(value_ms) + 45) == value_ms + 1


@given(
    st.sampled_from([16, 24, 32, 33]),
    st.integers(0, 2**40),
    st.lists(st.floats(-0.49, 0.49), max_size=50),
)
def test_unwrapping_follows_a_random_walk(bits: int, start: int, steps: list[float]) -> None:
    truth = list(accumulate((int(step * 2**bits) for step in steps), initial=start % 2**bits))
    unwrapper = Unwrapper(bits)
    assert [unwrapper.unwrap(value % 2**bits) for value in truth] == truth


def test_a_value_reordered_across_the_wrap_is_put_before_it() -> None:
    unwrapper = Unwrapper(33)
    top = 2**33
    assert [unwrapper.unwrap(value) for value in (top - 10, 5, top - 3, 8)] == [
        top - 10,
        top + 5,
        top - 3,
        top + 8,
    ]


def test_the_first_value_is_kept_and_an_earlier_one_is_negative() -> None:
    unwrapper = Unwrapper(32)
    assert [unwrapper.unwrap(value) for value in (7, 2**32 - 1)] == [7, -1]


@pytest.mark.parametrize("rate", SAMPLE_RATES_HZ)
@pytest.mark.parametrize("spoil", [_rounded_to_ms, _cut_to_ms])
def test_a_sample_clock_undoes_millisecond_rounding(rate: int, spoil: object) -> None:
    assert callable(spoil)
    origin = 123_456_780
    clock = SampleClock(rate)
    truth = [origin + rescale(1024 * index, rate, 90_000) for index in range(3000)]
    assert [clock.stamp(spoil(time), 1024) for time in truth] == truth
    assert clock.reanchors == 0


def test_a_sample_clock_counts_frames_of_changing_length() -> None:
    clock = SampleClock(48_000)
    samples = [960, 120, 2880, 480] * 100
    truth = [rescale(before, 48_000, 90_000) for before in accumulate(samples, initial=0)]
    stamped = [clock.stamp(_rounded_to_ms(time), count) for time, count in zip(truth, samples, strict=False)]
    assert stamped == truth[:-1]


@pytest.mark.parametrize("jump_90k", [-90_000, -181, 181, 90_000])
def test_a_jump_beyond_the_tolerance_reanchors_and_says_so(jump_90k: int) -> None:
    clock = SampleClock(48_000)
    assert clock.stamp(1_000, 960) == 1_000
    assert clock.stamp(2_800 + jump_90k, 960) == 2_800 + jump_90k
    assert (clock.reanchored, clock.reanchors) == (True, 1)
    assert clock.stamp(4_600 + jump_90k, 960) == 4_600 + jump_90k
    assert (clock.reanchored, clock.reanchors) == (False, 1)


@pytest.mark.parametrize("jitter_90k", [-180, 180])
def test_a_deviation_within_the_tolerance_is_ignored(jitter_90k: int) -> None:
    clock = SampleClock(48_000)
    clock.stamp(0, 960)
    assert clock.stamp(1_800 + jitter_90k, 960) == 1_800
    assert not clock.reanchored


@given(st.sampled_from([8_000, 44_100, 48_000]), st.lists(st.integers(-400, 400), max_size=60))
def test_a_sample_clock_never_moves_a_time_beyond_its_tolerance(rate: int, jitter: list[int]) -> None:
    clock = SampleClock(rate)
    for index, offset in enumerate(jitter):
        raw = rescale(1024 * index, rate, 90_000) + offset
        assert abs(clock.stamp(raw, 1024) - raw) <= 180


def test_nonsense_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="0 Hz"):
        SampleClock(0)
    with pytest.raises(ValueError, match="-1"):
        FrameGrid(Fraction(-1))


@given(rates, st.integers(-(10**9), 10**9))
def test_a_grid_of_known_rate_undoes_millisecond_rounding(rate: Fraction, origin_ms: int) -> None:
    origin = ms_to_90k(origin_ms)
    truth = [origin + frames_to_90k(index, rate) for index in range(300)]
    grid = FrameGrid(rate)
    assert [grid.snap(_rounded_to_ms(time), _rounded_to_ms(time)) for time in truth] == [
        (time, time) for time in truth
    ]
    assert grid.reanchors == 0


def test_presentation_times_of_reordered_frames_are_on_the_same_grid() -> None:
    grid = FrameGrid(NTSC)
    order = [0, 2, 1, 4, 3, 6, 5, 8, 7]  # presentation index by decoding index
    for index, shown in enumerate(order):
        dts, pts = frames_to_90k(index, NTSC), frames_to_90k(shown + 2, NTSC)
        assert grid.snap(_rounded_to_ms(pts), _rounded_to_ms(dts)) == (pts, dts)


def test_missing_frames_leave_their_slots_empty() -> None:
    grid = FrameGrid(FILM)
    for index in (0, 1, 2, 7, 8, 100, 101):
        time = frames_to_90k(index, FILM)
        assert grid.snap(_cut_to_ms(time), _cut_to_ms(time)) == (time, time)
    assert grid.reanchors == 0


def test_a_time_off_the_grid_passes_and_becomes_the_anchor() -> None:
    grid = FrameGrid(Fraction(25))
    assert grid.snap(0, 0) == (0, 0)
    assert grid.snap(3_600 + 91, 3_600 + 91) == (3_691, 3_691)
    assert (grid.reanchored, grid.reanchors) == (True, 1)
    assert grid.snap(7_200 + 100, 7_200 + 100) == (7_291, 7_291)
    assert not grid.reanchored


@given(rates)
def test_every_standard_rate_is_recognised_from_rounded_times(rate: Fraction) -> None:
    times = [_rounded_to_ms(frames_to_90k(index, rate)) for index in range(90)]
    found = estimate_frame_rate(times)
    assert found is not None
    assert found[0] == rate
    assert abs(found[1]) <= 90


def test_an_unknown_rate_is_learnt_and_then_used() -> None:
    grid = FrameGrid()
    truth = [frames_to_90k(index, NTSC) for index in range(200)]
    raw = [_rounded_to_ms(time) for time in truth]
    out = [grid.snap(time, time)[1] for time in raw]
    assert out[:90] == raw[:90]
    assert grid.frame_rate == NTSC
    deltas = {later - earlier for earlier, later in pairwise(out[90:])}
    assert deltas == {3003}


def test_a_rate_is_learnt_although_frames_are_missing() -> None:
    times = [_rounded_to_ms(frames_to_90k(index, FILM)) for index in range(95) if index % 20 != 7]
    found = estimate_frame_rate(times)
    assert found is not None
    assert found[0] == FILM


def test_variable_frame_rate_passes_unchanged() -> None:
    grid = FrameGrid()
    times = list(accumulate([3_600, 2_700, 5_310, 1_710] * 100))
    assert [grid.snap(time, time) for time in times] == [(time, time) for time in times]
    assert grid.frame_rate is None


def test_a_wrong_declared_rate_is_dropped_and_the_true_one_learnt() -> None:
    grid = FrameGrid(Fraction(30))
    truth = [frames_to_90k(index, Fraction(25)) for index in range(300)]
    out = [grid.snap(time, time)[1] for time in truth]
    assert grid.frame_rate == 25
    assert out == truth


def test_two_frames_in_one_slot_fit_no_rate() -> None:
    assert estimate_frame_rate([index // 2 * 3_600 for index in range(90)]) is None


def test_a_rate_that_leaves_most_slots_empty_is_not_taken() -> None:
    assert estimate_frame_rate([index * 7 * 3_000 for index in range(90)]) is None


def test_the_first_time_on_a_learnt_grid_is_not_before_the_last_one_off_it() -> None:
    grid = FrameGrid()
    times = [index * 3_600 for index in range(89)]
    for time in times:
        grid.snap(time, time)
    late = 89 * 3_600 + 40
    assert grid.snap(late, late) == (late, late)
    assert grid.frame_rate == 25
    assert grid.snap(late, late) == (late, late)
    assert grid.snap(late + 1, late) == (late, late)
    assert grid.snap(90 * 3_600, 90 * 3_600) == (90 * 3_600 + 20, 90 * 3_600 + 20)


def test_too_few_times_give_no_estimate() -> None:
    assert estimate_frame_rate([]) is None
    assert estimate_frame_rate([0]) is None
    assert estimate_frame_rate([5, 5]) is None


@given(
    st.none() | rates,
    st.lists(st.tuples(st.integers(0, 5_000), st.integers(-3_000, 9_000)), max_size=400),
)
def test_no_time_moves_by_more_than_a_millisecond_and_dts_do_not_fall(
    rate: Fraction | None, steps: list[tuple[int, int]]
) -> None:
    grid = FrameGrid(rate)
    raw_dts = 0
    last: int | None = None
    for step, offset in steps:
        raw_dts += step
        pts, dts = grid.snap(raw_dts + offset, raw_dts)
        assert abs(dts - raw_dts) <= 90
        assert abs(pts - raw_dts - offset) <= 90
        assert pts >= dts or offset < 0
        assert last is None or dts >= last
        last = dts


@given(rates, st.lists(st.sampled_from([0, 1, 2, 45, 89, 90, 91, 180]), min_size=2, max_size=200))
def test_dts_do_not_fall_however_dense_they_are(rate: Fraction, steps: list[int]) -> None:
    grid = FrameGrid(rate)
    raw = list(accumulate(steps))
    out = [grid.snap(time, time)[1] for time in raw]
    assert all(earlier <= later for earlier, later in pairwise(out))
    assert all(abs(a - b) <= 90 for a, b in zip(raw, out, strict=True))


def test_a_source_that_jumps_back_is_followed() -> None:
    grid = FrameGrid(Fraction(25))
    for time in (900_000, 903_600, 0, 3_600):
        assert grid.snap(time, time) == (time, time)
