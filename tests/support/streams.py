"""Streams without network or database: a configuration in memory, and sources that play for ever."""

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from openstreamer.config.base import parse
from openstreamer.config.models import GlobalConfig, Input, Stream, Template
from openstreamer.media.errors import StoreError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import Source, SourceStatistics
from openstreamer.store.records import Record, StreamRecord, TemplateRecord
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.manager import StreamManager
from openstreamer.stream.memory import MediaMemory
from openstreamer.stream.pipeline import StreamPipeline
from openstreamer.stream.wiring import SourceOpener
from tests.support.media import AUDIO, VIDEO, audio, video
from tests.support.virtual_time import VirtualTimeLoop


class EndlessSource:
    """25 fps video with 1 s GOPs and audio, in (virtual) real time, until closed."""

    protocol = "endless"
    arrived_ns: int | None = None
    tracks: tuple[Track, ...] = (VIDEO, AUDIO)

    def __init__(self, frame_bytes: int = 100) -> None:
        self.statistics = SourceStatistics()
        self.open = False
        self._frame_bytes = frame_bytes
        self._number = 0

    async def __aenter__(self) -> Self:
        self.open = True
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.open = False

    async def receive(self) -> list[Frame]:
        if self._number:
            await asyncio.sleep(0.04)
        number = self._number
        self._number += 1
        picture = video(number * 3600, key=number % 25 == 0, size=self._frame_bytes)
        return [picture, audio(number * 3600), audio(number * 3600 + 1920)]


class MemoryConfiguration:
    """The store as the manager reads it; ``failing`` makes every read fail."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamRecord] = {}
        self.templates: dict[str, TemplateRecord] = {}
        self.config = GlobalConfig()
        self.failing = False
        self.read_s = 0.0  # how long each reading takes
        self._revision = 0

    def put(self, code: str, **fields: Any) -> None:
        """Create or replace a stream."""
        fields.setdefault("inputs", [{"url": "test://", "priority": 0}])
        self.streams[code] = self._record(parse(Stream, {"code": code, **fields}))

    def put_template(self, code: str, **fields: Any) -> None:
        """Create or replace a template."""
        self.templates[code] = self._record(parse(Template, {"code": code, **fields}))

    def _record(self, spec: Any) -> Any:
        self._revision += 1
        now = datetime.now(UTC)
        return Record(spec, self._revision, now, now)

    async def _read(self) -> None:
        await asyncio.sleep(self.read_s)
        if self.failing:
            raise StoreError("the disk is gone")

    async def list_streams(self) -> list[StreamRecord]:
        await self._read()
        return list(self.streams.values())

    async def get_stream(self, code: str) -> StreamRecord | None:
        await self._read()
        return self.streams.get(code)

    async def list_templates(self) -> list[TemplateRecord]:
        await self._read()
        return list(self.templates.values())

    async def get_template(self, code: str) -> TemplateRecord | None:
        await self._read()
        return self.templates.get(code)

    async def global_config(self) -> GlobalConfig:
        await self._read()
        return self.config


class Node:
    """A manager over a configuration in memory; ``sources`` are all that were opened, in order.
    ``frame_bytes`` is the size of the pictures of sources that are opened from now on."""

    def __init__(self, loop: VirtualTimeLoop, memory: MediaMemory | None = None) -> None:
        self.frame_bytes = 100
        self.store = MemoryConfiguration()
        self.sources: list[EndlessSource] = []
        self.build_failures: list[Exception] = []
        self.real_sources = False
        self._loop = loop
        self.manager = StreamManager(self.store, self._build, loop.now_ns, memory)

    def _build(self, desired: Any) -> StreamPipeline:
        if self.build_failures:
            raise self.build_failures.pop(0)
        return StreamPipeline(
            desired.spec, desired.settings, self._open, Histogram((1.0,)), self._loop.now_ns
        )

    async def _open(self, chosen: Input) -> Source:
        if self.real_sources:
            return await SourceOpener().open(chosen)
        source = EndlessSource(self.frame_bytes)
        self.sources.append(source)
        return source

    @property
    def open_sources(self) -> int:
        return sum(source.open for source in self.sources)

    def change_live_window(self, segments: int) -> None:
        """Change how many segments playlists list."""
        self.store.config = parse(GlobalConfig, {"publisher": {"hls": {"live_window": segments}}})

    def change_settings(self, **manager: Any) -> None:
        """Change the global ``manager`` section."""
        self.store.config = parse(GlobalConfig, {"manager": manager})


__all__ = ["EndlessSource", "MemoryConfiguration", "Node"]
