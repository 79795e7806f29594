"""Frames → an MPEG transport stream of one program (ISO/IEC 13818-1)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from openstreamer.media.clock import TICKS_PER_MS, TICKS_PER_SECOND, rescale
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.mpegts.packets import PAYLOAD_BYTES, SYNC_BYTE
from openstreamer.wire.mpegts.payloads import Carriage, carriage_of
from openstreamer.wire.mpegts.table_writer import StreamEntry, pat_section, pmt_section, section_payloads
from openstreamer.wire.mpegts.tables import NULL_PID, PAT_PID

_TIME_MASK = (1 << 33) - 1
_PES_BYTES_MAX = 0xFFFF  # that PES_packet_length can say
_DISCONTINUITY_90K = TICKS_PER_SECOND  # a clock that steps farther is said to (2.4.3.5)

# Flags of the adaptation field (2.4.3.4)
_DISCONTINUITY = 0x80
_RANDOM_ACCESS = 0x40
_PCR = 0x10

_SHARED_PES_BYTES_MAX = 16_384  # of several audio frames: no receiver's buffer is asked for more at once


@dataclass(frozen=True, slots=True)
class MuxOptions:
    """How often tables and clock come, and which numbers are used.

    ``pcr_lead_ms`` is how far the clock is behind decoding times: as long as a receiver may have to wait for
    a frame on the network. TS 101 154 wants tables every 100 ms and the clock every 40 ms; both need a frame
    to come then.
    """

    table_interval_ms: int = 100
    pcr_interval_ms: int = 40
    pcr_lead_ms: int = 200
    transport_stream_id: int = 1
    program: int = 1
    pmt_pid: int = 0x1000
    first_pid: int = 0x100


class _Stream:
    """One track on its PID."""

    __slots__ = ("carriage", "cc", "pid", "track")

    def __init__(self, track: Track, pid: int) -> None:
        self.track = track
        self.pid = pid
        self.carriage: Carriage = carriage_of(track)
        self.cc = 0


class MpegTsMuxer:
    """Frames in decoding order in, whole packets out.

    A track that changes its configuration keeps its PID; one that comes later gets the next. When what the
    PMT says changes, a new version of it goes in front of the frame. Raises :class:`MediaError` for a
    codec that MPEG-TS cannot carry, from the constructor and from :meth:`mux`.
    """

    def __init__(self, tracks: Sequence[Track], options: MuxOptions | None = None) -> None:
        self._options = options or MuxOptions()
        self._streams: dict[int, _Stream] = {}  # by track id
        self._version = 0
        self._table_ccs = {PAT_PID: 0, self._options.pmt_pid: 0}
        self._tables: list[tuple[int, bytes, bool]] = []  # PID, payload, whether a section begins in it
        self._tables_at_90k: int | None = None
        self._pcr_90k: int | None = None
        self._pcr_stream: _Stream | None = None
        for track in tracks:
            self._streams[track.id] = _Stream(track, self._options.first_pid + len(self._streams))
        self._build_tables()

    def tables(self) -> bytes:
        """PAT and PMT, one packet each nearly always: what every segment and every connection begins with."""
        pieces = []
        for pid, payload, begins in self._tables:
            cc = self._table_ccs[pid]
            self._table_ccs[pid] = (cc + 1) & 15
            pieces.append(_header(pid, cc, begins=begins) + payload)
        return b"".join(pieces)

    def mux(self, frames: Iterable[Frame]) -> bytes:
        """The packets of ``frames``, with tables and clock where they are due.

        Audio frames that follow each other share a PES packet as far as their times can be told from the
        first one's.
        """
        out: list[bytes] = []
        run = _AudioRun()
        for frame in frames:
            if run.frames and not run.takes(frame):
                self._write(out, run.frames)
                run = _AudioRun()
            if frame.track.is_video:
                self._write(out, [frame])
            else:
                run.add(frame)
        if run.frames:
            self._write(out, run.frames)
        return b"".join(out)

    # ------------------------------------------------------------------ tables and clock

    def _stream_of(self, track: Track) -> tuple[_Stream, bool]:
        """The stream of a track, and whether the tables have to say something new."""
        stream = self._streams.get(track.id)
        if stream is not None and stream.track is track:
            return stream, False
        pid = self._options.first_pid + len(self._streams) if stream is None else stream.pid
        made = _Stream(track, pid)
        if stream is not None:
            made.cc = stream.cc
        self._streams[track.id] = made
        if stream is not None and stream.carriage == made.carriage and self._pcr_stream is not stream:
            return made, False
        changed = stream is None or stream.carriage != made.carriage
        self._version = (self._version + changed) & 31
        self._build_tables()
        return made, changed

    def _build_tables(self) -> None:
        options = self._options
        streams = list(self._streams.values())
        video = next((stream for stream in streams if stream.track.is_video), None)
        self._pcr_stream = video or (streams[0] if streams else None)
        entries = [
            StreamEntry(each.pid, each.carriage.stream_type, each.carriage.descriptors) for each in streams
        ]
        pcr_pid = self._pcr_stream.pid if self._pcr_stream is not None else NULL_PID
        pat = pat_section(options.transport_stream_id, options.program, options.pmt_pid)
        pmt = pmt_section(options.program, self._version, pcr_pid, entries)
        self._tables = [
            (pid, payload, number == 0)
            for pid, section in ((PAT_PID, pat), (options.pmt_pid, pmt))
            for number, payload in enumerate(section_payloads(section))
        ]

    def _write(self, out: list[bytes], frames: list[Frame]) -> None:
        """One PES packet, behind the tables and the clock when these are due."""
        frame = frames[0]
        stream, changed = self._stream_of(frame.track)
        options = self._options
        pcr_90k = frame.dts_90k - options.pcr_lead_ms * TICKS_PER_MS
        at_90k = self._tables_at_90k
        due = at_90k is None or abs(frame.dts_90k - at_90k) >= options.table_interval_ms * TICKS_PER_MS
        if due or changed or (frame.key and frame.track.is_video):
            out.append(self.tables())
            self._tables_at_90k = frame.dts_90k
        fields = _RANDOM_ACCESS if frame.key else 0
        clock = b""
        if stream is self._pcr_stream:
            flags, clock = self._clock(pcr_90k)
            fields |= flags
        elif self._pcr_stream is not None and self._pcr_is_due(pcr_90k):
            pcr_flags, pcr = self._clock(pcr_90k)
            counter = (self._pcr_stream.cc - 1) & 15  # a packet without payload does not count (2.4.3.3)
            out.append(_packet_without_payload(self._pcr_stream.pid, counter, pcr_flags, pcr))
        self._packetise(out, stream, self._pes(stream, frames), fields, clock)

    def _pcr_is_due(self, pcr_90k: int) -> bool:
        last = self._pcr_90k
        return last is None or pcr_90k - last >= self._options.pcr_interval_ms * TICKS_PER_MS

    def _clock(self, pcr_90k: int) -> tuple[int, bytes]:
        """Flags and field of a clock reference; its 27 MHz part is 0 (2.4.3.5)."""
        last, self._pcr_90k = self._pcr_90k, pcr_90k
        jumps = last is not None and not 0 <= pcr_90k - last <= _DISCONTINUITY_90K
        bits = (pcr_90k & _TIME_MASK) << 15 | 0x3F << 9
        return _PCR | (_DISCONTINUITY if jumps else 0), bits.to_bytes(6, "big")

    # ------------------------------------------------------------------ PES and packets

    def _pes(self, stream: _Stream, frames: list[Frame]) -> bytes:
        payload = b"".join([stream.carriage.payload(frame) for frame in frames])
        first = frames[0]
        times = _timestamp(0x20, first.pts_90k)
        if first.dts_90k != first.pts_90k:
            times = _timestamp(0x30, first.pts_90k) + _timestamp(0x10, first.dts_90k)
        length = 3 + len(times) + len(payload)
        if length > _PES_BYTES_MAX:
            if not first.track.is_video:
                raise MediaError(f"MPEG-TS: an audio frame of {len(payload)} bytes does not fit a PES packet")
            length = 0  # allowed for video only (2.4.3.7)
        flags = 0xC0 if len(times) == 10 else 0x80
        head = b"\x00\x00\x01" + bytes((stream.carriage.stream_id,)) + length.to_bytes(2, "big")
        return head + bytes((0x84, flags, len(times))) + times + payload  # 0x84: data_alignment_indicator

    def _packetise(self, out: list[bytes], stream: _Stream, pes: bytes, flags: int, clock: bytes) -> None:
        pid, cc = stream.pid, stream.cc
        fields = bytes((flags,)) + clock if flags else b""
        room = PAYLOAD_BYTES - len(fields) - bool(fields)
        out.append(_packet(pid, cc, pes[:room], fields, begins=True))
        cc = (cc + 1) & 15
        position, end = room, len(pes)
        plain = (SYNC_BYTE << 24 | pid << 8 | 0x10).to_bytes(4, "big")
        head, counters = plain[:3], _COUNTERS
        while end - position >= PAYLOAD_BYTES:
            following = position + PAYLOAD_BYTES
            out += (head, counters[cc], pes[position:following])
            cc = (cc + 1) & 15
            position = following
        if position < end:
            out.append(_packet(pid, cc, pes[position:], b"", begins=False))
            cc = (cc + 1) & 15
        stream.cc = cc


class _AudioRun:
    """Audio frames of one track for one PES packet."""

    __slots__ = ("_bytes", "_next_90k", "_samples", "frames")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._samples = 0
        self._bytes = 0
        self._next_90k: int | None = None

    def takes(self, frame: Frame) -> bool:
        """Whether the times of ``frame`` follow from the first one's."""
        return (
            frame.track is self.frames[0].track
            and frame.pts_90k == self._next_90k
            and self._bytes + len(frame.payload) <= _SHARED_PES_BYTES_MAX
        )

    def add(self, frame: Frame) -> None:
        """Append it."""
        self.frames.append(frame)
        self._bytes += len(frame.payload)
        config = frame.track.audio
        try:
            self._samples += config.samples_in(frame.payload)
        except MediaError:
            self._next_90k = None  # how long it lasts is not known: it is the last of its PES packet
            return
        length_90k = rescale(self._samples, config.timescale, TICKS_PER_SECOND)
        self._next_90k = self.frames[0].pts_90k + length_90k


_COUNTERS = [bytes((0x10 | cc,)) for cc in range(16)]


def _header(pid: int, cc: int, *, begins: bool, control: int = 0x10) -> bytes:
    return (SYNC_BYTE << 24 | begins << 22 | pid << 8 | control | cc).to_bytes(4, "big")


def _packet(pid: int, cc: int, payload: bytes, fields: bytes, *, begins: bool) -> bytes:
    """A packet with the given adaptation fields, and stuffing when ``payload`` does not fill it (2.4.3.4)."""
    space = PAYLOAD_BYTES - len(payload)
    if not space:
        return _header(pid, cc, begins=begins) + payload
    if space == 1:
        return _header(pid, cc, begins=begins, control=0x30) + b"\x00" + payload
    fields = fields or b"\x00"
    stuffing = b"\xff" * (space - 1 - len(fields))
    return _header(pid, cc, begins=begins, control=0x30) + bytes((space - 1,)) + fields + stuffing + payload


def _packet_without_payload(pid: int, cc: int, flags: int, clock: bytes) -> bytes:
    fields = bytes((PAYLOAD_BYTES - 1, flags)) + clock
    return _header(pid, cc, begins=False, control=0x20) + fields + b"\xff" * (PAYLOAD_BYTES - len(fields))


def _timestamp(marker: int, time_90k: int) -> bytes:
    """33 bits with a marker bit behind each part (2.4.3.6)."""
    time = time_90k & _TIME_MASK
    bits = (
        marker << 32 | 0x100010001 | (time >> 30) << 33 | (time >> 15 & 0x7FFF) << 17 | (time & 0x7FFF) << 1
    )
    return bits.to_bytes(5, "big")
