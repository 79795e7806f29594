"""Decoding times that nobody wrote: they do not fall, and none is behind its presentation time."""

import pytest

from openstreamer.wire.mpegts.decoding_times import DecodingTimes

PICTURE = 3600
# Orders of decoding, in pictures, with the depth of reordering that the stream declares
IN_ORDER = [0, 1, 2, 3, 4, 5, 6]
ONE_B = [0, 2, 1, 4, 3, 6, 5]
PYRAMID = [0, 4, 2, 1, 3, 8, 6, 5, 7]


def times(depth: int, order: list[int]) -> list[tuple[int, int]]:
    found = DecodingTimes()
    found.expect(depth, PICTURE)
    return [(90_000 + number * PICTURE, found.of(90_000 + number * PICTURE)) for number in order]


@pytest.mark.parametrize(
    ("depth", "order"), [(0, IN_ORDER), (1, ONE_B), (2, PYRAMID), (4, PYRAMID), (2, IN_ORDER)]
)
def test_pictures_are_decoded_one_by_one_and_before_they_are_shown(depth: int, order: list[int]) -> None:
    found = times(depth, order)
    assert [dts for _, dts in found] == [90_000 + (number - depth) * PICTURE for number in range(len(order))]
    assert all(pts >= dts for pts, dts in found)


def test_without_reordering_both_times_are_the_same() -> None:
    assert all(pts == dts for pts, dts in times(0, IN_ORDER))


def test_what_was_not_declared_is_learnt() -> None:
    found = times(0, [*PYRAMID, *(9 + number for number in PYRAMID)])
    decoded = [dts for _, dts in found]
    assert decoded == sorted(decoded)
    assert all(pts >= dts for pts, dts in found[9:])


@pytest.mark.parametrize("jump_90k", [900_000, -900_000])
def test_after_a_jump_times_begin_anew(jump_90k: int) -> None:
    found = DecodingTimes()
    found.expect(1, PICTURE)
    for number in ONE_B:
        found.of(1_000_000 + number * PICTURE)
    later_90k = 1_000_000 + jump_90k
    assert [found.of(later_90k + number * PICTURE) for number in ONE_B] == [
        later_90k + (number - 1) * PICTURE for number in range(len(ONE_B))
    ]


def test_a_picture_of_unknown_length_still_comes_before_the_next() -> None:
    found = DecodingTimes()
    found.expect(2, 0)
    decoded = [found.of(90_000 + number * PICTURE) for number in PYRAMID]
    assert decoded == sorted(set(decoded))
