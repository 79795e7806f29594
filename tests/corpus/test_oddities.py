"""Media as it should not be, and as it is: every frame right, or an error that says why."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.sources.file.readers import Container
from tests.corpus import truth
from tests.corpus.comparison import assert_same_media, assert_same_units
from tests.corpus.making import clip
from tests.corpus.reading import read
from tests.corpus.recipes import muxed
from tests.corpus.tampering import doubled, with_parity, without_dts
from tests.corpus.test_containers import SOUNDS, assert_told, picture_of, sound_of

WRAP_90K = 1 << 33
CONTAINERS = ("ts", "mp4", "fmp4", "flv", "mkv")


def at(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["gst-ts", "gst-ts-opus", "gst-mp4", "gst-fmp4", "gst-flv", "gst-mkv"])
def test_what_gstreamer_writes_is_read_as_libav_reads_it(name: str) -> None:
    reading = read(clip(name))
    assert reading.refusal is None
    assert [picture_of(track) for track in reading.tracks if track.is_video] == [("h264", 160, 120)]
    assert len(reading.tracks) == 2
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(clip(name)))


@pytest.mark.parametrize("sound", [name for name in SOUNDS if "opus" not in name])
def test_packed_audio_is_read_as_libav_reads_it(sound: str) -> None:
    reading = read(clip(sound))
    assert reading.container is Container.PACKED_AUDIO
    assert_told(reading, None, sound)
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(clip(sound)))


@pytest.mark.parametrize("sound", ["aac", "aac-44.1", "aac-5.1", "he-aac", "he-aac-v2"])
def test_latm_gives_the_frames_of_adts(sound: str) -> None:
    latm, adts = (read(clip(muxed(container, "h264", sound))) for container in ("ts-latm", "ts"))
    assert_told(latm, "h264", sound)
    assert_same_media(truth.of_frames(latm.frames), truth.of_frames(adts.frames))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("clips", [("h264-b-frames", None), (None, "aac-44.1"), (None, "he-aac")], ids=str)
def test_one_track_alone(container: str, clips: tuple[str | None, str | None]) -> None:
    path = clip(muxed(container, *(name for name in clips if name)))
    reading = read(path)
    assert reading.refusal is None
    assert_told(reading, *clips)
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(path))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "clips", [("h264@1.5", "aac"), ("h264", "aac@0.7"), ("h264", "aac@1.5")], ids="+".join
)
def test_one_track_begins_before_the_other(container: str, clips: tuple[str, str]) -> None:
    path = clip(muxed(container, *clips))
    reading = read(path)
    assert reading.refusal is None
    assert_told(reading, "h264", "aac")
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(path))


def test_packets_of_204_bytes(tmp_path: Path) -> None:
    plain = clip(muxed("ts", "h264-b-frames", "aac"))
    reading = read(at(tmp_path / "a.ts", with_parity(plain.read_bytes())))
    assert reading.container is Container.MPEG_TS
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(plain))
    assert not reading.statistics.malformed


def test_packets_that_come_twice_are_read_once(tmp_path: Path) -> None:
    plain = clip(muxed("ts", "h264-b-frames", "aac"))
    reading = read(at(tmp_path / "a.ts", doubled(plain.read_bytes())))
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(plain))
    assert not reading.statistics.lost_packets


@pytest.mark.parametrize("container", CONTAINERS)
def test_he_aac_of_a_few_frames_is_told_as_such(container: str) -> None:
    path = clip(muxed(container, "h264", "he-aac-short"))
    reading = read(path)
    assert_told(reading, "h264", "he-aac")
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(path))


def test_a_track_without_frames_does_not_keep_the_others_back() -> None:
    reading = read(clip("mkv-silent-track"))
    assert reading.refusal is None
    assert_same_units(truth.of_frames(reading.frames).video, truth.of_file(clip("mkv-silent-track")).video)


def test_times_go_on_where_33_bits_end() -> None:
    wrapped, plain = read(clip("ts-wrap")), read(clip(muxed("ts", "h264-b-frames", "aac")))
    ours, theirs = truth.of_frames(wrapped.frames), truth.of_frames(plain.frames)
    assert_same_media(ours, theirs, moved_90k=ours.video[0].pts_90k - theirs.video[0].pts_90k)
    assert ours.video[0].pts_90k < WRAP_90K < ours.video[-1].pts_90k


@pytest.mark.parametrize(
    ("program", "width", "hz"), [(None, 160, 48_000), (7, 160, 48_000), (9, 320, 44_100)]
)
def test_either_of_two_programs(program: int | None, width: int, hz: int) -> None:
    reading = read(clip("ts-two-programs"), program=program)
    picture, sound = reading.tracks
    assert picture_of(picture) == ("h264", width, 120 * width // 160)
    assert sound_of(sound) == ("mp4a.40.2", hz, 1)
    alone = read(
        clip(muxed("ts", *(("h264-large", "aac-44.1") if program == 9 else ("h264-b-frames", "aac"))))
    )
    ours, theirs = truth.of_frames(reading.frames), truth.of_frames(alone.frames)
    assert_same_media(ours, theirs, moved_90k=ours.video[0].pts_90k - theirs.video[0].pts_90k)


@pytest.mark.parametrize("picture", ["h264-b-frames", "h264-pyramid", "h265-b-frames"])
def test_without_decoding_times_pictures_keep_their_presentation_times(tmp_path: Path, picture: str) -> None:
    plain = clip(muxed("ts", picture, "aac"))
    reading = read(at(tmp_path / "a.ts", without_dts(plain.read_bytes())))
    ours, theirs = truth.of_frames(reading.frames), truth.of_file(plain)
    assert [unit.pts_90k for unit in ours.video] == [unit.pts_90k for unit in theirs.video]
    assert [unit.content for unit in ours.video] == [unit.content for unit in theirs.video]
    times = [frame.dts_90k for frame in reading.frames if frame.track.is_video]
    assert times == sorted(set(times))
    assert all(frame.pts_90k >= frame.dts_90k for frame in reading.frames)


def test_only_whole_pictures_of_periodic_intra_refresh_are_key_frames() -> None:
    path = clip(muxed("ts", "h264-intra-refresh", "aac"))
    ours, theirs = truth.of_frames(read(path).frames), truth.of_file(path)
    assert [unit.content for unit in ours.video] == [unit.content for unit in theirs.video]
    assert [number for number, unit in enumerate(ours.video) if unit.key] == [0]


def test_joining_within_a_gop_of_ten_seconds_begins_at_its_end(tmp_path: Path) -> None:
    path = clip(muxed("ts", "h264-10-s-gop", "aac-21-s"))
    data = path.read_bytes()
    start = len(data) // 8 // 188 * 188
    reading = read(at(tmp_path / "a.ts", data[start:]))
    assert reading.refusal is None
    theirs = truth.of_file(path)
    ours = truth.of_frames(reading.frames)
    assert_told(reading, "h264-10-s-gop", "aac-21-s")
    assert_same_media(ours, truth.Units(theirs.video[250:], theirs.audio))


def not_before(last: truth.Unit, units: Sequence[truth.Unit]) -> list[truth.Unit]:
    """``units`` whose decoding times do not fall behind ``last``."""
    assert last.dts_90k is not None
    return [replace(unit, dts_90k=max(unit.dts_90k or Fraction(0), last.dts_90k)) for unit in units]


class TestChanges:
    """Two streams one after the other, as a switch in front of us makes them."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("ts:h264-b-frames+aac", "ts-larger"),
            ("ts:h264-b-frames+aac", "ts-100-s-later"),
            ("ts-h265", "ts-h265-larger"),
        ],
    )
    def test_another_size_and_rate_are_new_tracks_from_a_key_frame_on(
        self, tmp_path: Path, first: str, second: str
    ) -> None:
        path = at(tmp_path / "a.ts", clip(first).read_bytes() + clip(second).read_bytes())
        reading = read(path)
        assert reading.refusal is None
        widths = [frame.track.video.width for frame in reading.frames if frame.track.is_video]
        assert widths == [160] * 60 + [320] * 60
        rates = [frame.track.audio.sample_rate for frame in reading.frames if not frame.track.is_video]
        assert rates == sorted(rates, reverse=True)
        assert set(rates) == {48_000, 44_100}
        change = next(f for f in reading.frames if f.track.is_video and f.track.video.width == 320)
        assert change.key
        ours = truth.of_frames(reading.frames)
        before, after = truth.of_file(clip(first)), truth.of_file(clip(second))
        assert_same_units(ours.video, [*before.video, *not_before(before.video[-1], after.video)])
        sound = [*before.audio, *after.audio]
        assert len(sound) - len(ours.audio) <= 2
        assert {unit.content for unit in ours.audio} <= {unit.content for unit in sound}

    def test_after_a_jump_back_the_clock_goes_on(self, tmp_path: Path) -> None:
        first, second = clip("ts-50-s"), clip(muxed("ts", "h264-b-frames", "aac"))
        reading = read(at(tmp_path / "a.ts", first.read_bytes() + second.read_bytes()))
        assert reading.refusal is None
        for is_video in (True, False):
            times = [frame.dts_90k for frame in reading.frames if frame.track.is_video is is_video]
            assert times == sorted(times)
            assert times[-1] - times[0] < 6 * TICKS_PER_SECOND
        ours, theirs = truth.of_frames(reading.frames), truth.of_file(second)
        assert len(ours.video) == 120
        moved_90k = ours.video[-1].pts_90k - theirs.video[-1].pts_90k
        assert_same_units(ours.video[-58:], theirs.video[-58:], moved_90k)
        assert_same_units(ours.audio[-100:], theirs.audio[-100:], moved_90k, keys=False)

    @pytest.mark.parametrize("container", ["fmp4", "flv"])
    def test_a_recording_behind_another_goes_on_where_that_one_ends(
        self, tmp_path: Path, container: str
    ) -> None:
        first, second = (
            clip(muxed(container, "h264", "aac")),
            clip(muxed(container, "h264-large", "aac-44.1")),
        )
        path = at(tmp_path / f"a{first.suffix}", first.read_bytes() + second.read_bytes())
        reading = read(path)
        assert reading.refusal is None
        widths = [frame.track.video.width for frame in reading.frames if frame.track.is_video]
        assert widths == [160] * 60 + [320] * 60
        for is_video in (True, False):
            times = [frame.dts_90k for frame in reading.frames if frame.track.is_video is is_video]
            assert times == sorted(times)
            assert times[-1] - times[0] < 5 * TICKS_PER_SECOND
        ours, theirs = truth.of_frames(reading.frames), truth.of_file(second)
        moved_90k = ours.video[-1].pts_90k - theirs.video[-1].pts_90k
        assert_same_units(ours.video[-58:], theirs.video[-58:], moved_90k)
        assert_same_units(ours.audio[-90:], theirs.audio[-90:], moved_90k, keys=False)
