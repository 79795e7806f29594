"""Sources with a script, for tests of what consumes sources."""

import asyncio
from types import TracebackType
from typing import Self

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from tests.support.media import AUDIO, VIDEO


class ScriptedSource:
    """Yields its batches one after the other, raises those that are exceptions, then says nothing."""

    protocol = "scripted"
    arrived_ns: int | None = None

    def __init__(
        self, script: list[list[Frame] | Exception], tracks: tuple[Track, ...] = (VIDEO, AUDIO)
    ) -> None:
        self.tracks = tracks
        self.statistics = SourceStatistics()
        self.opened = False
        self.closed = False
        self._script = list(script)

    async def __aenter__(self) -> Self:
        self.opened = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.closed = True

    async def receive(self) -> list[Frame]:
        if not self._script:
            await asyncio.get_running_loop().create_future()
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        self.statistics.received_bytes += sum(len(frame.payload) for frame in step)
        return step


class PausingSource(ScriptedSource):
    """Plays its script, says nothing for ``pause_s``, and plays another."""

    def __init__(
        self, script: list[list[Frame] | Exception], *, pause_s: float, then: list[list[Frame] | Exception]
    ) -> None:
        super().__init__(script)
        self._pause_s = pause_s
        self._then = list(then)

    async def receive(self) -> list[Frame]:
        if not self._script and self._then:
            await asyncio.sleep(self._pause_s)
            self._script, self._then = self._then, []
        return await super().receive()


class MidGopSource(PausingSource):
    """Joined between two key frames: bytes come for ``sends_s``, but no frame before ``pause_s`` are over."""

    def __init__(self, *, pause_s: float, sends_s: float, then: list[list[Frame] | Exception]) -> None:
        super().__init__([], pause_s=pause_s, then=then)
        self._sends_s = sends_s

    async def receive(self) -> list[Frame]:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._sends_s
        timer: asyncio.TimerHandle | None = None

        def send() -> None:
            nonlocal timer
            self.statistics.received_bytes += 1316
            if loop.time() < ends_s:
                timer = loop.call_later(0.1, send)

        timer = loop.call_later(0.1, send)
        try:
            return await super().receive()
        finally:
            if timer is not None:
                timer.cancel()
