"""Keeps one input feeding the hub: open, first frame, silence, retry; for ever.

``publish://`` inputs wait for a publisher instead of retrying. Everything that can be said about the input
is observed here and read by the status.
"""

import asyncio
import math
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from openstreamer.failover.timeline import Timeline
from openstreamer.hub import Hub, HubWriter
from openstreamer.media.errors import SourceEnded, SourceError, SourceReplaced, SourceStalled
from openstreamer.media.frame import Frame
from openstreamer.sources.base import LOOK_S, Source, SourceStatistics
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.liveness import silence_limit_s
from openstreamer.stream.pace import Pace
from openstreamer.stream.publish import PublishPoint
from openstreamer.stream.silence import SilenceDeadline
from openstreamer.stream.tasks import Backoff
from openstreamer.stream.waiting import Waiting

logger = structlog.get_logger(__name__)

RETRY = Backoff(first_s=1.0, most_s=30.0)
ERRORS_KEPT = 5
HOLD_STEP_S = 0.5  # while frames are held back, the input is said to live that often


@dataclass(frozen=True, slots=True)
class InputFailure:
    """One remembered failure of an input."""

    message: str
    at: datetime


@dataclass(slots=True)
class IngestTotals:
    """Counters over all sources that ever fed a stream; they outlive the single input runner."""

    finished: dict[str, SourceStatistics] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        """A source is over: keep what it counted."""
        self.finished[source.protocol] = self.with_source(source)[source.protocol]

    def with_source(self, source: Source | None) -> dict[str, SourceStatistics]:
        """The counters by protocol, those of a source that still runs included."""
        totals = dict(self.finished)
        if source is not None:
            totals[source.protocol] = totals.get(source.protocol, SourceStatistics()) + source.statistics
        return totals

    def count_failure(self, kind: str) -> None:
        """One more input ended by ``kind``: ``ended stalled unreachable rejected``."""
        self.failures[kind] = self.failures.get(kind, 0) + 1


class Ingest:
    """The runner of one input.

    Exactly one of ``open_source`` (pull inputs) and ``point`` (``publish://``) is given. ``silence_s`` is how
    long a pulled source may deliver nothing before it is opened again, unless its media comes more seldom.
    """

    def __init__(
        self,
        code: str,
        *,
        url: str,
        priority: int,
        hub: Hub,
        timeline: Timeline,
        silence_s: float,
        totals: IngestTotals,
        latency: Histogram,
        open_source: Callable[[], Awaitable[Source]] | None = None,
        point: PublishPoint | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        assert (open_source is None) != (point is None)
        self.code = code
        self.url = url
        self.priority = priority
        self.point = point
        self.source: Source | None = None
        self.failures: deque[InputFailure] = deque(maxlen=ERRORS_KEPT)
        self.problem: str | None = None
        self.totals = totals
        self.delivers = False  # whether frames came of the present source
        self.held_back = False  # whether the present source sent faster than real time
        self._noticed_silence_ns: int | None = None
        self._frames_before = 0  # in the hub, when it was looked at last
        self._malformed_before = 0  # of the present source, when frames came last
        self._hub = hub
        self._timeline = timeline
        self.silence_s = silence_s
        self._latency = latency
        self._open_source = open_source
        self._clock_ns = clock_ns
        self._pace = Pace()

    async def run(self) -> None:
        """Feed the hub until cancelled."""
        attempt = 0
        while True:
            delivered_before = self._hub.end
            try:
                await self._attempt()
            except SourceError as err:
                self._remember(err)
            if self._hub.end > delivered_before:
                attempt = 0
            if self.point is None:
                await asyncio.sleep(RETRY.wait_s(attempt))
                attempt += 1

    async def _attempt(self) -> None:
        if self.point is None:
            assert self._open_source is not None
            await self._use(await self._open_source(), lambda _now_ns: None)
            return
        slot, source = await self.point.next_source()

        def touch(now_ns: int) -> None:
            slot.last_frame_ns = now_ns

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as until_evicted:
                slot.on_evict = lambda: until_evicted.reschedule(loop.time())
                await self._use(source, touch)
        except TimeoutError as err:
            raise SourceReplaced(f"{source.protocol}: {slot.eviction}") from err
        finally:
            slot.on_evict = None
            slot.finish()

    async def _use(self, source: Source, touch: Callable[[int], None]) -> None:
        self.source = source
        self._frames_before, self._malformed_before = self._hub.end, 0
        try:
            async with source:
                await self._feed(source, touch)
        finally:
            self.totals.add(source)
            self.source = None
            self.delivers = self.held_back = False

    async def _feed(self, source: Source, touch: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        hub, timeline, latency = self._hub, self._timeline, self._latency
        due_ns = self._pace.due_ns
        # A silent publisher is not sent away: its encoder may come back on the same connection, and until
        # then any other may take its slot over. The listener ends connections that are dead.
        look_s, told_first_s = (LOOK_S, 0.0) if self.point is None else (None, math.inf)
        wait = Waiting(source, loop.time())
        try:
            async with SilenceDeadline(look_s, lambda: wait.longer_until_s(loop.time())) as deadline:
                frames = await source.receive()
                timeline.begin_epoch()
                due_ns(timeline.end_90k, self._clock_ns())  # what the first batch spans is part of the burst
                self.problem, self.delivers = None, True
                tell_at_s = told_first_s
                with hub.writer() as writer:
                    while True:
                        now_ns = self._clock_ns()
                        if (arrived_ns := source.arrived_ns) is not None:
                            latency.observe((now_ns - arrived_ns) / 1e9)
                        frames = timeline.map(frames)
                        if frames and due_ns(frames[-1].dts_90k, now_ns) > now_ns:
                            deadline.reschedule(None)
                            await self._write_slowly(writer, frames, source, touch)
                            tell_at_s = told_first_s
                        else:
                            writer.write(frames, source.tracks, now_ns)
                            touch(now_ns)
                        now_s = loop.time()
                        if now_s >= tell_at_s:
                            tell_at_s, until_s = wait.came(now_s, self.silence_limit_s)
                            deadline.reschedule(until_s)
                        frames = await source.receive()
        except TimeoutError as err:
            raise SourceStalled(f"{source.protocol}: connected, but {self.damage or wait.in_vain}") from err

    async def _write_slowly(
        self, writer: HubWriter, frames: list[Frame], source: Source, touch: Callable[[int], None]
    ) -> None:
        """Write each frame when it is due. Nothing is received meanwhile: the source is slowed down."""
        if not self.held_back:
            self.held_back = True
            logger.warning("input_faster_than_real_time", stream=self.code, protocol=source.protocol)
        for frame in frames:
            while True:
                now_ns = self._clock_ns()
                touch(now_ns)
                early_ns = self._pace.due_ns(frame.dts_90k, now_ns) - now_ns
                if early_ns <= 0:
                    break
                await asyncio.sleep(min(early_ns / 1e9, HOLD_STEP_S))
            writer.write((frame,), source.tracks, now_ns)

    def _remember(self, err: SourceError) -> None:
        kind = type(err).__name__.removeprefix("Source").lower()
        if isinstance(err, SourceEnded) and self.point is not None:  # an encoder that stops is no failure
            self.totals.count_failure(kind)
            self.problem = None
        else:
            self.problem = f"input: {err}"
            self._note(kind, str(err))
        logger.info("input_ended", stream=self.code, kind=kind, error=str(err))
        _release_frames(err)

    def _note(self, kind: str, message: str) -> None:
        self.totals.count_failure(kind)
        self.failures.append(InputFailure(message, datetime.now(UTC)))

    def notice_silence(self, now_ns: int) -> None:
        """Remember that a publisher fell silent, once for each time it did. Called about once a second."""
        source = self.source
        if source is None:
            return
        if self._hub.end != self._frames_before:
            self._frames_before, self._malformed_before = self._hub.end, source.statistics.malformed
        slot = self.point.slot if self.point is not None else None
        if slot is None or source is not slot.source:
            return
        silent_since_ns = slot.last_frame_ns
        limit_s = self.silence_limit_s
        if now_ns - silent_since_ns > limit_s * 1e9 and silent_since_ns != self._noticed_silence_ns:
            self._noticed_silence_ns = silent_since_ns
            words = self.damage or f"connected, but silent for {limit_s:g} s"
            self._note("stalled", f"{source.protocol}: {words}")

    @property
    def silence_limit_s(self) -> float:
        """For how long a track of the present source may bring nothing before it counts as silent."""
        tracks = self.source.tracks if self.source is not None else ()
        usual_step_s = self._timeline.usual_step_s
        return silence_limit_s(self.silence_s, [usual_step_s(track.id) for track in tracks])

    @property
    def damage(self) -> str | None:
        """What to say when a source sends and no frame comes of it: how much of it was damaged."""
        if self.source is None or self._hub.end != self._frames_before:
            return None
        count = self.source.statistics.malformed - self._malformed_before
        return f"{count} damaged access units, none usable" if count > 0 else None

    @property
    def waits_for_publisher(self) -> bool:
        """Whether this is a ``publish://`` input without a publisher."""
        return self.point is not None and self.source is None

    @property
    def peer(self) -> str:
        """The address of the publisher, if there is one."""
        slot = self.point.slot if self.point is not None else None
        return slot.request.peer if slot is not None else ""

    def close(self) -> None:
        """Send a publisher away, if there is one."""
        if self.point is not None:
            self.point.close()


def _release_frames(err: BaseException | None) -> None:
    """Let go of what an error refers to by its traceback: a source that keeps its error, and all it had read,
    would stay until the garbage collector finds them, while the next source reads as much again."""
    seen: set[int] = set()  # readers that raise a failure again make it its own cause
    while err is not None and id(err) not in seen:
        seen.add(id(err))
        traceback.clear_frames(err.__traceback__)
        err = err.__cause__
