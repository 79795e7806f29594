"""Video of less than one picture in two seconds beside sound: slow is not silent."""

from fractions import Fraction

import pytest

from openstreamer.failover.timeline import Timeline
from openstreamer.packager.cadence import SILENCE_90K, VideoPace
from tests.support.made_streams import START_90K, MadeStream, batches
from tests.support.watching import Watched

LEARNED_AFTER = 6  # segments: three pictures, of which none was expected


def on_the_timeline(stream: MadeStream) -> Watched:
    """Packaged with the stream's clock, to which every picture of so slow a source is a jump."""
    watched, timeline = Watched(blind=True), Timeline(START_90K)
    timeline.begin_epoch()
    for batch in batches(stream.frames()):
        now_ms = batch[-1].pts_90k // 90 + watched.wall_offset_ms
        if frames := timeline.map(list(batch)):
            watched.take(watched.presentation.push(frames, stream.tracks, now_ms))
    return watched


@pytest.mark.parametrize("fps", [Fraction(2, 5), Fraction(1, 3), Fraction(3, 10), Fraction(1, 4)], ids=str)
def test_segments_last_from_picture_to_picture_and_none_is_a_gap(fps: Fraction) -> None:
    stream = MadeStream(seconds=60, fps=fps, gop=1)
    for watched in (Watched(blind=True).run(stream), on_the_timeline(stream)):
        for segments in (watched.video[LEARNED_AFTER:], watched.audio[LEARNED_AFTER:]):
            assert len(segments) > 8
            assert not any(segment.gap for segment in segments)
            assert all(abs(segment.duration_s - 1 / fps) < 0.05 for segment in segments)


def test_target_duration_is_not_below_the_part_target() -> None:
    packager = Watched(blind=True).run(MadeStream(seconds=30, fps=Fraction(3, 10), gop=1, audio=None))
    assert packager.presentation.packager.part_target_s == 3.334
    assert packager.presentation.packager.target_duration_s == 4


def test_one_hole_makes_nobody_patient_and_a_slow_camera_that_speeds_up_is_a_usual_one() -> None:
    pace = VideoPace()
    for at_s in (0, 0.04, 0.08, 4, 4.04):
        pace.picture(round(at_s * 90_000))
        assert pace.patience_90k == SILENCE_90K
    for at_s in (8, 12):
        pace.picture(at_s * 90_000)
    assert pace.patience_90k > 4 * 90_000
    for at_s in (12.04, 12.08):
        pace.picture(round(at_s * 90_000))
    assert pace.patience_90k == SILENCE_90K
