"""The packager of a rendition: where parts and segments begin and end. Playlists are checked on the way."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager.live import LivePackager
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import PartReady
from openstreamer.packager.sound import MAX_WAITING_AUDIO_FRAMES
from tests.support.clips import clip
from tests.support.hls_checker import HlsChecker
from tests.support.made_streams import START_90K, MadeStream
from tests.support.media import AUDIO, AUDIO_44K, OTHER_VIDEO, PPS, SPS, VIDEO, audio, video
from tests.support.mp4_reader import samples
from tests.support.watching import FIRST_MSN, Watched, media

NTSC_FILM, NTSC, NTSC_DOUBLE = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)
AC3 = Track(2, clip(video=None, audio="ac3")[0].track.audio)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(MadeStream(), id="30 fps"),
        pytest.param(MadeStream(fps=NTSC, gop=60, stamps_ms=True), id="29.97 fps in milliseconds"),
        pytest.param(MadeStream(fps=NTSC_FILM, gop=48, reorder=2), id="23.976 fps with B-frames"),
        pytest.param(MadeStream(fps=NTSC_FILM, gop=48, stamps_ms=True), id="23.976 fps in milliseconds"),
        pytest.param(MadeStream(fps=NTSC_DOUBLE, gop=120, stamps_ms=True), id="59.94 fps in milliseconds"),
        pytest.param(MadeStream(fps=Fraction(25), gop=48), id="key frames every 1.92 s"),
        pytest.param(MadeStream(fps=Fraction(15), gop=30, stamps_ms=True), id="15 fps in milliseconds"),
        pytest.param(MadeStream(fps=Fraction(5), gop=10), id="5 fps"),
        pytest.param(MadeStream(fps=Fraction(1), gop=2), id="1 fps"),
        pytest.param(MadeStream(audio=AUDIO_44K), id="44.1 kHz"),
        pytest.param(MadeStream(audio=None), id="video only"),
        pytest.param(MadeStream(video=None), id="audio only"),
        pytest.param(MadeStream(audio_late_s=1.5), id="audio 1.5 s late"),
    ],
)
def test_playlists_keep_every_rule(stream: MadeStream) -> None:
    watched = Watched().run(replace(stream, seconds=40))

    watched.assert_no_problems()
    assert watched.presentation.packager.target_duration_s == 2


def ready_at(stream: MadeStream, *, held: bool) -> dict[object, int]:
    """By what became ready, the number of the frame that made it so: frames pushed one by one, or held until
    the packager has a use for them."""
    packager = LivePackager(PackagerOptions(), FIRST_MSN)
    found: dict[object, int] = {}
    waiting: list[Frame] = []
    pushes = now_90k = 0
    for number, frame in enumerate(stream.frames()):
        waiting.append(frame)
        now_90k = frame.dts_90k if frame.track.is_video or stream.video is None else now_90k
        if held and not frame.key and now_90k < packager.due_90k:
            continue
        for event in packager.push(waiting, stream.tracks, frame.pts_90k // 90):
            part = event.part.data if isinstance(event, PartReady) else None
            found[event.kind, event.segment.msn, part] = number
        waiting = []
        pushes += 1
    if held and stream.video is not None:
        assert pushes < number / 2
    return found


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(MadeStream(), id="30 fps"),
        pytest.param(MadeStream(fps=NTSC, gop=60, stamps_ms=True), id="29.97 fps in milliseconds"),
        pytest.param(MadeStream(fps=NTSC_FILM, gop=240, reorder=2), id="23.976 fps with B-frames, long GOPs"),
        pytest.param(MadeStream(fps=NTSC_DOUBLE, gop=120, stamps_ms=True), id="59.94 fps in milliseconds"),
        pytest.param(MadeStream(audio=AUDIO_44K, stamps_ms=True), id="44.1 kHz in milliseconds"),
        pytest.param(MadeStream(audio=None), id="video only"),
        pytest.param(MadeStream(video=None), id="audio only"),
    ],
)
def test_frames_may_be_held_until_they_are_due_and_nothing_becomes_ready_later(stream: MadeStream) -> None:
    stream = replace(stream, seconds=20)
    assert ready_at(stream, held=True) == ready_at(stream, held=False)


def test_key_frames_ten_seconds_apart_let_the_target_duration_grow_once() -> None:
    watched = Watched(HlsChecker(target_may_grow=True)).run(MadeStream(seconds=82, fps=Fraction(25), gop=250))

    watched.assert_no_problems()
    assert watched.presentation.packager.target_duration_s == 10
    assert {round(segment.duration_s) for segment in watched.video} == {10}


def test_segments_begin_at_the_first_key_frame_at_the_target() -> None:
    watched = Watched().run(MadeStream(seconds=11, gop=15))

    assert [segment.duration_s for segment in watched.video] == [1.0, 2.0, 2.0, 2.0, 2.0]
    assert [segment.msn for segment in watched.video] == list(range(FIRST_MSN, FIRST_MSN + 5))


def test_parts_are_whole_frames_and_close_to_the_target() -> None:
    watched = Watched().run(MadeStream(seconds=10, fps=Fraction(25), gop=50))

    durations = [round(part.duration_s, 3) for part in watched.video[1].parts]
    assert durations == [0.32] * 6 + [0.08]


def test_a_part_that_begins_with_a_key_frame_is_independent() -> None:
    watched = Watched().run(MadeStream(seconds=10, gop=30))

    assert [part.independent for part in watched.video[1].parts] == [True, False, False] * 2
    for event in watched.parts(TrackKind.VIDEO):
        assert samples(event.part.data)[0].key is event.part.independent


def test_every_frame_comes_out_once_with_its_times() -> None:
    stream = MadeStream(seconds=9, fps=NTSC_FILM, gop=48, reorder=2)
    watched = Watched().run(stream).flush()

    frames = [frame for frame in stream.frames() if frame.track is VIDEO]
    found = media(watched.video)
    assert [(s.decode_time, s.composition_offset, s.key, s.data) for s in found] == [
        (frame.dts_90k, frame.pts_90k - frame.dts_90k, frame.key, frame.payload) for frame in frames
    ]
    for sample, following in pairwise(found):
        assert sample.decode_time + sample.duration == following.decode_time


def test_44100_hz_counts_samples_without_drift_from_stamps_in_milliseconds() -> None:
    watched = (
        Watched(blind=True)
        .run(MadeStream(seconds=60, fps=Fraction(5), gop=5, audio=AUDIO_44K, stamps_ms=True))
        .flush()
    )

    found = media(watched.audio)
    assert {sample.duration for sample in found} == {1024}
    times = [sample.decode_time for sample in found]
    assert times == list(range(times[0], times[0] + 1024 * len(times), 1024))


def test_audio_is_cut_at_the_frame_nearest_to_the_video_cut() -> None:
    watched = Watched().run(MadeStream(seconds=20))

    for of_video, of_audio in zip(watched.video, watched.audio, strict=False):
        assert of_video.msn == of_audio.msn
        assert abs(of_video.start_pts_90k - of_audio.start_pts_90k) <= 960  # half an AAC frame


def test_audio_before_the_first_picture_is_dropped() -> None:
    watched = Watched()
    early = [audio(START_90K + index * 1920) for index in range(40)]
    late = MadeStream(start_90k=START_90K + 90_000, seconds=6).frames()
    for frame in early:
        watched.take(watched.presentation.push([frame], (VIDEO, AUDIO), 0))
    for frame in late:
        watched.take(watched.presentation.push([frame], (VIDEO, AUDIO), 0))

    assert watched.audio[0].start_pts_90k >= START_90K + 90_000 - 960


def test_nothing_begins_before_a_key_frame() -> None:
    packager = LivePackager(PackagerOptions(), FIRST_MSN)
    frames = [video(START_90K + index * 3000, key=False) for index in range(90)]

    assert packager.push(frames, (VIDEO,), 0) == []
    assert packager.dropped_frames == 90


def test_a_new_source_with_the_same_configuration_is_no_discontinuity() -> None:
    first = MadeStream(seconds=7.5)
    watched = Watched().run(first, first.after(seconds=30))

    watched.assert_no_problems()
    assert not any(segment.opening.discontinuity for segment in watched.video + watched.audio)
    cut = next(segment for segment in watched.video if segment.opening.epoch == 2)
    assert cut.start_pts_90k == first.end_90k
    assert "#EXT-X-DISCONTINUITY\n" not in watched.text("video.m3u8")
    assert len({segment.init for segment in watched.video}) == 1


@pytest.mark.parametrize(
    ("change", "kinds"),
    [
        ({"video": OTHER_VIDEO}, {TrackKind.VIDEO}),
        ({"audio": AUDIO_44K}, {TrackKind.AUDIO}),
        ({"video": OTHER_VIDEO, "audio": AUDIO_44K}, {TrackKind.VIDEO, TrackKind.AUDIO}),
    ],
)
def test_a_parameter_change_is_one_discontinuity_at_the_same_number_everywhere(
    change: dict[str, Track], kinds: set[TrackKind]
) -> None:
    first = MadeStream(seconds=7.5)
    watched = Watched().run(first, first.after(seconds=30, **change))

    watched.assert_no_problems()
    marked = [[s.msn for s in track if s.opening.discontinuity] for track in (watched.video, watched.audio)]
    assert marked[0] == marked[1]
    assert len(marked[0]) == 1
    for kind, track in ((TrackKind.VIDEO, watched.video), (TrackKind.AUDIO, watched.audio)):
        inits = dict.fromkeys(segment.init for segment in track)
        assert len(inits) == (2 if kind in kinds else 1)


def test_a_discontinuity_that_slid_out_is_counted() -> None:
    first = MadeStream(seconds=7)
    watched = Watched().run(first, first.after(video=OTHER_VIDEO, seconds=40))

    text = watched.text("video.m3u8")
    assert "#EXT-X-DISCONTINUITY\n" not in text
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in text
    watched.assert_no_problems()


def test_a_number_given_by_the_source_is_no_parameter() -> None:
    first = MadeStream(seconds=7)
    renumbered = first.after(video=Track(256, VIDEO.config), audio=Track(257, AUDIO.config), seconds=20)
    watched = Watched().run(first, renumbered)

    watched.assert_no_problems()
    assert not any(segment.opening.discontinuity for segment in watched.video)


def test_part_target_stays_when_the_new_frames_fill_it() -> None:
    first = MadeStream(seconds=7.5)
    watched = Watched().run(first, first.after(fps=Fraction(25), gop=25, seconds=30))

    watched.assert_no_problems()
    assert watched.presentation.packager.part_target_s == 0.334


def test_part_target_changes_when_no_number_of_new_frames_fills_it() -> None:
    first = MadeStream(seconds=7)
    watched = Watched().run(first, first.after(fps=Fraction(5), gop=10, seconds=30))

    assert watched.presentation.packager.part_target_s == 0.2
    assert {problem.rule for problem in watched.checker.problems} == {"part-target-changed", "parts-missing"}


def test_silent_video_does_not_hold_audio_up_and_returns_with_a_key_frame() -> None:
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(MadeStream(seconds=31, video_silent=(7.3, 13)))

    watched.assert_no_problems()
    assert [s.msn - FIRST_MSN for s in watched.video if s.gap] == [5, 6]
    assert not any(s.gap for s in watched.audio)
    assert all(s.independent for s in watched.video)


def test_a_track_that_never_comes_is_not_offered() -> None:
    watched = Watched().run(MadeStream(seconds=20, audio=AC3, audio_silent=(0, 99)))

    assert [track.kind for track in watched.presentation.packager.playing] == [TrackKind.VIDEO]
    assert watched.text("video.m3u8").count("video_") > 6
    assert "audio" not in watched.text("index.m3u8")


def test_audio_goes_on_when_video_never_comes() -> None:
    watched = Watched().run(MadeStream(seconds=20, video_silent=(0, 99)))

    assert [track.kind for track in watched.presentation.packager.playing] == [TrackKind.AUDIO]
    assert len(watched.audio) > 5


def test_a_track_that_ceased_to_exist_leaves_when_its_media_slid_out() -> None:
    first = MadeStream(seconds=7, audio=AC3)
    second = first.after(audio=None, seconds=60)
    watched = Watched(HlsChecker()).run(first)
    watched.checker = HlsChecker()
    watched.run(second)

    assert watched.presentation.packager.audio is None
    assert [s.opening.discontinuity for s in watched.video].count(True) == 1


def test_a_track_that_is_new_joins_at_a_discontinuity() -> None:
    first = MadeStream(seconds=7, audio=None)
    watched = Watched().run(first, first.after(audio=AUDIO, seconds=30))

    watched.assert_no_problems()
    assert watched.audio[0].opening.discontinuity


def test_after_a_flush_the_playlist_goes_on_with_a_new_segment() -> None:
    first = MadeStream(seconds=7.4)
    watched = Watched().run(first).flush()
    assert sum(len(samples(b"".join(s.chunks))) for s in watched.video) == 222

    watched.wall_offset_ms += 10_000  # the publisher was away for ten seconds
    watched.checker = HlsChecker(continuous=False)
    watched.run(first.after(seconds=30))

    watched.assert_no_problems()
    back = next(s for s in watched.video if s.opening.epoch == 2)
    before = watched.video[back.msn - FIRST_MSN - 1]
    assert back.program_date_time_ms - before.program_date_time_ms == pytest.approx(10_400, abs=60)


def test_a_flush_of_nothing_is_nothing() -> None:
    assert Watched().flush().events == []


def test_program_date_time_never_falls() -> None:
    first = MadeStream(seconds=7)
    watched = Watched().run(first)
    watched.wall_offset_ms -= 5_000  # somebody set the clock back
    watched.run(first.after(seconds=30))

    watched.assert_no_problems()


@pytest.mark.parametrize(("from_s", "until_s", "frames"), [(12.2, 12.9, 21), (12.34, 12.53, 6)])
def test_a_picture_that_stands_keeps_its_duration(from_s: float, until_s: float, frames: int) -> None:
    stream = MadeStream(seconds=30, audio=None)
    moving = [f for f in stream.frames() if not from_s < (f.dts_90k - START_90K) / 90_000 < until_s]
    watched = Watched(HlsChecker(tracks_may_stall=True))
    for frame in moving:
        watched.take(watched.presentation.push([frame], (VIDEO,), frame.pts_90k // 90))

    watched.assert_no_problems()
    assert {round(s.duration_s, 3) for s in watched.video[1:]} == {2.0}
    assert max(sample.duration for sample in media(watched.video)) == frames * 3000


def test_decode_times_rise_whatever_the_source_says() -> None:
    frames = [
        video(START_90K + at, key=index == 0) for index, at in enumerate((0, 3000, 3000, 2000, 9000, 12_000))
    ]
    watched = Watched()
    watched.take(watched.presentation.push(frames, (VIDEO,), 0))
    watched.flush()

    times = [sample.decode_time - START_90K for sample in media(watched.video)]
    assert times == [0, 3000, 3001, 3002, 9000, 12_000]


def test_a_hole_of_many_seconds_is_no_frame() -> None:
    stream = MadeStream(seconds=5, audio=None)
    after = MadeStream(seconds=5, audio=None, start_90k=stream.end_90k + 20 * 90_000)
    watched = Watched(HlsChecker(continuous=False)).run(stream, after)

    assert max(sample.duration for sample in media(watched.video)) == 3000


def test_audio_that_repeats_covered_time_is_dropped() -> None:
    stream = MadeStream(seconds=3, video=None)
    again = MadeStream(seconds=3, video=None, start_90k=stream.end_90k - 9_000, epoch=2)
    watched = Watched().run(stream, again).flush()

    found = media(watched.audio)
    assert watched.presentation.packager.audio is not None
    assert watched.presentation.packager.audio.dropped_frames == 5
    for sample, following in pairwise(found):
        assert following.decode_time >= sample.decode_time + sample.duration


def test_lost_audio_frames_leave_no_hole_in_a_part() -> None:
    stream = MadeStream(seconds=6, audio_silent=(3.5, 3.6))
    watched = Watched().run(stream).flush()

    found = media(watched.audio)
    assert max(sample.duration for sample in found) > 4 * 1024
    for sample, following in pairwise(found):
        assert sample.decode_time + sample.duration == following.decode_time


def test_a_stream_without_further_key_frames_does_not_fill_the_memory() -> None:
    watched = Watched(blind=True).run(MadeStream(seconds=130, fps=Fraction(5), gop=100_000))

    assert [round(s.duration_s) for s in watched.video] == [20] * 6
    assert "#EXT-X-INDEPENDENT-SEGMENTS" not in watched.text("video.m3u8")


def test_key_frames_that_come_back_after_long_begin_the_segments() -> None:
    watched = Watched(blind=True).run(
        MadeStream(seconds=50 * 3, fps=Fraction(5), gop=250),
        MadeStream(seconds=142, fps=Fraction(5), gop=100_000, epoch=1, start_90k=START_90K + 150 * 90_000),
    )

    cuts = [(round(segment.duration_s), segment.independent) for segment in watched.video]
    before_they_recur = [(20, True), (20, False), (10, False)]
    after_they_ended = [(60, True), *([(20, False)] * 4)]
    assert cuts == [*before_they_recur, (50, True), (50, True), *after_they_ended]


def test_a_stream_whose_every_picture_is_a_segment_can_be_played() -> None:
    watched = Watched().run(MadeStream(seconds=330, fps=Fraction(1, 2), gop=1, audio=None))

    watched.assert_no_problems()
    assert watched.presentation.packager.part_target_s == 2


def test_a_stream_whose_every_picture_has_other_parameters_can_be_played() -> None:
    packager = Watched(blind=True)
    for index in range(40):
        track = Track(1, H264Config((SPS,), (PPS + bytes([0x80 | index]),)))
        frame = video(START_90K + index * 3600, key=True, track=track)
        packager.take(packager.presentation.push([frame], (track,), 0))

    assert "#EXT-X-DISCONTINUITY" in packager.text("video.m3u8")


@pytest.mark.parametrize("key", [True, False])
def test_frames_that_all_bear_one_time_do_not_fill_the_memory(key: bool) -> None:
    options = PackagerOptions(max_part_bytes=20_000, max_segment_bytes=100_000, max_window_bytes=400_000)
    packager = LivePackager(options, FIRST_MSN)
    largest_bytes = 0
    for index in range(2000):
        frame = video(START_90K, key=key or index == 0, size=1000)
        packager.push([frame], (VIDEO,), 0)
        assert packager.video is not None
        largest_bytes = max(largest_bytes, packager.video.window.media_bytes)

    assert 300_000 < largest_bytes < 430_000
    assert len(packager.video.window.closed) > 1


def test_a_part_of_countless_frames_is_closed_however_short_it_lasts() -> None:
    packager = LivePackager(PackagerOptions(max_part_frames=50), FIRST_MSN)
    packager.push([video(START_90K, key=index == 0) for index in range(201)], (VIDEO,), 0)

    assert packager.video is not None
    assert packager.video.window.open is not None
    assert [len(samples(part.data)) for part in packager.video.window.open.parts] == [50] * 4


def test_audio_of_a_video_that_never_starts_is_bounded() -> None:
    packager = LivePackager(PackagerOptions(), FIRST_MSN)
    frames = [audio(START_90K) for _ in range(MAX_WAITING_AUDIO_FRAMES + 500)]

    packager.push(frames, (VIDEO, AUDIO), 0)

    assert packager.dropped_frames == 500


def test_malformed_audio_is_dropped_and_counted() -> None:
    track = Track(2, OpusConfig())
    packager = LivePackager(PackagerOptions(), FIRST_MSN)
    packager.push([audio(START_90K, key=True, size=0, track=track)], (track,), 0)

    assert packager.audio is not None
    assert packager.audio.dropped_frames == 1


def test_frames_of_further_tracks_are_left_out() -> None:
    second = Track(9, AUDIO.config)
    stream = MadeStream(seconds=5)
    packager = LivePackager(PackagerOptions(), FIRST_MSN)
    for frame in stream.frames():
        packager.push([frame, audio(frame.pts_90k, track=second)], (*stream.tracks, second), 0)

    assert packager.dropped_frames == len(stream.frames())


def test_only_the_window_and_the_grace_segments_are_kept() -> None:
    options = PackagerOptions(window_segments=6, history_segments=1, grace_segments=2)
    watched = Watched(options=options, blind=True).run(MadeStream(seconds=40))

    window = watched.presentation.packager.video
    assert window is not None
    assert len(window.window.closed) == 9
    assert len(window.window.listed) == 6
    assert window.window.media_bytes == sum(s.size_bytes for s in window.window.closed) + (
        window.window.open.size_bytes if window.window.open else 0
    )


def test_audio_lost_around_a_cut_leaves_no_hole() -> None:
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(MadeStream(seconds=30, audio_silent=(4.6, 5.9)))

    watched.assert_no_problems()
    assert not any(s.gap for s in watched.audio)
    found = media(watched.audio)
    assert max(sample.duration for sample in found) > 1.3 * 48_000
    for sample, following in pairwise(found):
        assert sample.decode_time + sample.duration == following.decode_time


def test_seconds_of_lost_audio_are_a_hole() -> None:
    stream = MadeStream(seconds=30, audio=AC3, audio_silent=(7, 13))
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(stream)

    assert max(sample.duration for sample in media(watched.audio)) == 1536


def test_tracks_that_are_announced_before_their_frames_change_nothing_early() -> None:
    first = MadeStream(seconds=7.5)
    changed = replace(first.after(audio=AUDIO_44K, seconds=20), epoch=1)
    frames = [*first.frames(), *changed.frames()]
    watched = Watched(blind=True)
    watched.take(watched.presentation.push(frames[:300], first.tracks, 0))
    watched.take(watched.presentation.push(frames[300:], changed.tracks, 0))

    before = [s for s in watched.audio if s.init is watched.audio[0].init]
    assert len(media(before)) == sum(frame.track is AUDIO for frame in first.frames())


def test_audio_that_arrives_before_the_first_picture_of_its_time_is_kept() -> None:
    frames = MadeStream(seconds=6).frames()
    sound = [frame for frame in frames if frame.track is AUDIO and frame.pts_90k < START_90K + 45_000]
    rest = [frame for frame in frames if frame not in sound]
    watched = Watched(blind=True)
    for frame in [*sound, *rest]:
        watched.take(watched.presentation.push([frame], (VIDEO, AUDIO), 0))
    watched.flush()

    assert watched.audio[0].start_pts_90k == START_90K
    assert watched.presentation.packager.dropped_frames == 0


def test_a_picture_joins_a_stream_that_had_sound_only() -> None:
    first = MadeStream(seconds=7, video=None)
    watched = Watched().run(first, first.after(video=VIDEO, seconds=30))

    watched.assert_no_problems()
    assert not any(s.gap for s in watched.video + watched.audio)
    assert watched.video[0].opening.discontinuity


def test_the_last_segment_of_audio_alone_is_as_long_as_its_audio() -> None:
    watched = Watched(blind=True).run(MadeStream(seconds=3.6, video=None)).flush()

    assert watched.audio[-1].duration_s == pytest.approx(0.6, abs=0.03)
