"""Parts the port: the server's own names go to the control application, every other path is media."""

import asyncio

from openstreamer.config.codes import RESERVED_NAMES
from openstreamer.listen.http.asgi import App, Receive, Scope, Send
from openstreamer.listen.http.plain import PlainAnswer, PlainApp, PlainGet


class Router:
    """An ASGI application over two others.

    It ``starts_at_once``: may be begun outside a task, and runs in one as soon as it waits.

    Args:
        control: gets ``/``, the names that no stream code may begin with, and every WebSocket.
        media: gets the rest.
    """

    starts_at_once = True

    def __init__(self, control: App, media: App, names: tuple[str, ...] = RESERVED_NAMES) -> None:
        self._control = control
        self._media = media
        self._answer: PlainApp | None = getattr(media, "answer", None)
        self._names = frozenset(("", *names))

    def answer(self, request: PlainGet) -> PlainAnswer | None:
        """The answer of the media application to a plain request, if it has it at once."""
        if self._answer is None or request.path.split("/", 2)[1] in self._names:
            return None
        return self._answer(request)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        # The decoded path decides, as it does in the applications: no spelling leads past their checks.
        first = scope["path"].split("/", 2)[1:2] or [""]
        if scope["type"] == "http" and first[0] not in self._names and scope["path"] != "*":
            await self._media(scope, receive, send)
        else:
            await asyncio.sleep(0)  # the framework behind it wants a task from the start
            await self._control(scope, receive, send)
