"""What one running stream consists of: an input that feeds the hub, and the outputs that read it.

The pipeline is built, observed and stopped by the stream's supervisor alone. Its outputs outlive its sources:
changing or losing the input leaves the hub, the packager and their viewers where they are.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from openstreamer.config.input_urls import is_publish
from openstreamer.config.models import GlobalConfig, Input, Stream
from openstreamer.failover.timeline import Timeline
from openstreamer.hub import Hub, HubReader
from openstreamer.media.errors import HubEnded
from openstreamer.packager.disk import DiskOutput
from openstreamer.packager.options import (
    MIN_WINDOW_SEGMENTS,
    PackagerOptions,
    first_media_sequence,
)
from openstreamer.packager.presentation import Presentation
from openstreamer.packager.segment import PackagerEvent, SegmentReady
from openstreamer.sources.base import Source, SourceStatistics
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.ingest import Ingest, IngestTotals
from openstreamer.stream.observe import FlowMeter, stream_runtime
from openstreamer.stream.publish import PublishPoint
from openstreamer.stream.status import StreamRuntime
from openstreamer.stream.tasks import Backoff, cancel_and_wait, spawn, supervise

logger = structlog.get_logger(__name__)

COMPONENT_BACKOFF = Backoff(first_s=0.5, most_s=10.0)
RESTART_APART_S = 10  # restarts further apart than this begin with different discontinuity sequences
MAX_FIRST_DISCONTINUITY_SEQUENCE = 512
# From a page cache that takes a segment at once to a network file system in trouble.
WRITE_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """The global settings that a running stream depends on."""

    silence_s: float
    segment_s: float
    window_segments: int
    history_segments: int
    hls_dir: Path | None
    hls_ephemeral: bool

    @property
    def packaging(self) -> PackagerOptions:
        """What they say about segments."""
        return PackagerOptions(
            segment_target_s=self.segment_s,
            window_segments=max(self.window_segments, MIN_WINDOW_SEGMENTS),
            history_segments=self.history_segments,
        )

    @classmethod
    def of(cls, config: GlobalConfig) -> Self:
        """Pick them out of the global configuration."""
        hls = config.publisher.hls
        return cls(
            silence_s=float(config.manager.input_packet_timeout_sec),
            segment_s=float(hls.live_segment_sec),
            window_segments=hls.live_window,
            history_segments=hls.live_history,
            hls_dir=Path(hls.dir) if hls.dir else None,
            hls_ephemeral=hls.live_ephemeral,
        )


def first_discontinuity_sequence(unix_s: float) -> int:
    """A discontinuity sequence number unlike the one before a restart, so that a player that stays starts
    a new mapping of media time there. It must be small: hls.js keeps an array indexed by this number and
    walks it from 0 at every playlist it loads, which took seconds for numbers made from the time of day.

    So it rises over a restart of the server as a rule, and falls where the time passes a multiple of
    ``RESTART_APART_S * MAX_FIRST_DISCONTINUITY_SEQUENCE`` (85 minutes), or where there had been many
    discontinuities. Media sequence numbers rise always: no segment that a player knows has another
    discontinuity sequence than before. While a stream runs its number never falls, see
    :meth:`StreamPipeline.adopt`."""
    return int(unix_s // RESTART_APART_S) % MAX_FIRST_DISCONTINUITY_SEQUENCE


class StreamPipeline:
    """The running parts of one stream.

    ``latency`` counts, in seconds, how long frames take from the network into the hub;
    ``open_source`` makes the source of a pull input from its specification; it raises
    :class:`~openstreamer.media.errors.ConfigError` for what it cannot open.
    """

    def __init__(
        self,
        spec: Stream,
        settings: MediaSettings,
        open_source: Callable[[Input], Awaitable[Source]],
        latency: Histogram,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.hub = Hub()
        self.timeline = Timeline(start_90k=time.time_ns() * 9 // 100_000)
        self.presentation: Presentation | None = None
        self.disk: DiskOutput | None = None
        self.segment_writes_s = Histogram(WRITE_BOUNDS_S)  # only one thread at a time observes
        self.ingest: Ingest | None = None
        self.meter = FlowMeter()
        self.totals = IngestTotals()
        self.component_failures: dict[str, int] = {}
        self.window_is_cut = False  # because all streams together held too much
        self._open_source = open_source
        self._latency = latency
        self._clock_ns = clock_ns
        self._input_task: asyncio.Task[None] | None = None
        self._output_tasks: dict[str, asyncio.Task[None]] = {}  # by role
        self._packaging: HubReader | None = None
        self._hls_numbers: tuple[int, int] | None = None  # where the presentation before this one stopped

    @property
    def publish_point(self) -> PublishPoint | None:
        """Where a publisher may come in, when the input is ``publish://``."""
        return self.ingest.point if self.ingest is not None else None

    async def start(self) -> None:
        """Bring up the outputs, then the input."""
        self._start_outputs()
        self._start_input()

    async def stop(self) -> None:
        """Stop input and outputs, and end every reader of the hub."""
        await self._stop_input()
        self.hub.close(HubEnded(f"stream {self.spec.code} was stopped"))
        await self._stop_outputs()

    async def adopt(self, spec: Stream, settings: MediaSettings) -> None:
        """Take over a changed specification or changed settings. Only what became another one restarts: an
        input that stays goes on feeding while outputs are made anew, and the other way round; playlists go
        on with other segments. Those that come back go on with the numbers of the old ones."""
        before, self.spec = self.spec, spec
        settings_before, self.settings = self.settings, settings
        if before.delivered.hls != spec.delivered.hls:
            await self._stop_outputs()
            self._start_outputs()
        elif self.presentation is not None:
            await self._adopt_hls(self.presentation, settings_before)
        if before.inputs_by_priority[:1] != spec.inputs_by_priority[:1]:
            await self._stop_input()
            self._start_input()
        elif self.ingest is not None:
            self.ingest.silence_s = settings.silence_s
            if self.publish_point is not None:
                self.publish_point.stream_key = spec.stream_key

    def _start_outputs(self) -> None:
        if self.spec.delivered.hls:
            self._start_hls()

    async def _stop_outputs(self) -> None:
        tasks, self._output_tasks = self._output_tasks, {}
        await cancel_and_wait(list(tasks.values()))
        self._packaging = self.disk = None
        presentation, self.presentation = self.presentation, None
        if presentation is not None:
            presentation.close()
            self._hls_numbers = presentation.packager.numbers_after

    def _first_numbers(self) -> tuple[int, int]:
        """The media sequence number and discontinuity sequence to begin with: those that follow for players
        that stay, so that their next reload is answered."""
        if self._hls_numbers is not None:
            return self._hls_numbers
        now_unix_s = time.time()
        return first_media_sequence(now_unix_s), first_discontinuity_sequence(now_unix_s)

    def _start_hls(self) -> None:
        first_msn, discontinuity_sequence = self._first_numbers()
        options = self.settings.packaging
        presentation = Presentation(options, first_msn, discontinuity_sequence, self._clock_ns)
        self.presentation = presentation
        self._start_files(presentation)
        self._start_output("packager", lambda: self._package(presentation))

    async def _adopt_hls(self, presentation: Presentation, before: MediaSettings) -> None:
        settings = self.settings
        if settings.packaging != before.packaging:
            presentation.adopt(settings.packaging)
        if settings.hls_dir != before.hls_dir:
            self.disk = None
            if (writing := self._output_tasks.pop("hls-files", None)) is not None:
                await cancel_and_wait([writing])
            self._start_files(presentation)
        elif self.disk is not None:
            self.disk.ephemeral = settings.hls_ephemeral

    def _start_files(self, presentation: Presentation) -> None:
        settings = self.settings
        if settings.hls_dir is None:
            return
        disk = self.disk = DiskOutput(
            presentation.packager,
            settings.hls_dir / self.spec.code,
            ephemeral=settings.hls_ephemeral,
            observe_write_s=self.segment_writes_s.observe,
            root=settings.hls_dir,
        )
        disk.segment_ready()  # there may be some already
        self._start_output("hls-files", disk.run)

    def _start_output(self, role: str, run: Callable[[], Awaitable[None]]) -> None:
        self._output_tasks[role] = self._supervised(role, run)

    async def _package(self, presentation: Presentation) -> None:
        with self.hub.reader("packager") as reader:
            self._packaging = reader
            while True:
                try:
                    frames = await reader.receive(presentation.packager.due_90k)
                except HubEnded:
                    return
                self._packaged(presentation.push(frames, reader.tracks, time.time_ns() // 1_000_000))

    def _packaged(self, events: list[PackagerEvent]) -> None:
        if events and self.disk is not None and any(isinstance(e, SegmentReady) for e in events):
            self.disk.segment_ready()

    def _start_input(self) -> None:
        if not self.spec.inputs:
            return
        chosen = self.spec.inputs_by_priority[0]
        publishes = is_publish(chosen.url)
        point = self._publish_point() if publishes else None
        ingest = Ingest(
            self.spec.code,
            url=chosen.url,
            priority=chosen.priority,
            hub=self.hub,
            timeline=self.timeline,
            silence_s=self.settings.silence_s,
            totals=self.totals,
            latency=self._latency,
            open_source=None if publishes else lambda: self._open_source(chosen),
            point=point,
            clock_ns=self._clock_ns,
        )
        self.ingest = ingest
        self._input_task = self._supervised("input", ingest.run)

    def _publish_point(self) -> PublishPoint:
        return PublishPoint(self.spec.code, stream_key=self.spec.stream_key, clock_ns=self._clock_ns)

    async def _stop_input(self) -> None:
        task, self._input_task = self._input_task, None
        ingest, self.ingest = self.ingest, None
        if ingest is not None:
            ingest.close()
        if task is not None:
            await cancel_and_wait([task])

    def _supervised(self, role: str, run: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
        name = f"stream/{self.spec.code}/{role}"

        def count(_err: Exception) -> None:
            self.component_failures[role] = self.component_failures.get(role, 0) + 1

        return spawn(supervise(name, run, COMPONENT_BACKOFF, on_failure=count), name=name)

    def ingest_totals(self) -> dict[str, SourceStatistics]:
        """What came in since the stream was built, by protocol."""
        return self.totals.with_source(self.ingest.source if self.ingest is not None else None)

    def tick(self, now_ns: int) -> None:
        """About once a second: sample the rates, and publish what the packager holds back for a next frame
        once the source is gone."""
        self.meter.sample(self.hub, now_ns)
        ingest, packaging = self.ingest, self._packaging
        if ingest is not None:
            ingest.notice_silence(now_ns)
        if self.presentation is None or packaging is None or packaging.statistics.lag_frames:
            return  # what the source sent last has to be packaged first
        if ingest is None or ingest.source is None:
            self._packaged(self.presentation.flush())

    @property
    def media_bytes(self) -> int:
        """The media that the stream holds in memory."""
        window_bytes = self.presentation.memory_bytes if self.presentation is not None else 0
        return self.hub.statistics.buffered_bytes + window_bytes

    def limit_media(self, most_bytes: int | None) -> None:
        """Hold no more than that; ``None``: as much as a full window takes. What the hub holds has bounds of
        its own, the window gets the rest."""
        if most_bytes is None and not self.window_is_cut:
            return
        self.window_is_cut = most_bytes is not None and (self.window_is_cut or self.media_bytes > most_bytes)
        if self.presentation is not None:
            hub_bytes = self.hub.statistics.buffered_bytes
            self.presentation.limit_memory(None if most_bytes is None else max(0, most_bytes - hub_bytes))

    def dead_components(self) -> list[str]:
        """The parts that should run and do not: their supervision itself ended."""
        tasks = [*self._output_tasks.values(), *([self._input_task] if self._input_task is not None else [])]
        return [task.get_name().rpartition("/")[2] for task in tasks if task.done()]

    def runtime(self, now_ns: int) -> StreamRuntime:
        """The stream as observed now."""
        return stream_runtime(self, now_ns)
