"""Transport streams that mean harm: bytes to be repeated for ever, continuity counters included."""

import random
from functools import cache

from openstreamer.wire.mpegts.sections import crc32_mpeg
from openstreamer.wire.mpegts.table_writer import StreamEntry, pat_section, pmt_section, section_payloads
from tests.support.clips import clip
from tests.support.transport_stream import transport_stream

H264, AAC = 0x1B, 0x0F
PMT_PID, VIDEO_PID = 0x100, 0x101
LAST_PID = 0x1FFE
TURN = 16  # packets, after which a continuity counter is where it was


def packet(pid: int, counter: int, payload: bytes, *, begins: bool = False, scrambled: bool = False) -> bytes:
    """One packet with nothing but payload, filled up."""
    head = bytes((0x47, (0x40 if begins else 0) | pid >> 8, pid & 0xFF))
    return head + bytes(((0xD0 if scrambled else 0x10) | counter & 15,)) + payload.ljust(184, b"\xff")


def tables(pid: int, sections: list[bytes], counter: int = 0) -> bytes:
    """Sections, each begun in a packet of its own."""
    found, at = [], counter
    for section in sections:
        for number, payload in enumerate(section_payloads(section)):
            found.append(packet(pid, at, payload, begins=number == 0))
            at += 1
    return b"".join(found)


def program(*streams: tuple[int, int], version: int = 0) -> bytes:
    """PAT and PMT of one program with streams of (PID, type)."""
    entries = [StreamEntry(pid, kind, b"") for pid, kind in streams]
    return tables(0, [pat_section(1, 1, PMT_PID)]) + tables(
        PMT_PID, [pmt_section(1, version, streams[0][0], entries)]
    )


def pes_start(stream_id: int = 0xE0, pts_90k: int = 0) -> bytes:
    """The header of a PES packet that does not say where it ends."""
    pts = bytes((
        0x21 | pts_90k >> 29 & 0x0E, pts_90k >> 22 & 0xFF, 0x01 | pts_90k >> 14 & 0xFE,
        pts_90k >> 7 & 0xFF, 0x01 | pts_90k << 1 & 0xFE,
    ))  # fmt: skip
    return b"\x00\x00\x01" + bytes((stream_id, 0, 0, 0x80, 0x80, 5)) + pts


@cache
def good(repeats: int = 4) -> bytes:
    """Real media."""
    return transport_stream(clip("h264", "aac"), repeats=repeats)


@cache
def every_pid() -> bytes:
    """A PAT of 10^5 programs, as far as numbers go, and a packet of every PID there is."""
    sections = []
    for number in range(256):
        entries = b"".join(
            (number * 253 + entry & 0xFFFF).to_bytes(2, "big")
            + (0xE000 | 16 + (number * 253 + entry) % (LAST_PID - 16)).to_bytes(2, "big")
            for entry in range(253)
        )
        body = bytes(
            (0x00, 0xB0 | 5 + len(entries) + 4 >> 8, 5 + len(entries) + 4 & 0xFF, 0, 1, 0xC1, number, 255)
        )
        section = body + entries
        sections.append(section + crc32_mpeg(section).to_bytes(4, "big"))
    data = tables(0, sections)
    payload = pes_start() + bytes(100)
    return data + b"".join(packet(pid, 0, payload, begins=True) for pid in range(16, LAST_PID))


@cache
def changing_tables() -> bytes:
    """A PAT and a PMT that say something else each time: other programs, other PIDs, other codecs."""
    data = []
    for number in range(256):
        pmt_pid = 0x20 + number
        streams = [
            StreamEntry(0x200 + (number * 32 + entry) % 0x1C00, (H264, AAC, 0x24, 0x81)[entry % 4], b"")
            for entry in range(30)
        ]
        pat = bytearray(pat_section(number, number + 1, pmt_pid)[:-4])
        pat[5] = 0xC1 | (number & 31) << 1
        data.append(
            packet(0, number, b"\x00" + bytes(pat) + crc32_mpeg(bytes(pat)).to_bytes(4, "big"), begins=True)
        )
        data.append(tables(pmt_pid, [pmt_section(number + 1, number & 31, 0x200, streams)]))
        data += [packet(each.pid, 0, pes_start() + bytes(80), begins=True) for each in streams]
    return b"".join(data)


@cache
def changing_program() -> bytes:
    """One program whose PMT has a new version with other streams each time."""
    data = [tables(0, [pat_section(1, 1, PMT_PID)])]
    for number in range(32 * TURN):
        streams = [
            StreamEntry(0x200 + (number * 7 + entry) % 0x1C00, H264 if not entry else AAC, b"")
            for entry in range(8)
        ]
        section = pmt_section(1, number & 31, streams[0].pid, streams)
        data.append(packet(PMT_PID, number, section_payloads(section)[0], begins=True))
        data.append(packet(streams[0].pid, 0, pes_start() + bytes(80), begins=True))
    return b"".join(data)


def endless_pes(streams: int = 1, kind: int = H264) -> tuple[bytes, bytes]:
    """What begins, and what follows for ever: PES packets of unbounded length on all streams, round about."""
    pids = [VIDEO_PID + number for number in range(streams)]
    listed = [(pid, kind if number == 0 else AAC) for number, pid in enumerate(pids)]
    begin = program(*listed)
    begin += b"".join(
        packet(
            pid, 0, pes_start(0xE0 if kind == H264 else 0xC0) + b"\x00\x00\x01\x65" + bytes(100), begins=True
        )
        for pid in pids
    )
    filling = random.Random(1).randbytes(184).replace(b"\x00", b"\x01")
    turns = max(1, 512 // streams // TURN) * TURN
    follow = b"".join(packet(pid, turn + 1, filling) for turn in range(turns) for pid in pids)
    return begin, follow


@cache
def nothing() -> bytes:
    """Null packets."""
    return packet(0x1FFF, 0, b"") * 4096


@cache
def scrambled() -> bytes:
    """A program of which nobody can read a byte."""
    return program((VIDEO_PID, H264)) + b"".join(
        packet(VIDEO_PID, number, bytes(184), scrambled=True) for number in range(64 * TURN)
    )


@cache
def losing_sync() -> bytes:
    """Packets at changing distances, with garbage between."""
    chance = random.Random(2)
    return b"".join(
        packet(VIDEO_PID, n, b"") * 6 + chance.randbytes(chance.randrange(1, 400)) for n in range(400)
    )


@cache
def jumping_times() -> bytes:
    """Sound whose clock jumps with every frame, on 31 streams."""
    chance = random.Random(3)
    frame = bytes.fromhex("fff14c8003fffc") + bytes(24)  # ADTS: AAC-LC, 48 kHz, stereo, 31 bytes
    streams = [(VIDEO_PID + number, AAC) for number in range(31)]
    return program(*streams) + b"".join(
        packet(pid, turn, pes_start(0xC0, chance.randrange(1 << 33)) + frame * 5, begins=True)
        for turn in range(64)
        for pid, _ in streams
    )
