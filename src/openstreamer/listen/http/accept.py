"""Accepts connections of a listening socket: admission first, then the TLS handshake, then a protocol.

The socket is accepted here and not by ``loop.create_server`` because that shows a TLS connection only once
its handshake is done, when memory and time are spent, whereas bounds belong in front of them.
"""

import asyncio
import contextlib
import errno
import functools
import socket
import ssl
from collections.abc import Callable

import structlog

from openstreamer.listen.http.asgi import error_body
from openstreamer.listen.http.connection import Address, Connection, Endpoint, as_transport
from openstreamer.listen.http.http1 import Http1Connection
from openstreamer.listen.http.http2 import Http2Connection
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.listen.http.service import TOO_MANY, TOO_MANY_OF_ADDRESS, Service
from openstreamer.stream.tasks import cancel_and_wait, spawn
from openstreamer.wire.http2_frames import PREFACE

logger = structlog.get_logger(__name__)

ACCEPTS_PER_WAKE = 64  # then the loop gets its turn
DISCARDED_BYTES = 65_536
RETRY_ACCEPT_S = 0.5  # when the process has no file descriptor left
_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """A listening socket and its pending handshakes.

    Args:
        context: called for every connection; None means clear text.
    """

    def __init__(
        self, service: Service, sock: socket.socket, context: Callable[[], ssl.SSLContext | None]
    ) -> None:
        self._service = service
        self._socket = sock
        self._context = context
        self._opening: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._start()

    @property
    def address(self) -> Address:
        """As bound."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Stop accepting; connections that are open stay."""
        if self._retry is not None:
            self._retry.cancel()
        self._service.loop.remove_reader(self._socket)
        self._socket.close()

    async def cancel_handshakes(self) -> None:
        """Give up connections that are not complete."""
        await cancel_and_wait(tuple(self._opening))

    def _start(self) -> None:
        self._retry = None
        self._service.loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_WAKE):
            try:
                sock, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as err:
                if err.errno in _OUT_OF_RESOURCES:
                    self._pause(err)
                    return
                continue  # this one peer is gone already
            self._admit(sock, _shown(peer))

    def _pause(self, err: OSError) -> None:
        """The socket stays readable: without a pause the loop would spin."""
        self._service.statistics.refused["out of resources"] += 1
        logger.error("http_accept_failed", error=err.strerror, retry_s=RETRY_ACCEPT_S)
        self._service.loop.remove_reader(self._socket)
        self._retry = self._service.loop.call_later(RETRY_ACCEPT_S, self._start)

    def _admit(self, sock: socket.socket, peer: Address) -> None:
        context = self._context()
        group = self._service.group_of_peer(peer[0])
        if reason := self._service.admit(group):
            if context is None:  # else there would have to be a handshake first
                _turn_away(sock, self._service.limits, reason)
            sock.close()
            return
        sock.setblocking(False)
        endpoint = Endpoint(self._service, peer, _shown(sock.getsockname()), group, tls=context is not None)
        incoming = Incoming(self._service, endpoint)
        task = spawn(self._open(sock, incoming, context), name="http/accept")
        self._opening.add(task)
        task.add_done_callback(functools.partial(self._opened, sock, incoming))

    def _opened(self, sock: socket.socket, incoming: "Incoming", task: "asyncio.Task[None]") -> None:
        """However the task ended, and even if it was cancelled before it began to run."""
        self._opening.discard(task)
        # uvloop drops a transport whose opening is cancelled without a word to its protocol, even when it had
        # told it of the connection.
        if task.cancelled() or not incoming.connected:
            incoming.endpoint.release()
            sock.close()

    async def _open(self, sock: socket.socket, incoming: "Incoming", context: ssl.SSLContext | None) -> None:
        limits = self._service.limits
        deadlines = {}
        if context is not None:
            deadlines["ssl_handshake_timeout"] = limits.header_deadline_s
            deadlines["ssl_shutdown_timeout"] = limits.write_deadline_s
        try:
            await self._service.loop.connect_accepted_socket(lambda: incoming, sock, ssl=context, **deadlines)
        except OSError:  # ssl.SSLError among them
            self._service.statistics.protocol_errors += 1


class Incoming(Connection):
    """A connection that has said nothing yet: finds out what it speaks."""

    def __init__(self, service: Service, endpoint: Endpoint) -> None:
        super().__init__(service, endpoint)
        self.connected = False
        self._first = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connected = True
        self.deadline_s = self.now_s() + self.service.limits.header_deadline_s
        self.attach(as_transport(transport))
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None and ssl_object.selected_alpn_protocol() == "h2":
            connection = Http2Connection(self.service, self.endpoint)
            self.hand_over(connection)
            connection.flush()

    def data_received(self, data: bytes) -> None:
        """RFC 9113 3.3: a client with prior knowledge starts HTTP/2 with its preface, without ALPN too."""
        self._first += data
        first = self._first
        if first.startswith(PREFACE[:16]):
            connection: Connection = Http2Connection(self.service, self.endpoint)
        elif PREFACE.startswith(first):
            return  # too short to tell
        else:
            connection = Http1Connection(self.service, self.endpoint)
        self.hand_over(connection)
        connection.data_received(first)

    def eof_received(self) -> bool:
        return False

    def expire(self) -> None:
        self.abort("no complete request head")


def _shown(address: tuple[str, int]) -> Address:
    """An IPv4 client of a socket for both families shows as IPv4."""
    return address[0].removeprefix("::ffff:"), address[1]


def _turn_away(sock: socket.socket, limits: HttpLimits, reason: str) -> None:
    """Say why, before anything is allocated; nothing is waited for."""
    details = {
        TOO_MANY: f": {limits.max_connections} are open, the most that may (http_connections)",
        TOO_MANY_OF_ADDRESS: f": {limits.max_connections_per_address} are open, the most that one may "
        "(http_connections_per_address)",
    }
    code = "TOO_MANY_CONNECTIONS" if reason in details else "BUSY"
    body = error_body(code, reason + details.get(reason, ""))
    head = (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
        b"retry-after: 1\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
    )
    with contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.send(head + body)
        sock.recv(DISCARDED_BYTES)  # closing with unread bytes resets, which may destroy the answer
