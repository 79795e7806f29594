"""CMAF headers: the initialisation segment of one track (ISO/IEC 23000-19 section 7.3.1)."""

import struct
from typing import Final

from openstreamer.media.track import Track
from openstreamer.wire.mp4.boxes import box, full_box
from openstreamer.wire.mp4.sample_entries import sample_entry

TRACK_ID: Final = 1  # one track per file
VIDEO_TIMESCALE_HZ: Final = 90_000

_UNITY_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_BRANDS = (b"cmfc", b"iso6", b"mp41")
_TRACK_ENABLED_IN_MOVIE = 0x3
_DATA_IN_THIS_FILE = 0x1


def timescale_of(track: Track) -> int:
    """Ticks per second of the track's file: 90 kHz for video; an audio track counts its samples."""
    return VIDEO_TIMESCALE_HZ if track.is_video else track.audio.timescale


def init_segment(track: Track) -> bytes:
    """``ftyp`` and ``moov`` of a live CMAF track; every sample is in fragments."""
    ftyp = box(b"ftyp", _BRANDS[0], bytes(4), *_BRANDS)
    timescale = timescale_of(track)
    moov = box(b"moov", _movie_header(timescale), _track(track, timescale), box(b"mvex", _track_extends()))
    return ftyp + moov


def _movie_header(timescale: int) -> bytes:
    return full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">IIIIIH10x", 0, 0, timescale, 0, 0x00010000, 0x0100),
        _UNITY_MATRIX,
        bytes(24),
        struct.pack(">I", TRACK_ID + 1),
    )


def _track(track: Track, timescale: int) -> bytes:
    media = box(b"mdia", *_media_header(track, timescale), _handler(track), _media_information(track))
    return box(b"trak", _track_header(track), media)


def _track_header(track: Track) -> bytes:
    width, height = _display_size(track)
    return full_box(
        b"tkhd",
        0,
        _TRACK_ENABLED_IN_MOVIE,
        struct.pack(">IIIII8xHHHH", 0, 0, TRACK_ID, 0, 0, 0, 0, 0 if track.is_video else 0x0100, 0),
        _UNITY_MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )


def _display_size(track: Track) -> tuple[int, int]:
    """Width and height in square pixels, as the track header states them; 0 for audio."""
    if not track.is_video:
        return 0, 0
    config = track.video
    horizontal, vertical = config.sample_aspect_ratio
    width, height = config.width, config.height
    if horizontal > 0 and vertical > 0:
        width = round(width * horizontal / vertical)
    return min(width, 0xFFFF), min(height, 0xFFFF)


def _media_header(track: Track, timescale: int) -> list[bytes]:
    """``mdhd``, and ``elng`` when the language is not a plain ISO 639-2 code (section 8.4.6)."""
    language = track.language
    plain = len(language) == 3 and language.isascii() and language.isalpha() and language.islower()
    code = language if plain else "und"
    packed = sum((ord(letter) - 0x60) << shift for letter, shift in zip(code, (10, 5, 0), strict=True))
    boxes = [full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, 0, packed, 0))]
    if not plain and language:
        boxes.append(full_box(b"elng", 0, 0, language.encode("ascii", "replace") + b"\0"))
    return boxes


def _handler(track: Track) -> bytes:
    kind, name = (b"vide", b"Video\0") if track.is_video else (b"soun", b"Audio\0")
    return full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name)


def _media_information(track: Track) -> bytes:
    header = full_box(b"vmhd", 0, 1, bytes(8)) if track.is_video else full_box(b"smhd", 0, 0, bytes(4))
    reference = full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, _DATA_IN_THIS_FILE))
    table = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), sample_entry(track.config)),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
    return box(b"minf", header, box(b"dinf", reference), table)


def _track_extends() -> bytes:
    """``trex``: defaults that every fragment overrides."""
    return full_box(b"trex", 0, 0, struct.pack(">IIIII", TRACK_ID, 1, 0, 0, 0))
