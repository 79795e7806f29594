"""In which order coded pictures are shown: the picture order count of H.264 and H.265.

ITU-T H.264 sections 7.3.3 and 8.2.1, ITU-T H.265 sections 7.3.6.1 and 8.3.1. Containers without presentation
times leave it to this.
"""

from openstreamer.media import h265
from openstreamer.media.bits import BitReader, remove_emulation_prevention
from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.media.h264 import H264Config
from openstreamer.media.h264_sets import H264Sps
from openstreamer.media.h265 import H265Config
from openstreamer.media.nal import iter_length_prefixed

_SLICE_HEADER_BYTES = 40  # up to the order count there are at most 33, emulation prevention included
_H264_SLICES = frozenset((1, 2, 5))  # nal_unit_type: slice, its partition A, slice of an IDR picture
_H264_IDR = 5
_UNORDERED = "without presentation times its B-frames cannot be put in order"
_H265_IDR = frozenset((19, 20))
_H265_BLA = frozenset((16, 17, 18))
_H265_NO_REFERENCE = frozenset((0, 2, 4, 6, 8, 10, 12, 14))  # of the same sub-layer: names that end in _N
_H265_LEADING = frozenset((6, 7, 8, 9))  # RADL and RASL

Place = tuple[int, int]


class PictureOrder:
    """Feed ``place`` with the pictures of a track in decoding order.

    A place is the number of the coded video sequence and the picture order count in it: sorted by these,
    pictures stand in the order in which they are shown. An H.264 stream that resets its order without an IDR
    picture (memory management operation 5), which no encoder of files does, is not followed.
    """

    def __init__(self) -> None:
        self._sequence = 0
        self._reference_high = 0  # prevPicOrderCntMsb
        self._reference_low = 0  # prevPicOrderCntLsb
        self._begun = False

    def place(self, payload: bytes, config: H264Config | H265Config) -> Place:
        """Where the picture in ``payload``, NAL units with 4-byte lengths, stands.

        Raises:
            MediaError: its slice header is damaged.
            SourceRejected: the stream says its order in a way that is not read.
        """
        if isinstance(config, H264Config):
            return self._h264(payload, config.info)
        return self._h265(payload, config)

    def _h264(self, payload: bytes, sps: H264Sps) -> Place:
        nal = next((nal for nal in iter_length_prefixed(payload) if nal[0] & 0x1F in _H264_SLICES), None)
        if nal is None:
            raise MediaError("H.264: an access unit without a slice")
        if not sps.order_bits:
            raise SourceRejected(f"H.264: {_UNORDERED}: its picture order count is of type 1")
        begins = nal[0] & 0x1F == _H264_IDR
        low = _h264_low(nal, sps, begins=begins)
        return self._count(low, sps.order_bits, begins=begins, referenced=bool(nal[0] & 0x60))

    def _h265(self, payload: bytes, config: H265Config) -> Place:
        nal = next(
            (nal for nal in iter_length_prefixed(payload) if nal[0] >> 1 & 0x3F <= h265.NAL_VCL_LAST), None
        )
        if nal is None or len(nal) < 3:
            raise MediaError("H.265: an access unit without a slice")
        kind = nal[0] >> 1 & 0x3F
        # NoRaslOutputFlag (8.1.3): the order begins anew at IDR and BLA pictures, and at the first of all
        begins = kind in _H265_IDR or kind in _H265_BLA or not self._begun
        low = 0 if kind in _H265_IDR else _h265_low(nal, kind, config)
        top_layer = nal[1] & 7 == 1  # TemporalId 0
        referenced = top_layer and kind not in _H265_NO_REFERENCE and kind not in _H265_LEADING
        return self._count(low, config.info.order_bits, begins=begins, referenced=referenced)

    def _count(self, low: int, bits: int, *, begins: bool, referenced: bool) -> Place:
        """Equations 8-3 of H.264 and 8-1 of H.265, which are the same."""
        if begins:
            self._sequence += self._begun
            self._begun = True
            high = 0
        else:
            half = 1 << bits - 1
            high = self._reference_high
            if low < self._reference_low and self._reference_low - low >= half:
                high += 2 * half
            elif low > self._reference_low and low - self._reference_low > half:
                high -= 2 * half
        if referenced or begins:
            self._reference_high, self._reference_low = high, low
        return self._sequence, high + low


def _h264_low(nal: bytes, sps: H264Sps, *, begins: bool) -> int:
    """``pic_order_cnt_lsb`` of a slice header."""
    reader = BitReader(remove_emulation_prevention(nal[1:_SLICE_HEADER_BYTES]), "H.264 slice header")
    reader.ue()  # first_mb_in_slice
    reader.ue()  # slice_type
    reader.ue()  # pic_parameter_set_id
    reader.skip(2 if sps.separate_planes else 0)  # colour_plane_id
    reader.skip(sps.frame_num_bits)
    if not sps.progressive and reader.flag():  # field_pic_flag
        raise SourceRejected(f"H.264: {_UNORDERED}: its pictures are fields")
    if begins:
        reader.ue()  # idr_pic_id
    return reader.u(sps.order_bits)


def _h265_low(nal: bytes, kind: int, config: H265Config) -> int:
    """``slice_pic_order_cnt_lsb`` of the header of a picture's first slice segment."""
    reader = BitReader(remove_emulation_prevention(nal[2:_SLICE_HEADER_BYTES]), "H.265 slice header")
    if not reader.flag():  # first_slice_segment_in_pic_flag
        raise MediaError("H.265: the first slice segment of a picture is missing")
    if h265.NAL_IRAP_FIRST <= kind <= 23:  # RSV_IRAP_VCL23
        reader.skip(1)  # no_output_of_prior_pics_flag
    output_flag, extra_bits = _h265_header_extras(config, reader.ue(63))
    reader.skip(extra_bits)  # slice_reserved_flag
    reader.ue()  # slice_type
    reader.skip(1 if output_flag else 0)  # pic_output_flag
    reader.skip(2 if config.info.separate_planes else 0)  # colour_plane_id
    return reader.u(config.info.order_bits)


def _h265_header_extras(config: H265Config, pps_id: int) -> tuple[bool, int]:
    """``output_flag_present_flag`` and ``num_extra_slice_header_bits`` of a PPS (7.3.2.3)."""
    for nal in config.pps:
        reader = BitReader(remove_emulation_prevention(nal[2:16]), "H.265 PPS")
        if reader.ue(63) == pps_id:
            reader.ue(15)  # pps_seq_parameter_set_id
            reader.skip(1)  # dependent_slice_segments_enabled_flag
            return reader.flag(), reader.u(3)
    raise MediaError(f"H.265: there is no PPS {pps_id}")
