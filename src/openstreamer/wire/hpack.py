"""HPACK, the header compression of HTTP/2 (RFC 7541), for a server: decodes requests, encodes responses.

The decoder keeps the peer's dynamic table and bounds what one block may expand to. The encoder is
stateless on purpose: it announces a table of size zero and sends literals, so one response header costs a
cached look-up instead of a table search, and a few more bytes on the wire.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError

Header = tuple[bytes, bytes]

DYNAMIC_TABLE_BYTES = 4096  # RFC 9113 6.5.2: the initial SETTINGS_HEADER_TABLE_SIZE, never raised here
ENTRY_OVERHEAD_BYTES = 32  # RFC 7541 4.1: an entry weighs its two strings plus 32
ENCODER_TABLE_ZERO = b"\x20"  # RFC 7541 6.3: table size update to 0, sent before the first header block
_CACHED_VALUE_BYTES = 64  # longer values are rare in responses and would make the cache heavy

# RFC 7541 Appendix A, by static index 1..61; "name" or "name value".
_STATIC_TEXT = (
    ":authority", ":method GET", ":method POST", ":path /", ":path /index.html", ":scheme http",
    ":scheme https", ":status 200", ":status 204", ":status 206", ":status 304", ":status 400",
    ":status 404", ":status 500", "accept-charset", "accept-encoding gzip, deflate", "accept-language",
    "accept-ranges", "accept", "access-control-allow-origin", "age", "allow", "authorization",
    "cache-control", "content-disposition", "content-encoding", "content-language", "content-length",
    "content-location", "content-range", "content-type", "cookie", "date", "etag", "expect", "expires",
    "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
    "last-modified", "link", "location", "max-forwards", "proxy-authenticate", "proxy-authorization",
    "range", "referer", "refresh", "retry-after", "server", "set-cookie", "strict-transport-security",
    "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
)  # fmt: skip


def _static_entry(text: str) -> Header:
    name, _, value = text.partition(" ")
    return name.encode(), value.encode()


_STATIC: tuple[Header, ...] = tuple(_static_entry(text) for text in _STATIC_TEXT)
_STATIC_COUNT = len(_STATIC)
_STATIC_NAME_INDEX = {name: index for index, (name, _) in reversed(list(enumerate(_STATIC, 1)))}

# RFC 7541 Appendix B: the code is canonical, so the lengths of the symbols 0..255 and EOS are the code.
_HUFFMAN_LENGTHS = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8,
    7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7,
    7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23,
    24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22,
    23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24,
    20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
    27, 27, 27, 26, 30,
)  # fmt: skip
_EOS = 256
_REJECT = -1


class _HuffmanDecoder:
    """Walks the code tree a byte at a time; every (node, byte) step is computed once and remembered."""

    def __init__(self) -> None:
        # A node is a pair of children: an index of a node, or ~symbol for a leaf. The root is node 0.
        self._children: list[list[int]] = [[0, 0]]
        code, length_bits = 0, 0
        for symbol in sorted(range(_EOS + 1), key=lambda s: (_HUFFMAN_LENGTHS[s], s)):
            code <<= _HUFFMAN_LENGTHS[symbol] - length_bits
            length_bits = _HUFFMAN_LENGTHS[symbol]
            self._insert(symbol, code, length_bits)
            code += 1
        self._steps: dict[int, tuple[int, bytes]] = {}
        self._padding_nodes = self._nodes_of_padding()

    def _insert(self, symbol: int, code: int, length_bits: int) -> None:
        node = 0
        for shift in range(length_bits - 1, 0, -1):
            bit = code >> shift & 1
            if not self._children[node][bit]:
                self._children.append([0, 0])
                self._children[node][bit] = len(self._children) - 1
            node = self._children[node][bit]
        self._children[node][code & 1] = ~symbol

    def _nodes_of_padding(self) -> frozenset[int]:
        """Where a string may end: RFC 7541 5.2 wants under 8 bits of padding, the high bits of EOS (ones)."""
        nodes, node = {0}, 0
        for _ in range(7):
            node = self._children[node][1]
            nodes.add(node)
        return frozenset(nodes)

    def _step(self, node: int, byte: int) -> tuple[int, bytes]:
        decoded = bytearray()
        for shift in range(7, -1, -1):
            child = self._children[node][byte >> shift & 1]
            if child >= 0:
                node = child
            elif ~child == _EOS:  # RFC 7541 5.2: EOS inside a string is an error
                return _REJECT, b""
            else:
                decoded.append(~child)
                node = 0
        return node, bytes(decoded)

    def decode(self, data: bytes) -> bytes:
        steps, node = self._steps, 0
        parts: list[bytes] = []
        for byte in data:
            key = node << 8 | byte
            step = steps.get(key)
            if step is None:
                step = steps[key] = self._step(node, byte)
            node, decoded = step
            if node == _REJECT:
                break
            parts.append(decoded)
        if node not in self._padding_nodes:
            raise RemoteProtocolError("HPACK string with a broken Huffman code")
        return b"".join(parts)


_huffman = _HuffmanDecoder()

# RFC 9113 8.2.1: field names are lower-case tokens (pseudo-headers start with a colon), values carry no NUL,
# CR or LF and neither begin nor end with white space.
_NAME = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+\Z")
_LINE_BREAK = re.compile(rb"[\r\n]")
_VALUE_FAULT = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")


class MalformedFieldError(RemoteProtocolError):
    """A header field is well compressed and forbidden in HTTP/2 (RFC 9113 8.2.1)."""


class HeaderListTooLargeError(RemoteProtocolError):
    """A header block expands beyond the bound of the decoder."""


class HpackDecoder:
    """Decodes the header blocks of one connection, in order.

    Args:
        max_list_bytes: bound of one decoded list, weighed as RFC 9113 6.5.2 says (strings plus 32 each).
    """

    def __init__(self, max_list_bytes: int) -> None:
        self._max_list_bytes = max_list_bytes
        self._table: list[Header] = []  # newest last: dynamic index 62 is [-1]
        self._table_bytes = 0
        self._capacity_bytes = DYNAMIC_TABLE_BYTES

    def decode(self, block: bytes) -> list[Header]:
        """Return the fields of ``block``.

        Raises:
            MalformedFieldError: a field is not allowed in HTTP/2.
            HeaderListTooLargeError: the list is over its bound.
            RemoteProtocolError: the compression itself is broken (COMPRESSION_ERROR).
        """
        fields: list[Header] = []
        position, end = 0, len(block)
        try:
            while position < end:
                first = block[position]
                if 0x80 < first < 0xFF:  # 6.1: indexed field, in one byte
                    index = first & 0x7F
                    fields.append(_STATIC[index - 1] if index <= _STATIC_COUNT else self._entry(index))
                    position += 1
                    continue
                if first & 0x80:
                    index, position = _integer(block, position, 0x7F)
                    field = self._entry(index)
                elif first & 0xE0 == 0x20:  # 6.3: table size update, before the first field only
                    position = self._resize(block, position, at_start=not fields)
                    continue
                else:
                    field, position = self._literal(block, position, first)
                fields.append(field)
        except IndexError as err:
            raise RemoteProtocolError("HPACK block is truncated") from err
        list_bytes = sum(map(len, chain.from_iterable(fields))) + ENTRY_OVERHEAD_BYTES * len(fields)
        if list_bytes > self._max_list_bytes:  # the fields are still those of the table: no memory was spent
            raise HeaderListTooLargeError(f"header list over {self._max_list_bytes} bytes")
        return fields

    def _entry(self, index: int) -> Header:
        if 0 < index <= _STATIC_COUNT:
            return _STATIC[index - 1]
        back = index - _STATIC_COUNT
        if not 0 < back <= len(self._table):
            raise RemoteProtocolError(f"HPACK index {index} is not in the table")
        return self._table[-back]

    def _literal(self, block: bytes, position: int, first: int) -> tuple[Header, int]:
        indexing = bool(first & 0x40)  # 6.2.1; else 6.2.2 and 6.2.3, alike for a decoder
        index, position = _integer(block, position, 0x3F if indexing else 0x0F)
        if index:
            name = self._entry(index)[0]
        else:
            name, position = _string(block, position)
            if not _NAME.match(name):
                raise MalformedFieldError("header name with a forbidden character")
        value, position = _string(block, position)
        if _VALUE_FAULT.search(value):
            raise MalformedFieldError("header value with a forbidden character")
        if indexing:
            self._add((name, value))
        return (name, value), position

    def _add(self, field: Header) -> None:
        self._table.append(field)
        self._table_bytes += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD_BYTES
        self._evict()

    def _evict(self) -> None:
        """RFC 7541 4.3, 4.4: drop the oldest until it fits; a field over the capacity empties the table."""
        dropped = 0
        while self._table_bytes > self._capacity_bytes:
            name, value = self._table[dropped]
            self._table_bytes -= len(name) + len(value) + ENTRY_OVERHEAD_BYTES
            dropped += 1
        if dropped:
            del self._table[:dropped]

    def _resize(self, block: bytes, position: int, *, at_start: bool) -> int:
        size_bytes, position = _integer(block, position, 0x1F)
        if not at_start or size_bytes > DYNAMIC_TABLE_BYTES:
            raise RemoteProtocolError("HPACK table size update in the wrong place or over the limit")
        self._capacity_bytes = size_bytes
        self._evict()
        return position


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """RFC 7541 5.1, with at most four continuation bytes: nothing legal in HTTP/2 needs more."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    for shift in (0, 7, 14, 21):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
    raise RemoteProtocolError("HPACK integer is too large")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    huffman = block[position] & 0x80
    length, position = _integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise RemoteProtocolError("HPACK string is truncated")
    raw = block[position:end]
    return (_huffman.decode(raw) if huffman else raw), end


def _encode_integer(value: int, mask: int, flags: int) -> bytes:
    if value < mask:
        return bytes((flags | value,))
    out = bytearray((flags | mask,))
    value -= mask
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


def _encode_field(name: bytes, value: bytes) -> bytes:
    """RFC 7541 6.2.2, literal without indexing, without Huffman."""
    if _LINE_BREAK.search(name) or _LINE_BREAK.search(value):
        raise LocalProtocolError("a response header contains a line break")
    index = _STATIC_NAME_INDEX.get(name, 0)
    head = _encode_integer(index, 0x0F, 0)
    if not index:
        head += _encode_integer(len(name), 0x7F, 0) + name
    return head + _encode_integer(len(value), 0x7F, 0) + value


_encode_cached = lru_cache(maxsize=1024)(_encode_field)


@lru_cache(maxsize=64)
def _encode_status(status: int) -> bytes:
    field = (b":status", b"%d" % status)
    if field in _STATIC:
        return _encode_integer(_STATIC.index(field) + 1, 0x7F, 0x80)
    return _encode_field(*field)


def encode_response(status: int, headers: Iterable[Header]) -> bytes:
    """Return the header block of a response; ``headers`` have lower-case names.

    Raises:
        LocalProtocolError: a field contains a line break.
    """
    parts = [_encode_status(status)]
    for name, value in headers:
        if len(value) <= _CACHED_VALUE_BYTES:
            parts.append(_encode_cached(name, value))
        else:
            parts.append(_encode_field(name, value))
    return b"".join(parts)
