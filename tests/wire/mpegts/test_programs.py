"""Which program is read, while its tables come in pieces, twice, damaged or not at all."""

import pytest

from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.programs import ProgramTable
from openstreamer.wire.mpegts.sections import crc32_mpeg
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.table_writer import StreamEntry, pmt_section, section_payloads

H264, MPEG2 = StreamEntry(0x200, 0x1B, b""), StreamEntry(0x201, 0x02, b"")


class Tables:
    """A program table, and packets for it with the right counters."""

    def __init__(self, wanted: int | None = None, **limits: int) -> None:
        self.statistics = MpegTsStatistics()
        self.table = ProgramTable(wanted, (), MpegTsLimits(**limits), self.statistics)
        self._counters: dict[int, int] = {}

    def feed(self, pid: int, section: bytes) -> None:
        for n, payload in enumerate(section_payloads(section)):
            cc = self._counters[pid] = self._counters.get(pid, -1) + 1 & 15
            self.table.receive(pid, cc, payload, n == 0)

    def skip(self, pid: int, count: int) -> None:
        self._counters[pid] += count

    @property
    def chosen(self) -> int | None:
        return self.table.chosen.number if self.table.chosen else None


def pat(programs: dict[int, int], *, version: int = 0, number: int = 0, last: int = 0) -> bytes:
    entries = b"".join(
        each.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for each, pid in programs.items()
    )
    length = 9 + len(entries)
    section = b"\x00" + (0xB000 | length).to_bytes(2, "big") + b"\x00\x01"
    section += bytes((0xC1 | version << 1, number, last)) + entries
    return section + crc32_mpeg(section).to_bytes(4, "big")


def test_the_first_program_is_waited_for_until_the_pat_comes_again() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100, 2: 0x101}))
    tables.feed(0x101, pmt_section(2, 0, 0x200, [H264]))
    assert tables.chosen is None
    tables.feed(0, pat({1: 0x100, 2: 0x101}))
    assert tables.chosen == 2


def test_the_first_program_is_chosen_when_it_can_be_carried() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100, 2: 0x101}))
    tables.feed(0x100, pmt_section(1, 0, 0x200, [H264]))
    assert tables.chosen == 1


def test_a_program_that_can_be_carried_no_more_is_left() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100, 2: 0x101}))
    tables.feed(0x100, pmt_section(1, 0, 0x200, [H264]))
    tables.feed(0x101, pmt_section(2, 0, 0x200, [H264]))
    tables.feed(0x100, pmt_section(1, 1, 0x200, [MPEG2]))
    assert tables.chosen == 2


def test_a_pat_in_several_sections_is_whole_with_the_last() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100}, number=0, last=1))
    assert not tables.table.is_known
    tables.feed(0, pat({2: 0x101}, number=1, last=1))
    assert [program.number for program in tables.table.programs] == [1, 2]


def test_programs_beyond_the_bound_are_left_out_but_for_the_wanted_one() -> None:
    many = {number: 0x100 + number for number in range(1, 41)}
    tables = Tables(max_programs=5)
    tables.feed(0, pat(many))
    assert [program.number for program in tables.table.programs] == [1, 2, 3, 4, 5]
    tables = Tables(wanted=30, max_programs=5)
    tables.feed(0, pat(many))
    assert [program.number for program in tables.table.programs] == [1, 2, 3, 4, 30]


def test_a_gap_in_a_table_is_counted_and_the_next_one_read() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100}))
    tables.skip(0, 3)
    tables.feed(0, pat({7: 0x100}, version=1))
    assert [program.number for program in tables.table.programs] == [7]
    assert tables.statistics.lost_packets == 3


def test_a_multiplexer_that_does_not_count_its_tables_is_read() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100}))
    tables.skip(0, -1)
    tables.feed(0, pat({7: 0x100}, version=1))
    assert [program.number for program in tables.table.programs] == [7]
    assert tables.statistics.lost_packets == 0


def test_a_piece_of_a_table_that_comes_twice_counts_once() -> None:
    long = pmt_section(1, 0, 0x200, [StreamEntry(0x200 + n, 0x1B, b"\x52\x01\x00") for n in range(60)])
    tables = Tables()
    tables.feed(0, pat({1: 0x100}))
    for cc, payload in enumerate(section_payloads(long)):
        for _ in range(2 if cc else 1):
            tables.table.receive(0x100, cc, payload, cc == 0)
    assert len(tables.table.programs[0].streams) == 60


def test_tables_that_say_nothing_valid_change_nothing() -> None:
    tables = Tables()
    not_yet = bytearray(pat({1: 0x100})[:-4])
    not_yet[5] &= 0xFE
    tables.feed(0, bytes(not_yet) + crc32_mpeg(bytes(not_yet)).to_bytes(4, "big"))
    assert not tables.table.is_known
    tables.feed(0, pat({1: 0x100}))
    broken = bytearray(pmt_section(1, 0, 0x200, [H264])[:-4])
    broken[16] = 90
    tables.feed(0x100, bytes(broken) + crc32_mpeg(bytes(broken)).to_bytes(4, "big"))
    assert tables.statistics.malformed == 1
    tables.feed(0x100, pat({1: 0x100}))
    tables.feed(0x100, pmt_section(9, 0, 0x200, [H264]))
    assert not tables.table.programs[0].known
    tables.feed(0x100, pmt_section(1, 0, 0x200, [H264])[:-1] + b"\x00")
    assert tables.statistics.malformed == 2


def test_a_program_that_moves_to_another_pid_is_read_there() -> None:
    tables = Tables()
    tables.feed(0, pat({1: 0x100}))
    tables.feed(0x100, pmt_section(1, 0, 0x200, [H264]))
    tables.feed(0, pat({1: 0x110}, version=1))
    assert tables.chosen == 1
    tables.feed(0x110, pmt_section(1, 0, 0x201, [H264]))
    assert tables.table.chosen is not None
    assert tables.table.chosen.pcr_pid == 0x201
    assert not tables.table.is_table(0x100)


@pytest.mark.parametrize("wanted", [None, 1, 3000])
def test_of_a_pat_of_thousands_of_programs_the_first_are_kept_and_the_wanted_one(wanted: int | None) -> None:
    tables = Tables(wanted, max_programs=8)
    for number in range(13):
        programs = {number * 250 + each + 1: 0x100 + each for each in range(250)}
        tables.feed(0, pat(programs, number=number, last=12))
    listed = [program.number for program in tables.table.programs]
    assert listed == ([*range(1, 8), 3000] if wanted == 3000 else [*range(1, 9)])
