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
    for target_s in (1.0, 2.0, 6.0):
        last = first_media_sequence(started_s, target_s) + int(ran_s / target_s)
        assert first_media_sequence(started_s + ran_s, target_s) > last
        assert last < 2**31
