"""The kernel keeps crumbs of a publication back, but never for long."""

import asyncio
import fcntl
import socket
import sys
import termios

import pytest

from openstreamer.sources.low_water import HELD_BACK_S, LOOK_EVERY_S, MOST_BYTES, LowWaterMark
from tests.listen.rtmp.conftest import MakeServer, Server
from tests.support.clips import clip
from tests.support.waiting import until


@pytest.mark.parametrize("rate_bps", [20_000, 100_000, 400_000])
def test_at_the_present_rate_nothing_is_held_back_longer_than_promised(rate_bps: int) -> None:
    mark = LowWaterMark(0)
    assert mark.look(int(rate_bps * LOOK_EVERY_S))
    assert 1 < mark.mark_bytes <= max(1, rate_bps * HELD_BACK_S)


def test_the_mark_stays_below_a_picture_however_much_comes() -> None:
    mark = LowWaterMark(0)
    mark.look(1 << 30)
    assert mark.mark_bytes == MOST_BYTES


def test_what_a_silent_publisher_sends_next_is_read_at_once() -> None:
    mark = LowWaterMark(0)
    mark.look(100_000)
    assert mark.look(100_000)
    assert mark.mark_bytes == 1


def test_a_rate_that_hardly_changes_costs_no_system_call() -> None:
    mark = LowWaterMark(0)
    mark.look(60_000)
    assert not mark.look(60_000 + 70_000)
    assert not mark.look(60_000 + 70_000 + 55_000)


def accepted_socket(server: Server) -> socket.socket:
    """The socket of the only publisher, on the listener's side."""
    (connection,) = server.listener._service.connections
    return connection._transport.get_extra_info("socket")


def mark_of(accepted: socket.socket) -> int:
    return accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


def unread_bytes(accepted: socket.socket) -> int:
    return int.from_bytes(fcntl.ioctl(accepted.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


async def test_a_fast_publisher_gets_a_mark_and_its_last_words_are_read_all_the_same(
    make_server: MakeServer,
) -> None:
    server = await make_server()
    async with server.publisher() as publisher, asyncio.timeout(20):
        accepted = accepted_socket(server)
        # Not up to MOST_BYTES: a mark that is nearly right stays as it is.
        while mark_of(accepted) < MOST_BYTES // 2:
            await publisher.send(clip("h264"))
            await asyncio.sleep(0)
        assert await until(lambda: unread_bytes(accepted) < MOST_BYTES // 4)
        # A few bytes, far below the mark, on a connection that stays open.
        publisher._client.send_close(publisher._stream_id)
        await publisher._flush()
        assert await until(lambda: bool(server.stream.ends))
        publisher.abort()
