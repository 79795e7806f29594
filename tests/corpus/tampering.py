"""Transport streams as bad multiplexers and networks leave them."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

PACKET_BYTES = 188
PARITY_BYTES = 16
VIDEO_PID, AUDIO_PID = 0x100, 0x101  # of FFmpeg
_SCRAMBLED = 0x80
_PES_HEADER_BYTES = 9
_PTS_ONLY, _PTS_AND_DTS = 0x80, 0xC0


class Damaged(NamedTuple):
    """A stream that lost packets, and how many of each PID."""

    data: bytes
    lost: Counter[int]


def packets(data: bytes) -> Iterator[bytes]:
    """The packets of a stream of 188 bytes each."""
    for at in range(0, len(data), PACKET_BYTES):
        yield data[at : at + PACKET_BYTES]


def pid_of(packet: bytes) -> int:
    """The PID of a packet."""
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def with_parity(data: bytes) -> bytes:
    """204-byte packets: behind each stands the parity of a Reed-Solomon code (here bytes like it)."""
    noise = random.Random(204)
    return b"".join(packet + noise.randbytes(PARITY_BYTES) for packet in packets(data))


def doubled(data: bytes) -> bytes:
    """Every seventh packet comes twice, which is allowed (13818-1 2.4.3.3)."""
    return b"".join(packet * (1 + (number % 7 == 0)) for number, packet in enumerate(packets(data)))


def without_dts(data: bytes) -> bytes:
    """The stream of a multiplexer that writes presentation times only (it must not: 13818-1 2.7.5)."""
    return b"".join(_without_dts(packet) for packet in packets(data))


def _without_dts(packet: bytes) -> bytes:
    start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
    if not packet[1] & 0x40 or packet[start : start + 3] != b"\0\0\1" or start + 19 > PACKET_BYTES:
        return packet
    if packet[start + 7] & _PTS_AND_DTS != _PTS_AND_DTS:
        return packet
    header = bytearray(packet)
    header[start + 7] = packet[start + 7] & ~_PTS_AND_DTS | _PTS_ONLY
    header[start + _PES_HEADER_BYTES] = packet[start + _PES_HEADER_BYTES] & 0x0F | 0x20
    header[start + 14 : start + 19] = b"\xff" * 5
    return bytes(header)


def lossy(data: bytes, share: float, seed: int) -> Damaged:
    """Packets dropped at random, one by one, but in the first eighth and the last quarter."""
    chance = random.Random(seed)
    kept: list[bytes] = []
    lost: Counter[int] = Counter()
    for packet in packets(data):
        place = len(kept) * PACKET_BYTES / len(data)
        if 1 / 8 < place < 3 / 4 and chance.random() < share:
            lost[pid_of(packet)] += 1
        else:
            kept.append(packet)
    return Damaged(b"".join(kept), lost)


def scrambled(data: bytes) -> bytes:
    """The same as if the payload of every elementary stream of FFmpeg's were scrambled."""
    return b"".join(
        packet[:3] + bytes((packet[3] | _SCRAMBLED,)) + packet[4:]
        if pid_of(packet) in (VIDEO_PID, AUDIO_PID)
        else packet
        for packet in packets(data)
    )
