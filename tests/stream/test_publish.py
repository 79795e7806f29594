"""The publish point: one publisher at a time, the right one, and its slot comes back whatever happens."""

import asyncio

import pytest

from openstreamer.stream.publish import (
    PublishPoint,
    PublishRefusal,
    PublishRefused,
    PublishRequest,
    key_matches,
)
from tests.support.sources import ScriptedSource


def request(key: str | None = None) -> PublishRequest:
    return PublishRequest(("news", "live/news"), key, "rtmp", "192.0.2.1:5000")


class Clock:
    def __init__(self) -> None:
        self.now_ns = 10_000_000_000

    def __call__(self) -> int:
        return self.now_ns


async def test_a_publisher_reaches_the_stream_and_ends_with_it() -> None:
    point = PublishPoint("news", stream_key=None)
    source = ScriptedSource([])
    with point.offer(request()) as slot:
        running = asyncio.get_running_loop().create_task(slot.run(source))
        got_slot, got_source = await point.next_source()
        assert (got_slot, got_source) == (slot, source)
        slot.finish()
        await running
    assert point.slot is None


async def test_a_second_publisher_is_refused_while_the_first_sends() -> None:
    clock = Clock()
    point = PublishPoint("news", stream_key=None, clock_ns=clock)
    first = point.offer(request())
    clock.now_ns += 999_999_999
    with pytest.raises(PublishRefused) as refused:
        point.offer(request())
    assert refused.value.reason is PublishRefusal.OCCUPIED
    assert point.slot is first


async def test_a_silent_publisher_is_replaced_and_told_why() -> None:
    clock = Clock()
    point = PublishPoint("news", stream_key="s3cret", clock_ns=clock)
    first = point.offer(request("s3cret"))
    running = asyncio.get_running_loop().create_task(first.run(ScriptedSource([])))
    await asyncio.sleep(0)
    clock.now_ns += 1_000_000_000
    second = point.offer(request("s3cret"))
    with pytest.raises(PublishRefused) as refused:
        await running
    assert refused.value.reason is PublishRefusal.TAKEN_OVER
    assert point.slot is second


async def test_a_wrong_key_does_not_replace_a_silent_publisher() -> None:
    clock = Clock()
    point = PublishPoint("news", stream_key="s3cret", clock_ns=clock)
    first = point.offer(request("s3cret"))
    clock.now_ns += 5_000_000_000
    for wrong in (None, "", "s3cre", "s3cret ", "S3CRET"):
        with pytest.raises(PublishRefused) as refused:
            point.offer(request(wrong))
        assert refused.value.reason is PublishRefusal.WRONG_KEY
    assert point.slot is first


async def test_stopping_the_stream_sends_the_publisher_away() -> None:
    point = PublishPoint("news", stream_key=None)
    slot = point.offer(request())
    running = asyncio.get_running_loop().create_task(slot.run(ScriptedSource([])))
    await asyncio.sleep(0)
    point.close()
    with pytest.raises(PublishRefused) as refused:
        await running
    assert refused.value.reason is PublishRefusal.STOPPED
    assert point.slot is None


async def test_a_publisher_that_goes_away_before_its_media_frees_the_slot() -> None:
    point = PublishPoint("news", stream_key=None)
    with point.offer(request()):
        assert point.slot is not None
    assert point.slot is None
    point.offer(request())


async def test_a_cancelled_publisher_frees_the_slot() -> None:
    point = PublishPoint("news", stream_key=None)
    slot = point.offer(request())
    running = asyncio.get_running_loop().create_task(slot.run(ScriptedSource([])))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert point.slot is None


async def test_the_slot_of_a_replaced_publisher_does_not_free_its_successors() -> None:
    clock = Clock()
    point = PublishPoint("news", stream_key=None, clock_ns=clock)
    first = point.offer(request())
    clock.now_ns += 2_000_000_000
    second = point.offer(request())
    first.release()
    assert point.slot is second


def test_without_a_key_every_key_opens_and_with_one_only_the_same() -> None:
    assert key_matches(None, None)
    assert key_matches("", "anything")
    assert key_matches("ключ", "ключ")
    assert not key_matches("k", None)
    assert not key_matches("k", "kk")
