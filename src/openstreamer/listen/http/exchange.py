"""One request and its response, whichever version of HTTP carries them: the two functions of ASGI."""

import asyncio
import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import structlog

from openstreamer.listen.http.asgi import (
    RESPONSE_EXTENSION,
    Buffer,
    Header,
    Message,
    Scope,
    error_body,
)
from openstreamer.listen.http.connection import Connection
from openstreamer.media.errors import LocalProtocolError

logger = structlog.get_logger(__name__)

BODY_BUFFER_BYTES = 65_536  # of a request body, held for an application that does not read it yet
# Fields of the connection or the version, which an application may not decide (RFC 9113 8.2.2).
_OURS = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"date"))
ASGI_VERSION = {"version": "3.0", "spec_version": "2.4"}  # 2.4: send raises when the client is gone


class ClientDisconnectedError(OSError):
    """The client went away; ASGI 2.4 lets ``send`` raise an OSError then."""


class Exchange(ABC):
    """A request in service. The connection feeds it; the application calls ``receive`` and ``send``."""

    # Most requests never change these: as class attributes they cost an instance nothing.
    starts_at_once = False  # whether the connection can take a response while it starts a request
    buffered_bytes = 0
    body_deadline_s = math.inf
    started = False  # the head of the response is on its way
    complete = False  # the whole response is
    disconnected = False
    _remaining: int | None = None  # bytes of body that the announced content-length leaves
    _end_delivered = False
    _event: asyncio.Event | None = None
    _task: asyncio.Task[None] | None = None
    _cancel_on_disconnect = False

    def __init__(self, connection: Connection, scope: Scope, *, body_ended: bool) -> None:
        service, endpoint = connection.service, connection.endpoint
        self.connection = connection
        self.group = endpoint.group or service.group_of_request(endpoint, scope["headers"])
        self.app = service.app_for_request(self.group)
        self.scope = scope
        self.body_ended = body_ended
        self.bodiless = scope["method"] == "HEAD"
        self._body = bytearray()  # one buffer: a body in crumbs must not become a list of crumbs
        scope["extensions"] = {RESPONSE_EXTENSION: {"cancel_on_disconnect": self.cancel_on_disconnect}}

    def start(self) -> None:
        """Run the application."""
        connection = self.connection
        service = connection.service
        start = service.start_at_once if self.starts_at_once and service.starts_at_once else service.start
        task = start(self._run(), name="http/request", group=self.group)
        if not (self.complete or self.disconnected):
            self._task = task

    async def _run(self) -> None:
        try:
            await self.app(self.scope, self.receive, self.send)
            if not (self.complete or self.disconnected):
                raise LocalProtocolError("the application returned without a complete response")
        except asyncio.CancelledError:
            if not self.disconnected:
                self.break_off()
            raise
        except Exception as err:
            if not self.disconnected:
                method, path = self.scope["method"], self.scope["path"]
                logger.error("http_application_failed", method=method, path=path, exc_info=err)
                await self._fail()
        finally:  # the scope refers to this object: without this every request is a cycle for the collector
            self.scope = {}
            self._task = None

    async def _fail(self) -> None:
        self.connection.service.statistics.app_errors += 1
        if self.started:
            self.break_off()
            return
        body = error_body("INTERNAL_ERROR", "the server failed to answer; its log says why")
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        with contextlib.suppress(ClientDisconnectedError):
            await self._send_whole(500, headers, (body,), len(body))

    # --- fed by the connection ---------------------------------------------------------------------------

    def feed_body(self, data: bytes) -> None:
        """Bytes of the request body."""
        self._body += data
        self.buffered_bytes += len(data)
        self._wake()

    def end_body(self) -> None:
        """The request body is complete."""
        self.body_ended = True
        self._wake()

    def disconnect(self) -> None:
        """The client is gone."""
        self.disconnected = True
        self._wake()
        if self._cancel_on_disconnect and self._task is not None and not self.complete:
            self._task.cancel()

    def _wake(self) -> None:
        self.body_deadline_s = math.inf
        if self._event is not None:
            self._event.set()

    # --- ASGI --------------------------------------------------------------------------------------------

    def cancel_on_disconnect(self) -> None:
        """See ``asgi.RESPONSE_EXTENSION``."""
        self._cancel_on_disconnect = True
        if self.disconnected and self._task is not None:
            self._task.cancel()

    async def receive(self) -> Message:
        """The next piece of the request body, then (when it happens) ``http.disconnect``."""
        while not (self._body or self.disconnected or self.complete) and (
            self._end_delivered or not self.body_ended
        ):
            await self._wait_for_client()
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body = bytes(self._body)
        self._body.clear()
        consumed, self.buffered_bytes = self.buffered_bytes, 0
        self._end_delivered = self.body_ended
        self._consumed(consumed)
        return {"type": "http.request", "body": body, "more_body": not self.body_ended}

    async def _wait_for_client(self) -> None:
        if not self.body_ended:
            self._want_body()
            limits = self.connection.service.limits
            self.body_deadline_s = self.connection.now_s() + limits.body_deadline_s
        if self._event is None:
            self._event = asyncio.Event()
        self._event.clear()
        await self._event.wait()

    async def send(self, message: Message) -> None:
        """A part of the response.

        Raises:
            ClientDisconnectedError: nobody is there to take it.
            LocalProtocolError: the messages are out of order, or break the announced length.
        """
        kind = message["type"]
        if self.disconnected:
            raise ClientDisconnectedError("the client is gone")
        if self.complete:
            raise LocalProtocolError(f"{kind} after the end of the response")
        if kind == "http.response.body":
            if not self.started:
                raise LocalProtocolError("a response body before its head")
            await self._send_part(message.get("body", b""), message.get("more_body", False))
        elif self.started:
            raise LocalProtocolError(f"{kind} after the head of the response")
        elif kind == RESPONSE_EXTENSION:
            await self._send_whole(
                message["status"], message["headers"], message["chunks"], message["length"]
            )
        elif kind == "http.response.start":
            await self._send_start(message["status"], message.get("headers", ()))
        else:
            raise LocalProtocolError(f"unexpected message {kind}")

    async def _send_start(self, status: int, headers: Iterable[Header]) -> None:
        kept: list[Header] = []
        for name, value in headers:
            name = name.lower()
            if name == b"content-length":
                self._remaining = int(value)
            if name not in _OURS:
                kept.append((name, value))
        if self.connection.paused:
            await self.connection.drain()
            self._require_client()
        self._write_head(status, kept)

    async def _send_part(self, body: bytes, more: bool) -> None:
        if self.bodiless:
            body = b""
        elif self._remaining is not None:
            self._remaining -= len(body)
            if self._remaining < 0 or (self._remaining and not more):
                raise LocalProtocolError("the response body is not as long as its content-length")
        await self._write_body((body,) if body else (), end=not more)
        if not more:
            self._completed()

    async def _send_whole(
        self, status: int, headers: Sequence[Header], chunks: Sequence[Buffer], length: int
    ) -> None:
        self._remaining = length
        if self.connection.paused:
            await self.connection.drain()
            self._require_client()
        await self._write_response(status, headers, () if self.bodiless else chunks, length)
        self._completed()

    def _completed(self) -> None:
        self.complete = True
        self._wake()
        self._response_sent()

    def _require_client(self) -> None:
        if self.disconnected:
            raise ClientDisconnectedError("the client went away during the response")

    # --- what a version of HTTP does ---------------------------------------------------------------------

    @abstractmethod
    def _write_head(self, status: int, headers: Sequence[Header]) -> None:
        """Send the head; the body follows in parts."""

    @abstractmethod
    async def _write_body(self, chunks: Sequence[Buffer], *, end: bool) -> None:
        """Send a part of the body, and wait when the client is slow."""

    @abstractmethod
    async def _write_response(
        self, status: int, headers: Sequence[Header], chunks: Sequence[Buffer], length: int
    ) -> None:
        """Send a whole response whose headers have its length; ``chunks`` is empty for HEAD."""

    @abstractmethod
    def _response_sent(self) -> None:
        """Everything is written: the connection may go on."""

    @abstractmethod
    def break_off(self) -> None:
        """End the response so that the client sees that it is not complete."""

    @abstractmethod
    def _want_body(self) -> None:
        """The application waits for the request body."""

    @abstractmethod
    def _consumed(self, length: int) -> None:
        """The application took ``length`` bytes of the request body."""


def scope_of(
    connection: Connection,
    http_version: str,
    method: str,
    target: tuple[str, bytes, bytes],
    headers: list[Header],
) -> dict[str, Any]:
    """The ASGI scope of a request; ``target`` is (path, raw path, query string)."""
    endpoint = connection.endpoint
    return {
        "type": "http",
        "asgi": ASGI_VERSION,
        "http_version": http_version,
        "method": method,
        "scheme": "https" if endpoint.tls else "http",
        "path": target[0],
        "raw_path": target[1],
        "query_string": target[2],
        "root_path": "",
        "headers": headers,
        "client": endpoint.peer,
        "server": endpoint.local,
    }


def pieces(chunks: Sequence[Buffer], limit_bytes: int) -> Iterator[tuple[list[Buffer], int]]:
    """Group ``chunks`` into lists of at most ``limit_bytes``, cutting what is larger without copying."""
    piece: list[Buffer] = []
    size = 0
    for chunk in chunks:
        start, total = 0, len(chunk)
        view: Buffer = chunk
        while total - start > limit_bytes - size:
            if start == 0:
                view = memoryview(chunk)
            end = start + limit_bytes - size
            if end > start:
                piece.append(view[start:end])
            yield piece, limit_bytes
            piece, size, start = [], 0, end
        if start < total:
            piece.append(view[start:] if start else chunk)
            size += total - start
    if piece:
        yield piece, size
