from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.clock import STANDARD_FRAME_RATES
from openstreamer.packager.cadence import SHORTEST_PART, fits, frame_duration_s, part_target_s

NTSC_FILM, NTSC, NTSC_DOUBLE = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("rate", "target_s"),
    [
        (Fraction(30), 0.334), (Fraction(25), 0.32), (NTSC_FILM, 0.334), (NTSC, 0.334), (NTSC_DOUBLE, 0.334),
        (Fraction(50), 0.32), (Fraction(60), 0.334), (Fraction(5), 0.2), (Fraction(2), 0.5),
        (Fraction(1), 1.0),
    ],
)  # fmt: skip
def test_part_target_is_a_whole_number_of_frames(rate: Fraction, target_s: float) -> None:
    assert part_target_s(1 / rate, 0.334) == target_s


@given(st.fractions(Fraction(1, 240), Fraction(2)), st.floats(0.1, 2))
def test_parts_of_whole_frames_keep_both_bounds_of_their_target(
    duration_s: Fraction, wanted_s: float
) -> None:
    target_s = Fraction(str(part_target_s(duration_s, wanted_s)))
    frames = target_s // duration_s

    assert fits(float(target_s), duration_s)
    assert Fraction(str(SHORTEST_PART)) * target_s <= frames * duration_s <= target_s


def test_a_target_is_kept_only_for_frames_that_fill_it() -> None:
    assert fits(0.334, Fraction(1, 25))
    assert fits(0.32, Fraction(1, 30))
    assert not fits(0.334, Fraction(1, 5))
    assert not fits(0.2, Fraction(1, 4))


@pytest.mark.parametrize("rate", STANDARD_FRAME_RATES)
def test_three_distances_in_milliseconds_tell_a_frame_rate(rate: Fraction) -> None:
    times_ms = [round(index * 1000 / rate) for index in range(4)]
    deltas = [(after - before) * 90 for before, after in pairwise(times_ms)]

    assert abs(frame_duration_s(deltas, None) * rate - 1) < Fraction(3, 100)
    assert frame_duration_s(deltas, rate) == 1 / rate


def test_a_declared_rate_that_the_frames_contradict_is_not_believed() -> None:
    assert frame_duration_s([3600, 3600, 3600], Fraction(50)) == Fraction(1, 25)
    assert frame_duration_s([3600, 3600, 3600], Fraction(25)) == Fraction(1, 25)
    assert frame_duration_s([3600, 3600, 3600], None) == Fraction(1, 25)


def test_an_odd_rate_is_taken_as_measured() -> None:
    assert frame_duration_s([9000 * 7 // 10] * 3, None) == Fraction(7, 100)


def test_rounded_distances_are_moved_to_the_standard_rate_they_came_from() -> None:
    assert frame_duration_s([42 * 90] * 3, None) == 1 / NTSC_FILM
