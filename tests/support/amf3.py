"""An AMF3 encoder for tests: the server only reads it."""

import struct

from openstreamer.wire.amf_values import AmfDate, AmfValue, EcmaArray, Undefined


def u29(value: int) -> bytes:
    """An unsigned integer of 29 bits."""
    if value < 0x80:
        return bytes((value,))
    if value < 0x4000:
        return bytes((value >> 7 | 0x80, value & 0x7F))
    if value < 0x200000:
        return bytes((value >> 14 | 0x80, value >> 7 & 0x7F | 0x80, value & 0x7F))
    return bytes((value >> 22 | 0x80, value >> 15 & 0x7F | 0x80, value >> 8 & 0x7F | 0x80, value & 0xFF))


class Amf3Writer:
    """Encodes values, which share a table of strings, and one of the members that objects have."""

    def __init__(self) -> None:
        self._strings: dict[str, int] = {}
        self._traits: dict[tuple[str, ...], int] = {}

    def encode(self, value: AmfValue) -> bytes:
        """``value`` behind its marker."""
        match value:
            case Undefined():
                return b"\x00"
            case None:
                return b"\x01"
            case bool():
                return b"\x03" if value else b"\x02"
            case int():
                return b"\x04" + u29(value & 0x1FFFFFFF)
            case float():
                return b"\x05" + struct.pack(">d", value)
            case str():
                return b"\x06" + self._text(value)
            case AmfDate():
                return b"\x08\x01" + struct.pack(">d", value.unix_ms)
            case list():
                return b"\x09" + u29(len(value) << 1 | 1) + b"\x01" + b"".join(map(self.encode, value))
            case EcmaArray():
                return b"\x09\x01" + self._members(value)
            case dict():
                return b"\x0a" + self._object(value)

    def _text(self, text: str) -> bytes:
        if text in self._strings:
            return u29(self._strings[text] << 1)
        if text:
            self._strings[text] = len(self._strings)
        raw = text.encode()
        return u29(len(raw) << 1 | 1) + raw

    def _members(self, members: dict[str, AmfValue]) -> bytes:
        return b"".join(self._text(name) + self.encode(item) for name, item in members.items()) + b"\x01"

    def _object(self, members: dict[str, AmfValue]) -> bytes:
        """A sealed object with an even number of members, a dynamic one with an odd number."""
        if len(members) % 2:
            self._traits[f"dynamic {len(self._traits)}",] = len(self._traits)
            return b"\x0b\x01" + self._members(members)
        names = tuple(members)
        if names in self._traits:
            head = u29(self._traits[names] << 2 | 1)
        else:
            head = u29(len(names) << 4 | 3) + b"\x01" + b"".join(map(self._text, names))
        self._traits.setdefault(names, len(self._traits))
        return head + b"".join(map(self.encode, members.values()))


def switched(*values: AmfValue) -> bytes:
    """A message that switches from AMF0 to AMF3 for each of ``values``."""
    writer = Amf3Writer()
    return b"".join(b"\x11" + writer.encode(value) for value in values)
