"""Guessing stream keys over the network."""

from dataclasses import dataclass, field

import pytest

from openstreamer.access.failures import FailureLimits
from openstreamer.stream.publish import (
    PublishPoint,
    PublishRefusal,
    PublishRefused,
    PublishRequest,
    PublishSlot,
)
from openstreamer.stream.publish_guard import PublishGuard

PEER = "192.0.2.1:50000"


@dataclass
class Node:
    """Streams whose key is ``right``, behind a guard on a clock that the test moves."""

    now_ns: int = 0
    offered: int = 0
    guard: PublishGuard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = PublishGuard(self._offer, lambda: self.now_ns)

    def _offer(self, request: PublishRequest) -> PublishSlot:
        self.offered += 1
        if request.codes[-1] == "nobody":
            raise PublishRefused(PublishRefusal.UNKNOWN_STREAM, "there is no such stream")
        return PublishPoint(request.codes[-1], stream_key="right").offer(request)

    def publish(self, key: str | None, code: str = "news", peer: str = PEER) -> PublishRefusal | None:
        """Why the publisher is refused; None when it is let in."""
        try:
            self.guard.offer_publisher(PublishRequest((code,), key, "rtmp", peer)).release()
        except PublishRefused as err:
            return err.reason
        return None


@pytest.fixture
async def node() -> Node:
    return Node()


async def test_after_ten_wrong_keys_even_the_right_one_waits(node: Node) -> None:
    assert [node.publish(f"guess{n}") for n in range(10)] == [PublishRefusal.WRONG_KEY] * 10
    assert node.publish("right") is PublishRefusal.TOO_MANY_ATTEMPTS
    assert node.offered == 10
    node.now_ns += 6_000_000_000
    assert node.publish("right") is None


async def test_a_missing_key_counts_like_a_wrong_one(node: Node) -> None:
    for _ in range(10):
        node.publish(None)
    assert node.publish(None) is PublishRefusal.TOO_MANY_ATTEMPTS


async def test_other_addresses_and_streams_are_not_concerned(node: Node) -> None:
    for _ in range(11):
        node.publish("wrong")
    assert node.publish("right", peer="192.0.2.2:50000") is None
    assert node.publish("right", code="sport") is None


async def test_an_address_that_tries_many_streams_is_stopped_as_a_whole(node: Node) -> None:
    for number in range(50):
        assert node.publish("wrong", code=f"s{number}") is PublishRefusal.WRONG_KEY
    assert node.publish("wrong", code="another") is PublishRefusal.TOO_MANY_ATTEMPTS


async def test_an_encoder_that_tries_an_old_key_for_ever_locks_out_no_other_behind_its_address(
    node: Node,
) -> None:
    for _ in range(3600):
        node.publish("old")
        node.now_ns += 1_000_000_000
    assert node.publish("right", code="sport") is None


@pytest.mark.parametrize("peer", ["[2001:db8::{:x}]:5000", "[2001:db8::{:x}:1]:5000"])
async def test_an_ipv6_host_is_its_64_bit_network(node: Node, peer: str) -> None:
    for number in range(10):
        node.publish("wrong", peer=peer.format(number))
    assert node.publish("right", peer=peer.format(99)) is PublishRefusal.TOO_MANY_ATTEMPTS


async def test_the_port_of_a_peer_does_not_matter(node: Node) -> None:
    for port in range(10):
        node.publish("wrong", peer=f"192.0.2.1:{port}")
    assert node.publish("right") is PublishRefusal.TOO_MANY_ATTEMPTS


async def test_refusals_for_other_reasons_and_publications_count_nothing(node: Node) -> None:
    for _ in range(100):
        assert node.publish("right", code="nobody") is PublishRefusal.UNKNOWN_STREAM
        assert node.publish("right") is None


async def test_the_memory_of_failures_is_bounded() -> None:
    node = Node()
    node.guard = PublishGuard(node._offer, lambda: 0, stream_limits=FailureLimits(most_keys=8))
    for number in range(40):
        node.publish("wrong", code=f"s{number}")
    assert len(node.guard._by_stream) == 8
