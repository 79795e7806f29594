"""The RTMP publish source, behind a real listener, keeps every source's promises to a real publisher."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from openstreamer.listen.rtmp import RtmpListener, RtmpListenerLimits
from openstreamer.sources.batches import QueueLimits
from openstreamer.sources.rtmp import RtmpPublishSource
from openstreamer.stream.publish import PublishPoint
from tests.contract.source_suite import SourceContract, SourceRig
from tests.support.clips import clip
from tests.support.rtmp_publisher import RtmpPublisher, tags_of

SMALL_QUEUE_BYTES = 20_000
READ_BYTES = 64 * 1024  # of the listener: what may come beyond a full queue


class TestContract(SourceContract):
    buffer_bound_bytes = SMALL_QUEUE_BYTES + READ_BYTES

    @asynccontextmanager
    async def rig(self) -> AsyncIterator[SourceRig]:
        async with publication(QueueLimits()) as (source, publisher):
            peer = Peer(publisher, publisher.replay(clip(), duration_s=600))
            yield rig_of(source, peer)
            await peer.kill()

    @asynccontextmanager
    async def backlogged_rig(self) -> AsyncIterator[SourceRig]:
        async with publication(QueueLimits(max_queued_bytes=SMALL_QUEUE_BYTES)) as (source, publisher):
            peer = Peer(publisher, publish_flat_out(publisher))
            yield rig_of(source, peer)
            await peer.kill()


class Peer:
    """A publisher that sends in the background, and how it can stop."""

    def __init__(self, publisher: RtmpPublisher, sending: Coroutine[Any, Any, None]) -> None:
        self._publisher = publisher
        self._task = asyncio.get_running_loop().create_task(sending, name="test/publisher")

    async def fall_silent(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await self._task

    async def kill(self) -> None:
        await self.fall_silent()
        self._publisher.abort()

    async def finish(self) -> None:
        await self.fall_silent()
        await self._publisher.__aexit__(None, None, None)


def rig_of(source: RtmpPublishSource, peer: Peer) -> SourceRig:
    return SourceRig(
        source,
        kill_peer=peer.kill,
        silence_peer=peer.fall_silent,
        end_peer=peer.finish,
        buffered_bytes=lambda: source.queued_bytes,
        blocked=lambda: source.queued_bytes > SMALL_QUEUE_BYTES,
    )


@asynccontextmanager
async def publication(queue: QueueLimits) -> AsyncIterator[tuple[RtmpPublishSource, RtmpPublisher]]:
    """A publisher that was let in and sends nothing yet, and the source it feeds."""
    point = PublishPoint("news", stream_key=None)
    async with RtmpListener("127.0.0.1", 0, point.offer, RtmpListenerLimits(queue=queue)) as listener:
        host, port = listener.bound.split(":")
        publisher = RtmpPublisher(host, int(port), "news")
        await publisher.__aenter__()
        slot, source = await point.next_source()
        assert isinstance(source, RtmpPublishSource)
        try:
            yield source, publisher
        finally:
            publisher.abort()
            slot.finish()


async def publish_flat_out(publisher: RtmpPublisher) -> None:
    """The same clip over and over, as fast as the server takes it."""
    tags = tags_of(clip())
    add_ms = 0
    while True:
        await publisher.send_tags(tags, add_ms=add_ms)
        add_ms += tags[-1].timestamp_ms + 33
