import pytest

from openstreamer.packager.options import PackagerOptions, first_media_sequence


@pytest.mark.parametrize(
    "wrong",
    [
        {"segment_target_s": 0.1},
        {"segment_target_s": 100},
        {"part_target_s": 0.01},
        {"part_target_s": 3},
        {"window_segments": 5},
        {"history_segments": -1},
        {"grace_segments": 0},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PackagerOptions(**wrong)  # type: ignore[arg-type]


def test_numbers_after_a_restart_are_above_all_before() -> None:
    started_s, ran_s = 1_795_500_000, 86_400
    for shortest_s in (0.475, 1.0, 2.0, 6.0):  # a key frame 5 % before the target ends a segment
        last = first_media_sequence(started_s) + int(ran_s / shortest_s)
        assert first_media_sequence(started_s + ran_s) > last


def test_numbers_fit_into_32_bits_with_a_sign_for_two_decades() -> None:
    begin_of_2046_unix_s = 2_398_377_600
    assert first_media_sequence(begin_of_2046_unix_s) < 2**31
