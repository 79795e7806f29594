"""A source that bears a cut connection: it connects again at once, and its consumer sees a short gap."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from openstreamer.media.errors import SourceError, SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import (
    KEY_FRAME_DEADLINE_S,
    FirstFrameWait,
    Source,
    SourceStatistics,
    left_out_of,
    patience_of,
    programs_of,
)
from openstreamer.sources.batches import FrameBatches
from openstreamer.sources.continuity import Continuity
from openstreamer.wire.demuxer import ListedProgram

WAITS_S: Final = (0.0, 0.2, 0.6)  # before each try; three within a second
BUDGET_S: Final = 1.5  # until media comes again: less than the 2 s of silence after which a stream gives up
PATIENCE_S: Final = 5.0  # for what follows a reconnect, until something of it is new
STABLE_S: Final = 10.0  # a connection that was cut again within this ends the source: its consumer decides

S = TypeVar("S", bound=Source)


class ReconnectingSource(Generic[S]):
    """Wraps the sources that ``open_source`` makes, one per connection.

    Only a lost connection (:class:`SourceUnreachable`) that had delivered frames is made again; silence, ends
    and refusals pass through. ``may_reconnect`` can except a source. ``budget_s`` bounds all tries together;
    a new connection that sends media is then waited for until its key frame comes.
    """

    def __init__(
        self,
        open_source: Callable[[], S],
        *,
        budget_s: float = BUDGET_S,
        may_reconnect: Callable[[S], bool] = lambda _source: True,
    ) -> None:
        self._open_source = open_source
        self._budget_s = budget_s
        self._may_reconnect = may_reconnect
        self._source: S | None = None
        self._newest: S = open_source()
        self._finished = SourceStatistics()
        self._continuity = Continuity()
        self._batches = FrameBatches()
        self._tracks_of_source: tuple[Track, ...] = ()
        self._announced: tuple[Track, ...] = ()
        self._connected_at_s = 0.0
        self._failure: SourceError | None = None
        self._own_patience_s = 0.0  # beside that of the source: while a new connection has sent nothing new

    async def __aenter__(self) -> Self:
        await self._connect(self._newest)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._disconnect()

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        while not self._batches:
            if self._failure is not None:
                raise self._failure
            self._put(await self._receive())
        return self._batches.take()

    @property
    def source(self) -> S:
        """The one that is connected, or was last."""
        return self._newest

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far; those of the frames that ``receive`` returned last."""
        return self._batches.tracks or self._newest.tracks

    @property
    def protocol(self) -> str:
        """That of the wrapped source."""
        return self._newest.protocol

    @property
    def statistics(self) -> SourceStatistics:
        """Over all connections; ``reconnects`` counts those after the first."""
        return self._finished if self._source is None else self._finished + self._source.statistics

    @property
    def left_out(self) -> str | None:
        """What the source goes on without."""
        return left_out_of(self._newest)

    @property
    def programs(self) -> tuple[ListedProgram, ...]:
        """Those of the wrapped source."""
        return programs_of(self._newest)

    @property
    def arrived_ns(self) -> int | None:
        """As the wrapped source says."""
        return self._newest.arrived_ns

    @property
    def patience_s(self) -> float:
        """As the wrapped source says, or longer while a new connection has sent nothing new yet."""
        return max(self._own_patience_s, patience_of(self._newest))

    async def _receive(self) -> list[Frame]:
        source = self._source
        assert source is not None, "not entered"
        try:
            return await source.receive()
        except SourceUnreachable as err:
            self._failure = err  # unless a new connection delivers
            if not self._may_try_again(source):
                raise
        except SourceError as err:
            self._failure = err
            raise
        frames = await self._reconnect()
        if frames is None:
            raise self._failure
        self._failure = None
        return frames

    def _may_try_again(self, source: S) -> bool:
        stable = asyncio.get_running_loop().time() - self._connected_at_s >= STABLE_S
        first = not self._finished.reconnects
        return bool(self._announced) and (stable or first) and self._may_reconnect(source)

    async def _reconnect(self) -> list[Frame] | None:
        """The first frames of a new connection, ``None`` when no media comes within the budget."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._budget_s
        for wait_s in WAITS_S:
            await self._disconnect()
            if loop.time() + wait_s >= until_s:
                break
            try:
                async with asyncio.timeout_at(until_s) as budget:
                    await asyncio.sleep(wait_s)
                    await self._connect(self._open_source())
                    frames = await self._first_frames(budget, until_s)
            except (SourceUnreachable, SourceStalled, SourceRejected):
                continue  # a server that restarts answers 404 for a while
            except TimeoutError:
                break
            self._continuity.reconnected()
            self._finished.reconnects += 1
            self._own_patience_s = PATIENCE_S
            return frames
        return None

    async def _first_frames(self, budget: asyncio.Timeout, until_s: float) -> list[Frame]:
        """Those of the connection that was just made; ``budget`` goes on while it sends."""
        source, loop = self._source, asyncio.get_running_loop()
        assert source is not None
        begun_s = loop.time()
        wait = FirstFrameWait(begun_s, source.statistics.received_bytes, least_s=until_s - begun_s)
        looking: asyncio.TimerHandle | None = None

        def look() -> None:
            nonlocal looking
            at_s = wait.next_look_s(loop.time(), source.statistics.received_bytes)
            self._own_patience_s = KEY_FRAME_DEADLINE_S + self._budget_s if wait.extended else 0.0
            budget.reschedule(loop.time() if at_s is None else None)
            looking = loop.call_at(at_s, look) if at_s is not None else None

        look()
        try:
            return await source.receive()
        finally:
            self._own_patience_s = 0.0
            if looking is not None:
                looking.cancel()

    async def _connect(self, source: S) -> None:
        self._newest = source
        await source.__aenter__()
        self._source = source
        self._connected_at_s = asyncio.get_running_loop().time()

    async def _disconnect(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._finished += source.statistics
            await source.__aexit__(None, None, None)

    def _put(self, frames: list[Frame]) -> None:
        tracks = self._newest.tracks
        if tracks is not self._tracks_of_source:
            self._tracks_of_source = tracks
            same = self._continuity.tracks(tracks)
            if same != self._announced:
                self._announced = same
        frames = self._continuity.map(frames, asyncio.get_running_loop().time())
        if frames:
            self._own_patience_s = 0.0
        self._batches.put(frames, self._announced)
