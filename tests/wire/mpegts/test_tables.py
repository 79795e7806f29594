"""What PAT and PMT say is understood, whoever wrote them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import MediaError
from openstreamer.wire.mpegts.table_writer import StreamEntry, descriptor, pat_section, pmt_section
from openstreamer.wire.mpegts.tables import TsCodec, parse_pat, parse_pmt


def stream(stream_type: int, *descriptors: bytes) -> tuple[TsCodec | None, str]:
    section = pmt_section(1, 0, 0x100, [StreamEntry(0x101, stream_type, b"".join(descriptors))])
    program = parse_pmt(section, 0x1000)
    assert program is not None
    (info,) = program.streams
    return info.codec, info.description


@pytest.mark.parametrize(
    ("stream_type", "descriptors", "codec"),
    [
        (0x1B, b"", TsCodec.H264),
        (0x24, b"", TsCodec.H265),
        (0x06, descriptor(5, b"HEVC"), TsCodec.H265),
        (0x06, descriptor(5, b"AV01"), TsCodec.AV1),
        (0x03, b"", TsCodec.MPEG_AUDIO),
        (0x04, b"", TsCodec.MPEG_AUDIO),
        (0x0F, b"", TsCodec.AAC_ADTS),
        (0x11, b"", TsCodec.AAC_LATM),
        (0x81, b"", TsCodec.AC3),
        (0x06, descriptor(0x6A, b"\x00"), TsCodec.AC3),
        (0x06, descriptor(5, b"AC-3"), TsCodec.AC3),
        (0x87, b"", TsCodec.EAC3),
        (0x06, descriptor(0x7A, b"\x00"), TsCodec.EAC3),
        (0x06, descriptor(5, b"Opus") + descriptor(0x7F, b"\x80\x02"), TsCodec.OPUS),
        (0x02, b"", None),
        (0x06, b"", None),
    ],
)
def test_codecs(stream_type: int, descriptors: bytes, codec: TsCodec | None) -> None:
    assert stream(stream_type, descriptors)[0] is codec


@pytest.mark.parametrize(
    ("stream_type", "descriptors", "words"),
    [
        (0x02, b"", "MPEG-2 video (stream type 0x02)"),
        (0x06, descriptor(0x56, b"deu\x10\x88"), "teletext (stream type 0x06)"),
        (0x06, descriptor(5, b"KL\x00A"), "KL.A (stream type 0x06)"),
        (0x99, b"", "unknown (stream type 0x99)"),
        (0x0F, b"", "aac"),
    ],
)
def test_streams_are_described_in_words(stream_type: int, descriptors: bytes, words: str) -> None:
    assert stream(stream_type, descriptors)[1] == words


def test_languages_are_iso_639_codes_or_undetermined() -> None:
    entries = [
        StreamEntry(0x101, 0x0F, descriptor(0x0A, b"DEU\x00")),
        StreamEntry(0x102, 0x0F, descriptor(0x0A, b"\xff\xff\xff\x00")),
        StreamEntry(0x103, 0x0F, descriptor(0x0A, b"d")),
    ]
    program = parse_pmt(pmt_section(1, 0, 0x100, entries), 0x1000)
    assert program is not None
    assert [info.language for info in program.streams] == ["deu", "und", "und"]


def test_a_pat_lists_programs_without_the_network_pid() -> None:
    pat = parse_pat(pat_section(7, 5, 0x123))
    assert pat is not None
    assert pat.programs == ((5, 0x123),)
    network = parse_pat(pat_section(7, 0, 0x10))
    assert network is not None
    assert network.programs == ()


def test_tables_that_are_not_yet_valid_are_left_out() -> None:
    pat, pmt = bytearray(pat_section(1, 1, 0x100)), bytearray(pmt_section(1, 0, 0x100, []))
    pat[5] &= 0xFE
    pmt[5] &= 0xFE
    assert parse_pat(bytes(pat)) is None
    assert parse_pmt(bytes(pmt), 0x100) is None
    assert parse_pat(bytes(pmt)) is None
    assert parse_pmt(bytes(pat), 0x100) is None


def test_descriptors_behind_the_end_are_malformed() -> None:
    section = bytearray(pmt_section(1, 0, 0x100, [StreamEntry(0x101, 0x1B, bytes(4))]))
    section[16] = 40
    with pytest.raises(MediaError, match="behind their section"):
        parse_pmt(bytes(section), 0x1000)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    parse_pat(b"\x00" + data)
    with contextlib.suppress(MediaError):
        parse_pmt(b"\x02" + data, 0x100)
