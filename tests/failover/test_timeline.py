"""The timeline: whatever sources do, stream time rises, and sound stays with picture."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.failover.timeline import Timeline
from openstreamer.media.frame import Frame
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import Track
from tests.support.media import AUDIO, VIDEO, audio, video

START = 150_000_000_000_000  # Unix time in 90 kHz, as the supervisor anchors it
AAC_90K = Fraction(1024 * 90_000, 48_000)


def source(
    start_90k: int, seconds: float, *, audio_lead_90k: int = 0, millisecond: bool = False
) -> list[Frame]:
    """25 fps video and 48 kHz AAC from ``start_90k``, interleaved by time."""
    frames = [video(start_90k + n * 3600, key=n % 25 == 0) for n in range(int(seconds * 25))]
    count = int(seconds * 90_000 / AAC_90K)
    frames += [audio(start_90k + audio_lead_90k + round(n * AAC_90K)) for n in range(count)]
    if millisecond:
        for frame in frames:
            frame.pts_90k = frame.dts_90k = frame.dts_90k // 90 * 90
    first_video = frames[0]
    return [first_video, *sorted(frames[1:], key=lambda frame: frame.dts_90k)]


def of(frames: list[Frame], track_id: int) -> list[Frame]:
    return [frame for frame in frames if frame.track.id == track_id]


def assert_rising(frames: list[Frame]) -> None:
    for track in (VIDEO, AUDIO):
        times = [frame.dts_90k for frame in of(frames, track.id)]
        assert all(a < b for a, b in itertools.pairwise(times))


def test_the_first_frame_lands_on_the_anchor_and_the_offset_of_sound_is_kept() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    frames = timeline.map(source(7_000, 2, audio_lead_90k=500))
    assert frames[0].dts_90k == START
    assert of(frames, AUDIO.id)[0].dts_90k == START + 500


@given(st.integers(-(2**40), 2**40), st.integers(-(2**40), 2**40), st.integers(-3000, 3000))
def test_a_new_source_continues_where_the_old_one_ended(first: int, second: int, lead: int) -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    old = timeline.map(source(first, 1))
    end = timeline.end_90k
    assert timeline.begin_epoch() == 2
    new = timeline.map(source(second, 1, audio_lead_90k=lead))
    assert new[0].dts_90k == end
    assert {frame.epoch for frame in new} == {2}
    assert_rising(old + new)
    video_start, audio_start = (of(new, track.id)[-1].dts_90k for track in (VIDEO, AUDIO))
    want = of(source(second, 1, audio_lead_90k=lead), AUDIO.id)[-1].dts_90k - (second + 24 * 3600)
    # a seam of up to 2 ms is closed by counting samples on
    assert audio_start - video_start == pytest.approx(want, abs=180)


@given(st.integers(178_000, 10**10) | st.integers(-(10**10), -275_000), st.booleans())
def test_a_jump_of_the_sources_clock_is_closed_once_for_all_tracks(jump: int, audio_first: bool) -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    before, after = source(10**9, 1), source(10**9 + 90_000 + jump, 1)
    if audio_first:
        first = of(after, AUDIO.id)[0]
        straggler = of(before, VIDEO.id)[-1]
        before.remove(straggler)
    else:
        first = after[0]
        straggler = audio(of(before, AUDIO.id)[-1].dts_90k + 1920)
    rest = [frame for frame in after if frame is not first]
    frames = timeline.map(before) + timeline.map([first, straggler, *rest])
    assert timeline.jumps == 1
    assert_rising(frames)
    assert frames[-1].dts_90k - frames[0].dts_90k < 2.2 * 90_000
    unmapped = source(10**9 + 90_000 + jump, 1)
    offsets = [
        of(frames, track.id)[-1].dts_90k - of(unmapped, track.id)[-1].dts_90k for track in (VIDEO, AUDIO)
    ]
    assert abs(offsets[0] - offsets[1]) <= 1


def test_a_pause_under_two_seconds_stays_a_pause() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    frames = timeline.map([video(0, key=True), video(170_000, key=False)])
    assert frames[1].dts_90k - frames[0].dts_90k == 170_000
    assert timeline.jumps == 0


@pytest.mark.parametrize("seconds_apart", [2.1, 4, 5])
def test_the_pictures_of_a_slow_camera_are_no_jumps(seconds_apart: float) -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    step_90k = round(seconds_apart * 90_000)
    frames = timeline.map([video(7_000 + number * step_90k, key=True) for number in range(6)])
    assert [frame.dts_90k - START for frame in frames] == [number * step_90k for number in range(6)]
    assert (timeline.jumps, timeline.epoch) == (0, 1)
    assert timeline.usual_step_s(VIDEO.id) == step_90k / 90_000


@pytest.mark.parametrize(
    "times_s",
    [
        pytest.param([0, 0.04, 0.08, 3], id="a usual camera"),
        pytest.param([0, 4, 8, 5], id="backwards"),
        pytest.param([0, 4, 8, 16], id="too far"),
        pytest.param([0, 2.1, 4.2, 7.2], id="another pace"),
        pytest.param([0, 6], id="too slow"),
    ],
)
def test_a_step_that_is_not_the_pace_of_a_slow_camera_is_a_jump(times_s: list[float]) -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    timeline.map([video(round(at_s * 90_000), key=True) for at_s in times_s[:-1]])
    assert timeline.jumps == 0
    (frame,) = timeline.map([video(round(times_s[-1] * 90_000), key=True)])
    assert (timeline.jumps, frame.epoch) == (1, 2)


def test_a_slow_camera_is_followed_again_after_a_picture_was_lost() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    timeline.map([video(round(at_s * 90_000), key=True) for at_s in (0, 4, 8, 16, 20, 24)])
    assert timeline.jumps == 1


def test_sound_does_not_step_over_two_seconds() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    timeline.map([audio(0), audio(round(2.5 * 90_000))])
    assert timeline.jumps == 1


def test_the_usual_step_is_known_of_the_present_source_and_outlasts_a_pause() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    assert timeline.usual_step_s(VIDEO.id) == 0
    timeline.map([video(0, key=True)])
    assert timeline.usual_step_s(VIDEO.id) is None
    timeline.map([video(3600, key=False)])
    assert timeline.usual_step_s(VIDEO.id) == 0.04
    timeline.map([video(3600 + 170_000, key=False)])
    assert timeline.usual_step_s(VIDEO.id) == 0.04
    timeline.begin_epoch()
    assert timeline.usual_step_s(VIDEO.id) == 0
    timeline.map([video(0, key=True)])
    assert timeline.usual_step_s(VIDEO.id) is None


def test_how_far_apart_key_frames_are_is_known_of_the_present_source() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    assert timeline.key_distance_s(VIDEO.id) == 0
    timeline.map([video(n * 3600, key=n % 25 == 0) for n in range(60)])
    assert timeline.key_distance_s(VIDEO.id) == 1
    timeline.map([video(n * 3600, key=False) for n in range(60, 151)])
    assert timeline.key_distance_s(VIDEO.id) == 4
    timeline.map([video(151 * 3600, key=True), video(152 * 3600, key=False)])
    assert timeline.key_distance_s(VIDEO.id) == 101 / 25
    timeline.map([video(161 * 3600, key=True)])
    assert timeline.key_distance_s(VIDEO.id) == 0.4
    timeline.begin_epoch()
    assert timeline.key_distance_s(VIDEO.id) == 0


def test_millisecond_stamps_become_exact_sample_times() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    frames = of(timeline.map(source(0, 20, millisecond=True)), AUDIO.id)
    for number, frame in enumerate(frames):
        assert abs(frame.dts_90k - frames[0].dts_90k - number * AAC_90K) <= 1


def test_repeated_video_stamps_still_rise_and_no_coded_frame_is_lost() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    frames = timeline.map(
        [video(0, key=True), video(0, key=False), video(0, key=False), video(3600, key=False)]
    )
    assert len(frames) == 4
    assert_rising(frames)


def test_audio_that_repeats_time_already_covered_is_left_out_and_counted() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    timeline.map([video(0, key=True), audio(0), audio(1920), audio(3840)])
    assert timeline.map([audio(1920)]) == []
    assert timeline.dropped_frames == 1
    assert len(timeline.map([audio(5760)])) == 1


def test_composition_offsets_survive() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    frames = timeline.map(
        [
            video(0, key=True, pts_90k=7200),
            video(3600, key=False, pts_90k=18000),
            video(7200, key=False, pts_90k=10800),
        ]
    )
    assert [frame.pts_90k - frame.dts_90k for frame in frames] == [7200, 14400, 3600]


@pytest.mark.parametrize("offset_ms", [0x7FFFFF, -0x800000])
def test_a_picture_is_not_shown_hours_away_from_its_decoding(offset_ms: int) -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    (frame,) = timeline.map([video(0, key=True, pts_90k=offset_ms * 90)])
    assert frame.pts_90k == frame.dts_90k == START


def test_malformed_sound_is_dropped_and_counted() -> None:
    opus = Track(AUDIO.id, OpusConfig())
    timeline = Timeline(START)
    timeline.begin_epoch()
    packets = [Frame(opus, number * 1800, number * 1800, False, b"\xfc\x00") for number in range(3)]
    packets[1].payload = b"\x03\x00"  # a packet of no frames
    placed = timeline.map(packets)
    assert [frame.dts_90k - START for frame in placed] == [0, 3600]
    assert timeline.dropped_frames == 1


@pytest.mark.parametrize("apart_s", [-70_000, -40, 40, 70_000])
def test_tracks_that_begin_on_different_clocks_leave_no_hole(apart_s: int) -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    frames = timeline.map(source(10_000_000_000, 4, audio_lead_90k=apart_s * 90_000))
    assert_rising(frames)
    assert min(frame.dts_90k for frame in frames) >= START
    assert timeline.end_90k - START < 12 * 90_000


def test_tracks_that_jump_to_different_times_leave_no_hole() -> None:
    timeline = Timeline(START)
    timeline.begin_epoch()
    timeline.map(source(0, 2))
    pictures = [video(1 << 31, key=True), *(video((1 << 31) + n * 3600, key=False) for n in range(1, 25))]
    sounds = [audio((1 << 32) + round(n * AAC_90K)) for n in range(40)]
    frames = timeline.map([pictures[0], sounds[0], *pictures[1:], *sounds[1:]])
    assert_rising(frames)
    assert timeline.end_90k - START < 6 * 90_000
