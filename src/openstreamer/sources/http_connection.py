"""One HTTP/1.1 connection as a client (RFC 9112): a request at a time, its body taken in pieces.

The message syntax is parsed by llhttp. Everything that a server sends is bounded: the head, what stands
between pieces of a body (chunk extensions, trailers), and the body that nobody has taken yet, at which the
connection is not read any more.
"""

import asyncio
import itertools
import socket
from collections import deque
from contextlib import nullcontext
from typing import Final, cast

import httptools

from openstreamer.media.errors import SourceError, SourceStalled, SourceUnreachable
from openstreamer.sources.held_back import HeldBack
from openstreamer.sources.outbound import reason_of
from openstreamer.sources.ticks import next_tick_s

MAX_HEAD_BYTES: Final = 64 << 10
MAX_OVERHEAD_BYTES: Final = 64 << 10  # sent without any byte of the body between
MAX_INTERIM_RESPONSES: Final = 8  # 100 and 103, before the real one
PIECE_BYTES: Final = 64 << 10  # the most that the parser is given, and so that one piece of a body has
MOST_CHUNKS: Final = 64  # of a body in that, before they are joined
MOST_QUEUED_BYTES: Final = 512 << 10  # of a body, before the server is slowed down


class HttpConnection(asyncio.Protocol):
    """The adapter between a transport and llhttp; made by :class:`~.http_client.HttpClient`."""

    def __init__(self, where: str, connected: socket.socket) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.received_bytes = 0  # of everything, since the connection was made
        self.ended = False  # the body is complete
        self.delimited = False  # the body's end is not just the end of the connection
        self._where = where
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._in_head = False
        self._busy = False
        self._reusable = False
        self._interim = 0
        self._overhead_bytes = 0
        self._pieces: deque[bytes] = deque()
        self._queued_bytes = 0
        self._paused = False
        self._failure: SourceError | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._ticker: asyncio.TimerHandle | None = None  # of media in real time
        self._held = HeldBack(connected)  # between ticks
        self._last_data_s = 0.0
        self._silence_s = 0.0  # judged at ticks, where there are

    # ------------------------------------------------------------------ the client's side

    @property
    def usable(self) -> bool:
        """Whether another request may be sent."""
        return (
            not self._busy
            and self._failure is None
            and self._transport is not None
            and not self._transport.is_closing()
        )

    @property
    def queued_bytes(self) -> int:
        """Of the body, received and not taken."""
        return self._queued_bytes

    @property
    def paused(self) -> bool:
        """Whether the server is being slowed down."""
        return self._paused

    def send_request(self, request: bytes) -> None:
        """Send a request without a body; the response is read by ``head`` and then ``piece``."""
        assert self.usable
        assert self._transport is not None
        self._busy = self._in_head = True
        self._overhead_bytes = self._interim = self.status = 0
        self.headers = {}
        self.ended = self.delimited = self._reusable = False
        self._transport.write(request)

    async def head(self) -> None:
        """Wait until ``status`` and ``headers`` are there. The caller sets the deadline."""
        while self._in_head:
            if self._failure is not None:
                raise self._failure
            await self._wait()

    async def piece(self, silence_s: float) -> bytes:
        """What arrived of the body, at most ``PIECE_BYTES``; empty at its end.

        Raises:
            SourceStalled: nothing arrived for ``silence_s``.
            SourceUnreachable: the connection broke before the end of the body.
        """
        if not self._pieces and not self.ended and self._failure is None:
            try:
                # A timeout costs as much as the wait: media in real time does without.
                async with asyncio.timeout(silence_s) if self._ticker is None else nullcontext():
                    while not self._pieces and not self.ended and self._failure is None:
                        await self._wait()
            except TimeoutError as err:
                raise self._stalled(silence_s) from err
        if not self._pieces:
            if self._failure is not None and not self.ended:
                raise self._failure
            return b""
        return self._take()

    def follow_rate(self, silence_s: float) -> None:
        """Read at ticks, from now on: for media in real time. ``piece`` then judges silence by
        ``silence_s``."""
        if self._ticker is None:
            self._silence_s = silence_s
            self._last_data_s = asyncio.get_running_loop().time()
            self._tick()

    def finish(self) -> bool:
        """The response is not read any further. Returns whether the connection can take another request."""
        reusable = self._reusable and self.ended and not self._pieces
        self._pieces.clear()
        self._queued_bytes = 0
        if reusable and self._ticker is None:
            self._busy = False
            self._parser = httptools.HttpResponseParser(self)
            return self.usable
        self.abort()
        return False

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> bytes:
        pieces = self._pieces
        piece = pieces.popleft()
        if pieces and len(piece) + len(pieces[0]) <= PIECE_BYTES:
            joined, size = [piece], len(piece)
            while pieces and size + len(pieces[0]) <= PIECE_BYTES:
                joined.append(pieces.popleft())
                size += len(joined[-1])
            piece = b"".join(joined)
        self._queued_bytes -= len(piece)
        if self._paused and self._queued_bytes <= MOST_QUEUED_BYTES // 2:
            self._paused = False
            self._last_data_s = asyncio.get_running_loop().time()
            if self._transport is not None:
                self._transport.resume_reading()
        return piece

    def _stalled(self, silence_s: float) -> SourceStalled:
        return SourceStalled(f"{self._where}: connected, but silent for {silence_s:g} s")

    async def _wait(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _tick(self) -> None:
        """See what has come since the last tick, or that nothing did for too long."""
        if self._transport is None:
            return
        loop = asyncio.get_running_loop()
        if self._held.holds:
            self._held.release()
        elif self._arrival is not None and loop.time() - self._last_data_s > self._silence_s:
            self._failure = self._failure or self._stalled(self._silence_s)
            self._wake()
            return
        self._ticker = loop.call_at(next_tick_s(loop.time()), self._tick)

    # ------------------------------------------------------------------ transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TCP transport is no subclass of it

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        if self._ticker is not None:
            self._last_data_s = asyncio.get_running_loop().time()
            self._held.hold()
        if not self._busy or self._failure is not None:
            self.abort()  # nobody asked
            return
        if self.ended:
            self._fail("sent more than it had announced")
            return
        try:
            if len(data) <= PIECE_BYTES:
                self._feed(data)
            else:
                view = memoryview(data)
                for start in range(0, len(data), PIECE_BYTES):
                    self._feed(view[start : start + PIECE_BYTES])
        except httptools.HttpParserUpgrade:
            self._fail("switched to another protocol")
        except httptools.HttpParserError:
            self._fail("sent what is not HTTP")
        self._wake()

    def _feed(self, data: "bytes | memoryview") -> None:
        if self._failure is not None:
            return
        self._overhead_bytes += len(data)
        queued = len(self._pieces)
        self._parser.feed_data(data)
        if len(self._pieces) - queued > MOST_CHUNKS:
            self._join(queued)
        if self._overhead_bytes > (MAX_HEAD_BYTES if self._in_head else MAX_OVERHEAD_BYTES):
            self._fail(f"sent more than {MAX_HEAD_BYTES >> 10} kB of header")
        elif self._queued_bytes > MOST_QUEUED_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _join(self, queued: int) -> None:
        """Make one piece of those behind the first ``queued``: small ones cost far more than they carry."""
        pieces = self._pieces
        self._pieces = deque(itertools.islice(pieces, queued))
        self._pieces.append(b"".join(itertools.islice(pieces, queued, None)))

    def eof_received(self) -> bool:
        if self._busy and not self._in_head and not self.delimited:
            self.ended = True  # RFC 9112, section 6.3: the body ends with the connection
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        self._transport = None
        if self._failure is None:
            said = f": {reason_of(exc)}" if isinstance(exc, OSError) else ""
            what = "was closed before it answered" if self._in_head else "was lost"
            self._failure = SourceUnreachable(f"{self._where}: the connection {what}{said}")
        self._wake()

    def _fail(self, what: str) -> None:
        if self._failure is None:
            self._failure = SourceUnreachable(f"{self._where}: the server {what}")
        self.abort()
        self._wake()

    # ------------------------------------------------------------------ parser callbacks

    def on_message_begin(self) -> None:
        if self.ended:
            self._reusable = False  # a second response in one breath with the first one

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        before = self.headers.get(key)
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self.ended:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers = {}
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                self._fail("sent interim responses without end")
            return
        self.status = status
        self._in_head = False
        coding = self.headers.get("transfer-encoding", "").lower()
        self.delimited = coding.endswith("chunked") or "content-length" in self.headers
        self._overhead_bytes = 0

    def on_body(self, body: bytes) -> None:
        if self.ended:
            return
        self._overhead_bytes = 0
        self._pieces.append(body)
        self._queued_bytes += len(body)

    def on_message_complete(self) -> None:
        if not self._in_head and not self.ended:
            self.ended = self.delimited = True
            self._reusable = self._parser.should_keep_alive()
