"""TARGETDURATION is known with the first segment and holds for all that follow (rfc8216bis 6.2.1)."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openstreamer.media.track import TrackKind
from openstreamer.packager.live import LivePackager
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import SegmentReady
from tests.support.made_streams import MadeStream, batches

FILM = Fraction(24000, 1001)


def announced(packager: LivePackager, *streams: MadeStream) -> list[int]:
    """TARGETDURATION from the first complete segment on, whenever it became another one."""
    values: list[int] = []
    for stream in streams:
        for batch in batches(stream.frames()):
            events = packager.push(batch, stream.tracks, batch[-1].pts_90k // 90)
            ready = [event.segment for event in events if isinstance(event, SegmentReady)]
            value = packager.target_duration_s
            assert all(int(segment.duration_s + 0.5) <= value for segment in ready)
            if (values or ready) and values[-1:] != [value]:
                values.append(value)
    return values


@pytest.mark.parametrize(
    ("segment_s", "fps", "gop", "target_s"),
    [
        pytest.param(2, Fraction(30), 27, 3, id="0.9 s"),
        pytest.param(2, Fraction(30), 40, 3, id="1.33 s"),
        pytest.param(2, Fraction(30), 45, 3, id="1.5 s"),
        pytest.param(2, FILM, 36, 3, id="1.5 s of film"),
        pytest.param(2, Fraction(25), 40, 3, id="1.6 s"),
        pytest.param(2, Fraction(60), 100, 3, id="1.67 s"),
        pytest.param(2, Fraction(25), 48, 2, id="1.92 s"),
        pytest.param(2, Fraction(30), 60, 2, id="2 s"),
        pytest.param(2, Fraction(25), 62, 3, id="2.48 s and audio a little longer"),
        pytest.param(2.5, Fraction(30), 60, 4, id="2 s in segments of 2.5 s"),
        pytest.param(3, Fraction(30), 60, 4, id="2 s in segments of 3 s"),
        pytest.param(4, Fraction(30), 90, 6, id="3 s in segments of 4 s"),
        pytest.param(10, Fraction(30), 90, 12, id="3 s in segments of 10 s"),
        pytest.param(0.5, Fraction(30), 15, 1, id="0.5 s in segments of 0.5 s"),
        pytest.param(2, Fraction(25), 250, 10, id="10 s"),
    ],
)
@pytest.mark.parametrize("stamps_ms", [False, True], ids=["exact", "in milliseconds"])
def test_it_does_not_change_while_key_frames_come_regularly(
    segment_s: float, fps: Fraction, gop: int, target_s: int, stamps_ms: bool
) -> None:
    packager = LivePackager(PackagerOptions(segment_target_s=segment_s), 1)
    stream = MadeStream(seconds=max(31, 4 * segment_s), fps=fps, gop=gop, stamps_ms=stamps_ms)
    assert announced(packager, stream) == [target_s]


CHECKED_S = 20


@settings(max_examples=25)
@given(st.frozensets(st.integers(61, 30 * CHECKED_S), max_size=20), st.sampled_from([30, 45, 60]))
@example(frozenset({90, 100, 101, 220, 339}), 60)
@example(frozenset({85, 114, 168, 186, 228, 272, 318, 349, 366, 405, 425, 554, 594}), 60)
def test_it_does_not_change_where_scenes_do(cuts: frozenset[int], gop: int) -> None:
    """Key frames at scene changes too, as x264 puts them: then a segment ends early rather than late."""
    packager = LivePackager(PackagerOptions(), 1)
    stream = MadeStream(seconds=CHECKED_S, gop=gop, scene_cuts=cuts, stamps_ms=True)
    assert len(announced(packager, stream)) == 1


def test_a_scene_change_that_does_no_harm_ends_no_segment() -> None:
    packager = LivePackager(PackagerOptions(), 1)
    stream = MadeStream(seconds=21, gop=60, scene_cuts=frozenset({63, 130, 200}))
    ready = [
        event.segment
        for batch in batches(stream.frames())
        for event in packager.push(batch, stream.tracks, 0)
        if isinstance(event, SegmentReady) and event.kind is TrackKind.VIDEO
    ]
    assert min(segment.duration_s for segment in ready) >= 2


@pytest.mark.parametrize(("segment_s", "target_s"), [(0.5, 1), (1.5, 2), (2, 2), (2.5, 3), (4.4, 5)])
def test_without_video_it_is_the_segment_target(segment_s: float, target_s: int) -> None:
    packager = LivePackager(PackagerOptions(segment_target_s=segment_s), 1)
    assert announced(packager, MadeStream(seconds=20, video=None, stamps_ms=True)) == [target_s]


def test_it_grows_once_with_a_source_whose_key_frames_are_farther_apart() -> None:
    packager = LivePackager(PackagerOptions(segment_target_s=3), 1)
    regular = MadeStream(seconds=12, gop=30)
    assert announced(packager, regular, regular.after(seconds=20, gop=120)) == [3, 4]


def test_it_stays_with_a_source_whose_key_frames_fit_one_by_one() -> None:
    packager = LivePackager(PackagerOptions(segment_target_s=3), 1)
    regular = MadeStream(seconds=12, gop=30)
    assert announced(packager, regular, regular.after(seconds=20, gop=70)) == [3]


def test_a_picture_more_between_two_key_frames_does_not_change_it() -> None:
    packager = LivePackager(PackagerOptions(), 1)
    regular = MadeStream(seconds=8, gop=30)
    late = replace(regular, start_90k=regular.end_90k + 3_000)
    assert announced(packager, regular, late) == [2]
