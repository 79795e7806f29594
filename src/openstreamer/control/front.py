"""The front of the admin API, around the framework: gate, bounds, CORS, HEAD, errors, durations.

Everything is behind the gate unless it is named open here.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openstreamer.access.admin import AdminGate, AdminRequest, Principal
from openstreamer.control.bodies import bounded, most_bytes, refuse_declared_length
from openstreamer.control.cors import CorsRules
from openstreamer.control.durations import UNMATCHED_ROUTE, RequestDurations
from openstreamer.control.errors import (
    FAULT_MESSAGE,
    ApiError,
    body_of,
    encode,
    error_body,
    headers_of,
    status_of,
)
from openstreamer.media.errors import AccessError, OpenstreamerError

logger = structlog.get_logger(__name__)

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/favicon.ico"})
OPEN_PREFIXES = ("/play/", "/assets/")
PRINCIPAL_KEY = "openstreamer.principal"
CLIENT_GONE = 499  # the metric's status of a request whose client left before an answer (as nginx counts it)


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """Who the gate let in."""
    principal = scope[PRINCIPAL_KEY]
    assert isinstance(principal, Principal)
    return principal


def report(error: OpenstreamerError) -> None:
    """Log an error that is this server's trouble; a client's refusals would let clients fill the log."""
    if status_of(error) >= 500 and not isinstance(error, AccessError | ApiError):
        logger.warning("request_failed", error=str(error))


def is_open(path: str) -> bool:
    """Whether everybody may ask for ``path``: pages, what they load, and probes."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


class Front:
    """An ASGI application around another one."""

    def __init__(
        self,
        inner: ASGIApp,
        gate: AdminGate,
        cors: Callable[[], CorsRules],
        durations: RequestDurations,
        *,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._gate = gate
        self._cors = cors
        self._durations = durations
        self._clock_s = clock_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. There are no WebSockets here, and the life cycle is the composer's."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            return
        scope = dict(scope)
        started_s = self._clock_s()
        exchange = _Exchange(send, scope["method"])
        try:
            await self._answer(scope, receive, exchange)
        except OpenstreamerError as err:
            await exchange.refuse(err)
        except Exception:
            if exchange.client_gone:
                return
            logger.exception("request_failed", method=scope["method"], path=scope["path"])
            await exchange.fail()
        finally:
            route = _route_template(scope)
            self._durations.observe(
                route, exchange.method, exchange.status or CLIENT_GONE, self._clock_s() - started_s
            )

    async def _answer(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        headers = _headers(scope["headers"])
        origin = headers.get("origin")
        if not is_open(scope["path"]):
            if exchange.method == "OPTIONS" and "access-control-request-method" in headers:
                await self._preflight(origin, exchange)
                return
            await self._gate.rules()
            exchange.add_headers(self._cors().headers(origin))  # refusals too must be readable for the page
            scope[PRINCIPAL_KEY] = await self._gate.admit(_admin_request(scope, headers))
        limit_bytes = most_bytes(scope["path"])
        refuse_declared_length(headers.get("content-length"), limit_bytes)
        if exchange.method == "HEAD":
            scope["method"] = "GET"
        await self._inner(scope, bounded(receive, limit_bytes), exchange.send)

    async def _preflight(self, origin: str | None, exchange: "_Exchange") -> None:
        await self._gate.rules()
        headers = self._cors().preflight(origin)
        if headers is None:
            raise ApiError(403, "CROSS_ORIGIN", f"pages of {origin} are not allowed by server.cors")
        await exchange.respond(204, headers, b"")


class _Exchange:
    """The response side of one request: remembers what was sent, adds headers, keeps HEAD bodiless."""

    def __init__(self, send: Send, method: str) -> None:
        self.method = method
        self.status = 0
        self.client_gone = False
        self._send = send
        self._added: dict[str, str] = {"x-content-type-options": "nosniff", "cache-control": "no-store"}

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Headers of the response, unless it brings its own of that name."""
        self._added.update(headers)

    async def send(self, message: Message) -> None:
        """The ``send`` of the inner application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message.get("headers", ()))
            names = {name.lower() for name, _ in own}
            own.extend(item for item in _encoded(self._added) if item[0] not in names)
            message = {**message, "headers": own}
        elif message["type"] == "http.response.body" and self.method == "HEAD":
            message = {**message, "body": b""}
        try:
            await self._send(message)
        except OSError:  # ASGI 2.4: the client went away
            self.client_gone = True
            raise

    async def respond(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response, if none was begun."""
        if self.status:
            return
        length = {} if status == 204 else {"content-length": str(len(body))}
        encoded = list(_encoded({**length, **headers}))
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, error: OpenstreamerError) -> None:
        """Answer with a typed error."""
        report(error)
        status = status_of(error)
        headers = {"content-type": "application/json", **headers_of(error)}
        await self.respond(status, headers, encode(body_of(error)))

    async def fail(self) -> None:
        """Answer for a bug: the log has it, the client learns nothing about the inside."""
        body = error_body("INTERNAL", FAULT_MESSAGE)
        await self.respond(500, {"content-type": "application/json"}, body)


def _encoded(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers.items():
        yield name.encode("latin-1"), value.encode("latin-1", "replace")


def _headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones joined (RFC 9110 section 5.3), so that none can hide."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _admin_request(scope: Scope, headers: Mapping[str, str]) -> AdminRequest:
    client = scope.get("client")
    forwarded_for = headers.get("x-forwarded-for")
    return AdminRequest(
        method=scope["method"],
        peer=client[0] if client else None,
        http_version=scope.get("http_version", "1.1"),
        headers=headers,
        forwarded_for=() if forwarded_for is None else (forwarded_for,),
    )


def _route_template(scope: Scope) -> str:
    template = getattr(scope.get("route"), "path_format", None)
    return template if isinstance(template, str) else UNMATCHED_ROUTE
