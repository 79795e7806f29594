"""Byte ranges over a body that is held in chunks (RFC 9110 section 14)."""

import re
from collections.abc import Sequence

from openstreamer.listen.http.asgi import Buffer

_SINGLE_RANGE = re.compile(rb"bytes=(\d{0,15})-(\d{0,15})")


class UnsatisfiableRangeError(Exception):
    """The range lies behind the end of the body (416)."""


def byte_range(header: bytes, length: int) -> tuple[int, int] | None:
    """The half-open range that ``Range: header`` selects of ``length`` bytes.

    None for what may be ignored (14.2): another unit, several ranges, nonsense.

    Raises:
        UnsatisfiableRangeError: nothing of the body is in the range.
    """
    match = _SINGLE_RANGE.fullmatch(header.strip())
    if match is None or match[0] == b"bytes=-":
        return None
    first, last = match.groups()
    if not first:  # the last n bytes
        start, end = max(0, length - int(last)), length
    else:
        start = int(first)
        end = min(length, int(last) + 1) if last else length
        if last and int(last) < start:
            return None
    if start >= end:
        raise UnsatisfiableRangeError
    return start, end


def cut(chunks: Sequence[Buffer], start: int, end: int) -> list[Buffer]:
    """The bytes ``start`` to ``end`` of ``chunks``, without copying."""
    selected: list[Buffer] = []
    offset = 0
    for chunk in chunks:
        chunk_end = offset + len(chunk)
        if chunk_end > start and offset < end:
            first, last = max(0, start - offset), min(len(chunk), end - offset)
            selected.append(chunk if last - first == len(chunk) else memoryview(chunk)[first:last])
        offset = chunk_end
    return selected
