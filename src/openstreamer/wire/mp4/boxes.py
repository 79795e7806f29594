"""Boxes and full boxes (ISO/IEC 14496-12 section 4.2)."""

import struct

_BOX = struct.Struct(">I4s")
_FULL_BOX = struct.Struct(">I4sI")


def box(kind: bytes, *content: bytes) -> bytes:
    """A box of the four-character type ``kind``."""
    body = b"".join(content)
    return _BOX.pack(8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    """A box that begins with a version and 24 bits of flags."""
    body = b"".join(content)
    return _FULL_BOX.pack(12 + len(body), kind, version << 24 | flags) + body
