"""Sample entries: how a track's codec is described in ``stsd``.

Video after ISO/IEC 14496-15 (``avc1``, ``hvc1``), the AV1 and VP9 bindings; audio after ISO/IEC 14496-14
(``mp4a`` with ``esds``), the Opus binding, and ETSI TS 102 366 annex F (``ac-3``, ``ec-3``).
"""

import struct
from typing import assert_never

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import AudioConfig, CodecConfig, VideoConfig
from openstreamer.media.vp9 import Vp9Config
from openstreamer.wire.mp4.boxes import box

_72_DPI = 0x0048_0000  # the resolution every writer puts there; players ignore it

# ObjectTypeIndication, ISO/IEC 14496-1 table 5 (registration authority mp4ra.org)
_OBJECT_TYPE_AAC = 0x40
_OBJECT_TYPE_MPEG2_AUDIO = 0x69  # ISO/IEC 13818-3: the half sampling rates
_OBJECT_TYPE_MPEG1_AUDIO = 0x6B  # ISO/IEC 11172-3
_LOWEST_MPEG1_RATE_HZ = 32_000

_ES_DESCRIPTOR, _DECODER_CONFIG, _DECODER_SPECIFIC, _SL_CONFIG = 0x03, 0x04, 0x05, 0x06
_AUDIO_STREAM = 0x05 << 2 | 1  # streamType 5, upStream 0, reserved 1


def sample_entry(config: CodecConfig) -> bytes:
    """The sample entry of a track with this decoder configuration."""
    match config:
        case H264Config():
            return _visual(b"avc1", config, box(b"avcC", config.avcc()))
        case H265Config():
            # hvc1, not hev1: Apple's players refuse parameter sets that may be in band only.
            return _visual(b"hvc1", config, box(b"hvcC", config.hvcc()))
        case Av1Config():
            return _visual(b"av01", config, box(b"av1C", config.av1c()))
        case Vp9Config():
            return _visual(b"vp09", config, box(b"vpcC", config.vpcc()))
        case AacConfig():
            return _audio(b"mp4a", config, _esds(_OBJECT_TYPE_AAC, config.audio_specific_config))
        case Mp3Config():
            half_rate = config.sample_rate < _LOWEST_MPEG1_RATE_HZ
            return _audio(
                b"mp4a", config, _esds(_OBJECT_TYPE_MPEG2_AUDIO if half_rate else _OBJECT_TYPE_MPEG1_AUDIO)
            )
        case OpusConfig():
            return _audio(b"Opus", config, box(b"dOps", config.dops()))
        case Ac3Config():
            return _audio(b"ac-3", config, box(b"dac3", config.dac3()))
        case Eac3Config():
            return _audio(b"ec-3", config, box(b"dec3", config.dec3()))
        case _:
            assert_never(config)


def _visual(kind: bytes, config: VideoConfig, configuration: bytes) -> bytes:
    """VisualSampleEntry, ISO/IEC 14496-12 section 12.1.3."""
    head = struct.pack(
        ">6xH16xHHIIIH32xHh", 1, config.width, config.height, _72_DPI, _72_DPI, 0, 1, 0x0018, -1
    )
    horizontal, vertical = config.sample_aspect_ratio
    pixels = b""
    if horizontal != vertical and horizontal > 0 and vertical > 0:
        pixels = box(b"pasp", struct.pack(">II", horizontal, vertical))
    return box(kind, head, configuration, pixels)


def _audio(kind: bytes, config: AudioConfig, configuration: bytes) -> bytes:
    """AudioSampleEntry, ISO/IEC 14496-12 section 12.2.3. The rate is 16.16 fixed point; what does not fit
    (88.2 and 96 kHz) is 0 and stands in the codec configuration."""
    rate = config.timescale if config.timescale <= 0xFFFF else 0
    return box(kind, struct.pack(">6xH8xHH4xI", 1, config.channels, 16, rate << 16), configuration)


def _esds(object_type: int, decoder_specific: bytes = b"") -> bytes:
    """ISO/IEC 14496-1 section 7.2.6.5. ES_ID 0, as ISO/IEC 14496-14 section 3.1.2 asks of files."""
    specific = _descriptor(_DECODER_SPECIFIC, decoder_specific) if decoder_specific else b""
    decoder = _descriptor(
        _DECODER_CONFIG, struct.pack(">BB3xII", object_type, _AUDIO_STREAM, 0, 0) + specific
    )
    return box(
        b"esds",
        bytes(4),
        _descriptor(_ES_DESCRIPTOR, struct.pack(">HB", 0, 0) + decoder + _descriptor(_SL_CONFIG, b"\x02")),
    )


def _descriptor(tag: int, content: bytes) -> bytes:
    """An expandable descriptor, ISO/IEC 14496-1 section 8.3.3: 7 bits of the size per byte."""
    size = len(content)
    encoded = [size & 0x7F]
    while size := size >> 7:
        encoded.append(size & 0x7F | 0x80)
    return bytes([tag, *reversed(encoded)]) + content
