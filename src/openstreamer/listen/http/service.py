"""What all connections of one listener share: application, bounds, counters, running tasks."""

import asyncio
import functools
from collections import Counter
from collections.abc import Coroutine, Generator
from email.utils import formatdate
from typing import Any

from openstreamer.listen.http.asgi import App, Receive, Scope, Send, respond_error
from openstreamer.listen.http.connection import Connection
from openstreamer.listen.http.limits import HttpLimits, HttpStatistics
from openstreamer.listen.http.plain import PlainAnswer, PlainApp, PlainGet
from openstreamer.stream.tasks import spawn


class Service:
    """Shared state of a listener's connections; lives on one event loop."""

    def __init__(self, app: App, limits: HttpLimits) -> None:
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
        # By group: an IPv6 host has a whole /64 of addresses to choose from.
        self._connections_of: Counter[str] = Counter()
        self._requests_of: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self.tick()

    def tick(self) -> None:
        """Keep the Date header (RFC 9110 6.6.1); called about once a second."""
        self.date = formatdate(usegmt=True).encode()

    def admit(self, group: str) -> str:
        """Count a new connection of ``group``; returns why it is refused, or an empty string."""
        statistics, limits = self.statistics, self.limits
        reason = ""
        if self.draining:
            reason = "shutting down"
        elif statistics.open_connections >= limits.max_connections:
            reason = "too many connections"
        elif self._connections_of[group] >= limits.max_connections_per_address:
            reason = "too many connections of one address"
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
            return _overloaded
        if self._requests_of[group] >= limits.max_requests_in_flight_per_address:
            statistics.refused["too many requests of one address"] += 1
            return _overloaded
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
        if self._requests_of[group] >= limits.max_requests_in_flight_per_address:
            return None
        answer = self._answer(request)
        statistics.requests += answer is not None
        return answer

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


async def _overloaded(scope: Scope, receive: Receive, send: Send) -> None:
    await respond_error(
        scope, send, 503, "OVERLOADED", "too many requests are running", [(b"retry-after", b"1")]
    )
