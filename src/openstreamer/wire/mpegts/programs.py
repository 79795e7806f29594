"""The programs of a transport stream as its PAT and PMTs say, and which of them is read."""

import itertools
from collections.abc import Collection, Iterable

from openstreamer.media.errors import MediaError
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.sections import SectionAssembler
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import (
    PAT_PID,
    ElementaryStreamInfo,
    Program,
    parse_pat,
    parse_pmt,
)


class ProgramTable:
    """PSI packets in, programs out.

    The chosen program is the one with the wanted number; without one, the first of the PAT that has a
    stream which is carried, as far as PMTs are known when the PAT comes for the second time. The choice
    stays until the PAT leaves that program out, or its PMT the last stream that is carried.
    """

    def __init__(
        self,
        wanted: int | None,
        pids: Collection[int],
        limits: MpegTsLimits,
        statistics: MpegTsStatistics,
    ) -> None:
        self._wanted = wanted
        self._pids = frozenset(pids)
        self._limits = limits
        self._statistics = statistics
        self._assemblers = {PAT_PID: SectionAssembler()}
        self._pat_version = -1
        self._pat_sections: dict[int, tuple[tuple[int, int], ...]] = {}  # programs by section number
        self._programs: dict[int, Program] = {}
        self._complete = False
        self.chosen: Program | None = None

    @property
    def programs(self) -> tuple[Program, ...]:
        """All programs in the order of the PAT; those beyond the bound are left out."""
        return tuple(self._programs.values())

    @property
    def is_known(self) -> bool:
        """Whether a whole PAT was read."""
        return self._complete

    def is_table(self, pid: int) -> bool:
        """Whether packets of this PID belong here."""
        return pid in self._assemblers

    def receive(self, pid: int, cc: int, payload: bytes, begins: bool) -> bool:
        """Feed a packet's payload; returns whether the chosen program may be another one, or changed."""
        assembler = self._assemblers[pid]
        expected = assembler.next_cc
        if expected not in (cc, -1):
            repeated = cc == (expected - 1) & 15  # a duplicate, or a multiplexer that does not count
            if repeated and not begins:
                return False
            self._statistics.lost_packets += 0 if repeated else (cc - expected) & 15
            assembler.lose()
        assembler.next_cc = (cc + 1) & 15
        before, damaged = self.chosen, assembler.damaged
        for section in assembler.feed(payload, begins):
            if pid == PAT_PID:
                self._read_pat(section)
            else:
                self._read_pmt(section, pid)
        self._statistics.malformed += assembler.damaged - damaged
        if self.chosen is not None and self._wanted is None and not self.carried(self.chosen):
            self.chosen = None
        if self.chosen is None and self._complete:
            self._choose(settle=pid == PAT_PID and begins)
        return self.chosen is not before

    def carried(self, program: Program) -> list[ElementaryStreamInfo]:
        """The streams of a program that are read: of a known codec, and among the wanted PIDs.

        None when its picture is not carried: a stream that says it is live must not be without it.
        """
        streams = [each for each in program.streams if not self._pids or each.pid in self._pids]
        carried = [each for each in streams if each.codec is not None]
        with_video = any(each.codec is not None and each.codec.is_video for each in carried)
        return [] if not with_video and any(each.is_uncarried_video for each in streams) else carried

    def _read_pat(self, section: bytes) -> None:
        pat = parse_pat(section)
        if pat is None:
            return
        if pat.version != self._pat_version:
            self._pat_version = pat.version
            self._pat_sections.clear()
        programs = self._within_bound(pat.programs)
        if self._pat_sections.get(pat.number) == programs:
            return
        self._pat_sections[pat.number] = programs
        if len(self._pat_sections) > pat.last_number:
            listed = [self._pat_sections[number] for number in sorted(self._pat_sections)]
            self._set_programs(dict(self._within_bound(itertools.chain.from_iterable(listed))))

    def _within_bound(self, programs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        """The first programs, and the wanted one wherever it stands: a PAT may list 65,535."""
        rest = iter(programs)
        first = tuple(itertools.islice(rest, self._limits.max_programs))
        if self._wanted is None:
            return first
        wanted = next((entry for entry in rest if entry[0] == self._wanted), None)
        return first if wanted is None else (*first[:-1], wanted)

    def _set_programs(self, listed: dict[int, int]) -> None:
        known = self._programs
        self._programs = {
            number: known[number]
            if number in known and known[number].pmt_pid == pid
            else Program(number, pid)
            for number, pid in listed.items()
        }
        old = self._assemblers
        self._assemblers = {program.pmt_pid: SectionAssembler() for program in self._programs.values()}
        for program in self._programs.values():
            if program.known and program.pmt_pid in old:
                self._assemblers[program.pmt_pid] = old[program.pmt_pid]
        self._assemblers[PAT_PID] = old[PAT_PID]
        self._complete = True
        if self.chosen is not None and self.chosen.number not in self._programs:
            self.chosen = None

    def _read_pmt(self, section: bytes, pid: int) -> None:
        try:
            program = parse_pmt(section, pid)
        except MediaError:
            self._statistics.malformed += 1
            return
        if program is None:
            return
        listed = self._programs.get(program.number)
        if listed is None or listed.pmt_pid != pid or listed == program:
            return
        self._programs[program.number] = program
        if self.chosen is not None and self.chosen.number == program.number:
            self.chosen = program

    def _choose(self, *, settle: bool) -> None:
        """``settle``: do not wait for the PMTs that did not come since the PAT."""
        for program in self._programs.values():
            if self._wanted is not None and program.number != self._wanted:
                continue
            if not program.known and not settle:
                return
            if program.known and (self._wanted is not None or self.carried(program)):
                self.chosen = program
                return
