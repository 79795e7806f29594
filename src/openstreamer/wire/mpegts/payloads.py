"""Frames as elementary streams of MPEG-TS have them, and how a PMT announces them."""

import re
from collections.abc import Callable
from typing import NamedTuple, assert_never

from openstreamer.media import av1, h264, h265
from openstreamer.media.aac import AacConfig, adts_header
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.nal import START_CODE, to_annex_b
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import Track
from openstreamer.media.vp9 import Vp9Config
from openstreamer.wire.mpegts.table_writer import descriptor

VIDEO_STREAM_ID = 0xE0
AUDIO_STREAM_ID = 0xC0
PRIVATE_STREAM_ID = 0xBD

_REGISTRATION = 0x05
_LANGUAGE = 0x0A
_DVB_EXTENSION = 0x7F
_EXTENSION_OPUS = 0x80
_AV1_VIDEO = 0x80
_PRIVATE_DATA = 0x06
_OPUS_DUAL_MONO_FAMILY = 255

# Any slices may follow: primary_pic_type 7, pic_type 2
_H264_DELIMITER = START_CODE + b"\x09\xf0"
_H265_DELIMITER = START_CODE + b"\x46\x01\x50"
_EMULATED = re.compile(rb"\x00\x00(?=[\x00-\x03])")


class Carriage(NamedTuple):
    """How the frames of a track are carried. ``payload`` makes the bytes of one frame."""

    stream_type: int
    stream_id: int
    descriptors: bytes
    payload: Callable[[Frame], bytes]


def carriage_of(track: Track) -> Carriage:
    """The carriage of a track; :class:`MediaError` when MPEG-TS has none for its codec."""
    config = track.config
    language = _language(track)
    match config:
        case H264Config():
            return Carriage(0x1B, VIDEO_STREAM_ID, language, _h264)
        case H265Config():
            return Carriage(0x24, VIDEO_STREAM_ID, _registered(b"HEVC") + language, _h265)
        case Av1Config():
            announced = _registered(b"AV01") + descriptor(_AV1_VIDEO, config.av1c()[:4])
            return Carriage(_PRIVATE_DATA, PRIVATE_STREAM_ID, announced + language, _av1)
        case Vp9Config():
            raise MediaError("MPEG-TS: there is no carriage for VP9")
        case AacConfig():
            adts_header(config, 0)  # raises when ADTS cannot say it
            return Carriage(0x0F, AUDIO_STREAM_ID, language, _adts)
        case Mp3Config():
            return Carriage(0x03 if config.is_mpeg_1 else 0x04, AUDIO_STREAM_ID, language, _as_it_is)
        case Ac3Config():
            return Carriage(0x81, PRIVATE_STREAM_ID, _registered(b"AC-3") + language, _as_it_is)
        case Eac3Config():
            return Carriage(0x87, PRIVATE_STREAM_ID, _registered(b"EAC3") + language, _as_it_is)
        case OpusConfig():
            code = 0 if config.mapping_family == _OPUS_DUAL_MONO_FAMILY else config.channels
            extension = descriptor(_DVB_EXTENSION, bytes((_EXTENSION_OPUS, code)))
            return Carriage(
                _PRIVATE_DATA, PRIVATE_STREAM_ID, _registered(b"Opus") + extension + language, _opus
            )
        case _:
            assert_never(config)


def _registered(identifier: bytes) -> bytes:
    return descriptor(_REGISTRATION, identifier)


def _language(track: Track) -> bytes:
    """An ISO 639-2 code; BCP 47 tags of other forms cannot be said."""
    code = track.language
    if len(code) != 3 or not code.isascii() or not code.isalpha() or code == "und":
        return b""
    return descriptor(_LANGUAGE, code.encode() + b"\x00")


def _h264(frame: Frame) -> bytes:
    sets: tuple[bytes, ...] = ()
    if frame.key:
        config = frame.track.config
        if isinstance(config, H264Config) and not all(h264.parameter_sets_in(frame.payload)):
            sets = config.sps + config.sps_extensions + config.pps
    return _byte_stream(frame.payload, _H264_DELIMITER, sets)


def _h265(frame: Frame) -> bytes:
    sets: tuple[bytes, ...] = ()
    if frame.key:
        config = frame.track.config
        if isinstance(config, H265Config) and not all(h265.parameter_sets_in(frame.payload)):
            sets = config.vps + config.sps + config.pps
    return _byte_stream(frame.payload, _H265_DELIMITER, sets)


def _byte_stream(payload: bytes, delimiter: bytes, sets: tuple[bytes, ...]) -> bytes:
    """Every access unit begins with a delimiter, every key frame has its parameter sets (13818-1 sections
    2.14.1 and 2.17.1, TS 101 154 sections 5.5 to 5.14)."""
    stream = to_annex_b(payload)
    if stream.startswith(delimiter[:5]):
        stream = stream[max(stream.find(START_CODE, len(START_CODE)), 0) :]
    return b"".join((delimiter, *(START_CODE + nal for nal in sets), stream))


def _av1(frame: Frame) -> bytes:
    """Each OBU behind a start code, a temporal delimiter first ("Carriage of AV1 in MPEG-2 TS")."""
    obus = [b"\x12\x00", *av1.split_obus(frame.payload)]
    return b"".join(b"\x00\x00\x01" + _EMULATED.sub(b"\x00\x00\x03", obu) for obu in obus)


def _adts(frame: Frame) -> bytes:
    config = frame.track.config
    assert isinstance(config, AacConfig)
    return adts_header(config, len(frame.payload)) + frame.payload


def _opus(frame: Frame) -> bytes:
    """A control header without trims ("Opus in MPEG-TS" section 4.4), and the packet."""
    full, rest = divmod(len(frame.payload), 255)
    return b"\x7f\xe0" + b"\xff" * full + bytes((rest,)) + frame.payload


def _as_it_is(frame: Frame) -> bytes:
    return frame.payload
