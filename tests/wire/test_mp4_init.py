import struct
import subprocess
from pathlib import Path

import pytest

from openstreamer.media.aac import AacConfig
from openstreamer.media.h264 import H264Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.track import Track
from openstreamer.wire.mp4.fragment import DELTA_SAMPLE, KEY_SAMPLE, audio_fragment, video_fragment
from openstreamer.wire.mp4.init import init_segment, timescale_of
from tests.support.clips import clip
from tests.support.media import AUDIO, VIDEO
from tests.support.mp4_reader import Box, boxes

HE_AAC = AacConfig(bytes.fromhex("2b098800"))  # explicit hierarchical SBR: 22.05 kHz core, 44.1 kHz out
PAL_AVCC = bytes.fromhex(  # 720x576, sample aspect ratio 16:11
    "0164001effe100186764001eacd940b424d8208000000300800000190f8a14cb01000468fe8fcbfdf8f800"
)
AAC_96K = AacConfig(bytes.fromhex("1010"))


def moov(track: Track) -> Box:
    ftyp, found = boxes(init_segment(track))
    assert ftyp.kind == b"ftyp"
    return found


def sample_description(track: Track) -> Box:
    stsd = moov(track).find(b"trak", b"mdia", b"minf", b"stbl", b"stsd").content
    (entry,) = boxes(stsd[8:])
    return entry


def test_it_is_a_cmaf_header_of_one_track() -> None:
    ftyp, _ = boxes(init_segment(VIDEO))
    assert ftyp.content[:4] == b"cmfc"
    assert b"iso6" in ftyp.content
    assert [box.kind for box in moov(VIDEO).children] == [b"mvhd", b"trak", b"mvex"]


def test_video_counts_in_90_khz_and_audio_in_samples() -> None:
    assert timescale_of(VIDEO) == 90_000
    assert timescale_of(AUDIO) == 48_000
    for track, timescale in ((VIDEO, 90_000), (AUDIO, 48_000)):
        mdhd = moov(track).find(b"trak", b"mdia", b"mdhd").content
        assert struct.unpack_from(">I", mdhd, 12) == (timescale,)


def test_he_aac_counts_core_samples() -> None:
    track = Track(1, HE_AAC)
    assert timescale_of(track) == HE_AAC.core_sample_rate
    entry = sample_description(track)
    assert struct.unpack_from(">I", entry.content, 24) == (HE_AAC.core_sample_rate << 16,)
    assert bytes.fromhex("2b098800") in entry.content


def test_a_rate_that_does_not_fit_16_bits_is_left_to_the_codec() -> None:
    entry = sample_description(Track(1, AAC_96K))
    assert struct.unpack_from(">I", entry.content, 24) == (0,)


@pytest.mark.parametrize(("header", "object_type"), [("fffb9064", 0x6B), ("fff390c4", 0x69)])
def test_mp3_says_which_mpeg_audio_it_is(header: str, object_type: int) -> None:
    entry = sample_description(Track(1, Mp3Config.from_frame_header(bytes.fromhex(header))))
    assert entry.kind == b"mp4a"
    (esds,) = boxes(entry.content[28:])
    # full box header, ES descriptor (2 + 3 bytes), decoder configuration's tag and size, object type
    assert esds.content[11] == object_type


def test_language_is_packed_or_spelled_out() -> None:
    german = moov(Track(1, AUDIO.config, "deu")).find(b"trak", b"mdia")
    packed = struct.unpack_from(">H", german.find(b"mdhd").content, 20)[0]
    assert "".join(chr((packed >> shift & 31) + 0x60) for shift in (10, 5, 0)) == "deu"
    swiss = moov(Track(1, AUDIO.config, "de-CH")).find(b"trak", b"mdia")
    assert swiss.find(b"elng").content == bytes(4) + b"de-CH\0"


@pytest.mark.parametrize("name", ["h264", "h264-bframes", "h265", "av1", "vp9"])
def test_ffprobe_reads_every_video_codec(name: str, tmp_path: Path) -> None:
    frames = clip(video=name, audio=None)
    table: list[int] = []
    for frame in frames:
        flags = KEY_SAMPLE if frame.key else DELTA_SAMPLE
        table += (3000, len(frame.payload), flags, frame.pts_90k - frame.dts_90k)
    data = init_segment(frames[0].track) + video_fragment(1, 0, table, [frame.payload for frame in frames])

    expected = {"h265": "hevc"}.get(name, name.partition("-")[0])
    assert _probe(data, tmp_path, "codec_name,width,height,time_base") == f"{expected},160,96,1/90000"
    assert _decoded(data, tmp_path) == len(frames)


@pytest.mark.parametrize("name", ["aac", "opus", "mp3", "ac3", "eac3"])
def test_ffprobe_reads_every_audio_codec(name: str, tmp_path: Path) -> None:
    frames = clip(video=None, audio=name)
    samples_in = frames[0].track.audio.samples_in
    table = [value for frame in frames for value in (samples_in(frame.payload), len(frame.payload))]
    data = init_segment(frames[0].track) + audio_fragment(1, 0, table, [frame.payload for frame in frames])

    assert _probe(data, tmp_path, "codec_name,sample_rate,channels,time_base") == f"{name},48000,2,1/48000"
    assert _decoded(data, tmp_path) > 0


def test_pixels_that_are_not_square_are_announced() -> None:
    assert b"pasp" not in sample_description(VIDEO).content
    wide = Track(1, H264Config.from_avcc(PAL_AVCC))

    assert box_after(b"pasp", sample_description(wide).content) == struct.pack(">II", 16, 11)
    tkhd = moov(wide).find(b"trak", b"tkhd").content
    assert struct.unpack_from(">II", tkhd, 76) == (round(720 * 16 / 11) << 16, 576 << 16)


def box_after(kind: bytes, content: bytes) -> bytes:
    """The content of the last box, which is of this kind."""
    at = content.index(kind)
    return content[at + 4 :]


def _probe(data: bytes, directory: Path, entries: str) -> str:
    path = directory / "media.mp4"
    path.write_bytes(data)
    command = ["ffprobe", "-v", "error", "-show_entries", f"stream={entries}", "-of", "csv=p=0", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert not result.stderr
    return result.stdout.strip().rstrip(",")  # AC-3 has side data: one more, empty, field


def _decoded(data: bytes, directory: Path) -> int:
    path = directory / "media.mp4"
    path.write_bytes(data)
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames"]
    result = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, timeout=20, check=True
    )
    assert not result.stderr
    return int(result.stdout.strip().rstrip(","))
