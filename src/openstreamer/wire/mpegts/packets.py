"""Finding transport packets in bytes (ISO/IEC 13818-1 section 2.4.3.2, ETSI TS 101 154 for 204 bytes).

Packets stand 188 bytes apart; 204 where a Reed-Solomon code was kept behind them; 192 where Blu-ray puts a
time stamp in front. All three are read as a sync byte, 187 bytes and a gap.
"""

import struct
from collections.abc import Iterator

from openstreamer.media.errors import RemoteProtocolError

PACKET_BYTES = 188
PAYLOAD_BYTES = 184
SYNC_BYTE = 0x47
DISTANCES = (188, 204, 192)
SYNCS_CONFIRMING = 5  # in a row, before packets are believed; garbage has that once in 10^12 bytes

_PATTERN_BYTES = max(DISTANCES) * (SYNCS_CONFIRMING - 1) + 1
# Little-endian: the sync byte is the lowest then, and the number of a clear packet is below 2^30, for which
# CPython calculates twice as fast.
_LAYOUTS = {
    distance: struct.Struct(f"<I{PAYLOAD_BYTES}s{distance - PACKET_BYTES}x") for distance in DISTANCES
}


class PacketFinder:
    """Bytes in any pieces → runs of packets, each an iterator of (header, body). The four bytes of a header
    are a little-endian number.

    The owner reads packets from :meth:`runs` and calls :meth:`lost_sync` when a header is none: it goes on
    with the next run then. ``resyncs`` counts how often packets had to be looked for, but for the first time.
    """

    __slots__ = ("_data", "_distance", "_garbage_bytes", "_max_garbage_bytes", "_position", "resyncs")

    def __init__(self, max_garbage_bytes: int) -> None:
        self._max_garbage_bytes = max_garbage_bytes
        self._data: bytes | memoryview = b""
        self._position = 0
        self._distance = 0  # 0: not known
        self._garbage_bytes = 0
        self.resyncs = 0

    @property
    def found(self) -> bool:
        """Whether packets were found."""
        return self._distance != 0

    def whole(self, data: bytes | memoryview) -> Iterator[tuple[int, bytes]] | None:
        """``data`` as one run, when it goes on where packets are expected and nothing is left over: each
        datagram is like that. Call :meth:`runs` with nothing when the sync gets lost in it."""
        distance = self._distance
        if not distance or self._data or len(data) % distance or not data:
            return None
        self._data, self._position = data, len(data)
        return _unpacked(data, distance)

    def consumed(self) -> None:
        """The run of :meth:`whole` was read to its end."""
        self._data, self._position = b"", 0

    def runs(
        self, data: bytes | memoryview, *, at_end: bool = False
    ) -> Iterator[Iterator[tuple[int, bytes]]]:
        """The packets that are whole, in runs. Consume each run or report the loss of sync."""
        if self._position < len(self._data):
            data = bytes(self._data[self._position :]) + data
        self._data, self._position = data, 0
        while self._position < len(data):
            if not self._distance and not self._find(at_end):
                break
            count = (len(data) - self._position) // self._distance
            if at_end and len(data) - self._position - count * self._distance >= PACKET_BYTES:
                yield self._last_packet(count)
                return
            if not count:
                break
            start = self._position
            self._position += count * self._distance
            yield _unpacked(data[start : self._position], self._distance)
        rest = self._data[self._position :]
        self._data, self._position = rest if isinstance(rest, bytes) else bytes(rest), 0

    def lost_sync(self, run: Iterator[tuple[int, bytes]]) -> None:
        """The packet that ``run`` gave last begins with no sync byte: look for packets from there on."""
        unread: int = run.__length_hint__()  # type: ignore[attr-defined]  # of an unpack iterator: exact
        self._position -= (unread + 1) * self._distance
        self._distance = 0
        self.resyncs += 1

    def _last_packet(self, count: int) -> Iterator[tuple[int, bytes]]:
        """At the end of the data the gap behind the last packet is missing."""
        padded = bytes(self._data[self._position :]) + bytes(self._distance)
        self._data, self._position = padded, (count + 1) * self._distance
        return _unpacked(padded[: self._position], self._distance)

    def _find(self, at_end: bool) -> bool:
        """Move to the next place where sync bytes stand at one of the distances."""
        data = self._data = self._data if isinstance(self._data, bytes) else bytes(self._data)
        end = max(len(data) if at_end else len(data) - _PATTERN_BYTES + 1, self._position)
        at = self._position
        while (candidate := data.find(SYNC_BYTE, at, end)) >= 0:
            self._distance = _distance_at(data, candidate)
            if self._distance:
                self._skip_to(candidate)
                self._garbage_bytes = 0
                return True
            at = candidate + 1
        self._skip_to(end)
        return False

    def _skip_to(self, position: int) -> None:
        self._garbage_bytes += position - self._position
        self._position = position
        if self._garbage_bytes > self._max_garbage_bytes:
            raise RemoteProtocolError(f"MPEG-TS: no packets in {self._garbage_bytes} bytes")


def _unpacked(data: bytes | memoryview, distance: int) -> Iterator[tuple[int, bytes]]:
    """Never of a memoryview: an error that refers to the run by its traceback may be in a reference cycle,
    and CPython 3.11 crashes when it collects a memoryview that an iterator still exports."""
    return _LAYOUTS[distance].iter_unpack(data if isinstance(data, bytes) else bytes(data))


def _distance_at(data: bytes, start: int) -> int:
    """At which distance sync bytes follow the one at ``start``; 0 for none.

    At the end of the data fewer may follow, but one must where there is room for it.
    """
    for distance in DISTANCES:
        following = range(start + distance, min(len(data), start + distance * SYNCS_CONFIRMING), distance)
        if all(data[position] == SYNC_BYTE for position in following):
            return distance if following or len(data) - start >= PACKET_BYTES else 0
    return 0
