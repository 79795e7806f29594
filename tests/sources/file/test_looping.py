"""Pass after pass: no gap, no overlap, and picture and sound never apart, however often."""

import itertools
from fractions import Fraction

import pytest

from openstreamer.media.aac import AacConfig
from openstreamer.media.clock import frames_to_90k, rescale
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.file.looping import PassClock
from tests.support.media import AAC_48K_STEREO, AUDIO, VIDEO, audio, video

AAC_44K_STEREO = Track(2, AacConfig(bytes.fromhex("1210")))


def one_pass(pictures: int, sounds: int, priming: int = 0, *, sound: Track = AUDIO) -> list[Frame]:
    """25 pictures per second, and sound that begins ``priming`` frames early; in decoding order."""
    rate = sound.audio.timescale
    frames = [video(number * 3600, key=number == 0) for number in range(pictures)]
    frames += [
        audio(rescale((number - priming) * 1024, rate, 90_000), track=sound) for number in range(sounds)
    ]
    return sorted(frames, key=lambda frame: frame.dts_90k)


def numbered(pictures: int, sounds: int) -> list[Frame]:
    """A pass whose frames can be told apart by their payload."""
    frames = one_pass(pictures, sounds)
    for number, frame in enumerate(frames):
        frame.payload = bytes((0xFF, number))
    return frames


def played(passes: int, **arguments: int) -> tuple[PassClock, list[Frame]]:
    clock = PassClock()
    out: list[Frame] = []
    for _ in range(passes):
        out += clock.place(one_pass(**arguments))
        clock.end_pass()
    return clock, out


def times(frames: list[Frame], *, is_video: bool) -> list[int]:
    return [frame.dts_90k for frame in frames if frame.track.is_video is is_video]


def steps(values: list[int]) -> set[int]:
    return {b - a for a, b in itertools.pairwise(values)}


class TestLength:
    def test_tracks_of_one_length_go_on_without_a_seam(self) -> None:
        _, out = played(5, pictures=128, sounds=240)  # 5.12 s both
        assert steps(times(out, is_video=True)) == {3600}
        assert steps(times(out, is_video=False)) == {1920}

    @pytest.mark.parametrize("sounds", [188, 189, 190])  # 4.0107 s and more
    @pytest.mark.parametrize("priming", [0, 1])
    def test_pictures_keep_their_pace_where_the_last_sound_is_filled_up(
        self, sounds: int, priming: int
    ) -> None:
        _, out = played(30, pictures=100, sounds=sounds, priming=priming)
        assert steps(times(out, is_video=True)) == {3600}
        assert steps(times(out, is_video=False)) == {1920}

    def test_sound_that_goes_on_without_pictures_is_played_to_its_end(self) -> None:
        _, out = played(3, pictures=100, sounds=191)  # 4 s and 4.075 s
        assert steps(times(out, is_video=False)) == {1920}
        assert times(out, is_video=True)[100] == 191 * 1920

    def test_sound_that_ends_early_begins_with_its_pictures_again(self) -> None:
        _, out = played(3, pictures=100, sounds=180)  # 4 s and 3.84 s
        assert steps(times(out, is_video=True)) == {3600}
        assert times(out, is_video=False)[::180] == [0, 360_000, 720_000]

    def test_priming_is_played_once(self) -> None:
        _, out = played(3, pictures=128, sounds=241, priming=1)
        assert times(out, is_video=False)[0] == -1920
        assert steps(times(out, is_video=False)) == {1920}
        assert steps(times(out, is_video=True)) == {3600}

    def test_reordered_pictures_overlap_nowhere(self) -> None:
        def pictures() -> list[Frame]:
            order = [(0, 0), (3, 1), (1, 2), (2, 3), (6, 4), (4, 5), (5, 6)]
            return [video((dts - 1) * 3600, key=dts == 0, pts_90k=pts * 3600) for pts, dts in order]

        clock = PassClock()
        out: list[Frame] = []
        for _ in range(3):
            out += clock.place(pictures())
            clock.end_pass()
        assert steps(times(out, is_video=True)) == {3600}
        assert steps(sorted(frame.pts_90k for frame in out)) == {3600}

    def test_a_single_picture_is_a_pass_of_its_own(self) -> None:
        _, out = played(3, pictures=1, sounds=0)
        assert times(out, is_video=True) == [0, 3600, 7200]

    def test_time_that_begins_late_does_not_count(self) -> None:
        clock = PassClock()
        out = []
        for _ in range(2):
            out += clock.place([video(900_000 + number * 3600, key=True) for number in range(3)])
            clock.end_pass()
        assert steps(times(out, is_video=True)) == {3600}


class TestDrift:
    @pytest.mark.parametrize(("pictures", "sounds"), [(10, 20), (10, 19), (16, 30), (30, 59)])
    def test_over_a_thousand_passes_sound_stays_with_the_picture(self, pictures: int, sounds: int) -> None:
        clock = PassClock()
        for number in range(1000):
            begin_90k = number * pictures * 3600
            as_stored = {frame.payload: frame.dts_90k for frame in numbered(pictures, sounds)}
            for frame in clock.place(numbered(pictures, sounds)):
                beside_90k = frame.dts_90k - begin_90k - as_stored[frame.payload]
                assert abs(beside_90k) <= (0 if frame.track.is_video else 960)  # half a frame of sound
            clock.end_pass()

    def test_fractions_of_ticks_do_not_add_up(self) -> None:
        clock = PassClock()
        for _ in range(1000):
            clock.place(one_pass(1, 7, sound=AAC_44K_STEREO))
            clock.end_pass()
        first = clock.place(one_pass(1, 7, sound=AAC_44K_STEREO))[0]
        assert first.dts_90k == rescale(1000 * 7 * 1024, 44_100, 90_000)

    def test_a_frame_rate_of_fractions_does_not_add_up_either(self) -> None:
        rate = Fraction(24_000, 1001)
        clock = PassClock()
        declared = VIDEO.video.frame_rate
        assert declared == 25
        for _ in range(100):
            clock.place([video(frames_to_90k(number, rate), key=True) for number in range(24)])
            clock.end_pass()
        (first,) = clock.place([video(0, key=True)])
        # This track says 25 pictures per second and has fewer: what was measured counts, to a tick per pass.
        assert abs(first.dts_90k - frames_to_90k(2400, rate)) <= 100


class TestTracks:
    def test_the_same_description_is_the_same_track_in_every_pass(self) -> None:
        clock = PassClock()
        first = clock.tracks((VIDEO, AUDIO))
        again = (Track(1, VIDEO.config), Track(2, AacConfig(AAC_48K_STEREO)))
        assert clock.tracks(again) is first
        (placed,) = clock.place([audio(0, track=again[1])])
        assert placed.track is first[1]

    def test_a_new_description_is_a_new_track(self) -> None:
        clock = PassClock()
        first = clock.tracks((AUDIO,))
        assert clock.tracks((AAC_44K_STEREO,)) == (AAC_44K_STEREO,)
        assert clock.tracks((Track(2, AUDIO.config),)) == first

    @pytest.mark.parametrize("passes", [1, 3])
    def test_it_counts_the_frames_of_a_pass(self, passes: int) -> None:
        clock, _ = played(passes, pictures=2, sounds=2)
        assert clock.passes == passes
        assert clock.pass_frames == 0
        clock.place(one_pass(2, 2))
        assert clock.pass_frames == 4
