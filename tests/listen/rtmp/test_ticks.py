"""Publications are read at ticks, and nothing of them stays unread."""

import asyncio
import fcntl
import socket
import sys
import termios

from openstreamer.sources.held_back import HELD_BACK_BYTES
from tests.listen.rtmp.conftest import MakeServer, Server
from tests.support.clips import clip
from tests.support.waiting import until


def accepted_sockets(server: Server) -> list[socket.socket]:
    """The sockets of the publishers, on the listener's side."""
    return [
        connection._transport.get_extra_info("socket") for connection in server.listener._service.connections
    ]


def mark_of(accepted: socket.socket) -> int:
    return accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


def unread_bytes(accepted: socket.socket) -> int:
    return int.from_bytes(fcntl.ioctl(accepted.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


async def test_between_ticks_the_loop_hears_nothing_of_a_publication(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as publisher:
        (accepted,) = accepted_sockets(server)
        assert mark_of(accepted) == 1
        async with asyncio.timeout(20):
            while mark_of(accepted) != HELD_BACK_BYTES:  # which it is from a read to the next tick
                await publisher.send(clip("h264"))
                await asyncio.sleep(0)


async def test_the_last_words_of_a_publisher_that_stays_are_read(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as publisher:
        (accepted,) = accepted_sockets(server)
        await publisher.send(clip("h264"))
        assert await until(lambda: bool(server.stream.frames))
        # A few bytes, far below the mark, on a connection that stays open.
        publisher._client.send_close(publisher._stream_id)
        await publisher._flush()
        assert await until(lambda: bool(server.stream.ends))
        assert await until(lambda: unread_bytes(accepted) == 0 and mark_of(accepted) == 1)
        publisher.abort()


async def test_a_publisher_that_leaves_between_ticks_is_noticed(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as publisher:
        await publisher.send(clip("h264"))
        assert await until(lambda: bool(server.stream.frames))
        publisher.abort()
        assert await until(lambda: bool(server.stream.ends))
    assert await until(lambda: not server.listener._service.connections)
