"""The plain GET: what nearly every request of a player is, recognised without the general parser.

A request is plain when its head arrived whole and alone, and has nothing in it that changes how it is read
or answered. It is recognised by a grammar that is narrower than RFC 9112's in every respect, so that what
passes means the same to the general parser; whatever does not pass takes the general way, and is refused
there if it must be.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from openstreamer.listen.http.asgi import Buffer, Header
from openstreamer.listen.http.limits import HttpLimits

_MOST_HEAD_BYTES = 4096
_MOST_FIELDS = 32
_REQUEST_LINE = re.compile(rb"GET (/[A-Za-z0-9._~/-]+)(?:\?([A-Za-z0-9._~=&-]+))? HTTP/1\.1\r\n")
_FIELD_LINES = re.compile(rb"(?:[A-Za-z0-9-]+: [!-~](?:[ -~]*[!-~])?\r\n)+\r\n")
_GZIP_REFUSED = re.compile(rb"gzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")
_UNUSUAL = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"range", b"if-range")
)


class PlainGet(NamedTuple):
    """A request that is answered by its path, its query and these fields. An answer with a body of more
    than ``most_bytes`` is for the general way, which writes it in pieces."""

    path: str
    query: bytes
    headers: list[Header]
    gzip: bool
    most_bytes: int


PlainAnswer: TypeAlias = tuple[
    int, Sequence[Header], Sequence[Buffer], int
]  # status, headers, body, its bytes
PlainApp: TypeAlias = Callable[[PlainGet], PlainAnswer | None]


class PlainReader:
    """Reads the plain requests of one connection; a client repeats its header fields in each.

    Args:
        limits: of the listener; a head above them is not plain.
    """

    __slots__ = ("_fields", "_gzip", "_headers", "_most_fields", "_most_head_bytes")

    def __init__(self, limits: HttpLimits) -> None:
        self._most_head_bytes = min(_MOST_HEAD_BYTES, limits.max_header_bytes)
        self._most_fields = min(_MOST_FIELDS, limits.max_header_fields)
        self._fields = b""  # as received last
        self._headers: list[Header] | None = None  # of them, or None if they are unusual
        self._gzip = False

    def read(self, data: bytes, most_bytes: int) -> PlainGet | None:
        """``data`` as a plain request that can be answered with ``most_bytes``, or None."""
        line = _REQUEST_LINE.match(data)
        if line is None or len(data) > self._most_head_bytes:
            return None
        fields = data[line.end() :]
        if fields != self._fields:
            self._fields = fields
            self._headers = self._plain_headers(fields)
        if self._headers is None:
            return None
        path, query = line.groups(b"")
        return PlainGet(path.decode("ascii"), query, self._headers, self._gzip, most_bytes)

    def _plain_headers(self, fields: bytes) -> list[Header] | None:
        """The header fields of a head behind its first line, or None if they are not plain."""
        if _FIELD_LINES.fullmatch(fields) is None:
            return None
        split = (line.partition(b": ") for line in fields[:-4].split(b"\r\n"))
        headers = [(name.lower(), value) for name, _, value in split]
        by_name = dict(headers)
        if not len(by_name) == len(headers) <= self._most_fields:
            return None
        if b"host" not in by_name or not _UNUSUAL.isdisjoint(by_name):
            return None
        if by_name.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        self._gzip = accepts_gzip(by_name.get(b"accept-encoding", b""))
        return headers


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether ``Accept-Encoding`` allows gzip (RFC 9110 12.5.3)."""
    return b"gzip" in accept_encoding and _GZIP_REFUSED.search(accept_encoding) is None
