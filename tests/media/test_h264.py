from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openstreamer.media import h264
from openstreamer.media.errors import MediaError
from openstreamer.media.h264 import H264Config, H264Sps
from openstreamer.media.vui import Colour
from tests.media.bitstreams import Bits, assert_total, assert_truncations_refused, escaped, lengths
from tests.media.conftest import Encoded

# x264: 1920x1080 coded as 1920x1088; 720x576 interlaced 16:9 PAL; High 10 with CBR HRD and BT.709
FULL_HD = bytes.fromhex(
    "01640028ffe1001b67640028acd940780227e5c044000003000400000300c83c60c65801000468ef8fcbfdf8f800"
)
PAL = bytes.fromhex("0164001effe100186764001eacd940b424d8208000000300800000190f8a14cb01000468fe8fcbfdf8f800")
HIGH_10 = bytes.fromhex(
    "016e0015ffe10028676e0015a6cd941433d4981350101014000003000400000300c9808007a10001e84e4c300f8a14cb"
    "01000568fbacb22cfdfafa00"
)
FIXED_RATE = bytes.fromhex(
    "0164000dffe100196764000dacd94141fb011000000300100000030328f142996001000468ef8fcbfdf8f800"
)
SPS = H264Config.from_avcc(FULL_HD).sps[0]
PPS = H264Config.from_avcc(FULL_HD).pps[0]

SLICE_P = b"\x41\x9a\x24\x6c"  # first_mb_in_slice 0, slice_type 5
SLICE_I = b"\x41\x88\x84\x00"  # first_mb_in_slice 0, slice_type 7
IDR = b"\x65\x88\x84\x00"
AUD = b"\x09\xf0"
SEI_RECOVERY_NOW = b"\x06\x06\x01\xc4\x80"  # recovery_frame_cnt 0
SEI_RECOVERY_LATER = b"\x06\x06\x01\x24\x80"  # recovery_frame_cnt 8
SEI_THAT_ONLY_LOOKS_LIKE_RECOVERY = b"\x06\x05\x04\x00\x06\x01\xc4\x80"
SEI_TIMING_THEN_RECOVERY = b"\x06\x01\x04\x00\x00\x03\x00\x01\x06\x01\xc4\x80"


@pytest.mark.parametrize("avcc", [FULL_HD, PAL, HIGH_10, FIXED_RATE])
def test_avcc_that_x264_wrote_comes_back_byte_for_byte(avcc: bytes) -> None:
    assert H264Config.from_avcc(avcc).avcc() == avcc


def test_cropped_full_hd() -> None:
    config = H264Config.from_avcc(FULL_HD)
    assert (config.width, config.height, config.profile, config.level) == (1920, 1080, 100, 40)
    assert config.codec_string == "avc1.640028"
    assert config.frame_rate == 25
    assert config.info.reorder_frames == 2
    assert config.info.progressive


def test_interlaced_pal_counts_both_fields_in_its_height() -> None:
    config = H264Config.from_avcc(PAL)
    assert (config.width, config.height) == (720, 576)
    assert config.sample_aspect_ratio == (16, 11)
    assert config.frame_rate == 25
    assert not config.info.progressive


def test_bit_depth_hrd_and_colour_of_high_10() -> None:
    info = H264Config.from_avcc(HIGH_10).info
    assert (info.bit_depth_luma, info.bit_depth_chroma, info.width, info.height) == (10, 10, 318, 180)
    assert info.colour == Colour(1, 1, 1, False)
    assert (info.reorder_frames, info.max_dec_frame_buffering) == (2, 4)


def test_a_declared_constant_frame_rate_says_so() -> None:
    assert H264Config.from_avcc(FIXED_RATE).info.fixed_frame_rate
    assert not H264Config.from_avcc(FULL_HD).info.fixed_frame_rate


def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded]) -> None:
    track = encoded["h264"]
    config = H264Config.from_avcc(track.extradata)
    assert (config.width, config.height) == (track.probe["width"], track.probe["height"])
    assert config.sample_aspect_ratio == (12, 11)
    assert config.frame_rate == Fraction(track.probe["r_frame_rate"])
    assert config.level == track.probe["level"]
    assert config.info.reorder_frames == track.probe["has_b_frames"]
    assert config.avcc() == track.extradata


def test_key_frames_of_encoder_output_are_random_access_points(encoded: dict[str, Encoded]) -> None:
    track = encoded["h264"]
    assert [h264.is_random_access(sample) for sample in track.samples] == track.keys
    assert track.keys.count(True) > 1


def _sps_nal(sps: H264Sps, crop: tuple[int, int] = (0, 0)) -> bytes:
    """Writes what ``sps`` says; ``crop`` is taken from the right and bottom, in crop units."""
    bits = Bits().u(8, sps.profile).u(8, sps.constraint_flags).u(8, sps.level).ue(sps.sps_id)
    if sps.profile in (100, 110, 122, 244):
        bits.ue(sps.chroma_format)
        if sps.chroma_format == 3:
            bits.u(1, 0)
        bits.ue(sps.bit_depth_luma - 8).ue(sps.bit_depth_chroma - 8).u(1, 0)
        bits.u(1, 1).u(1, 1).se(-8).u(5, 0)  # scaling matrix: a list of 16 that its first delta ends,
        bits.u(1, 1).u(64, 2**64 - 1)  # and a whole one of 64, all deltas 0
        bits.u(5 if sps.chroma_format == 3 else 1, 0)
    unit_x = 2 if sps.chroma_format in (1, 2) else 1
    unit_y = (2 if sps.chroma_format == 1 else 1) * (1 if sps.progressive else 2)
    lines = sps.height + crop[1] * unit_y
    bits.ue(sps.frame_num_bits - 4).ue(1).u(1, 0).se(-3).se(5).ue(2).se(1).se(
        -1
    )  # picture order count type 1
    bits.ue(4).u(1, 0).ue((sps.width + crop[0] * unit_x) // 16 - 1)
    bits.ue(lines // (16 if sps.progressive else 32) - 1).u(1, sps.progressive)
    if not sps.progressive:
        bits.u(1, 1)
    bits.u(1, 1).u(1, 1).ue(0).ue(crop[0]).ue(0).ue(crop[1])
    _write_vui(bits, sps)
    return b"\x67" + escaped(bits.rbsp())


def _write_vui(bits: Bits, sps: H264Sps) -> None:
    bits.u(1, 1)
    bits.u(1, 1).u(8, 255).u(16, sps.sample_aspect_ratio[0]).u(16, sps.sample_aspect_ratio[1])
    bits.u(1, 1).u(1, 0)  # overscan
    bits.u(1, sps.colour is not None)
    if sps.colour:
        bits.u(3, 5).u(1, sps.colour.full_range).u(1, 1)
        bits.u(8, sps.colour.primaries).u(8, sps.colour.transfer).u(8, sps.colour.matrix)
    bits.u(1, 1).ue(1).ue(2)  # chroma location
    bits.u(1, sps.frame_rate is not None)
    if sps.frame_rate:
        bits.u(32, sps.frame_rate.denominator).u(32, 2 * sps.frame_rate.numerator).u(1, sps.fixed_frame_rate)
    for _ in ("nal", "vcl"):  # HRD parameters with two buffers
        bits.u(1, 1).ue(1).u(8, 0).ue(1000).ue(2000).u(1, 0).ue(3000).ue(4000).u(1, 1).u(20, 0)
    bits.u(1, 0).u(1, 1)
    bits.u(1, sps.reorder_frames is not None)
    if sps.reorder_frames is not None:
        bits.u(1, 1).ue(2).ue(1).ue(10).ue(11).ue(sps.reorder_frames).ue(sps.max_dec_frame_buffering or 0)


@st.composite
def sps_values(draw: st.DrawFn) -> tuple[H264Sps, tuple[int, int]]:
    profile = draw(st.sampled_from([66, 77, 88, 100, 110, 122, 244]))
    high = profile >= 100
    chroma_format = draw(st.integers(0, 3)) if high else 1
    progressive = draw(st.booleans())
    crop = draw(st.tuples(st.integers(0, 7), st.integers(0, 3)))
    unit_x = 2 if chroma_format in (1, 2) else 1
    unit_y = (2 if chroma_format == 1 else 1) * (1 if progressive else 2)
    reorder = draw(st.none() | st.integers(0, 16))
    sps = H264Sps(
        profile=profile,
        constraint_flags=draw(st.integers(0, 255)),
        level=draw(st.integers(9, 62)),
        sps_id=draw(st.integers(0, 31)),
        chroma_format=chroma_format,
        bit_depth_luma=draw(st.integers(8, 14)) if high else 8,
        bit_depth_chroma=draw(st.integers(8, 14)) if high else 8,
        width=16 * draw(st.integers(1, 300)) - crop[0] * unit_x,
        height=32 * draw(st.integers(1, 150)) - crop[1] * unit_y,
        progressive=progressive,
        sample_aspect_ratio=Fraction(draw(st.integers(1, 500)), draw(st.integers(1, 500))).as_integer_ratio(),
        colour=draw(st.none() | st.builds(Colour, *[st.integers(0, 255)] * 3, st.booleans())),
        frame_rate=draw(st.none() | st.fractions(1, 300, max_denominator=1001)),
        reorder_frames=0 if reorder is None and profile == 66 else reorder,
        max_dec_frame_buffering=None if reorder is None else 16,
        frame_num_bits=draw(st.integers(4, 16)),
        order_bits=0,  # picture order count type 1
    )
    if sps.reorder_frames is not None and sps.max_dec_frame_buffering is None:
        sps = replace(sps, reorder_frames=None)
    return replace(sps, fixed_frame_rate=bool(sps.frame_rate) and draw(st.booleans())), crop


@given(sps_values())
def test_whatever_an_sps_says_is_read(value: tuple[H264Sps, tuple[int, int]]) -> None:
    sps, crop = value
    parsed = h264.parse_sps(_sps_nal(sps, crop))
    if sps.profile == 66 and sps.reorder_frames is None:
        assert parsed.reorder_frames == 0
        parsed = replace(parsed, reorder_frames=None)
    assert parsed == sps


@given(
    st.lists(sps_values(), min_size=1, max_size=4),
    st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=4),
)
def test_avcc_round_trip(values: list[tuple[H264Sps, tuple[int, int]]], pps: list[bytes]) -> None:
    config = H264Config(tuple(_sps_nal(*value) for value in values), tuple(b"\x68" + nal for nal in pps))
    assert H264Config.from_avcc(config.avcc()) == config


def test_an_sps_extension_survives_the_round_trip() -> None:
    config = H264Config((SPS,), (PPS,), (b"\x6d\x12\x34",))
    assert H264Config.from_avcc(config.avcc()) == config


def test_a_high_profile_avcc_without_its_tail_is_understood() -> None:
    assert H264Config.from_avcc(FULL_HD[:-4]) == H264Config.from_avcc(FULL_HD)


def test_a_baseline_avcc_has_no_tail() -> None:
    sps = b"\x67\x42" + SPS[2:4] + _sps_nal(H264Sps(66, 0, 30, 0, 1, 8, 8, 320, 160, True))[4:]
    avcc = H264Config((sps,), (PPS,)).avcc()
    assert avcc.endswith(PPS)


def test_truncated_avcc_is_refused() -> None:
    without_tail = FULL_HD[:-4]
    assert_truncations_refused(H264Config.from_avcc, without_tail)
    for size in range(len(without_tail) + 1, len(FULL_HD)):
        with pytest.raises(MediaError):
            H264Config.from_avcc(FULL_HD[:size])


@pytest.mark.parametrize("sps", [SPS, H264Config.from_avcc(HIGH_10).sps[0], H264Config.from_avcc(PAL).sps[0]])
def test_truncated_sps_is_refused(sps: bytes) -> None:
    assert_truncations_refused(h264.parse_sps, sps)


@given(st.binary(max_size=80))
@example(b"\x01\x64\x00\x28\xff\xe1\xff\xff")
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(H264Config.from_avcc, data)
    assert_total(h264.parse_sps, b"\x67" + data)
    assert_total(h264.is_random_access, data)
    assert_total(h264.parameter_sets_in, data)
    assert_total(H264Config((SPS,), (PPS,)).with_parameter_sets_from, lengths(b"\x67" + data, b"\x68" + data))


@given(st.integers(1, len(FULL_HD) - 1), st.integers(0, 255))
def test_a_corrupt_avcc_raises_nothing_else(position: int, value: int) -> None:
    assert_total(H264Config.from_avcc, FULL_HD[:position] + bytes((value,)) + FULL_HD[position + 1 :])


def test_too_many_or_oversized_parameter_sets_are_refused() -> None:
    with pytest.raises(MediaError, match="32 of them"):
        H264Config((SPS,) * 32, (PPS,))
    with pytest.raises(MediaError, match="0 of them"):
        H264Config((SPS,), ())
    with pytest.raises(MediaError, match="5001 bytes"):
        H264Config((SPS,), (b"\x68" + bytes(5000),))


@pytest.mark.parametrize(("length_size_minus_one", "size"), [(0, 1), (1, 2), (3, 4)])
def test_foreign_nal_length_sizes_are_reported(length_size_minus_one: int, size: int) -> None:
    avcc = FULL_HD[:4] + bytes((0xFC | length_size_minus_one,)) + FULL_HD[5:]
    assert h264.avcc_nal_length_size(avcc) == size
    assert H264Config.from_avcc(avcc) == H264Config.from_avcc(FULL_HD)


def test_a_nal_length_size_of_three_is_refused() -> None:
    with pytest.raises(MediaError, match="3 bytes"):
        H264Config.from_avcc(FULL_HD[:4] + b"\xfe" + FULL_HD[5:])


def test_a_cropping_that_leaves_nothing_is_refused() -> None:
    sps = H264Sps(100, 0, 40, 0, 1, 8, 8, 16, 16, True)
    with pytest.raises(MediaError, match="no picture"):
        h264.parse_sps(_sps_nal(replace(sps, width=16 - 16, height=16), (8, 0)))


def test_millisecond_time_bases_are_no_frame_rate() -> None:
    sps = H264Sps(100, 0, 40, 0, 1, 8, 8, 320, 160, True, frame_rate=Fraction(1000))
    assert h264.parse_sps(_sps_nal(sps)).frame_rate is None


def test_known_aspect_ratio_codes_are_looked_up() -> None:
    assert H264Config.from_avcc(PAL).sample_aspect_ratio == (16, 11)
    assert H264Config.from_avcc(FULL_HD).sample_aspect_ratio == (1, 1)


@pytest.mark.parametrize(
    ("nals", "expected"),
    [
        ((AUD, SPS, PPS, IDR), True),
        ((IDR,), True),
        ((b"", IDR), True),
        ((AUD, SLICE_P), False),
        ((SLICE_I,), False),
        ((AUD, SEI_RECOVERY_NOW, SLICE_I, SLICE_I), True),
        ((AUD, SEI_TIMING_THEN_RECOVERY, SLICE_I), True),
        ((SEI_RECOVERY_NOW, b"\x06\x01\x01\x00\x80", SLICE_I), True),
        ((AUD, SEI_RECOVERY_NOW, SLICE_I, SLICE_P), False),
        ((AUD, SEI_RECOVERY_NOW, SLICE_P), False),
        ((AUD, SEI_THAT_ONLY_LOOKS_LIKE_RECOVERY, SLICE_I), False),
        ((AUD, SEI_RECOVERY_LATER, SLICE_I), False),
        ((SEI_RECOVERY_NOW,), False),
        ((), False),
    ],
)
def test_what_a_random_access_point_is(nals: tuple[bytes, ...], expected: bool) -> None:
    assert h264.is_random_access(lengths(*nals)) is expected


@pytest.mark.parametrize(
    ("nals", "expected"),
    [
        ((AUD, SEI_RECOVERY_LATER, SLICE_P), True),
        ((b"", SEI_RECOVERY_NOW, SLICE_I), True),
        ((AUD, SEI_TIMING_THEN_RECOVERY, SLICE_P), True),
        ((b"\x06\x06\x02\x04\xf1\x80", SLICE_P), True),  # x264 with intra-refresh=1:keyint=60
        ((AUD, SLICE_P, SEI_RECOVERY_LATER), False),
        ((AUD, SEI_THAT_ONLY_LOOKS_LIKE_RECOVERY, SLICE_P), False),
        ((SEI_RECOVERY_LATER,), True),
        ((AUD, SPS, PPS, IDR), False),
        ((), False),
    ],
)
def test_where_an_intra_refresh_begins(nals: tuple[bytes, ...], expected: bool) -> None:
    assert h264.begins_refresh(lengths(*nals)) is expected


@pytest.mark.parametrize(
    "sei", [b"\x06", b"\x06\x06", b"\x06\xff\xff\xff", b"\x06\x06\x01", b"\x06\x01\xff\xff"]
)
def test_a_cut_off_sei_is_no_recovery_point(sei: bytes) -> None:
    assert not h264.is_random_access(lengths(sei, SLICE_I))
    assert not h264.begins_refresh(lengths(sei, SLICE_I))


def test_a_huge_sei_costs_no_more_than_its_beginning() -> None:
    assert not h264.is_random_access(lengths(b"\x06\x05" + b"\xff" * 100_000, SLICE_I))


def test_parameter_sets_are_found_in_front_of_the_first_slice_only() -> None:
    assert h264.parameter_sets_in(lengths(AUD, SPS, PPS, PPS, IDR, SPS)) == ((SPS,), (PPS, PPS))
    assert h264.parameter_sets_in(lengths(AUD, SLICE_P, SPS)) == ((), ())


@pytest.mark.parametrize("payload", [b"\0\0\0\x09" + SPS[:5], b"\xff\xff\xff\xff\x67"])
def test_a_parameter_set_beyond_the_access_unit_is_refused(payload: bytes) -> None:
    with pytest.raises(MediaError):
        h264.parameter_sets_in(payload)


def test_an_access_unit_with_nothing_new_leaves_the_very_same_config() -> None:
    config = H264Config((SPS,), (PPS,))
    assert config.with_parameter_sets_from(lengths(AUD, SLICE_P)) is config
    assert config.with_parameter_sets_from(lengths(AUD, SPS, PPS, IDR)) is config
    assert config.with_parameter_sets_from(lengths(PPS, IDR)) is config


def test_a_new_sps_of_the_same_id_replaces_the_old_one() -> None:
    other = H264Config.from_avcc(PAL)
    changed = H264Config((SPS,), (PPS,)).with_parameter_sets_from(lengths(*other.sps, *other.pps, IDR))
    assert changed == other
    assert (changed.width, changed.height) == (720, 576)


def test_an_sps_of_another_id_becomes_the_active_one_and_the_old_one_stays() -> None:
    second = _sps_nal(H264Sps(100, 0, 40, 1, 1, 8, 8, 320, 160, True))
    config = H264Config((SPS,), (PPS,)).with_parameter_sets_from(lengths(second, IDR))
    assert config.sps == (second, SPS)
    assert config.width == 320
    assert config.with_parameter_sets_from(lengths(second, IDR)) is config
    assert config.with_parameter_sets_from(lengths(SPS, IDR)).width == 1920


def test_a_pps_of_another_id_is_added() -> None:
    second = b"\x68" + Bits().ue(1).ue(0).u(4, 5).rbsp()
    config = H264Config((SPS,), (PPS,)).with_parameter_sets_from(lengths(second, SLICE_P))
    assert config.pps == (PPS, second)


def test_configurations_are_equal_and_hash_alike_iff_their_parameter_sets_are() -> None:
    again = H264Config((bytes(bytearray(SPS)),), (PPS,))
    assert again == H264Config.from_avcc(FULL_HD)
    assert hash(again) == hash(H264Config.from_avcc(FULL_HD))
    assert again != H264Config((SPS,), (PPS, PPS))
