"""Boxes on the way in (ISO/IEC 14496-12 section 4.2): found, measured and bounded, never recursed into.

Readers ask for the boxes they know by path, so that the depth of nesting is theirs and not the file's.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from openstreamer.media.errors import RemoteProtocolError

MAX_SIBLINGS = (
    16_384  # boxes in one box; an empty one has eight bytes, and each costs a hundred and a microsecond
)
BOX_HEADER_BYTES = 8
LARGE_BOX_HEADER_BYTES = 16

_HEADER = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")
_TO_THE_END, _LARGE = 0, 1


class Box(NamedTuple):
    """Where the content of a box lies in the data it was found in."""

    kind: bytes
    start: int
    end: int

    @property
    def name(self) -> str:
        """The type, fit to be printed."""
        return printable(self.kind)


class BoxHeader(NamedTuple):
    """The header of a box; ``size`` is of the whole box, ``None`` when it reaches to the end of the file."""

    kind: bytes
    header_bytes: int
    size: int | None


def printable(kind: bytes) -> str:
    """A four-character code as text."""
    return kind.decode("ascii", "backslashreplace")


def parse_box_header(data: bytes | bytearray, at: int) -> BoxHeader | None:
    """The header that begins at ``at``; ``None`` when more bytes are needed.

    Raises:
        RemoteProtocolError: the size is smaller than the header.
    """
    if len(data) - at < BOX_HEADER_BYTES:
        return None
    size, kind = _HEADER.unpack_from(data, at)
    if size == _TO_THE_END:
        return BoxHeader(kind, BOX_HEADER_BYTES, None)
    if size != _LARGE:
        if size < BOX_HEADER_BYTES:
            raise RemoteProtocolError(f"MP4: a box {printable(kind)!r} of {size} bytes")
        return BoxHeader(kind, BOX_HEADER_BYTES, size)
    if len(data) - at < LARGE_BOX_HEADER_BYTES:
        return None
    (size,) = _LARGE_SIZE.unpack_from(data, at + BOX_HEADER_BYTES)
    if size < LARGE_BOX_HEADER_BYTES:
        raise RemoteProtocolError(f"MP4: a box {printable(kind)!r} of {size} bytes")
    return BoxHeader(kind, LARGE_BOX_HEADER_BYTES, size)


def children(data: bytes, start: int, end: int, parent: str) -> Iterator[Box]:
    """The boxes that fill ``data`` from ``start`` to ``end``.

    Fewer than eight bytes at the end are no box: QuickTime terminates some lists with four zero bytes.

    Raises:
        RemoteProtocolError: a box is larger than what is left of ``parent``, or there are too many.
    """
    count = 0
    while end - start >= BOX_HEADER_BYTES:
        count += 1
        if count > MAX_SIBLINGS:
            raise RemoteProtocolError(f"MP4: {parent}: more than {MAX_SIBLINGS} boxes")
        header = parse_box_header(data, start)
        if header is None:
            raise RemoteProtocolError(f"MP4: {parent}: the header of a box is cut off")
        size = end - start if header.size is None else header.size
        if size > end - start or header.header_bytes > size:
            excess = size - (end - start)
            raise RemoteProtocolError(
                f"MP4: {parent}: the box {printable(header.kind)!r} is {excess} bytes too long"
            )
        yield Box(header.kind, start + header.header_bytes, start + size)
        start += size


def find(data: bytes, box: Box, *path: bytes) -> Box | None:
    """The first box at ``path`` below ``box``."""
    found: Box | None = box
    for kind in path:
        if found is None:
            return None
        inside = children(data, found.start, found.end, found.name)
        found = next((child for child in inside if child.kind == kind), None)
    return found


class Fields:
    """Reads the fields of one box in order; reading beyond its end raises RemoteProtocolError."""

    __slots__ = ("_box", "_data", "at")

    def __init__(self, data: bytes, box: Box) -> None:
        self._data = data
        self._box = box
        self.at = box.start

    @property
    def remaining_bytes(self) -> int:
        """How many bytes of the box are left."""
        return self._box.end - self.at

    def u(self, size_bytes: int) -> int:
        """The next unsigned number."""
        return int.from_bytes(self.take(size_bytes), "big")

    def s(self, size_bytes: int) -> int:
        """The next signed number."""
        return int.from_bytes(self.take(size_bytes), "big", signed=True)

    def skip(self, size_bytes: int) -> None:
        """Pass over bytes, which must exist."""
        self.take(size_bytes)

    def take(self, size_bytes: int) -> bytes:
        """The next bytes."""
        end = self.at + size_bytes
        if end > self._box.end:
            raise RemoteProtocolError(f"MP4: the box {self._box.name!r} is too short")
        piece = self._data[self.at : end]
        self.at = end
        return piece

    def version_and_flags(self) -> tuple[int, int]:
        """What a full box begins with (section 4.2.2)."""
        word = self.u(4)
        return word >> 24, word & 0xFFFFFF
