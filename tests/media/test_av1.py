from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import av1
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError
from openstreamer.media.vui import UNSPECIFIED, Colour
from tests.media.bitstreams import Bits, assert_total, assert_truncations_refused
from tests.media.conftest import Encoded

# SVT-AV1, 320x180 8 bit; libaom, 320x180 10 bit
SVT = bytes.fromhex("81000c000a0b000000043cfecc02f80040")
AOM_10 = bytes.fromhex("81004c000a0b000000043cfeccdaf94040")
SEQUENCE = SVT[4:]

DELIMITER = b"\x12\x00"
KEY_FRAME = b"\x32\x02\x10\x00"  # OBU_FRAME: show_existing_frame 0, KEY_FRAME, show_frame 1
HIDDEN_KEY_FRAME = b"\x32\x02\x00\x00"
INTER_FRAME = b"\x32\x02\x30\x00"
KEY_FRAME_HEADER = b"\x1a\x02\x10\x00"  # OBU_FRAME_HEADER
SHOW_EXISTING = b"\x1a\x01\x80"
METADATA = b"\x2a\x02\x01\x80"


@pytest.mark.parametrize("av1c", [SVT, AOM_10])
def test_av1c_that_encoders_wrote_comes_back_byte_for_byte(av1c: bytes) -> None:
    assert Av1Config.from_av1c(av1c).av1c() == av1c


def test_codec_string_has_level_tier_and_depth() -> None:
    assert Av1Config.from_av1c(SVT).codec_string == "av01.0.00M.08"
    assert Av1Config.from_av1c(AOM_10).codec_string == "av01.0.00M.10"
    high = Av1Config(_sequence_obu(Sequence(level=13, tier=1, profile=2, depth=12)))
    assert high.codec_string == "av01.2.13H.12"


def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded]) -> None:
    track = encoded["av1"]
    config = Av1Config.from_av1c(track.extradata)
    assert (config.width, config.height) == (track.probe["width"], track.probe["height"])
    assert config.level == track.probe["level"]
    assert config.av1c() == track.extradata
    assert config.with_parameter_sets_from(track.samples[0]) is config


def test_key_frames_of_encoder_output_are_random_access_points(encoded: dict[str, Encoded]) -> None:
    track = encoded["av1"]
    assert [av1.is_random_access(sample) for sample in track.samples] == track.keys
    assert track.keys.count(True) > 1


@dataclass(frozen=True)
class Sequence:
    """What :func:`_sequence_obu` writes."""

    profile: int = 0
    level: int = 8
    tier: int = 0
    points: int = 1
    width: int = 1920
    height: int = 1080
    depth: int = 8
    monochrome: bool = False
    subsampling: tuple[bool, bool] = (True, True)
    position: int = 0
    colour: Colour = UNSPECIFIED
    frame_rate: Fraction | None = None
    decoder_model: bool = False
    display_delay: bool = False
    frame_ids: bool = False
    order_hint: bool = True
    screen_content: int = 2


def _sequence_obu(sequence: Sequence) -> bytes:
    bits = Bits().u(3, sequence.profile).u(2, 0)
    bits.u(1, sequence.frame_rate is not None)
    if sequence.frame_rate:
        bits.u(32, sequence.frame_rate.denominator).u(32, 2 * sequence.frame_rate.numerator)
        bits.u(1, 1).ue(1)  # two ticks per picture
        bits.u(1, sequence.decoder_model)
        if sequence.decoder_model:
            bits.u(5, 19).u(32, 1).u(5, 3).u(5, 4)
    bits.u(1, sequence.display_delay).u(5, sequence.points - 1)
    for point in range(sequence.points):
        level = sequence.level if point == 0 else 9
        bits.u(12, 0).u(5, level)
        if level > 7:
            bits.u(1, sequence.tier if point == 0 else 0)
        if sequence.frame_rate and sequence.decoder_model:
            bits.u(1, 1).u(20, 7).u(20, 8).u(1, 0)
        if sequence.display_delay:
            bits.u(1, point % 2)
            if point % 2:
                bits.u(4, 9)
    bits.u(4, 15).u(4, 14).u(16, sequence.width - 1).u(15, sequence.height - 1)
    bits.u(1, sequence.frame_ids)
    if sequence.frame_ids:
        bits.u(4, 3).u(3, 1)
    bits.u(3, 5).u(4, 9).u(1, sequence.order_hint)
    if sequence.order_hint:
        bits.u(2, 3)
    bits.u(1, sequence.screen_content == 2)
    if sequence.screen_content < 2:
        bits.u(1, sequence.screen_content)
    if sequence.screen_content:
        bits.u(1, 0).u(1, 1)  # integer motion vectors are forced
    if sequence.order_hint:
        bits.u(3, 6)
    bits.u(3, 7)
    _write_colour(bits, sequence)
    return b"\x0a" + _with_length(bits.u(1, 0).rbsp())


def _write_colour(bits: Bits, sequence: Sequence) -> None:
    bits.u(1, sequence.depth > 8)
    if sequence.profile == 2 and sequence.depth > 8:
        bits.u(1, sequence.depth == 12)
    if sequence.profile != 1:
        bits.u(1, sequence.monochrome)
    colour = sequence.colour
    described = colour[:3] != (2, 2, 2)
    bits.u(1, described)
    if described:
        bits.u(8, colour.primaries).u(8, colour.transfer).u(8, colour.matrix)
    if sequence.monochrome:
        bits.u(1, colour.full_range)
        return
    if colour[:3] != (1, 13, 0):
        bits.u(1, colour.full_range)
        if sequence.profile == 2 and sequence.depth == 12:
            bits.u(1, sequence.subsampling[0])
            if sequence.subsampling[0]:
                bits.u(1, sequence.subsampling[1])
        if all(sequence.subsampling):
            bits.u(2, sequence.position)
    bits.u(1, 0)


def _with_length(payload: bytes) -> bytes:
    return av1.write_leb128(len(payload)) + payload


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    profile = draw(st.integers(0, 2))
    depth = draw(st.sampled_from([8, 10, 12] if profile == 2 else [8, 10]))
    monochrome = profile != 1 and draw(st.booleans())
    rgb = not monochrome and draw(st.booleans())
    subsampling = [(True, True), (False, False), (True, False)][profile]
    if profile == 2 and depth == 12:
        subsampling = draw(st.sampled_from([(True, True), (True, False), (False, False)]))
    colour = Colour(1, 13, 0, True) if rgb else Colour(draw(st.integers(1, 12)), 16, 9, draw(st.booleans()))
    if rgb:
        subsampling = (False, False)
    if monochrome:
        subsampling = (True, True)
    level = draw(st.integers(0, 31))
    return Sequence(
        profile=profile,
        level=level,
        tier=draw(st.integers(0, 1)) if level > 7 else 0,
        points=draw(st.integers(1, 32)),
        width=draw(st.integers(1, 65_535)),
        height=draw(st.integers(1, 32_768)),
        depth=depth,
        monochrome=monochrome,
        subsampling=subsampling,
        position=draw(st.integers(0, 3)) if all(subsampling) and not monochrome else 0,
        colour=colour,
        frame_rate=draw(st.none() | st.fractions(1, 300, max_denominator=1001)),
        decoder_model=draw(st.booleans()),
        display_delay=draw(st.booleans()),
        frame_ids=draw(st.booleans()),
        order_hint=draw(st.booleans()),
        screen_content=draw(st.integers(0, 2)),
    )


@given(sequences())
def test_whatever_a_sequence_header_says_is_read(sequence: Sequence) -> None:
    info = av1.parse_sequence_header(_sequence_obu(sequence))
    assert (info.profile, info.level, info.tier) == (sequence.profile, sequence.level, sequence.tier)
    assert (info.width, info.height) == (sequence.width, sequence.height)
    assert (info.bit_depth, info.monochrome) == (sequence.depth, sequence.monochrome)
    assert (info.subsampling_x, info.subsampling_y) == sequence.subsampling
    assert info.chroma_sample_position == sequence.position
    assert info.colour == sequence.colour
    assert info.frame_rate == sequence.frame_rate


@given(sequences())
def test_av1c_round_trip(sequence: Sequence) -> None:
    config = Av1Config(_sequence_obu(sequence))
    assert Av1Config.from_av1c(config.av1c()) == config


def test_a_reduced_still_picture_header_is_read() -> None:
    bits = Bits().u(3, 0).u(2, 3).u(5, 4).u(4, 7).u(4, 7).u(8, 199).u(8, 99).u(3, 0).u(3, 0)
    bits.u(1, 0).u(1, 0).u(1, 0).u(1, 1).u(2, 1).u(1, 0).u(1, 0)
    info = av1.parse_sequence_header(b"\x0a" + _with_length(bits.rbsp()))
    assert (info.width, info.height, info.level, info.colour.full_range) == (200, 100, 4, True)


def test_an_obu_without_a_size_field_makes_the_same_config() -> None:
    assert Av1Config(b"\x08" + SEQUENCE[2:]) == Av1Config(SEQUENCE)
    assert av1.with_size(b"\x0c\x55" + SEQUENCE[2:]) == b"\x0e\x55" + SEQUENCE[1:]


def test_truncated_records_are_refused() -> None:
    assert_truncations_refused(Av1Config.from_av1c, SVT)
    assert_truncations_refused(lambda data: av1.parse_sequence_header(b"\x08" + data), SEQUENCE[2:], 2)


@given(st.binary(max_size=60))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(Av1Config.from_av1c, data)
    assert_total(Av1Config.from_av1c, b"\x81\x00\x0c\x00" + data)
    assert_total(Av1Config, data)
    assert_total(av1.parse_sequence_header, b"\x08" + data)
    assert_total(av1.split_obus, data)
    assert_total(av1.is_random_access, data)
    assert_total(av1.drop_temporal_delimiters, data)
    assert_total(Av1Config(SEQUENCE).with_parameter_sets_from, data)


@given(st.integers(0, 2**56 - 1))
def test_leb128_round_trip(value: int) -> None:
    written = av1.write_leb128(value)
    assert av1.read_leb128(b"x" + written + b"y", 1) == (value, 1 + len(written))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 8 + b"\x01"])
def test_a_leb128_number_that_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError, match="leb128"):
        av1.read_leb128(data, 0)


def test_a_flood_of_obus_is_refused() -> None:
    with pytest.raises(MediaError, match="OBUs"):
        av1.split_obus(b"\x2a\x00" * (av1.OBUS_PER_TEMPORAL_UNIT_MAX + 1))


def test_temporal_delimiters_are_dropped_and_nothing_else() -> None:
    assert av1.drop_temporal_delimiters(DELIMITER + SEQUENCE + KEY_FRAME) == SEQUENCE + KEY_FRAME
    unit = SEQUENCE + KEY_FRAME
    assert av1.drop_temporal_delimiters(unit) is unit
    assert av1.drop_temporal_delimiters(b"") == b""
    assert av1.drop_temporal_delimiters(b"\x16\x00\x00" + INTER_FRAME) == INTER_FRAME


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (DELIMITER + SEQUENCE + KEY_FRAME, True),
        (METADATA + KEY_FRAME_HEADER, True),
        (SEQUENCE + HIDDEN_KEY_FRAME + SHOW_EXISTING, False),
        (INTER_FRAME + KEY_FRAME, False),
        (SHOW_EXISTING, False),
        (SEQUENCE, False),
        (b"\x32\x00", False),
        (b"", False),
    ],
)
def test_a_shown_key_frame_in_front_is_a_random_access_point(unit: bytes, expected: bool) -> None:
    assert av1.is_random_access(unit) is expected


def test_a_new_sequence_header_makes_a_new_config() -> None:
    config = Av1Config(SEQUENCE)
    assert config.with_parameter_sets_from(INTER_FRAME) is config
    assert config.with_parameter_sets_from(DELIMITER + SEQUENCE + KEY_FRAME) is config
    changed = config.with_parameter_sets_from(AOM_10[4:] + KEY_FRAME)
    assert changed == Av1Config.from_av1c(AOM_10) != config
    assert config.with_parameter_sets_from(INTER_FRAME + AOM_10[4:]) is config
