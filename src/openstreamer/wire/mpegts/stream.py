"""One elementary stream: transport packet payloads → PES packets (ISO/IEC 13818-1 section 2.4.3.6)."""

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.mpegts.audio import AudioStream
from openstreamer.wire.mpegts.packets import PAYLOAD_BYTES
from openstreamer.wire.mpegts.pes import PREFIX_BYTES, PesHeader, parse_pes_header
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo
from openstreamer.wire.mpegts.times import ProgramClock
from openstreamer.wire.mpegts.video import Av1Stream, NalStream

CodecStream = AudioStream | NalStream | Av1Stream

_LEARNING = 8
NEVER = -1  # no continuity counter


class ElementaryStream:
    """The PID of one stream.

    A packet whose counter is ``fast_cc`` and that has nothing but payload may be appended to ``pieces`` by
    the owner, who takes its size off ``room`` and calls :meth:`filled` when that is used up: this is what
    happens for nine packets of ten.

    A PES packet of unbounded length ends where the next one begins, a picture later. But multiplexers fill
    the last packet up with stuffing, and no other one: once that was seen ``_LEARNING`` times in a row, a
    PES packet is whole when such a packet comes.
    """

    __slots__ = (
        "_bounded",
        "_clock",
        "_ends_early",
        "_last_payload",
        "_max_bytes",
        "_statistics",
        "_stuffed",
        "_stuffed_ends",
        "clear",
        "codec",
        "fast_cc",
        "info",
        "next_cc",
        "pieces",
        "room",
        "scrambled",
    )

    def __init__(
        self,
        info: ElementaryStreamInfo,
        codec: CodecStream,
        clock: ProgramClock,
        statistics: MpegTsStatistics,
        max_bytes: int,
    ) -> None:
        self.info = info
        self.codec = codec
        self.pieces: list[bytes] = []
        self.room = 0
        self.fast_cc = NEVER
        self.next_cc = NEVER
        self.clear = False  # a packet came that is not scrambled
        self.scrambled = False
        self._clock = clock
        self._statistics = statistics
        self._max_bytes = max_bytes
        self._bounded = False
        self._last_payload = b""
        self._stuffed = False  # the last packet had stuffing
        self._stuffed_ends = 0  # in a row; NEVER: there was stuffing in the middle
        self._ends_early = False  # a PES packet was passed on at its stuffing

    @property
    def track(self) -> Track | None:
        """The track, once its configuration is known."""
        return self.codec.track

    @property
    def is_video(self) -> bool:
        """Whether it carries video."""
        return self.codec.is_video

    def receive(self, cc: int, payload: bytes, *, begins: bool, stuffed: bool, jumps: bool) -> list[Frame]:
        """A packet that is not as simple as the owner could append it; returns the frames it completes.

        ``jumps``: the counter need not go on (2.4.3.5, discontinuity_indicator).
        """
        expected = self.fast_cc if self.fast_cc >= 0 else self.next_cc
        frames: list[Frame] = []
        if expected not in (cc, NEVER):
            if cc == (expected - 1) & 15 and payload == self._newest():
                self._statistics.duplicate_packets += 1
                return []
            if not jumps:
                self._statistics.lost_packets += (cc - expected) & 15
            frames = self.lose()
        self.clear = True
        self.fast_cc = NEVER
        self.next_cc = (cc + 1) & 15
        frames += self._begin(payload, stuffed) if begins else self._append(payload, stuffed)
        self._last_payload = payload
        self._stuffed = stuffed and bool(self.pieces)
        return frames

    def filled(self) -> list[Frame]:
        """Nothing more fits: the PES packet is whole, or larger than allowed."""
        self._last_payload = self.pieces[-1]
        if self.fast_cc >= 0:
            self.next_cc = self.fast_cc
        if self._bounded:
            return self._complete()
        self._statistics.malformed += 1
        self._reset()
        self.codec.lose()
        return []

    def skip(self) -> list[Frame]:
        """A packet came that cannot be read; returns what is whole without it."""
        frames = self.lose()
        self.next_cc = NEVER
        return frames

    def lose(self) -> list[Frame]:
        """Packets are missing."""
        header, payload = self._take()
        if header is None:
            return self.codec.lose()
        return self.codec.feed_damaged(payload, self._clock.unwrap(header.pts, header.dts))

    def end(self) -> list[Frame]:
        """There is no more: what is held is whole, unless its length says otherwise."""
        frames = self._complete() if self.pieces and not self._bounded else self.lose() if self.pieces else []
        return frames + self.codec.end()

    def _newest(self) -> bytes:
        return self.pieces[-1] if self.pieces else self._last_payload

    def _begin(self, payload: bytes, stuffed: bool) -> list[Frame]:
        frames: list[Frame] = []
        if self.pieces:
            if self._stuffed_ends >= 0 and not self._bounded:
                self._stuffed_ends += self._stuffed
            frames = self._complete()
        self._ends_early = False
        if payload[:3] != b"\x00\x00\x01":
            self._statistics.malformed += 1
            return frames
        length = int.from_bytes(payload[4:PREFIX_BYTES], "big") if len(payload) >= PREFIX_BYTES else 0
        self._bounded = length != 0
        self.room = (length + PREFIX_BYTES if length else self._max_bytes) - len(payload)
        self.pieces.append(payload)
        if self.room <= 0:
            return frames + self._complete()
        return frames + self._may_end(stuffed)

    def _append(self, payload: bytes, stuffed: bool) -> list[Frame]:
        if not self.pieces:
            if self._ends_early:
                self._distrust_stuffing()
            return []
        if self._stuffed and not self._bounded:
            self._distrust_stuffing()
        self.pieces.append(payload)
        self.room -= len(payload)
        if self.room <= 0:
            return self.filled()
        return self._may_end(stuffed)

    def _may_end(self, stuffed: bool) -> list[Frame]:
        """After a packet that does not fill the PES packet up for certain."""
        if stuffed and not self._bounded:
            if self._stuffed_ends >= _LEARNING:
                self._ends_early = True
                return self._complete()
            return []  # not appended to without a look: the next packet tells whether this was the last
        self.fast_cc = self.next_cc
        return []

    def _distrust_stuffing(self) -> None:
        self._stuffed_ends = NEVER
        if self._ends_early:
            self._ends_early = False
            self._statistics.malformed += 1  # what went out was not all

    def _complete(self) -> list[Frame]:
        excess_bytes = -self.room if self._bounded and self.room < 0 else 0
        header, payload = self._take()
        if header is None:
            return []
        if header.scrambled:
            self._statistics.scrambled_packets += -(-len(payload) // PAYLOAD_BYTES)
            self.scrambled = True
            self.clear = False
            return []
        if excess_bytes:
            payload = payload[:-excess_bytes]
        return self.codec.feed(payload, self._clock.unwrap(header.pts, header.dts))

    def _take(self) -> tuple[PesHeader | None, bytes]:
        """The PES packet that was collected. Its header is in the first piece nearly always."""
        pieces = self.pieces
        self._reset()
        if not pieces:
            return None, b""
        header = parse_pes_header(pieces[0])
        if header is None and len(pieces) > 1:
            pieces = [b"".join(pieces)]
            header = parse_pes_header(pieces[0])
        if header is None:
            return None, b""
        pieces[0] = pieces[0][header.payload_start :]
        return header, b"".join(pieces)

    def _reset(self) -> None:
        self.pieces = []
        if self.fast_cc >= 0:
            self.next_cc = self.fast_cc
            self.fast_cc = NEVER
