"""The trial behind the plain GETs of docs/decisions/0001-http-server.md: what a request costs in Python.

    python -m bench.plain_get_trial

Requests are put into one connection without a socket, as fast as it takes them; what it writes is dropped.
"""

import asyncio
import time
from typing import Any, cast

import uvloop

from openstreamer.listen.http.asgi import Receive, Scope, Send
from openstreamer.listen.http.connection import Endpoint
from openstreamer.listen.http.http1 import Http1Connection
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.listen.http.media import MediaApp
from openstreamer.listen.http.router import Router
from openstreamer.listen.http.service import Service
from openstreamer.packager.response import MediaResponse, media, playlist

SEGMENT = media("video/mp4", tuple(bytes((n,)) * 125_000 for n in range(6)))
PLAYLIST = playlist("#EXTM3U\n" + "#EXTINF:2.00000,\nvideo_1234567.m4s\n" * 29, "no-cache")
BROWSER = (
    b"Host: live.example\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    b"Accept: */*\r\nReferer: https://live.example/play/news\r\nAccept-Encoding: gzip, deflate, br\r\n"
)
ROUNDS = 20_000


class Channel:
    """A presentation of two resources."""

    async def fetch(self, name: str, query: object) -> MediaResponse:
        return PLAYLIST if name.endswith("m3u8") else SEGMENT


class Directory:
    """One stream."""

    def presentation(self, code: str) -> Channel | None:
        return Channel() if code == "news" else None

    def playback_policy(self, code: str) -> str | None:
        return None


class General:
    """The same applications without their plain way."""

    starts_at_once = True

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)


class Nowhere:
    """A transport that takes everything."""

    __module__ = "uvloop.nowhere"  # it takes lists of buffers, as uvloop's do

    def write(self, data: object) -> None:
        pass

    def writelines(self, data: object) -> None:
        pass

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def microseconds(app: Any, request: bytes) -> float:
    """CPU time per request."""
    service = Service(app, HttpLimits())
    address = ("127.0.0.1", 1)
    connection = Http1Connection(service, Endpoint(service, address, address, "trial", tls=False))
    connection.attach(cast("asyncio.Transport", Nowhere()))
    for _ in range(ROUNDS // 10):
        connection.data_received(request)
    began_ns = time.process_time_ns()
    for _ in range(ROUNDS):
        connection.data_received(request)
    return (time.process_time_ns() - began_ns) / ROUNDS / 1000


async def main() -> None:
    media_app = MediaApp(Directory())
    router = Router(media_app, media_app)  # nothing is asked of the control application
    for name in ("video_1234567.m4s", "video.m3u8"):
        request = b"GET /news/" + name.encode() + b" HTTP/1.1\r\n" + BROWSER + b"\r\n"
        general, plain = microseconds(General(router), request), microseconds(router, request)
        print(f"{name}: {general:.1f} µs in general, {plain:.1f} µs as a plain GET")


if __name__ == "__main__":
    uvloop.run(main())
