"""A source that bears a cut connection: it connects again at once, and its consumer sees a short gap."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from openstreamer.media.errors import SourceError, SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import Source, SourceStatistics, patience_of, programs_of
from openstreamer.sources.batches import FrameBatches
from openstreamer.sources.continuity import Continuity
from openstreamer.wire.demuxer import ListedProgram

WAITS_S: Final = (0.0, 0.2, 0.6)  # before each try; three within a second
BUDGET_S: Final = 1.5  # for all tries together: less than the 2 s of silence after which a stream gives up
STABLE_S: Final = 10.0  # a connection that was cut again within this ends the source: its consumer decides

S = TypeVar("S", bound=Source)


class ReconnectingSource(Generic[S]):
    """Wraps the sources that ``open_source`` makes, one per connection.

    Only a lost connection (:class:`SourceUnreachable`) that had delivered frames is made again; silence, ends
    and refusals pass through. ``may_reconnect`` can except a source. ``budget_s`` bounds all tries together.
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
    def programs(self) -> tuple[ListedProgram, ...]:
        """Those of the wrapped source."""
        return programs_of(self._newest)

    @property
    def arrived_ns(self) -> int | None:
        """As the wrapped source says."""
        return self._newest.arrived_ns

    @property
    def patience_s(self) -> float:
        """As the wrapped source says."""
        return patience_of(self._newest)

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
        """The first frames of a new connection, ``None`` when there is none within the budget."""
        try:
            async with asyncio.timeout(self._budget_s):
                for wait_s in WAITS_S:
                    await self._disconnect()
                    await asyncio.sleep(wait_s)
                    try:
                        await self._connect(self._open_source())
                        assert self._source is not None
                        frames = await self._source.receive()
                    except (SourceUnreachable, SourceStalled, SourceRejected):
                        continue  # a server that restarts answers 404 for a while
                    self._continuity.reconnected()
                    self._finished.reconnects += 1
                    return frames
        except TimeoutError:
            pass
        return None

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
        self._batches.put(self._continuity.map(frames, asyncio.get_running_loop().time()), self._announced)
