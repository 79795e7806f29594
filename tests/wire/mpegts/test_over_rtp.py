"""RTP datagrams come out in order and once, with their headers off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.wire.mpegts.over_rtp import RtpOrder, carries_packets, is_rtcp, rtp_payload

MS = 1_000_000


def rtp(sequence: int, *, ssrc: int = 7) -> bytes:
    return (
        b"\x80\x21"
        + (sequence & 0xFFFF).to_bytes(2, "big")
        + bytes(4)
        + ssrc.to_bytes(4, "big")
        + b"%d" % sequence
    )


def ordered(order: RtpOrder, sequences: list[int], now_ns: int = 0) -> list[int]:
    return [int(payload) for each in sequences for payload in order.receive_datagram(rtp(each), now_ns)]


@given(st.integers(0, 0xFFFF), st.permutations(range(1, 20)))
def test_any_order_comes_out_right(start: int, shuffled: list[int]) -> None:
    order = RtpOrder()
    sequences = [start, *(start + n for n in shuffled)]
    assert ordered(order, sequences) == sorted(sequences)
    assert order.statistics.lost == 0


def test_what_comes_twice_counts_once() -> None:
    order = RtpOrder()
    assert ordered(order, [1, 1, 3, 3, 2, 2, 4]) == [1, 2, 3, 4]
    assert (order.statistics.duplicates, order.statistics.late) == (1, 2)


def test_a_missing_datagram_is_waited_for_only_so_long() -> None:
    order = RtpOrder(max_wait_ns=50 * MS)
    assert ordered(order, [1, 4, 5]) == [1]
    assert order.expire(49 * MS) == []
    assert order.expire(50 * MS) == [b"4", b"5"]
    assert order.statistics.lost == 2
    assert ordered(order, [2, 6], 51 * MS) == [6]
    assert order.statistics.late == 1


def test_only_so_many_wait_for_a_missing_one() -> None:
    order = RtpOrder(max_waiting=4)
    assert ordered(order, [1, 3, 4, 5, 6]) == [1]
    assert ordered(order, [7]) == [3, 4, 5, 6, 7]
    assert order.statistics.lost == 1


def test_several_gaps_expire_one_after_the_other() -> None:
    order = RtpOrder(max_waiting=3)
    assert ordered(order, [1, 3, 5, 7, 9]) == [1, 3]
    assert order.expire(1000 * MS) == [b"5"]


@pytest.mark.parametrize("restart", [(9, 8), (20_000, 7)])
def test_another_sender_or_a_far_number_begins_anew(restart: tuple[int, int]) -> None:
    sequence, ssrc = restart
    order = RtpOrder()
    ordered(order, [1, 3])
    assert order.receive_datagram(rtp(sequence, ssrc=ssrc), 0) == [b"3", b"%d" % sequence]
    assert order.statistics.restarts == 1


def test_headers_come_off() -> None:
    base = b"\x80\x21" + bytes(10)
    assert rtp_payload(base + b"media") == b"media"
    assert rtp_payload(b"\x82" + base[1:] + bytes(8) + b"media") == b"media"
    assert rtp_payload(b"\x90" + base[1:] + b"\xbe\xde\x00\x01abcd" + b"media") == b"media"
    assert rtp_payload(b"\xa0" + base[1:] + b"media\x00\x02") == b"media"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(20),
        b"\x90" + bytes(11) + b"\x00",
        b"\x90" + bytes(11) + b"\x00\x00\xff\xff",
        b"\xa0" + bytes(11) + b"\xff",
        b"\x8f" + bytes(20),
    ],
)
def test_datagrams_without_a_header_are_malformed(data: bytes) -> None:
    assert rtp_payload(data) is None
    order = RtpOrder()
    assert order.receive_datagram(data, 0) == []
    assert order.statistics.malformed == 1


REPORT = b"\x80\xc8\x00\x06" + bytes(24)  # an RTCP sender report
DESCRIPTION = b"\x81\xca\x00\x02" + bytes(8)


@pytest.mark.parametrize("compound", [REPORT, REPORT + DESCRIPTION, b"\x80\xc9\x00\x01" + bytes(4)])
def test_rtcp_is_known_by_its_types_and_lengths(compound: bytes) -> None:
    assert is_rtcp(compound)
    assert not is_rtcp(compound[:-4])
    assert not is_rtcp(compound + b"\x47")
    assert not is_rtcp(compound + compound[:3])


@pytest.mark.parametrize("data", [b"", b"\x80", rtp(1), b"\x80\xbf\x00\x00", b"\x47\xc8\x00\x00"])
def test_what_is_not_rtcp_is_not_taken_for_it(data: bytes) -> None:
    assert not is_rtcp(data)


def one(size: int) -> bytes:
    """A transport packet that ``size`` bytes keep."""
    return bytes(4 if size == 192 else 0) + b"\x47" + bytes(size - (5 if size == 192 else 1))


@pytest.mark.parametrize("size", [188, 192, 204])
def test_transport_packets_are_seen_in_rtp(size: int) -> None:
    header = rtp(0)[:12]
    assert carries_packets(header + one(size))
    assert carries_packets(header + 7 * one(size))
    assert not carries_packets(header + one(size) + bytes(size))
    assert not carries_packets(header + one(size)[:-1])


@pytest.mark.parametrize("payload", [b"", b"\x47", bytes(1316), b"\x41" * 1316])
def test_other_rtp_carries_no_transport_packets(payload: bytes) -> None:
    assert not carries_packets(rtp(0)[:12] + payload)
