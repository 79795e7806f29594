"""All streams of a node: one supervisor each, and the reconciler that keeps them equal to the store."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import structlog

from openstreamer.config.models import GlobalConfig
from openstreamer.config.resolve import resolve
from openstreamer.media.errors import OpenstreamerError
from openstreamer.packager.presentation import Presentation
from openstreamer.store.records import StreamRecord, TemplateRecord
from openstreamer.stream.memory import MediaMemory, default_max_bytes
from openstreamer.stream.pipeline import MediaSettings, StreamPipeline
from openstreamer.stream.publish import PublishRefusal, PublishRefused, PublishRequest, PublishSlot
from openstreamer.stream.status import StreamRuntime, StreamStatus
from openstreamer.stream.supervisor import Desired, StreamStopping, StreamSupervisor
from openstreamer.stream.tasks import Backoff, cancel_and_wait, spawn, supervise

logger = structlog.get_logger(__name__)

RECONCILE_EVERY_S = 10.0
WATCH_MEMORY_EVERY_S = 1.0
PARALLEL_STARTS = 16  # more at once would only make each of them late
BREATH_STREAMS = 256  # compared before the event loop runs other work
TELL_WITHIN_S = 1.0  # the longest that a change of everything is waited for
STOP_DEADLINE_S = 4.0  # Ctrl-C ends within 5 s


class UnknownStream(OpenstreamerError):  # noqa: N818
    """There is no such stream."""

    code = "STREAM_NOT_FOUND"


class StreamDisabled(OpenstreamerError):  # noqa: N818
    """The stream is disabled and so cannot be restarted."""

    code = "STREAM_DISABLED"


class ConfigurationReader(Protocol):
    """What the manager reads of the store."""

    async def list_streams(self) -> list[StreamRecord]: ...

    async def get_stream(self, code: str) -> StreamRecord | None: ...

    async def list_templates(self) -> list[TemplateRecord]: ...

    async def get_template(self, code: str) -> TemplateRecord | None: ...

    async def global_config(self) -> GlobalConfig: ...


@dataclass(frozen=True, slots=True)
class _Ingredients:
    """What a stream is made of."""

    record: StreamRecord
    template: TemplateRecord | None
    settings: MediaSettings

    @property
    def desired(self) -> Desired:
        """What the stream should be."""
        template = self.template.spec if self.template is not None else None
        return Desired(resolve(self.record.spec, template), self.settings)

    @property
    def versions(self) -> tuple[int, int, MediaSettings]:
        """What differs when the ingredients do."""
        return self.record.revision, self.template.revision if self.template is not None else 0, self.settings


@dataclass(slots=True)
class _Entry:
    """A supervised stream, the lock that serialises changes of what it should be, the versions of what it was
    last made of, and why the last pass could not make it."""

    supervisor: StreamSupervisor
    lock: asyncio.Lock
    made_of: tuple[int, int, MediaSettings] | None = None
    failure: str = ""


class StreamManager:
    """Creates, updates and removes the supervisors; an async context manager. ``memory`` bounds what all
    streams hold together."""

    def __init__(
        self,
        store: ConfigurationReader,
        build: Callable[[Desired], StreamPipeline],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        memory: MediaMemory | None = None,
    ) -> None:
        self.memory = memory or MediaMemory(default_max_bytes())
        self.last_reconcile_ns: int | None = None
        self.last_reconcile_unix_s: float | None = None
        self._store = store
        self._build = build
        self._clock_ns = clock_ns
        self._entries: dict[str, _Entry] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._starts = asyncio.Semaphore(PARALLEL_STARTS)
        self._asked = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []  # for the next whole pass of the reconciler

    async def __aenter__(self) -> Self:
        for name, run in (("reconciler", self._reconcile_for_ever), ("media-memory", self._watch_memory)):
            self._tasks.append(spawn(supervise(name, run, Backoff(1.0, RECONCILE_EVERY_S)), name=name))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        tasks, self._tasks = self._tasks, []
        await cancel_and_wait(tasks)
        entries, self._entries = self._entries, {}
        async with asyncio.timeout(STOP_DEADLINE_S):
            await asyncio.gather(*(entry.supervisor.close() for entry in entries.values()))

    async def apply(self, code: str) -> None:
        """Make the running stream ``code`` equal to its record in the store, which may be gone."""
        await self._apply(code, None)

    async def _apply(self, code: str, seen: _Ingredients | None) -> None:
        """``seen`` is what a pass over all streams read; it saves reading what has not changed since."""
        entry = self._entries.get(code)
        if entry is None:
            entry = self._entries[code] = _Entry(
                StreamSupervisor(code, self._build, self._clock_ns), asyncio.Lock()
            )
            entry.supervisor.start()
        # The record is read inside the lock: of two changes at once the later reader sees the later one,
        # and a removed record removes the stream whatever a concurrent reconcile had in hand.
        async with entry.lock, self._starts:
            if self._entries.get(code) is not entry:
                return
            record = await self._store.get_stream(code)
            if record is None:
                del self._entries[code]
                await entry.supervisor.close()
                return
            # A template or settings that changed since are the next pass's: it was asked for by their change.
            if seen is None or seen.record.revision != record.revision:
                seen = await self._ingredients(record)
            await entry.supervisor.apply(seen.desired)
            entry.made_of = seen.versions
            entry.failure = ""

    async def _ingredients(self, record: StreamRecord) -> _Ingredients:
        template = await self._store.get_template(record.spec.template) if record.spec.template else None
        return _Ingredients(record, template, MediaSettings.of(await self._store.global_config()))

    async def apply_all(self, within_s: float = TELL_WITHIN_S) -> None:
        """Reconcile every stream now: the server starts, or the global configuration, a template or many
        streams changed.

        Returns when that is done, and after ``within_s`` in any case: what is stored is what is wanted, and
        with thousands of streams the rest of them follow after the caller has its answer.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._asked.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await done

    async def restart(self, code: str) -> None:
        """Stop and rebuild a stream.

        Raises:
            UnknownStream: there is none of that code.
            StreamDisabled: it is not wanted, so there is nothing to restart.
        """
        entry = self._entries.get(code)
        if entry is None:
            raise UnknownStream(f"stream {code} does not exist")
        desired = entry.supervisor.desired
        if desired is not None and desired.spec.disabled:
            raise StreamDisabled(f"stream {code} is disabled")
        try:
            await entry.supervisor.restart()
        except StreamStopping as err:
            raise UnknownStream(f"stream {code} does not exist") from err

    def runtime(self, code: str) -> StreamRuntime | None:
        """The stream as observed now, or ``None`` when nothing runs under that code."""
        entry = self._entries.get(code)
        if entry is None:
            return None
        if entry.supervisor.desired is None and entry.failure:
            return StreamRuntime(status=StreamStatus.STOPPED, reasons=[entry.failure])
        return entry.supervisor.runtime()

    def runtime_codes(self) -> list[str]:
        """Codes of streams that exist only at run time."""
        return []

    def codes(self) -> list[str]:
        """Codes of all supervised streams."""
        return sorted(self._entries)

    def pipelines(self) -> list[tuple[str, StreamPipeline]]:
        """The running streams, for metrics."""
        return [
            (code, entry.supervisor.pipeline)
            for code, entry in sorted(self._entries.items())
            if entry.supervisor.pipeline is not None
        ]

    def presentation(self, code: str) -> Presentation | None:
        """What the stream serves over HTTP, or ``None`` when it serves nothing."""
        entry = self._entries.get(code)
        return entry.supervisor.presentation if entry is not None else None

    def playback_policy(self, code: str) -> str | None:
        """The policy of a stream that serves something; ``None``: it has none."""
        entry = self._entries.get(code)
        return entry.supervisor.playback_policy if entry is not None else None

    def offer_publisher(self, request: PublishRequest) -> PublishSlot:
        """Let a publisher in, or raise :class:`PublishRefused` with the reason."""
        for code in request.codes:
            entry = self._entries.get(code)
            if entry is not None:
                self._require_memory(code, entry.supervisor)
                return entry.supervisor.offer(request)
        raise PublishRefused(PublishRefusal.UNKNOWN_STREAM, f"there is no stream {request.codes[0]}")

    def _require_memory(self, code: str, supervisor: StreamSupervisor) -> None:
        """Refuse a stream that holds nothing yet while those on the air hold too much. An encoder that comes
        back is let in: what its stream holds is counted already."""
        pipeline = supervisor.pipeline
        if self.memory.limit_bytes is not None and (pipeline is None or not pipeline.media_bytes):
            raise PublishRefused(
                PublishRefusal.OUT_OF_MEMORY,
                f"stream {code}: the streams on the air fill this node's media memory, try again later",
            )

    async def _watch_memory(self) -> None:
        while True:
            pipelines = [pipeline for _, pipeline in self.pipelines()]
            before_bytes = self.memory.limit_bytes
            limit_bytes = self.memory.balance([pipeline.media_bytes for pipeline in pipelines])
            for pipeline in pipelines:
                pipeline.limit_media(limit_bytes)
            if (limit_bytes is None) != (before_bytes is None):
                logger.warning("media_memory", full=limit_bytes is not None, stream_limit_bytes=limit_bytes)
            await asyncio.sleep(WATCH_MEMORY_EVERY_S)

    async def _reconcile_for_ever(self) -> None:
        while True:
            self._asked.clear()
            waiting, self._waiting = self._waiting, []
            await self._reconcile()
            for done in waiting:
                if not done.done():
                    done.set_result(None)
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONCILE_EVERY_S):
                    await self._asked.wait()

    async def _reconcile(self) -> None:
        records = {record.spec.code: record for record in await self._store.list_streams()}
        templates = {template.spec.code: template for template in await self._store.list_templates()}
        settings = MediaSettings.of(await self._store.global_config())
        stale: dict[str, _Ingredients | None] = dict.fromkeys(self._entries.keys() - records.keys())
        for count, (code, record) in enumerate(records.items(), 1):
            if count % BREATH_STREAMS == 0:
                await asyncio.sleep(0)
            entry = self._entries.get(code)
            template = templates.get(record.spec.template or "")
            seen = _Ingredients(record, template, settings)
            if entry is None or entry.made_of != seen.versions:
                # A template that is not listed cannot be read. Asking for it says why, and the stream stays
                # as it was: without its template it would lose its key as well as its inputs.
                stale[code] = seen if template is not None or not record.spec.template else None
        await self._apply_each(stale)
        self.last_reconcile_ns = self._clock_ns()
        self.last_reconcile_unix_s = time.time()

    async def _apply_each(self, stale: dict[str, _Ingredients | None]) -> None:
        """Apply many, few at a time: a stream that somebody changes meanwhile must not queue behind all."""
        remaining = iter(stale.items())

        async def work() -> None:
            for code, seen in remaining:
                try:
                    await self._apply(code, seen)
                except Exception as err:  # noqa: BLE001 - what one stream fails of is not the others' end
                    if (entry := self._entries.get(code)) is None or entry.failure != str(err):
                        logger.warning("reconcile_failed", stream=code, error=str(err))
                    if entry is not None:
                        entry.failure = str(err)

        async with asyncio.TaskGroup() as group:
            for number in range(min(PARALLEL_STARTS, len(stale))):
                group.create_task(work(), name=f"reconciler/{number}")
