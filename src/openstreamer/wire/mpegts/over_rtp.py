"""MPEG-TS in RTP datagrams (RFC 2250 section 2, RFC 3550 section 5.1): headers off, in order, once each."""

from dataclasses import dataclass

from openstreamer.wire.mpegts.packets import DISTANCES, SYNC_BYTE

_RTCP_TYPES = range(192, 224)  # where RTP has its marker and payload type (RFC 5761 section 4)
_SYNC = bytes([SYNC_BYTE])
_HEADER_BYTES = 12
_VERSION_MASK, _VERSION_2 = 0xC0, 0x80
_SEQUENCE_MASK = 0xFFFF
_SEQUENCE_HALF = 0x8000
_RESTART_DISTANCE = 3000  # MAX_DROPOUT of RFC 3550 Appendix A.1: farther is a sender that began anew


@dataclass(slots=True)
class RtpStatistics:
    """What an :class:`RtpOrder` noticed since it was made."""

    lost: int = 0
    duplicates: int = 0
    late: int = 0  # came behind the place that was given up for them, and count as lost
    malformed: int = 0
    restarts: int = 0


class RtpOrder:
    """Datagrams in any order in, payloads in the sender's order out.

    A missing datagram is waited for until ``max_waiting`` later ones or ``max_wait_ns`` have passed. Another
    sender (SSRC), or a sequence number that jumps far, begins anew.
    """

    __slots__ = ("_expected", "_max_wait_ns", "_max_waiting", "_since_ns", "_ssrc", "_waiting", "statistics")

    def __init__(self, max_waiting: int = 64, max_wait_ns: int = 50_000_000) -> None:
        self._max_waiting = max_waiting
        self._max_wait_ns = max_wait_ns
        self._ssrc = b""
        self._expected = -1
        self._waiting: dict[int, bytes] = {}
        self._since_ns = 0  # when the oldest of these came
        self.statistics = RtpStatistics()

    def receive_datagram(self, data: bytes, now_ns: int) -> list[bytes]:
        """The payloads that can be passed on now."""
        payload = rtp_payload(data)
        if payload is None:
            self.statistics.malformed += 1
            return []
        sequence = int.from_bytes(data[2:4], "big")
        released: list[bytes] = []
        ahead = (sequence - self._expected) & _SEQUENCE_MASK
        far = _RESTART_DISTANCE <= ahead <= _SEQUENCE_MASK + 1 - _RESTART_DISTANCE
        if data[8:12] != self._ssrc or far:
            released = self._restart(data[8:12])
            ahead, self._expected = 0, sequence
        if ahead == 0:
            released.append(payload)
            self._expected = (sequence + 1) & _SEQUENCE_MASK
            return released + self._release_following() if self._waiting else released
        if ahead >= _SEQUENCE_HALF:
            self.statistics.late += 1
        elif sequence in self._waiting:
            self.statistics.duplicates += 1
        else:
            if not self._waiting:
                self._since_ns = now_ns
            self._waiting[sequence] = payload
        return released + self.expire(now_ns)

    @property
    def is_waiting(self) -> bool:
        """Whether something is held back: call :meth:`expire` from time to time."""
        return bool(self._waiting)

    def expire(self, now_ns: int) -> list[bytes]:
        """Give up what was waited for too long; returns what waited behind it."""
        released: list[bytes] = []
        while self._waiting and (
            len(self._waiting) > self._max_waiting or now_ns - self._since_ns >= self._max_wait_ns
        ):
            ahead = min((sequence - self._expected) & _SEQUENCE_MASK for sequence in self._waiting)
            self.statistics.lost += ahead
            self._expected = (self._expected + ahead) & _SEQUENCE_MASK
            released += self._release_following()
            self._since_ns = now_ns
        return released

    def _release_following(self) -> list[bytes]:
        released = []
        while (payload := self._waiting.pop(self._expected, None)) is not None:
            released.append(payload)
            self._expected = (self._expected + 1) & _SEQUENCE_MASK
        return released

    def _restart(self, ssrc: bytes) -> list[bytes]:
        if self._ssrc:
            self.statistics.restarts += 1
        waiting = sorted(self._waiting, key=lambda sequence: (sequence - self._expected) & _SEQUENCE_MASK)
        released = [self._waiting[sequence] for sequence in waiting]
        self._waiting.clear()
        self._ssrc = ssrc
        return released


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram is a compound of RTCP packets (RFC 3550 section A.2): their lengths fill it."""
    position = 0
    while position + 4 <= len(data):
        if data[position] & _VERSION_MASK != _VERSION_2 or data[position + 1] not in _RTCP_TYPES:
            return False
        position += 4 * (int.from_bytes(data[position + 2 : position + 4], "big") + 1)
    return position == len(data) > 0


def carries_packets(data: bytes) -> bool:
    """Whether an RTP datagram carries whole transport packets, as RFC 2250 section 2 has it."""
    payload = rtp_payload(data) or b""
    return any(_has_packets(payload, distance) for distance in DISTANCES)


def _has_packets(payload: bytes, distance: int) -> bool:
    start = 4 if distance == 192 else 0  # behind the time stamp
    return len(payload) >= distance and not payload[start::distance].strip(_SYNC)


def rtp_payload(data: bytes) -> bytes | None:
    """What is behind the RTP header of a datagram, without padding; ``None`` when it has none."""
    if len(data) < _HEADER_BYTES or data[0] & _VERSION_MASK != _VERSION_2:
        return None
    start = _HEADER_BYTES + 4 * (data[0] & 0x0F)  # CSRC count
    if data[0] & 0x10:  # extension
        if len(data) < start + 4:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data)
    if data[0] & 0x20:  # padding
        end -= data[-1]
    return data[start:end] if start <= end else None
