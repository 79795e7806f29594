"""Peers without a key cannot fill the log, and what is left out of it is said."""

import pytest
from structlog.testing import capture_logs

from openstreamer.listen.rtmp import RtmpListenerLimits
from openstreamer.listen.rtmp.peer_log import OTHERS, PeerLogBudget
from openstreamer.listen.rtmp.service import RtmpService
from tests.listen.rtmp.conftest import RecordingStream, serving
from tests.listen.rtmp.test_limits import RawPeer
from tests.support.rtmp_publisher import PublishRejected
from tests.support.waiting import until

FEW = RtmpListenerLimits(logged_lines_per_address=2)


def test_a_peer_has_its_lines_and_the_next_window_says_what_was_left_out() -> None:
    budget = PeerLogBudget(lines=2, max_peers=10)
    assert [budget.admit("192.0.2.1") for _ in range(5)] == [True, True, False, False, False]
    assert budget.admit("192.0.2.2")
    assert budget.end_window() == {"192.0.2.1": 3}
    assert budget.admit("192.0.2.1")
    assert budget.end_window() == {}


def test_peers_beyond_those_told_apart_share_one_allowance() -> None:
    budget = PeerLogBudget(lines=2, max_peers=3)
    admitted = [budget.admit(f"192.0.2.{n}") for n in range(200)]
    assert sum(admitted) == 3 + 2
    assert budget.admit("192.0.2.0")  # who was there first keeps what is his
    assert budget.end_window() == {OTHERS: 195}


async def test_an_address_that_sends_garbage_gets_few_lines_and_every_count() -> None:
    with capture_logs() as logs:
        async with serving(FEW) as server:
            for _ in range(6):
                async with RawPeer(server.port) as peer:
                    await peer.send(b"G")
                    assert await peer.is_closed()
            assert server.listener.statistics.protocol_errors == 6
    assert [line["event"] for line in logs] == ["rtmp_protocol_error"] * 2 + ["rtmp_log_lines_left_out"]
    assert (logs[-1]["peer"], logs[-1]["lines"], logs[-1]["protocol"]) == ("127.0.0.1", 4, "rtmp")


async def test_refusals_share_the_lines_of_the_address_and_are_cut_short() -> None:
    with capture_logs() as logs:
        async with serving(FEW) as server:
            for name in ("x" * 900, "no", "no"):
                with pytest.raises(PublishRejected):
                    await server.publisher(name).__aenter__()
            assert server.listener.statistics.refused.total() == 3
    assert [line["event"] for line in logs] == ["publish_refused"] * 2 + ["rtmp_log_lines_left_out"]
    assert len(logs[0]["detail"]) == 300


async def test_a_window_ends_by_itself_and_the_next_has_lines_again() -> None:
    limits = RtmpListenerLimits(logged_lines_per_address=1, log_window_s=0.01)
    service = RtmpService(RecordingStream().offer, limits, "rtmp")
    with capture_logs() as logs:
        for address in ("2001:db8:1:2::1", "2001:db8:1:2::2", "192.0.2.1"):
            service.log_peer("publish_refused", address, reason="wrong_key")
        assert await until(lambda: len(logs) == 3)
        service.log_peer("publish_refused", "2001:db8:1:2::3", reason="wrong_key")
        service.end_log_window()
    assert [(line["event"], line.get("peer"), line.get("lines")) for line in logs] == [
        ("publish_refused", None, None),
        ("publish_refused", None, None),
        ("rtmp_log_lines_left_out", "2001:db8:1:2::/64", 1),
        ("publish_refused", None, None),
    ]
