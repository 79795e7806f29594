"""The server role of HTTP/2. The first byte says whether preface and settings are given, and the pieces."""

from collections.abc import Iterator

from fuzz.target import FuzzTarget, pieces_of
from openstreamer.wire.hpack import encode_response
from openstreamer.wire.http2 import Http2Limits, Http2Server
from openstreamer.wire.http2_frames import DataReceived, RequestReceived, frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
LIMITS = Http2Limits(
    max_concurrent_streams=4, max_header_block_bytes=2000, max_header_list_bytes=4000, control_frames=50
)
GET = bytes.fromhex("828684410f7777772e6578616d706c652e636f6d")  # RFC 7541 C.3.1
LARGEST_FRAME_BYTES = 16_384 + 9


def run(data: bytes) -> None:
    first = data[0] if data else 0
    stream = (b"" if first & 1 else PREFACE) + data[1:]
    whole = _events([stream], answer=False)
    assert whole == _events(list(pieces_of(stream, first >> 1)), answer=False)
    _events(list(pieces_of(stream, 200)), answer=True)


def _events(pieces: list[bytes], *, answer: bool) -> list[str]:
    server = Http2Server(LIMITS)
    events: list[str] = []
    for piece in pieces:
        happened = server.receive_data(piece)
        events += map(repr, happened)
        assert server.open_streams <= LIMITS.max_concurrent_streams
        assert len(server._buffer) < LARGEST_FRAME_BYTES
        if answer:
            _answer(server, happened)
        server.data_to_send()
    return events


def _answer(server: Http2Server, happened: list[object]) -> None:
    for event in happened:
        if isinstance(event, RequestReceived):
            server.send_headers(event.stream_id, 200, [(b"server", b"x")], end_stream=False)
            size = min(1000, server.sendable(event.stream_id))
            server.send_data(event.stream_id, bytes(size), end_stream=True)
        elif isinstance(event, DataReceived):
            server.credit(event.stream_id, len(event.data))


def seeds() -> Iterator[bytes]:
    yield b"\x0e" + frame(1, 0x05, 1, GET) + frame(8, 0, 0, b"\0\0\x10\0") + frame(6, 0, 0, bytes(8))
    post = GET.replace(b"\x82", b"\x83", 1)
    yield (
        b"\xfe"
        + frame(1, 0x04, 1, post)
        + frame(0, 0, 1, b"body")
        + frame(0, 1, 1, b"")
        + frame(3, 0, 1, bytes(4))
    )
    yield b"\x06" + frame(4, 0, 0, b"\0\x04\0\0\xff\xff") + frame(1, 0, 1, GET[:5]) + frame(9, 4, 1, GET[5:])
    yield b"\x11" + PREFACE + frame(1, 0x2D, 3, b"\x01\0\0\0\0\x10" + GET + b"\0") + frame(7, 0, 0, bytes(8))
    yield b"\x10" + frame(1, 5, 1, encode_response(200, [(b"a", b"b")]))


TARGET = FuzzTarget("http2", run, (), seeds)
