"""FLV audio and video tag bodies, which are the payload of RTMP media messages, taken apart.

Specifications: Adobe, *Video File Format* 10.1, annex E.4 (legacy), and *Enhanced RTMP* v2, sections
"Enhanced Audio" and "Enhanced Video". A body is one tag, or several when it is multitrack.
"""

import enum
from typing import NamedTuple

from openstreamer.media.errors import MediaError, SourceRejected


class FlvCodec(enum.Enum):
    """The codecs that are carried on; the value is the fourCC of Enhanced RTMP."""

    H264 = "avc1"
    H265 = "hvc1"
    AV1 = "av01"
    VP9 = "vp09"
    AAC = "mp4a"
    OPUS = "Opus"
    MP3 = ".mp3"
    AC3 = "ac-3"
    EAC3 = "ec-3"

    @property
    def four_cc(self) -> bytes:
        """The fourCC as it is on the wire."""
        return str(self.value).encode()


class TagKind(enum.Enum):
    """What a tag contains."""

    CONFIGURATION = enum.auto()
    FRAME = enum.auto()
    END = enum.auto()


class MediaTag(NamedTuple):
    """One tag of one track. A tuple, not a dataclass: one is made per frame of every stream.

    ``track_id`` is 0 unless the tag is multitrack; ``composition_ms`` is PTS minus DTS.
    """

    codec: FlvCodec
    kind: TagKind
    key: bool
    composition_ms: int
    track_id: int
    body: bytes


_H264, _H265, _AAC, _MP3 = FlvCodec.H264, FlvCodec.H265, FlvCodec.AAC, FlvCodec.MP3
_FRAME = TagKind.FRAME

_KEY_FRAME = 1
_COMMAND_FRAME = 5
_EX_VIDEO = 0x80
_EX_AUDIO = 9  # SoundFormat.ExHeader

# Legacy codec ids. 12 is no part of the specification: what encoders in China used for H.265 for years.
_LEGACY_VIDEO = {7: FlvCodec.H264, 12: FlvCodec.H265}
_LEGACY_AUDIO_MP3 = (2, 14)  # 14: at 8 kHz
_LEGACY_AUDIO_AAC = 10
_REFUSED_VIDEO = {
    2: "Sorenson H.263",
    3: "Screen video",
    4: "On2 VP6",
    5: "On2 VP6 with alpha",
    6: "Screen video 2",
    8: "H.263",
    9: "MPEG-4 part 2",
}
_REFUSED_AUDIO = {
    0: "PCM",
    1: "ADPCM",
    3: "PCM",
    4: "Nellymoser",
    5: "Nellymoser",
    6: "Nellymoser",
    7: "G.711 A-law",
    8: "G.711 µ-law",
    11: "Speex",
    15: "device-specific sound",
}
_REFUSED_FOUR_CC = {"vp08": "VP8", "vvc1": "H.266", "fLaC": "FLAC"}

_VIDEO_CODECS = {codec.four_cc: codec for codec in list(FlvCodec)[:4]}
_AUDIO_CODECS = {codec.four_cc: codec for codec in list(FlvCodec)[4:]}

# Packet types of Enhanced RTMP
_SEQUENCE_START, _CODED_FRAMES, _SEQUENCE_END, _CODED_FRAMES_X, _VIDEO_METADATA = 0, 1, 2, 3, 4
_VIDEO_TS_SEQUENCE_START = 5
_AUDIO_CHANNELS = 4
_VIDEO_MULTITRACK, _AUDIO_MULTITRACK, _MOD_EX = 6, 5, 7
_ONE_TRACK, _MANY_TRACKS_MANY_CODECS = 0, 2
_MAX_TRACKS = 32  # in one multitrack tag
_MAX_MODIFIERS = 8  # in one tag; Enhanced RTMP has one


def video_tags(payload: bytes) -> list[MediaTag]:
    """The tags in a video message; empty for commands and metadata.

    Raises:
        MediaError: the tag is truncated or malformed.
        SourceRejected: the codec is none that we carry.
    """
    if not payload:
        return []
    first = payload[0]
    if first & _EX_VIDEO:
        return _ex_video_tags(payload)
    frame_type = first >> 4
    if frame_type == _COMMAND_FRAME:
        return []
    codec = _LEGACY_VIDEO.get(first & 0x0F)
    if codec is None:
        raise _refused("video", _REFUSED_VIDEO, first & 0x0F)
    if len(payload) < 5:
        raise MediaError(f"FLV video tag: {len(payload)} bytes, at least 5 expected")
    packet_type = payload[1]
    if packet_type == 1:
        composition_ms = payload[2] << 16 | payload[3] << 8 | payload[4]
        if composition_ms & 0x800000:  # SI24
            composition_ms -= 0x1000000
        return [MediaTag(codec, _FRAME, frame_type == _KEY_FRAME, composition_ms, 0, payload[5:])]
    kind = TagKind.CONFIGURATION if packet_type == 0 else TagKind.END
    return [MediaTag(codec, kind, False, 0, 0, payload[5:])]


def audio_tags(payload: bytes) -> list[MediaTag]:
    """The tags in an audio message; empty for silence messages and channel maps. Raises as `video_tags`."""
    if not payload:
        return []
    sound_format = payload[0] >> 4
    if sound_format == _LEGACY_AUDIO_AAC:
        if len(payload) < 2:
            raise MediaError("FLV audio tag: the AAC packet type is missing")
        kind = TagKind.CONFIGURATION if payload[1] == 0 else _FRAME
        return [MediaTag(_AAC, kind, False, 0, 0, payload[2:])]
    if sound_format == _EX_AUDIO:
        return _ex_audio_tags(payload)
    if sound_format in _LEGACY_AUDIO_MP3:
        return [MediaTag(_MP3, _FRAME, False, 0, 0, payload[1:])]
    raise _refused("audio", _REFUSED_AUDIO, sound_format)


def _ex_video_tags(payload: bytes) -> list[MediaTag]:
    packet_type, position = _skip_modifiers(payload, payload[0] & 0x0F)
    frame_type = payload[0] >> 4 & 0x07
    if packet_type != _VIDEO_METADATA and frame_type == _COMMAND_FRAME:
        return []
    multitrack = packet_type == _VIDEO_MULTITRACK
    packet_type, parts = _parts(payload, position, packet_type, multitrack)
    if packet_type == _VIDEO_METADATA:
        return []  # HDR metadata: the bit stream has what decoders need
    key = frame_type == _KEY_FRAME
    return [_ex_video_tag(packet_type, key, track_id, four_cc, body) for track_id, four_cc, body in parts]


def _ex_video_tag(packet_type: int, key: bool, track_id: int, four_cc: bytes, body: bytes) -> MediaTag:
    codec = _VIDEO_CODECS.get(four_cc)
    if codec is None:
        raise _refused_four_cc("video", four_cc)
    if packet_type == _CODED_FRAMES and codec in (_H264, _H265):
        if len(body) < 3:
            raise MediaError("FLV video tag: the composition time is missing")
        composition_ms = int.from_bytes(body[:3], "big", signed=True)
        return MediaTag(codec, _FRAME, key, composition_ms, track_id, body[3:])
    if packet_type in (_CODED_FRAMES, _CODED_FRAMES_X):
        return MediaTag(codec, _FRAME, key, 0, track_id, body)
    if packet_type == _SEQUENCE_START:
        return MediaTag(codec, TagKind.CONFIGURATION, False, 0, track_id, body)
    if packet_type == _SEQUENCE_END:
        return MediaTag(codec, TagKind.END, False, 0, track_id, body)
    if packet_type == _VIDEO_TS_SEQUENCE_START:
        raise SourceRejected("RTMP video: AV1 in the MPEG-2 TS format is not supported")
    raise MediaError(f"FLV video tag: packet type {packet_type} is unknown")


def _ex_audio_tags(payload: bytes) -> list[MediaTag]:
    packet_type, position = _skip_modifiers(payload, payload[0] & 0x0F)
    multitrack = packet_type == _AUDIO_MULTITRACK
    packet_type, parts = _parts(payload, position, packet_type, multitrack)
    if packet_type == _AUDIO_CHANNELS:
        return []  # the decoder configuration says the same
    return [_ex_audio_tag(packet_type, track_id, four_cc, body) for track_id, four_cc, body in parts]


def _ex_audio_tag(packet_type: int, track_id: int, four_cc: bytes, body: bytes) -> MediaTag:
    codec = _AUDIO_CODECS.get(four_cc)
    if codec is None:
        raise _refused_four_cc("audio", four_cc)
    if packet_type == _CODED_FRAMES:
        return MediaTag(codec, _FRAME, False, 0, track_id, body)
    if packet_type == _SEQUENCE_START:
        return MediaTag(codec, TagKind.CONFIGURATION, False, 0, track_id, body)
    if packet_type == _SEQUENCE_END:
        return MediaTag(codec, TagKind.END, False, 0, track_id, body)
    raise MediaError(f"FLV audio tag: packet type {packet_type} is unknown")


def _skip_modifiers(payload: bytes, packet_type: int) -> tuple[int, int]:
    """Skip ModEx data. Returns the packet type behind it, and where its header goes on.

    The only modifier there is adds nanoseconds to the time, fewer than one 90 kHz tick can tell apart from
    what reconstruction of the frame grid finds anyway.
    """
    position = 1
    for _ in range(_MAX_MODIFIERS):
        if packet_type != _MOD_EX:
            return packet_type, position
        size, position = _uint(payload, position, 1)
        if size == 0xFF:
            size, position = _uint(payload, position, 2)
        types, position = _uint(payload, position + size + 1, 1)
        packet_type = types & 0x0F
    raise MediaError(f"FLV tag: more than {_MAX_MODIFIERS} modifiers")


def _parts(
    payload: bytes, position: int, packet_type: int, multitrack: bool
) -> tuple[int, list[tuple[int, bytes, bytes]]]:
    """The packet type, and track id, fourCC and body of every track in the tag."""
    if not multitrack:
        four_cc = payload[position : position + 4]
        if len(four_cc) < 4:
            raise MediaError("FLV tag: the fourCC is missing")
        return packet_type, [(0, four_cc, payload[position + 4 :])]
    types, position = _uint(payload, position, 1)
    many, packet_type = types >> 4, types & 0x0F
    four_cc = b""
    if many != _MANY_TRACKS_MANY_CODECS:
        four_cc, position = payload[position : position + 4], position + 4
    parts: list[tuple[int, bytes, bytes]] = []
    while position < len(payload) and len(parts) < _MAX_TRACKS:
        if many == _MANY_TRACKS_MANY_CODECS:
            four_cc, position = payload[position : position + 4], position + 4
        track_id, position = _uint(payload, position, 1)
        size = len(payload) - position
        if many != _ONE_TRACK:
            size, position = _uint(payload, position, 3)
        if position + size > len(payload):
            raise MediaError(f"FLV multitrack tag: track {track_id} is truncated")
        parts.append((track_id, four_cc, payload[position : position + size]))
        position += size
    return packet_type, parts


def _uint(payload: bytes, position: int, width_bytes: int) -> tuple[int, int]:
    end = position + width_bytes
    if end > len(payload):
        raise MediaError(f"FLV tag: truncated, {end} bytes expected")
    return int.from_bytes(payload[position:end], "big"), end


def _refused(what: str, names: dict[int, str], codec_id: int) -> SourceRejected:
    name = names.get(codec_id, f"codec {codec_id}")
    return SourceRejected(f"RTMP {what}: {name} is not supported")


def _refused_four_cc(what: str, four_cc: bytes) -> SourceRejected:
    text = four_cc.decode("ascii", "backslashreplace")
    return SourceRejected(f"RTMP {what}: {_REFUSED_FOUR_CC.get(text, f'codec {text!r}')} is not supported")
