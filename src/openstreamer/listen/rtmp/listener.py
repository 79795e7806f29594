"""The RTMP port, in clear or over TLS (rtmps): accepts, admits, closes in good order."""

import asyncio
import contextlib
import errno
import socket
import ssl
from types import TracebackType
from typing import Any, Self

import structlog

from openstreamer.listen.rtmp.connection import RtmpServerConnection
from openstreamer.listen.rtmp.limits import RtmpListenerLimits, RtmpStatistics
from openstreamer.listen.rtmp.service import PublishGate, RtmpService
from openstreamer.listen.sockets import listening_socket
from openstreamer.stream.tasks import cancel_and_wait, spawn

logger = structlog.get_logger(__name__)

ACCEPTS_PER_WAKE = 64  # then the loop gets its turn
RETRY_ACCEPT_S = 0.5  # when the process has no file descriptor left: the socket stays readable
CLOSE_DEADLINE_S = 1.0  # for transports to report that they are closed
_OUT_OF_RESOURCES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class RtmpListener:
    """Publishers come in here, as an async context manager.

    Args:
        host: an address or name; empty for every address of both families.
        port: 0 picks a free one, see ``bound``.
        offer: lets a publisher in or raises ``PublishRefused``; called on the loop, must not block.
        ssl_context: serves rtmps.
    """

    def __init__(
        self,
        host: str,
        port: int,
        offer: PublishGate,
        limits: RtmpListenerLimits | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._offer = offer
        self._limits = limits or RtmpListenerLimits()
        self._ssl_context = ssl_context
        self._service: RtmpService | None = None
        self._socket: socket.socket | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._address: tuple[str, int] = ("", 0)

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigError: the address cannot be resolved or bound.
        """
        protocol = "rtmp" if self._ssl_context is None else "rtmps"
        setting = "port" if self._ssl_context is None else "tls_port"
        self._socket = listening_socket(self._host, self._port, field=f"listeners.rtmp.{setting}")
        self._service = RtmpService(self._offer, self._limits, protocol)
        self._address = _address_of(self._socket.getsockname())
        self._start_accepting()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def bound(self) -> str:
        """``host:port`` as bound, IPv6 in brackets."""
        host, port = self._address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def statistics(self) -> RtmpStatistics:
        """The live counters."""
        return self._running().statistics

    def use_tls(self, ssl_context: ssl.SSLContext) -> None:
        """Serve connections accepted from now on with this context: a renewed certificate."""
        if self._ssl_context is None:
            raise ValueError("a listener that began in clear cannot change to TLS")
        self._ssl_context = ssl_context

    async def close(self) -> None:
        """Stop listening and cut all connections; their publications end. Idempotent."""
        service, listening = self._service, self._socket
        if service is None or listening is None:
            return
        self._socket = None
        if self._retry is not None:
            self._retry.cancel()
        service.loop.remove_reader(listening)
        listening.close()
        await cancel_and_wait(tuple(self._opening))
        for connection in tuple(service.connections):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await service.wait_empty()
        await cancel_and_wait(tuple(service.tasks))
        service.end_log_window()

    def _running(self) -> RtmpService:
        if self._service is None:
            raise RuntimeError("the listener was not entered")
        return self._service

    def _start_accepting(self) -> None:
        self._retry = None
        if self._socket is not None:
            self._running().loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        """Take what waits.

        ``loop.create_server`` would make a transport, and for TLS a whole handshake, before anybody could
        say no.
        """
        for _ in range(ACCEPTS_PER_WAKE):
            if self._socket is None:
                return
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as err:
                if err.errno in _OUT_OF_RESOURCES:
                    self._pause_accepting(err)
                    return
                continue  # this one peer is gone already
            self._admit(accepted, _address_of(peer))

    def _pause_accepting(self, err: OSError) -> None:
        service = self._running()
        service.statistics.refused["out_of_resources"] += 1
        logger.error("rtmp_accept_failed", error=err.strerror, retry_s=RETRY_ACCEPT_S)
        if self._socket is not None:
            service.loop.remove_reader(self._socket)
        self._retry = service.loop.call_later(RETRY_ACCEPT_S, self._start_accepting)

    def _admit(self, accepted: socket.socket, peer: tuple[str, int]) -> None:
        service = self._running()
        refusal = service.refusal(peer[0])
        if refusal is not None:
            service.statistics.refused[refusal] += 1
            accepted.close()
            return
        service.enter(peer[0])
        task = spawn(self._open(service, accepted, peer), name="rtmp/accept")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, service: RtmpService, accepted: socket.socket, peer: tuple[str, int]) -> None:
        host, port = peer
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        connection = RtmpServerConnection(service, host, shown, accepted)
        deadlines: dict[str, Any] = {}
        if self._ssl_context is not None:
            deadlines["ssl_handshake_timeout"] = self._limits.handshake_deadline_s
            deadlines["ssl_shutdown_timeout"] = self._limits.linger_s
        try:
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            service.connections.add(connection)
            await service.loop.connect_accepted_socket(
                lambda: connection, accepted, ssl=self._ssl_context, **deadlines
            )
        except OSError:  # ssl.SSLError and the handshake's time-out among them
            service.statistics.protocol_errors += 1
        except asyncio.CancelledError:
            # uvloop drops the transport without a word to its protocol, even when it had told it of the peer.
            connection.connected = False
            raise
        finally:
            if not connection.connected:
                service.forget(connection)
                accepted.close()


def _address_of(address: tuple[Any, ...]) -> tuple[str, int]:
    """An IPv4 client of a socket for both families shows as IPv4."""
    return str(address[0]).removeprefix("::ffff:"), int(address[1])
