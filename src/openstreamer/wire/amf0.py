"""AMF0: the value encoding of RTMP commands and FLV script data.

Specification: Adobe, *Action Message Format -- AMF 0* (2007); sections are cited beside each rule.
Values may be switched to AMF3 (marker 0x11, see ``amf3``). Object references (0x07) are refused with an error
that says so: no encoder in use sends them, and they let a small message describe an endless value.
"""

import math
import struct
from collections.abc import Callable

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire.amf3 import Amf3Reader
from openstreamer.wire.amf_values import (
    MAX_DEPTH,
    MAX_VALUES,
    UNDEFINED,
    AmfDate,
    AmfValue,
    EcmaArray,
    Undefined,
)

__all__ = [
    "MAX_DEPTH",
    "MAX_VALUES",
    "UNDEFINED",
    "AmfDate",
    "AmfValue",
    "EcmaArray",
    "Undefined",
    "decode",
    "encode",
    "number_or_none",
]

_SHORT_STRING_MAX_BYTES = 0xFFFF  # 1.3.1: a string's length is an unsigned 16-bit integer
_OBJECT_END = b"\x00\x00\x09"  # 2.11: an empty name, then the object end marker
_NUMBER = struct.Struct(">d")
_DATE = struct.Struct(">dh")


def decode(data: bytes, *, max_depth: int = MAX_DEPTH, max_values: int = MAX_VALUES) -> list[AmfValue]:
    """Every value in ``data``, in order.

    Raises:
        RemoteProtocolError: the bytes are truncated, nested too deeply, or of a kind that is refused.
    """
    decoder = _Decoder(data, max_depth, max_values)
    values: list[AmfValue] = []
    while decoder.position < len(data):
        values.append(decoder.value(0))
    return values


def encode(*values: AmfValue) -> bytes:
    """The concatenated encoding of ``values``."""
    out = bytearray()
    for value in values:
        _encode_value(out, value, 0)
    return bytes(out)


class _Decoder:
    """A cursor over one message."""

    __slots__ = ("_amf3", "_data", "_max_depth", "_values_left", "position")

    def __init__(self, data: bytes, max_depth: int, max_values: int) -> None:
        self.position = 0
        self._data = data
        self._max_depth = max_depth
        self._values_left = max_values
        self._amf3: Amf3Reader | None = None

    def value(self, depth: int) -> AmfValue:
        if depth > self._max_depth:
            raise RemoteProtocolError(f"AMF0: values nested deeper than {self._max_depth}")
        self._values_left -= 1
        if self._values_left < 0:
            raise RemoteProtocolError("AMF0: too many values in one message")
        marker = self._take(1)[0]
        read = _READERS.get(marker)
        if read is None:
            raise RemoteProtocolError(f"AMF0: {_REFUSED.get(marker, 'unknown type')} (marker 0x{marker:02x})")
        return read(self, depth)

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise RemoteProtocolError(f"AMF0: truncated at byte {self.position}, {count} more bytes needed")
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def _uint(self, width_bytes: int) -> int:
        return int.from_bytes(self._take(width_bytes), "big")

    def number(self, depth: int) -> AmfValue:
        value: float = _NUMBER.unpack(self._take(8))[0]
        return value

    def boolean(self, depth: int) -> AmfValue:
        return self._take(1) != b"\x00"

    def string(self, depth: int) -> str:
        return self._take(self._uint(2)).decode("utf-8", "replace")

    def long_string(self, depth: int) -> AmfValue:
        return self._take(self._uint(4)).decode("utf-8", "replace")

    def null(self, depth: int) -> AmfValue:
        return None

    def undefined(self, depth: int) -> AmfValue:
        return UNDEFINED

    def object(self, depth: int) -> AmfValue:
        fields: dict[str, AmfValue] = {}
        self._fields_into(fields, depth)
        return fields

    def ecma_array(self, depth: int) -> AmfValue:
        self._take(4)  # 2.10: the count is a hint only; encoders write 0 or a wrong number
        array = EcmaArray()
        self._fields_into(array, depth)
        return array

    def typed_object(self, depth: int) -> AmfValue:
        self.string(depth)  # 2.18: the class name, which means nothing here
        return self.object(depth)

    def strict_array(self, depth: int) -> AmfValue:
        count = self._uint(4)
        if count > len(self._data) - self.position:  # every value takes at least its marker
            raise RemoteProtocolError(f"AMF0: an array of {count} values in a shorter message")
        return [self.value(depth + 1) for _ in range(count)]

    def date(self, depth: int) -> AmfValue:
        unix_ms, zone = _DATE.unpack(self._take(10))
        return AmfDate(unix_ms, zone)

    def switched(self, depth: int) -> AmfValue:
        """3.1: a value in AMF3."""
        reader = self._amf3 = self._amf3 or Amf3Reader(self._data, self._max_depth)
        reader.position, reader.values_left = self.position, self._values_left
        value = reader.value(depth)
        self.position, self._values_left = reader.position, reader.values_left
        return value

    def _fields_into(self, fields: dict[str, AmfValue], depth: int) -> None:
        data = self._data
        while True:
            if data.startswith(_OBJECT_END, self.position):
                self.position += 3
                return
            if self.position == len(data) and depth == 0:
                return  # some encoders leave the last end marker of onMetaData out
            name = self.string(depth)
            fields[name] = self.value(depth + 1)


_READERS: dict[int, Callable[[_Decoder, int], AmfValue]] = {
    0x00: _Decoder.number,
    0x01: _Decoder.boolean,
    0x02: _Decoder.string,
    0x03: _Decoder.object,
    0x05: _Decoder.null,
    0x06: _Decoder.undefined,
    0x08: _Decoder.ecma_array,
    0x0A: _Decoder.strict_array,
    0x0B: _Decoder.date,
    0x0C: _Decoder.long_string,
    0x0D: _Decoder.undefined,  # 2.15: a value that the sender could not encode
    0x0F: _Decoder.long_string,  # 2.17: an XML document is a long string
    0x10: _Decoder.typed_object,
    0x11: _Decoder.switched,
}

_REFUSED = {
    0x04: "a movie clip is reserved and not supported",
    0x07: "references are not accepted",
    0x09: "an object ends that never began",
    0x0E: "a record set is reserved and not supported",
}


def _encode_value(out: bytearray, value: AmfValue, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise LocalProtocolError(f"AMF0: values nested deeper than {MAX_DEPTH}")
    match value:
        case None:
            out.append(0x05)
        case bool():
            out += b"\x01\x01" if value else b"\x01\x00"
        case int() | float():
            out += b"\x00" + _NUMBER.pack(value)
        case str():
            _encode_string(out, value)
        case Undefined():
            out.append(0x06)
        case AmfDate():
            out += b"\x0b" + _DATE.pack(value.unix_ms, value.zone)
        case list():
            out += b"\x0a" + len(value).to_bytes(4, "big")
            for item in value:
                _encode_value(out, item, depth + 1)
        case dict():
            out += b"\x08" + len(value).to_bytes(4, "big") if isinstance(value, EcmaArray) else b"\x03"
            _encode_fields(out, value, depth)


def _encode_string(out: bytearray, value: str) -> None:
    raw = value.encode("utf-8", "replace")
    if len(raw) <= _SHORT_STRING_MAX_BYTES:
        out += b"\x02" + len(raw).to_bytes(2, "big") + raw
    else:
        out += b"\x0c" + len(raw).to_bytes(4, "big") + raw


def _encode_fields(out: bytearray, fields: dict[str, AmfValue], depth: int) -> None:
    for name, value in fields.items():
        raw = name.encode("utf-8", "replace")
        if not raw or len(raw) > _SHORT_STRING_MAX_BYTES:
            raise LocalProtocolError(f"AMF0: a property name of {len(raw)} bytes cannot be encoded")
        out += len(raw).to_bytes(2, "big") + raw
        _encode_value(out, value, depth + 1)
    out += _OBJECT_END


def number_or_none(value: AmfValue) -> float | None:
    """``value`` as a finite number, or ``None`` for everything else (booleans included)."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
