"""HTTP/1.1 responses as a pulling source reads them: the same answer however its bytes are cut, and bounded.

The first byte says how the bytes are split. What a body is, is sniffed as well.
"""

import contextlib
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import SourceError, SourceRejected
from openstreamer.sources.http_connection import MAX_HEAD_BYTES, HttpConnection
from openstreamer.sources.sniff import sniff

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


class Link:
    """The transport, as far as the connection uses it."""

    def __init__(self) -> None:
        self.cut = False

    def write(self, data: bytes) -> None:
        assert data == REQUEST

    def is_closing(self) -> bool:
        return self.cut

    def abort(self) -> None:
        self.cut = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What the source sees of a response."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: bool


def run(data: bytes) -> None:
    split, stream = data[:1] or b"\0", data[1:]
    whole = read([stream])
    again = read(pieces_of(stream, split[0]))
    if whole is not None and again is not None:
        assert whole == again
    if whole is not None:
        assert sum(len(name) + len(value) for name, value in whole.headers.items()) <= MAX_HEAD_BYTES
        with contextlib.suppress(SourceRejected):
            sniff(whole.body, whole.headers.get("content-type", ""), at_end=True)


def read(pieces: Iterable[bytes]) -> Answer | None:
    """The answer, ``None`` when it is none."""
    with socket.socket() as unconnected:  # it is not spoken over
        connection, link = HttpConnection("http: fuzz", unconnected), Link()
    wire: Any = link
    connection.connection_made(wire)
    connection.send_request(REQUEST)
    for piece in pieces:
        if not link.cut:
            connection.data_received(piece)
    if not link.cut:
        connection.eof_received()
    connection.connection_lost(None)
    return asyncio_free(body_of(connection))


async def body_of(connection: HttpConnection) -> Answer | None:
    """Never waits: the connection is over."""
    try:
        await connection.head()
        parts = []
        while piece := await connection.piece(1.0):
            parts.append(piece)
    except SourceError:
        return None
    connection.finish()
    return Answer(connection.status, connection.headers, b"".join(parts), connection.ended)


def asyncio_free(coroutine: Any) -> Answer | None:
    """Run a coroutine that has nothing to wait for, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        answer: Answer | None = done.value
        return answer
    raise AssertionError("it waits although the connection is over")


def seeds() -> Iterator[bytes]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n"
    yield b"\x07" + head + b"Content-Length: 9\r\n\r\nFLV\x01\x05\0\0\0\x09"
    yield b"\x03" + head + b"Transfer-Encoding: chunked\r\n\r\n4;x=1\r\n#EXT\r\n3\r\nM3U\r\n0\r\nT: x\r\n\r\n"
    yield b"\x01HTTP/1.1 103 Hints\r\nLink: a\r\n\r\nHTTP/1.0 200 OK\r\nX: 1\r\nX: 2\r\n\r\n\0\0\0\x18ftyp"
    yield b"\x10HTTP/1.1 302 Found\r\nLocation: http://h/\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"


TARGET = FuzzTarget("http_response", run, (), seeds)
