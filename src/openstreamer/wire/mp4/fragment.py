"""CMAF chunks: one ``moof`` and one ``mdat`` (ISO/IEC 14496-12 section 8.8, 23000-19 section 7.3.2).

On the hot path of the server, so the headers of a fragment of n samples are one precompiled ``struct``.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from openstreamer.wire.mp4.boxes import box
from openstreamer.wire.mp4.init import TRACK_ID

# Sample flags, section 8.8.3.1: sample_depends_on 2 (on nothing) or 1, sample_is_non_sync_sample.
KEY_SAMPLE: Final = 0x0200_0000
DELTA_SAMPLE: Final = 0x0101_0000

# One segment type box opens a segment; parts but the first are chunks inside it.
SEGMENT_TYPE: Final = box(b"styp", b"msdh", bytes(4), b"msdh", b"msix", b"cmfs", b"iso6")

_HEAD = (
    "I4s"  # moof
    "I4sII"  # mfhd: version and flags, sequence_number
    "I4s"  # traf
)
_TFDT = "I4sIQ"  # version 1: 64 bits of base_media_decode_time
_TRUN = "I4sIII"  # version and flags, sample_count, data_offset
_MDAT = "I4s"
_DEFAULT_BASE_IS_MOOF = 0x02_0000
_DEFAULT_FLAGS_PRESENT = 0x00_0020
_TFDT_SIZE, _TFDT_VERSION_1 = 20, 1 << 24
_VIDEO_TFHD_SIZE, _AUDIO_TFHD_SIZE = 16, 20
# data-offset, and per sample duration and size; video adds flags and signed composition offsets (version 1).
_AUDIO_TRUN_FLAGS = 1 << 24 | 0x301
_VIDEO_TRUN_FLAGS = 1 << 24 | 0xF01


@lru_cache(maxsize=1024)
def _video_layout(samples: int) -> struct.Struct:
    return struct.Struct(">" + _HEAD + "I4sII" + _TFDT + _TRUN + "IIIi" * samples + _MDAT)


@lru_cache(maxsize=1024)
def _audio_layout(samples: int) -> struct.Struct:
    return struct.Struct(">" + _HEAD + "I4sIII" + _TFDT + _TRUN + "II" * samples + _MDAT)


def video_fragment(
    sequence_number: int,
    decode_time: int,
    table: Sequence[int],
    payloads: Sequence[bytes],
    prefix: bytes = b"",
) -> bytes:
    """A chunk of video.

    ``table`` holds duration, size, flags and composition offset of each sample, flat, in the ticks of the
    track; ``decode_time`` is the first sample's. ``prefix`` is put before the chunk (a segment type).
    """
    count = len(payloads)
    trun = 20 + 16 * count
    traf = 8 + _VIDEO_TFHD_SIZE + _TFDT_SIZE + trun
    moof = 24 + traf
    data = sum(table[1::4])
    head = _video_layout(count).pack(
        *(moof, b"moof", 16, b"mfhd", 0, sequence_number, traf, b"traf"),
        *(_VIDEO_TFHD_SIZE, b"tfhd", _DEFAULT_BASE_IS_MOOF, TRACK_ID),
        *(_TFDT_SIZE, b"tfdt", _TFDT_VERSION_1, decode_time),
        *(trun, b"trun", _VIDEO_TRUN_FLAGS, count, moof + 8),
        *table,
        *(8 + data, b"mdat"),
    )
    return b"".join((prefix, head, *payloads))


def audio_fragment(
    sequence_number: int,
    decode_time: int,
    table: Sequence[int],
    payloads: Sequence[bytes],
    prefix: bytes = b"",
) -> bytes:
    """A chunk of audio; ``table`` holds duration and size of each sample. Every sample is a sync sample."""
    count = len(payloads)
    trun = 20 + 8 * count
    traf = 8 + _AUDIO_TFHD_SIZE + _TFDT_SIZE + trun
    moof = 24 + traf
    data = sum(table[1::2])
    head = _audio_layout(count).pack(
        *(moof, b"moof", 16, b"mfhd", 0, sequence_number, traf, b"traf"),
        *(_AUDIO_TFHD_SIZE, b"tfhd", _DEFAULT_BASE_IS_MOOF | _DEFAULT_FLAGS_PRESENT, TRACK_ID, KEY_SAMPLE),
        *(_TFDT_SIZE, b"tfdt", _TFDT_VERSION_1, decode_time),
        *(trun, b"trun", _AUDIO_TRUN_FLAGS, count, moof + 8),
        *table,
        *(8 + data, b"mdat"),
    )
    return b"".join((prefix, head, *payloads))
