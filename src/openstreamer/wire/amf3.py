"""AMF3: the other encoding of values in RTMP commands, inside AMF0 behind its marker 0x11. Only read, never
written: peers understand AMF0 whatever they send.

Specification: Adobe, *Action Message Format -- AMF 3* (2013); sections are cited beside each rule. Vectors,
dictionaries and objects with an encoding of their own are refused by name: no command holds any.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.amf_values import UNDEFINED, AmfDate, AmfValue, EcmaArray

_T = TypeVar("_T")
_DOUBLE = struct.Struct(">d")
_SIGN_BIT = 1 << 28  # 3.6: an integer has 29 bits


@dataclass(frozen=True, slots=True)
class _Traits:
    """What the objects of a class share (3.12): their sealed members, and whether there may be more."""

    names: tuple[str, ...]
    dynamic: bool


@dataclass(slots=True)
class _Complex:
    """An entry of the table of objects: a whole value, and how many it consists of and how deep it is nested.
    ``size`` is 0 until it is complete."""

    value: AmfValue = UNDEFINED
    size: int = 0
    depth: int = 0


class Amf3Reader:
    """Reads values of one message, which share their tables of references (2.2).

    A reference counts as many values as what it refers to, and nests as deep, so that a small message cannot
    describe a huge value; what refers to itself is refused.
    """

    def __init__(self, data: bytes, max_depth: int) -> None:
        self.position = 0
        self.values_left = 0
        self._data = data
        self._max_depth = max_depth
        self._deepest = 0
        self._strings: list[str] = []
        self._objects: list[_Complex] = []
        self._traits: list[_Traits] = []

    def value(self, depth: int) -> AmfValue:
        """The value at ``position``, which lies ``depth`` levels deep in others.

        Raises:
            RemoteProtocolError: it is truncated, nested too deeply, or of a kind that is refused.
        """
        self._spend(1, depth)
        marker = self._take(1)[0]
        read = _READERS.get(marker)
        if read is None:
            raise RemoteProtocolError(f"AMF3: {_REFUSED.get(marker, 'unknown type')} (marker 0x{marker:02x})")
        return read(self, depth)

    def _spend(self, count: int, depth: int) -> None:
        self.values_left -= count
        self._deepest = max(self._deepest, depth)
        if depth > self._max_depth:
            raise RemoteProtocolError(f"AMF3: values nested deeper than {self._max_depth}")
        if self.values_left < 0:
            raise RemoteProtocolError("AMF3: too many values in one message")

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise RemoteProtocolError(f"AMF3: truncated at byte {self.position}, {count} more bytes needed")
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def _u29(self) -> int:
        """An unsigned integer of 29 bits in one to four bytes (1.3.1)."""
        value = 0
        for _ in range(3):
            byte = self._take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        return value << 8 | self._take(1)[0]

    def _count(self, count: int) -> int:
        """A number of things that take a byte each at least."""
        if count > len(self._data) - self.position:
            raise RemoteProtocolError(f"AMF3: {count} values in a shorter message")
        return count

    # ------------------------------------------------------------------ values without parts

    def undefined(self, depth: int) -> AmfValue:
        return UNDEFINED

    def null(self, depth: int) -> AmfValue:
        return None

    def false(self, depth: int) -> AmfValue:
        return False

    def true(self, depth: int) -> AmfValue:
        return True

    def integer(self, depth: int) -> AmfValue:
        value = self._u29()
        return float(value - 2 * _SIGN_BIT if value & _SIGN_BIT else value)  # a number, as in AMF0

    def double(self, depth: int) -> AmfValue:
        value: float = _DOUBLE.unpack(self._take(8))[0]
        return value

    def string(self, depth: int) -> str:
        head = self._u29()
        if not head & 1:
            return _entry(self._strings, head >> 1, "string")
        text = self._take(head >> 1).decode("utf-8", "replace")
        if text:  # 3.8: the empty string is never referred to
            self._strings.append(text)
        return text

    # ------------------------------------------------------------------ values in the table of objects

    def _complex(self, depth: int, read: Callable[[int, int], AmfValue]) -> AmfValue:
        """A reference (3.1), or what ``read`` makes of the rest of the head and of what follows."""
        head = self._u29()
        if not head & 1:
            known = _entry(self._objects, head >> 1, "object")
            if not known.size:
                raise RemoteProtocolError("AMF3: an object that contains itself is refused")
            self._spend(known.size - 1, depth + known.depth)
            return known.value
        entry = _Complex()
        self._objects.append(entry)
        before, above, self._deepest = self.values_left, self._deepest, depth
        entry.value = read(head >> 1, depth)
        entry.size, entry.depth = before - self.values_left + 1, self._deepest - depth
        self._deepest = max(above, self._deepest)
        return entry.value

    def date(self, depth: int) -> AmfValue:
        return self._complex(depth, lambda _, __: AmfDate(_DOUBLE.unpack(self._take(8))[0]))

    def xml(self, depth: int) -> AmfValue:
        return self._complex(depth, lambda size, _: self._take(size).decode("utf-8", "replace"))

    def byte_array(self, depth: int) -> AmfValue:
        """Passed over: no command has a use for one."""
        return self._complex(depth, self._passed_over)

    def _passed_over(self, size_bytes: int, depth: int) -> AmfValue:
        self._take(size_bytes)
        return UNDEFINED

    def array(self, depth: int) -> AmfValue:
        return self._complex(depth, self._array)

    def _array(self, count: int, depth: int) -> AmfValue:
        # 3.11: members with names, up to an empty one, then those with numbers.
        named = EcmaArray()
        self._members_into(named, depth)
        dense = [self.value(depth + 1) for _ in range(self._count(count))]
        if not named:
            return dense
        named.update((str(number), item) for number, item in enumerate(dense))
        return named

    def object(self, depth: int) -> AmfValue:
        return self._complex(depth, self._object)

    def _object(self, head: int, depth: int) -> AmfValue:
        traits = self._read_traits(head)
        members: dict[str, AmfValue] = {name: self.value(depth + 1) for name in traits.names}
        if traits.dynamic:
            self._members_into(members, depth)
        return members

    def _read_traits(self, head: int) -> _Traits:
        # 3.12, bit by bit: are they here or referred to, does the class encode itself, may there be more.
        if not head & 1:
            return _entry(self._traits, head >> 1, "class")
        name = self.string(0)
        if head & 2:
            raise RemoteProtocolError(
                f"AMF3: objects of class {name[:40]!r} encode themselves, and are refused"
            )
        traits = _Traits(tuple(self.string(0) for _ in range(self._count(head >> 3))), bool(head & 4))
        self._traits.append(traits)
        return traits

    def _members_into(self, members: dict[str, AmfValue], depth: int) -> None:
        while name := self.string(depth):
            members[name] = self.value(depth + 1)


def _entry(table: list[_T], index: int, what: str) -> _T:
    if index >= len(table):
        raise RemoteProtocolError(f"AMF3: a reference to {what} {index}, of {len(table)}")
    return table[index]


_READERS: dict[int, Callable[[Amf3Reader, int], AmfValue]] = {
    0x00: Amf3Reader.undefined,
    0x01: Amf3Reader.null,
    0x02: Amf3Reader.false,
    0x03: Amf3Reader.true,
    0x04: Amf3Reader.integer,
    0x05: Amf3Reader.double,
    0x06: Amf3Reader.string,
    0x07: Amf3Reader.xml,  # 3.9: an XML document, which is encoded as 3.13
    0x08: Amf3Reader.date,
    0x09: Amf3Reader.array,
    0x0A: Amf3Reader.object,
    0x0B: Amf3Reader.xml,
    0x0C: Amf3Reader.byte_array,
}

_REFUSED = {
    0x0D: "vectors are not accepted",
    0x0E: "vectors are not accepted",
    0x0F: "vectors are not accepted",
    0x10: "vectors are not accepted",
    0x11: "dictionaries are not accepted",
}
