"""HTTP/1.1 (RFC 9112) over llhttp, the parser of Node, through httptools.

llhttp is strict about framing (Content-Length beside Transfer-Encoding, bad chunks, bare line feeds); what
it does not bound or check is done here: the size of a head, one Host, the number of pipelined requests.
"""

import http
import math
from collections import deque
from collections.abc import Sequence
from urllib.parse import unquote

import httptools

from openstreamer.listen.http.asgi import Buffer, Header, error_body
from openstreamer.listen.http.connection import LINGER_S, Connection, Endpoint
from openstreamer.listen.http.exchange import BODY_BUFFER_BYTES, Exchange, pieces, scope_of
from openstreamer.listen.http.plain import PlainReader
from openstreamer.listen.http.service import Service
from openstreamer.listen.http.websocket import WebSocketConnection
from openstreamer.media.errors import LocalProtocolError


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\ndate: ".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}
_FRAMING_FIELDS = frozenset((b"content-length", b"transfer-encoding"))
_BODIES_UNUSUAL = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))


def response_head(status: int, date: bytes, headers: Sequence[Header]) -> bytes:
    """The head of a response. One with a line break in a value is refused: it would be two heads."""
    parts = [_STATUS_LINES[status], date, b"\r\n"]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    head = b"".join(parts)
    lines = len(headers) + 3
    if head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise LocalProtocolError("a response header contains a line break")
    return head


class _RefusedError(Exception):
    """A request is answered by the connection itself, which ends then."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Http1Connection(Connection):
    """The server side of one HTTP/1.1 connection."""

    def __init__(self, service: Service, endpoint: Endpoint) -> None:
        super().__init__(service, endpoint)
        self._parser = httptools.HttpRequestParser(self)
        self._plain = PlainReader(service.limits)
        self._exchange: Http1Exchange | None = None  # the one in service
        self._waiting: deque[Http1Exchange] = deque()  # pipelined behind it
        self._begun: Http1Exchange | None = None  # to be started once what was received is parsed
        self._starting = False
        self._receiving: Http1Exchange | None = None  # the one whose body arrives
        self._in_head = True  # between requests counts as in a head
        self._head_begun = False
        self._head_bytes = 0  # since the last body bytes: of a head, of trailers, of chunk extensions
        self._requests = 0
        self._url = b""
        self._headers: list[Header] = []
        self._websocket: WebSocketConnection | None = None
        self._framing: list[Header] = []  # of a body behind an upgrade that is ignored
        self._resuming = False  # the parser reads a head that repeats this framing
        self._discarding = False
        self._reading_paused = False
        self.deadline_s = self.now_s() + service.limits.header_deadline_s

    # --- receiving ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self.service.statistics.received_bytes += len(data)
        if self._discarding or self._answer_plainly(data):
            return
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as err:
            cause = err.__context__
            if not isinstance(cause, _RefusedError):
                cause = _RefusedError(400, "BAD_REQUEST", "the request is not HTTP/1.1")
            self._refuse(cause)
        else:
            if self._head_bytes > self.service.limits.max_header_bytes:
                self._refuse(self._head_too_large())
        self._start_begun()

    def _answer_plainly(self, data: bytes) -> bool:
        """Answer ``data`` without the parser, if it is a plain request, alone, and its answer is there."""
        service = self.service
        if (
            self._exchange is not None
            or self._head_begun
            or self._head_bytes
            or self.paused
            or not self._in_head
        ):
            return False
        request = self._plain.read(data, self.piece_bytes)
        try:
            if request is None:
                return False
            group = self.endpoint.group or service.group_of_request(self.endpoint, request.headers)
            answer = service.answer(group, request)
            if answer is None:
                return False
            status, headers, chunks, length = answer
            head = response_head(status, service.date, (*headers, (b"content-length", b"%d" % length)))
        except Exception:  # noqa: BLE001 - happens again on the general way, which logs, counts and answers it
            return False
        self.write((head, *chunks), len(head) + length)
        self._requests += 1
        self.deadline_s = self.now_s() + service.limits.idle_timeout_s
        return True

    def _start_begun(self) -> None:
        """Start what has begun, and what that lets begin: one after the other, never one inside another."""
        self._starting = True
        try:
            while (begun := self._begun) is not None:
                self._begun = None
                if begun is self._exchange:
                    begun.start()
        finally:
            self._starting = False

    def _head_too_large(self) -> _RefusedError:
        limit_bytes = self.service.limits.max_header_bytes
        return _RefusedError(431, "HEADERS_TOO_LARGE", f"the request head is over {limit_bytes} bytes")

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        self._url = b""
        self._headers = []
        self._head_begun = True
        self.deadline_s = self.now_s() + self.service.limits.header_deadline_s

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self._headers) >= self.service.limits.max_header_fields:
            raise _RefusedError(431, "HEADERS_TOO_LARGE", "the request has too many header fields")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._resuming:
            self._resuming = self._in_head = False
            return
        parser, headers = self._parser, self._headers
        self._headers = []  # takes the trailers of a chunked body, which are dropped
        if self._head_bytes > self.service.limits.max_header_bytes:
            self._check_head_size(headers)
        self._in_head, self._head_begun, self._head_bytes = False, False, 0
        self.deadline_s = math.inf
        version = parser.get_http_version()
        hosts = 0
        for name, _ in headers:
            if name == b"host":
                hosts += 1
        if hosts != 1 and version != "1.0":  # RFC 9112 3.2
            raise _RefusedError(400, "BAD_REQUEST", "a request needs exactly one Host")
        method = parser.get_method().decode("ascii")
        scope = scope_of(self, version, method, self._target(headers), headers)
        if parser.should_upgrade() and self._is_websocket(method, headers):
            self._websocket = WebSocketConnection(self.service, self.endpoint, scope)
            return
        if parser.should_upgrade():  # RFC 9110 7.8: a server may ignore it
            self._framing = [field for field in headers if field[0] in _FRAMING_FIELDS]
        self._begin(Http1Exchange(self, scope, keep_alive=parser.should_keep_alive()))

    def _check_head_size(self, headers: list[Header]) -> None:
        """The bytes counted may include a body that came with the head: weigh the head itself."""
        size_bytes = len(self._url) + sum(len(name) + len(value) + 4 for name, value in headers)
        if size_bytes > self.service.limits.max_header_bytes:
            raise self._head_too_large()

    def _target(self, headers: list[Header]) -> tuple[str, bytes, bytes]:
        """RFC 9112 3.2: origin-form, or the path of an absolute-form, or ``*``."""
        url = self._url
        if not url.startswith(b"/"):
            if url == b"*":
                return "*", b"*", b""
            scheme, _, rest = url.partition(b"://")
            if scheme.lower() not in (b"http", b"https"):
                raise _RefusedError(400, "BAD_REQUEST", "the request target is neither a path nor a URL")
            authority, _, rest = rest.partition(b"/")
            # 3.2.2: it stands in place of Host, whatever that says.
            headers[:] = [field for field in headers if field[0] != b"host"]
            headers.append((b"host", authority))
            url = b"/" + rest
        raw_path, _, query = url.partition(b"?")
        try:
            path = raw_path.decode("ascii")
        except UnicodeDecodeError:
            raise _RefusedError(400, "BAD_REQUEST", "the request target is not ASCII") from None
        return (unquote(path) if "%" in path else path), raw_path, query

    def _is_websocket(self, method: str, headers: list[Header]) -> bool:
        if method != "GET" or self._exchange is not None:
            return False
        return any(name == b"upgrade" and value.lower() == b"websocket" for name, value in headers)

    def _begin(self, exchange: "Http1Exchange") -> None:
        if exchange.scope["method"] not in _BODIES_UNUSUAL:
            exchange.continue_wanted = any(
                name == b"expect" and value.lower() == b"100-continue"
                for name, value in exchange.scope["headers"]
            )
        if self._exchange is None:
            self._exchange = self._begun = exchange
        elif len(self._waiting) < self.service.limits.max_pipelined:
            self._waiting.append(exchange)
        else:
            raise _RefusedError(400, "BAD_REQUEST", "too many pipelined requests")
        self._receiving = exchange
        self._requests += 1

    def on_body(self, data: bytes) -> None:
        self._head_bytes = 0
        exchange = self._receiving
        if exchange is None or exchange.complete:
            return
        exchange.feed_body(data)
        if exchange.buffered_bytes > BODY_BUFFER_BYTES and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """The application took what was buffered of the body."""
        if self._reading_paused and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def on_message_complete(self) -> None:
        self._in_head = True
        if self._framing:
            return  # the parser stops behind the head of an upgrade; the body is still to come
        if self._receiving is not None:
            self._receiving.end_body()
            self._receiving = None

    def _after_upgrade(self, rest: bytes) -> None:
        """llhttp stopped behind a head that asks to upgrade: to WebSocket, or to what we do not speak.

        In the second case (h2c, which curl and Java clients offer) the request is an ordinary one; its body
        is read by a new parser, which is first told how the body is framed.
        """
        if self._websocket is not None:
            websocket, self._websocket = self._websocket, None
            self.hand_over(websocket)
            websocket.begin(rest)
            return
        self._parser = httptools.HttpRequestParser(self)
        if self._framing:
            framing, self._framing, self._resuming = self._framing, [], True
            head = b"".join(b"%s: %s\r\n" % field for field in framing)
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
        if rest:
            self.service.statistics.received_bytes -= len(rest)
            self.data_received(rest)

    def _refuse(self, refused: _RefusedError) -> None:
        """Nothing that follows on this connection can be understood."""
        self.service.statistics.protocol_errors += 1
        self._discarding = True
        if self._receiving is not None:
            self._refuse_body(self._receiving)
        if self.transport.is_closing():
            return
        if self._exchange is not None:
            last = self._waiting[-1] if self._waiting else self._exchange
            last.keep_alive = False
            return
        self._write_error(refused)
        self._linger("protocol error")

    def _refuse_body(self, exchange: "Http1Exchange") -> None:
        """The body of ``exchange`` is broken: its application sees a client that is gone."""
        self._receiving = None
        exchange.disconnect()
        if exchange in self._waiting:
            self._waiting.remove(exchange)
        elif exchange.started:
            self.abort("protocol error")
        else:
            self._exchange = None

    def _write_error(self, refused: _RefusedError) -> None:
        body = error_body(refused.code, str(refused))
        head = (
            b"%s%s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            % (_STATUS_LINES[refused.status], self.service.date, len(body))
        )
        self.write((head, body), len(head) + len(body))

    def eof_received(self) -> bool:
        return False  # a client that stops sending is gone: it frees what waits for it

    # --- going on, ending --------------------------------------------------------------------------------

    def response_sent(self, exchange: "Http1Exchange") -> None:
        """The response is written: serve the next request, wait for one, or close."""
        self._exchange = None
        if not exchange.keep_alive or self.service.draining:
            if exchange.body_ended:
                self.close("done")
            else:
                self._linger("done")
            return
        self.resume_reading()
        if self._waiting:
            self._exchange = self._begun = self._waiting.popleft()
            if not self._starting:
                self.service.loop.call_soon(self._start_begun)
        elif not self._head_begun:
            self.deadline_s = self.now_s() + self.service.limits.idle_timeout_s

    def _linger(self, reason: str) -> None:
        """RFC 9112 9.6: closing with unread bytes resets the connection and may destroy the response."""
        self._discarding = True
        self.resume_reading()
        if self.endpoint.tls or not self.transport.can_write_eof():
            self.close(reason)
            return
        self.service.statistics.closed[reason] += 1
        self.transport.write_eof()
        self.deadline_s = self.now_s() + LINGER_S

    def check(self, now_s: float) -> None:
        exchange = self._exchange
        if exchange is not None and exchange.body_deadline_s <= now_s:
            self.abort("no request body")
        else:
            super().check(now_s)

    def expire(self) -> None:
        if self._discarding:
            self._expire_lingering()
        elif self._head_begun or not self._requests:
            self.abort("no complete request head")
        else:
            self.close("idle")

    def _expire_lingering(self) -> None:
        if self.transport.get_write_buffer_size():  # a slow reader of a response; bounded by its own deadline
            self.deadline_s = self.now_s() + LINGER_S
        else:
            self.abort("lingered")

    def shut_down(self) -> None:
        if self._exchange is None:
            self.close("shutting down")
        else:
            (self._waiting[-1] if self._waiting else self._exchange).keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._exchange is not None:
            self._exchange.disconnect()
        self._waiting.clear()
        del self._parser  # it refers to this object


class Http1Exchange(Exchange):
    """A request on an HTTP/1.1 connection."""

    connection: Http1Connection
    starts_at_once = True
    continue_wanted = False
    _chunked = False

    def __init__(self, connection: Http1Connection, scope: dict[str, object], *, keep_alive: bool) -> None:
        super().__init__(connection, scope, body_ended=False)
        self.keep_alive = keep_alive and scope["http_version"] == "1.1"

    def _head(self, status: int, headers: Sequence[Header]) -> bytes:
        """The head of the response."""
        if status in (204, 304):
            self.bodiless = True
        if not self.body_ended:
            self.keep_alive = False  # what is left of the request body will not be read
        fields = [*headers]
        if self._chunked:
            fields.append((b"transfer-encoding", b"chunked"))
        if not self.keep_alive or self.connection.service.draining:
            fields.append((b"connection", b"close"))
        head = response_head(status, self.connection.service.date, fields)
        self.started = True
        return head

    def _write_head(self, status: int, headers: Sequence[Header]) -> None:
        if self._remaining is None and not self.bodiless and status not in (204, 304):
            if self.scope["http_version"] == "1.0":
                self.keep_alive = False  # the end of the connection is the end of the body
            else:
                self._chunked = True
        head = self._head(status, headers)
        self.connection.write((head,), len(head))

    async def _write_body(self, chunks: Sequence[Buffer], *, end: bool) -> None:
        if not self._chunked:
            await self._write_pieces(chunks)
            return
        for piece, length in pieces(chunks, self.connection.piece_bytes):
            await self._write_pieces((b"%x\r\n" % length, *piece, b"\r\n"))
        if end:
            self.connection.write((b"0\r\n\r\n",), 5)

    async def _write_response(
        self, status: int, headers: Sequence[Header], chunks: Sequence[Buffer], length: int
    ) -> None:
        head = self._head(status, headers)
        if self.bodiless or not chunks:
            self.connection.write((head,), len(head))
        elif length <= self.connection.piece_bytes:
            self.connection.write((head, *chunks), len(head) + length)
        else:
            await self._write_pieces((head, *chunks))

    async def _write_pieces(self, chunks: Sequence[Buffer]) -> None:
        connection = self.connection
        for piece, length in pieces(chunks, connection.piece_bytes):
            if connection.paused:
                await connection.drain()
            self._require_client()
            connection.write(piece, length)

    def _response_sent(self) -> None:
        self.connection.response_sent(self)

    def break_off(self) -> None:
        self.connection.abort("broken response")

    def _want_body(self) -> None:
        if self.continue_wanted and not self.started:
            self.continue_wanted = False
            self.connection.write((b"HTTP/1.1 100 Continue\r\n\r\n",), 25)
        self.connection.resume_reading()

    def _consumed(self, length: int) -> None:
        self.connection.resume_reading()
