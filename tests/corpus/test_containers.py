"""Codecs × containers: what libav reads in a file is what our readers read in it."""

import pytest

from openstreamer.media.track import Track
from openstreamer.sources.file.readers import Container
from tests.corpus import truth
from tests.corpus.comparison import assert_same_media
from tests.corpus.making import clip
from tests.corpus.reading import Reading, read
from tests.corpus.recipes import muxed

# What decoders must be told: of a picture codec and size, of sound codec string, rate and channels
PICTURES = {
    "h264": ("h264", 160, 120),
    "h264-b-frames": ("h264", 160, 120),
    "h264-pyramid": ("h264", 160, 120),
    "h264-open-gop": ("h264", 160, 120),
    "h264-10-s-gop": ("h264", 160, 120),
    "h264-vfr": ("h264", 160, 120),
    "h264-29.97": ("h264", 160, 120),
    "h264-slices": ("h264", 160, 120),
    "h264-interlaced": ("h264", 160, 120),
    "h265": ("h265", 160, 120),
    "h265-b-frames": ("h265", 160, 120),
    "h265-open-gop": ("h265", 160, 120),
    "av1": ("av1", 160, 120),
}
SOUNDS = {
    "aac": ("mp4a.40.2", 48_000, 1),
    "aac-21-s": ("mp4a.40.2", 48_000, 1),
    "aac-44.1": ("mp4a.40.2", 44_100, 1),
    "aac-8-mono": ("mp4a.40.2", 8_000, 1),
    "aac-5.1": ("mp4a.40.2", 48_000, 6),
    "he-aac": ("mp4a.40.5", 48_000, 2),
    "he-aac-v2": ("mp4a.40.5", 48_000, 1),
    "mp2": ("mp4a.40.33", 48_000, 2),
    "mp3": ("mp4a.40.34", 44_100, 2),
    "ac3": ("ac-3", 48_000, 2),
    "ac3-5.1": ("ac-3", 48_000, 6),
    "eac3": ("ec-3", 48_000, 2),
    "eac3-5.1": ("ec-3", 48_000, 6),
    "opus": ("opus", 48_000, 2),
    "opus-5.1": ("opus", 48_000, 6),
}
PAIRS = [
    *(("h264", sound) for sound in SOUNDS if sound != "aac-21-s"),
    *((picture, "aac") for picture in PICTURES if picture not in ("h264", "h264-10-s-gop")),
    ("h264-10-s-gop", "aac-21-s"),
]
_LEGACY_FLV = {"aac", "aac-44.1", "aac-8-mono", "aac-5.1", "aac-21-s", "he-aac", "he-aac-v2", "mp3"}
_VARIANTS = ("ts-pes-length", "ts-constant-rate", "mp4-faststart", "mov")  # of how a container is written
_SOME_PAIRS = (
    ("h264-b-frames", "aac"),
    ("h265-b-frames", "aac"),
    ("h264", "mp2"),
    ("h264", "ac3-5.1"),
    ("h264", "opus"),
)
_CONTAINERS = (
    "ts", "ts-pes-length", "ts-constant-rate", "m2ts", "mp4", "mp4-faststart", "mov", "fmp4", "flv",
    "enhanced-flv", "mkv",
)  # fmt: skip


def is_carried(container: str, picture: str, sound: str) -> bool:
    """Whether the container, and FFmpeg's writer of it, has a place for both."""
    if container in _VARIANTS and (picture, sound) not in _SOME_PAIRS:
        return False
    match container:
        case "m2ts":
            return picture != "av1" and sound.startswith("ac3")
        case "ts" | "ts-pes-length" | "ts-constant-rate":
            return picture != "av1"
        case "flv":
            return picture.startswith("h264") and sound in _LEGACY_FLV
        case "enhanced-flv":
            return sound != "mp2"
        case "mov":
            return "opus" not in sound and picture != "av1"
        case _:
            return True


CASES = [
    (container, picture, sound)
    for container in _CONTAINERS
    for picture, sound in PAIRS
    if is_carried(container, picture, sound)
]


def assert_told(reading: Reading, picture: str | None, sound: str | None) -> None:
    """The decoders of both tracks are told what they must be."""
    pictures = [track for track in reading.tracks if track.is_video]
    sounds = [track for track in reading.tracks if not track.is_video]
    assert [picture_of(track) for track in pictures] == ([PICTURES[picture]] if picture else [])
    assert [sound_of(track) for track in sounds] == ([SOUNDS[sound]] if sound else [])
    assert {frame.track for frame in reading.frames} == set(reading.tracks)


def picture_of(track: Track) -> tuple[str, int, int]:
    return track.codec, track.video.width, track.video.height


def sound_of(track: Track) -> tuple[str, int, int]:
    return track.config.codec_string, track.audio.sample_rate, track.audio.channels


@pytest.mark.parametrize(("container", "picture", "sound"), CASES, ids=[muxed(*case) for case in CASES])
def test_every_access_unit_is_the_one_that_libav_reads(container: str, picture: str, sound: str) -> None:
    path = clip(muxed(container, picture, sound))
    reading = read(path)
    assert reading.refusal is None
    assert (reading.container is Container.OTHER) is (container == "mkv")
    assert_told(reading, picture, sound)
    assert_same_media(truth.of_frames(reading.frames), truth.of_file(path))
    assert not reading.statistics.malformed
    assert not reading.statistics.lost_packets
