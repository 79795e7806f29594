"""PAT and PMT as bytes (ISO/IEC 13818-1 sections 2.4.4.3 and 2.4.4.8)."""

from collections.abc import Sequence
from typing import NamedTuple

from openstreamer.wire.mpegts.packets import PAYLOAD_BYTES
from openstreamer.wire.mpegts.sections import crc32_mpeg
from openstreamer.wire.mpegts.tables import TABLE_PAT, TABLE_PMT


class StreamEntry(NamedTuple):
    """One stream of a PMT."""

    pid: int
    stream_type: int
    descriptors: bytes


def descriptor(tag: int, body: bytes) -> bytes:
    """A descriptor (section 2.6.1)."""
    return bytes((tag, len(body))) + body


def pat_section(transport_stream_id: int, program: int, pmt_pid: int) -> bytes:
    """A PAT of one program."""
    entry = program.to_bytes(2, "big") + (0xE000 | pmt_pid).to_bytes(2, "big")
    return _section(TABLE_PAT, transport_stream_id, 0, entry)


def pmt_section(program: int, version: int, pcr_pid: int, streams: Sequence[StreamEntry]) -> bytes:
    """The PMT of a program without descriptors of its own."""
    pieces = [(0xE000 | pcr_pid).to_bytes(2, "big"), b"\xf0\x00"]
    for pid, stream_type, descriptors in streams:
        pieces.append(bytes((stream_type,)) + (0xE000 | pid).to_bytes(2, "big"))
        pieces.append((0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors)
    return _section(TABLE_PMT, program, version, b"".join(pieces))


def section_payloads(section: bytes) -> list[bytes]:
    """What packets carry of a section: a pointer field in front, stuffing behind (section 2.4.4.2)."""
    data = b"\x00" + section
    data += b"\xff" * (-len(data) % PAYLOAD_BYTES)
    return [data[start : start + PAYLOAD_BYTES] for start in range(0, len(data), PAYLOAD_BYTES)]


def _section(table_id: int, extension: int, version: int, body: bytes) -> bytes:
    length = 5 + len(body) + 4
    head = bytes((table_id,)) + (0xB000 | length).to_bytes(2, "big") + extension.to_bytes(2, "big")
    section = head + bytes((0xC1 | (version & 0x1F) << 1, 0, 0)) + body
    return section + crc32_mpeg(section).to_bytes(4, "big")
