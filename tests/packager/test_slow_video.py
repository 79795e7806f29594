"""Video of less than one picture in two seconds beside sound: slow is not silent."""

from dataclasses import replace
from fractions import Fraction

import pytest

from openstreamer.failover.timeline import Timeline
from openstreamer.packager.cadence import SILENCE_90K, VideoPace
from tests.support.made_streams import START_90K, MadeStream, batches
from tests.support.watching import Watched


def on_the_timeline(stream: MadeStream) -> Watched:
    """Packaged with the stream's clock, whose step over two seconds is a jump of all sources but these."""
    watched, timeline = Watched(batch=1), Timeline(START_90K)
    timeline.begin_epoch()
    for batch in batches(stream.frames(), 1):
        now_ms = batch[-1].pts_90k // 90 + watched.wall_offset_ms
        if frames := timeline.map(list(batch)):
            watched.take(watched.presentation.push(frames, stream.tracks, now_ms))
    watched.checker.finish()
    return watched


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "no sound"])
@pytest.mark.parametrize("fps", [Fraction(2, 5), Fraction(3, 10), Fraction(1, 4), Fraction(1, 5)], ids=str)
def test_segments_last_from_picture_to_picture_and_playlists_keep_every_rule(
    fps: Fraction, sound: bool
) -> None:
    stream = MadeStream(seconds=60, fps=fps, gop=1, stamps_ms=True)
    watched = on_the_timeline(stream if sound else replace(stream, audio=None))
    assert watched.checker.problems == []
    packager = watched.presentation.packager
    assert packager.target_duration_s >= (packager.part_target_s or 99)
    assert len(watched.video) == 60 * fps - 1
    for segment in [*watched.video, *watched.audio]:
        assert not segment.gap
        assert abs(segment.duration_s - 1 / fps) < 0.05


def test_one_hole_makes_nobody_patient_and_a_slow_camera_that_speeds_up_is_a_usual_one() -> None:
    pace = VideoPace()
    pace.picture(0)
    for at_s in (0.04, 0.08, 4, 4.04):
        pace.picture(round(at_s * 90_000))
        assert pace.patience_90k == SILENCE_90K
    for at_s in (8, 12):
        pace.picture(at_s * 90_000)
    assert pace.patience_90k > 4 * 90_000
    for at_s in (12.04, 12.08):
        pace.picture(round(at_s * 90_000))
    assert pace.patience_90k == SILENCE_90K
