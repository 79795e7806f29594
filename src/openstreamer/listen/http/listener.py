"""The HTTP port: binds, accepts and bounds connections, finds out what they speak, closes in good order."""

import asyncio
import contextlib
import socket
import ssl

import structlog

from openstreamer.listen.http.asgi import App
from openstreamer.listen.http.connection import Address, Connection, Endpoint, as_transport
from openstreamer.listen.http.http1 import Http1Connection
from openstreamer.listen.http.http2 import Http2Connection
from openstreamer.listen.http.limits import HttpLimits, HttpStatistics
from openstreamer.listen.http.service import Service
from openstreamer.media.errors import ConfigError
from openstreamer.stream.tasks import cancel_and_wait, spawn
from openstreamer.wire.http2_frames import PREFACE

logger = structlog.get_logger(__name__)

BACKLOG = 1024  # connections that the kernel completes while the loop is busy
DEFAULT_DRAIN_S = 2.0
CLOSE_DEADLINE_S = 0.5  # for answers that are written and not yet taken, once draining is over
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class HttpListener:
    """HTTP/1.1 and HTTP/2 on one port, as an async context manager.

    Args:
        app: an ASGI 3 application for ``http`` and ``websocket`` scopes; no lifespan events are sent.
        host: an address or name; empty for every address of both families.
        port: 0 picks a free one, see ``bound``.
        ssl_context: serves TLS on this port; HTTP/2 is chosen by ALPN then, else by its preface.
    """

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        limits: HttpLimits | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._limits = limits or HttpLimits()
        self._ssl_context = ssl_context
        self._service: Service | None = None
        self._server: asyncio.Server | None = None
        self._address: Address = ("", 0)
        self._sweeper: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "HttpListener":
        """Listen.

        Raises:
            ConfigError: the address cannot be resolved or bound.
        """
        self._service = Service(self._app, self._limits)
        self._server, self._address = await self._listen(self._host, self._port)
        self._sweeper = spawn(self._sweep(self._service), name="http/sweep")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close(DEFAULT_DRAIN_S)

    @property
    def bound(self) -> str:
        """``host:port`` as bound, IPv6 in brackets."""
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def statistics(self) -> HttpStatistics:
        """The live counters."""
        return self._running().statistics

    def _running(self) -> Service:
        if self._service is None:
            raise RuntimeError("the listener was not entered")
        return self._service

    async def _listen(self, host: str, port: int) -> tuple[asyncio.Server, Address]:
        service = self._running()
        sock = bind(host, port)
        server = await service.loop.create_server(
            lambda: _Incoming(service, self._ssl_context, self._handshakes), sock=sock, backlog=BACKLOG
        )
        return server, sock.getsockname()[:2]

    async def rebind(self, host: str, port: int) -> None:
        """Listen elsewhere; open connections stay. On failure the old address goes on being served.

        Raises:
            ConfigError: the new address cannot be bound.
        """
        old, (old_host, old_port) = self._server, self._address
        if port and port == old_port and old is not None:
            # Two sockets cannot share a port: the old one has to make place first.
            old.close()
            try:
                self._server, self._address = await self._listen(host, port)
            except ConfigError:
                self._server, self._address = await self._listen(old_host, old_port)
                raise
        else:
            self._server, self._address = await self._listen(host, port)
            if old is not None:
                old.close()
        self._host, self._port = host, port

    def use_tls(self, ssl_context: ssl.SSLContext | None) -> None:
        """Serve connections accepted from now on with this context (a renewed certificate), or in clear."""
        self._ssl_context = ssl_context

    def disconnect(self, client: Address) -> bool:
        """Cut the connection whose ASGI scope has this ``client``; returns whether there was one."""
        for connection in self._running().connections:
            if connection.endpoint.peer == client:
                connection.abort("kicked")
                return True
        return False

    async def _sweep(self, service: Service) -> None:
        interval_s = service.limits.sweep_interval_s()
        while True:
            await asyncio.sleep(interval_s)
            service.tick()
            now_s = service.loop.time()
            for connection in tuple(service.connections):
                try:
                    connection.check(now_s)
                except Exception as err:  # one broken connection must not end the deadlines of the others
                    logger.error("http_sweep_failed", connection=repr(connection), exc_info=err)
                    connection.abort("internal error")

    async def close(self, drain_s: float) -> None:
        """Stop listening, let running requests finish for ``drain_s``, then cut what is left. Idempotent."""
        service = self._service
        if service is None or self._server is None:
            return
        self._server.close()
        self._server = None
        service.draining = True
        await cancel_and_wait(self._handshakes)
        for connection in tuple(service.connections):
            connection.shut_down()
        if service.tasks:
            await asyncio.wait(service.tasks, timeout=drain_s)
        await cancel_and_wait(tuple(service.tasks))
        for connection in tuple(service.connections):
            connection.close("shutting down")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await service.wait_closed()
        for connection in tuple(service.connections):
            connection.abort("shutting down")
        await service.wait_closed()
        if self._sweeper is not None:
            await cancel_and_wait((self._sweeper,))


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket. An empty host is every address, IPv6 with IPv4 where the machine has both.

    Raises:
        ConfigError: the host is unknown, the port taken or forbidden.
    """
    if not host:
        with contextlib.suppress(OSError):
            return _bound(socket.AF_INET6, ("::", port))
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host or "0.0.0.0",  # noqa: S104 - asked for by an empty host
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        return _bound(family, address)
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {reason}", field="server.http_addr", code="LISTEN_FAILED"
        ) from err


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _peer_address(transport: asyncio.BaseTransport, name: str) -> Address:
    """An IPv4 client of a socket for both families shows as IPv4."""
    host, port = (transport.get_extra_info(name) or ("", 0))[:2]
    return str(host).removeprefix("::ffff:"), int(port)


class _Incoming(Connection):
    """A connection whose protocol is not known yet: admission, TLS handshake, first bytes."""

    def __init__(
        self, service: Service, context: ssl.SSLContext | None, handshakes: "set[asyncio.Task[None]]"
    ) -> None:
        self._context = context
        self._handshakes = handshakes
        self._first = b""
        self._ready = context is None  # first bytes may be interpreted
        self._alpn_h2 = False
        self._incoming_service = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        service = self._incoming_service
        peer = _peer_address(transport, "peername")
        if service.admit(peer[0]):
            self._turn_away(as_transport(transport))
            return
        local = _peer_address(transport, "sockname")
        endpoint = Endpoint(service, peer, local, tls=self._context is not None)
        super().__init__(service, endpoint)
        self.deadline_s = self.now_s() + service.limits.header_deadline_s
        self.attach(as_transport(transport))
        if self._context is not None:
            self.transport.pause_reading()
            task = spawn(self._start_tls(self._context), name="http/tls-handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    def _turn_away(self, transport: asyncio.Transport) -> None:
        if self._context is None:
            transport.write(_BUSY)
        transport.close()

    async def _start_tls(self, context: ssl.SSLContext) -> None:
        limits = self.service.limits
        try:
            transport = await self.service.loop.start_tls(
                self.transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=limits.header_deadline_s,
                ssl_shutdown_timeout=limits.write_deadline_s,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as err:
            self.service.statistics.protocol_errors += not isinstance(err, asyncio.CancelledError)
            self.transport.abort()
            self.connection_lost(None)
            if isinstance(err, asyncio.CancelledError):
                raise
            return
        if transport is None or self.lost:
            return
        self.attach(transport)
        ssl_object = transport.get_extra_info("ssl_object")
        self._alpn_h2 = ssl_object is not None and ssl_object.selected_alpn_protocol() == "h2"
        self._ready = True
        if self._first or self._alpn_h2:
            self._choose()

    def data_received(self, data: bytes) -> None:
        self._first += data
        if self._ready:
            self._choose()

    def _choose(self) -> None:
        """RFC 9113 3.3: a client with prior knowledge starts HTTP/2 with the preface, in clear as well."""
        first = self._first
        if self._alpn_h2 or first.startswith(PREFACE[:16]):
            successor: Connection = Http2Connection(self.service, self.endpoint)
        elif PREFACE.startswith(first):
            return  # too short to tell
        else:
            successor = Http1Connection(self.service, self.endpoint)
        self.hand_over(successor)
        if first:
            successor.data_received(first)
        elif isinstance(successor, Http2Connection):
            successor.flush()

    def eof_received(self) -> bool:
        return False

    def expire(self) -> None:
        self.abort("no complete request head")

    def connection_lost(self, exc: Exception | None) -> None:
        if hasattr(self, "endpoint"):  # else it was turned away
            super().connection_lost(exc)
