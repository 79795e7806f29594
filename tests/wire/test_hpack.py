"""HPACK against the examples of RFC 7541 and an independent implementation."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.hpack import (
    ENCODER_TABLE_ZERO,
    HeaderListTooLargeError,
    HpackDecoder,
    MalformedFieldError,
    encode_response,
)

NAMES = st.from_regex(rb"[a-z0-9\-]{1,20}", fullmatch=True)
VALUES = st.binary(max_size=80).filter(
    lambda v: v.strip(b" \t") == v and not any(c in v for c in (b"\r", b"\n", b"\0"))
)
Fields = list[tuple[bytes, bytes]]
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=12)


def test_requests_of_rfc_7541_appendix_c_4() -> None:
    """Three requests on one connection, with Huffman codes and a growing dynamic table."""
    decoder = HpackDecoder(65_536)
    first = decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"))
    assert first == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"www.example.com"),
    ]
    second = decoder.decode(bytes.fromhex("828684be5886a8eb10649cbf"))
    assert second[-2:] == [(b":authority", b"www.example.com"), (b"cache-control", b"no-cache")]
    third = decoder.decode(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"))
    assert third[2:] == [
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ]


@given(st.lists(FIELDS, min_size=1, max_size=6), st.booleans(), st.lists(st.sampled_from([0, 64, 4096])))
def test_what_another_encoder_wrote_is_read(blocks: list[Fields], huffman: bool, sizes: list[int]) -> None:
    encoder, decoder = hpack.Encoder(), HpackDecoder(1 << 20)
    for index, fields in enumerate(blocks):
        if index < len(sizes):
            encoder.header_table_size = sizes[index]
        assert decoder.decode(encoder.encode(fields, huffman=huffman)) == fields


@given(st.sampled_from([200, 204, 206, 304, 400, 404, 416, 431, 500, 503]), FIELDS)
def test_what_this_encoder_writes_another_decoder_reads(status: int, fields: Fields) -> None:
    block = ENCODER_TABLE_ZERO + encode_response(status, fields)
    assert list(hpack.Decoder().decode(block, raw=True)) == [(b":status", b"%d" % status), *fields]


@given(st.binary(max_size=300))
def test_any_bytes_give_fields_or_a_typed_error(data: bytes) -> None:
    try:
        fields = HpackDecoder(10_000).decode(data)
    except RemoteProtocolError:
        return
    assert all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in fields)


@given(FIELDS.filter(bool), st.data())
def test_a_truncated_block_is_an_error_or_fewer_fields(fields: Fields, data: st.DataObject) -> None:
    block = hpack.Encoder().encode(fields)
    cut = data.draw(st.integers(0, len(block) - 1))
    try:
        decoded = HpackDecoder(1 << 20).decode(block[:cut])
    except RemoteProtocolError:
        return
    assert decoded == fields[: len(decoded)]
    assert len(decoded) < len(fields)


BROKEN = {
    "index 0": b"\x80",
    "index beyond the table": b"\xbe",
    "name index beyond the table": b"\x7f\x00\x01a",
    "integer without end": b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "string longer than the block": b"\x00\x05ab",
    "no value": b"\x00\x01a",
    "EOS in a string": b"\x00\x84\xff\xff\xff\xff\x01b",
    "padding of zeros": b"\x00\x81\x00\x01b",
    "padding of a whole byte": b"\x00\x82\x1f\xff\x01b",
    "table size update after a field": b"\x82\x20",
    "table size over the limit": b"\x3f\xe2\x1f",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_compression_is_an_error(name: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        HpackDecoder(65_536).decode(BROKEN[name])
    assert not isinstance(caught.value, MalformedFieldError | HeaderListTooLargeError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"Upper", b"x"),
        (b"", b"x"),
        (b"a b", b"x"),
        (b"a:b", b"x"),
        (b"a", b"x\ny"),
        (b"a", b"x\0"),
        (b"a", b" x"),
    ],
)
def test_a_field_that_http_2_forbids_is_an_error(name: bytes, value: bytes) -> None:
    block = b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value
    with pytest.raises(MalformedFieldError):
        HpackDecoder(65_536).decode(block)


def test_a_bomb_of_one_large_entry_is_refused() -> None:
    """A block of 4 kB that refers to an entry of 4 kB again and again is 16 MB of headers."""
    decoder = HpackDecoder(65_536)
    decoder.decode(b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000)
    with pytest.raises(HeaderListTooLargeError):
        decoder.decode(b"\xbe" * 4000)


def test_a_field_larger_than_the_table_empties_it() -> None:
    decoder = HpackDecoder(65_536)
    decoder.decode(b"\x40\x01a\x01b")
    decoder.decode(b"\x40\x01a\x7f\x81\x26" + b"x" * 4992)
    with pytest.raises(RemoteProtocolError):
        decoder.decode(b"\xbe")
