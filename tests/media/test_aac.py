from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import aac
from openstreamer.media.aac import AacConfig, AdtsHeader
from openstreamer.media.errors import MediaError
from tests.media.bitstreams import Bits, assert_total, assert_truncations_refused
from tests.media.conftest import Encoded

LC_48K_STEREO = bytes.fromhex("1190")
LC_24K_STEREO = bytes.fromhex("1310")
FFMPEG_LC = bytes.fromhex("119056e500")  # with a sync extension that says: no SBR
HE_HIERARCHICAL = bytes.fromhex("2b118800")  # SBR 48 kHz over LC 24 kHz, stereo
HE_COMPATIBLE = bytes.fromhex("131056e598")  # the same by sync extension
HE_V2_HIERARCHICAL = bytes.fromhex("eb098800")  # parametric stereo over mono
HE_V2_COMPATIBLE = bytes.fromhex("130856e59d4880")

standard_rates = st.sampled_from(aac.SAMPLE_RATES_HZ)


def test_plain_lc() -> None:
    config = AacConfig(LC_48K_STEREO)
    assert (config.sample_rate, config.core_sample_rate, config.timescale) == (48_000, 48_000, 48_000)
    assert (config.channels, config.samples_per_frame) == (2, 1024)
    assert config.codec_string == "mp4a.40.2"
    assert config.frame_duration == Fraction(1024, 48_000)
    assert config.samples_in(b"anything") == 1024


@pytest.mark.parametrize("asc", [HE_HIERARCHICAL, HE_COMPATIBLE])
def test_explicit_he_aac_is_never_signalled_as_lc(asc: bytes) -> None:
    config = AacConfig(asc)
    assert config.codec_string == "mp4a.40.5"
    assert (config.sample_rate, config.core_sample_rate, config.channels) == (48_000, 24_000, 2)
    assert config.frame_duration == Fraction(1024, 24_000)
    assert config.info.sbr
    assert not config.info.ps
    assert not config.info.sbr_possible


@pytest.mark.parametrize("asc", [HE_V2_HIERARCHICAL, HE_V2_COMPATIBLE])
def test_parametric_stereo_puts_out_two_channels(asc: bytes) -> None:
    config = AacConfig(asc)
    assert config.codec_string == "mp4a.40.29"
    assert (config.sample_rate, config.core_sample_rate) == (48_000, 24_000)
    assert (config.channels, config.info.core_channels) == (2, 1)


def test_at_24_khz_unsaid_sbr_is_possible_and_a_denial_is_believed() -> None:
    assert AacConfig(LC_24K_STEREO).info.sbr_possible
    assert AacConfig(LC_24K_STEREO).codec_string == "mp4a.40.2"
    assert not AacConfig(LC_24K_STEREO + FFMPEG_LC[2:]).info.sbr_possible
    assert not AacConfig(LC_48K_STEREO).info.sbr_possible


def test_configurations_are_equal_iff_they_say_the_same() -> None:
    assert AacConfig(FFMPEG_LC) == AacConfig(LC_48K_STEREO)
    assert hash(AacConfig(FFMPEG_LC)) == hash(AacConfig(LC_48K_STEREO))
    assert AacConfig(HE_HIERARCHICAL) == AacConfig(HE_COMPATIBLE)
    assert AacConfig(LC_24K_STEREO) != AacConfig(LC_24K_STEREO + FFMPEG_LC[2:])
    assert AacConfig(HE_COMPATIBLE) != AacConfig(LC_24K_STEREO)


@pytest.mark.parametrize(
    ("configuration", "channels"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 8), (11, 7), (12, 8)]
)
def test_channel_configurations(configuration: int, channels: int) -> None:
    asc = Bits().u(5, 2).u(4, 3).u(4, configuration).u(3, 0).padded()
    assert AacConfig(asc).channels == channels


@pytest.mark.parametrize("configuration", [8, 9, 10, 15])
def test_reserved_channel_configurations_are_refused(configuration: int) -> None:
    with pytest.raises(MediaError, match=f"configuration {configuration}"):
        AacConfig(Bits().u(5, 2).u(4, 3).u(4, configuration).u(3, 0).padded())


def _program_config(bits: Bits) -> Bits:
    """Front: one single, one pair; side: one pair; one LFE; one data and one coupling element."""
    bits.u(4, 0).u(2, 1).u(4, 3).u(4, 2).u(4, 1).u(4, 0).u(2, 1).u(3, 1).u(4, 1)
    bits.u(1, 1).u(4, 3).u(1, 1).u(4, 4).u(1, 1).u(3, 5)
    bits.u(1, 0).u(4, 0).u(1, 1).u(4, 1)
    bits.u(1, 1).u(4, 2)
    bits.u(4, 3).u(4, 4).u(5, 5)
    return bits


def test_channels_of_a_program_config_element_are_counted() -> None:
    bits = _program_config(Bits().u(5, 2).u(4, 3).u(4, 0).u(3, 0))
    bits.text += "0" * (-len(bits.text) % 8)
    bits.u(8, 2).u(16, 0x4141)
    config = AacConfig(bits.padded())
    assert config.channels == 6
    assert config != AacConfig(bytes.fromhex("11b0"))
    assert config != AacConfig(bits.padded()[:-1] + b"B")
    bits.u(11, 0x2B7).u(5, 5).u(1, 1).u(4, 0)  # behind the comment: SBR at 96 kHz
    assert AacConfig(bits.padded()).sample_rate == 96_000


def test_a_program_config_element_without_channels_is_refused() -> None:
    bits = Bits().u(5, 2).u(4, 3).u(4, 0).u(3, 0)
    bits.u(10, 0).u(4, 0).u(4, 0).u(4, 0).u(2, 0).u(3, 0).u(4, 0).u(3, 0)
    bits.text += "0" * (-len(bits.text) % 8)
    with pytest.raises(MediaError, match="without channels"):
        AacConfig(bits.u(8, 0).padded())


def test_escaped_object_type_rate_and_frame_length() -> None:
    config = AacConfig(Bits().u(5, 2).u(4, 15).u(24, 44_056).u(4, 2).u(3, 0b100).padded())
    assert (config.sample_rate, config.samples_per_frame) == (44_056, 960)
    with pytest.raises(MediaError, match="object type 42"):
        AacConfig(Bits().u(5, 31).u(6, 10).u(4, 3).u(4, 2).u(3, 0).padded())


def test_error_resilient_lc_is_read_and_its_error_protection_refused() -> None:
    er_lc = Bits().u(5, 17).u(4, 3).u(4, 2).u(3, 0b001).u(3, 0).u(1, 0)
    text = er_lc.text
    assert AacConfig(er_lc.u(2, 0).padded()).codec_string == "mp4a.40.17"
    er_lc.text = text
    with pytest.raises(MediaError, match="epConfig"):
        AacConfig(er_lc.u(2, 2).padded())


def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded]) -> None:
    for name, channels, rate in (("aac", 2, 48_000), ("aac_surround", 6, 44_100)):
        track = encoded[name]
        config = AacConfig(track.extradata)
        assert config.channels == track.probe["channels"] == channels
        assert config.sample_rate == int(track.probe["sample_rate"]) == rate
        assert track.probe["profile"] == "LC"
        assert config.codec_string == "mp4a.40.2"


@pytest.mark.parametrize("asc", [LC_48K_STEREO, HE_HIERARCHICAL, HE_V2_HIERARCHICAL])
def test_truncated_configurations_are_refused(asc: bytes) -> None:
    assert_truncations_refused(AacConfig, asc, least=2 if len(asc) > 2 else 1)


@given(st.binary(max_size=80))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(AacConfig, data)
    assert_total(AacConfig.from_adts, data)
    assert_total(AacConfig.from_adts, b"\xff\xf1\x4c\x00\x20\x1f\xfc" + data)
    assert_total(aac.split_adts, data)
    assert_total(aac.take_adts, b"\xff\xf1" + data)


def test_an_oversized_configuration_is_refused() -> None:
    with pytest.raises(MediaError, match="too many"):
        AacConfig(LC_48K_STEREO + bytes(aac.AUDIO_SPECIFIC_CONFIG_BYTES_MAX))


@given(standard_rates, st.integers(1, 7), st.lists(st.binary(max_size=60), max_size=5))
def test_adts_frames_come_back_with_their_configuration(
    rate: int, configuration: int, payloads: list[bytes]
) -> None:
    asc = Bits().u(5, 2).u(4, aac.SAMPLE_RATES_HZ.index(rate)).u(4, configuration).u(3, 0).padded()
    config = AacConfig(asc)
    stream = b"".join(aac.adts_header(config, len(payload)) + payload for payload in payloads)
    frames = aac.split_adts(stream)
    assert [payload for _, payload in frames] == payloads
    assert all(header.configuration == frames[0][0].configuration for header, _ in frames)
    if payloads:
        assert AacConfig.from_adts(stream) == config
        assert AacConfig.from_adts(stream).audio_specific_config == asc


@given(st.lists(st.binary(max_size=60), max_size=4), st.data())
def test_a_cut_adts_stream_gives_its_whole_frames_and_where_the_rest_begins(
    payloads: list[bytes], data: st.DataObject
) -> None:
    config = AacConfig(LC_48K_STEREO)
    stream = b"".join(aac.adts_header(config, len(payload)) + payload for payload in payloads)
    cut = data.draw(st.integers(0, len(stream)))
    first, consumed = aac.take_adts(stream[:cut])
    second, all_consumed = aac.take_adts(stream[consumed:])
    assert [payload for _, payload in first + second] == payloads
    assert consumed + all_consumed == len(stream)


def test_he_aac_is_written_to_adts_as_its_core() -> None:
    header = aac.parse_adts_header(aac.adts_header(AacConfig(HE_HIERARCHICAL), 10))
    assert header == AdtsHeader(2, 6, 2, 7, 17)


def test_an_adts_frame_with_crc_has_a_longer_header() -> None:
    plain = aac.adts_header(AacConfig(LC_48K_STEREO), 4)
    with_crc = plain[:1] + b"\xf0" + plain[2:] + b"\x12\x34" + b"xy"
    ((header, payload),) = aac.split_adts(with_crc)
    assert (header.header_bytes, payload) == (9, b"xy")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"\xff\xf1\x4c\x80\x00\x1f\xfc", "shorter than its header"),
        (b"\xff\xf1\x4c\x80\x01\x1f\xfd", "raw data blocks"),
        (b"\xff\xf3\x4c\x80\x01\x1f\xfc", "sync word"),
        (b"\xff\xf1\x7c\x80\x01\x1f\xfc", "index 15"),
        (b"\xff\xe1\x4c\x80\x01\x1f\xfc", "sync word"),
    ],
)
def test_what_cannot_be_an_adts_header_is_refused(frame: bytes, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        aac.split_adts(frame)


def test_a_stream_that_ends_within_a_frame_is_no_whole_number_of_frames() -> None:
    frame = aac.adts_header(AacConfig(LC_48K_STEREO), 4) + b"abcd"
    with pytest.raises(MediaError, match="10 are left"):
        aac.split_adts(frame + frame[:10])


def test_one_call_takes_a_bounded_number_of_frames() -> None:
    stream = aac.adts_header(AacConfig(LC_48K_STEREO), 0) * (aac.ADTS_FRAMES_MAX + 1)
    frames, consumed = aac.take_adts(stream)
    assert (len(frames), consumed) == (aac.ADTS_FRAMES_MAX, len(stream) - 7)


def test_channels_of_adts_frames_without_a_configuration_are_in_the_frame() -> None:
    bits = _program_config(Bits().u(3, 5))
    bits.text += "0" * (-len(bits.text) % 8)
    payload = bits.u(8, 3).u(24, 0x414243).padded() + b"audio"
    header = bytearray(aac.adts_header(AacConfig(LC_48K_STEREO), len(payload)))
    header[2] &= 0xFE
    header[3] &= 0x3F
    config = AacConfig.from_adts(bytes(header) + payload)
    assert (config.channels, config.sample_rate) == (6, 48_000)
    with pytest.raises(MediaError, match="neither"):
        AacConfig.from_adts(bytes(header) + b"\x20" + payload[1:])


@pytest.mark.parametrize(
    "bits",
    [
        Bits().u(5, 2).u(4, 15).u(24, 44_056).u(4, 2).u(3, 0),  # its rate
        Bits().u(5, 2).u(4, 3).u(4, 12).u(3, 0),  # its channels
        Bits().u(5, 17).u(4, 3).u(4, 2).u(3, 0).u(2, 0),  # its object type
    ],
)
def test_what_adts_cannot_say_is_refused(bits: Bits) -> None:
    with pytest.raises(MediaError, match="ADTS cannot say"):
        aac.adts_header(AacConfig(bits.padded()), 10)


def test_a_frame_too_long_for_adts_is_refused() -> None:
    with pytest.raises(MediaError, match="frame length"):
        aac.adts_header(AacConfig(LC_48K_STEREO), 8185)
