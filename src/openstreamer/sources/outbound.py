"""Outgoing TCP and TLS connections: the one place where sources connect to what an operator, a playlist or a
redirect names.

A name is resolved once, every address is put before the egress guard, and exactly the address that the guard
saw is connected. Addresses are tried as in Happy Eyeballs (RFC 8305), simplified.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from openstreamer.media.errors import SourceRejected, SourceUnreachable

STAGGER_S: Final = 0.25  # RFC 8305, section 5: the next address is tried when the last one took so long
MAX_ADDRESSES: Final = 8  # of one name; more are not tried
MAX_LOOKUPS: Final = 32  # threads that wait for name servers; a silent server holds one for up to 30 s

Address: TypeAlias = tuple[int, Any]  # family and what ``socket.connect`` takes; its first member is the IP
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[Address]]]
P = TypeVar("P", bound=asyncio.BaseProtocol)


class EgressCheck(Protocol):
    """Who decides which addresses may be connected (``access/egress``)."""

    def check(self, address: str) -> None:
        """Return, or raise :class:`SourceRejected`."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect. ``label`` begins every error: the scheme. ``connect_s`` bounds name, TCP and TLS
    together."""

    label: str
    host: str
    port: int
    connect_s: float
    tls: bool = False
    insecure_tls: bool = False
    alpn: tuple[str, ...] = ()


class Outbound:
    """Connects. ``resolve`` and ``tls_context`` replace the name service and the trusted authorities."""

    def __init__(
        self,
        guard: EgressCheck,
        *,
        resolve: Resolve | None = None,
        tls_context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._guard = guard
        self._resolve = resolve or SystemResolver().resolve
        self._make_tls_context = tls_context
        self._tls_contexts: dict[tuple[bool, tuple[str, ...]], ssl.SSLContext] = {}

    async def connect(
        self, protocol: Callable[[socket.socket], P], target: Target
    ) -> tuple[asyncio.Transport, P]:
        """A connection to ``target``, whose protocol is made with the connected socket.

        Raises:
            SourceUnreachable: no address answers, the name does not resolve, or TLS fails.
            SourceRejected: the guard forbids every address, or the certificate is not trusted.
        """
        where = f"{target.label}: {target.host}"
        doing = "the name was not resolved"
        try:
            async with asyncio.timeout(target.connect_s) as deadline:
                allowed = self._allowed(await self._addresses(target), where)
                doing = f"port {target.port} did not answer"
                connected = await _first_to_connect(allowed)
                doing = "the TLS handshake was not finished"
                return await self._speak(protocol, target, connected, deadline.when())
        except TimeoutError as err:
            raise SourceUnreachable(f"{where}: {doing} within {target.connect_s:g} s") from err
        except ssl.SSLCertVerificationError as err:
            said = err.verify_message.rstrip(".")
            raise SourceRejected(f"{where}: the certificate is not trusted: {said}") from err
        except ssl.SSLError as err:
            said = (err.reason or str(err)).replace("_", " ").lower()
            raise SourceUnreachable(f"{where}: TLS failed: {said}") from err
        except OSError as err:
            raise SourceUnreachable(f"{where}: port {target.port}: {reason_of(err)}") from err

    async def _addresses(self, target: Target) -> list[Address]:
        literal = _literal(target.host, target.port)
        if literal is not None:
            return [literal]
        try:
            found = await self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as err:
            said = reason_of(err) if isinstance(err, OSError) else "it is no host name"
            raise SourceUnreachable(
                f"{target.label}: the name {target.host} does not resolve: {said}"
            ) from err
        return _interleaved(found)[:MAX_ADDRESSES]

    def _allowed(self, addresses: list[Address], where: str) -> list[Address]:
        allowed: list[Address] = []
        refusal: SourceRejected | None = None
        for family, address in addresses:
            try:
                self._guard.check(address[0])
            except SourceRejected as err:
                refusal = err
            else:
                allowed.append((family, address))
        if allowed:
            return allowed
        if refusal is not None:
            raise SourceRejected(f"{where}: {refusal}") from refusal
        raise SourceUnreachable(f"{where}: the name has no address")

    async def _speak(
        self,
        protocol: Callable[[socket.socket], P],
        target: Target,
        connected: socket.socket,
        deadline_s: float | None,
    ) -> tuple[asyncio.Transport, P]:
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        try:
            if target.tls:
                remaining_s = (deadline_s or loop.time()) - loop.time()
                tls = {
                    "ssl": self._tls_context(target),
                    "server_hostname": target.host,
                    "ssl_handshake_timeout": max(remaining_s, 0.001),
                }
            return await loop.create_connection(lambda: protocol(connected), sock=connected, **tls)
        except BaseException:
            connected.close()
            raise

    def _tls_context(self, target: Target) -> ssl.SSLContext:
        key = (target.insecure_tls, target.alpn)
        context = self._tls_contexts.get(key)
        if context is None:
            context = self._make_tls_context()
            if target.insecure_tls:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if target.alpn:
                context.set_alpn_protocols(list(target.alpn))
            self._tls_contexts[key] = context
        return context


class SystemResolver:
    """The name service of the machine, asked from threads of its own.

    ``getaddrinfo`` cannot be interrupted. In a shared pool, names that do not resolve would keep file reads
    and other names waiting, and a pool is waited for when the process ends; these threads are not.
    """

    def __init__(self, max_lookups: int = MAX_LOOKUPS) -> None:
        self._free = asyncio.Semaphore(max_lookups)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """All addresses of ``host``, in the order of preference of RFC 6724."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[Address]] = loop.create_future()

        def settle(found: list[Address], err: Exception | None) -> None:
            self._free.release()
            if answer.done():
                return
            if err is None:
                answer.set_result(found)
            else:
                answer.set_exception(err)

        def look_up() -> None:
            found: list[Address] = []
            problem: Exception | None = None
            try:
                infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                found = [(int(info[0]), info[4]) for info in infos]
            except (OSError, UnicodeError) as err:
                problem = err
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, found, problem)

        try:
            threading.Thread(target=look_up, name="dns", daemon=True).start()
        except RuntimeError as err:  # no more threads: nobody would give the place back
            self._free.release()
            raise OSError(errno.EAGAIN, "the machine has no thread left to look a name up") from err
        return await answer


def reason_of(err: OSError) -> str:
    """What went wrong, without the addresses and numbers that some errors carry in their text."""
    if isinstance(err, ConnectionRefusedError):
        return "connection refused"
    if isinstance(err, ConnectionResetError):  # also a handshake that ended, without a number
        return "the connection was closed"
    if err.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "there is no route to it"
    return (err.strerror or type(err).__name__).lower()


def _literal(host: str, port: int) -> Address | None:
    """The address that ``host`` is, when it is no name."""
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if parsed.version == 4:
        return socket.AF_INET, (host, port)
    bare, _, scope = host.partition("%")
    return socket.AF_INET6, (bare, port, 0, _scope_id(scope))


def _scope_id(scope: str) -> int:
    if not scope:
        return 0
    try:
        return int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    except OSError as err:
        raise SourceUnreachable(f"there is no network interface {scope[:32]!r}") from err


def _interleaved(addresses: Iterable[Address]) -> list[Address]:
    """The families alternate, beginning with the preferred one (RFC 8305, section 4)."""
    queues: dict[int, deque[Address]] = {}
    for address in dict.fromkeys(addresses):
        queues.setdefault(address[0], deque()).append(address)
    found = []
    while queues:
        for family in list(queues):
            found.append(queues[family].popleft())
            if not queues[family]:
                del queues[family]
    return found


async def _connected(address: Address) -> socket.socket:
    family, where = address
    connecting = socket.socket(family, socket.SOCK_STREAM)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, where)
    except BaseException:
        connecting.close()
        raise
    return connecting


async def _first_to_connect(addresses: list[Address]) -> socket.socket:
    """Each address gets ``STAGGER_S`` before the next one is tried beside it; the first one wins."""
    if len(addresses) == 1:
        return await _connected(addresses[0])
    loop = asyncio.get_running_loop()
    waiting = deque(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    winner: asyncio.Task[socket.socket] | None = None
    first_failure: BaseException | None = None
    try:
        while winner is None:
            if waiting:
                attempts.add(loop.create_task(_connected(waiting.popleft()), name="outbound/connect"))
            done, _ = await asyncio.wait(
                attempts, timeout=STAGGER_S if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                if task.exception() is None:
                    winner = winner or task
                else:
                    first_failure = first_failure or task.exception()
                    attempts.discard(task)
            if winner is None and not attempts and not waiting:
                raise first_failure or OSError(errno.EHOSTUNREACH, "no address answers")
        return winner.result()
    finally:
        await _close_losers(attempts, winner)


async def _close_losers(
    attempts: "set[asyncio.Task[socket.socket]]", winner: "asyncio.Task[socket.socket] | None"
) -> None:
    losers = [task for task in attempts if task is not winner]
    for task in losers:
        task.cancel()
    try:
        results = await asyncio.gather(*losers, return_exceptions=True)
    except asyncio.CancelledError:
        if winner is not None:
            winner.result().close()
        raise
    for result in results:
        if isinstance(result, socket.socket):
            result.close()
