"""The HTTP port: listens, enforces deadlines, moves, closes in good order."""

import asyncio
import contextlib
import ssl

import structlog

from openstreamer.access.proxies import TrustedProxies
from openstreamer.listen.http.accept import Acceptor
from openstreamer.listen.http.asgi import App
from openstreamer.listen.http.connection import Address
from openstreamer.listen.http.limits import HttpLimits, HttpStatistics
from openstreamer.listen.http.service import Service
from openstreamer.listen.sockets import listening_socket
from openstreamer.media.errors import ConfigError
from openstreamer.stream.tasks import cancel_and_wait, spawn

logger = structlog.get_logger(__name__)

DEFAULT_DRAIN_S = 2.0
CLOSE_DEADLINE_S = 0.5  # for answers that are written and not yet taken, once draining is over


class HttpListener:
    """HTTP/1.1 and HTTP/2 on one port, as an async context manager.

    Args:
        app: an ASGI 3 application for ``http`` and ``websocket`` scopes; no lifespan events are sent.
        host: an address or name; empty for every address of both families.
        port: 0 picks a free one, see ``bound``.
        ssl_context: serves TLS on this port; HTTP/2 is chosen by ALPN then, else by its preface.
        proxies: peers that are counted by whom they forward for.
    """

    def __init__(
        self,
        app: App,
        host: str,
        port: int,
        limits: HttpLimits | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxies: TrustedProxies | None = None,
    ) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._limits = limits or HttpLimits()
        self._ssl_context = ssl_context
        self._proxies = proxies
        self._service: Service | None = None
        self._acceptor: Acceptor | None = None
        self._address: Address = ("", 0)
        self._sweeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "HttpListener":
        """Listen.

        Raises:
            ConfigError: the address cannot be resolved or bound.
        """
        self._service = Service(self._app, self._limits, self._proxies)
        self._listen(self._host, self._port)
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

    def _listen(self, host: str, port: int) -> None:
        sock = listening_socket(host, port)
        self._acceptor = Acceptor(self._running(), sock, lambda: self._ssl_context)
        self._address = self._acceptor.address

    def rebind(self, host: str, port: int) -> None:
        """Listen elsewhere; open connections stay. On failure the old address goes on being served.

        Raises:
            ConfigError: the new address cannot be bound.
        """
        old, (old_host, old_port) = self._acceptor, self._address
        if old is not None and port == old_port:  # two sockets cannot share a port: the old one makes place
            old.close()
            try:
                self._listen(host, port)
            except ConfigError:
                self._listen(old_host, old_port)
                raise
        else:
            self._listen(host, port)
            if old is not None:
                old.close()

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
        if service is None or self._acceptor is None:
            return
        acceptor, self._acceptor = self._acceptor, None
        acceptor.close()
        service.draining = True
        await acceptor.cancel_handshakes()
        for connection in tuple(service.connections):
            connection.shut_down()
        if service.tasks:
            await asyncio.wait(service.tasks, timeout=drain_s)
        await cancel_and_wait(tuple(service.tasks))
        for connection in tuple(service.connections):
            connection.close("shutting down")
        if not await self._all_closed(service):
            for connection in tuple(service.connections):
                connection.abort("shutting down")
            if not await self._all_closed(service):
                logger.error("http_connections_left", connections=service.statistics.open_connections)
        if self._sweeper is not None:
            await cancel_and_wait((self._sweeper,))

    async def _all_closed(self, service: Service) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await service.wait_closed()
        return not service.statistics.open_connections
