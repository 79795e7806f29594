"""Which NAL units begin an access unit (ITU-T H.264 section 7.4.1.2.3, H.265 section 7.4.2.4.4)."""

from typing import NamedTuple

SLICE = 1  # of a picture
BEGINS = 2  # an access unit, when it stands behind a slice
PARAMETERS = 8  # of an H.264 sequence, which say whether there are fields
DROPPED = 4  # says nothing that a frame does not say: delimiters, filler data


class NalRules(NamedTuple):
    """``kinds`` gives the flags by a NAL unit's first byte. A slice is the first of its picture when the top
    bit of the byte behind the NAL unit's header is set: first_mb_in_slice is 0 in H.264, and
    first_slice_segment_in_pic_flag is set in H.265."""

    kinds: bytes
    header_bytes: int


def _h264(first_byte: int) -> int:
    kind = first_byte & 0x1F
    if kind in (1, 2, 5):
        return SLICE
    if kind == 9:
        return BEGINS | DROPPED
    if kind == 7:
        return BEGINS | PARAMETERS
    if kind in (6, 8, 15, 16, 17, 18):
        return BEGINS
    return DROPPED if kind == 12 else 0


def _h265(first_byte: int) -> int:
    kind = first_byte >> 1 & 0x3F
    if kind <= 31:
        return SLICE
    if kind == 35:
        return BEGINS | DROPPED
    if kind in (32, 33, 34, 39) or 41 <= kind <= 44 or 48 <= kind <= 55:
        return BEGINS
    return DROPPED if kind == 38 else 0


H264_RULES = NalRules(bytes(map(_h264, range(256))), 1)
H265_RULES = NalRules(bytes(map(_h265, range(256))), 2)
