"""HTTP/1.1 requests over one connection to an application that reads every body. The first byte says how the
bytes are split; as long as they are HTTP, the application sees the same requests however they come."""

from collections.abc import Iterator, Sequence
from typing import Any

from fuzz.http_peer import MOST_PIPELINED, converse
from fuzz.target import FuzzTarget, pieces_of
from openstreamer.listen.http.asgi import respond
from openstreamer.listen.http.exchange import ClientDisconnectedError
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.listen.http.plain import PlainAnswer, PlainGet, PlainReader

LIMITS = HttpLimits(max_header_bytes=1024, max_header_fields=16, max_pipelined=MOST_PIPELINED - 1)

Seen = list[tuple[str, str, bytes, list[tuple[bytes, bytes]], bytes]]


def run(data: bytes) -> None:
    split, stream = data[:1] or b"\0", data[1:]
    first, whole_is_http = _requests([stream], plain=False)
    for plain in (False, True):  # with and without the short way of plain requests
        again, split_is_http = _requests(list(pieces_of(stream, split[0])), plain=plain)
        if whole_is_http and split_is_http:
            assert first == again
    request = PlainReader(LIMITS).read(stream, len(stream))
    if request is not None:  # means the same to whoever does not know plain requests
        assert whole_is_http
        assert first == [("GET", request.path, request.query, request.headers, b"")]


class _General:
    """An application that remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: Seen = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        _check(scope)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        self.seen.append((scope["method"], scope["path"], scope["query_string"], scope["headers"], body))
        try:
            await respond(scope, send, 200, [(b"content-type", b"text/plain")], (body,))
        except ClientDisconnectedError:
            return


class _Plain(_General):
    """The same, which answers plain requests at once."""

    def answer(self, request: PlainGet) -> PlainAnswer:
        self.seen.append(("GET", request.path, request.query, request.headers, b""))
        return 200, ((b"content-type", b"text/plain"),), (), 0


def _requests(pieces: Sequence[bytes], *, plain: bool) -> tuple[Seen, bool]:
    """The requests whose bodies came to their ends, and whether all of it was HTTP."""
    app = _Plain() if plain else _General()
    statistics, answers = converse(app, LIMITS, pieces)
    assert not answers or answers.startswith(b"HTTP/1.1 ")
    assert len(app.seen) <= statistics.requests
    return app.seen, statistics.protocol_errors == 0


def _check(scope: dict[str, Any]) -> None:
    """What an application may rely on."""
    headers = scope["headers"]
    assert len(headers) <= LIMITS.max_header_fields
    assert sum(len(name) + len(value) for name, value in headers) <= LIMITS.max_header_bytes + 4096
    for name, value in headers:
        assert name
        assert name == name.lower()
        assert not any(byte in b"\r\n\0" for byte in name + value)
    assert scope["path"].startswith("/") or scope["path"] == "*"
    assert scope["raw_path"].isascii()
    assert not any(byte in b"\r\n\0 " for byte in scope["raw_path"] + scope["query_string"])
    hosts = [value for name, value in headers if name == b"host"]
    assert len(hosts) == 1 or scope["http_version"] == "1.0"


def seeds() -> Iterator[bytes]:
    yield b"\x07GET /a%2fb?x=1 HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
    yield (
        b"\x01POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
        b"OPTIONS * HTTP/1.1\r\nhost:h\r\n\r\n"
    )
    yield (
        b"\x10PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\nGET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    yield b"\x05POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    yield (
        b"\x30POST /p HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: h\r\n\r\n"
    )
    yield (
        b"\x00GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    yield b"\x28GET /a HTTP/1.1\r\nHost: h\r\nX: GET /b HTTP/1.1\r\nHost: h\r\n\r\n"
    yield b"\x02GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"


TARGET = FuzzTarget("http1", run, (), seeds)
