"""HTTP/2 connections: the sans-IO machine of ``wire.http2`` between a transport and the exchanges."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from openstreamer.listen.http.asgi import Buffer, Header
from openstreamer.listen.http.connection import Connection, Endpoint
from openstreamer.listen.http.exchange import BODY_BUFFER_BYTES, Exchange, scope_of
from openstreamer.listen.http.service import Service
from openstreamer.wire.http2 import Http2Limits, Http2Server
from openstreamer.wire.http2_frames import (
    ConnectionFailed,
    DataReceived,
    ErrorCode,
    Event,
    RequestReceived,
    StreamReset,
    WindowOpened,
)

UPLOAD_WINDOW_BYTES = 4 * BODY_BUFFER_BYTES  # of request bodies that no application reads, per connection
REPLENISH_INTERVAL_S = 1.0


class Http2Connection(Connection):
    """The server side of one HTTP/2 connection."""

    def __init__(self, service: Service, endpoint: Endpoint) -> None:
        super().__init__(service, endpoint)
        limits = service.limits
        self.machine = Http2Server(
            Http2Limits(
                max_concurrent_streams=limits.max_concurrent_streams,
                max_header_block_bytes=limits.max_header_bytes,
                max_header_list_bytes=2 * limits.max_header_bytes,  # entries weigh 32 bytes more
                max_header_fields=limits.max_header_fields,
                stream_window_bytes=BODY_BUFFER_BYTES,
                connection_window_bytes=UPLOAD_WINDOW_BYTES,
            )
        )
        self._exchanges: dict[int, Http2Exchange] = {}
        self._running = 0
        self._replenish_at_s = 0.0
        self.deadline_s = self.now_s() + limits.header_deadline_s

    def data_received(self, data: bytes) -> None:
        self.service.statistics.received_bytes += len(data)
        opened: set[int] = set()
        for event in self.machine.receive_data(data):
            if event.__class__ is WindowOpened:
                opened.add(event.stream_id)
            else:
                self._handle(event)
        if opened:
            self._wake(opened)
        self.flush()

    def _wake(self, opened: set[int]) -> None:
        """Windows have opened. Once for all that was received: a flood of updates costs no wakes."""
        for stream_id in self._exchanges if 0 in opened else opened:
            if (waiting := self._exchanges.get(stream_id)) is not None:
                waiting.window_opened()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event)
            case DataReceived():
                self._feed(event)
            case StreamReset(stream_id=stream_id):
                if (reset := self._forget(stream_id)) is not None:
                    reset.disconnect()
                if not self._exchanges:
                    self.deadline_s = self.now_s() + self.service.limits.idle_timeout_s
            case ConnectionFailed():
                self.service.statistics.protocol_errors += 1
                self._disconnect_all()
                self.flush()
                self.close("protocol error")

    def _begin(self, event: RequestReceived) -> None:
        if self._running >= self.service.limits.max_concurrent_streams:
            # Requests that were reset may still run: they count until their application returns.
            self.machine.reset(event.stream_id, ErrorCode.REFUSED_STREAM)
            return
        raw_path, _, query = event.target.partition(b"?")
        path = raw_path.decode("ascii")
        target = (unquote(path) if "%" in path else path), raw_path, query
        scope = scope_of(self, "2", event.method, target, event.headers)
        begun = Http2Exchange(self, event.stream_id, scope, body_ended=event.ended)
        self._exchanges[event.stream_id] = begun
        self._running += 1
        self.deadline_s = math.inf
        begun.start()

    def _feed(self, event: DataReceived) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is None:
            self.machine.credit(event.stream_id, len(event.data))
            return
        if event.data:
            exchange.feed_body(event.data)
        if event.ended:
            exchange.end_body()

    def flush(self) -> None:
        """Write what the machine has to say."""
        buffers = self.machine.data_to_send()
        if buffers and not self.transport.is_closing():
            self.write(buffers, sum(map(len, buffers)))

    def response_sent(self, stream_id: int) -> None:
        """The stream is finished; the connection may become idle."""
        self._forget(stream_id)
        if not self._exchanges:
            if self.service.draining:
                self.close("shutting down")
            else:
                self.deadline_s = self.now_s() + self.service.limits.idle_timeout_s

    def _forget(self, stream_id: int) -> "Http2Exchange | None":
        """The stream is over; what its application did not read is given back to the connection's window."""
        exchange = self._exchanges.pop(stream_id, None)
        if exchange is not None:
            self.machine.credit(stream_id, exchange.buffered_bytes)
        return exchange

    def application_returned(self) -> None:
        """A request does not run any more."""
        self._running -= 1

    def check(self, now_s: float) -> None:
        if now_s >= self._replenish_at_s:
            self._replenish_at_s = now_s + REPLENISH_INTERVAL_S
            self.machine.replenish()
        for stream_id, exchange in tuple(self._exchanges.items()):
            if min(exchange.body_deadline_s, exchange.window_deadline_s) <= now_s:
                self.service.statistics.closed["slow client"] += 1
                self.machine.reset(stream_id, ErrorCode.CANCEL)
                self.response_sent(stream_id)
                exchange.disconnect()
        self.flush()
        super().check(now_s)

    def expire(self) -> None:
        self.machine.go_away()
        self.flush()
        self.close("idle" if self.machine.open_streams == 0 else "timeout")

    def shut_down(self) -> None:
        self.machine.go_away()
        self.flush()
        if not self._exchanges:
            self.close("shutting down")

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._disconnect_all()

    def _disconnect_all(self) -> None:
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            exchange.disconnect()


class Http2Exchange(Exchange):
    """A request on a stream of an HTTP/2 connection."""

    connection: Http2Connection
    window_deadline_s = math.inf
    _taken_bytes = 0  # since the deadline was moved last, in whatever pieces the windows allow
    _window: asyncio.Event | None = None

    def __init__(
        self, connection: Http2Connection, stream_id: int, scope: dict[str, Any], *, body_ended: bool
    ) -> None:
        super().__init__(connection, scope, body_ended=body_ended)
        self._stream_id = stream_id

    async def _run(self) -> None:
        try:
            await super()._run()
        finally:
            self.connection.application_returned()

    def window_opened(self) -> None:
        """The peer takes more on this stream."""
        if self._window is not None:
            self._window.set()

    def _write_head(self, status: int, headers: Sequence[Header]) -> None:
        self._queue_head(status, headers, end=False)
        self.connection.flush()

    def _queue_head(self, status: int, headers: Sequence[Header], *, end: bool) -> None:
        if status in (204, 304):
            self.bodiless = True
        fields = [(b"date", self.connection.service.date), *headers]
        self.connection.machine.send_headers(self._stream_id, status, fields, end_stream=end)
        self.started = True

    async def _write_response(
        self, status: int, headers: Sequence[Header], chunks: Sequence[Buffer], length: int
    ) -> None:
        self._queue_head(status, headers, end=not length or not chunks)
        if length and chunks:
            await self._write_body(chunks, end=True)
        else:
            self.connection.flush()

    async def _write_body(self, chunks: Sequence[Buffer], *, end: bool) -> None:
        connection, machine, stream_id = self.connection, self.connection.machine, self._stream_id
        unflushed_bytes = 0
        for chunk in chunks:
            start, total = 0, len(chunk)
            while start < total:
                allowed = machine.sendable(stream_id)
                if not allowed or connection.paused:
                    connection.flush()
                    unflushed_bytes = 0
                    await self._wait_for_client_to_take(window=not allowed)
                    continue
                size = min(allowed, connection.piece_bytes, total - start)
                piece = chunk if size == total else memoryview(chunk)[start : start + size]
                machine.send_data(stream_id, piece, end_stream=False)
                start += size
                unflushed_bytes += size
                if unflushed_bytes >= connection.piece_bytes:
                    connection.flush()
                    unflushed_bytes = 0
                self._taken_bytes += size
                if self._taken_bytes >= connection.service.limits.write_buffer_bytes:
                    self._taken_bytes = 0
                    self.window_deadline_s = math.inf
        if end:
            machine.send_data(stream_id, b"", end_stream=True)
            self.window_deadline_s = math.inf
        connection.flush()

    async def _wait_for_client_to_take(self, *, window: bool) -> None:
        """Wait for the flow-control window, or for the write buffer, to have room."""
        if not window:
            await self.connection.drain()
        else:
            if self.window_deadline_s == math.inf:
                limits = self.connection.service.limits
                self.window_deadline_s = self.connection.now_s() + limits.write_deadline_s
            if self._window is None:
                self._window = asyncio.Event()
            self._window.clear()
            await self._window.wait()
        self._require_client()

    def disconnect(self) -> None:
        super().disconnect()
        self.window_opened()

    def _response_sent(self) -> None:
        self.connection.response_sent(self._stream_id)

    def break_off(self) -> None:
        self.connection.machine.reset(self._stream_id, ErrorCode.INTERNAL_ERROR)
        self.connection.response_sent(self._stream_id)
        self.connection.flush()

    def _want_body(self) -> None:
        pass  # the window is open since the stream is

    def _consumed(self, length: int) -> None:
        self.connection.machine.credit(self._stream_id, length)
        self.connection.flush()
