"""FLV for tests: what a file has around the tags."""

from collections.abc import Iterable

from openstreamer.media.frame import Frame
from openstreamer.wire.flv import FlvTag
from tests.support.rtmp_publisher import tags_of

FLV_HEAD = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"


def flv_of(frames: Iterable[Frame]) -> bytes:
    """A whole file."""
    return FLV_HEAD + b"".join(framed(tag) for tag in tags_of(frames))


def framed(tag: FlvTag, *, add_ms: int = 0) -> bytes:
    """One tag with its header and its size, moved by ``add_ms``."""
    size, time_ms = len(tag.payload), tag.timestamp_ms + add_ms
    head = bytes([9 if tag.is_video else 8]) + size.to_bytes(3, "big")
    head += (time_ms & 0xFFFFFF).to_bytes(3, "big") + bytes([time_ms >> 24]) + bytes(3)
    return head + tag.payload + (size + 11).to_bytes(4, "big")
