"""MPEG transport streams → frames (ISO/IEC 13818-1, ITU-T H.222.0)."""

from collections.abc import Collection, Iterator

from openstreamer.media.clock import TICKS_PER_MS
from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.demuxer import ListedProgram, ListedStream
from openstreamer.wire.mpegts.audio import AudioStream
from openstreamer.wire.mpegts.gate import TrackGate
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.packets import PAYLOAD_BYTES, SYNC_BYTE, PacketFinder
from openstreamer.wire.mpegts.programs import ProgramTable
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.stream import CodecStream, ElementaryStream
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, Program, TsCodec
from openstreamer.wire.mpegts.times import CLOCK_BITS, ProgramClock, TrackTimes
from openstreamer.wire.mpegts.video import Av1Stream, NalStream

VIDEO_TRACK_ID = 0
FIRST_AUDIO_TRACK_ID = 1

# The header of a packet (2.4.3.2) as one little-endian number
_SYNC = 0xFF
_ERROR = 0x8000
_BEGINS = 0x4000
_SCRAMBLED = 0xC0000000
_ADAPTATION = 0x20000000
_PAYLOAD = 0x10000000
_COUNTER_AT = 24
_COUNTER = 0x0F000000
_ONE_MORE = 0x01000000
_BUT_COUNTER = 0xF0FFFFFF

# Flags of the adaptation field (2.4.3.4)
_DISCONTINUITY = 0x80
_PCR = 0x10
_WITH_FIELDS = 0x0F  # OPCR, splice countdown, private data, extension: whose sizes are not looked at
_PCR_BYTES = 6


class MpegTsDemuxer:
    """A :class:`~openstreamer.wire.demuxer.Demuxer` for one program: its first video and all audio streams.

    ``program`` chooses by number, ``pids`` lets only these elementary streams through. Video is track 0,
    audio tracks are 1 and up in the order of the PMT. A damaged access unit is dropped and counted, and what
    follows goes on: decoders conceal a missing picture. Filler data and access unit delimiters are left out.
    """

    def __init__(
        self,
        *,
        program: int | None = None,
        pids: Collection[int] = (),
        limits: MpegTsLimits | None = None,
    ) -> None:
        self._limits = limits or MpegTsLimits()
        self._wanted = program
        self._wanted_pids = tuple(pids)
        self.statistics = MpegTsStatistics()
        self._finder = PacketFinder(self._limits.max_garbage_bytes)
        self._table = ProgramTable(program, pids, self._limits, self.statistics)
        self._clock = ProgramClock()
        self._times: dict[int, TrackTimes] = {}  # by track id: they outlive a change of the PMT
        self._gate = TrackGate(self._limits, self._clock, self.statistics)
        self._streams: dict[int, ElementaryStream] = {}  # by PID
        self._ordered: list[ElementaryStream] = []  # video first
        self._plain: dict[int, ElementaryStream] = {}  # by the header of simple packets, without its counter
        self._out: list[Frame] = []
        self._first_clock: tuple[int, int] | None = None  # PID and time of it

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first: the same object for as long as they are the same."""
        return self._gate.tracks

    @property
    def programs(self) -> tuple[Program, ...]:
        """What PAT and PMTs say, in the order of the PAT."""
        return self._table.programs

    @property
    def program(self) -> Program | None:
        """The program that is read, once it is known."""
        return self._table.chosen

    @property
    def listed_programs(self) -> tuple[ListedProgram, ...]:
        """The same for people: what is in them, and what of it is read."""
        chosen = self._table.chosen
        return tuple(
            ListedProgram(
                program.number,
                chosen is not None and program.number == chosen.number,
                tuple(self._listed(info) for info in program.streams),
            )
            for program in self.programs
        )

    def receive_data(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that ``data`` completed, in the order of the container; often none.

        Raises:
            SourceRejected: nothing in the program can be carried; the message says what there is.
            RemoteProtocolError: this is no transport stream.
        """
        whole = self._finder.whole(data)
        if whole is not None and self._read(whole):
            self._finder.consumed()
        else:
            for run in self._finder.runs(data if whole is None else b""):
                self._read(run)
        if not self._out:
            return []
        return self._take()

    def receive_eof(self) -> list[Frame]:
        """The frames that the end of the data completes.

        Raises :class:`SourceRejected` when there was nothing that could be carried.
        """
        for run in self._finder.runs(b"", at_end=True):
            self._read(run)
        for stream in self._ordered:
            self._deliver(stream.end())
        self._out += self._gate.release()
        frames = self._take()
        if not self._gate.flowing:
            raise SourceRejected(self._why_nothing())
        return frames

    def _take(self) -> list[Frame]:
        frames, self._out = self._out, []
        return frames

    # ------------------------------------------------------------------ packets

    def _read(self, run: Iterator[tuple[int, bytes]]) -> bool:
        """Whether the run was read to its end.

        Nine packets of ten have nothing but payload and follow one of their own stream: for these, all is
        in this loop. ``room`` and the counter of ``stream`` are kept in locals while it goes on."""
        plain = self._plain.get
        count = run.__length_hint__()  # type: ignore[attr-defined]  # of an unpack iterator: exact
        synced = True
        stream: ElementaryStream | None = None
        expected, room = -1, 0  # the header of its next packet, and how many bytes it still takes
        for head, body in run:
            if head != expected:
                if stream is not None:
                    stream.room, stream.fast_cc = room, expected >> _COUNTER_AT & 15
                stream = plain(head & _BUT_COUNTER)
                if stream is None or stream.fast_cc != head >> _COUNTER_AT & 15:
                    stream, expected = None, -1
                    if head & _SYNC != SYNC_BYTE:
                        count -= 1 + run.__length_hint__()  # type: ignore[attr-defined]
                        self._lose_sync(run)
                        synced = False
                        break
                    self._packet(head, body)
                    plain = self._plain.get
                    continue
                append, room = stream.pieces.append, stream.room
            append(body)
            room -= PAYLOAD_BYTES
            expected = head + _ONE_MORE if head & _COUNTER != _COUNTER else head - _COUNTER
            if room <= 0:
                assert stream is not None
                stream.room, stream.fast_cc = room, expected >> _COUNTER_AT & 15
                self._deliver(stream.filled())
                stream, expected = None, -1
        if stream is not None:
            stream.room, stream.fast_cc = room, expected >> _COUNTER_AT & 15
        self.statistics.packets += count
        if not self._gate.flowing and self.statistics.packets > self._limits.max_silent_packets:
            self._reject_endless_silence()
        return synced

    def _reject_endless_silence(self) -> None:
        limits = self._limits
        passed_ms = min(self._clock.passed_90k // TICKS_PER_MS, limits.configuration_wait_ms)
        if self.statistics.packets > limits.max_silent_packets + limits.max_silent_packets_per_ms * passed_ms:
            raise SourceRejected(self._why_nothing())

    def _lose_sync(self, run: Iterator[tuple[int, bytes]]) -> None:
        self._finder.lost_sync(run)
        self.statistics.resyncs = self._finder.resyncs
        self.statistics.malformed += 1

    def _packet(self, head: int, body: bytes) -> None:
        pid = head & 0x1F00 | head >> 16 & 0xFF
        stream = self._streams.get(pid)
        if stream is None and not self._table.is_table(pid):
            if not self._ordered and head & _ADAPTATION:
                self._reject_in_vain(pid, body)
            return
        if head & _ERROR:
            self.statistics.malformed += 1
            return
        if head & _SCRAMBLED:
            self._scrambled(head, body, stream)
            return
        start, flags = 0, 0
        stuffed = False
        if head & _ADAPTATION:
            length = body[0]
            start = length + 1
            if start > PAYLOAD_BYTES:
                self.statistics.malformed += 1
                return
            flags = body[1] if length else 0
            fields = 1 + _PCR_BYTES if flags & _PCR else 1
            stuffed = not length or (length > fields and not flags & _WITH_FIELDS)
        if not head & _PAYLOAD:
            return
        payload = body[start:] if start else body
        begins = head & _BEGINS != 0
        if stream is not None:
            jumps = flags & _DISCONTINUITY != 0
            self._deliver(
                stream.receive(head >> _COUNTER_AT & 15, payload, begins=begins, stuffed=stuffed, jumps=jumps)
            )
        elif self._table.receive(pid, head >> _COUNTER_AT & 15, payload, begins):
            self._follow_program()

    def _scrambled(self, head: int, body: bytes, stream: ElementaryStream | None) -> None:
        self.statistics.scrambled_packets += 1
        if stream is None:
            return
        stream.scrambled = True
        self._deliver(stream.skip())
        if head & _ADAPTATION and not self._gate.flowing and not any(each.clear for each in self._ordered):
            self._reject_in_vain(stream.info.pid, body)

    def _reject_in_vain(self, pid: int, body: bytes) -> None:
        """Where no stream gives media time, the clock says when there was time enough for one to come."""
        if body[0] <= _PCR_BYTES or not body[1] & _PCR:
            return
        pcr_90k = int.from_bytes(body[2:7], "big") >> 7
        if self._first_clock is None:
            self._first_clock = pid, pcr_90k
        first_pid, first_90k = self._first_clock
        if pid != first_pid or not self._table.is_known:
            return
        known = all(program.known for program in self.programs)
        wait_ms = self._limits.track_wait_ms if known else self._limits.configuration_wait_ms
        if (pcr_90k - first_90k) % (1 << CLOCK_BITS) >= wait_ms * TICKS_PER_MS:
            raise SourceRejected(self._why_nothing())

    def _deliver(self, frames: list[Frame]) -> None:
        if frames or not self._gate.flowing:
            self._out += self._gate.pass_on(frames, self._ordered)

    # ------------------------------------------------------------------ the program

    def _follow_program(self) -> None:
        """The chosen program is another one, or its PMT changed: keep the streams that stay the same."""
        program = self._table.chosen
        infos = [] if program is None else self._chosen_streams(program)
        streams: list[ElementaryStream] = []
        audio_id = FIRST_AUDIO_TRACK_ID
        for info in infos:
            track_id = VIDEO_TRACK_ID
            if info.codec is not None and not info.codec.is_video:
                track_id = audio_id
                audio_id += 1
            stream = self._streams.get(info.pid)
            if stream is None or stream.info != info or stream.codec.track_id != track_id:
                stream = self._make(info, track_id)
            if stream is not None:
                streams.append(stream)
        for old in self._ordered:
            if old not in streams:
                self._deliver(old.end())
        self._ordered = streams
        self._streams = {stream.info.pid: stream for stream in streams}
        self._plain = {_plain_head(pid): stream for pid, stream in self._streams.items()}

    def _chosen_streams(self, program: Program) -> list[ElementaryStreamInfo]:
        """The first video and all audio streams, video first."""
        carried = self._table.carried(program)[: self._limits.max_streams]
        self.statistics.unknown_streams = sum(stream.codec is None for stream in program.streams)
        video = [info for info in carried if info.codec is not None and info.codec.is_video]
        return video[:1] + [info for info in carried if info not in video]

    def _make(self, info: ElementaryStreamInfo, track_id: int) -> ElementaryStream | None:
        times = self._times.setdefault(track_id, TrackTimes(self._clock))
        codec: CodecStream
        try:
            if info.codec is TsCodec.AV1:
                codec = Av1Stream(info, track_id, times, self.statistics, self._limits)
            elif info.codec is not None and info.codec.is_video:
                codec = NalStream(info, track_id, times, self.statistics, self._limits)
            else:
                codec = AudioStream(info, track_id, times, self.statistics)
        except MediaError:
            self.statistics.unknown_streams += 1
            return None
        limits = self._limits
        max_bytes = limits.max_unit_bytes if codec.is_video else limits.max_sound_bytes
        return ElementaryStream(info, codec, self._clock, self.statistics, max_bytes)

    def _listed(self, info: ElementaryStreamInfo) -> ListedStream:
        stream = self._streams.get(info.pid)
        scrambled = stream is not None and stream.scrambled and not stream.clear
        track_id = None if stream is None else stream.codec.track_id
        return ListedStream(info.pid, info.description, info.codec is not None, scrambled, track_id)

    def _why_nothing(self) -> str:
        """In words, why no frame came out."""
        if not self._finder.found:
            return "MPEG-TS: no packets were found"
        if not self._table.is_known:
            return f"MPEG-TS: no program table (PAT) in {self.statistics.packets} packets"
        numbers = ", ".join(str(program.number) for program in self.programs) or "none"
        if self._wanted is not None and all(program.number != self._wanted for program in self.programs):
            return f"MPEG-TS: there is no program {self._wanted}, only {numbers}"
        if self._ordered and all(stream.scrambled and not stream.clear for stream in self._ordered):
            return f"MPEG-TS: program {self.program.number if self.program else '?'} is scrambled"
        streams = [stream for program in self.programs for stream in program.streams]
        if not self._ordered:
            where = f" on PID {', '.join(map(str, self._wanted_pids[:8]))}" if self._wanted_pids else ""
            listed = [f"{stream.description} on PID {stream.pid}" for stream in streams]
            pictures = [stream for stream in streams if stream.is_uncarried_video]
            if pictures and not where:
                picture = f"{pictures[0].description} on PID {pictures[0].pid}"
                return f"MPEG-TS: nothing that can be carried: {picture} is not supported"
            what = ", ".join(listed[:8]) or "programs without a PMT"
            return f"MPEG-TS: nothing that can be carried{where}, only {what}"
        names = ", ".join(stream.description for stream in streams[:8])
        return f"MPEG-TS: {names}: no frame in {self.statistics.packets} packets"


def _plain_head(pid: int) -> int:
    """The header of a packet with nothing but payload, its counter left out."""
    return SYNC_BYTE | pid & 0x1F00 | (pid & 0xFF) << 16 | _PAYLOAD
