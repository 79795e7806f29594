"""The built pages and the OpenAPI document as routes."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from openstreamer.control.documents import json_response
from openstreamer.control.static_pages import PageResponse, StaticPages


class PageRoutes:
    """The start page, the player and what they load for everybody; the OpenAPI page for admins."""

    def __init__(self, pages: StaticPages, openapi: Callable[[], Mapping[str, Any]]) -> None:
        self._pages = pages
        self._openapi = openapi

    def router(self) -> APIRouter:
        """The routes; none of them is part of the documented API."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/", self.start, methods=["GET"])
        router.add_api_route("/play/{code:path}", self.play, methods=["GET"])
        router.add_api_route("/assets/{name:path}", self.asset, methods=["GET"])
        router.add_api_route("/favicon.ico", self.favicon, methods=["GET"])
        for path in ("/swagger", "/swagger/", "/docs", "/docs/"):
            router.add_api_route(path, self.api_page, methods=["GET"])
        for path in ("/openapi.json", "/swagger/doc.json"):
            router.add_api_route(path, self.document, methods=["GET"])
        return router

    async def start(self, request: Request) -> Response:
        """The list of streams; its data comes from the API, under the API's rules."""
        return _response(await self._pages.start_page(request.headers))

    async def play(self, code: str, request: Request) -> Response:
        """The player; it reads the code from its address."""
        return _response(await self._pages.player(request.headers))

    async def asset(self, name: str, request: Request) -> Response:
        """A script, style or picture of a page."""
        return _response(await self._pages.asset(name, request.headers))

    async def favicon(self, request: Request) -> Response:
        """For browsers that do not ask the page which icon it has."""
        return _response(await self._pages.asset("favicon.svg", request.headers))

    async def api_page(self, request: Request) -> Response:
        """Swagger UI."""
        return _response(await self._pages.openapi_page(request.headers))

    async def document(self) -> Response:
        """The OpenAPI document."""
        return json_response(self._openapi())


def _response(page: PageResponse) -> Response:
    return Response(page.body, page.status, page.headers)
