"""H.264: parameter sets, the avcC record, and what an access unit is.

Specifications: ITU-T H.264 (section numbers without a name), ISO/IEC 14496-15 section 5.3.3.1 (avcC).
Access units are length-prefixed with 4 bytes unless a function says otherwise.
"""

import itertools
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, Self

from openstreamer.media.bits import BitReader, remove_emulation_prevention
from openstreamer.media.errors import MediaError
from openstreamer.media.h264_sets import H264Sps, parse_sps
from openstreamer.media.nal import (
    LEADING_NALS,
    ConfigurationReader,
    change_nal_length_size,
    check_parameter_sets,
    iter_length_prefixed,
    put_parameter_sets_first,
    replace_parameter_sets,
    split_annex_b,
    to_annex_b,
    to_length_prefixed,
    too_many_leading_nals,
)

__all__ = [
    "H264Config",
    "H264Sps",
    "avcc_nal_length_size",
    "begins_refresh",
    "change_nal_length_size",
    "is_random_access",
    "iter_length_prefixed",
    "parameter_sets_in",
    "parse_sps",
    "split_annex_b",
    "to_annex_b",
    "to_length_prefixed",
]

# nal_unit_type, Table 7-1
NAL_SLICE = 1
NAL_IDR = 5
NAL_SEI = 6
NAL_SPS = 7
NAL_PPS = 8
NAL_AUD = 9
NAL_SPS_EXTENSION = 13

SPS_MAX = 31  # numOfSequenceParameterSets has 5 bits
PPS_MAX = 255  # numOfPictureParameterSets has 8 bits

_SEI_RECOVERY_POINT = 6
_SLICE_TYPES_I = frozenset((2, 4, 7, 9))  # I and SI, alone or "all slices of the picture" (Table 7-6)
_PROFILES_WITHOUT_AVCC_TAIL = frozenset((66, 77, 88))
_SLICE_HEADER_BYTES = 16  # first_mb_in_slice and slice_type need at most 9
_SEI_BYTES_LOOKED_AT = 512


@dataclass(frozen=True, slots=True)
class H264Config:
    """The parameter sets of an H.264 track; ``info`` is what the first SPS, the active one, says."""

    codec: ClassVar[str] = "h264"
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    sps_extensions: tuple[bytes, ...] = ()
    info: H264Sps = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_parameter_sets("H.264 SPS", self.sps, SPS_MAX)
        check_parameter_sets("H.264 PPS", self.pps, PPS_MAX)
        if self.sps_extensions:
            check_parameter_sets("H.264 SPS extension", self.sps_extensions, PPS_MAX)
        object.__setattr__(self, "info", parse_sps(self.sps[0]))

    @classmethod
    def from_avcc(cls, avcc: bytes) -> Self:
        """Reads an AVCDecoderConfigurationRecord.

        Its NAL length size is a property of the samples, not of the decoder: see
        :func:`avcc_nal_length_size` and :func:`change_nal_length_size`.
        """
        avcc_nal_length_size(avcc)
        reader = ConfigurationReader(avcc, "avcC", 5)
        sps = reader.nals(reader.number(1) & 0x1F)
        pps = reader.nals(reader.number(1))
        extensions: list[bytes] = []
        if avcc[1] not in _PROFILES_WITHOUT_AVCC_TAIL and not reader.at_end:  # writers leave the tail out
            reader.take(3)  # chroma format and bit depths: the SPS says them too
            extensions = reader.nals(reader.number(1))
        return cls(tuple(sps), tuple(pps), tuple(extensions))

    @classmethod
    def from_key_frame(cls, payload: bytes) -> Self | None:
        """The configuration that ``payload``, a key frame, carries itself; None when it carries none."""
        sps, pps = parameter_sets_in(payload)
        return cls(sps, pps) if sps and pps else None

    def avcc(self) -> bytes:
        """The AVCDecoderConfigurationRecord, for samples with 4-byte lengths."""
        pieces = [b"\x01", self.sps[0][1:4], b"\xff", bytes((0xE0 | len(self.sps),))]
        pieces += [len(nal).to_bytes(2, "big") + nal for nal in self.sps]
        pieces.append(bytes((len(self.pps),)))
        pieces += [len(nal).to_bytes(2, "big") + nal for nal in self.pps]
        info = self.info
        if info.profile not in _PROFILES_WITHOUT_AVCC_TAIL:
            depths = 0xF8 | info.bit_depth_luma - 8, 0xF8 | info.bit_depth_chroma - 8
            pieces.append(bytes((0xFC | info.chroma_format, *depths, len(self.sps_extensions))))
            pieces += [len(nal).to_bytes(2, "big") + nal for nal in self.sps_extensions]
        return b"".join(pieces)

    def with_parameter_sets_from(self, payload: bytes) -> "H264Config":
        """The configuration after ``payload``: this very object when it brings nothing new.

        Sets replace those of the same id; an SPS found in band becomes the active one.
        """
        sps, pps = parameter_sets_in(payload)
        if not sps and not pps:
            return self
        merged_sps = put_parameter_sets_first(self.sps, sps, _sps_id)[:SPS_MAX] if sps else self.sps
        merged_pps = replace_parameter_sets(self.pps, pps, _pps_id)[:PPS_MAX] if pps else self.pps
        if merged_sps == self.sps and merged_pps == self.pps:
            return self
        return H264Config(merged_sps, merged_pps, self.sps_extensions)

    @property
    def codec_string(self) -> str:
        """RFC 6381: profile, constraint flags and level in hexadecimal (ISO/IEC 14496-15 Annex E.2)."""
        return "avc1." + self.sps[0][1:4].hex()

    @property
    def width(self) -> int:
        """Luma samples per line after cropping."""
        return self.info.width

    @property
    def height(self) -> int:
        """Lines after cropping."""
        return self.info.height

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second if the stream declares them; see ``info.fixed_frame_rate``."""
        return self.info.frame_rate

    @property
    def sample_aspect_ratio(self) -> tuple[int, int]:
        """Width : height of one sample."""
        return self.info.sample_aspect_ratio

    @property
    def profile(self) -> int:
        """``profile_idc``."""
        return self.info.profile

    @property
    def level(self) -> int:
        """``level_idc``: ten times the level."""
        return self.info.level


def avcc_nal_length_size(avcc: bytes) -> int:
    """How many bytes the lengths have in samples that belong to this avcC: 1, 2 or 4."""
    if len(avcc) < 6 or avcc[0] != 1:
        raise MediaError("avcC: too short, or of an unknown version")
    size = (avcc[4] & 3) + 1
    if size == 3:
        raise MediaError("avcC: NAL lengths of 3 bytes are not allowed")
    return size


def parameter_sets_in(payload: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The SPS and PPS in front of the first slice of ``payload``.

    On an access unit without them this looks at NAL unit headers up to the first slice only: a parameter
    set behind a slice would begin the next access unit (7.4.1.2.3).
    """
    sps: tuple[bytes, ...] = ()
    pps: tuple[bytes, ...] = ()
    position = 0
    end = len(payload)
    for _ in LEADING_NALS:
        if position + 4 >= end:
            break
        start = position + 4
        position = start + int.from_bytes(payload[position:start], "big")
        if position == start:
            continue
        kind = payload[start] & 0x1F
        if NAL_SLICE <= kind <= NAL_IDR:
            break
        if kind == NAL_SPS:
            sps += (payload[start:position],)
        elif kind == NAL_PPS:
            pps += (payload[start:position],)
    else:
        raise too_many_leading_nals()
    if position > end:
        raise MediaError(f"a NAL unit ends {position - end} bytes behind its access unit")
    return sps, pps


def is_random_access(payload: bytes) -> bool:
    """Whether decoding can begin with this access unit.

    It can at an IDR picture, and at a picture of I slices only that carries a recovery point SEI message
    with ``recovery_frame_cnt`` 0 (D.2.8): that is how open GOPs of broadcast encoders begin. A recovery
    point with a count above 0 (periodic intra refresh) is none: a picture that is whole only some frames
    later cannot begin a segment. An I picture alone is none either, since later pictures may refer to
    earlier ones. NAL units up to the first slice decide, unless there is such a recovery point.
    """
    position = 0
    end = len(payload)
    recovery_point = False
    for _ in LEADING_NALS:
        if position + 4 >= end:
            break
        start = position + 4
        position = start + int.from_bytes(payload[position:start], "big")
        if position == start:
            continue
        kind = payload[start] & 0x1F
        if kind == NAL_SLICE:
            return recovery_point and _only_intra_slices(payload)
        if kind == NAL_IDR:
            return True
        if kind == NAL_SEI and not recovery_point:
            nal = payload[start : min(position, start + _SEI_BYTES_LOOKED_AT)]
            recovery_point = _recovers_at_once(nal)
    else:
        raise too_many_leading_nals()
    return False


def begins_refresh(payload: bytes) -> bool:
    """Whether a decoder that begins with this access unit shows a whole picture some frames later: it carries
    a recovery point SEI message (D.2.8). Encoders with periodic intra refresh send that instead of key
    frames."""
    for nal in itertools.islice(iter_length_prefixed(payload), len(LEADING_NALS)):
        kind = nal[0] & 0x1F
        if NAL_SLICE <= kind <= NAL_IDR:
            return False
        if kind == NAL_SEI and _recovery_point(nal[:_SEI_BYTES_LOOKED_AT]) is not None:
            return True
    return False


def _only_intra_slices(payload: bytes) -> bool:
    for nal in iter_length_prefixed(payload):
        if nal[0] & 0x1F == NAL_SLICE:
            header = remove_emulation_prevention(nal[1 : 1 + _SLICE_HEADER_BYTES])
            reader = BitReader(header, "H.264 slice header")
            reader.ue()  # first_mb_in_slice
            if reader.ue(9) not in _SLICE_TYPES_I:
                return False
    return True


def _recovers_at_once(nal: bytes) -> bool:
    """Whether an SEI NAL unit has a recovery point with ``recovery_frame_cnt`` 0 (7.3.2.3, D.1.8)."""
    first = _recovery_point(nal)
    return first is not None and first >= 0x80  # the one-bit Exp-Golomb code of 0


def _recovery_point(nal: bytes) -> int | None:
    """The first byte of an SEI NAL unit's recovery point message, if it has one."""
    if nal.find(_SEI_RECOVERY_POINT, 1) < 0:  # most SEI units are timing and have no such byte at all
        return None
    messages = remove_emulation_prevention(nal)
    position = 1
    while position + 2 < len(messages):  # a type, a size and rbsp_trailing_bits at least
        kind, position = _read_sei_number(messages, position)
        size, position = _read_sei_number(messages, position)
        if kind == _SEI_RECOVERY_POINT and position < len(messages):
            return messages[position]
        position += size
    return None


def _read_sei_number(messages: bytes, position: int) -> tuple[int, int]:
    """A number written as ff bytes and a last byte, and the position behind it."""
    value = 0
    while position < len(messages):
        byte = messages[position]
        value += byte
        position += 1
        if byte != 0xFF:
            break
    return value, position


def _sps_id(nal: bytes) -> int:
    return BitReader(remove_emulation_prevention(nal[4:16]), "H.264 SPS").ue(31)


def _pps_id(nal: bytes) -> int:
    return BitReader(remove_emulation_prevention(nal[1:12]), "H.264 PPS").ue(255)
