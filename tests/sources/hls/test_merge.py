"""Frames of one or two playlists on one clock, whatever their containers' clocks do."""

from collections.abc import Iterable
from itertools import pairwise

import pytest

from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.media.track import Track
from openstreamer.sources.hls.merge import TURN_90K, FrameMerger
from openstreamer.sources.pacing import Pacer
from tests.support.media import AUDIO as ANY_AUDIO
from tests.support.media import VIDEO as ANY_VIDEO
from tests.support.media import audio, video

VIDEO, AUDIO = Track(0, ANY_VIDEO.config), Track(1, ANY_AUDIO.config)
STEP_90K, SOUND_STEP_90K = 3600, 1920


def pictures(first_90k: int, count: int = 25) -> list[Frame]:
    return [video(first_90k + n * STEP_90K, key=n == 0, track=VIDEO) for n in range(count)]


def sounds(first_90k: int, count: int = 47) -> list[Frame]:
    return [audio(first_90k + n * SOUND_STEP_90K, track=AUDIO) for n in range(count)]


def muxed(first_90k: int, sound_90k: int | None = None) -> list[Frame]:
    """A second of both; sound begins at ``sound_90k``."""
    frames = pictures(first_90k) + sounds(first_90k if sound_90k is None else sound_90k)
    return sorted(frames, key=lambda frame: frame.dts_90k)


def merger_of(*renditions: Iterable[tuple[int, list[Frame]]]) -> FrameMerger:
    """A merger with everything queued: for each rendition its periods and their frames."""
    merger = FrameMerger(len(renditions), Pacer(speed=1e9))
    for index, periods in enumerate(renditions):
        for number, frames in periods:
            merger.put(index, (0, number), frames)
    merger.begin(0.0, 0.0)
    return merger


def drain(merger: FrameMerger) -> list[Frame]:
    taken: list[Frame] = []
    while (batch := merger.take(0.0)) != []:
        taken += batch
    return taken


def times_of(frames: list[Frame], track: Track) -> list[int]:
    return [frame.dts_90k for frame in frames if frame.track is track]


def steps_of(frames: list[Frame], track: Track) -> set[int]:
    return {b - a for a, b in pairwise(times_of(frames, track))}


def test_without_discontinuities_the_times_are_those_of_the_container() -> None:
    frames = drain(merger_of([(0, muxed(900_000)), (0, muxed(990_000, 991_000))]))
    assert [f.dts_90k for f in frames] == [f.dts_90k for f in muxed(900_000) + muxed(990_000, 991_000)]


@pytest.mark.parametrize("second_90k", [0, 50_000_000, 990_000 + 60, TURN_90K - 1000])
def test_over_a_discontinuity_all_goes_on_where_the_longer_track_ended(second_90k: int) -> None:
    frames = drain(merger_of([(0, muxed(900_000)), (1, muxed(second_90k))]))
    assert steps_of(frames, VIDEO) == {STEP_90K, STEP_90K + 47 * SOUND_STEP_90K - 25 * STEP_90K}
    assert steps_of(frames, AUDIO) == {SOUND_STEP_90K}


def test_over_a_discontinuity_the_offset_between_picture_and_sound_is_the_new_ones() -> None:
    frames = drain(merger_of([(0, muxed(0)), (1, muxed(500_000, 500_000 + 4000))]))
    pictures_90k, sounds_90k = times_of(frames, VIDEO), times_of(frames, AUDIO)
    assert sounds_90k[47] - pictures_90k[25] == 4000


def test_no_track_begins_a_clock_before_it_ended_on_the_one_before() -> None:
    frames = drain(merger_of([(0, muxed(0, 9000)), (1, muxed(500_000))]))
    assert min(steps_of(frames, AUDIO)) > 0
    assert len(frames) == 2 * (25 + 47)


def test_two_playlists_share_the_offset_of_a_discontinuity_whoever_gets_there_first() -> None:
    for ahead in (-4000, 4000):
        merger = merger_of(
            [(3, pictures(0)), (4, pictures(700_000))], [(3, sounds(0)), (4, sounds(700_000 + ahead))]
        )
        frames = drain(merger)
        second = times_of(frames, VIDEO)[25]
        late = next(t for t in times_of(frames, AUDIO)[47:])
        assert (late - second - ahead) % SOUND_STEP_90K == 0 or late - second == ahead
        assert min(steps_of(frames, AUDIO) | steps_of(frames, VIDEO)) >= 0


def test_two_playlists_are_given_out_in_the_order_of_time() -> None:
    frames = drain(merger_of([(0, pictures(0))], [(0, sounds(0))]))
    assert [frame.dts_90k for frame in frames] == sorted(frame.dts_90k for frame in frames)
    assert len(frames) == 25 + 47


def test_sound_from_before_the_first_picture_is_dropped() -> None:
    merger = merger_of([(0, pictures(90_000))], [(0, sounds(0, 94))])
    frames = drain(merger)
    assert times_of(frames, AUDIO)[0] == 90_240
    assert merger.dropped_frames == 47


def test_sound_from_before_the_first_picture_is_dropped_also_when_it_comes_late() -> None:
    merger = merger_of([(0, pictures(90_000))], [(0, sounds(0, 2))])
    merger.put(1, (0, 0), sounds(2 * SOUND_STEP_90K, 92))
    frames = drain(merger)
    assert times_of(frames, AUDIO)[0] == 90_240
    assert merger.dropped_frames == 47


def test_sound_on_the_other_side_of_a_turn_of_the_clock_is_in_step() -> None:
    merger = merger_of([(0, pictures(TURN_90K - 9000))], [(0, sounds(-7000 + 2 * SOUND_STEP_90K))])
    frames = drain(merger)
    assert times_of(frames, AUDIO)[0] == TURN_90K - 7000 + 2 * SOUND_STEP_90K


def test_a_demuxer_that_begins_anew_after_a_turn_of_the_clock_goes_on() -> None:
    merger = merger_of([(0, pictures(TURN_90K - 45_000)), (0, pictures(45_000))])
    assert steps_of(drain(merger), VIDEO) == {STEP_90K}


def test_sound_from_a_period_before_the_pictures_is_dropped() -> None:
    merger = merger_of([(4, pictures(700_000))], [(3, sounds(0)), (4, sounds(700_000))])
    frames = drain(merger)
    assert times_of(frames, AUDIO)[0] == 700_000


def test_playlists_that_count_discontinuities_otherwise_are_in_step_all_the_same() -> None:
    frames = drain(merger_of([(0, pictures(700_000))], [(5, sounds(701_000))]))
    assert (times_of(frames, VIDEO)[0], times_of(frames, AUDIO)[0]) == (700_000, 701_000)


def test_a_clock_that_falls_without_a_word_goes_on() -> None:
    frames = drain(merger_of([(0, muxed(9_000_000)), (0, muxed(0))]))
    assert min(steps_of(frames, VIDEO)) > 0
    assert max(steps_of(frames, VIDEO)) < 2 * STEP_90K
    assert min(steps_of(frames, AUDIO)) > 0


def test_a_hole_stays_a_hole() -> None:
    frames = drain(merger_of([(0, muxed(0)), (0, muxed(540_000))]))
    assert times_of(frames, VIDEO)[25] == 540_000


def given_out_s(merger: FrameMerger, until_s: float) -> list[float]:
    """When each picture comes, looked at every 20 ms."""
    found: list[float] = []
    for tick in range(int(until_s * 50)):
        taken = merger.take(tick * 0.02)
        found += [tick * 0.02 for frame in taken if frame.track is VIDEO]
    return found


@pytest.mark.parametrize("periods", [(0, 0), (0, 1)])
def test_segments_that_are_missing_are_waited_for(periods: tuple[int, int]) -> None:
    merger = FrameMerger(1)
    merger.put(0, (0, periods[0]), muxed(0))
    merger.hole(0, 4 * 90_000)
    merger.put(0, (0, periods[1]), muxed(5 * 90_000))
    merger.begin(0.0, 0.0)
    times_s = given_out_s(merger, 7.0)
    assert times_s[25] == pytest.approx(5.0, abs=0.15)
    assert times_s[-1] == pytest.approx(5.96, abs=0.15)


def test_segments_that_are_missing_of_picture_and_sound_are_waited_for() -> None:
    merger = FrameMerger(2)
    for rendition, made in enumerate((pictures, sounds)):
        merger.put(rendition, (0, 0), made(0))
        merger.hole(rendition, 4 * 90_000)
        merger.put(rendition, (0, 0), made(5 * 90_000))
    merger.begin(0.0, 0.0)
    assert given_out_s(merger, 7.0)[25] == pytest.approx(5.0, abs=0.15)


def test_a_clock_that_jumps_further_than_what_is_missing_is_not_waited_for() -> None:
    merger = FrameMerger(1)
    merger.put(0, (0, 0), muxed(0))
    merger.hole(0, 2 * 90_000)
    merger.put(0, (0, 0), muxed(60 * 90_000))
    merger.begin(0.0, 0.0)
    assert given_out_s(merger, 7.0)[25] == pytest.approx(1.0, abs=0.15)


def test_pictures_keep_their_distance_from_decoding_to_showing() -> None:
    reordered = [video(n * STEP_90K, key=n == 0, track=VIDEO, pts_90k=(n + 2) * STEP_90K) for n in range(5)]
    later = [
        video(8_000_000 + n * STEP_90K, key=n == 0, track=VIDEO, pts_90k=8_000_000 + (n + 2) * STEP_90K)
        for n in range(5)
    ]
    frames = drain(merger_of([(0, reordered), (1, later)]))
    assert {frame.pts_90k - frame.dts_90k for frame in frames} == {2 * STEP_90K}


def test_what_waits_is_counted() -> None:
    merger = FrameMerger(1)
    assert not merger
    for number in range(3):
        merger.put(0, (0, 0), pictures(number * 90_000))
        merger.segment_ends(0)
    merger.begin(0.0, 0.0)
    assert merger.queued_bytes == 75 * (FRAME_BYTES + 100)
    assert merger.segments_ahead(0) == 3
    assert merger.ahead_s(0) == pytest.approx(74 * 0.04)
    assert len(merger.take(0.0)) == 4
    assert merger.wait_s(0.0) == pytest.approx(0.16)
    assert merger.queued_bytes == 71 * (FRAME_BYTES + 100)
    for now in range(1, 40):
        merger.take(now * 0.04)
    assert merger.segments_ahead(0) == 2
    assert merger.wait_s(1.0) is not None
    drain_s = 200.0
    while merger.take(drain_s):
        drain_s += 1
    assert (merger.queued_bytes, merger.wait_s(drain_s), merger.ahead_s(0)) == (0, None, None)


@pytest.mark.parametrize("begun_ms", range(17_937_001, 17_937_051))
def test_a_frame_that_is_due_to_the_tick_is_given_out(begun_ms: int) -> None:
    """The clock of an event loop goes in milliseconds, and so does the time of pictures at 25 fps."""
    merger = FrameMerger(1)
    merger.put(0, (0, 0), pictures(12_345, 50))
    merger.begin(0.0, begun_ms / 1000)
    taken = 0
    for now_ms in range(begun_ms, begun_ms + 2000):
        taken += len(merger.take(now_ms / 1000))
    assert taken == 50


def test_many_discontinuities_leave_nothing_behind() -> None:
    merger = merger_of([(number, muxed(number * 7_000_000)) for number in range(100)])
    frames = drain(merger)
    assert steps_of(frames, AUDIO) == {SOUND_STEP_90K}
    assert len(merger._offsets) <= 8
    assert len(merger._references) <= 8
