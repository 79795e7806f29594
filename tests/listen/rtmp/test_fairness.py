"""However much a publisher sends, the other streams have their turn."""

import asyncio
import itertools
import os
from contextlib import suppress

import uvloop

from openstreamer.listen.rtmp.service import READ_BUFFER_BYTES
from tests.listen.rtmp.conftest import Server, serving
from tests.support.clips import clip
from tests.support.rtmp_publisher import RtmpPublisher, tags_of
from tests.support.waiting import until

FLOOD_BYTES = 8 * READ_BUFFER_BYTES


async def read_per_turn(server: Server, total_bytes: int) -> list[int]:
    """What the listener reads in each turn of the loop, until it has read ``total_bytes``."""
    statistics = server.listener.statistics
    read = [statistics.received_bytes]
    async with asyncio.timeout(20):
        while read[-1] - read[0] < total_bytes:
            await asyncio.sleep(0)
            read.append(statistics.received_bytes)
    return [after - before for before, after in itertools.pairwise(read)]


def flood_of(publisher: RtmpPublisher) -> bytes:
    """One picture, sent again and again."""
    picture = next(tag for tag in tags_of(clip("h264"))[3:] if tag.is_video)
    flood = b""
    while len(flood) < FLOOD_BYTES:
        for _ in range(100):
            publisher._client.send_media(
                publisher._stream_id, True, picture.timestamp_ms + 2000, picture.payload
            )
        flood += publisher._client.data_to_send()
    return flood


def fill(descriptor: int, data: bytes) -> int:
    """Give the kernel what it takes at once; how much that was."""
    sent = 0
    with suppress(BlockingIOError):
        while sent < len(data):
            sent += os.write(descriptor, data[sent:])
    return sent


async def flooded() -> None:
    async with serving() as server, server.publisher() as publisher:
        await publisher.send(clip("h264"))
        assert await until(lambda: len(server.stream.frames) > 60)
        sent = fill(publisher._writer.get_extra_info("socket").fileno(), flood_of(publisher))
        assert sent > 4 * READ_BUFFER_BYTES
        turns = await read_per_turn(server, sent)
        assert max(turns) == READ_BUFFER_BYTES, "the flood fills a turn, and no more than one"
        publisher.abort()


def test_a_publisher_that_floods_gets_one_read_in_each_turn_of_the_loop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(flooded())
