"""A mount with files, and sources on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from openstreamer.config.input_urls import FileInput
from openstreamer.media.errors import SourceError
from openstreamer.media.frame import Frame
from openstreamer.sources.file import FileSource
from tests.support.virtual_time import VirtualTimeLoop, run_virtual

_Result = TypeVar("_Result")


def run_inline(work: Callable[[], _Result], /) -> Awaitable[_Result]:
    """Blocking work, done on the spot: virtual time does not wait for threads."""
    done: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
    try:
        done.set_result(work())
    except Exception as err:  # noqa: BLE001 - whoever awaits it gets it
        done.set_exception(err)
    return done


class Mount:
    """A directory ``vod`` with files in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.write_bytes(data)
        return path

    def source(self, name: str, *, loop: bool = False, inline: bool = True) -> FileSource:
        chosen = FileInput("vod", name, loop=loop)
        roots = {"vod": self.root}
        return FileSource(chosen, roots, run_blocking=run_inline) if inline else FileSource(chosen, roots)

    def play(
        self, name: str, *, loop: bool = False, until_s: float = 60.0
    ) -> tuple[list[tuple[float, Frame, int, int]], SourceError | None]:
        """Every frame with the (virtual) second it came at, its PTS and DTS, and what ended it."""

        async def main(
            clock: VirtualTimeLoop,
        ) -> tuple[list[tuple[float, Frame, int, int]], SourceError | None]:
            seen: list[tuple[float, Frame, int, int]] = []
            start_s = clock.time()
            async with self.source(name, loop=loop) as source:
                while clock.time() - start_s < until_s:
                    try:
                        frames = await source.receive()
                    except SourceError as err:
                        return seen, err
                    now_s = clock.time() - start_s
                    seen += [(now_s, frame, frame.pts_90k, frame.dts_90k) for frame in frames]
            return seen, None

        return run_virtual(main)


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    root = tmp_path / "vod"
    root.mkdir()
    return Mount(root)
