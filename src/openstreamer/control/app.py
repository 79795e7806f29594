"""The admin API as one ASGI application: routes, gate, errors, OpenAPI."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from openstreamer.access.admin import AdminGate, RulesCache
from openstreamer.access.users import Authenticator
from openstreamer.control.durations import RequestDurations
from openstreamer.control.errors import FAULT_MESSAGE, body_of, error_body, headers_of, status_of
from openstreamer.control.front import Front, report
from openstreamer.control.metrics import MetricsPage, MetricsSource
from openstreamer.control.page_routes import PageRoutes
from openstreamer.control.ports import BuildInfo, RunningSettings, ServerView, StillSettings, StreamControl
from openstreamer.control.probes import ProbeRoutes
from openstreamer.control.rules import RulesLoader
from openstreamer.control.schemas import complete
from openstreamer.control.settings import SettingsRoutes
from openstreamer.control.static_pages import DIST, StaticPages
from openstreamer.control.streams import StreamRoutes
from openstreamer.control.templates import TemplateRoutes
from openstreamer.media.errors import OpenstreamerError
from openstreamer.store.store import Store
from openstreamer.stream.histogram import HistogramReading

DESCRIPTION = (
    "Declare streams, watch what they do, change them while they run. Errors are "
    '`{"error": {"code": "UPPER_SNAKE", "message": "…"}}`. Until a user exists only this machine is answered.'
)


class ControlApp:
    """The admin API and the pages; an ASGI application and an async context manager.

    ``durations`` may be shared with the media application, so that one metric tells of all requests.
    """

    def __init__(
        self,
        *,
        store: Store,
        streams: StreamControl,
        server: ServerView,
        metrics: MetricsSource,
        build: BuildInfo | None = None,
        settings: RunningSettings | None = None,
        loop_lag: HistogramReading | None = None,
        durations: RequestDurations | None = None,
        pages_directory: Path = DIST,
    ) -> None:
        self.durations = durations or RequestDurations()
        self._authenticator = Authenticator()
        rules = RulesLoader(store)
        gate = AdminGate(RulesCache(rules), self._authenticator)
        info = build or BuildInfo()
        self.api = _framework(info)
        page = MetricsPage(metrics, self.durations, loop_lag)
        for router in (
            ProbeRoutes(store, streams, page).router(),
            StreamRoutes(store, streams).router(),
            TemplateRoutes(store, streams).router(),
            SettingsRoutes(store, streams, server, settings or StillSettings(), info, gate).router(),
            PageRoutes(StaticPages(pages_directory), self.openapi).router(),
        ):
            self.api.include_router(router)
            self.api.state.routes.extend(router.routes)
        self._front = Front(self.api, gate, lambda: rules.cors, self.durations)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._authenticator.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._front(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.api.openapi_schema is None:
            document = FastAPI.openapi(self.api)
            complete(document)
            self.api.openapi_schema = document
        return self.api.openapi_schema


def _framework(build: BuildInfo) -> FastAPI:
    app = FastAPI(
        title="Openstreamer",
        version=build.version,
        description=DESCRIPTION,
        openapi_url=None,  # served behind the gate by our own route
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
    )
    app.state.routes = []  # flat, for the methods of a path: the framework nests what it includes
    app.add_exception_handler(OpenstreamerError, _typed(_refusal))
    app.add_exception_handler(RequestValidationError, _typed(_invalid_request))
    app.add_exception_handler(HTTPException, _typed(_framework_refusal))
    app.add_exception_handler(
        Exception, _typed(_fault)
    )  # it is raised again after the answer: the front logs
    return app


def _typed(
    handler: Callable[[Request, Any], Awaitable[Response]],
) -> Callable[[Request, Exception], Awaitable[Response]]:
    """The framework hands each handler the exception it was registered for, and types it as any."""
    return handler


async def _refusal(request: Request, error: OpenstreamerError) -> Response:
    report(error)
    return JSONResponse(body_of(error), status_of(error), headers_of(error))


async def _fault(request: Request, error: Exception) -> Response:
    return Response(error_body("INTERNAL", FAULT_MESSAGE), 500, media_type="application/json")


async def _invalid_request(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    body = {"error": {"code": "INVALID_QUERY", "message": f"{field}: {first['msg']}", "field": field}}
    return JSONResponse(body, 400)


async def _framework_refusal(request: Request, error: HTTPException) -> Response:
    if error.status_code == 405:
        message = f"{request.scope['method']} is not possible here"
        headers = {"allow": ", ".join(_allowed_methods(request))}
        return JSONResponse({"error": {"code": "METHOD_NOT_ALLOWED", "message": message}}, 405, headers)
    if error.status_code == 404:
        message = f"there is nothing at {request.scope['path']}"
        return JSONResponse({"error": {"code": "NOT_FOUND", "message": message}}, 404)
    return JSONResponse({"error": {"code": "BAD_REQUEST", "message": str(error.detail)}}, error.status_code)


def _allowed_methods(request: Request) -> list[str]:
    """Every method that some route has for this path (RFC 9110 section 15.5.6 asks for all of them)."""
    allowed: set[str] = set()
    for route in request.app.state.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            allowed |= getattr(route, "methods", None) or set()
    return sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
