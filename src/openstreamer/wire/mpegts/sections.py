"""PSI sections out of packet payloads (ISO/IEC 13818-1 sections 2.4.4.1 and 2.4.4.11, Annex A)."""

import zlib

SECTION_BYTES_MAX = 1024  # PAT and PMT; private sections may have 4096 and are not read
_HEADER_BYTES = 3
_STUFFING = 0xFF

_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_mpeg(data: bytes) -> int:
    """The CRC of Annex A: zlib's polynomial, with the bits in the other order and no final inversion."""
    reflected = zlib.crc32(data.translate(_REVERSED_BITS)) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


class SectionAssembler:
    """Payloads of one PID → whole sections whose CRC is right; ``damaged`` counts the others."""

    __slots__ = ("_buffer", "_repeated", "_synced", "damaged", "next_cc")

    def __init__(self) -> None:
        self._buffer = b""
        self._synced = False
        self._repeated = b""  # a payload that was one known section
        self.damaged = 0
        self.next_cc = -1

    def feed(self, payload: bytes, begins: bool) -> list[bytes]:
        """The sections that ``payload`` completes, without those that came last time as well."""
        if begins:
            if payload == self._repeated and not self._buffer:
                return []
            pointer = payload[0] + 1 if payload else 1
            sections = self._continue(payload[1:pointer])
            self._buffer = b""
            self._synced = True
            found = self._continue(payload[pointer:])
            if len(found) == 1 and not sections and not self._buffer:
                self._repeated = payload
            return sections + found
        return self._continue(payload)

    def lose(self) -> None:
        """Packets are missing: what was begun is lost."""
        self._buffer = b""
        self._synced = False

    def _continue(self, payload: bytes) -> list[bytes]:
        if not self._synced:
            return []
        data = self._buffer + payload
        sections: list[bytes] = []
        position = 0
        while len(data) - position >= _HEADER_BYTES and data[position] != _STUFFING:
            length = int.from_bytes(data[position + 1 : position + 3], "big") & 0xFFF
            end = position + _HEADER_BYTES + length
            if length + _HEADER_BYTES > SECTION_BYTES_MAX:
                self.damaged += 1
                self.lose()
                return sections
            if end > len(data):
                break
            section = data[position:end]
            if crc32_mpeg(section):
                self.damaged += 1
            else:
                sections.append(section)
            position = end
        rest = data[position:]
        self._buffer = b"" if rest[:1] == b"\xff" else rest
        return sections
