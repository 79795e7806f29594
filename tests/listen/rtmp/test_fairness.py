"""However much a publisher sends, the other streams have their turn."""

import asyncio
import itertools
import os
from contextlib import suppress

import pytest
import uvloop

from openstreamer.listen.rtmp import RtmpListenerLimits
from openstreamer.listen.rtmp.service import READ_BUFFER_BYTES
from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.sources import rtmp
from openstreamer.sources.batches import QueueLimits
from openstreamer.sources.rtmp import RtmpPublishSource
from openstreamer.wire.rtmp import DEFAULT_CHUNK_BYTES
from openstreamer.wire.rtmp.chunks import encode_message
from openstreamer.wire.rtmp.messages import Message, MessageType
from tests.listen.rtmp.conftest import MakeServer, Server, serving
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


CRUMBS = 2000
CRUMB = b"\xaf\x01\x21"


def crumbs() -> bytes:
    """Messages of sound with hardly anything in them."""
    messages = [Message(MessageType.AUDIO, 1, 2000 + n, CRUMB) for n in range(CRUMBS)]
    return b"".join(piece for each in messages for piece in encode_message(each, 4, DEFAULT_CHUNK_BYTES))


def crumbs_of(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.payload == CRUMB[2:]]


async def test_of_many_small_messages_the_others_have_their_turn_between_a_few(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtmp, "TURN_S", 0.0)  # over at the first look at the clock
    server = await make_server()
    frames = server.stream.frames
    async with server.publisher() as publisher:
        await publisher.send(clip("h264", "aac"))
        assert await until(lambda: len(frames) > 60)
        publisher._writer.write(crumbs())
        source = source_of(server)
        counts = [source.statistics.received_packets]
        async with asyncio.timeout(20):
            while len(crumbs_of(frames[-CRUMBS:])) < CRUMBS:
                await asyncio.sleep(0)
                counts.append(source.statistics.received_packets)
        assert max(after - before for before, after in itertools.pairwise(counts)) == rtmp.MESSAGES_AT_ONCE
        times = [frame.dts_90k for frame in crumbs_of(frames)]
        assert times == sorted(times)
        before = len(frames)
        await publisher.send(clip("h264"))
        assert await until(lambda: len(frames) > before + 60), "it is read on"
        publisher.abort()


async def test_what_was_read_waits_while_the_stream_has_no_room_for_it(make_server: MakeServer) -> None:
    most_bytes = 100 * FRAME_BYTES
    server = await make_server(RtmpListenerLimits(queue=QueueLimits(max_queued_bytes=most_bytes)))
    frames = server.stream.frames
    async with server.publisher() as publisher:
        await publisher.send(clip("h264", "aac"))
        assert await until(lambda: len(frames) > 60)
        source = source_of(server)
        server.stream.reading.clear()
        publisher._writer.write(crumbs())
        assert await until(lambda: source.queued_bytes > most_bytes)
        assert source.queued_bytes < most_bytes + (rtmp.MESSAGES_AT_ONCE + 1) * (FRAME_BYTES + len(CRUMB))
        server.stream.reading.set()
        assert await until(lambda: len(crumbs_of(frames)) == CRUMBS)
        publisher.abort()


async def test_what_was_read_of_a_publisher_that_vanished_is_left(
    make_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtmp, "TURN_S", 0.0)
    server = await make_server()
    async with server.publisher() as publisher:
        await publisher.send(clip("h264", "aac"))
        assert await until(lambda: len(server.stream.frames) > 60)
        assert server.listener._service is not None
        (connection,) = server.listener._service.connections
        publisher._writer.write(crumbs())
        assert await until(lambda: bool(crumbs_of(server.stream.frames)))
        connection.abort()
        assert await until(lambda: bool(server.stream.ends))
        publisher.abort()
    assert 0 < len(crumbs_of(server.stream.frames)) < CRUMBS


def source_of(server: Server) -> RtmpPublishSource:
    """That of the one publisher."""
    slot = server.stream.point.slot
    assert slot is not None
    assert isinstance(slot.source, RtmpPublishSource)
    return slot.source


def test_a_publisher_that_floods_gets_one_read_in_each_turn_of_the_loop() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(flooded())
