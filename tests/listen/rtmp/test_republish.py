"""Several publications on one connection, one after the other, or after being sent away."""

import asyncio

import pytest

from openstreamer.media.errors import SourceEnded
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.rtmp.chunks import encode_message
from openstreamer.wire.rtmp.messages import Message
from tests.listen.rtmp.conftest import MakeServer
from tests.listen.rtmp.test_limits import CONNECT, HANDSHAKE, PUBLISH, RawPeer, command
from tests.listen.rtmp.test_publish import content, published
from tests.support.clips import clip
from tests.support.rtmp_publisher import tags_of
from tests.support.waiting import until


async def test_a_publisher_that_can_is_asked_to_connect_again(make_server: MakeServer) -> None:
    server = await make_server()
    fields: dict[str, AmfValue] = {"app": "live", "capsEx": 1.0}
    async with RawPeer(server.port) as peer:
        await peer.send(HANDSHAKE + command(0, "connect", 1.0, fields) + PUBLISH[len(HANDSHAKE + CONNECT) :])
        assert await until(lambda: server.listener.statistics.publishing == 1)
        server.stream.point.close()
        async with asyncio.timeout(10):
            said = await peer.reader.read()
    assert amf0.encode("onStatus", 0.0, None)[:-1] in said
    assert b"NetConnection.Connect.ReconnectRequest" in said
    assert b"error" not in said


LAST = {
    "deleted": command(0, "FCUnpublish", 6.0, None, "news") + command(0, "deleteStream", 7.0, None, 1.0),
    "closed": command(0, "FCUnpublish", 6.0, None, "news") + command(1, "closeStream", 7.0, None),
}
NEXT = {
    "deleted": command(0, "createStream", 8.0, None) + command(2, "publish", 9.0, None, "news", "live"),
    "closed": command(1, "publish", 9.0, None, "news", "live"),
}


def media_of(stream_id: int) -> bytes:
    messages = [
        Message(9 if tag.is_video else 8, stream_id, tag.timestamp_ms, tag.payload) for tag in tags_of(clip())
    ]
    return b"".join(piece for message in messages for piece in encode_message(message, 6, 128))


@pytest.mark.parametrize("end", LAST)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_connection_may_publish_again_after_it_ended_a_publication(
    make_server: MakeServer, end: str, at_once: bool
) -> None:
    server = await make_server()
    stream_id = 2 if end == "deleted" else 1
    second = NEXT[end] + media_of(stream_id) + command(0, "deleteStream", 10.0, None, float(stream_id))
    async with RawPeer(server.port) as peer:
        await peer.send(PUBLISH + media_of(1) + LAST[end] + (second if at_once else b""))
        if not at_once:
            await published(server)
            assert await until(lambda: server.listener.statistics.publishing == 0)
            await peer.send(second)
        frames = await published(server, ends=2)
    assert [type(end) for end in server.stream.ends] == [SourceEnded, SourceEnded]
    assert len(content(frames, video=True)) == 2 * len(content(list(clip()), video=True)), "not one is lost"
    assert server.listener.statistics.refused == {}


async def test_two_publications_on_one_connection_at_a_time_are_refused(make_server: MakeServer) -> None:
    server = await make_server()
    async with RawPeer(server.port) as peer:
        await peer.send(PUBLISH + NEXT["deleted"])
        async with asyncio.timeout(10):
            assert b"this connection is publishing already" in await peer.reader.read()


async def test_a_publication_that_waits_for_the_one_before_it_goes_with_its_connection(
    make_server: MakeServer,
) -> None:
    server = await make_server()
    server.stream.reading.clear()
    async with RawPeer(server.port) as peer:
        await peer.send(PUBLISH + media_of(1) + LAST["closed"] + NEXT["closed"])
        assert await until(lambda: server.listener.statistics.publishing == 1)
        peer.writer.transport.abort()
    server.stream.reading.set()
    assert await until(lambda: server.listener.statistics.open_connections == 0)
    assert await until(lambda: server.listener.statistics.publishing == 0)
    assert server.listener.statistics.published <= 2
