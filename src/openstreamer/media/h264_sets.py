"""The sequence parameter set of H.264 (ITU-T H.264, sections 7.3.2.1.1, E.1.1 and E.1.2)."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from openstreamer.media.bits import BitReader, remove_emulation_prevention
from openstreamer.media.errors import MediaError
from openstreamer.media.nal import check_parameter_sets
from openstreamer.media.vui import (
    PICTURE_SIDE_MAX,
    Colour,
    plausible_frame_rate,
    read_aspect_ratio,
    read_colour,
)

_NAL_SPS = 7
_PROFILES_WITH_CHROMA = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 144, 244))


@dataclass(frozen=True, slots=True)
class H264Sps:
    """What one sequence parameter set says (7.3.2.1.1 and E.1.1). Sizes are in luma samples.

    ``reorder_frames`` is ``None`` when the stream does not say how many pictures may be out of order.
    ``frame_num_bits`` and ``order_bits`` are the sizes of frame_num and pic_order_cnt_lsb in slice headers;
    there is no pic_order_cnt_lsb, and ``order_bits`` is 0, when pic_order_cnt_type is not 0.
    """

    profile: int
    constraint_flags: int
    level: int
    sps_id: int
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int
    height: int
    progressive: bool
    sample_aspect_ratio: tuple[int, int] = (1, 1)
    colour: Colour | None = None
    frame_rate: Fraction | None = None
    fixed_frame_rate: bool = False
    reorder_frames: int | None = None
    max_dec_frame_buffering: int | None = None
    frame_num_bits: int = 4
    order_bits: int = 4
    separate_planes: bool = False


class _Vui(NamedTuple):
    sample_aspect_ratio: tuple[int, int] = (1, 1)
    colour: Colour | None = None
    frame_rate: Fraction | None = None
    fixed_frame_rate: bool = False
    reorder_frames: int | None = None
    max_dec_frame_buffering: int | None = None


def parse_sps(nal: bytes) -> H264Sps:
    """Reads a sequence parameter set NAL unit, its header byte included."""
    if not nal or nal[0] & 0x1F != _NAL_SPS:
        raise MediaError("H.264 SPS: the NAL unit is of another type")
    check_parameter_sets("H.264 SPS", (nal,), 1)
    reader = BitReader(remove_emulation_prevention(nal[1:]), "H.264 SPS")
    profile, constraint_flags, level = reader.u(8), reader.u(8), reader.u(8)
    sps_id = reader.ue(31)
    chroma_format, planes, depth_luma, depth_chroma = 1, 1, 8, 8
    if profile in _PROFILES_WITH_CHROMA:
        chroma_format, planes, depth_luma, depth_chroma = _read_chroma(reader)
    frame_num_bits = 4 + reader.ue(12)
    order_type, order_bits = _read_picture_order_count(reader)
    reader.ue(16)  # max_num_ref_frames
    reader.skip(1)  # gaps_in_frame_num_value_allowed_flag
    width, height, progressive = _read_size(reader, chroma_format if planes == 1 else 0)
    vui = _read_vui(reader) if reader.flag() else _Vui()
    reorder_frames = vui.reorder_frames
    if reorder_frames is None and (order_type == 2 or profile == 66):
        reorder_frames = 0  # 8.2.1.3 and A.2.1: output order is decoding order
    return H264Sps(
        profile=profile,
        constraint_flags=constraint_flags,
        level=level,
        sps_id=sps_id,
        chroma_format=chroma_format,
        bit_depth_luma=depth_luma,
        bit_depth_chroma=depth_chroma,
        width=width,
        height=height,
        progressive=progressive,
        sample_aspect_ratio=vui.sample_aspect_ratio,
        colour=vui.colour,
        frame_rate=vui.frame_rate,
        fixed_frame_rate=vui.fixed_frame_rate,
        reorder_frames=reorder_frames,
        max_dec_frame_buffering=vui.max_dec_frame_buffering,
        frame_num_bits=frame_num_bits,
        order_bits=order_bits,
        separate_planes=planes == 3,
    )


def _read_chroma(reader: BitReader) -> tuple[int, int, int, int]:
    """chroma_format_idc, number of separate colour planes, both bit depths; skips the scaling lists."""
    chroma_format = reader.ue(3)
    planes = 3 if chroma_format == 3 and reader.flag() else 1
    depth_luma, depth_chroma = 8 + reader.ue(6), 8 + reader.ue(6)
    reader.skip(1)  # qpprime_y_zero_transform_bypass_flag
    if reader.flag():  # seq_scaling_matrix_present_flag
        for index in range(12 if chroma_format == 3 else 8):
            if reader.flag():
                _skip_scaling_list(reader, 16 if index < 6 else 64)
    return chroma_format, planes, depth_luma, depth_chroma


def _skip_scaling_list(reader: BitReader, size: int) -> None:
    last_scale = next_scale = 8
    for _ in range(size):
        if next_scale:
            next_scale = (last_scale + reader.se()) % 256
        last_scale = next_scale or last_scale


def _read_picture_order_count(reader: BitReader) -> tuple[int, int]:
    """pic_order_cnt_type, and the size of pic_order_cnt_lsb where there is one."""
    order_type = reader.ue(2)
    if order_type == 0:
        return order_type, 4 + reader.ue(12)
    if order_type == 1:
        reader.skip(1)  # delta_pic_order_always_zero_flag
        reader.se()
        reader.se()
        for _ in range(reader.ue(255)):  # num_ref_frames_in_pic_order_cnt_cycle
            reader.se()
    return order_type, 0


def _read_size(reader: BitReader, chroma_array_type: int) -> tuple[int, int, bool]:
    """Width and height after cropping (equations 7-13 to 7-22), and whether every picture is a frame."""
    side_mbs_max = PICTURE_SIDE_MAX // 16
    width = 16 * (reader.ue(side_mbs_max) + 1)
    map_units = reader.ue(side_mbs_max) + 1
    progressive = reader.flag()
    height = 16 * map_units * (1 if progressive else 2)
    if not progressive:
        reader.skip(1)  # mb_adaptive_frame_field_flag
    reader.skip(1)  # direct_8x8_inference_flag
    if reader.flag():  # frame_cropping_flag
        unit_x = 2 if chroma_array_type in (1, 2) else 1
        unit_y = (2 if chroma_array_type == 1 else 1) * (1 if progressive else 2)
        width -= unit_x * (reader.ue() + reader.ue())
        height -= unit_y * (reader.ue() + reader.ue())
    if width <= 0 or height <= 0:
        raise MediaError("H.264 SPS: the cropping leaves no picture")
    return width, height, progressive


def _read_vui(reader: BitReader) -> _Vui:
    sample_aspect_ratio = read_aspect_ratio(reader)
    colour = read_colour(reader)
    frame_rate, fixed = None, False
    if reader.flag():  # timing_info_present_flag
        ticks, time_scale = reader.u(32), reader.u(32)
        fixed = reader.flag()
        frame_rate = plausible_frame_rate(time_scale, 2 * ticks)  # a tick is a field, E.2.1
    has_hrd = False
    for _ in ("nal", "vcl"):
        if reader.flag():
            has_hrd = True
            _skip_hrd(reader)
    if has_hrd:
        reader.skip(1)  # low_delay_hrd_flag
    reader.skip(1)  # pic_struct_present_flag
    reorder, buffering = _read_bitstream_restriction(reader) if reader.flag() else (None, None)
    return _Vui(sample_aspect_ratio, colour, frame_rate, fixed, reorder, buffering)


def _skip_hrd(reader: BitReader) -> None:
    count = reader.ue(31) + 1
    reader.skip(8)  # bit_rate_scale, cpb_size_scale
    for _ in range(count):
        reader.ue()
        reader.ue()
        reader.skip(1)
    reader.skip(20)  # four lengths of 5 bits


def _read_bitstream_restriction(reader: BitReader) -> tuple[int, int]:
    """max_num_reorder_frames and max_dec_frame_buffering."""
    reader.skip(1)  # motion_vectors_over_pic_boundaries_flag
    for _ in range(4):  # two denominators, two motion vector lengths
        reader.ue()
    return reader.ue(), reader.ue()
