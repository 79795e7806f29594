"""PROGRAM-DATE-TIME tells when a picture came, over days and whatever the source's clock does."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from openstreamer.packager.live import LivePackager
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import SegmentReady
from tests.support.media import VIDEO, video

FRAME_90K = 3600
START_MS = 1_800_000_000_000


def dates(seconds: int, wall_ms: Callable[[float], float]) -> list[tuple[float, int]]:
    """Media time in s and PROGRAM-DATE-TIME in ms since the start, of each segment of a 25 fps stream whose
    picture of media time t arrives ``wall_ms(t)`` after the start."""
    packager = LivePackager(PackagerOptions(), 1)
    found = []
    for number in range(seconds * 25):
        media_s = number / 25
        frame = video(number * FRAME_90K, key=number % 50 == 0)
        for event in packager.push([frame], (VIDEO,), START_MS + round(wall_ms(media_s))):
            if isinstance(event, SegmentReady):
                opening = event.segment.opening
                found.append((opening.pts_90k / 90_000, opening.program_date_time_ms - START_MS))
    return found


def assert_never_falls(found: list[tuple[float, int]]) -> None:
    values = [date for _, date in found]
    assert values == sorted(values)


def test_a_true_clock_gives_dates_without_any_jitter() -> None:
    for media_s, date_ms in dates(60, lambda t: t * 1000 + (7 if int(t * 25) % 3 else 0)):
        assert date_ms == round(media_s * 1000)


@pytest.mark.parametrize("parts_per_million", [-200, 200])
def test_a_drifting_source_is_followed_for_an_hour(parts_per_million: int) -> None:
    rate = 1 + parts_per_million / 1e6
    found = dates(3600, lambda t: t * 1000 * rate)
    assert_never_falls(found)
    media_s, date_ms = found[-1]
    assert date_ms == pytest.approx(media_s * 1000 * rate, abs=10)


def test_an_encoder_that_cannot_keep_up_does_not_age_the_dates() -> None:
    found = dates(120, lambda t: t * 1250)
    assert_never_falls(found)
    media_s, date_ms = found[-1]
    assert date_ms == pytest.approx(media_s * 1250, abs=3500)


def test_a_stall_of_the_network_and_its_burst_leave_the_dates_alone() -> None:
    def stalled(t: float) -> float:
        return max(t * 1000, 23_000.0) if 20 <= t < 23 else t * 1000

    for media_s, date_ms in dates(60, stalled):
        assert date_ms == round(media_s * 1000)


def test_dates_that_were_wrong_at_first_become_right_too_slowly_for_players_to_notice() -> None:
    found = dates(120, lambda t: t * 1000 + (300 if t < 3 else 0))
    steps = [after - before for (_, before), (_, after) in pairwise(found)]
    assert all(abs(step - 2000) <= 2 for step in steps)
    assert found[-1][1] - found[-1][0] * 1000 < 300 - 40
