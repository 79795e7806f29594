"""The two fields of a frame, where H.264 codes them as pictures of their own (ITU-T H.264 section 7.3.3).

Each field is an access unit in MPEG-TS; files and players want both in one sample (14496-15 section 5.3.4).
"""

from typing import NamedTuple

from openstreamer.media.bits import BitReader, remove_emulation_prevention
from openstreamer.media.h264_sets import H264Sps

_SLICE_HEADER_BYTES = 24  # up to bottom_field_flag there are at most 17


class FieldOfFrame(NamedTuple):
    """What a slice header says of the field that it is in."""

    frame_num: int
    bottom: bool

    def is_followed_by(self, other: "FieldOfFrame | None") -> bool:
        """Whether ``other`` is the second field of the same frame (section 3.30)."""
        return other is not None and other.frame_num == self.frame_num and other.bottom is not self.bottom


def field_of(slice_nal: bytes, sps: H264Sps) -> FieldOfFrame | None:
    """The field that a slice belongs to; ``None`` when its picture is a frame.

    Raises :class:`MediaError` when the header cannot be read.
    """
    reader = BitReader(remove_emulation_prevention(slice_nal[1:_SLICE_HEADER_BYTES]), "H.264 slice header")
    reader.ue()  # first_mb_in_slice
    reader.ue()  # slice_type
    reader.ue()  # pic_parameter_set_id
    frame_num = reader.u(sps.frame_num_bits)
    if not reader.flag():  # field_pic_flag
        return None
    return FieldOfFrame(frame_num, reader.flag())
