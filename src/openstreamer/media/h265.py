"""H.265: parameter sets, the hvcC record, and what an access unit is.

Specifications: ITU-T H.265 (section numbers without a name), ISO/IEC 14496-15 section 8.3.3.1 (hvcC) and
Annex E (codec strings). Access units are length-prefixed with 4 bytes unless a function says otherwise.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, NamedTuple, Self

from openstreamer.media.bits import BitReader, remove_emulation_prevention
from openstreamer.media.errors import MediaError
from openstreamer.media.h265_sets import H265Sps, parse_sps, parse_vps_frame_rate
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
    "H265Config",
    "H265ParameterSets",
    "H265Sps",
    "change_nal_length_size",
    "hvcc_nal_length_size",
    "is_random_access",
    "iter_length_prefixed",
    "parameter_sets_in",
    "parse_sps",
    "split_annex_b",
    "to_annex_b",
    "to_length_prefixed",
]

# nal_unit_type, Table 7-1; 0 to 31 are coded slices
NAL_IRAP_FIRST = 16  # BLA_W_LP
NAL_IRAP_LAST = 21  # CRA_NUT
NAL_VCL_LAST = 31
NAL_VPS = 32
NAL_SPS = 33
NAL_PPS = 34
NAL_AUD = 35

VPS_MAX = SPS_MAX = 16  # their ids have 4 bits
PPS_MAX = 64  # ids 0 to 63

_HVCC_HEADER_BYTES = 23


class H265ParameterSets(NamedTuple):
    """The parameter sets of one access unit."""

    vps: tuple[bytes, ...] = ()
    sps: tuple[bytes, ...] = ()
    pps: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class H265Config:
    """The parameter sets of an H.265 track; ``info`` is what the first SPS, the active one, says."""

    codec: ClassVar[str] = "h265"
    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    info: H265Sps = field(init=False, compare=False, repr=False)
    frame_rate: Fraction | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_parameter_sets("H.265 VPS", self.vps, VPS_MAX)
        check_parameter_sets("H.265 SPS", self.sps, SPS_MAX)
        check_parameter_sets("H.265 PPS", self.pps, PPS_MAX)
        info = parse_sps(self.sps[0])
        object.__setattr__(self, "info", info)
        object.__setattr__(self, "frame_rate", info.frame_rate or parse_vps_frame_rate(self.vps[0]))

    @classmethod
    def from_hvcc(cls, hvcc: bytes) -> Self:
        """Reads an HEVCDecoderConfigurationRecord.

        Its NAL length size is a property of the samples, not of the decoder: see
        :func:`hvcc_nal_length_size` and :func:`change_nal_length_size`.
        """
        hvcc_nal_length_size(hvcc)
        reader = ConfigurationReader(hvcc, "hvcC", _HVCC_HEADER_BYTES - 1)
        found: dict[int, list[bytes]] = {NAL_VPS: [], NAL_SPS: [], NAL_PPS: []}
        for _ in range(reader.number(1)):
            kind = reader.number(1) & 0x3F
            nals = reader.nals(reader.number(2))
            if kind in found:  # SEI arrays are no part of the decoder's configuration
                found[kind] += nals
        return cls(tuple(found[NAL_VPS]), tuple(found[NAL_SPS]), tuple(found[NAL_PPS]))

    @classmethod
    def from_key_frame(cls, payload: bytes) -> Self | None:
        """The configuration that ``payload``, a key frame, carries itself; None when it carries none."""
        sets = parameter_sets_in(payload)
        return cls(*sets) if all(sets) else None

    def hvcc(self) -> bytes:
        """The HEVCDecoderConfigurationRecord for samples with 4-byte lengths.

        Every array is declared complete, as ``hvc1`` demands. What only the encoder knows
        (parallelismType, average frame rate) is written as unknown.
        """
        info = self.info
        layers = info.max_sub_layers << 3 | info.temporal_id_nesting << 2 | 3
        pieces = [
            b"\x01",
            info.profile_tier_level,
            (0xF000 | info.min_spatial_segmentation).to_bytes(2, "big"),
            bytes((0xFC, 0xFC | info.chroma_format)),
            bytes((0xF8 | info.bit_depth_luma - 8, 0xF8 | info.bit_depth_chroma - 8)),
            bytes((0, 0, layers, 3)),
        ]
        for kind, nals in ((NAL_VPS, self.vps), (NAL_SPS, self.sps), (NAL_PPS, self.pps)):
            pieces.append(bytes((0x80 | kind, 0, len(nals))))
            pieces += [len(nal).to_bytes(2, "big") + nal for nal in nals]
        return b"".join(pieces)

    def with_parameter_sets_from(self, payload: bytes) -> "H265Config":
        """The configuration after ``payload``: this very object when it brings nothing new.

        Sets replace those of the same id; an SPS found in band becomes the active one.
        """
        found = parameter_sets_in(payload)
        if found == ((), (), ()):
            return self
        merged = H265ParameterSets(
            put_parameter_sets_first(self.vps, found.vps, _vps_id)[:VPS_MAX],
            put_parameter_sets_first(self.sps, found.sps, _sps_id)[:SPS_MAX],
            replace_parameter_sets(self.pps, found.pps, _pps_id)[:PPS_MAX],
        )
        if merged == (self.vps, self.sps, self.pps):
            return self
        return H265Config(*merged)

    @property
    def codec_string(self) -> str:
        """RFC 6381 as ISO/IEC 14496-15 Annex E.3 writes it, such as ``hvc1.1.6.L93.B0``."""
        ptl = self.info.profile_tier_level
        space = ("", "A", "B", "C")[ptl[0] >> 6]
        flags = int.from_bytes(ptl[1:5], "big")
        reversed_flags = int(f"{flags:032b}"[::-1], 2)
        tier = "H" if ptl[0] & 0x20 else "L"
        parts = [f"hvc1.{space}{ptl[0] & 0x1F}", f"{reversed_flags:X}", f"{tier}{ptl[11]}"]
        parts += [f"{byte:X}" for byte in ptl[5:11].rstrip(b"\x00")]
        return ".".join(parts)

    @property
    def width(self) -> int:
        """Luma samples per line inside the conformance window."""
        return self.info.width

    @property
    def height(self) -> int:
        """Lines inside the conformance window."""
        return self.info.height

    @property
    def sample_aspect_ratio(self) -> tuple[int, int]:
        """Width : height of one sample."""
        return self.info.sample_aspect_ratio

    @property
    def profile(self) -> int:
        """``general_profile_idc``."""
        return self.info.profile

    @property
    def level(self) -> int:
        """``general_level_idc``: thirty times the level."""
        return self.info.level


def hvcc_nal_length_size(hvcc: bytes) -> int:
    """How many bytes the lengths have in samples that belong to this hvcC: 1, 2 or 4."""
    if len(hvcc) < _HVCC_HEADER_BYTES or hvcc[0] > 1:  # some writers leave the version 0
        raise MediaError("hvcC: too short, or of an unknown version")
    size = (hvcc[21] & 3) + 1
    if size == 3:
        raise MediaError("hvcC: NAL lengths of 3 bytes are not allowed")
    return size


def parameter_sets_in(payload: bytes) -> H265ParameterSets:
    """The VPS, SPS and PPS in front of the first slice of ``payload``.

    On an access unit without them this looks at NAL unit headers up to the first slice only: a parameter
    set behind a slice would begin the next access unit (7.4.2.4.4).
    """
    found: dict[int, tuple[bytes, ...]] | None = None
    position = 0
    end = len(payload)
    for _ in LEADING_NALS:
        if position + 4 >= end:
            break
        start = position + 4
        position = start + int.from_bytes(payload[position:start], "big")
        if position == start:
            continue
        kind = (payload[start] >> 1) & 0x3F
        if kind <= NAL_VCL_LAST:
            break
        if kind <= NAL_PPS:
            if found is None:
                found = {NAL_VPS: (), NAL_SPS: (), NAL_PPS: ()}
            found[kind] += (payload[start:position],)
    else:
        raise too_many_leading_nals()
    if position > end:
        raise MediaError(f"a NAL unit ends {position - end} bytes behind its access unit")
    if found is None:
        return _NO_PARAMETER_SETS
    return H265ParameterSets(found[NAL_VPS], found[NAL_SPS], found[NAL_PPS])


_NO_PARAMETER_SETS = H265ParameterSets()


def is_random_access(payload: bytes) -> bool:
    """Whether decoding can begin with this access unit: its picture is an IRAP picture (3.69).

    IDR, CRA and BLA pictures are. After a CRA or BLA picture the leading pictures (RASL) that refer to
    what came before cannot be decoded; decoders drop them (8.1.3).
    """
    position = 0
    end = len(payload)
    for _ in LEADING_NALS:
        if position + 4 >= end:
            break
        start = position + 4
        position = start + int.from_bytes(payload[position:start], "big")
        if position == start:
            continue
        kind = (payload[start] >> 1) & 0x3F
        if kind <= NAL_VCL_LAST:
            return NAL_IRAP_FIRST <= kind <= NAL_IRAP_LAST
    else:
        raise too_many_leading_nals()
    return False


def _vps_id(nal: bytes) -> int:
    return BitReader(remove_emulation_prevention(nal[2:4]), "H.265 VPS").u(4)


def _sps_id(nal: bytes) -> int:
    return parse_sps(nal).sps_id  # it stands behind the profile, whose length varies


def _pps_id(nal: bytes) -> int:
    return BitReader(remove_emulation_prevention(nal[2:12]), "H.265 PPS").ue(63)
