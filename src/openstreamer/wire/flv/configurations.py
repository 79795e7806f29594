"""Decoder configurations as FLV tags carry them, and frames in the form that ``Frame`` wants."""

from typing import assert_never

from openstreamer.media import av1, h264, h265, nal, vp9
from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import AudioConfig, VideoConfig
from openstreamer.media.vp9 import Vp9Config
from openstreamer.wire.flv.tags import FlvCodec

_OPUS_TAGS = b"OpusTags"  # RFC 7845, section 5.2: the comment header, which Enhanced RTMP allows as well


def video_configuration(codec: FlvCodec, body: bytes) -> tuple[VideoConfig | None, int]:
    """What a video sequence header says, and the NAL length size of the frames that follow it.

    No configuration when it is in the key frames only.

    Raises:
        MediaError: it cannot be understood.
    """
    match codec:
        case FlvCodec.H264:
            return H264Config.from_avcc(body), h264.avcc_nal_length_size(body)
        case FlvCodec.H265:
            return H265Config.from_hvcc(body), h265.hvcc_nal_length_size(body)
        case FlvCodec.AV1:
            # The sequence header OBU in av1C is optional; the one in the key frame is not.
            in_band = len(body) >= 4 and av1.sequence_header_in(body[4:]) is None
            return (None if in_band else Av1Config.from_av1c(body)), 4
        case FlvCodec.VP9:
            return Vp9Config.from_vpcc(body), 4
        case _:
            raise MediaError(f"FLV: {codec.value} is no video codec")


def video_configuration_in(codec: FlvCodec, known: VideoConfig | None, payload: bytes) -> VideoConfig | None:
    """The configuration at a key frame: ``known``, unless the frame brings another one. May be unknown.

    Raises:
        MediaError: the frame or what it brings is malformed.
    """
    if known is not None:
        return known.with_parameter_sets_from(payload)
    match codec:
        case FlvCodec.H264:
            return H264Config.from_key_frame(payload)
        case FlvCodec.H265:
            return H265Config.from_key_frame(payload)
        case FlvCodec.AV1:
            return Av1Config.from_key_frame(payload)
        case FlvCodec.VP9:
            return Vp9Config.from_key_frame(payload)
        case _:
            raise MediaError(f"FLV: {codec.value} is no video codec")


def is_random_access(codec: FlvCodec, payload: bytes) -> bool:
    """Whether the bit stream itself says that decoding can begin here."""
    match codec:
        case FlvCodec.H264:
            return h264.is_random_access(payload)
        case FlvCodec.H265:
            return h265.is_random_access(payload)
        case FlvCodec.AV1:
            return av1.is_random_access(payload)
        case FlvCodec.VP9:
            return vp9.is_random_access(payload)
        case _:
            return True


def video_payload(codec: FlvCodec, body: bytes, nal_length_size: int) -> bytes:
    """A frame's body as ``Frame.payload`` wants it."""
    if codec is FlvCodec.AV1:
        return av1.drop_temporal_delimiters(body)
    if nal_length_size != 4:
        return nal.change_nal_length_size(body, nal_length_size)
    return body


def audio_configuration(codec: FlvCodec, body: bytes) -> AudioConfig | None:
    """What an audio sequence header says; ``None`` when it says nothing.

    Raises:
        MediaError: it cannot be understood.
    """
    match codec:
        case FlvCodec.AAC:
            return AacConfig(body) if body else None  # some encoders send an empty one first
        case FlvCodec.OPUS:
            return None if body.startswith(_OPUS_TAGS) else OpusConfig.from_opus_head(body)
        case _:
            return None  # MP3, AC-3 and E-AC-3 have theirs in every frame


def audio_configuration_in(codec: FlvCodec, payload: bytes) -> AudioConfig | None:
    """The configuration in a frame of a codec without sequence headers."""
    match codec:
        case FlvCodec.MP3:
            return Mp3Config.from_frame_header(payload)
        case FlvCodec.AC3:
            return Ac3Config.from_sync_frame(payload)
        case FlvCodec.EAC3:
            return Eac3Config.from_sync_frame(payload)
        case _:
            return None


def flv_codec_of(config: VideoConfig | AudioConfig) -> FlvCodec:
    """The codec of a configuration."""
    match config:
        case H264Config():
            return FlvCodec.H264
        case H265Config():
            return FlvCodec.H265
        case Av1Config():
            return FlvCodec.AV1
        case Vp9Config():
            return FlvCodec.VP9
        case AacConfig():
            return FlvCodec.AAC
        case OpusConfig():
            return FlvCodec.OPUS
        case Mp3Config():
            return FlvCodec.MP3
        case Ac3Config():
            return FlvCodec.AC3
        case Eac3Config():
            return FlvCodec.EAC3
        case _:
            assert_never(config)


def sequence_header_of(config: VideoConfig | AudioConfig) -> bytes:
    """The body of the sequence header tag; empty for codecs without one."""
    match config:
        case H264Config():
            return config.avcc()
        case H265Config():
            return config.hvcc()
        case Av1Config():
            return config.av1c()
        case Vp9Config():
            return config.vpcc()
        case AacConfig():
            return config.audio_specific_config
        case OpusConfig():
            return config.opus_head()
        case Mp3Config() | Ac3Config() | Eac3Config():
            return b""
        case _:
            assert_never(config)
