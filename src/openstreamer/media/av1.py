"""AV1: open bitstream units, the sequence header, the av1C record.

Specifications: AV1 Bitstream & Decoding Process (section numbers without a name), AV1 Codec ISO Media File
Format Binding sections 2.3 (av1C) and 5 (codec string). Temporal units are in the low-overhead format.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, Self

from openstreamer.media.bits import BitReader
from openstreamer.media.errors import MediaError
from openstreamer.media.vui import Colour, plausible_frame_rate

# obu_type, 6.2.2
OBU_SEQUENCE_HEADER = 1
OBU_TEMPORAL_DELIMITER = 2
OBU_FRAME_HEADER = 3
OBU_FRAME = 6

SEQUENCE_HEADER_BYTES_MAX = 1_024  # 32 operating points need about 300
OBUS_PER_TEMPORAL_UNIT_MAX = 16_384

_LEB128_BYTES_MAX = 8
_SIDE_MAX = 65_535  # 65536 can be said as well, but MP4 has 16 bits for a side
_SELECT = 2  # SELECT_SCREEN_CONTENT_TOOLS and SELECT_INTEGER_MV
_IDENTITY_SRGB = (1, 13, 0)


def read_leb128(data: bytes, position: int) -> tuple[int, int]:
    """A leb128 number (4.10.5) of at most 8 bytes, and the position behind it."""
    value = 0
    for index, byte in enumerate(data[position : position + _LEB128_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value, position + index + 1
    raise MediaError("AV1: a leb128 number does not end")


def write_leb128(value: int) -> bytes:
    """``value`` as a leb128 number of the shortest form."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def iter_obus(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """``(obu_type, start, payload_start, end)`` of every OBU; the last one may lack its size (5.3.1)."""
    position = 0
    for _ in range(OBUS_PER_TEMPORAL_UNIT_MAX):
        if position >= len(data):
            return
        start = position
        header = data[position]
        if header & 0x80:
            raise MediaError("AV1: obu_forbidden_bit is set")
        position += 2 if header & 0x04 else 1
        size = len(data) - position
        if header & 0x02:
            size, position = read_leb128(data, position)
        end = position + size
        if end > len(data) or end < position:
            raise MediaError(f"AV1: an OBU ends {end - len(data)} bytes behind its temporal unit")
        yield (header >> 3) & 0x0F, start, position, end
        position = end
    raise MediaError(f"AV1: more than {OBUS_PER_TEMPORAL_UNIT_MAX} OBUs in one temporal unit")


def split_obus(data: bytes) -> list[bytes]:
    """The OBUs of a temporal unit, headers included."""
    return [data[start:end] for _, start, _, end in iter_obus(data)]


def with_size(obu: bytes) -> bytes:
    """One OBU with ``obu_has_size_field`` set, as the low-overhead format wants it (RTP leaves it out)."""
    if not obu:
        raise MediaError("AV1: an empty OBU")
    if obu[0] & 0x02:
        return obu
    header_bytes = 2 if obu[0] & 0x04 else 1
    header = bytes((obu[0] | 0x02,)) + obu[1:header_bytes]
    return header + write_leb128(max(len(obu) - header_bytes, 0)) + obu[header_bytes:]


def drop_temporal_delimiters(data: bytes) -> bytes:
    """``data`` without temporal delimiter OBUs: they are implied where samples are framed.

    A delimiter stands only at the beginning of a temporal unit (7.5), so data that begins with
    something else is returned unchanged.
    """
    if not data or (data[0] >> 3) & 0x0F != OBU_TEMPORAL_DELIMITER:
        return data
    kept = [data[start:end] for kind, start, _, end in iter_obus(data) if kind != OBU_TEMPORAL_DELIMITER]
    return b"".join(kept)


def sequence_header_in(data: bytes) -> bytes | None:
    """The first sequence header OBU in front of the first frame, with a size field; ``None`` without one."""
    for kind, start, _, end in iter_obus(data):
        if kind == OBU_SEQUENCE_HEADER:
            return with_size(data[start:end])
        if kind in (OBU_FRAME, OBU_FRAME_HEADER):
            return None
    return None


def is_random_access(data: bytes) -> bool:
    """Whether decoding can begin with this temporal unit: its first frame is a shown key frame (7.6.2).

    A key frame that is not shown (forward key frame) is none: what is shown first needs later frames.
    """
    for kind, _, payload_start, end in iter_obus(data):
        if kind in (OBU_FRAME, OBU_FRAME_HEADER):
            # show_existing_frame, frame_type (2 bits, 0 is KEY_FRAME), show_frame
            return payload_start < end and data[payload_start] >> 4 == 0b0001
    return False


@dataclass(frozen=True, slots=True)
class Av1SequenceHeader:
    """What a sequence header OBU says (5.5). Sizes are the largest that frames may have."""

    profile: int
    level: int
    tier: int
    width: int
    height: int
    bit_depth: int
    monochrome: bool
    subsampling_x: bool
    subsampling_y: bool
    chroma_sample_position: int
    colour: Colour
    frame_rate: Fraction | None


def parse_sequence_header(obu: bytes) -> Av1SequenceHeader:
    """Reads a sequence header OBU, its OBU header included."""
    found = next(iter_obus(obu), None)
    if found is None or found[0] != OBU_SEQUENCE_HEADER:
        raise MediaError("AV1 sequence header: the OBU is of another type")
    reader = BitReader(obu[found[2] : found[3]], "AV1 sequence header")
    profile = reader.u(3)
    if profile > 2:
        raise MediaError(f"AV1 sequence header: profile {profile} is reserved")
    reader.skip(1)  # still_picture
    reduced = reader.flag()  # reduced_still_picture_header
    frame_rate = None
    if reduced:
        level, tier = reader.u(5), 0
    else:
        frame_rate, decoder_model_bits = _read_timing(reader)
        level, tier = _read_operating_points(reader, decoder_model_bits)
    width_bits, height_bits = reader.u(4) + 1, reader.u(4) + 1
    width, height = reader.u(width_bits) + 1, reader.u(height_bits) + 1
    if max(width, height) > _SIDE_MAX:
        raise MediaError(f"AV1 sequence header: {width}x{height} is beyond every level")
    _skip_coding_tools(reader, reduced)
    depth, monochrome, colour, subsampling, position = _read_colour_config(reader, profile)
    reader.skip(1)  # film_grain_params_present
    return Av1SequenceHeader(
        profile, level, tier, width, height, depth, monochrome, *subsampling, position, colour, frame_rate
    )


def _read_timing(reader: BitReader) -> tuple[Fraction | None, int]:
    """The frame rate, and the bits of a decoder model's delays: 0 without a model (5.5.3, 5.5.4)."""
    if not reader.flag():  # timing_info_present_flag
        return None, 0
    ticks, time_scale = reader.u(32), reader.u(32)
    frame_rate = None
    if reader.flag():  # equal_picture_interval
        frame_rate = plausible_frame_rate(time_scale, ticks * (reader.ue() + 1))  # uvlc() is ue(v)
    if not reader.flag():  # decoder_model_info_present_flag
        return frame_rate, 0
    delay_bits = reader.u(5) + 1
    reader.skip(32 + 5 + 5)
    return frame_rate, delay_bits


def _read_operating_points(reader: BitReader, decoder_model_bits: int) -> tuple[int, int]:
    """Level and tier of the first operating point, the one that has all layers."""
    has_display_delay = reader.flag()  # initial_display_delay_present_flag
    points = []
    for _ in range(reader.u(5) + 1):
        reader.skip(12)  # operating_point_idc
        level = reader.u(5)
        points.append((level, reader.u(1) if level > 7 else 0))
        if decoder_model_bits and reader.flag():
            reader.skip(2 * decoder_model_bits + 1)
        if has_display_delay and reader.flag():
            reader.skip(4)
    return points[0]


def _skip_coding_tools(reader: BitReader, reduced: bool) -> None:
    """From frame_id_numbers_present_flag to enable_restoration."""
    if not reduced and reader.flag():
        reader.skip(7)  # delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
    reader.skip(3)  # superblock size, filter intra, intra edge filter
    if not reduced:
        reader.skip(4)  # interintra, masked compound, warped motion, dual filter
        order_hint = reader.flag()
        if order_hint:
            reader.skip(2)
        screen_content = _SELECT if reader.flag() else reader.u(1)
        if screen_content and not reader.flag():  # seq_choose_integer_mv
            reader.skip(1)
        if order_hint:
            reader.skip(3)
    reader.skip(3)  # superres, cdef, restoration


def _read_colour_config(reader: BitReader, profile: int) -> tuple[int, bool, Colour, tuple[bool, bool], int]:
    """color_config() of 5.5.2: bit depth, monochrome, colour, subsampling, chroma sample position."""
    high = reader.flag()
    depth = 10 if high else 8
    if profile == 2 and high and reader.flag():
        depth = 12
    monochrome = profile != 1 and reader.flag()
    code_points = (reader.u(8), reader.u(8), reader.u(8)) if reader.flag() else (2, 2, 2)
    if monochrome:
        return depth, True, Colour(*code_points, reader.flag()), (True, True), 0
    if code_points == _IDENTITY_SRGB:
        reader.skip(1)  # separate_uv_delta_q
        return depth, False, Colour(*code_points, True), (False, False), 0
    colour = Colour(*code_points, reader.flag())
    if profile == 2 and depth == 12:
        subsampling_x = reader.flag()
        subsampling = (subsampling_x, subsampling_x and reader.flag())
    else:
        subsampling = ((True, True), (False, False), (True, False))[profile]
    position = reader.u(2) if all(subsampling) else 0
    reader.skip(1)  # separate_uv_delta_q
    return depth, False, colour, subsampling, position


@dataclass(frozen=True, slots=True)
class Av1Config:
    """The sequence header OBU of an AV1 track, kept with a size field; ``info`` is what it says."""

    codec: ClassVar[str] = "av1"
    sequence_header: bytes
    info: Av1SequenceHeader = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.sequence_header) > SEQUENCE_HEADER_BYTES_MAX:
            raise MediaError(f"AV1 sequence header: {len(self.sequence_header)} bytes are too many")
        object.__setattr__(self, "info", parse_sequence_header(self.sequence_header))
        object.__setattr__(self, "sequence_header", with_size(self.sequence_header))

    @classmethod
    def from_av1c(cls, av1c: bytes) -> Self:
        """Reads an AV1CodecConfigurationRecord; one without a sequence header OBU is refused."""
        if len(av1c) < 4 or av1c[0] != 0x81:
            raise MediaError("av1C: too short, or of an unknown version")
        sequence_header = sequence_header_in(av1c[4:])
        if sequence_header is None:
            raise MediaError("av1C: it has no sequence header")
        return cls(sequence_header)

    @classmethod
    def from_key_frame(cls, payload: bytes) -> Self | None:
        """The configuration that ``payload``, a key frame, carries itself; None when it carries none."""
        sequence_header = sequence_header_in(payload)
        return None if sequence_header is None else cls(sequence_header)

    def av1c(self) -> bytes:
        """The AV1CodecConfigurationRecord."""
        info = self.info
        flags = info.tier << 7 | (info.bit_depth > 8) << 6 | (info.bit_depth == 12) << 5
        flags |= info.monochrome << 4 | info.subsampling_x << 3 | info.subsampling_y << 2
        flags |= info.chroma_sample_position
        return bytes((0x81, info.profile << 5 | info.level, flags, 0)) + self.sequence_header

    def with_parameter_sets_from(self, data: bytes) -> "Av1Config":
        """The configuration after this temporal unit: this very object when it brings nothing new."""
        found = sequence_header_in(data)
        if found is None or found == self.sequence_header:
            return self
        return Av1Config(found)

    @property
    def codec_string(self) -> str:
        """RFC 6381, such as ``av01.0.04M.08``; the optional colour fields are left out."""
        info = self.info
        return f"av01.{info.profile}.{info.level:02d}{'H' if info.tier else 'M'}.{info.bit_depth:02d}"

    @property
    def width(self) -> int:
        """Luma samples per line."""
        return self.info.width

    @property
    def height(self) -> int:
        """Lines."""
        return self.info.height

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second if the stream declares equal intervals."""
        return self.info.frame_rate

    @property
    def sample_aspect_ratio(self) -> tuple[int, int]:
        """Always 1 : 1: AV1 says nothing else in its sequence header."""
        return (1, 1)

    @property
    def profile(self) -> int:
        """``seq_profile``."""
        return self.info.profile

    @property
    def level(self) -> int:
        """``seq_level_idx`` of the first operating point."""
        return self.info.level
