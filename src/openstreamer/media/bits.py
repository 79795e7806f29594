"""Reading codec headers bit by bit.

Header parsers read a few dozen bits of a few hundred bytes at most, once per configuration, so the reader
favours plainness: the bytes become one big integer and every read is a shift and a mask.
"""

from openstreamer.media.errors import MediaError

HEADER_BYTES_MAX = 65_536  # no parameter set, configuration record or frame header is larger than this
EXP_GOLOMB_ZEROS_MAX = 32  # H.264 9.1: codeNum needs at most 32 leading zero bits


class BitReader:
    """Reads big-endian bit fields of ``data``; every read beyond its end raises :class:`MediaError`.

    ``what`` names the structure in the error's message.
    """

    __slots__ = ("_bits", "_size_bits", "_what", "position_bits")

    def __init__(self, data: bytes, what: str) -> None:
        if len(data) > HEADER_BYTES_MAX:
            raise MediaError(f"{what}: {len(data)} bytes are more than a header can have")
        self._bits = int.from_bytes(data, "big")
        self._size_bits = len(data) * 8
        self._what = what
        self.position_bits = 0

    @property
    def remaining_bits(self) -> int:
        """How many bits are left to read."""
        return self._size_bits - self.position_bits

    def u(self, count: int) -> int:
        """The next ``count`` bits as an unsigned number."""
        end = self.position_bits + count
        if end > self._size_bits:
            raise MediaError(f"{self._what}: ends in the middle of a field, at bit {self.position_bits}")
        self.position_bits = end
        return (self._bits >> (self._size_bits - end)) & ((1 << count) - 1)

    def flag(self) -> bool:
        """The next bit."""
        return self.u(1) == 1

    def skip(self, count: int) -> None:
        """Moves on by ``count`` bits, which must exist."""
        self.u(count)

    def align(self) -> None:
        """Moves on to the next byte boundary."""
        self.position_bits += -self.position_bits % 8

    def ue(self, most: int = (1 << 33) - 2) -> int:
        """An unsigned Exp-Golomb number (H.264 9.1), refused above ``most``."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > EXP_GOLOMB_ZEROS_MAX:
                raise MediaError(f"{self._what}: an Exp-Golomb number has more than 32 leading zeros")
        value = (1 << zeros) - 1 + self.u(zeros)
        if value > most:
            raise MediaError(f"{self._what}: {value} where at most {most} is allowed")
        return value

    def se(self) -> int:
        """A signed Exp-Golomb number (H.264 9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def remove_emulation_prevention(nal: bytes) -> bytes:
    """The RBSP of a NAL unit: every ``00 00 03`` becomes ``00 00`` (H.264 7.4.1)."""
    if b"\x00\x00\x03" not in nal:
        return nal
    pieces = []
    start = 0
    while (at := nal.find(b"\x00\x00\x03", start)) >= 0:
        pieces.append(nal[start : at + 2])
        start = at + 3
    pieces.append(nal[start:])
    return b"".join(pieces)


class BitWriter:
    """Writes big-endian bit fields."""

    __slots__ = ("_bits", "_size_bits")

    def __init__(self) -> None:
        self._bits = 0
        self._size_bits = 0

    def u(self, count: int, value: int) -> None:
        """Appends ``count`` bits."""
        self._bits = self._bits << count | value & ((1 << count) - 1)
        self._size_bits += count

    def align(self) -> None:
        """Appends zero bits up to the next byte boundary."""
        self.u(-self._size_bits % 8, 0)

    def to_bytes(self) -> bytes:
        """What was written, with zero bits up to the last byte boundary."""
        self.align()
        return self._bits.to_bytes(self._size_bits // 8, "big")
