"""Video usability information that H.264 (E.2.1) and H.265 (E.3.1) write alike."""

from fractions import Fraction
from typing import NamedTuple

from openstreamer.media.bits import BitReader

EXTENDED_SAR = 255
FRAME_RATE_MAX = 300  # encoders with a millisecond time base declare 1000: that is no frame rate
PICTURE_SIDE_MAX = 16_888  # the longest side that any level of H.264, H.265 or VP9 allows

# Table E-1, by aspect_ratio_idc; 0 is unspecified, which every player takes as square
_ASPECT_RATIOS = (
    (1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11),
    (80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip


class Colour(NamedTuple):
    """Code points of ISO/IEC 23091-2; 2 means unspecified."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


UNSPECIFIED = Colour(2, 2, 2, False)


def read_aspect_ratio(reader: BitReader) -> tuple[int, int]:
    """``aspect_ratio_info_present_flag`` and what follows: the sample aspect ratio, 1:1 when unsaid."""
    if not reader.flag():
        return (1, 1)
    idc = reader.u(8)
    if idc == EXTENDED_SAR:
        width, height = reader.u(16), reader.u(16)
        return lowest_terms(width, height) if width and height else (1, 1)
    return _ASPECT_RATIOS[idc] if idc < len(_ASPECT_RATIOS) else (1, 1)


def read_colour(reader: BitReader) -> Colour | None:
    """``overscan_info_present_flag`` up to ``chroma_loc_info``; the colour description if there is one."""
    if reader.flag():  # overscan_info_present_flag
        reader.skip(1)
    colour = None
    if reader.flag():  # video_signal_type_present_flag
        reader.skip(3)  # video_format
        full_range = reader.flag()
        colour = Colour(2, 2, 2, full_range)
        if reader.flag():  # colour_description_present_flag
            colour = Colour(reader.u(8), reader.u(8), reader.u(8), full_range)
    if reader.flag():  # chroma_loc_info_present_flag
        reader.ue(5)
        reader.ue(5)
    return colour


def plausible_frame_rate(time_scale: int, ticks: int) -> Fraction | None:
    """``time_scale / ticks`` per second, or ``None`` when that cannot be a frame rate."""
    if not time_scale or not ticks or time_scale > FRAME_RATE_MAX * ticks:
        return None
    return Fraction(time_scale, ticks)


def lowest_terms(width: int, height: int) -> tuple[int, int]:
    """The ratio ``width : height`` in lowest terms."""
    return Fraction(width, height).as_integer_ratio()
