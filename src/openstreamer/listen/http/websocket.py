"""WebSocket (RFC 6455) on a connection that HTTP/1.1 handed over, over the sans-IO wsproto; ASGI above.

Extensions are not negotiated: permessage-deflate would let a small frame expand beyond every bound.
"""

import asyncio
import math
from collections import deque
from typing import Any

import h11
import structlog
import wsproto
from wsproto import events as ws
from wsproto.connection import ConnectionState

from openstreamer.listen.http.asgi import Message, error_body
from openstreamer.listen.http.connection import Connection, Endpoint
from openstreamer.listen.http.exchange import ClientDisconnectedError
from openstreamer.listen.http.service import Service
from openstreamer.media.errors import LocalProtocolError

logger = structlog.get_logger(__name__)

PING_INTERVAL_S = 30.0  # below the idle timeout of common proxies
MAX_QUEUED_MESSAGES = 16
CLOSE_DEADLINE_S = 5.0  # for the peer's half of the closing handshake
GOING_AWAY = 1001
MESSAGE_TOO_BIG = 1009
INTERNAL_ERROR = 1011
SERVICE_RESTART = 1012


class WebSocketConnection(Connection):
    """One WebSocket. ``scope`` is that of the HTTP request which asked for the upgrade."""

    def __init__(self, service: Service, endpoint: Endpoint, scope: dict[str, Any]) -> None:
        super().__init__(service, endpoint)
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self._scope: dict[str, Any] = {**scope, "type": "websocket"}
        self._group = service.group_of_request(endpoint, scope["headers"])
        self._scope["scheme"] = "wss" if endpoint.tls else "ws"
        del self._scope["method"]
        self._queue: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._parts: list[Any] = []
        self._parts_bytes = 0
        self._accepted = False
        self._closed = False  # a close frame was sent or received, or the upgrade refused
        self._reading_paused = False
        self._pinged = False

    def begin(self, rest: bytes) -> None:
        """The transport is ours. ``rest`` is what came behind the upgrade request."""
        target = self._scope["raw_path"] + b"?" + self._scope["query_string"]
        try:
            self._protocol.initiate_upgrade_connection(self._scope["headers"], target.decode("latin-1"))
        except (wsproto.utilities.RemoteProtocolError, h11.ProtocolError) as err:
            self._refuse(str(err))
            return
        except UnicodeError:  # wsproto reads Host as an IDNA name
            self._refuse("the Host is no host name")
            return
        for event in self._protocol.events():
            if isinstance(event, ws.Request):
                self._scope["subprotocols"] = event.subprotocols
        self._queue.append({"type": "websocket.connect"})
        self.deadline_s = self.now_s() + PING_INTERVAL_S
        self.service.start(self._run(), name="http/websocket", group=self._group)
        if rest:
            self.data_received(rest)

    def _refuse(self, message: str) -> None:
        self.service.statistics.protocol_errors += 1
        self._closed = True
        body = error_body("BAD_REQUEST", message)
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.write((head, body), len(head) + len(body))
        self.close("protocol error")

    async def _run(self) -> None:
        app = self.service.app_for_request(self._group)
        try:
            await app(self._scope, self.receive, self.send)
        except asyncio.CancelledError:
            self.abort("shutting down")
            raise
        except Exception as err:
            if not self.lost:
                self.service.statistics.app_errors += 1
                logger.error("websocket_application_failed", path=self._scope["path"], exc_info=err)
                self._finish(INTERNAL_ERROR)
        else:
            self._finish(1000)

    def _finish(self, code: int) -> None:
        """The application is done: what it left open is closed."""
        if self._closed:
            return
        if self._accepted:
            self._send_close(code, "")
        else:
            self._reject(500 if code == INTERNAL_ERROR else 403)

    # --- receiving ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.service.statistics.received_bytes += len(data)
        self._pinged = False
        if not self._accepted:  # RFC 6455 4.1: a client waits for the answer; what comes before is refused
            self.abort("protocol error")
            return
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._handle(event)
        except wsproto.utilities.RemoteProtocolError as err:
            self.service.statistics.protocol_errors += 1
            if err.event_hint is not None and not self._closed:
                self._write(self._protocol.send(err.event_hint))
            self._end(1002)
            self.close("protocol error")
        except wsproto.utilities.LocalProtocolError:  # data after the closing handshake
            self.close("done")

    def _handle(self, event: ws.Event) -> None:
        if isinstance(event, ws.Message):
            self._handle_message(event)
        elif isinstance(event, ws.Ping):
            if self.paused:
                return  # RFC 6455 5.5.3: a later one may be answered instead; nobody reads the answers now
            self._write(self._protocol.send(event.response()))
        elif isinstance(event, ws.CloseConnection):
            # A frame that cannot be parsed comes as a close as well, but not in the state that a close makes.
            broken = self._protocol.state is ConnectionState.OPEN
            self.service.statistics.protocol_errors += broken
            if not self._closed:
                self._write(self._protocol.send(event.response()))
            self._end(event.code)
            self.close("done")

    def _handle_message(self, event: "ws.Message[Any]") -> None:
        if event.data:
            self._parts.append(event.data)
        self._parts_bytes += len(event.data)
        if self._parts_bytes > self.service.limits.max_websocket_message_bytes:
            if not self._closed:
                self._send_close(MESSAGE_TOO_BIG, "message too big")
            self.close("protocol error")
            return
        if not event.message_finished:
            return
        if isinstance(event, ws.TextMessage):
            message: Message = {"type": "websocket.receive", "text": "".join(self._parts)}
        else:
            message = {"type": "websocket.receive", "bytes": b"".join(self._parts)}
        self._parts, self._parts_bytes = [], 0
        self._queue.append(message)
        self._arrived.set()
        if len(self._queue) >= MAX_QUEUED_MESSAGES and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def _end(self, code: int) -> None:
        """No more messages: the application learns it once."""
        if not self._closed or not self._queue or self._queue[-1]["type"] != "websocket.disconnect":
            self._queue.append({"type": "websocket.disconnect", "code": code, "reason": ""})
        self._closed = True
        self._arrived.set()

    # --- ASGI --------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The next message of the client; ``websocket.disconnect`` is the last."""
        while not self._queue:
            if self._closed or self.lost:
                return {"type": "websocket.disconnect", "code": 1005, "reason": ""}
            self._arrived.clear()
            await self._arrived.wait()
        message = self._queue.popleft()
        if self._reading_paused and len(self._queue) < MAX_QUEUED_MESSAGES // 2 and not self.lost:
            self._reading_paused = False
            self.transport.resume_reading()
        return message

    async def send(self, message: Message) -> None:
        """Accept, send a message, or close.

        Raises:
            ClientDisconnectedError: the client is gone.
            LocalProtocolError: the message does not fit the state.
        """
        if self.lost or self._closed:
            raise ClientDisconnectedError("the client is gone")
        kind = message["type"]
        if not self._accepted:
            if kind == "websocket.accept":
                self._accept(message)
            elif kind == "websocket.close":
                self._reject(403)
            else:
                raise LocalProtocolError(f"{kind} before websocket.accept")
        elif kind == "websocket.send":
            text = message.get("text")
            event = ws.TextMessage(text) if text is not None else ws.BytesMessage(message["bytes"])
            self._write(self._protocol.send(event))
            await self.drain()
        elif kind == "websocket.close":
            self._send_close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise LocalProtocolError(f"unexpected message {kind}")

    def _accept(self, message: Message) -> None:
        self._accepted = True
        headers = list(message.get("headers", ()))
        accept = ws.AcceptConnection(subprotocol=message.get("subprotocol"), extra_headers=headers)
        self._write(self._protocol.send(accept))

    def _reject(self, status: int) -> None:
        self._closed = True
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        self._write(self._protocol.send(ws.RejectConnection(status_code=status, headers=headers)))
        self.close("refused")

    def _send_close(self, code: int, reason: str) -> None:
        self._write(self._protocol.send(ws.CloseConnection(code=code, reason=reason)))
        self._end(code)
        self.deadline_s = self.now_s() + CLOSE_DEADLINE_S

    def _write(self, data: bytes) -> None:
        self.write((data,), len(data))

    # --- the end -----------------------------------------------------------------------------------------

    def expire(self) -> None:
        if self._closed or self._pinged or not self._accepted:
            self.abort("no answer")
            return
        self._pinged = True
        self._write(self._protocol.send(ws.Ping()))
        self.deadline_s = self.now_s() + PING_INTERVAL_S

    def shut_down(self) -> None:
        if self._accepted and not self._closed:
            self._send_close(SERVICE_RESTART, "")
        else:
            self.close("shutting down")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.deadline_s = math.inf
        self._end(1006)
