"""RTP datagrams of MPEG-TS in any order and form: what comes out was sent, once, and little is held back."""

from collections.abc import Iterator

from fuzz.target import FuzzTarget, record, records_of
from openstreamer.wire.mpegts.over_rtp import RtpOrder, rtp_payload

MAX_WAITING = 8
STEP_NS = 1_000_000


def run(data: bytes) -> None:
    order = RtpOrder(max_waiting=MAX_WAITING, max_wait_ns=20 * STEP_NS)
    now_ns = sent = came = 0
    for kind, body in records_of(data):
        now_ns += kind * STEP_NS
        sent += rtp_payload(body) is not None
        came += len(order.receive_datagram(body, now_ns))
        assert came <= sent
        assert sent - came - order.statistics.late - order.statistics.duplicates <= MAX_WAITING
    came += len(order.expire(now_ns + 1000 * STEP_NS))


def seeds() -> Iterator[bytes]:
    for numbers in ((1, 2, 3), (1, 3, 2, 2), (65535, 0, 9, 20_000), (5, 8, 9)):
        yield b"".join(
            record(1, b"\x80\x21" + number.to_bytes(2, "big") + bytes(7) + b"\x07G") for number in numbers
        )
    yield record(9, b"\xb1\x21\x00\x01" + bytes(12) + b"\xbe\xde\x00\x01abcdmedia\x02")


TARGET = FuzzTarget("mpegts_rtp", run, (), seeds)
