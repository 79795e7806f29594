"""Which application a path belongs to."""

from typing import Any

import pytest

from openstreamer.config.codes import RESERVED_NAMES
from openstreamer.listen.http.router import Router


class Recorder:
    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])


async def nothing(*_: Any) -> Any:
    raise AssertionError("not called")


async def route(path: str, kind: str = "http") -> str:
    control, media = Recorder(), Recorder()
    await Router(control, media)({"type": kind, "path": path}, nothing, nothing)
    assert len(control.paths) + len(media.paths) == 1
    return "control" if control.paths else "media"


@pytest.mark.parametrize("name", RESERVED_NAMES)
async def test_the_servers_own_names_are_control(name: str) -> None:
    assert await route(f"/{name}") == "control"
    assert await route(f"/{name}/") == "control"
    assert await route(f"/{name}/a/b") == "control"
    assert await route(f"/{name}x/a") == "media"
    assert await route(f"/a/{name}") == "media"


@pytest.mark.parametrize("path", ["/", "", "*", "//streams", "//"])
async def test_what_is_no_stream_is_control(path: str) -> None:
    assert await route(path) == "control"


@pytest.mark.parametrize("path", ["/news/index.m3u8", "/live/news/video.m3u8", "/STREAMS/x", "/news"])
async def test_the_rest_is_media(path: str) -> None:
    assert await route(path) == "media"


async def test_websockets_are_control() -> None:
    assert await route("/news/live", kind="websocket") == "control"
