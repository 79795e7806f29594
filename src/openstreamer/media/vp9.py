"""VP9: the vpcC record and the uncompressed frame header.

Specifications: VP9 Bitstream & Decoding Process section 6.2 (uncompressed header), VP Codec ISO Media File
Format Binding (vpcC, codec string).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from openstreamer.media.bits import BitReader
from openstreamer.media.errors import MediaError
from openstreamer.media.vui import PICTURE_SIDE_MAX, UNSPECIFIED, Colour

_SYNC_CODE = 0x498342
_HEADER_BYTES = 16  # the fields read here need at most 13
_COLOUR_SPACE_RGB = 7
_VPCC_BYTES = 12

# Levels by the luma samples of a picture (VP9 Annex A): the stream does not say its level
_LEVELS = (
    (36_864, 10), (73_728, 11), (122_880, 20), (245_760, 21), (552_960, 30), (983_040, 31),
    (2_228_224, 40), (8_912_896, 50), (35_651_584, 60),
)  # fmt: skip

# color_space of the frame header (6.2.2) as code points of ISO/IEC 23091-2
_COLOUR_SPACES = {
    1: (6, 6, 6), 2: (1, 1, 1), 3: (6, 6, 6), 4: (7, 7, 7), 5: (9, 14, 9), 7: (1, 13, 0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vp9Config:
    """The decoder configuration of a VP9 track.

    ``width`` and ``height`` are 0 until a key frame said them: vpcC does not have them.
    ``chroma_subsampling`` is 0 and 1 for 4:2:0 (vertical, collocated), 2 for 4:2:2, 3 for 4:4:4.
    """

    codec: ClassVar[str] = "vp9"
    profile: int = 0
    level: int = 10
    bit_depth: int = 8
    chroma_subsampling: int = 1
    colour: Colour = UNSPECIFIED
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if self.profile > 3 or self.bit_depth not in (8, 10, 12) or self.chroma_subsampling > 3:
            raise MediaError("VP9: the profile, bit depth or chroma subsampling does not exist")
        if max(self.width, self.height) > PICTURE_SIDE_MAX:
            raise MediaError(f"VP9: a picture of {self.width}x{self.height} exceeds every level")
        if not 0 <= self.level <= 255:
            raise MediaError(f"VP9: there is no level {self.level}")

    @classmethod
    def from_vpcc(cls, vpcc: bytes, width: int = 0, height: int = 0) -> Self:
        """Reads a vpcC box's content: version and flags of the full box, then the record."""
        if len(vpcc) < _VPCC_BYTES or vpcc[0] != 1:
            raise MediaError("vpcC: too short, or of an unknown version")
        if vpcc[10:12] != b"\x00\x00":
            raise MediaError("vpcC: VP9 has no codec initialization data")
        colour = Colour(vpcc[7], vpcc[8], vpcc[9], bool(vpcc[6] & 1))
        return cls(vpcc[4], vpcc[5], vpcc[6] >> 4, (vpcc[6] >> 1) & 7, colour, width, height)

    def vpcc(self) -> bytes:
        """The vpcC box's content, version and flags included."""
        colour = self.colour
        depths = self.bit_depth << 4 | self.chroma_subsampling << 1 | colour.full_range
        record = (self.profile, self.level, depths, colour.primaries, colour.transfer, colour.matrix, 0, 0)
        return b"\x01\x00\x00\x00" + bytes(record)

    @classmethod
    def from_key_frame(cls, data: bytes) -> Self:
        """The configuration that a key frame's header implies; the level is the least for its size."""
        reader = BitReader(data[:_HEADER_BYTES], "VP9 frame header")
        profile, key = _read_frame_type(reader)
        if not key:
            raise MediaError("VP9 frame header: the frame is no key frame")
        reader.skip(2)  # show_frame, error_resilient_mode
        if reader.u(24) != _SYNC_CODE:
            raise MediaError("VP9 frame header: the sync code is missing")
        depth, subsampling, colour = _read_colour_config(reader, profile)
        width, height = reader.u(16) + 1, reader.u(16) + 1
        level = next((level for samples, level in _LEVELS if width * height <= samples), 62)
        return cls(profile, level, depth, subsampling, colour, width, height)

    def with_parameter_sets_from(self, data: bytes) -> "Vp9Config":
        """The configuration after this frame: this very object when it brings nothing new.

        What vpcC says of level and colour stays while profile, depth and size are the same.
        """
        if not is_random_access(data):
            return self
        found = Vp9Config.from_key_frame(data)
        if (found.profile, found.bit_depth) != (self.profile, self.bit_depth):
            return found
        if (found.width, found.height) == (self.width, self.height):
            return self
        level = max(self.level, found.level)
        return Vp9Config(
            self.profile,
            level,
            self.bit_depth,
            self.chroma_subsampling,
            self.colour,
            found.width,
            found.height,
        )

    @property
    def codec_string(self) -> str:
        """RFC 6381, such as ``vp09.00.31.08``."""
        return f"vp09.{self.profile:02d}.{self.level:02d}.{self.bit_depth:02d}"

    @property
    def frame_rate(self) -> Fraction | None:
        """Never known: VP9 does not say it."""
        return None

    @property
    def sample_aspect_ratio(self) -> tuple[int, int]:
        """Always 1 : 1."""
        return (1, 1)


def is_random_access(data: bytes) -> bool:
    """Whether decoding can begin with this frame, or with the first one of this superframe.

    That is a key frame; one that is not shown counts, since a superframe carries the shown one too.
    """
    try:
        return _read_frame_type(BitReader(data[:2], "VP9 frame header"))[1]
    except MediaError:
        return False


def _read_frame_type(reader: BitReader) -> tuple[int, bool]:
    """The profile, and whether the frame is a key frame."""
    if reader.u(2) != 2:
        raise MediaError("VP9 frame header: the frame marker is missing")
    profile = reader.u(1) | reader.u(1) << 1
    if profile == 3:
        reader.skip(1)  # reserved_zero
    show_existing_frame = reader.flag()
    return profile, not show_existing_frame and not reader.u(1)


def _read_colour_config(reader: BitReader, profile: int) -> tuple[int, int, Colour]:
    """color_config() of 6.2.2: bit depth, chroma subsampling as vpcC counts it, colour."""
    depth = (12 if reader.flag() else 10) if profile >= 2 else 8
    space = reader.u(3)
    if space == _COLOUR_SPACE_RGB:
        if profile in (1, 3):
            reader.skip(1)  # reserved_zero
        return depth, 3, Colour(*_COLOUR_SPACES[space], True)
    full_range = reader.flag()
    subsampling = 1
    if profile in (1, 3):
        subsampling_x, subsampling_y = reader.flag(), reader.flag()
        reader.skip(1)  # reserved_zero
        subsampling = 1 if subsampling_y else 2 if subsampling_x else 3
    return depth, subsampling, Colour(*_COLOUR_SPACES.get(space, (2, 2, 2)), full_range)
