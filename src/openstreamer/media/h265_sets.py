"""The video and sequence parameter sets of H.265 (ITU-T H.265, sections 7.3.2.1, 7.3.2.2, E.2)."""

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

_REFERENCE_PICTURES_MAX = 16  # sps_max_dec_pic_buffering_minus1 is at most 15


@dataclass(frozen=True, slots=True)
class H265Sps:
    """What one sequence parameter set says. Sizes are in luma samples inside the conformance window.

    ``profile_tier_level`` are the 12 bytes that hvcC repeats: profile space, tier and profile, 4 bytes of
    compatibility flags, 6 bytes of constraint flags, level. ``order_bits`` is the size of
    slice_pic_order_cnt_lsb in slice headers.
    """

    profile_tier_level: bytes
    sps_id: int
    max_sub_layers: int
    temporal_id_nesting: bool
    chroma_format: int
    bit_depth_luma: int
    bit_depth_chroma: int
    width: int
    height: int
    reorder_frames: int
    sample_aspect_ratio: tuple[int, int] = (1, 1)
    colour: Colour | None = None
    frame_rate: Fraction | None = None
    min_spatial_segmentation: int = 0
    order_bits: int = 4
    separate_planes: bool = False

    @property
    def profile(self) -> int:
        """``general_profile_idc``."""
        return self.profile_tier_level[0] & 0x1F

    @property
    def level(self) -> int:
        """``general_level_idc``."""
        return self.profile_tier_level[11]


class _Vui(NamedTuple):
    sample_aspect_ratio: tuple[int, int] = (1, 1)
    colour: Colour | None = None
    frame_rate: Fraction | None = None
    min_spatial_segmentation: int = 0


def parse_sps(nal: bytes) -> H265Sps:
    """Reads a sequence parameter set NAL unit, its two header bytes included."""
    reader = _reader(nal, 33, "H.265 SPS")
    reader.skip(4)  # sps_video_parameter_set_id
    max_sub_layers = reader.u(3) + 1
    nesting = reader.flag()
    profile_tier_level = _read_profile_tier_level(reader, max_sub_layers)
    sps_id = reader.ue(15)
    chroma_format = reader.ue(3)
    separate_planes = chroma_format == 3 and reader.flag()
    width, height = _read_size(reader, 0 if separate_planes else chroma_format)
    depth_luma, depth_chroma = 8 + reader.ue(8), 8 + reader.ue(8)
    order_bits = 4 + reader.ue(12)
    reorder_frames = _read_sub_layer_ordering(reader, max_sub_layers)
    _skip_coding_tools(reader)
    _skip_reference_pictures(reader, order_bits)
    reader.skip(2)  # sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    vui = _read_vui(reader, max_sub_layers) if reader.flag() else _Vui()
    return H265Sps(
        profile_tier_level=profile_tier_level,
        sps_id=sps_id,
        max_sub_layers=max_sub_layers,
        temporal_id_nesting=nesting,
        chroma_format=chroma_format,
        bit_depth_luma=depth_luma,
        bit_depth_chroma=depth_chroma,
        width=width,
        height=height,
        reorder_frames=reorder_frames,
        sample_aspect_ratio=vui.sample_aspect_ratio,
        colour=vui.colour,
        frame_rate=vui.frame_rate,
        min_spatial_segmentation=vui.min_spatial_segmentation,
        order_bits=order_bits,
        separate_planes=separate_planes,
    )


def parse_vps_frame_rate(nal: bytes) -> Fraction | None:
    """The frame rate that a video parameter set NAL unit declares, if it does."""
    reader = _reader(nal, 32, "H.265 VPS")
    reader.skip(12)  # id, base layer flags, vps_max_layers_minus1
    max_sub_layers = reader.u(3) + 1
    reader.skip(17)  # vps_temporal_id_nesting_flag, vps_reserved_0xffff_16bits
    _read_profile_tier_level(reader, max_sub_layers)
    _read_sub_layer_ordering(reader, max_sub_layers)
    max_layer_id = reader.u(6)
    reader.skip(reader.ue(1023) * (max_layer_id + 1))  # layer_id_included_flag
    if not reader.flag():  # vps_timing_info_present_flag
        return None
    ticks, time_scale = reader.u(32), reader.u(32)
    return plausible_frame_rate(time_scale, ticks)


def _reader(nal: bytes, kind: int, what: str) -> BitReader:
    if len(nal) < 2 or (nal[0] >> 1) & 0x3F != kind:
        raise MediaError(f"{what}: the NAL unit is of another type")
    check_parameter_sets(what, (nal,), 1)  # before the search for emulation prevention, which takes time
    return BitReader(remove_emulation_prevention(nal[2:]), what)


def _read_profile_tier_level(reader: BitReader, max_sub_layers: int) -> bytes:
    """profile_tier_level() of 7.3.3: the general 12 bytes; those of sub-layers are skipped."""
    if max_sub_layers > 7:
        raise MediaError("H.265: more than 7 temporal sub-layers")
    general = reader.u(96).to_bytes(12, "big")
    present = [(reader.flag(), reader.flag()) for _ in range(max_sub_layers - 1)]
    if present:
        reader.skip(2 * (8 - len(present)))  # reserved_zero_2bits
    for has_profile, has_level in present:
        reader.skip(88 * has_profile + 8 * has_level)
    return general


def _read_size(reader: BitReader, chroma_array_type: int) -> tuple[int, int]:
    width, height = reader.ue(PICTURE_SIDE_MAX), reader.ue(PICTURE_SIDE_MAX)
    if reader.flag():  # conformance_window_flag
        unit_x = 2 if chroma_array_type in (1, 2) else 1
        unit_y = 2 if chroma_array_type == 1 else 1
        width -= unit_x * (reader.ue() + reader.ue())
        height -= unit_y * (reader.ue() + reader.ue())
    if width <= 0 or height <= 0:
        raise MediaError("H.265 SPS: the conformance window leaves no picture")
    return width, height


def _read_sub_layer_ordering(reader: BitReader, max_sub_layers: int) -> int:
    """max_num_reorder_pics of the highest sub-layer."""
    reorder_frames = 0
    for _ in range(max_sub_layers if reader.flag() else 1):
        reader.ue()  # max_dec_pic_buffering_minus1
        reorder_frames = reader.ue()
        reader.ue()  # max_latency_increase_plus1
    return reorder_frames


def _skip_coding_tools(reader: BitReader) -> None:
    """From log2_min_luma_coding_block_size_minus3 to the PCM flags."""
    for _ in range(6):  # four block sizes, two transform hierarchy depths
        reader.ue()
    if reader.flag() and reader.flag():  # scaling_list_enabled_flag, sps_scaling_list_data_present_flag
        _skip_scaling_lists(reader)
    reader.skip(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if reader.flag():  # pcm_enabled_flag
        reader.skip(8)  # two bit depths
        reader.ue()
        reader.ue()
        reader.skip(1)  # pcm_loop_filter_disabled_flag


def _skip_scaling_lists(reader: BitReader) -> None:
    """scaling_list_data() of 7.3.4."""
    for size_id in range(4):
        for _ in range(2 if size_id == 3 else 6):
            if not reader.flag():  # scaling_list_pred_mode_flag
                reader.ue()
                continue
            if size_id > 1:
                reader.se()  # scaling_list_dc_coef_minus8
            for _ in range(min(64, 1 << (4 + (size_id << 1)))):
                reader.se()


def _skip_reference_pictures(reader: BitReader, order_bits: int) -> None:
    """The short-term reference picture sets (7.3.7) and the long-term pictures."""
    pictures = 0
    for index in range(reader.ue(64)):
        if index and reader.flag():  # inter_ref_pic_set_prediction_flag
            pictures = _read_predicted_set(reader, pictures)
        else:
            pictures = reader.ue(_REFERENCE_PICTURES_MAX) + reader.ue(_REFERENCE_PICTURES_MAX)
            for _ in range(pictures):
                reader.ue()  # delta_poc_s0_minus1 or delta_poc_s1_minus1
                reader.skip(1)  # used_by_curr_pic
    if reader.flag():  # long_term_ref_pics_present_flag
        reader.skip(reader.ue(32) * (order_bits + 1))


def _read_predicted_set(reader: BitReader, reference_pictures: int) -> int:
    """How many pictures a set has that is predicted from the one before it, which has that many."""
    reader.skip(1)  # delta_rps_sign
    reader.ue()  # abs_delta_rps_minus1
    pictures = 0
    for _ in range(reference_pictures + 1):
        used = reader.flag()  # used_by_curr_pic_flag
        if used or reader.flag():  # use_delta_flag
            pictures += 1
    if pictures > 2 * _REFERENCE_PICTURES_MAX:
        raise MediaError("H.265 SPS: a reference picture set has too many pictures")
    return pictures


def _read_vui(reader: BitReader, max_sub_layers: int) -> _Vui:
    sample_aspect_ratio = read_aspect_ratio(reader)
    colour = read_colour(reader)
    reader.skip(3)  # neutral_chroma_indication_flag, field_seq_flag, frame_field_info_present_flag
    if reader.flag():  # default_display_window_flag: a hint which decoders ignore
        for _ in range(4):
            reader.ue()
    frame_rate = None
    if reader.flag():  # vui_timing_info_present_flag
        ticks, time_scale = reader.u(32), reader.u(32)
        frame_rate = plausible_frame_rate(time_scale, ticks)
        if reader.flag():  # vui_poc_proportional_to_timing_flag
            reader.ue()
        if reader.flag():  # vui_hrd_parameters_present_flag
            _skip_hrd(reader, max_sub_layers)
    segmentation = 0
    if reader.flag():  # bitstream_restriction_flag
        reader.skip(3)
        segmentation = reader.ue(4095)
        for _ in range(4):
            reader.ue()
    return _Vui(sample_aspect_ratio, colour, frame_rate, segmentation)


def _skip_hrd(reader: BitReader, max_sub_layers: int) -> None:
    """hrd_parameters(1, …) of E.2.2."""
    kinds = int(reader.flag()) + int(reader.flag())  # NAL and VCL parameters
    sub_pictures = kinds > 0 and reader.flag()
    if kinds:
        reader.skip((19 if sub_pictures else 0) + 8 + (4 if sub_pictures else 0) + 15)
    for _ in range(max_sub_layers):
        fixed_rate = reader.flag() or reader.flag()  # general, or else within the CVS
        low_delay = False
        if fixed_rate:
            reader.ue()  # elemental_duration_in_tc_minus1
        else:
            low_delay = reader.flag()
        buffers = 1 if low_delay else reader.ue(31) + 1
        for _ in range(kinds * buffers):
            for _ in range(4 if sub_pictures else 2):
                reader.ue()
            reader.skip(1)  # cbr_flag
