"""A socket that is held back says nothing of what comes, until it is released."""

import select
import socket
from collections.abc import Iterator

import pytest

from openstreamer.sources.held_back import HELD_BACK_BYTES, HeldBack


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    with sender, receiver:
        yield sender, receiver


def is_readable(receiver: socket.socket, within_s: float = 0.0) -> bool:
    return bool(select.select([receiver], [], [], within_s)[0])


def test_what_comes_is_told_at_the_release(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    held = HeldBack(receiver)
    held.hold()
    assert held.holds
    sender.sendall(b"crumbs")
    # Loopback delivers within the call: what is not told now is held back.
    assert not is_readable(receiver)
    held.release()
    assert not held.holds
    assert is_readable(receiver)


def test_more_than_is_held_back_is_told_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    HeldBack(receiver).hold()
    sender.sendall(bytes(HELD_BACK_BYTES))
    assert is_readable(receiver, within_s=10)


def test_the_end_of_the_connection_is_told_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, receiver = pair
    HeldBack(receiver).hold()
    sender.close()
    assert is_readable(receiver, within_s=10)


def test_a_closed_socket_is_no_error(pair: tuple[socket.socket, socket.socket]) -> None:
    _, receiver = pair
    held = HeldBack(receiver)
    held.hold()
    receiver.close()
    held.release()
    assert not held.holds
