"""What a flow of datagrams is: whole packets, pieces cut anywhere, or RTP; and what does not belong to it."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.frame import Frame
from openstreamer.sources.udp.flow import DatagramFlow, FlowKind
from openstreamer.wire.mpegts import MpegTsDemuxer
from tests.support.clips import clip
from tests.support.mpegts import by_track, muxed
from tests.support.udp_sender import datagrams, rtp

PACKET = 188
MS = 1_000_000
DATA = muxed(clip())
RTCP_REPORT = b"\x80\xc8\x00\x06" + bytes(24)
OTHER_RTP = [rtp(n, b"\x41" * 900, ssrc=0x656C7365) for n in range(200)]
PIECE_BYTES = 1472  # what FFmpeg's plain udp:// sends
SIZES = st.one_of(st.integers(64, 1500), st.sampled_from([PACKET, 2 * PACKET, 1316, 1472, 204, 192, 612]))


def cut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """``data`` in pieces of these sizes, over and over."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    return pieces


def passed(pieces: Iterable[bytes], flow: DatagramFlow | None = None) -> bytes:
    flow = flow or DatagramFlow()
    return b"".join(found for piece in pieces for found in flow.receive_datagram(piece, 0))


def frames_and_malformed(data: bytes) -> tuple[list[Frame], int]:
    demuxer = MpegTsDemuxer()
    return demuxer.receive_data(data), demuxer.statistics.malformed


def numbered(pieces: Iterable[bytes], first: int = 0, ssrc: int = 7) -> list[bytes]:
    return [rtp(first + n, piece, ssrc=ssrc) for n, piece in enumerate(pieces)]


@given(st.lists(SIZES, min_size=1, max_size=12), st.integers(0, 8 * PACKET))
def test_pieces_of_any_size_give_what_the_bytes_in_order_give(sizes: list[int], begin: int) -> None:
    data = DATA[begin : begin + 20_000]
    expected, malformed = frames_and_malformed(data)
    frames, counted = frames_and_malformed(passed(cut(data, sizes)))
    assert expected
    assert by_track(frames) == by_track(expected)
    assert counted == malformed


@given(SIZES, st.integers(0x80, 0xBF), st.integers(0, PACKET - 1))
def test_a_piece_may_look_like_rtp(size: int, looks: int, begin: int) -> None:
    """Whatever payload a piece begins with: here each payload byte has the version of RTP."""
    packets = [b"\x47\x01\x00" + bytes([0x10 | n & 15]) + bytes([looks]) * 184 for n in range(200)]
    data = b"".join(packets)[begin:]
    flow = DatagramFlow()
    out = passed(cut(data, [size]), flow)
    assert out in (data, data[-begin % PACKET :])  # but for a rest of a packet in front
    assert flow.numbered == 0


def test_packets_that_go_on_over_a_border_are_no_strays() -> None:
    """The first piece looks like RTP, and has a packet; the second is a whole one."""
    packets = [b"\x47\x01\x00" + bytes([0x10 | n & 15]) + b"\x80" * 184 for n in range(40)]
    data = b"".join(packets)[76:]
    flow = DatagramFlow()
    assert passed([data[:300], data[300:488], *cut(data[488:], [700])], flow) == data
    assert flow.strays == 0


@pytest.mark.parametrize("size", [1400, 1316, 1000, 600])
@pytest.mark.parametrize("begin", [0, 100, 12])
def test_rtp_may_be_cut_anywhere_too(size: int, begin: int) -> None:
    flow = DatagramFlow()
    out = passed(numbered(cut(DATA[begin:], [size])), flow)
    assert out == DATA[begin:]
    assert flow.kind is FlowKind.RTP
    assert frames_and_malformed(out)[1] == 0


def test_after_a_loss_of_pieces_the_packets_are_found_again() -> None:
    pieces = cut(DATA, [PIECE_BYTES])
    del pieces[9]
    demuxer = MpegTsDemuxer()
    frames = demuxer.receive_data(passed(pieces))
    assert len(frames) > 0.8 * len(frames_and_malformed(DATA)[0])
    assert PIECE_BYTES // PACKET - 1 <= demuxer.statistics.lost_packets <= PIECE_BYTES // PACKET + 3
    assert demuxer.statistics.resyncs == 1


@pytest.mark.parametrize("distance", [188, 192, 204])
def test_strays_between_whole_packets_are_left_out(distance: int) -> None:
    before, behind = (b"\x80\0\0\0", b"") if distance == 192 else (b"", bytes(distance - PACKET))
    packets = [before + DATA[at : at + PACKET] + behind for at in range(0, len(DATA), PACKET)]
    pieces = [b"".join(packets[at : at + 7]) for at in range(0, len(packets), 7)]
    strays = [RTCP_REPORT, OTHER_RTP[0], rtp(9, DATA[:PACKET], ssrc=99)]
    mixed = [each for n, piece in enumerate(pieces) for each in (piece, strays[n % 3])]
    flow = DatagramFlow()
    assert passed(mixed, flow) == b"".join(pieces)
    assert flow.kind is FlowKind.PACKETS
    assert flow.strays == len(pieces)


@pytest.mark.parametrize("stray", [RTCP_REPORT, OTHER_RTP[0], b"hello"], ids=["rtcp", "rtp", "text"])
def test_a_stray_that_comes_first_decides_nothing(stray: bytes) -> None:
    whole, pieces = list(datagrams(DATA)), cut(DATA, [PIECE_BYTES])
    kinds = {FlowKind.PACKETS: whole, FlowKind.BYTES: pieces, FlowKind.RTP: numbered(whole)}
    for kind, sent in kinds.items():
        flow = DatagramFlow()
        assert passed([stray, *sent], flow).removeprefix(stray) == DATA
        assert flow.kind is kind


def test_strays_beside_rtp_are_left_out() -> None:
    mixed = [
        each
        for n, piece in enumerate(numbered(datagrams(DATA)))
        for each in (OTHER_RTP[n], piece, RTCP_REPORT, b"hello")
    ]
    flow = DatagramFlow()
    assert passed(mixed, flow) == DATA
    assert flow.numbered == len(list(datagrams(DATA)))
    assert flow.strays == 3 * flow.numbered
    assert flow.lost == 0


LONG = DATA * 8
SENDERS = {
    "packets": (FlowKind.PACKETS, list(datagrams(LONG))),
    "pieces": (FlowKind.BYTES, cut(LONG[500:], [PIECE_BYTES])),
    "rtp": (FlowKind.RTP, numbered(datagrams(LONG))),
    "rtp-again": (FlowKind.RTP, numbered(datagrams(LONG), first=9000, ssrc=8)),
    "rtp-pieces": (FlowKind.RTP, numbered(cut(LONG[500:], [1400]), first=20_000, ssrc=9)),
}


@pytest.mark.parametrize("second", SENDERS)
@pytest.mark.parametrize("first", SENDERS)
def test_another_sender_is_followed(first: str, second: str) -> None:
    flow = DatagramFlow()
    passed(SENDERS[first][1][:70], flow)
    kind, pieces = SENDERS[second]
    out = passed(pieces[70:], flow)
    assert flow.kind is kind
    assert len(out) > 0.5 * sum(map(len, pieces[70:]))


def test_what_cannot_be_told_is_passed_on_in_the_end() -> None:
    flow = DatagramFlow(max_held=4)
    assert [len(flow.receive_datagram(b"\x00hello", 0)) for _ in range(6)] == [0, 0, 0, 4, 1, 1]
    flow = DatagramFlow(max_held_bytes=10)
    assert [len(flow.receive_datagram(b"\x00hello", 0)) for _ in range(3)] == [0, 2, 1]


def test_garbage_among_whole_packets_is_for_the_demuxer_to_see() -> None:
    pieces = list(datagrams(DATA))
    flow = DatagramFlow()
    assert passed([*pieces[:5], b"\x00garbage"], flow).endswith(b"\x00garbage")
    assert flow.kind is FlowKind.PACKETS


def test_many_strays_in_a_row_do_not_take_the_flow_over() -> None:
    pieces = list(datagrams(DATA))
    flow = DatagramFlow()
    assert passed([*pieces[:5], *OTHER_RTP[:40], *pieces[5:]], flow) == DATA
    assert flow.kind is FlowKind.PACKETS


def test_rtp_waits_for_what_is_missing_only_so_long() -> None:
    first, second, _, fourth, *_ = numbered(datagrams(DATA))
    flow = DatagramFlow()
    passed([first, second, fourth], flow)
    assert flow.is_waiting
    assert flow.expire(50 * MS) == [fourth[12:]]
    assert flow.lost == 1
