"""The queue between a parser and a stream: bounded in memory and media time, and it ends once."""

import asyncio

import pytest

from openstreamer.media.errors import SourceEnded, SourceUnreachable
from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.media.track import Track
from openstreamer.sources.batches import FrameQueue, QueueLimits
from tests.support.media import AUDIO, VIDEO, audio, video

TRACKS = (VIDEO, AUDIO)


def queue_of(max_queued_bytes: int = 1 << 20, max_queued_s: float = 2.0) -> FrameQueue:
    return FrameQueue(QueueLimits(max_queued_bytes, max_queued_s))


def pictures(count: int) -> list[Frame]:
    return [video(number * 3600, key=number == 0, size=100) for number in range(count)]


def test_it_counts_memory_not_payload_only() -> None:
    queue = queue_of(max_queued_bytes=10 * FRAME_BYTES)
    for number in range(9):
        queue.put([audio(number * 1920, size=1)], TRACKS, 0)
    assert not queue.is_full
    assert queue.queued_bytes == 9 * (FRAME_BYTES + 1)
    queue.put([audio(9 * 1920, size=1)], TRACKS, 0)
    assert queue.is_full


@pytest.mark.parametrize("limits", [{"max_queued_bytes": 20 * FRAME_BYTES}, {"max_queued_s": 0.5}])
def test_it_is_full_from_when_too_much_waits_until_nothing_does(limits: dict[str, int]) -> None:
    queue = queue_of(**limits)
    other = Track(VIDEO.id, VIDEO.config, "fr")
    queue.put(pictures(20), TRACKS, 0)
    assert queue.is_full
    queue.put([video(20 * 3600, key=True, track=other)], (other, AUDIO), 0)
    assert len(queue.take()) == 20
    assert queue.is_full, "a frame waits"
    assert queue.queued_bytes == queue.take()[0].held_bytes
    assert not queue.is_full
    assert not queue
    assert queue.queued_bytes == 0


def test_what_is_taken_has_one_set_of_tracks() -> None:
    queue = queue_of()
    assert queue.tracks == ()
    queue.put(pictures(2), TRACKS, 0)
    assert queue.tracks == TRACKS, "announced"
    other = Track(VIDEO.id, VIDEO.config, "fr")
    queue.put([video(7200, key=True, track=other)], (other, AUDIO), 0)
    assert (len(queue.take()), queue.tracks) == (2, TRACKS)
    assert (len(queue.take()), queue.tracks) == (1, (other, AUDIO))


def test_it_tells_when_the_oldest_frame_came() -> None:
    queue = queue_of()
    assert queue.arrived_ns is None
    queue.put(pictures(1), TRACKS, 1000)
    queue.put([audio(0)], TRACKS, 2000)
    queue.take()
    assert queue.arrived_ns == 1000
    queue.put([], TRACKS, 3000)
    queue.put([audio(1920)], TRACKS, 4000)
    queue.take()
    assert queue.arrived_ns == 4000


async def test_the_failure_comes_after_the_last_frame_and_only_the_first_counts() -> None:
    queue = queue_of()
    assert queue.take() == []
    queue.put(pictures(1), TRACKS, 0)
    queue.fail(SourceEnded("over"))
    queue.fail(SourceUnreachable("lost"))
    assert len(await queue.receive()) == 1
    for _ in range(2):
        with pytest.raises(SourceEnded, match="over"):
            await queue.receive()


@pytest.mark.parametrize("by", ["a frame", "a failure"])
async def test_who_waits_is_woken(by: str) -> None:
    queue = queue_of()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(queue.wait())
        await asyncio.sleep(0)
        queue.put([], TRACKS, 0)
        await asyncio.sleep(0)
        assert not waiting.done(), "tracks without a frame are no news"
        if by == "a frame":
            queue.put(pictures(1), TRACKS, 0)
        else:
            queue.fail(SourceEnded("over"))


async def test_waking_without_news_keeps_the_stream_waiting() -> None:
    queue = queue_of()
    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(queue.receive())
        await asyncio.sleep(0)
        queue.wake()
        queue.wake()
        await asyncio.sleep(0)
        assert not receiving.done()
        queue.put(pictures(3), TRACKS, 0)
    assert len(receiving.result()) == 3


def test_what_is_cleared_is_forgotten() -> None:
    queue = queue_of(max_queued_bytes=1)
    queue.put(pictures(3), TRACKS, 0)
    queue.clear()
    assert not queue
    assert (queue.queued_bytes, queue.is_full, queue.take()) == (0, False, [])
