"""AC-3 and E-AC-3: sync frames, the dac3 and dec3 records.

Specification: ETSI TS 102 366, sections 4.4 (AC-3), E.1.2 and E.1.3 (E-AC-3), F.4 (dac3), F.6 (dec3).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, NamedTuple, Self

from openstreamer.media.bits import BitReader
from openstreamer.media.errors import MediaError

FRAMES_MAX = 1_024  # in one piece of data
PAYLOAD_FRAMES_MAX = 64  # in one access unit; eight programs of one-block frames have 48
AC3_SAMPLES_PER_FRAME = 1_536  # six blocks of 256
SUBSTREAMS_MAX = 8  # independent ones: num_ind_sub has 3 bits
DEPENDENTS_MAX = 15  # num_dep_sub has 4 bits

_SYNC_WORD = b"\x0b\x77"
_HEADER_BYTES = 8
_EAC3_HEADER_BYTES = 20
_SAMPLE_RATES_HZ = (48_000, 44_100, 32_000)
_BIT_RATES_KBPS = (
    32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640,
)  # fmt: skip
_CHANNELS = (2, 1, 2, 3, 3, 4, 4, 5)  # by acmod, without LFE
_BLOCKS = (1, 2, 3, 6)  # by numblkscod
_CHANNEL_LOCATIONS = (2, 2, 1, 1, 2, 2, 2, 1, 1)  # channels by the bits of chan_loc, Table F.6.1
_EAC3_BSID_MIN = 11
_DEPENDENT = 1
_FIRST_SUBSTREAM = frozenset((0b00_000, 0b10_000))  # strmtyp 0 or 2, substreamid 0


class Ac3FrameHeader(NamedTuple):
    """What one AC-3 sync frame says."""

    rate_code: int
    size_code: int
    bsid: int
    bsmod: int
    acmod: int
    lfe_on: bool

    @property
    def frame_bytes(self) -> int:
        """The size of the sync frame (Table 4.13)."""
        bit_rate_kbps = _BIT_RATES_KBPS[self.size_code >> 1]
        rate = _SAMPLE_RATES_HZ[self.rate_code]
        words = bit_rate_kbps * 1000 * AC3_SAMPLES_PER_FRAME // (16 * rate)
        odd = self.size_code & 1 if rate == 44_100 else 0
        return 2 * (words + odd)


def parse_ac3_header(data: bytes) -> Ac3FrameHeader:
    """Reads the AC-3 sync frame header that ``data`` begins with."""
    reader = BitReader(data[:_HEADER_BYTES], "AC-3")
    if data[:2] != _SYNC_WORD:
        raise MediaError("AC-3: the sync word is missing")
    reader.skip(32)  # syncword, crc1
    rate_code, size_code, bsid, bsmod, acmod = (reader.u(bits) for bits in (2, 6, 5, 3, 3))
    if bsid >= _EAC3_BSID_MIN:
        raise MediaError(f"AC-3: bit stream identification {bsid} is not AC-3")
    if rate_code == 3 or size_code >= 2 * len(_BIT_RATES_KBPS):
        raise MediaError("AC-3: a reserved sample rate or frame size")
    if acmod & 1 and acmod != 1:
        reader.skip(2)  # cmixlev
    if acmod & 4:
        reader.skip(2)  # surmixlev
    if acmod == 2:
        reader.skip(2)  # dsurmod
    return Ac3FrameHeader(rate_code, size_code, bsid, bsmod, acmod, reader.flag())


@dataclass(frozen=True, slots=True)
class Ac3Config:
    """What an AC-3 track's sync frames say; the bit rate is no part of a decoder's configuration."""

    codec: ClassVar[str] = "ac3"
    codec_string: ClassVar[str] = "ac-3"
    samples_per_frame: ClassVar[int] = AC3_SAMPLES_PER_FRAME
    rate_code: int
    bsid: int
    bsmod: int
    acmod: int
    lfe_on: bool
    bit_rate_code: int = field(compare=False)

    def __post_init__(self) -> None:
        if not (0 <= self.rate_code < 3 and 0 <= self.bsid < _EAC3_BSID_MIN and 0 <= self.acmod < 8):
            raise MediaError("AC-3: a reserved sample rate, bit stream identification or channel mode")
        if not (0 <= self.bsmod < 8 and 0 <= self.bit_rate_code < len(_BIT_RATES_KBPS)):
            raise MediaError("AC-3: a reserved bit stream mode or bit rate")

    @classmethod
    def from_sync_frame(cls, data: bytes) -> Self:
        """The configuration of the sync frame that ``data`` begins with."""
        header = parse_ac3_header(data)
        return cls(
            header.rate_code, header.bsid, header.bsmod, header.acmod, header.lfe_on, header.size_code >> 1
        )

    @classmethod
    def from_dac3(cls, dac3: bytes) -> Self:
        """Reads a dac3 box's content."""
        reader = BitReader(dac3, "dac3")
        rate_code, bsid, bsmod, acmod = reader.u(2), reader.u(5), reader.u(3), reader.u(3)
        return cls(rate_code, bsid, bsmod, acmod, reader.flag(), reader.u(5))

    def dac3(self) -> bytes:
        """The dac3 box's content."""
        bits = self.rate_code << 22 | self.bsid << 17 | self.bsmod << 14 | self.acmod << 11
        return (bits | self.lfe_on << 10 | self.bit_rate_code << 5).to_bytes(3, "big")

    @property
    def sample_rate(self) -> int:
        """Samples per second; bsid 9 and 10 are the half and quarter rates."""
        return _SAMPLE_RATES_HZ[self.rate_code] >> max(self.bsid - 8, 0)

    @property
    def timescale(self) -> int:
        """The sample rate."""
        return self.sample_rate

    @property
    def channels(self) -> int:
        """The channels, LFE included."""
        return _CHANNELS[self.acmod] + self.lfe_on

    @property
    def frame_duration(self) -> Fraction:
        """Seconds that one frame lasts."""
        return Fraction(AC3_SAMPLES_PER_FRAME, self.sample_rate)

    def samples_in(self, payload: bytes) -> int:
        """How many samples at ``timescale`` this frame lasts: always the same."""
        return AC3_SAMPLES_PER_FRAME


class Eac3FrameHeader(NamedTuple):
    """What one E-AC-3 sync frame says; ``channel_map`` is 0 unless it is dependent and has one."""

    stream_type: int
    substream: int
    frame_bytes: int
    rate_code: int
    half_rate: bool
    blocks: int
    acmod: int
    lfe_on: bool
    bsid: int
    channel_map: int


def parse_eac3_header(data: bytes) -> Eac3FrameHeader:
    """Reads the E-AC-3 sync frame header that ``data`` begins with."""
    reader = BitReader(data[:_EAC3_HEADER_BYTES], "E-AC-3")
    if data[:2] != _SYNC_WORD:
        raise MediaError("E-AC-3: the sync word is missing")
    reader.skip(16)
    stream_type, substream, frame_bytes = reader.u(2), reader.u(3), 2 * (reader.u(11) + 1)
    rate_code, blocks = reader.u(2), 6
    half_rate = rate_code == 3
    if half_rate:
        rate_code = reader.u(2)  # fscod2
    else:
        blocks = _BLOCKS[reader.u(2)]
    acmod, lfe_on, bsid = reader.u(3), reader.flag(), reader.u(5)
    if stream_type == 3 or rate_code == 3:
        raise MediaError("E-AC-3: a reserved stream type or sample rate")
    if not _EAC3_BSID_MIN <= bsid <= 16:
        raise MediaError(f"E-AC-3: bit stream identification {bsid} is not E-AC-3")
    for _ in range(1 if acmod else 2):  # dual mono has two of each
        reader.skip(5)  # dialnorm
        if reader.flag():  # compre
            reader.skip(8)
    channel_map = reader.u(16) if stream_type == _DEPENDENT and reader.flag() else 0
    return Eac3FrameHeader(
        stream_type, substream, frame_bytes, rate_code, half_rate, blocks, acmod, lfe_on, bsid, channel_map
    )


class Eac3Substream(NamedTuple):
    """One independent substream as dec3 has it; ``channel_locations`` are those of its dependent ones."""

    rate_code: int
    bsid: int
    bsmod: int
    acmod: int
    lfe_on: bool
    dependents: int = 0
    channel_locations: int = 0


@dataclass(frozen=True, slots=True)
class Eac3Config:
    """What an E-AC-3 track's sync frames say; the bit rate is no part of a decoder's configuration.

    ``sample_rate`` is not always in dec3: the half rates (24, 22.05 and 16 kHz) are only in the frames.
    """

    codec: ClassVar[str] = "eac3"
    codec_string: ClassVar[str] = "ec-3"
    samples_per_frame: ClassVar[int] = AC3_SAMPLES_PER_FRAME  # nominal: frames may have 1, 2, 3 or 6 blocks
    substreams: tuple[Eac3Substream, ...]
    sample_rate: int
    bit_rate_kbps: int = field(compare=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.substreams) <= SUBSTREAMS_MAX:
            raise MediaError(f"E-AC-3: {len(self.substreams)} independent substreams")
        for substream in self.substreams:
            if substream.dependents > DEPENDENTS_MAX:
                raise MediaError(f"E-AC-3: {substream.dependents} dependent substreams")

    @classmethod
    def from_sync_frame(cls, data: bytes) -> Self:
        """The configuration of an access unit: an independent sync frame and those that belong to it."""
        substreams: list[Eac3Substream] = []
        access_unit_bytes = 0
        first = parse_eac3_header(data)
        for header in _iter_eac3_headers(data):
            if header.stream_type != _DEPENDENT:
                if header.substream < len(substreams):
                    break  # the next access unit begins
                substreams.append(
                    Eac3Substream(header.rate_code, header.bsid, 0, header.acmod, header.lfe_on)
                )
            elif substreams:
                substreams[-1] = _with_dependent(substreams[-1], header)
            else:
                raise MediaError("E-AC-3: a dependent substream comes first")
            access_unit_bytes += header.frame_bytes
        rate = _SAMPLE_RATES_HZ[first.rate_code] >> first.half_rate
        kbps = access_unit_bytes * 8 * rate // (256 * first.blocks * 1000)
        return cls(tuple(substreams), rate, min(kbps, 0x1FFF))

    @classmethod
    def from_dec3(cls, dec3: bytes) -> Self:
        """Reads a dec3 box's content."""
        reader = BitReader(dec3, "dec3")
        bit_rate_kbps = reader.u(13)
        substreams = tuple(_read_substream(reader) for _ in range(reader.u(3) + 1))
        return cls(substreams, _SAMPLE_RATES_HZ[substreams[0].rate_code], bit_rate_kbps)

    def dec3(self) -> bytes:
        """The dec3 box's content."""
        pieces = [(self.bit_rate_kbps << 3 | len(self.substreams) - 1).to_bytes(2, "big")]
        for substream in self.substreams:
            rate_code, bsid, bsmod, acmod, lfe_on, dependents, locations = substream
            bits = rate_code << 22 | bsid << 17 | bsmod << 12 | acmod << 9 | lfe_on << 8 | dependents << 1
            if dependents:
                bits = (bits | locations >> 8) << 8 | locations & 0xFF
            pieces.append(bits.to_bytes(4 if dependents else 3, "big"))
        return b"".join(pieces)

    @property
    def timescale(self) -> int:
        """The sample rate."""
        return self.sample_rate

    @property
    def channels(self) -> int:
        """The channels of the first program, LFE and those of dependent substreams included."""
        first = self.substreams[0]
        extra = sum(
            count
            for bit, count in enumerate(_CHANNEL_LOCATIONS)
            if first.dependents and first.channel_locations >> bit & 1
        )
        return _CHANNELS[first.acmod] + first.lfe_on + extra

    @property
    def frame_duration(self) -> Fraction:
        """Seconds that one frame of six blocks lasts."""
        return Fraction(AC3_SAMPLES_PER_FRAME, self.sample_rate)

    def samples_in(self, payload: bytes) -> int:
        """How many samples at ``timescale`` this payload lasts: its frames of the first substream.

        Raises :class:`MediaError` when the payload does not consist of sync frames, has none of those, or
        too many.
        """
        samples = position = frames = 0
        while position < len(payload):
            frames += 1
            if frames > PAYLOAD_FRAMES_MAX:
                raise MediaError(f"E-AC-3: more than {PAYLOAD_FRAMES_MAX} sync frames in one payload")
            if payload[position : position + 2] != _SYNC_WORD or position + 5 > len(payload):
                raise MediaError("E-AC-3: the sync word is missing")
            # strmtyp (2 bits), substreamid (3), frmsiz (11), fscod (2), numblkscod (2)
            bits = int.from_bytes(payload[position + 2 : position + 5], "big")
            if bits >> 19 in _FIRST_SUBSTREAM:
                samples += 1536 if bits >> 6 & 3 == 3 else 256 * _BLOCKS[bits >> 4 & 3]
            position += 2 * ((bits >> 8 & 0x7FF) + 1)
        if not samples:
            raise MediaError("E-AC-3: no frame of the first substream")
        return samples


def _iter_eac3_headers(data: bytes) -> Iterator[Eac3FrameHeader]:
    position = 0
    for _ in range(FRAMES_MAX):
        if position >= len(data):
            return
        header = parse_eac3_header(data[position : position + _EAC3_HEADER_BYTES])
        yield header
        position += header.frame_bytes


def _with_dependent(substream: Eac3Substream, header: Eac3FrameHeader) -> Eac3Substream:
    """``substream`` with one more dependent; its channel map as ``chan_loc`` has it (Table F.6.1)."""
    # chanmap, from its first bit: L C R Ls Rs Lc/Rc Lrs/Rrs Cs Ts Lsd/Rsd Lw/Rw Lvh/Rvh Cvh Lts/Rts LFE2 LFE
    chosen = header.channel_map
    locations = sum(1 << bit for bit in range(8) if chosen >> (10 - bit) & 1)
    locations |= (chosen >> 1 & 1) << 8
    return substream._replace(
        dependents=substream.dependents + 1, channel_locations=substream.channel_locations | locations
    )


def _read_substream(reader: BitReader) -> Eac3Substream:
    rate_code, bsid = reader.u(2), reader.u(5)
    if rate_code == 3:
        raise MediaError("dec3: a reserved sample rate")
    reader.skip(2)  # reserved, asvc
    bsmod, acmod, lfe_on = reader.u(3), reader.u(3), reader.flag()
    reader.skip(3)
    dependents = reader.u(4)
    locations = reader.u(9) if dependents else reader.u(1) * 0
    return Eac3Substream(rate_code, bsid, bsmod, acmod, lfe_on, dependents, locations)


def is_eac3(data: bytes) -> bool:
    """Whether the sync frame that ``data`` begins with is E-AC-3: its bsid is 11 to 16 at the same place."""
    return len(data) >= 6 and data[:2] == _SYNC_WORD and data[5] >> 3 >= _EAC3_BSID_MIN


def take_frames(data: bytes) -> tuple[list[bytes], int]:
    """The AC-3 or E-AC-3 access units that ``data`` begins with, and how many bytes they are.

    Dependent and further independent substreams stay with the frame they belong to. What is left is the
    beginning of a frame. Raises :class:`MediaError` where no sync frame stands.
    """
    frames: list[bytes] = []
    position = 0
    while len(data) - position >= _EAC3_HEADER_BYTES and len(frames) < FRAMES_MAX:
        head = data[position : position + _EAC3_HEADER_BYTES]
        begins = True
        if is_eac3(head):
            eac3 = parse_eac3_header(head)
            frame_bytes = eac3.frame_bytes
            begins = eac3.stream_type != _DEPENDENT and eac3.substream == 0
        else:
            frame_bytes = parse_ac3_header(head).frame_bytes
        following = position + frame_bytes
        if following > len(data):
            break
        if begins or not frames:
            frames.append(data[position:following])
        else:
            frames[-1] += data[position:following]
        position = following
    return frames, position
