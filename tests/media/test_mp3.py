from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import mp3
from openstreamer.media.errors import MediaError
from openstreamer.media.mp3 import Mp3Config, Mp3FrameHeader
from tests.media.bitstreams import assert_total
from tests.media.conftest import Encoded


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fffb9064", Mp3FrameHeader(3, 44_100, 2, 128, 1152, 417)),
        ("fffb9264", Mp3FrameHeader(3, 44_100, 2, 128, 1152, 418)),  # padded
        ("fffbe4c4", Mp3FrameHeader(3, 48_000, 1, 320, 1152, 960)),
        ("fff380c4", Mp3FrameHeader(3, 22_050, 1, 64, 576, 208)),
        ("ffe318c4", Mp3FrameHeader(3, 8_000, 1, 8, 576, 72)),
        ("fffdc400", Mp3FrameHeader(2, 48_000, 2, 256, 1152, 768)),
        ("fff58400", Mp3FrameHeader(2, 24_000, 2, 64, 1152, 384)),
        ("ffff9600", Mp3FrameHeader(1, 48_000, 2, 288, 384, 292)),  # a slot of padding is 4 bytes
        ("fff7e400", Mp3FrameHeader(1, 24_000, 2, 256, 384, 512)),
    ],
)
def test_frame_headers(header: str, expected: Mp3FrameHeader) -> None:
    assert mp3.parse_frame_header(bytes.fromhex(header)) == expected


@pytest.mark.parametrize(
    "header",
    ["fffb0064", "fffbf064", "fffb9c64", "ffeb9064", "fff99064", "7ffb9064", "ffbb9064"],
    ids=["free format", "bit rate 15", "rate 3", "version 1", "layer 0", "no sync", "sync of ten bits"],
)
def test_what_cannot_be_a_frame_header_is_refused(header: str) -> None:
    with pytest.raises(MediaError):
        mp3.parse_frame_header(bytes.fromhex(header))


@pytest.mark.parametrize(("name", "samples"), [("mp3", 1152), ("mp3_low", 576)])
def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded], name: str, samples: int) -> None:
    track = encoded[name]
    config = Mp3Config.from_frame_header(track.samples[0])
    assert config.channels == track.probe["channels"]
    assert config.sample_rate == config.timescale == int(track.probe["sample_rate"])
    assert config.samples_in(track.samples[0]) == config.samples_per_frame == samples
    assert config.codec_string == "mp4a.40.34"
    assert config.frame_duration == Fraction(samples, config.sample_rate)
    assert config.is_mpeg_1 == (name == "mp3")
    stream = b"".join(track.samples)
    assert mp3.take_frames(stream) == (track.samples, len(stream))
    assert mp3.take_frames(stream[:-1]) == (track.samples[:-1], len(stream) - len(track.samples[-1]))


def test_layers_have_their_own_codec_strings() -> None:
    strings = [Mp3Config(48_000, 2, layer).codec_string for layer in (1, 2, 3)]
    assert strings == ["mp4a.40.32", "mp4a.40.33", "mp4a.40.34"]


def test_a_change_of_bit_rate_is_no_change_of_configuration() -> None:
    first, second = (Mp3Config.from_frame_header(bytes.fromhex(h)) for h in ("fffb9064", "fffba264"))
    assert first == second


def test_one_call_takes_a_bounded_number_of_frames() -> None:
    frame = bytes.fromhex("ffe318c4") + bytes(68)
    frames, consumed = mp3.take_frames(frame * (mp3.FRAMES_MAX + 1))
    assert (len(frames), consumed) == (mp3.FRAMES_MAX, mp3.FRAMES_MAX * len(frame))


@pytest.mark.parametrize("arguments", [(44_000, 2, 3), (48_000, 3, 3), (48_000, 2, 4)])
def test_values_that_do_not_exist_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(MediaError):
        Mp3Config(*arguments)


@given(st.binary(max_size=40))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(Mp3Config.from_frame_header, data)
    assert_total(Mp3Config.from_frame_header, b"\xff" + data)
    assert_total(mp3.take_frames, data)
    assert_total(mp3.take_frames, b"\xff\xfb" + data)


@pytest.mark.parametrize("size", range(4))
def test_truncated_headers_are_refused(size: int) -> None:
    with pytest.raises(MediaError):
        mp3.parse_frame_header(bytes.fromhex("fffb9064")[:size])
