"""WebSocket over real sockets, with wsproto as the client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import wsproto
from wsproto import events as ws

from openstreamer.listen.http.listener import HttpListener
from tests.support.http import WITHIN_S, Behaviours, RawClient, connected, serving
from tests.support.waiting import until


class SocketClient:
    """A WebSocket client."""

    def __init__(self, raw: RawClient) -> None:
        self.raw = raw
        self.protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.pending: list[ws.Event] = []

    def send(self, event: ws.Event) -> None:
        self.raw.send(self.protocol.send(event))

    async def event(self) -> ws.Event | None:
        """The next event; None when the connection is closed."""
        while not self.pending:
            async with asyncio.timeout(WITHIN_S):
                data = await self.raw.reader.read(65_536)
            if not data:
                return None
            self.protocol.receive_data(data)
            self.pending.extend(self.protocol.events())
        return self.pending.pop(0)

    async def text(self) -> str:
        parts = []
        while True:
            event = await self.event()
            assert isinstance(event, ws.TextMessage)
            parts.append(event.data)
            if event.message_finished:
                return "".join(parts)


@contextlib.asynccontextmanager
async def opened(listener: HttpListener, path: str = "/socket") -> AsyncIterator[SocketClient]:
    async with connected(listener) as raw:
        client = SocketClient(raw)
        client.send(ws.Request(host="test", target=path, subprotocols=["chat"]))
        yield client


async def test_messages_go_both_ways(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener, "/socket?x=1") as client:
        accepted = await client.event()
        assert isinstance(accepted, ws.AcceptConnection)
        assert accepted.subprotocol == "chat"
        scope = app.scopes[0]
        assert (scope["type"], scope["scheme"], scope["path"], scope["query_string"]) == (
            "websocket", "ws", "/socket", b"x=1",
        )  # fmt: skip
        client.send(ws.TextMessage("grüße"))
        assert await client.text() == "grüße"
        client.send(ws.TextMessage("in ", message_finished=False))
        client.send(ws.TextMessage("parts"))
        assert await client.text() == "in parts"
        client.send(ws.BytesMessage(b"\x00\x01"))
        assert await client.event() == ws.BytesMessage(data=bytearray(b"\x00\x01"))


async def test_a_ping_is_answered(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        client.send(ws.Ping(b"beat"))
        assert await client.event() == ws.Pong(payload=bytearray(b"beat"))


async def test_many_messages_at_once_are_all_echoed_in_order(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        for n in range(200):
            client.send(ws.TextMessage(str(n)))
        assert [await client.text() for _ in range(200)] == [str(n) for n in range(200)]


async def test_the_application_may_close(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        client.send(ws.TextMessage("close"))
        closing = await client.event()
        assert closing == ws.CloseConnection(code=4000, reason="asked")
        assert isinstance(closing, ws.CloseConnection)
        client.send(closing.response())
        assert await client.event() is None


async def test_the_client_may_close(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        client.send(ws.CloseConnection(code=1000))
        assert await client.event() == ws.CloseConnection(code=1000, reason="")
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert app.received[-1]["code"] == 1000


async def test_a_lost_client_ends_the_application(app: Behaviours) -> None:
    async with serving(app) as listener:
        async with opened(listener) as client:
            await client.event()
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert app.received[-1]["code"] == 1006
        assert await until(lambda: listener.statistics.open_connections == 0)


async def test_a_refused_upgrade_is_403(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener, "/refused-socket") as client:
        refused = await client.event()
        assert isinstance(refused, ws.RejectConnection)
        assert refused.status_code == 403


async def test_an_upgrade_without_its_key_is_400(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/socket", "Connection: Upgrade", "Upgrade: websocket")
        assert (await client.answer()).status == 400
        assert not app.scopes


@pytest.mark.parametrize("host", [b"\xda", b"xn--\xff", b"a\x80.example"])
async def test_an_upgrade_to_no_host_name_is_400(app: Behaviours, host: bytes) -> None:
    async with serving(app) as listener, connected(listener) as raw:
        raw.send(
            b"GET /socket HTTP/1.1\r\nHost: " + host + b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = await raw.answer()
        assert answer.status == 400
        assert "host name" in answer.body.decode()
        assert listener.statistics.protocol_errors == 1


async def test_a_failing_application_closes_with_1011(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        client.send(ws.TextMessage("fail"))
        closing = await client.event()
        assert isinstance(closing, ws.CloseConnection)
        assert (closing.code, closing.reason) == (1011, "")
        assert listener.statistics.app_errors == 1


async def test_a_message_over_the_bound_closes_with_1009(app: Behaviours) -> None:
    async with serving(app, max_websocket_message_bytes=1000) as listener, opened(listener) as client:
        await client.event()
        client.send(ws.BytesMessage(b"x" * 600, message_finished=False))
        client.send(ws.BytesMessage(b"x" * 600))
        closing = await client.event()
        assert isinstance(closing, ws.CloseConnection)
        assert closing.code == 1009


async def test_empty_fragments_and_unread_pongs_take_no_memory(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        assert listener._service is not None
        (connection,) = listener._service.connections
        connection.data_received(b"\x02\x80abcd" + b"\x00\x80abcd" * 1000)
        assert connection._parts == []
        connection.data_received(b"\x89\xfdabcd" + bytes(125) + b"\x89\xfdabcd" + bytes(125))
        sent_bytes = listener.statistics.sent_bytes
        connection.pause_writing()
        connection.data_received((b"\x89\xfdabcd" + bytes(125)) * 1000)
        assert listener.statistics.sent_bytes == sent_bytes
        connection.resume_writing()


async def test_a_broken_frame_is_a_counted_error(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        client.raw.send(b"\xff\x00\x00\x00")
        closing = await client.event()
        assert isinstance(closing, ws.CloseConnection)
        assert listener.statistics.protocol_errors == 1


async def test_closing_the_listener_tells_the_client(app: Behaviours) -> None:
    async with serving(app) as listener, opened(listener) as client:
        await client.event()
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.close(drain_s=WITHIN_S))
            closing = await client.event()
            assert isinstance(closing, ws.CloseConnection)
            assert closing.code == 1012
            client.send(closing.response())


async def test_a_client_that_answers_no_ping_is_cut_off(
    app: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openstreamer.listen.http.websocket.PING_INTERVAL_S", 0.05)
    async with serving(app, idle_timeout_s=0.1) as listener, opened(listener) as client:
        await client.event()
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert listener.statistics.closed["no answer"] == 1
