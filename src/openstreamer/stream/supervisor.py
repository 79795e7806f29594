"""One actor per stream: it owns everything of its stream, and nobody else can touch it.

Commands are messages, handled one at a time. Between them, and at least every second, the actor compares
what is wanted with what it can observe and takes the smallest step towards it. A step that fails half-way
ends in a full stop and a rebuild from the specification.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from openstreamer.config.difference import Restart, difference
from openstreamer.config.models import Stream
from openstreamer.media.errors import OpenstreamerError
from openstreamer.packager.presentation import Presentation
from openstreamer.stream.pipeline import MediaSettings, StreamPipeline
from openstreamer.stream.publish import (
    PublishRefusal,
    PublishRefused,
    PublishRequest,
    PublishSlot,
)
from openstreamer.stream.status import Observation, StreamRuntime, judge
from openstreamer.stream.tasks import Backoff, cancel_and_wait, spawn

logger = structlog.get_logger(__name__)

LOOK_AGAIN_S = 1.0  # the longest time between two comparisons of wanted and observed
START_BACKOFF = Backoff(first_s=1.0, most_s=10.0)  # a failed start is rebuilt within 10 s (DESIGN 5)
MAILBOX_MESSAGES = 64


class StreamStopping(OpenstreamerError):  # noqa: N818
    """The stream is being removed and takes no more commands."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What a stream should be: the resolved specification and the settings it runs under."""

    spec: Stream
    settings: MediaSettings


@dataclass(slots=True)
class _Message:
    """A command to the actor: ``desired`` to become, or ``restart``; ``done`` tells the caller."""

    desired: Desired | None
    restart: bool
    done: "asyncio.Future[None]"


class StreamSupervisor:
    """The actor of one stream."""

    def __init__(
        self,
        code: str,
        build: Callable[[Desired], StreamPipeline],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.code = code
        self._clock_ns = clock_ns
        self._build = build
        self._desired: Desired | None = None
        self._pipeline: StreamPipeline | None = None
        self._start_failure: str | None = None
        self._attempt = 0
        self._retry_at_s = 0.0
        self._started_at: datetime | None = None
        self._mailbox: asyncio.Queue[_Message] = asyncio.Queue(MAILBOX_MESSAGES)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to act."""
        self._task = spawn(self._run(), name=f"stream/{self.code}/supervisor")

    async def apply(self, desired: Desired) -> None:
        """Become ``desired``; returns when the first step towards it was taken."""
        await self._send(_Message(desired, restart=False, done=asyncio.get_running_loop().create_future()))

    async def restart(self) -> None:
        """Stop everything of the stream and build it anew."""
        await self._send(_Message(None, restart=True, done=asyncio.get_running_loop().create_future()))

    async def close(self) -> None:
        """Stop the stream for good. Whoever waits for a command is told."""
        if self._task is not None:
            await cancel_and_wait([self._task])
            self._task = None
        await self._stop()
        while not self._mailbox.empty():
            self._refuse(self._mailbox.get_nowait())

    def _refuse(self, message: _Message) -> None:
        if not message.done.done():
            message.done.set_exception(StreamStopping(f"stream {self.code} was removed"))

    async def _send(self, message: _Message) -> None:
        if self._task is None:
            raise StreamStopping(f"stream {self.code} was removed")
        await self._mailbox.put(message)
        await message.done

    async def _run(self) -> None:
        while True:
            message = await self._next_message()
            try:
                if message is not None:
                    await self._handle(message)
                await self._converge()
                if self._pipeline is not None:
                    self._pipeline.tick(self._clock_ns())
            except asyncio.CancelledError:
                if message is not None:
                    self._refuse(message)
                raise
            except Exception as err:  # noqa: BLE001 - whatever fails, the stream is rebuilt
                await self._fail(err)
            if message is not None and not message.done.done():
                message.done.set_result(None)

    async def _next_message(self) -> _Message | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_S):
                return await self._mailbox.get()
        return None

    async def _handle(self, message: _Message) -> None:
        if message.restart:
            await self._stop()
        if message.desired is None:
            self._reset_backoff()
            return
        before, self._desired = self._desired, message.desired
        if before is None or before == message.desired:
            return
        self._reset_backoff()
        if self._pipeline is None:
            return
        if difference(before.spec, message.desired.spec).restart is Restart.STREAM:
            await self._stop()
        else:
            await self._pipeline.adopt(message.desired.spec, message.desired.settings)

    async def _converge(self) -> None:
        desired = self._desired
        if desired is None:
            return
        if desired.spec.disabled:
            await self._stop()
        elif self._pipeline is None and asyncio.get_running_loop().time() >= self._retry_at_s:
            pipeline = self._build(desired)
            self._pipeline = pipeline
            await pipeline.start()
            self._start_failure = None
            self._started_at = datetime.now(UTC)
            self._attempt = 0
            logger.info("stream_started", stream=self.code)

    async def _fail(self, err: Exception) -> None:
        expected = isinstance(err, OpenstreamerError | OSError)
        trace = not expected and self._attempt == 0  # the same trace at every retry would tell nothing new
        logger.warning("stream_step_failed", stream=self.code, error=str(err), exc_info=trace)
        await self._stop()
        wait_s = START_BACKOFF.wait_s(self._attempt)
        self._attempt += 1
        self._retry_at_s = asyncio.get_running_loop().time() + wait_s
        self._start_failure = f"start failed, next attempt in {wait_s:.0f} s: {err}"

    def _reset_backoff(self) -> None:
        self._attempt = 0
        self._retry_at_s = 0.0
        self._start_failure = None

    async def _stop(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        self._started_at = None
        if pipeline is not None:
            await pipeline.stop()
            logger.info("stream_stopped", stream=self.code)

    @property
    def desired(self) -> Desired | None:
        """What the stream was last asked to be."""
        return self._desired

    @property
    def pipeline(self) -> StreamPipeline | None:
        """What runs now; to be read only."""
        return self._pipeline

    @property
    def presentation(self) -> Presentation | None:
        """What the stream serves over HTTP, while it does."""
        return self._pipeline.presentation if self._pipeline is not None else None

    @property
    def playback_policy(self) -> str | None:
        """The policy that viewers are let in by; ``None``: everybody is."""
        return self._desired.spec.playback_policy if self._desired is not None else None

    def offer(self, request: PublishRequest) -> PublishSlot:
        """Let a publisher in, or raise :class:`PublishRefused`."""
        desired = self._desired
        if desired is None or desired.spec.disabled:
            raise PublishRefused(PublishRefusal.DISABLED, f"stream {self.code} is disabled")
        point = self._pipeline.publish_point if self._pipeline is not None else None
        if point is None:
            if self._start_failure is not None or self._pipeline is None:
                raise PublishRefused(PublishRefusal.STOPPED, f"stream {self.code} is not running yet")
            raise PublishRefused(
                PublishRefusal.NO_PUBLISH_INPUT, f"stream {self.code} has no publish:// input"
            )
        return point.offer(request)

    def runtime(self) -> StreamRuntime:
        """The stream as it can be observed now."""
        now_ns = self._clock_ns()
        wanted = self._desired is not None and not self._desired.spec.disabled
        pipeline = self._pipeline
        if pipeline is None or self._desired is None:
            failure = self._start_failure or ("starting" if wanted else None)
            seen = Observation(wanted=wanted, start_failure=failure)
            status, reasons = judge(seen, now_ns, input_window_ns=0, output_window_ns=0)
            return StreamRuntime(status=status, reasons=reasons)
        runtime = pipeline.runtime(now_ns)
        if self._started_at is not None:
            runtime.started_at = self._started_at
            runtime.uptime_sec = int((datetime.now(UTC) - self._started_at).total_seconds())
        return runtime
