"""The table of tracks as bytes, for wire/pipe.

::

    u8 count, then for each track:
    u16 id | u8 length, codec name | u8 length, language | u32 length, decoder configuration

The decoder configuration is the record that MP4 uses for the codec: avcC, hvcC, av1C, dac3,
AudioSpecificConfig, OpusHead. What a record lacks comes before it: u16 width and u16 height before vpcC, u32
sample rate before dec3. MPEG audio has no record: u32 sample rate, u8 channels, u8 layer.
"""

import dataclasses
import struct
from collections.abc import Callable
from typing import assert_never

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

_VP9_SIZE = struct.Struct(">HH")
_RATE = struct.Struct(">I")
_MPEG_AUDIO = struct.Struct(">IBB")


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
        case Vp9Config():
            return _VP9_SIZE.pack(config.width, config.height) + config.vpcc()
        case Mp3Config():
            return _MPEG_AUDIO.pack(config.sample_rate, config.channels, config.layer)
        case Ac3Config():
            return config.dac3()
        case Eac3Config():
            return _RATE.pack(config.sample_rate) + config.dec3()
        case _:
            assert_never(config)


def _parse_config(codec: str, record: bytes) -> CodecConfig:
    parse = _PARSERS.get(codec)
    if parse is None:
        raise MediaError(f"unknown codec {codec!r}")
    return parse(record)


def _parse_vp9(record: bytes) -> Vp9Config:
    cursor = _Cursor(record)
    width, height = _VP9_SIZE.unpack(cursor.take(_VP9_SIZE.size))
    return Vp9Config.from_vpcc(cursor.rest(), width, height)


def _parse_eac3(record: bytes) -> Eac3Config:
    cursor = _Cursor(record)
    sample_rate = _RATE.unpack(cursor.take(_RATE.size))[0]
    return dataclasses.replace(Eac3Config.from_dec3(cursor.rest()), sample_rate=sample_rate)


def _parse_mpeg_audio(record: bytes) -> Mp3Config:
    cursor = _Cursor(record)
    sample_rate, channels, layer = _MPEG_AUDIO.unpack(cursor.take(_MPEG_AUDIO.size))
    cursor.expect_end()
    return Mp3Config(sample_rate, channels, layer)


_PARSERS: dict[str, Callable[[bytes], CodecConfig]] = {
    H264Config.codec: H264Config.from_avcc,
    H265Config.codec: H265Config.from_hvcc,
    Av1Config.codec: Av1Config.from_av1c,
    Vp9Config.codec: _parse_vp9,
    AacConfig.codec: AacConfig,
    OpusConfig.codec: OpusConfig.from_opus_head,
    Mp3Config.codec: _parse_mpeg_audio,
    Ac3Config.codec: Ac3Config.from_dac3,
    Eac3Config.codec: _parse_eac3,
}


class _Cursor:
    """Takes bytes off the front; running past the end is a :class:`MediaError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise MediaError("the table or a record in it is truncated")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def take_text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as err:
            raise MediaError("a name is not UTF-8") from err

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise MediaError("bytes follow the table or a record in it")
