"""Hostile and broken peers at the port: bounded, counted, cut; everybody else goes on."""

import asyncio
import contextlib
import resource
import socket
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from openstreamer.listen.rtmp import RtmpListener, RtmpListenerLimits
from openstreamer.listen.rtmp.service import RtmpService
from openstreamer.media.errors import ConfigError
from openstreamer.wire import amf0
from openstreamer.wire.rtmp import RtmpClient, RtmpLimits
from openstreamer.wire.rtmp.chunks import encode_message
from openstreamer.wire.rtmp.messages import Message, MessageType
from tests.contract.leftovers import nothing_left_behind
from tests.listen.rtmp import test_publish
from tests.listen.rtmp.conftest import MakeServer, RecordingStream, Server, serving
from tests.support.clips import clip
from tests.support.rtmp_publisher import PublishRejected, RtmpPublisher
from tests.support.waiting import until

HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)


def command(stream_id: int, *values: amf0.AmfValue) -> bytes:
    message = Message(MessageType.COMMAND_AMF0, stream_id, 0, amf0.encode(*values))
    return b"".join(encode_message(message, 3, 128))


CONNECT = command(0, "connect", 1.0, {"app": "live"})


class RawPeer:
    """A TCP client that sends what it likes."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "RawPeer":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def is_closed(self) -> bool:
        """Whether the server closes within ten seconds; everything it said before is read."""
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass
        return True


HOSTILE = {
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
    "video before anything is opened": HANDSHAKE + CONNECT + b"\x06\0\0\0\0\0\1\x09\1\0\0\0x",
    "a message length bomb": HANDSHAKE + b"\x06\0\0\0\xff\xff\xff\x09\1\0\0\0",
    "a command length bomb": HANDSHAKE + b"\x06\0\0\0\x7f\xff\xff\x14\0\0\0\0",
    "a negative chunk size": HANDSHAKE + b"\x02\0\0\0\0\0\4\1\0\0\0\0\xff\xff\xff\xff",
    "a chunk size of zero": HANDSHAKE + b"\x02\0\0\0\0\0\4\1\0\0\0\0\0\0\0\0",
    "65536 chunk streams": HANDSHAKE
    + b"".join(b"\x01" + n.to_bytes(2, "little") + b"\0\0\0\0\0\0\x08\1\0\0\0" for n in range(4096)),
    "an AMF depth bomb": HANDSHAKE
    + b"".join(encode_message(Message(20, 0, 0, b"\x03\x00\x01a" * 5000), 3, 128)),
    "a nameless type 3 chunk": HANDSHAKE + b"\xc7",
    "unfinished messages without end": HANDSHAKE
    + CONNECT
    + b"".join(bytes((n,)) + b"\0\0\0\x7f\xff\xff\x09\1\0\0\0" + bytes(128) for n in range(8, 60)) * 20,
    "too much before publishing": HANDSHAKE + CONNECT + command(0, "_checkbw", 0.0, None) * 3000,
    "createStream without end": HANDSHAKE + CONNECT + command(0, "createStream", 2.0, None) * 100,
}


@pytest.mark.parametrize("attack", HOSTILE)
async def test_a_hostile_peer_is_cut_and_counted(make_server: MakeServer, attack: str) -> None:
    server = await make_server()
    async with RawPeer(server.port) as peer:
        await peer.send(HOSTILE[attack])
        assert await peer.is_closed()
    assert server.listener.statistics.protocol_errors == 1
    assert await until(lambda: server.listener.statistics.open_connections == 0)


async def test_a_publisher_that_breaks_the_protocol_ends_its_source_only(make_server: MakeServer) -> None:
    server = await make_server()
    async with RawPeer(server.port) as peer:
        await peer.send(HANDSHAKE + CONNECT + command(0, "createStream", 2.0, None))
        await peer.send(command(1, "publish", 3.0, None, "news", "live") + b"\xff" * 100)
        assert await peer.is_closed()
    assert await until(lambda: len(server.stream.ends) == 1)
    assert "broke the protocol" in str(server.stream.ends[0])
    async with server.publisher() as publisher:
        await publisher.send(clip())
    assert await until(lambda: len(server.stream.ends) == 2)


@pytest.mark.parametrize("what", ["publish", "play"])
@pytest.mark.parametrize("undo", [("deleteStream", 4.0, None, 1.0), ("closeStream", 4.0, None)])
async def test_a_wish_that_is_taken_back_in_the_same_breath_is_no_wish(
    make_server: MakeServer, what: str, undo: tuple[amf0.AmfValue, ...]
) -> None:
    problems: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    server = await make_server()
    async with RawPeer(server.port) as peer:
        wish = command(1, what, 3.0, None, "news")
        await peer.send(
            HANDSHAKE + CONNECT + command(0, "createStream", 2.0, None) + wish + command(1, *undo)
        )
        await peer.send(command(0, "stillThere", 5.0, None))
        async with asyncio.timeout(10):
            await peer.reader.readuntil(b"stillThere")
    assert problems == []
    assert server.stream.requests == []


PUBLISH = (
    HANDSHAKE
    + CONNECT
    + command(0, "createStream", 2.0, None)
    + command(1, "publish", 3.0, None, "news", "live")
)


async def test_a_publisher_that_finished_may_close_first(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(linger_s=60.0))
    async with RawPeer(server.port) as peer:
        await peer.send(PUBLISH)
        assert await until(lambda: server.listener.statistics.publishing == 1)
        await peer.send(command(0, "deleteStream", 4.0, None, 1.0))
        assert await until(lambda: server.listener.statistics.publishing == 0)
        await peer.send(command(0, "stillThere", 5.0, None))
        async with asyncio.timeout(10):
            await peer.reader.readuntil(b"stillThere")
    assert len(server.stream.ends) == 1


async def test_a_publisher_that_finished_and_stays_is_sent_away(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(linger_s=0.1))
    async with RawPeer(server.port) as peer:
        await peer.send(PUBLISH)
        assert await until(lambda: server.listener.statistics.publishing == 1)
        await peer.send(command(0, "deleteStream", 4.0, None, 1.0))
        assert await peer.is_closed()


@pytest.mark.parametrize("sent", [b"", HANDSHAKE[:700], HANDSHAKE, HANDSHAKE + CONNECT])
async def test_who_does_not_get_to_the_point_is_cut_at_the_deadline(
    make_server: MakeServer, sent: bytes
) -> None:
    server = await make_server(RtmpListenerLimits(handshake_deadline_s=0.1, publish_deadline_s=0.1))
    async with RawPeer(server.port) as peer:
        await peer.send(sent)
        assert await peer.is_closed()
    assert server.listener.statistics.refused == {"deadline": 1}


async def test_a_slow_drip_does_not_move_the_deadline(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(handshake_deadline_s=0.3))
    async with RawPeer(server.port) as peer, asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while not peer.reader.at_eof():
                await peer.send(HANDSHAKE[:1] if not server.listener.statistics.received_bytes else b"\0")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(peer.reader.read(1), 0.02)
    assert server.listener.statistics.refused == {"deadline": 1}


async def test_a_publisher_of_which_nothing_arrives_is_given_up(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(silence_deadline_s=0.2))
    async with server.publisher() as publisher:
        await publisher.send(clip())
        assert await until(lambda: len(server.stream.ends) == 1)
        assert "nothing arrived for 0.2 s" in str(server.stream.ends[0])
        publisher.abort()


async def test_connections_of_one_address_are_bounded(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(max_connections_per_address=2))
    async with RawPeer(server.port), RawPeer(server.port), RawPeer(server.port) as third:
        assert await third.is_closed()
        assert server.listener.statistics.refused == {"connections_per_address": 1}
        assert server.listener.statistics.open_connections == 2
    assert await until(lambda: server.listener.statistics.open_connections == 0)
    async with server.publisher():
        assert server.listener.statistics.publishing == 1


async def test_connections_are_bounded_together(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(max_connections=1))
    async with RawPeer(server.port), RawPeer(server.port) as second:
        assert await second.is_closed()
        assert server.listener.statistics.refused == {"connections": 1}


async def test_a_peer_that_never_reads_its_answers_is_not_listened_to(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(max_bytes_before_publish=64 << 20, publish_deadline_s=60))
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", server.port))
        await loop.sock_sendall(sock, HANDSHAKE + CONNECT)
        questions = command(0, "x", 1.0, None) * 1000  # whose answers are six times as long
        with pytest.raises(TimeoutError):  # the kernel takes no more, because the server does not read
            await asyncio.wait_for(_ask_for_ever(loop, sock, questions, stuck_s=4.0), 60)
    assert server.listener.statistics.sent_bytes < 32 << 20
    assert await until(lambda: server.listener.statistics.open_connections == 0)


async def _ask_for_ever(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, questions: bytes, *, stuck_s: float
) -> None:
    while True:
        async with asyncio.timeout(stuck_s):
            await loop.sock_sendall(sock, questions)


async def test_playing_is_refused_in_plain_words(make_server: MakeServer) -> None:
    server = await make_server()

    class Player(RtmpClient):
        def send_publish(self, stream_id: int, name: str, kind: str = "live") -> None:
            self.send_play(stream_id, name)

    with pytest.raises(PublishRejected, match="not available yet"):
        await server.publisher(client=Player()).__aenter__()
    assert server.listener.statistics.refused == {"play": 1}


async def test_closing_the_listener_ends_every_publication_and_leaves_nothing() -> None:
    stream = RecordingStream()
    async with nothing_left_behind():
        async with RtmpListener("127.0.0.1", 0, stream.offer) as listener:
            port = int(listener.bound.rpartition(":")[2])
            publisher = await RtmpPublisher("127.0.0.1", port, "news").__aenter__()
            idle = RawPeer(port)
            await idle.__aenter__()
        assert stream.point.slot is None, "the slot is given back though nobody ever read the source"
        assert await idle.is_closed()
        with pytest.raises((ConnectionError, PublishRejected)):
            await publisher.wait_for_end()
        publisher.abort()
        await idle.__aexit__()
        await listener.close()


async def test_addresses_of_both_families_are_served_and_shown() -> None:
    async with RtmpListener("::1", 0, RecordingStream().offer) as listener:
        assert listener.bound.startswith("[::1]:")
        port = int(listener.bound.rpartition(":")[2])
        _, writer = await asyncio.open_connection("::1", port)
        assert await until(lambda: listener.statistics.open_connections == 1)
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ValueError, match="clear"):
            listener.use_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


async def test_hosts_of_one_ipv6_network_count_as_one_address() -> None:
    limits = RtmpListenerLimits(max_connections_per_address=1)
    service = RtmpService(RecordingStream().offer, limits, "rtmp")
    service.enter("2001:db8:1:2::1")
    assert service.refusal("2001:db8:1:2:ffff::9") == "connections_per_address"
    assert service.refusal("2001:db8:1:3::1") is None
    service.enter("192.0.2.1")
    assert service.refusal("192.0.2.2") is None
    service.leave("2001:db8:1:2::1")
    assert service.refusal("2001:db8:1:2:ffff::9") is None


async def test_a_process_without_descriptors_pauses_and_goes_on() -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving() as server:
        with socket.socket() as sock:
            sock.setblocking(False)
            waiting = asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
            resource.setrlimit(resource.RLIMIT_NOFILE, (sock.fileno() + 1, limits[1]))
            try:
                await waiting
                assert await until(lambda: server.listener.statistics.refused["out_of_resources"] > 0)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert await until(lambda: server.listener.statistics.accepted == 1)


async def test_a_taken_port_is_a_configuration_error() -> None:
    async with RtmpListener("127.0.0.1", 0, RecordingStream().offer) as listener:
        port = int(listener.bound.rpartition(":")[2])
        with pytest.raises(ConfigError, match=str(port)) as failed:
            await RtmpListener("127.0.0.1", port, RecordingStream().offer).__aenter__()
    assert failed.value.field == "listeners.rtmp.port"


async def test_message_limits_reach_the_connection(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(protocol=RtmpLimits(max_video_bytes=100)))
    async with server.publisher() as publisher:
        with contextlib.suppress(ConnectionError):
            await publisher.send(clip())
        assert await until(lambda: server.listener.statistics.protocol_errors == 1)
        publisher.abort()


async def test_the_listener_serves_rtmps(certificate: tuple[Path, Path]) -> None:
    await publish_over_tls(*certificate)


async def publish_over_tls(cert: Path, key: Path) -> None:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
    client_context = ssl.create_default_context(cafile=str(cert))
    async with serving(ssl_context=server_context) as server:
        statistics, stream = server.listener.statistics, server.stream
        publisher = RtmpPublisher("127.0.0.1", server.port, "news", ssl_context=client_context)
        async with publisher:
            await publisher.send(clip())
        assert await until(lambda: len(stream.ends) == 1)
        assert len([frame for frame in stream.frames if frame.track.is_video]) == 45
        assert stream.requests[0].protocol == "rtmps"
        async with RawPeer(server.port) as plain:
            await plain.send(HANDSHAKE)
            assert await plain.is_closed()
        assert statistics.protocol_errors == 1
        assert await until(lambda: statistics.open_connections == 0)


async def make_on_uvloop(certificate: tuple[Path, Path]) -> None:
    """What depends on the transports: ends, back-pressure, lingering, hostile peers, TLS."""
    async with AsyncExitStack() as stack:

        async def make(limits: RtmpListenerLimits | None = None, *, stream_key: str | None = None) -> Server:
            return await stack.enter_async_context(serving(limits, stream_key=stream_key))

        await test_a_publisher_that_breaks_the_protocol_ends_its_source_only(make)
        await test_a_hostile_peer_is_cut_and_counted(make, "a message length bomb")
        await test_who_does_not_get_to_the_point_is_cut_at_the_deadline(make, HANDSHAKE)
        await test_connections_of_one_address_are_bounded(make)
        await test_playing_is_refused_in_plain_words(make)
        await test_publish.test_a_publisher_that_vanishes_is_a_lost_connection(make)
        await test_publish.test_a_publisher_that_is_sent_away_is_told_why(make)
        await test_publish.test_a_publisher_may_leave_and_come_back(make)
        await test_publish.test_a_stream_that_does_not_read_stops_the_publisher_until_it_does(make)
    await test_closing_the_listener_ends_every_publication_and_leaves_nothing()
    await publish_over_tls(*certificate)


def test_it_all_holds_on_uvloop_whose_transports_are_its_own(certificate: tuple[Path, Path]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(make_on_uvloop(certificate))
