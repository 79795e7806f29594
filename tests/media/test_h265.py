from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import h265
from openstreamer.media.errors import MediaError
from openstreamer.media.h265 import H265Config, H265ParameterSets
from openstreamer.media.h265_sets import H265Sps, parse_vps_frame_rate
from openstreamer.media.vui import Colour
from tests.media.bitstreams import Bits, assert_total, assert_truncations_refused, escaped, lengths
from tests.media.conftest import Encoded

# x265, 1920x1080 at 25 Hz, Main at level 4
VPS = bytes.fromhex("40010c01ffff016000000300900000030000030078959409")
SPS = bytes.fromhex("420101016000000300900000030000030078a003c0801107cb965654a4c2f0168080000003008000000c84")
PPS = bytes.fromhex("4401c073c189")

AUD = b"\x46\x01\x50"
SEI = b"\x4e\x01\x05\x01\x00\x80"
TRAIL = b"\x02\x01\xd0"
IDR_W_RADL = b"\x26\x01\xaf"
CRA = b"\x2a\x01\xaf"
BLA = b"\x20\x01\xaf"
RASL = b"\x12\x01\xaf"

MAIN = bytes.fromhex("016000000090000000000078")


def test_full_hd_by_x265() -> None:
    config = H265Config((VPS,), (SPS,), (PPS,))
    assert (config.width, config.height, config.profile, config.level) == (1920, 1080, 1, 120)
    assert config.codec_string == "hvc1.1.6.L120.90"
    assert config.frame_rate == 25


def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded]) -> None:
    track = encoded["h265"]
    config = H265Config.from_hvcc(track.extradata)
    assert (config.width, config.height) == (track.probe["width"], track.probe["height"]) == (318, 178)
    assert config.sample_aspect_ratio == (12, 11)
    assert config.frame_rate == Fraction(track.probe["r_frame_rate"])
    assert config.level == track.probe["level"]
    assert config.info.reorder_frames == track.probe["has_b_frames"]
    assert config.hvcc()[:22] == track.extradata[:22]
    assert H265Config.from_hvcc(config.hvcc()) == config


def test_key_frames_of_encoder_output_are_random_access_points(encoded: dict[str, Encoded]) -> None:
    track = encoded["h265"]
    assert [h265.is_random_access(sample) for sample in track.samples] == track.keys
    assert track.keys.count(True) > 1


@pytest.mark.parametrize(
    ("profile_tier_level", "expected"),
    [
        ("0160000000b000000000005d", "hvc1.1.6.L93.B0"),
        ("2220000000b000000000007b", "hvc1.2.4.H123.B0"),
        ("016000000000000000000078", "hvc1.1.6.L120"),
        ("4408000000000001000000ff", "hvc1.A4.10.L255.0.0.1"),
        ("8180000000b0000000000a5d", "hvc1.B1.1.L93.B0.0.0.0.0.A"),
    ],
)
def test_codec_string_of_annex_e(profile_tier_level: str, expected: str) -> None:
    sps = _sps_nal(_plain_sps(profile_tier_level=bytes.fromhex(profile_tier_level)))
    assert H265Config((VPS,), (sps,), (PPS,)).codec_string == expected


def _plain_sps(**changes: object) -> H265Sps:
    plain = H265Sps(MAIN, 0, 1, True, 1, 8, 8, 320, 176, 2)
    return replace(plain, **changes)  # type: ignore[arg-type]


def _write_profile_tier_level(bits: Bits, general: bytes, max_sub_layers: int) -> None:
    bits.u(96, int.from_bytes(general, "big"))
    for index in range(max_sub_layers - 1):
        bits.u(1, index % 2).u(1, 1)
    if max_sub_layers > 1:
        bits.u(2 * (9 - max_sub_layers), 0)
    for index in range(max_sub_layers - 1):
        bits.u(88 * (index % 2), 0).u(8, 93)


def _sps_nal(sps: H265Sps, window: tuple[int, int] = (0, 0), predicted_sets: bool = True) -> bytes:
    bits = Bits().u(4, 0).u(3, sps.max_sub_layers - 1).u(1, sps.temporal_id_nesting)
    _write_profile_tier_level(bits, sps.profile_tier_level, sps.max_sub_layers)
    bits.ue(sps.sps_id).ue(sps.chroma_format)
    if sps.chroma_format == 3:
        bits.u(1, 0)
    unit_x = 2 if sps.chroma_format in (1, 2) else 1
    unit_y = 2 if sps.chroma_format == 1 else 1
    bits.ue(sps.width + unit_x * window[0]).ue(sps.height + unit_y * window[1])
    bits.u(1, 1).ue(window[0]).ue(0).ue(0).ue(window[1])
    bits.ue(sps.bit_depth_luma - 8).ue(sps.bit_depth_chroma - 8).ue(4).u(1, 1)
    for layer in range(sps.max_sub_layers):
        last = layer == sps.max_sub_layers - 1
        bits.ue(4).ue(sps.reorder_frames if last else 0).ue(0)
    bits.ue(0).ue(3).ue(0).ue(3).ue(0).ue(0)
    bits.u(1, 1).u(1, 1)  # scaling lists: predicted, except the first of 4x4, the last of 32x32
    bits.u(1, 1)
    for _ in range(16):
        bits.se(-1)
    for _ in range(5):
        bits.u(1, 0).ue(0)
    bits.u(1, 1)  # and the first of 8x8, which has no DC coefficient
    for _ in range(64):
        bits.se(1)
    for _ in range(5 + 6):
        bits.u(1, 0).ue(0)
    bits.u(1, 0).ue(0).u(1, 1).se(3)
    for _ in range(64):
        bits.se(0)
    bits.u(2, 3).u(1, 1).u(8, 0x77).ue(0).ue(1).u(1, 1)  # PCM
    _write_reference_sets(bits, predicted_sets)
    bits.u(1, 1).ue(2).u(9, 0).u(9, 1)  # two long-term pictures, order count of 8 bits
    bits.u(2, 1)
    _write_vui(bits, sps)
    return b"\x42\x01" + escaped(bits.rbsp())


def _write_reference_sets(bits: Bits, predicted_sets: bool) -> None:
    bits.ue(3 if predicted_sets else 1)
    bits.ue(2).ue(1).ue(0).u(1, 1).ue(1).u(1, 1).ue(0).u(1, 0)  # two before, one after
    if predicted_sets:
        # from 3 pictures: used, unused but kept, dropped, used; then from those 3
        bits.u(1, 1).u(1, 1).ue(0).u(1, 1).u(2, 0b01).u(2, 0b00).u(1, 1)
        bits.u(1, 1).u(1, 0).ue(2).u(4, 0b1111)


def _write_vui(bits: Bits, sps: H265Sps) -> None:
    bits.u(1, 1)
    bits.u(1, 1).u(8, 255).u(16, sps.sample_aspect_ratio[0]).u(16, sps.sample_aspect_ratio[1])
    bits.u(1, 0)
    bits.u(1, sps.colour is not None)
    if sps.colour:
        bits.u(3, 5).u(1, sps.colour.full_range).u(1, 1)
        bits.u(8, sps.colour.primaries).u(8, sps.colour.transfer).u(8, sps.colour.matrix)
    bits.u(1, 0).u(3, 0).u(1, 1).ue(0).ue(1).ue(0).ue(1)
    bits.u(1, sps.frame_rate is not None)
    if sps.frame_rate:
        bits.u(32, sps.frame_rate.denominator).u(32, sps.frame_rate.numerator).u(1, 1).ue(0)
        bits.u(1, 1)
        _write_hrd(bits, sps.max_sub_layers)
    bits.u(1, 1).u(3, 0).ue(sps.min_spatial_segmentation).ue(2).ue(1).ue(15).ue(15)


def _write_hrd(bits: Bits, max_sub_layers: int) -> None:
    bits.u(1, 1).u(1, 1)  # NAL and VCL
    bits.u(1, 1).u(19, 0).u(8, 0).u(4, 0).u(15, 0)
    for layer in range(max_sub_layers):
        if layer % 2:
            bits.u(1, 0).u(1, 0).u(1, 1)  # no fixed rate, low delay: one buffer
        else:
            bits.u(1, 0).u(1, 1).ue(0).ue(1)  # fixed within the sequence: two buffers
        for _ in range(2 * (1 if layer % 2 else 2)):
            bits.ue(10).ue(20).ue(30).ue(40).u(1, 0)


@st.composite
def sps_values(draw: st.DrawFn) -> tuple[H265Sps, tuple[int, int]]:
    sps = H265Sps(
        profile_tier_level=draw(st.binary(min_size=12, max_size=12)),
        sps_id=draw(st.integers(0, 15)),
        max_sub_layers=draw(st.integers(1, 7)),
        temporal_id_nesting=draw(st.booleans()),
        chroma_format=draw(st.integers(0, 3)),
        bit_depth_luma=draw(st.integers(8, 16)),
        bit_depth_chroma=draw(st.integers(8, 16)),
        width=8 * draw(st.integers(1, 1000)),
        height=8 * draw(st.integers(1, 1000)),
        reorder_frames=draw(st.integers(0, 15)),
        sample_aspect_ratio=Fraction(draw(st.integers(1, 99)), draw(st.integers(1, 99))).as_integer_ratio(),
        colour=draw(st.none() | st.builds(Colour, *[st.integers(0, 255)] * 3, st.booleans())),
        frame_rate=draw(st.none() | st.fractions(1, 300, max_denominator=1001)),
        min_spatial_segmentation=draw(st.integers(0, 4095)),
        order_bits=8,
    )
    return sps, draw(st.tuples(st.integers(0, 7), st.integers(0, 7)))


@given(sps_values(), st.booleans())
def test_whatever_an_sps_says_is_read(value: tuple[H265Sps, tuple[int, int]], predicted: bool) -> None:
    sps, window = value
    assert h265.parse_sps(_sps_nal(sps, window, predicted)) == sps


def _vps_nal(frame_rate: Fraction | None, max_sub_layers: int = 1) -> bytes:
    bits = Bits().u(4, 0).u(2, 3).u(6, 0).u(3, max_sub_layers - 1).u(1, 1).u(16, 0xFFFF)
    _write_profile_tier_level(bits, MAIN, max_sub_layers)
    bits.u(1, 0).ue(4).ue(2).ue(0)
    bits.u(6, 1).ue(2).u(4, 0b1001)  # two more layer sets of two layers
    bits.u(1, frame_rate is not None)
    if frame_rate:
        bits.u(32, frame_rate.denominator).u(32, frame_rate.numerator).u(1, 0).ue(0)
    return b"\x40\x01" + escaped(bits.u(1, 0).rbsp())


@given(st.none() | st.fractions(1, 300, max_denominator=1001), st.integers(1, 7))
def test_the_frame_rate_of_a_vps_is_read(frame_rate: Fraction | None, max_sub_layers: int) -> None:
    assert parse_vps_frame_rate(_vps_nal(frame_rate, max_sub_layers)) == frame_rate


def test_the_frame_rate_is_that_of_the_sps_or_else_of_the_vps() -> None:
    silent, says_50 = _sps_nal(_plain_sps()), _sps_nal(_plain_sps(frame_rate=Fraction(50)))
    vps = _vps_nal(Fraction(30_000, 1001))
    assert H265Config((vps,), (silent,), (PPS,)).frame_rate == Fraction(30_000, 1001)
    assert H265Config((vps,), (says_50,), (PPS,)).frame_rate == 50
    assert H265Config((_vps_nal(None),), (silent,), (PPS,)).frame_rate is None


@given(st.lists(sps_values(), min_size=1, max_size=3), st.integers(1, 3))
def test_hvcc_round_trip(values: list[tuple[H265Sps, tuple[int, int]]], pps_count: int) -> None:
    config = H265Config((VPS,), tuple(_sps_nal(*value) for value in values), (PPS,) * pps_count)
    hvcc = config.hvcc()
    assert H265Config.from_hvcc(hvcc) == config
    assert hvcc[1:13] == values[0][0].profile_tier_level


def test_sei_messages_in_hvcc_are_left_out() -> None:
    config = H265Config((VPS,), (SPS,), (PPS,))
    hvcc = config.hvcc()
    with_sei = hvcc[:22] + b"\x04" + hvcc[23:] + bytes((39, 0, 1, 0, len(SEI))) + SEI
    assert H265Config.from_hvcc(with_sei) == config


def test_truncated_hvcc_is_refused() -> None:
    assert_truncations_refused(H265Config.from_hvcc, H265Config((VPS,), (SPS,), (PPS,)).hvcc())


def test_truncated_parameter_sets_are_refused() -> None:
    assert_truncations_refused(h265.parse_sps, _sps_nal(_plain_sps(max_sub_layers=3)))
    assert_truncations_refused(parse_vps_frame_rate, _vps_nal(Fraction(25)), least=3)


@given(st.binary(max_size=100))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(H265Config.from_hvcc, data)
    assert_total(h265.parse_sps, b"\x42\x01" + data)
    assert_total(parse_vps_frame_rate, b"\x40\x01" + data)
    assert_total(h265.is_random_access, data)
    assert_total(h265.parameter_sets_in, data)
    config = H265Config((VPS,), (SPS,), (PPS,))
    nals = lengths(b"\x40\x01" + data, b"\x42\x01" + data, b"\x44\x01" + data)
    assert_total(config.with_parameter_sets_from, nals)


@given(st.integers(0, len(SPS) - 1), st.integers(0, 255))
def test_a_corrupt_sps_raises_nothing_else(position: int, value: int) -> None:
    assert_total(h265.parse_sps, SPS[:position] + bytes((value,)) + SPS[position + 1 :])


def test_a_nal_unit_of_another_type_is_no_sps() -> None:
    with pytest.raises(MediaError, match="another type"):
        h265.parse_sps(VPS)


def test_a_nal_length_size_of_three_is_refused_and_others_reported() -> None:
    hvcc = bytearray(H265Config((VPS,), (SPS,), (PPS,)).hvcc())
    assert h265.hvcc_nal_length_size(bytes(hvcc)) == 4
    hvcc[21] = hvcc[21] & 0xFC | 1
    assert h265.hvcc_nal_length_size(bytes(hvcc)) == 2
    hvcc[21] = hvcc[21] & 0xFC | 2
    with pytest.raises(MediaError, match="3 bytes"):
        h265.hvcc_nal_length_size(bytes(hvcc))


@pytest.mark.parametrize(
    ("nals", "expected"),
    [
        ((AUD, VPS, SPS, PPS, SEI, IDR_W_RADL), True),
        ((CRA,), True),
        ((b"", BLA), True),
        ((AUD, TRAIL), False),
        ((RASL, IDR_W_RADL), False),
        ((VPS, SPS, PPS), False),
        ((), False),
    ],
)
def test_irap_pictures_are_random_access_points(nals: tuple[bytes, ...], expected: bool) -> None:
    assert h265.is_random_access(lengths(*nals)) is expected


def test_parameter_sets_are_found_in_front_of_the_first_slice_only() -> None:
    found = h265.parameter_sets_in(lengths(AUD, VPS, SPS, PPS, PPS, IDR_W_RADL, SPS))
    assert found == H265ParameterSets((VPS,), (SPS,), (PPS, PPS))
    assert h265.parameter_sets_in(lengths(AUD, SEI, TRAIL, SPS)) == ((), (), ())


def test_an_access_unit_with_nothing_new_leaves_the_very_same_config() -> None:
    config = H265Config((VPS,), (SPS,), (PPS,))
    assert config.with_parameter_sets_from(lengths(AUD, TRAIL)) is config
    assert config.with_parameter_sets_from(lengths(VPS, SPS, PPS, IDR_W_RADL)) is config


def test_new_parameter_sets_of_the_same_ids_replace_the_old_ones() -> None:
    vps, sps = _vps_nal(None), _sps_nal(_plain_sps())
    pps = b"\x44\x01\xe0\x76"
    changed = H265Config((VPS,), (SPS,), (PPS,)).with_parameter_sets_from(lengths(vps, sps, pps, CRA))
    assert changed == H265Config((vps,), (sps,), (pps,))


def test_an_sps_of_another_id_becomes_the_active_one_and_the_old_one_stays() -> None:
    second = _sps_nal(_plain_sps(sps_id=1))
    config = H265Config((VPS,), (SPS,), (PPS,)).with_parameter_sets_from(lengths(second, CRA))
    assert config.sps == (second, SPS)
    assert config.width == 320
