"""The table of tracks as bytes, for wire/pipe.

::

    u8 count, then for each track:
    u16 id | u8 length, codec name | u8 length, language | u32 length, decoder configuration

The decoder configuration is the record that MP4 uses for the codec (avcC, hvcC, av1C, AudioSpecificConfig,
OpusHead). A codec whose MP4 record does not hold all that its configuration holds goes as a JSON object of
the configuration's fields, all of them numbers or strings.
"""

import dataclasses
import json
import struct
from typing import Any, assert_never

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import LocalProtocolError, MediaError
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import CodecConfig, Track
from openstreamer.media.vp9 import Vp9Config

MAX_TRACKS = 64

_ID = struct.Struct(">H")
_LENGTH = struct.Struct(">I")

_FieldConfig = Vp9Config | Mp3Config | Ac3Config | Eac3Config


def serialise_tracks(tracks: tuple[Track, ...]) -> bytes:
    """The table as bytes; raises :class:`LocalProtocolError` when it cannot be written."""
    if len(tracks) > MAX_TRACKS:
        raise LocalProtocolError(f"{len(tracks)} tracks exceed {MAX_TRACKS}")
    return bytes([len(tracks)]) + b"".join(_serialise_track(track) for track in tracks)


def parse_tracks(data: bytes) -> tuple[Track, ...]:
    """The table from its bytes; raises :class:`MediaError`."""
    cursor = _Cursor(data)
    count = cursor.take(1)[0]
    if count > MAX_TRACKS:
        raise MediaError(f"{count} tracks exceed {MAX_TRACKS}")
    tracks = tuple(_parse_track(cursor) for _ in range(count))
    cursor.expect_end()
    if len({track.id for track in tracks}) != count:
        raise MediaError("two tracks have the same id")
    return tracks


def _serialise_track(track: Track) -> bytes:
    if not 0 <= track.id <= 0xFFFF:
        raise LocalProtocolError(f"track id {track.id} does not fit into 16 bits")
    language = track.language.encode()
    if len(language) > 255:
        raise LocalProtocolError("a language tag longer than 255 bytes")
    record = _serialise_config(track.config)
    codec = track.codec.encode()
    return b"".join(
        (
            _ID.pack(track.id),
            bytes([len(codec)]) + codec,
            bytes([len(language)]) + language,
            _LENGTH.pack(len(record)) + record,
        )
    )


def _parse_track(cursor: "_Cursor") -> Track:
    track_id = _ID.unpack(cursor.take(2))[0]
    codec = cursor.take_text(cursor.take(1)[0])
    language = cursor.take_text(cursor.take(1)[0])
    record = cursor.take(_LENGTH.unpack(cursor.take(4))[0])
    return Track(track_id, _parse_config(codec, record), language)


def _serialise_config(config: CodecConfig) -> bytes:
    match config:
        case H264Config():
            return config.avcc()
        case H265Config():
            return config.hvcc()
        case Av1Config():
            return config.av1c()
        case AacConfig():
            return config.audio_specific_config
        case OpusConfig():
            return config.opus_head()
        case Vp9Config() | Mp3Config() | Ac3Config() | Eac3Config():
            return json.dumps(dataclasses.asdict(config)).encode()
        case _:
            assert_never(config)


def _parse_config(codec: str, record: bytes) -> CodecConfig:
    match codec:
        case "h264":
            return H264Config.from_avcc(record)
        case "h265":
            return H265Config.from_hvcc(record)
        case "av1":
            return Av1Config.from_av1c(record)
        case "aac":
            return AacConfig(record)
        case "opus":
            return OpusConfig.from_opus_head(record)
    for kind in (Vp9Config, Mp3Config, Ac3Config, Eac3Config):
        if kind.codec == codec:
            return _parse_fields(kind, record)
    raise MediaError(f"unknown codec {codec!r}")


def _parse_fields(kind: type[_FieldConfig], record: bytes) -> CodecConfig:
    try:
        values: Any = json.loads(record)
        config = kind(**values)
    except (ValueError, TypeError, RecursionError) as err:
        raise MediaError(f"not a configuration of {kind.codec}") from err
    _check_types(config)
    return config


def _check_types(config: _FieldConfig) -> None:
    """A dataclass takes any value; what came over the wire must be of the types it declares."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is None or not isinstance(value, bool | int | str):
            raise MediaError(f"{config.codec}: field {field.name} is not a number or a string")


class _Cursor:
    """Takes bytes off the front; running past the end is a :class:`MediaError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise MediaError("the table of tracks is truncated")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def take_text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as err:
            raise MediaError("a name is not UTF-8") from err

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise MediaError("bytes follow the table of tracks")
