"""PES packets are put together, whatever their length says and wherever they end."""

from typing import Any

from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts.pes import parse_pes_header
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.stream import ElementaryStream
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, TsCodec
from openstreamer.wire.mpegts.times import ProgramClock

FULL = 184


class Recorder:
    """The codec's side: notes what it is given."""

    is_video = True
    track_id = 0
    track = None

    def __init__(self) -> None:
        self.given: list[tuple[str, bytes, Any]] = []

    def feed(self, payload: bytes, times: Any) -> list[Frame]:
        self.given.append(("whole", payload, times))
        return []

    def feed_damaged(self, payload: bytes, times: Any) -> list[Frame]:
        self.given.append(("damaged", payload, times))
        return []

    def lose(self) -> list[Frame]:
        self.given.append(("lost", b"", None))
        return []

    def end(self) -> list[Frame]:
        return []


class Pid:
    """A stream, and packets for it with the right counter."""

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        self.codec = Recorder()
        self.statistics = MpegTsStatistics()
        info = ElementaryStreamInfo(0x100, 0x1B, TsCodec.H264)
        self.stream = ElementaryStream(
            info,
            self.codec,
            ProgramClock(),
            self.statistics,
            max_bytes,  # type: ignore[arg-type]
        )
        self._cc = 0

    def packet(
        self, payload: bytes, *, begins: bool = False, stuffed: bool = False, jumps: bool = False
    ) -> None:
        self.stream.receive(self._cc & 15, payload, begins=begins, stuffed=stuffed, jumps=jumps)
        self._cc += 1

    def skip(self, count: int = 1) -> None:
        self._cc += count

    @property
    def wholes(self) -> list[bytes]:
        return [payload for kind, payload, _ in self.codec.given if kind == "whole"]


def pes(payload: bytes, *, bounded: bool = False, length: int | None = None, flags: int = 0x80) -> bytes:
    body = bytes((flags, 0x80, 5)) + b"\x21\x00\x01\x00\x01" + payload
    size = length if length is not None else len(body) if bounded else 0
    return b"\x00\x00\x01\xe0" + size.to_bytes(2, "big") + body


def test_an_unbounded_pes_packet_ends_where_the_next_begins() -> None:
    pid = Pid()
    pid.packet(pes(b"one"), begins=True)
    pid.packet(b" two")
    assert pid.wholes == []
    pid.packet(pes(b"next"), begins=True)
    assert pid.wholes == [b"one two"]
    pid.stream.end()
    assert pid.wholes == [b"one two", b"next"]


def test_a_bounded_pes_packet_ends_with_its_length() -> None:
    pid = Pid()
    whole = pes(b"one two", bounded=True)
    pid.packet(whole[:-4], begins=True)
    pid.packet(whole[-4:])
    assert pid.wholes == [b"one two"]
    pid.packet(b"more than was announced")
    pid.packet(pes(b"whole at once", bounded=True) + b"and more", begins=True)
    assert pid.wholes == [b"one two", b"whole at once"]


def test_a_bounded_pes_packet_that_ends_early_is_taken_as_it_is() -> None:
    pid = Pid()
    pid.packet(pes(b"short", length=500), begins=True)
    pid.packet(pes(b"next", bounded=True), begins=True)
    assert pid.wholes == [b"short", b"next"]


def test_a_bounded_pes_packet_that_the_end_cuts_is_damaged() -> None:
    pid = Pid()
    pid.packet(pes(b"short", length=500), begins=True)
    pid.stream.end()
    assert [kind for kind, _, _ in pid.codec.given] == ["damaged"]


def test_a_header_over_two_packets_is_put_together() -> None:
    whole = pes(b"payload")
    for cut in (3, 5, 6, 8, 12):
        pid = Pid()
        pid.packet(whole[:cut], begins=True)
        pid.packet(whole[cut:])
        pid.packet(pes(b""), begins=True)
        assert pid.wholes == [b"payload"]


def test_a_packet_that_begins_without_a_start_code_is_malformed() -> None:
    pid = Pid()
    pid.packet(b"no start code", begins=True)
    pid.packet(b"nor here")
    assert pid.statistics.malformed == 1
    pid.packet(pes(b"fine", bounded=True), begins=True)
    assert pid.wholes == [b"fine"]


def test_a_pes_packet_larger_than_allowed_is_dropped() -> None:
    pid = Pid(max_bytes=500)
    pid.packet(pes(bytes(170)), begins=True)
    for _ in range(4):
        pid.packet(bytes(FULL))
    assert pid.statistics.malformed == 1
    assert pid.stream.pieces == []
    pid.packet(pes(b"fine", bounded=True), begins=True)
    assert pid.wholes == [b"fine"]


def test_stuffing_ends_a_pes_packet_once_it_did_so_for_a_while() -> None:
    pid = Pid()
    for n in range(12):
        pid.packet(pes(bytes((n,)) * 10), begins=True)
        pid.packet(b"end", stuffed=True)
        assert len(pid.wholes) == (n if n < 8 else n + 1)


def test_stuffing_ends_a_pes_packet_of_one_packet_as_well() -> None:
    pid = Pid()
    for n in range(12):
        pid.packet(pes(bytes((n,)) * 10), begins=True, stuffed=True)
        assert len(pid.wholes) == (n if n < 8 else n + 1)


def test_stuffing_in_the_middle_is_not_believed_any_more() -> None:
    pid = Pid()
    for _ in range(12):
        pid.packet(pes(b"a"), begins=True)
        pid.packet(b"b", stuffed=True)
    pid.packet(b"c")
    assert pid.statistics.malformed == 1
    before = len(pid.wholes)
    for _ in range(20):
        pid.packet(pes(b"a"), begins=True)
        pid.packet(b"b", stuffed=True)
        pid.packet(b"c")
    pid.stream.end()
    assert pid.wholes[before:] == [b"abc"] * 20


def test_stuffing_in_the_middle_is_noticed_before_it_was_believed() -> None:
    pid = Pid()
    for _ in range(20):
        pid.packet(pes(b"a"), begins=True)
        pid.packet(b"b", stuffed=True)
        pid.packet(b"c", stuffed=True)
    pid.stream.end()
    assert pid.wholes == [b"abc"] * 20


def test_a_gap_damages_what_was_begun() -> None:
    pid = Pid()
    pid.packet(pes(b"one"), begins=True)
    pid.skip(3)
    pid.packet(b"two")
    assert [(kind, payload) for kind, payload, _ in pid.codec.given] == [("damaged", b"one")]
    assert pid.statistics.lost_packets == 3
    pid.skip()
    pid.packet(pes(b"three", bounded=True), begins=True)
    assert [kind for kind, _, _ in pid.codec.given] == ["damaged", "lost", "whole"]


def test_a_gap_behind_half_a_header_is_a_loss() -> None:
    pid = Pid()
    pid.packet(pes(b"")[:7], begins=True)
    pid.skip()
    pid.packet(b"")
    assert [kind for kind, _, _ in pid.codec.given] == ["lost"]


def test_a_jump_that_is_announced_counts_no_loss() -> None:
    pid = Pid()
    pid.packet(pes(b"one", bounded=True), begins=True)
    pid.skip(5)
    pid.packet(pes(b"two", bounded=True), begins=True, jumps=True)
    assert pid.statistics.lost_packets == 0
    assert pid.wholes == [b"one", b"two"]


def test_scrambled_and_padding_pes_packets_are_left_out() -> None:
    pid = Pid()
    pid.packet(pes(b"secret", bounded=True, flags=0x90), begins=True)
    padding = b"\x00\x00\x01\xbe\x00\x04abcd"
    pid.packet(padding, begins=True)
    assert pid.wholes == []
    assert pid.statistics.scrambled_packets == 1
    assert pid.stream.scrambled


def test_a_duplicate_of_the_end_of_a_pes_packet_is_left_out() -> None:
    pid = Pid()
    whole = pes(b"whole", bounded=True)
    pid.packet(whole, begins=True)
    pid.skip(-1)
    pid.packet(whole, begins=True)
    assert pid.statistics.duplicate_packets == 1
    assert pid.wholes == [b"whole"]


def test_pes_headers() -> None:
    both = b"\x00\x00\x01\xe0\x00\x00\x80\xc0\x0a" + b"\x31\x00\x03\x00\x03" + b"\x11\x00\x01\x00\x03" + b"x"
    header = parse_pes_header(both)
    assert header is not None
    assert (header.pts, header.dts, header.payload_start) == (1 << 15 | 1, 1, 19)
    none = parse_pes_header(b"\x00\x00\x01\xe0\x00\x00\x80\x00\x00")
    assert none is not None
    assert (none.pts, none.dts) == (None, None)
    assert parse_pes_header(both[:6] + b"\x00" + both[7:]) is None
    assert parse_pes_header(both[:12]) is None
    assert parse_pes_header(b"\x00\x00\x02" + both[3:]) is None
    short = parse_pes_header(both[:8] + b"\x02" + both[9:])
    assert short is not None
    assert short.pts is None
