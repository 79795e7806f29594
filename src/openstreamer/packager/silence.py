"""Coded silence, for the time in which a track of sound says nothing.

Browsers play a video only where sound is buffered too, so a gap in the sound stops the picture. Where the
codec lets us write a frame of silence by hand, it takes the place of what does not come.
"""

from functools import lru_cache

from openstreamer.media.aac import OBJECT_AAC_LC, AacConfig
from openstreamer.media.bits import BitWriter
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import AudioConfig

# Syntactic elements of raw_data_block(), ISO/IEC 14496-3 table 4.85
_SCE, _CPE, _LFE, _END = 0, 1, 3, 7
# What they are by channelConfiguration, table 1.19
_ELEMENTS = {
    1: (_SCE,),
    2: (_CPE,),
    3: (_SCE, _CPE),
    4: (_SCE, _CPE, _SCE),
    5: (_SCE, _CPE, _CPE),
    6: (_SCE, _CPE, _CPE, _LFE),
    7: (_SCE, _CPE, _CPE, _CPE, _LFE),
}
_OPUS_CELT_FULL_BAND_20_MS = 31 << 3  # TOC byte of RFC 6716 section 3.1: configuration 31, one frame
_OPUS_STEREO = 0x04
_OPUS_SILENCE = b"\xff\xfe"  # RFC 6716 section 4.3: the range decoder reads the silence flag as set


@lru_cache(maxsize=64)
def silent_frame(config: AudioConfig) -> bytes | None:
    """A frame of silence for this decoder configuration, or None for codecs that need an encoder for it."""
    match config:
        case AacConfig(info=info) if info.object_type == OBJECT_AAC_LC:
            elements = _ELEMENTS.get(info.channel_configuration)
            return _aac(elements) if elements is not None else None
        case OpusConfig(channels=channels, mapping_family=0):
            toc = _OPUS_CELT_FULL_BAND_20_MS | (_OPUS_STEREO if channels == 2 else 0)
            return bytes([toc]) + _OPUS_SILENCE
        case _:
            return None


def _aac(elements: tuple[int, ...]) -> bytes:
    """A raw_data_block() whose channels have no scale factor bands, hence no spectrum."""
    bits = BitWriter()
    tags: dict[int, int] = {}
    for element in elements:
        tag = tags[element] = tags.get(element, -1) + 1
        bits.u(3, element)
        bits.u(4, tag)  # element_instance_tag
        if element == _CPE:
            bits.u(1, 0)  # common_window
            _channel(bits)
        _channel(bits)
    bits.u(3, _END)
    return bits.to_bytes()


def _channel(bits: BitWriter) -> None:
    """individual_channel_stream(), table 4.50, of one long window with max_sfb 0."""
    bits.u(8, 0)  # global_gain
    bits.u(1 + 2 + 1, 0)  # ics_reserved_bit, window_sequence ONLY_LONG_SEQUENCE, window_shape
    bits.u(6, 0)  # max_sfb
    bits.u(1, 0)  # predictor_data_present
    bits.u(3, 0)  # pulse_data_present, tns_data_present, gain_control_data_present
