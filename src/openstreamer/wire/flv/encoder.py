"""Frames → FLV tag bodies: what an RTMP publisher or player is sent.

H.264, AAC and MP3 in the legacy form that every peer understands, the rest as Enhanced RTMP.
"""

from collections.abc import Iterable
from typing import NamedTuple

from openstreamer.media.clock import ticks_to_ms
from openstreamer.media.frame import Frame
from openstreamer.media.track import AudioConfig, CodecConfig, Track
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.flv.configurations import flv_codec_of, sequence_header_of
from openstreamer.wire.flv.tags import FlvCodec

_AAC_HEADER = 0xAF  # E.4.2.1: AAC is always said to be 44 kHz, 16 bits, stereo
_MP3_RATES = {5_512: 0, 11_025: 1, 22_050: 2, 44_100: 3}
_LEGACY_AUDIO_ID = {FlvCodec.AAC: 10.0, FlvCodec.MP3: 2.0}
_LEGACY_H264_ID = 7.0
_SI24_END = 1 << 23  # composition times are signed and have 24 bits
_WITH_COMPOSITION_TIME = (FlvCodec.H264, FlvCodec.H265)


class FlvTag(NamedTuple):
    """One tag body, ready to be sent as an RTMP message."""

    is_video: bool
    timestamp_ms: int
    payload: bytes


class FlvEncoder:
    """Encodes the frames of one stream; puts a sequence header before the first frame of every track."""

    def __init__(self) -> None:
        self._announced: dict[int, Track] = {}

    def encode(self, frame: Frame) -> list[FlvTag]:
        """The tags for ``frame``: one, or two when its track is new. Times are those of the frame."""
        track = frame.track
        timestamp_ms = ticks_to_ms(frame.dts_90k)
        tags: list[FlvTag] = []
        if self._announced.get(track.id) is not track:
            self._announced[track.id] = track
            tags += sequence_header_tags(track, timestamp_ms)
        if track.is_video:
            composition_ms = max(-_SI24_END, min(ticks_to_ms(frame.pts_90k) - timestamp_ms, _SI24_END - 1))
            payload = _video_frame(flv_codec_of(track.config), frame.key, composition_ms) + frame.payload
        else:
            payload = _audio_frame(track.config) + frame.payload
        tags.append(FlvTag(track.is_video, timestamp_ms, payload))
        return tags


def sequence_header_tags(track: Track, timestamp_ms: int) -> list[FlvTag]:
    """The sequence header of ``track``; none for MP3, AC-3 and E-AC-3, which have no such thing."""
    header = sequence_header_of(track.config)
    if not header:
        return []
    codec = flv_codec_of(track.config)
    if codec is FlvCodec.H264:
        start = b"\x17\x00\x00\x00\x00"
    elif codec is FlvCodec.AAC:
        start = bytes((_AAC_HEADER, 0))
    else:  # the same byte: a key frame's sequence start, and sound format 9 with sequence start
        start = b"\x90" + codec.four_cc
    return [FlvTag(track.is_video, timestamp_ms, start + header)]


def metadata_of(tracks: Iterable[Track]) -> dict[str, AmfValue]:
    """The ``onMetaData`` properties that describe ``tracks`` (Enhanced RTMP v2, "Enhancing onMetaData")."""
    values: dict[str, AmfValue] = {}
    for track in tracks:
        config = track.config
        codec = flv_codec_of(config)
        four_cc = float(int.from_bytes(codec.four_cc, "big"))
        if isinstance(config, AudioConfig):
            values["audiocodecid"] = _LEGACY_AUDIO_ID.get(codec, four_cc)
            values["audiosamplerate"] = float(config.sample_rate)
            values["stereo"] = config.channels > 1
        else:
            values["videocodecid"] = _LEGACY_H264_ID if codec is FlvCodec.H264 else four_cc
            values["width"] = float(config.width)
            values["height"] = float(config.height)
            if config.frame_rate:
                values["framerate"] = float(config.frame_rate)
    return values


def _video_frame(codec: FlvCodec, key: bool, composition_ms: int) -> bytes:
    frame_type = 1 if key else 2
    if codec is FlvCodec.H264:
        return bytes((frame_type << 4 | 7, 1)) + composition_ms.to_bytes(3, "big", signed=True)
    four_cc = codec.four_cc
    if codec not in _WITH_COMPOSITION_TIME:
        return bytes((0x81 | frame_type << 4,)) + four_cc
    if composition_ms == 0:  # CodedFramesX: without the three bytes
        return bytes((0x83 | frame_type << 4,)) + four_cc
    return bytes((0x81 | frame_type << 4,)) + four_cc + composition_ms.to_bytes(3, "big", signed=True)


def _audio_frame(config: CodecConfig) -> bytes:
    codec = flv_codec_of(config)
    if codec is FlvCodec.AAC:
        return bytes((_AAC_HEADER, 1))
    if codec is FlvCodec.MP3 and isinstance(config, AudioConfig) and config.sample_rate in _MP3_RATES:
        return bytes((0x22 | _MP3_RATES[config.sample_rate] << 2 | (config.channels > 1),))
    return b"\x91" + codec.four_cc
