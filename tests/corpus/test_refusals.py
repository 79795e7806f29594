"""What cannot be carried is refused in words that name it, and what was cut off is read up to there."""

from pathlib import Path

import pytest

from openstreamer.media.errors import OpenstreamerError
from openstreamer.sources.file.opening import MediaFile
from tests.corpus import truth
from tests.corpus.making import clip
from tests.corpus.reading import read
from tests.corpus.recipes import muxed
from tests.corpus.tampering import scrambled

BOTH = ("h264-b-frames", "aac")
WORDS = {
    "mpeg-2-video.ts": "MPEG-2 video",
    "dts.ts": "DTS",
    "mpeg-4-part-2.mp4": "MPEG-4 part 2",
    "prores.mov": "ProRes",
    "flac.mp4": "FLAC",
    "encrypted.mp4": r"encrypted \(cenc\)",
    "sorenson.flv": "H.263",
    "adpcm.flv": "ADPCM",
    "vp8.webm": "vp8",
    "theora.ogg": "theora",
    "mjpeg.avi": "mjpeg",
    "pcm.wav": "pcm_s16le",
    "picture.png": "libav cannot read it",
}


@pytest.mark.parametrize("name", WORDS)
def test_what_is_not_carried_is_named(name: str) -> None:
    reading = read(clip(name))
    assert not reading.frames
    assert reading.refusal is not None
    with pytest.raises(OpenstreamerError, match=WORDS[name]):
        raise reading.refusal


def test_a_scrambled_program_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(scrambled(clip(muxed("ts", *BOTH)).read_bytes()))
    reading = read(path)
    assert not reading.frames
    assert "scrambled" in str(reading.refusal)


def test_a_program_that_is_not_there_is_named_with_those_that_are() -> None:
    reading = read(clip("ts-two-programs"), program=8)
    assert not reading.frames
    assert "no program 8, only 7, 9" in str(reading.refusal)


@pytest.mark.parametrize("data", [b"", b"GIF89a" * 100, b"#EXTM3U\n#EXT-X-VERSION:3\n", bytes(100_000)])
def test_what_is_no_media_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.ts"
    path.write_bytes(data)
    if not data:
        with pytest.raises(OpenstreamerError, match="empty"):
            MediaFile(path, "a.ts")
        return
    reading = read(path)
    assert not reading.frames
    assert reading.refusal is not None


def test_an_mp4_file_without_its_end_lacks_what_describes_it(tmp_path: Path) -> None:
    data = clip(muxed("mp4", *BOTH)).read_bytes()
    path = tmp_path / "a.mp4"
    path.write_bytes(data[: len(data) * 2 // 3])
    assert "there is no moov box" in str(read(path).refusal)


@pytest.mark.parametrize("container", ["ts", "m2ts", "mp4-faststart", "fmp4", "flv", "mkv"])
def test_a_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path, container: str) -> None:
    picture, sound = BOTH if container != "m2ts" else ("h264-b-frames", "ac3")
    whole = clip(muxed(container, picture, sound))
    data = whole.read_bytes()
    path = tmp_path / f"a{whole.suffix}"
    path.write_bytes(data[: len(data) * 2 // 3])
    reading = read(path)
    assert reading.refusal is None
    ours, theirs = truth.of_frames(reading.frames), truth.of_frames(read(whole).frames)
    pictures = ours.video[:-1]  # where a PES packet does not say how long it is, the last one may be a part
    assert pictures == theirs.video[: len(pictures)]
    assert ours.audio == theirs.audio[: len(ours.audio)]
    assert len(ours.video) >= 25
    assert len(ours.audio) >= 30
