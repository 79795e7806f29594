"""What all connections of one listener share: application, bounds, counters, running tasks."""

import asyncio
import functools
from collections import Counter
from collections.abc import Coroutine, Generator, Iterable
from email.utils import formatdate
from typing import Any

from openstreamer.access.failures import limiter_key
from openstreamer.access.proxies import TrustedProxies
from openstreamer.listen.http.asgi import App, Header, Receive, Scope, Send, respond_error
from openstreamer.listen.http.connection import Connection, Endpoint
from openstreamer.listen.http.limits import HttpLimits, HttpStatistics
from openstreamer.listen.http.plain import PlainAnswer, PlainApp, PlainGet
from openstreamer.stream.tasks import spawn

TOO_MANY = "too many connections"
TOO_MANY_OF_ADDRESS = "too many connections of one address"


class Service:
    """Shared state of a listener's connections; lives on one event loop.

    Peers are counted in groups: an IPv6 host has a whole /64 of addresses to choose from. The group of nobody
    in particular, a trusted proxy and those of whom it tells nothing, is empty, and has no bound of its own.
    """

    def __init__(self, app: App, limits: HttpLimits, proxies: TrustedProxies | None = None) -> None:
        self.limits = limits
        self.statistics = HttpStatistics()
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.loop = asyncio.get_running_loop()
        self.draining = False
        self.date = b""
        self.starts_at_once = bool(getattr(app, "starts_at_once", False))
        self._app = app
        self._answer: PlainApp | None = getattr(app, "answer", None)
        self._proxies = proxies or TrustedProxies()
        self._connections_of: Counter[str] = Counter()
        self._requests_of: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self.tick()

    def tick(self) -> None:
        """Keep the Date header (RFC 9110 6.6.1); called about once a second."""
        self.date = formatdate(usegmt=True).encode()

    def group_of_peer(self, address: str) -> str:
        """Under what the connections of a peer are counted."""
        return "" if self._proxies.covers(address) else limiter_key(address)

    def group_of_request(self, endpoint: Endpoint, headers: Iterable[Header]) -> str:
        """Under what a request with these headers is counted: behind a trusted proxy that is its client."""
        if endpoint.group:
            return endpoint.group
        forwarded_for = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        return self._proxies.client_key(endpoint.peer[0], forwarded_for)

    def admit(self, group: str) -> str:
        """Count a new connection of ``group``; returns why it is refused, or an empty string."""
        statistics, limits = self.statistics, self.limits
        reason = ""
        if self.draining:
            reason = "shutting down"
        elif statistics.open_connections >= limits.max_connections:
            reason = TOO_MANY
        elif group and self._connections_of[group] >= limits.max_connections_per_address:
            reason = TOO_MANY_OF_ADDRESS
        if reason:
            statistics.refused[reason] += 1
            return reason
        statistics.accepted += 1
        statistics.open_connections += 1
        self._connections_of[group] += 1
        self._empty.clear()
        return ""

    def release(self, group: str) -> None:
        """Undo ``admit``, once per admitted connection."""
        self.statistics.open_connections -= 1
        self._connections_of[group] -= 1
        if not self._connections_of[group]:
            del self._connections_of[group]
        if not self.statistics.open_connections:
            self._empty.set()

    async def wait_closed(self) -> None:
        """Wait until no connection is open."""
        await self._empty.wait()

    def app_for_request(self, group: str) -> App:
        """The application, or one that answers 503 when too many requests run already."""
        statistics, limits = self.statistics, self.limits
        statistics.requests += 1
        if statistics.requests_in_flight >= limits.max_requests_in_flight:
            statistics.refused["too many requests"] += 1
            return _Overloaded(f"{limits.max_requests_in_flight} requests are running, the most that may")
        if self._is_busy(group):
            statistics.refused["too many requests of one address"] += 1
            most = limits.max_requests_in_flight_per_address
            return _Overloaded(f"{most} requests of this address are running, the most that may")
        return self._app

    def answer(self, group: str, request: PlainGet) -> PlainAnswer | None:
        """The answer to a plain request of a peer in ``group``; None when it must take the general way."""
        statistics, limits = self.statistics, self.limits
        if (
            self._answer is None
            or self.draining
            or statistics.requests_in_flight >= limits.max_requests_in_flight
        ):
            return None
        if self._is_busy(group):
            return None
        answer = self._answer(request)
        statistics.requests += answer is not None
        return answer

    def _is_busy(self, group: str) -> bool:
        return bool(group) and self._requests_of[group] >= self.limits.max_requests_in_flight_per_address

    def start(self, coroutine: Coroutine[Any, Any, None], *, name: str, group: str) -> "asyncio.Task[None]":
        """Run a request; the service owns its task."""
        return self._own(spawn(coroutine, name=name), group)

    def start_at_once(
        self, coroutine: Coroutine[Any, Any, None], *, name: str, group: str
    ) -> "asyncio.Task[None] | None":
        """As :meth:`start`, for an application that ``starts_at_once``: a request that waits for nothing is
        over when this returns, and costs no task."""
        try:
            awaited = coroutine.send(None)
        except StopIteration:
            return None
        return self._own(spawn(_rest_of(coroutine, awaited), name=name), group)

    def _own(self, task: "asyncio.Task[None]", group: str) -> "asyncio.Task[None]":
        self.tasks.add(task)
        self.statistics.requests_in_flight += 1
        self._requests_of[group] += 1
        task.add_done_callback(functools.partial(self._finished, group))
        return task

    def _finished(self, group: str, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        self.statistics.requests_in_flight -= 1
        self._requests_of[group] -= 1
        if not self._requests_of[group]:
            del self._requests_of[group]


async def _rest_of(coroutine: Coroutine[Any, Any, None], awaited: object) -> None:
    """What is left of a coroutine that was begun outside this task and waits for ``awaited``."""
    await _Begun(coroutine, awaited)


class _Begun:
    def __init__(self, coroutine: Coroutine[Any, Any, None], awaited: object) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, None]:
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    value = yield awaited
                except BaseException as err:  # noqa: BLE001 - cancellation too is the coroutine's
                    awaited = coroutine.throw(err)
                else:
                    awaited = coroutine.send(value)
        except StopIteration:
            return


class _Overloaded:
    """The application that says which bound was met."""

    def __init__(self, message: str) -> None:
        self._message = message

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await respond_error(scope, send, 503, "OVERLOADED", self._message, [(b"retry-after", b"1")])
