"""The test card's pictures, tone and pace. No process and no clock: media time runs as fast as it can."""

import itertools
from fractions import Fraction

import pytest

from openstreamer.media.frame import Frame
from openstreamer.media.nal import iter_length_prefixed
from openstreamer.sources.testcard_child import (
    MAX_LATE_NS,
    MAX_TICK_NS,
    AudioEncoder,
    Pacer,
    Player,
    VideoEncoder,
)
from openstreamer.sources.testcard_picture import Layout, noise_samples
from tests.support.pictures import decode_audio, decode_video, luma, read_timecode

HOUR_S = 3600
NS = 1_000_000_000
START_NS = 123_456_789


class TestPacer:
    @pytest.mark.parametrize(
        ("frame_rate", "ticks"),
        [
            (Fraction(1), 20),
            (Fraction(25), 1),
            (Fraction(30_000, 1001), 1),
            (Fraction(19), 2),
            (Fraction(120), 1),
        ],
    )
    def test_ticks_are_short_enough_for_audio(self, frame_rate: Fraction, ticks: int) -> None:
        pacer = Pacer(frame_rate, START_NS)
        assert pacer.ticks_per_frame == ticks
        assert pacer.media_ns(1) <= MAX_TICK_NS

    def test_rounding_does_not_add_up(self) -> None:
        pacer = Pacer(Fraction(30_000, 1001), START_NS)
        pictures = 30_000 * HOUR_S
        assert pacer.media_ns(pictures) == 1001 * HOUR_S * NS

    def test_a_tick_that_is_not_due_is_waited_for(self) -> None:
        pacer = Pacer(Fraction(25), START_NS)
        assert pacer.wait_ns(10, START_NS + 390_000_000) == 10_000_000
        assert pacer.pictures_to_skip(10, START_NS + 390_000_000) == 0

    def test_a_little_late_is_caught_up_without_a_gap(self) -> None:
        pacer = Pacer(Fraction(25), START_NS)
        assert pacer.pictures_to_skip(0, START_NS + MAX_LATE_NS) == 0

    @pytest.mark.parametrize("frame_rate", [Fraction(1), Fraction(19), Fraction(25), Fraction(60_000, 1001)])
    def test_very_late_skips_until_it_is_in_time_again(self, frame_rate: Fraction) -> None:
        pacer = Pacer(frame_rate, START_NS)
        now_ns = START_NS + 10 * NS
        skipped = pacer.pictures_to_skip(0, now_ns)
        next_ns = -pacer.wait_ns(skipped * pacer.ticks_per_frame, now_ns)
        assert 0 <= next_ns < NS / frame_rate


UNIX_NS = 1_700_000_000_123_456_789


def play(
    seconds: float, *, size: tuple[int, int] = (320, 240), fps: Fraction = Fraction(25), bps: int = 500_000
) -> list[Frame]:
    """What the test card sends in the first ``seconds``."""
    player = Player(VideoEncoder(*size, fps, bps), AudioEncoder(), Pacer(fps, 0))
    now_ns = 0
    frames: list[Frame] = []
    while now_ns < seconds * NS:
        skipped, more = player.play(now_ns, UNIX_NS + now_ns)
        assert skipped == 0
        frames += more
        now_ns += player.wait_ns(now_ns)
    return frames


def video_of(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.track.is_video]


def audio_of(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if not frame.track.is_video]


class TestPlayer:
    def test_a_key_frame_begins_every_second_exactly(self) -> None:
        keys = [frame.pts_90k for frame in play(5, size=(64, 64), fps=Fraction(10)) if frame.key]
        assert keys == [90_000 * number for number in range(5)]

    def test_ntsc_rates_have_a_key_frame_every_whole_number_of_pictures(self) -> None:
        keys = [f.pts_90k for f in play(5, size=(64, 64), fps=Fraction(30_000, 1001)) if f.key]
        assert keys == [3003 * 30 * number for number in range(5)]

    @pytest.mark.parametrize("fps", [Fraction(1), Fraction(25), Fraction(30_000, 1001), Fraction(120)])
    def test_times_have_no_gap_and_no_rounding_that_adds_up(self, fps: Fraction) -> None:
        frames = play(4, size=(64, 64), fps=fps)
        video, audio = video_of(frames), audio_of(frames)
        assert [frame.pts_90k for frame in video] == [round(n * 90_000 / fps) for n in range(len(video))]
        assert [frame.pts_90k for frame in audio] == [1920 * number for number in range(len(audio))]
        assert all(frame.dts_90k == frame.pts_90k for frame in frames)

    @pytest.mark.parametrize("fps", [Fraction(1), Fraction(25)])
    def test_audio_is_sent_steadily_and_never_late(self, fps: Fraction) -> None:
        player = Player(VideoEncoder(64, 64, fps, 100_000), AudioEncoder(), Pacer(fps, 0))
        now_ns = 0
        for _ in range(60):
            _, frames = player.play(now_ns, UNIX_NS)
            now_ns += player.wait_ns(now_ns)
            if audio := audio_of(frames):
                newest_ns = audio[-1].pts_90k * NS // 90_000
                assert abs(newest_ns - now_ns) < 50_000_000

    def test_a_stall_leaves_pictures_out_and_goes_on_with_a_key_frame(self) -> None:
        player = Player(VideoEncoder(64, 64, Fraction(25), 100_000), AudioEncoder(), Pacer(Fraction(25), 0))
        player.play(0, UNIX_NS)
        skipped, frames = player.play(10 * NS, UNIX_NS)
        assert skipped == 249
        assert [frame.pts_90k for frame in video_of(frames)] == [10 * 90_000]
        assert video_of(frames)[0].key
        held_back, audio = audio_of(frames)[:2], audio_of(frames)[2:]
        assert all(frame.pts_90k < 0.1 * 90_000 for frame in held_back)
        assert [frame.pts_90k for frame in audio] == [1920 * number for number in (468, 469, 470)]


class TestPictures:
    def test_they_decode_and_every_one_differs(self) -> None:
        frames = video_of(play(2))
        pictures = decode_video(frames)
        assert len(pictures) == len(frames)
        assert len({bytes(picture.planes[0]) for picture in pictures}) == len(pictures)

    def test_bars_have_their_colours(self) -> None:
        picture = decode_video(video_of(play(0.1, size=(640, 360))))[0]
        assert abs(luma(picture, 40, 20) - 180) < 6  # 75 % grey
        assert abs(luma(picture, 600, 20) - 28) < 6  # 75 % blue in BT.709
        assert (picture.color_range, picture.colorspace) == (1, 1)

    @pytest.mark.parametrize("size", [(640, 360), (1280, 720), (1920, 1080), (202, 200)])
    def test_the_time_code_survives_coding(self, size: tuple[int, int]) -> None:
        pictures = decode_video(video_of(play(0.5, size=size, bps=1_000_000)))
        codes = [read_timecode(picture) for picture in pictures]
        assert codes == [(UNIX_NS + number * NS // 25) // 1_000_000 for number in range(len(codes))]

    @pytest.mark.parametrize("size", [(64, 64), (64, 2160), (3840, 64), (3840, 2160), (66, 98)])
    def test_every_size_can_be_drawn(self, size: tuple[int, int]) -> None:
        (frame,) = video_of(play(0.01, size=size))
        (picture,) = decode_video([frame])
        assert (picture.width, picture.height) == size

    def test_the_bit_rate_is_what_was_asked_for(self) -> None:
        frames = video_of(play(4, size=(640, 360), bps=1_000_000))
        assert 0.8e6 < sum(len(frame.payload) for frame in frames) * 8 / 4 < 1.3e6

    def test_only_key_frames_have_idr_slices_and_none_has_parameter_sets(self) -> None:
        for frame in video_of(play(2)):
            kinds = {nal[0] & 0x1F for nal in iter_length_prefixed(frame.payload)}
            assert (5 in kinds) is frame.key
            assert not kinds & {7, 8}


class TestTone:
    def test_it_has_1_khz(self) -> None:
        samples = decode_audio(audio_of(play(1, size=(64, 64))))[9_600:19_200]
        rising = sum(1 for a, b in itertools.pairwise(samples) if a < 0 <= b)
        assert abs(rising - 200) <= 1

    def test_it_beeps_while_the_picture_flashes(self) -> None:
        frames = play(3)
        box = Layout(320, 240, noise_samples(500_000, Fraction(25))).flash
        spot = box.x + box.width // 2, box.y + box.height // 2
        lit = [luma(picture, *spot) > 128 for picture in decode_video(video_of(frames))]
        samples = decode_audio(audio_of(frames))
        whole = len(samples) // 1920 - 1
        assert sum(lit[:whole]) == 9
        for index, flashes in enumerate(lit[:whole]):
            middle = samples[index * 1920 + 640 : index * 1920 + 1280]
            assert (max(middle) > 0.25) is flashes, f"picture {index}"
