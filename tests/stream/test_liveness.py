"""Silence is measured by the pace of what is silent."""

import pytest

from openstreamer.stream.liveness import FIRST_FRAME_DEADLINE_S, silence_limit_s


@pytest.mark.parametrize(
    ("usual_steps_s", "limit_s"),
    [
        pytest.param([], 2.0, id="no tracks"),
        pytest.param([0.04, 0.021], 2.0, id="usual media"),
        pytest.param([4.0], 10.0, id="a slow camera"),
        pytest.param([4.0, 0.021], 10.0, id="a slow camera with sound"),
        pytest.param([None, 0.021], FIRST_FRAME_DEADLINE_S, id="one picture so far, and sound"),
        pytest.param([0.04, 0.0], 2.0, id="no sound yet"),
    ],
)
def test_the_slowest_track_decides(usual_steps_s: list[float | None], limit_s: float) -> None:
    assert silence_limit_s(2.0, usual_steps_s) == limit_s


def test_a_longer_setting_counts() -> None:
    assert silence_limit_s(30.0, [4.0]) == silence_limit_s(30.0, [None]) == 30.0
