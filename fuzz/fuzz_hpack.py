"""HPACK: the blocks of one connection, as records. What decodes has no control characters and is bounded."""

from collections.abc import Iterator

from fuzz.target import FuzzTarget, record, records_of
from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.hpack import HpackDecoder, encode_response
from openstreamer.wire.http2_request import are_trailers, request_head

MAX_LIST_BYTES = 4096


def run(data: bytes) -> None:
    decoder = HpackDecoder(MAX_LIST_BYTES)
    for _, block in records_of(data):
        fields = decoder.decode(block)
        assert sum(len(name) + len(value) + 32 for name, value in fields) <= MAX_LIST_BYTES
        for name, value in fields:
            assert name
            assert not any(byte in b"\r\n\0" for byte in name + value)
        head = request_head(fields)
        if head is not None:
            assert head.target.isascii()
            assert all(not name.startswith(b":") for name, _ in head.headers)
        are_trailers(fields)


def seeds() -> Iterator[bytes]:
    requests = (  # RFC 7541 C.4: Huffman, and the dynamic table over three requests
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    )
    yield b"".join(record(0, bytes.fromhex(text)) for text in requests)
    yield record(
        0, b"\x3f\xe1\x1f" + encode_response(404, [(b"content-type", b"text/plain"), (b"x", b"y" * 50)])
    )
    yield record(0, bytes.fromhex("100870617373776f726406736563726574"))


TARGET = FuzzTarget("hpack", run, (RemoteProtocolError,), seeds)
