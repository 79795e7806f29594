"""An HTTP/2 client over the h2 library, which shares no code with the server: frames in both directions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events

from openstreamer.listen.http.listener import HttpListener
from tests.support.http import WITHIN_S


@dataclass
class Http2Answer:
    """What came on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    ended: bool = False
    reset: int | None = None

    @property
    def done(self) -> bool:
        return self.ended or self.reset is not None


class Http2Client:
    """Feeds the sans-IO connection from a socket. ``credit`` says whether windows are given back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.answers: dict[int, Http2Answer] = {}
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.credit = True
        self.closed = False

    def request(self, path: str, *, method: str = "GET", headers: Any = (), end_stream: bool = True) -> int:
        """Send the head of a request; returns its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        fields = [(":method", method), (":scheme", "http"), (":authority", "test"), (":path", path), *headers]
        self.h2.send_headers(stream_id, fields, end_stream=end_stream)
        self.answers[stream_id] = Http2Answer()
        self.flush()
        return stream_id

    async def post(self, path: str, body: bytes) -> Http2Answer:
        """Send a request with a body, within the windows; wait for its answer."""
        stream_id = self.request(path, method="POST", end_stream=False)
        answer = self.answers[stream_id]
        sent = 0
        while not answer.done and not self.closed:
            window = self.h2.local_flow_control_window(stream_id)
            if not window and sent < len(body):
                await self.pump()
                continue
            piece = body[sent : sent + min(window, 16_384)]
            sent += len(piece)
            self.h2.send_data(stream_id, piece, end_stream=sent == len(body))
            self.flush()
            if sent == len(body):
                break
        return await self.answer(stream_id)

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def pump(self) -> None:
        """Take the next bytes of the server."""
        async with asyncio.timeout(WITHIN_S):
            try:
                data = await self.reader.read(65_536)
            except ConnectionError:
                data = b""
        if not data:
            self.closed = True
            return
        for event in self.h2.receive_data(data):
            self._handle(event)
        self.flush()

    def _handle(self, event: Any) -> None:
        match event:
            case h2.events.ResponseReceived():
                self.answers[event.stream_id].headers = dict(event.headers)
            case h2.events.DataReceived():
                self.answers[event.stream_id].body += event.data
                if self.credit and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.answers[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.answers[event.stream_id].reset = event.error_code
            case h2.events.ConnectionTerminated():
                self.goaway = event

    async def answer(self, stream_id: int) -> Http2Answer:
        """Wait for the end of a stream."""
        while not self.answers[stream_id].done and not self.closed:
            await self.pump()
        return self.answers[stream_id]

    async def until_closed(self) -> None:
        while not self.closed:
            await self.pump()


@contextlib.asynccontextmanager
async def connected2(listener: HttpListener) -> AsyncIterator[Http2Client]:
    """A client with prior knowledge."""
    host, _, port = listener.bound.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    client = Http2Client(reader, writer)
    client.h2.initiate_connection()
    client.flush()
    try:
        yield client
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
