"""PES packets (ISO/IEC 13818-1 section 2.4.3.6), and the state of one elementary stream's PID."""

from typing import NamedTuple

# stream_id without the optional header: program_stream_map, padding_stream, private_stream_2, ECM, EMM,
# program_stream_directory, DSMCC_stream, H.222.1 type E
_WITHOUT_HEADER = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))
_HEADER_BYTES = 9
PREFIX = b"\x00\x00\x01"
PREFIX_BYTES = 6  # up to PES_packet_length, which counts what follows


class PesHeader(NamedTuple):
    """Times are the 33 bits that are written; ``None`` when they are not."""

    pts: int | None
    dts: int | None
    payload_start: int
    scrambled: bool


def parse_pes_header(data: bytes) -> PesHeader | None:
    """The header that ``data`` begins with; ``None`` when there is none or its stream carries no media."""
    if (
        len(data) < _HEADER_BYTES
        or data[:3] != PREFIX
        or data[6] & 0xC0 != 0x80
        or data[3] in _WITHOUT_HEADER
    ):
        return None
    start = _HEADER_BYTES + data[8]
    if start > len(data):
        return None
    flags = data[7]
    pts = dts = None
    if flags & 0x80 and start >= 14:
        pts = _timestamp(data, 9)
        if flags & 0x40 and start >= 19:
            dts = _timestamp(data, 14)
    return PesHeader(pts, dts, start, data[6] & 0x30 != 0)


def _timestamp(data: bytes, at: int) -> int:
    """33 bits in five bytes, with a marker bit behind each part of them."""
    bits = int.from_bytes(data[at : at + 5], "big")
    return (bits >> 3 & 0x1C0000000) | (bits >> 2 & 0x3FFF8000) | (bits >> 1 & 0x7FFF)
