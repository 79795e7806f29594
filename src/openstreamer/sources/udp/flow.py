"""Datagrams → the bytes of a transport stream, in the order they arrived or, with RTP, were numbered.

Senders differ. Most put whole transport packets in a datagram, some of them behind an RTP header (RFC 2250
section 2). FFmpeg's plain ``udp://`` cuts the stream into pieces of 1472 bytes wherever that is: a datagram
may begin with any byte then, one that looks like RTP included. So what a flow is gets decided once, by sync
bytes that stand in a packet's distance, and holds until many datagrams in a row are of another kind.
"""

from enum import Enum, auto

from openstreamer.wire.mpegts.over_rtp import RtpOrder, carries_packets, is_rtcp, rtp_payload
from openstreamer.wire.mpegts.packets import DISTANCES, PACKET_BYTES, SYNC_BYTE

MAX_HELD = 16  # datagrams, until it must be said what they are
MAX_HELD_BYTES = 65_536

_FOREIGN_IN_A_ROW = 32  # a sender that began anew as something else, rather than strays
_NUMBERED_IN_A_ROW = 4  # with RTP headers that agree: 40 bits each that bytes by chance do not repeat
_WHOLE_IN_A_ROW = 64  # FFmpeg's pieces are never that: each is cut elsewhere
_SYNCS_ACROSS, _SYNCS_WITHIN = 2, 3  # in a row up to the end: over a border of datagrams, or inside of one
_WHOLE_PACKETS = 3  # of 192 or 204 bytes that must be seen in one datagram
_VERSION_MASK, _VERSION_2 = 0xC0, 0x80
_NEAR = 3000  # MAX_DROPOUT of RFC 3550 Appendix A.1
_SEQUENCE_MASK = 0xFFFF
_SYNC = bytes([SYNC_BYTE])


class FlowKind(Enum):
    """What the datagrams of a flow are."""

    UNKNOWN = auto()
    PACKETS = auto()  # each has whole transport packets
    BYTES = auto()  # pieces of a stream, cut anywhere
    RTP = auto()


class DatagramFlow:
    """Datagrams of one socket in, pieces of a transport stream out.

    ``strays`` counts what was left out: RTCP, and the RTP of something else. Where packets straddle datagrams
    without RTP nothing is, because a piece of a stream may look like anything. Until it is known what a flow
    is, up to ``max_held`` datagrams wait.
    """

    __slots__ = (
        "_distance",
        "_foreign",
        "_held",
        "_held_bytes",
        "_in_a_row",
        "_max_held",
        "_max_held_bytes",
        "_previous",
        "_rtp",
        "_ssrc",
        "kind",
        "numbered",
        "strays",
        "usual_bytes",
    )

    def __init__(self, max_held: int = MAX_HELD, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_held = max_held
        self._max_held_bytes = max_held_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._rtp = RtpOrder()
        self._ssrc = b""  # of the sender that is received
        self._distance = PACKET_BYTES
        self._foreign = 0  # in a row, not what the flow is made of
        self._in_a_row = 0  # of the kind that would make pieces of bytes another flow
        self._previous = b""  # with an RTP header, where RTP is not expected
        self.kind = FlowKind.UNKNOWN
        self.numbered = 0  # datagrams taken as RTP
        self.strays = 0
        # Datagrams of this size that begin with a sync byte are to be taken as they are.
        self.usual_bytes = -1

    @property
    def lost(self) -> int:
        """How many datagrams with RTP were missing."""
        return self._rtp.statistics.lost

    @property
    def is_waiting(self) -> bool:
        """Whether RTP is held back for one that is missing: call :meth:`expire` from time to time."""
        return self._rtp.is_waiting

    def expire(self, now_ns: int) -> list[bytes]:
        """What waited too long for a missing datagram."""
        return self._rtp.expire(now_ns)

    def usual_came(self) -> None:
        """Datagrams of the usual size were taken without asking."""
        self._foreign = 0

    def receive_datagram(self, data: bytes, now_ns: int) -> list[bytes]:
        """The pieces that follow now: ``data`` itself, what is in it, or nothing."""
        match self.kind:
            case FlowKind.RTP:
                return self._numbered(data, now_ns)
            case FlowKind.PACKETS:
                return self._packets(data)
            case FlowKind.BYTES:
                return self._bytes(data)
            case FlowKind.UNKNOWN:
                return self._hold(data, now_ns)

    # ------------------------------------------------------------------ what it is

    def _hold(self, data: bytes, now_ns: int) -> list[bytes]:
        self._held.append(data)
        self._held_bytes += len(data)
        kind = self._evident()
        if kind is FlowKind.UNKNOWN:
            if len(self._held) < self._max_held and self._held_bytes < self._max_held_bytes:
                return []
            kind = FlowKind.BYTES  # whatever it is: the demuxer refuses what is no transport stream
        self._become(kind)
        held, self._held, self._held_bytes = self._held, [], 0
        return [piece for each in held for piece in self.receive_datagram(each, now_ns)]

    def _become(self, kind: FlowKind) -> None:
        self.kind = kind
        self.usual_bytes = -1
        self._foreign = self._in_a_row = 0
        self._previous = b""

    def _evident(self) -> FlowKind:
        """What the datagrams that are held show, the last one above all."""
        last = self._held[-1]
        if self._is_rtp_evident(last):
            self._ssrc = last[8:12]
            return FlowKind.RTP
        runs = _sync_runs(b"".join(self._held))
        if _is_any_across(runs, self._held_bytes - len(last)):
            return FlowKind.BYTES
        if self._finds_whole(last):
            return FlowKind.PACKETS
        is_synced = not _is_version_2(last) and any(syncs >= _SYNCS_WITHIN for _, syncs in runs)
        return FlowKind.BYTES if is_synced else FlowKind.UNKNOWN

    def _is_rtp_evident(self, last: bytes) -> bool:
        payload = rtp_payload(last)
        if payload is None:
            return False
        same = [each for each in self._held[:-1] if _are_of_one_sender(each, last)]
        if not same:
            return False
        before = b"".join(rtp_payload(each) or b"" for each in same)
        runs = _sync_runs(before + payload)
        return _is_any_across(runs, len(before)) or any(syncs >= _SYNCS_WITHIN for _, syncs in runs)

    def _finds_whole(self, data: bytes) -> bool:
        for distance in DISTANCES:
            packets_min = 1 if distance == PACKET_BYTES else _WHOLE_PACKETS
            if len(data) >= packets_min * distance and _is_whole(data, distance):
                self._distance = distance
                return True
        return False

    def _is_foreign(self) -> None:
        self._foreign += 1
        if self._foreign >= _FOREIGN_IN_A_ROW:
            self._become(FlowKind.UNKNOWN)

    # ------------------------------------------------------------------ the kinds

    def _packets(self, data: bytes) -> list[bytes]:
        if _is_whole(data, self._distance):
            self._foreign = 0
            self.usual_bytes = len(data) if data[0] == SYNC_BYTE else -1
            return [data]
        if data[_offset(self._distance) :][:1] == _SYNC:
            # Pieces of a stream that were whole packets so far, by chance.
            self._become(FlowKind.BYTES)
            return [data]
        is_stray = _is_version_2(data)
        self._is_foreign()
        if is_stray:
            self.strays += 1
            return []
        return [data]

    def _bytes(self, data: bytes) -> list[bytes]:
        if len(data) % self._distance == 0 and _is_whole(data, self._distance):
            self._previous = b""
            self._in_a_row += 1
            if self._in_a_row >= _WHOLE_IN_A_ROW:
                self._become(FlowKind.PACKETS)
        elif not _is_version_2(data):
            self._previous = b""
            self._in_a_row = 0
        else:
            agrees = _are_of_one_sender(self._previous, data)
            self._previous = data
            self._in_a_row = self._in_a_row + 1 if agrees else 0
            if self._in_a_row >= _NUMBERED_IN_A_ROW:
                self._become(FlowKind.UNKNOWN)
        return [data]

    def _numbered(self, data: bytes, now_ns: int) -> list[bytes]:
        if data[0] & _VERSION_MASK == _VERSION_2:
            if not is_rtcp(data) and (data[8:12] == self._ssrc or carries_packets(data)):
                self._foreign = 0
                self._ssrc = data[8:12]
                self.numbered += 1
                return self._rtp.receive_datagram(data, now_ns)
        elif _is_whole(data, PACKET_BYTES):
            self._is_foreign()
            return [data]
        self.strays += 1
        self._is_foreign()
        return []


def _is_version_2(data: bytes) -> bool:
    """Whether it could be RTP: a sync byte is of another version."""
    return data[0] & _VERSION_MASK == _VERSION_2


def _are_of_one_sender(one: bytes, other: bytes) -> bool:
    """Whether the RTP headers of two datagrams have the same payload type and SSRC, and near numbers."""
    if rtp_payload(one) is None or rtp_payload(other) is None:
        return False
    apart = (int.from_bytes(other[2:4], "big") - int.from_bytes(one[2:4], "big")) & _SEQUENCE_MASK
    is_near = 0 < min(apart, _SEQUENCE_MASK + 1 - apart) < _NEAR
    return is_near and one[8:12] == other[8:12] and (one[1] ^ other[1]) & 0x7F == 0


def _offset(distance: int) -> int:
    return 4 if distance == 192 else 0  # behind the time stamp


def _is_whole(data: bytes, distance: int) -> bool:
    """Whether it is packets from its beginning to its end."""
    return len(data) % distance == 0 and not data[_offset(distance) :: distance].strip(_SYNC)


def _sync_runs(data: bytes) -> list[tuple[int, int]]:
    """Where sync bytes stand in a packet's distance up to the end of ``data``: the first, and how many."""
    runs = []
    for distance in DISTANCES:
        at = data.find(_SYNC, max(len(data) - distance, 0))
        while at >= 0:
            column = data[at % distance : at + 1 : distance]
            syncs = len(column) - len(column.rstrip(_SYNC))
            runs.append((at - (syncs - 1) * distance, syncs))
            at = data.find(_SYNC, at + 1)
    return runs


def _is_any_across(runs: list[tuple[int, int]], border: int) -> bool:
    """Whether a run goes over the border before the last datagram: packets go on from one to the next."""
    return any(first < border and syncs >= _SYNCS_ACROSS for first, syncs in runs)
