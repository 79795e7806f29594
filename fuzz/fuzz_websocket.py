"""What a WebSocket client sends once it was let in, to an application that echoes. The first byte says how
the bytes are split; the application gets the same messages however they come."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import wsproto
from wsproto import events as ws

from fuzz.http_peer import converse
from fuzz.target import FuzzTarget, pieces_of
from openstreamer.listen.http.exchange import ClientDisconnectedError
from openstreamer.listen.http.limits import HttpLimits

LIMITS = HttpLimits(max_websocket_message_bytes=600)
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def run(data: bytes) -> None:
    split, stream = data[:1] or b"\0", data[1:]
    assert _messages([stream]) == _messages(list(pieces_of(stream, split[0])))


def _messages(pieces: Sequence[bytes]) -> list[str | bytes]:
    messages: list[str | bytes] = []
    ends: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "websocket"
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                ends.append(message["code"])
                return
            content: str | bytes = message["text"] if "text" in message else message["bytes"]
            assert len(content) <= LIMITS.max_websocket_message_bytes
            messages.append(content)
            try:
                await send(
                    {"type": "websocket.send", "text" if isinstance(content, str) else "bytes": content}
                )
            except ClientDisconnectedError:
                await asyncio.sleep(0)

    _, answers = converse(app, LIMITS, [UPGRADE, *pieces])
    assert answers.startswith(b"HTTP/1.1 101 ")
    assert len(ends) == 1
    return messages


def seeds() -> Iterator[bytes]:
    client = wsproto.connection.Connection(wsproto.ConnectionType.CLIENT)
    hello = client.send(ws.TextMessage("hé"))
    ping = client.send(ws.Ping(b"are you there"))
    part = client.send(ws.BytesMessage(b"ab" * 70, message_finished=False))
    rest = client.send(ws.BytesMessage(b"c", message_finished=True))
    end = client.send(ws.CloseConnection(1000, "done"))
    yield b"\x01" + hello + ping + end
    yield b"\x20" + part + ping + rest + hello
    yield b"\x00" + wsproto.connection.Connection(wsproto.ConnectionType.CLIENT).send(
        ws.BytesMessage(bytes(700))
    )
    yield b"\x03\x81\x05hello"  # not masked
    yield b"\x03\x81\x81\0\0\0\0\xff"  # not UTF-8


TARGET = FuzzTarget("websocket", run, (), seeds)
