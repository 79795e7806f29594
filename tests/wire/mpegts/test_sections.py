"""Sections are joined over packets, checked, and not read twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.wire.mpegts.sections import SectionAssembler, crc32_mpeg
from openstreamer.wire.mpegts.table_writer import StreamEntry, pat_section, pmt_section, section_payloads

PAT = pat_section(1, 1, 0x1000)


def test_the_check_sum_is_that_of_annex_a() -> None:
    assert crc32_mpeg(b"123456789") == 0x0376E6E7
    assert crc32_mpeg(PAT) == 0


def test_a_section_in_one_packet_comes_out_once() -> None:
    assembler = SectionAssembler()
    (payload,) = section_payloads(PAT)
    assert assembler.feed(payload, True) == [PAT]
    assert assembler.feed(payload, True) == []


@given(st.integers(0, 60), st.binary(max_size=60))
def test_sections_of_any_length_are_joined(count: int, tail: bytes) -> None:
    section = pmt_section(
        1, 3, 0x100, [StreamEntry(0x100 + n, 0x1B, tail[:20]) for n in range(min(count, 35))]
    )
    payloads = section_payloads(section)
    assembler = SectionAssembler()
    found = [each for n, payload in enumerate(payloads) for each in assembler.feed(payload, n == 0)]
    assert found == [section]


def test_a_section_may_end_where_the_next_one_begins() -> None:
    long = pmt_section(1, 0, 0x100, [StreamEntry(0x100 + n, 0x1B, bytes(2)) for n in range(30)])
    head, rest = long[:183], long[183:]
    assembler = SectionAssembler()
    assert assembler.feed(b"\x00" + head, True) == []
    second = bytes((len(rest),)) + rest + PAT
    assert assembler.feed(second, True) == [long, PAT]


def test_a_damaged_section_is_counted_and_left_out() -> None:
    assembler = SectionAssembler()
    damaged = PAT[:9] + bytes((PAT[9] ^ 1,)) + PAT[10:]
    assert assembler.feed(b"\x00" + damaged + b"\xff" * 20, True) == []
    assert assembler.damaged == 1


def test_an_oversized_section_is_left_out() -> None:
    assembler = SectionAssembler()
    assert assembler.feed(b"\x00\x02\xbf\xff" + bytes(180), True) == []
    assert assembler.feed(bytes(184), False) == []
    assert assembler.damaged == 1


def test_what_comes_before_the_first_beginning_is_left_out() -> None:
    assert SectionAssembler().feed(bytes(184), False) == []


def test_a_loss_forgets_what_was_begun() -> None:
    long = pmt_section(1, 0, 0x100, [StreamEntry(0x100 + n, 0x1B, bytes(2)) for n in range(30)])
    first, second = section_payloads(long)[:2]
    assembler = SectionAssembler()
    assembler.feed(first, True)
    assembler.lose()
    assert assembler.feed(second, False) == []
    assert assembler.damaged == 0


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\xff", b"\x00\x00\x00", b"\xb7" + bytes(183)])
def test_scraps_do_no_harm(payload: bytes) -> None:
    assembler = SectionAssembler()
    assert assembler.feed(payload, True) == []
    assert assembler.feed(*section_payloads(PAT), True) == [PAT]
