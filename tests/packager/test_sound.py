"""The sound of a rendition: where it changes, falls silent, comes late. Playlists are checked on the way."""

from dataclasses import replace
from itertools import pairwise

import pytest

from openstreamer.media.track import Track
from openstreamer.packager.silence import silent_frame
from tests.support.clips import clip
from tests.support.hls_checker import HlsChecker
from tests.support.made_streams import START_90K, MadeStream
from tests.support.media import AUDIO, AUDIO_44K, OTHER_VIDEO, VIDEO
from tests.support.watching import FIRST_MSN, Watched, media

AC3 = Track(2, clip(video=None, audio="ac3")[0].track.audio)


def watch_sound_change(
    first: MadeStream, second: MadeStream, *, left_over: int = 0, late_frames: int = 0
) -> Watched:
    """``first`` and then ``second`` as one source whose clock goes on, which learns of a change of the sound
    from the sound itself. Behind the first picture of ``second`` comes sound that was left over of ``first``;
    ``late_frames`` pictures later the sound of ``second`` does."""
    second = replace(second, epoch=first.epoch)
    pictures = [frame for frame in second.frames() if frame.track.is_video]
    sound = [frame for frame in second.frames() if not frame.track.is_video]
    rest = [frame for frame in replace(first, start_90k=first.end_90k).frames() if frame.track is first.audio]
    changed = [*pictures[:1], *rest[:left_over], *pictures[1 : late_frames + 1]]
    changed += sorted([*sound, *pictures[late_frames + 1 :]], key=lambda frame: frame.dts_90k)
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(first)
    announced = first.tracks
    for frame in changed:
        if frame.track is second.audio:
            announced = second.tracks
        watched.take(watched.presentation.push([frame], announced, frame.pts_90k // 90 + 300))
    return watched.flush()


def marked_numbers(watched: Watched) -> list[int]:
    """The segments with a discontinuity, which are the same in both playlists."""
    marked = [[s.msn for s in track if s.opening.discontinuity] for track in (watched.video, watched.audio)]
    assert marked[0] == marked[1]
    return marked[0]


@pytest.mark.parametrize("left_over", [0, 3])
@pytest.mark.parametrize("picture", [VIDEO, OTHER_VIDEO])
@pytest.mark.parametrize("sound", [AC3, AUDIO_44K])
def test_sound_that_changes_just_after_the_first_picture_changes_there(
    left_over: int, picture: Track, sound: Track
) -> None:
    first = MadeStream(seconds=7.5, gop=60)
    second = first.after(video=picture, audio=sound, seconds=20)
    watched = watch_sound_change(first, second, left_over=left_over, late_frames=4)

    assert not watched.checker.problems
    (number,) = marked_numbers(watched)
    changed = [s for s in watched.audio if s.msn >= number]
    assert changed[0].opening.pts_90k == first.end_90k
    assert {s.init.track.config for s in changed if s.init is not None} == {sound.config}
    assert len(media(changed)) == sum(frame.track is sound for frame in second.frames())
    assert len({s.init for s in watched.video}) == (1 if picture is VIDEO else 2)


@pytest.mark.parametrize(("picture", "found_at_once"), [(VIDEO, False), (OTHER_VIDEO, True)])
def test_sound_that_changes_behind_the_first_part_changes_where_the_picture_did_or_at_its_next_key_frame(
    picture: Track, found_at_once: bool
) -> None:
    first = MadeStream(seconds=7.5, gop=60)
    second = first.after(video=picture, audio=AC3, seconds=20)
    watched = watch_sound_change(first, second, late_frames=15)

    assert not watched.checker.problems
    (number,) = marked_numbers(watched)
    begins_90k = next(s for s in watched.video if s.msn == number).start_pts_90k
    assert begins_90k == first.end_90k + (0 if found_at_once else 180_000)


def test_sound_that_a_source_has_after_all_joins_at_its_first_picture() -> None:
    first = MadeStream(seconds=7.5, gop=60, audio=None)
    watched = watch_sound_change(first, first.after(audio=AUDIO, seconds=20), late_frames=4)

    assert not watched.checker.problems
    assert [s.start_pts_90k for s in watched.audio if s.opening.discontinuity] == [first.end_90k]
    assert sum(s.opening.discontinuity for s in watched.video) == 1


def test_sound_that_changes_to_and_fro_is_a_discontinuity_once_a_segment() -> None:
    first = MadeStream(seconds=7.5, gop=60)
    second = replace(first.after(seconds=20), epoch=first.epoch)
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(first)
    for number, frame in enumerate(second.frames()):
        if frame.track is AUDIO and number < 60 and number % 4 < 2:
            frame.track = AUDIO_44K
        watched.take(watched.presentation.push([frame], second.tracks, frame.pts_90k // 90 + 300))

    assert not watched.checker.problems
    changed, changed_back = marked_numbers(watched)
    assert changed_back == changed + 1


def test_audio_that_changes_alone_waits_for_the_next_key_frame() -> None:
    first = MadeStream(seconds=7.5)
    changed = replace(first.after(audio=AUDIO_44K, seconds=20), epoch=1)
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(first, changed)

    watched.assert_no_problems()
    assert [s.msn for s in watched.video if s.opening.discontinuity] == [
        s.msn for s in watched.audio if s.opening.discontinuity
    ]
    assert all(s.independent for s in watched.video)


def test_silence_lasts_from_the_end_of_the_old_sound_to_the_key_frame_where_the_new_sound_begins() -> None:
    first = MadeStream(seconds=13, gop=120)
    watched = Watched()
    for frame in replace(first, seconds=30).frames():
        if frame.track is AUDIO and frame.pts_90k >= first.end_90k:
            frame.track = AUDIO_44K
        watched.take(watched.presentation.push([frame], first.tracks, frame.pts_90k // 90 + 300))

    watched.assert_no_problems()
    (number,) = marked_numbers(watched)
    assert watched.video[number - FIRST_MSN].start_pts_90k == START_90K + 16 * 90_000
    found = media([s for s in watched.audio if s.msn < number])
    for sample, following in pairwise(found):
        assert sample.decode_time + sample.duration == following.decode_time
    silent = [sample for sample in found if sample.data == silent_frame(AUDIO.audio)]
    assert len(silent) * 1024 / 48_000 == pytest.approx(3, abs=0.05)


def test_silent_audio_does_not_hold_video_up_and_is_replaced_by_silence() -> None:
    watched = Watched().run(MadeStream(seconds=30, audio_silent=(7, 13)))

    watched.assert_no_problems()
    assert [s.duration_s for s in watched.video] == [1.0] + [2.0] * 14
    assert not any(s.gap for s in watched.audio)
    silent = [sample.data for sample in media(watched.audio) if sample.data == silent_frame(AUDIO.audio)]
    assert len(silent) * 1024 / 48_000 == pytest.approx(6, abs=0.05)


def test_audio_that_falls_silent_again_and_again_is_replaced_every_time() -> None:
    holes_s = [(7, 10.5), (17, 20.5), (27, 30.5)]
    stream = MadeStream(seconds=36)
    watched = Watched()
    for frame in stream.frames():
        at_s = (frame.pts_90k - START_90K) / 90_000
        if frame.track is not AUDIO or not any(start <= at_s < end for start, end in holes_s):
            watched.take(watched.presentation.push([frame], stream.tracks, frame.pts_90k // 90))

    watched.assert_no_problems()
    made_up = [sample for sample in media(watched.audio) if sample.data == silent_frame(AUDIO.audio)]
    assert len(made_up) * 1024 / 48_000 == pytest.approx(3 * 3.5, abs=0.1)


def test_silent_audio_of_a_codec_without_coded_silence_leaves_gaps() -> None:
    stream = MadeStream(seconds=30, audio=AC3, audio_silent=(7, 13))
    watched = Watched(HlsChecker(tracks_may_stall=True)).run(stream)

    watched.assert_no_problems()
    assert [s.duration_s for s in watched.video] == [1.0] + [2.0] * 14
    assert [s.msn - FIRST_MSN for s in watched.audio if s.gap] == [4, 5, 6]
    assert "#EXT-X-GAP" in watched.text("audio.m3u8")
    assert not watched.audio[-1].gap


def test_audio_that_is_very_late_is_waited_for_once_that_is_known() -> None:
    watched = Watched().run(MadeStream(seconds=40, audio_late_s=3))

    watched.assert_no_problems()
    made_up = silent_frame(AUDIO.audio)
    assert not any(sample.data == made_up for sample in media(watched.audio[6:]))


def test_a_source_without_audio_goes_on_with_silence() -> None:
    first = MadeStream(seconds=7)
    second = first.after(audio=None, seconds=20)
    watched = Watched().run(first, second, second.after(audio=AUDIO, seconds=20))

    watched.assert_no_problems()
    assert not any(s.gap for s in watched.audio)
    assert [s.opening.discontinuity for s in watched.audio].count(True) == 2
