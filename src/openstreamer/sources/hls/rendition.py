"""One media playlist at work: it is loaded again and again, and what it lists is fetched and demuxed.

Two loops: the playlist and the media. Transient trouble is borne here: a failed load until the playlist
counts as stalled, a failed segment a few times over and then it is left out. Anything more ends both with a
typed error.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from openstreamer.config.urls import redact_request_url
from openstreamer.media.errors import (
    RemoteProtocolError,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.sources.hls.decrypt import SegmentDecryptor, iv_of, require_plain_aes
from openstreamer.sources.hls.follow import Fetch, Follower, Period
from openstreamer.sources.hls.segments import SLICE_BYTES, SegmentReader
from openstreamer.sources.hls.web import GONE, AnsweredBadly, HlsWeb, resolve
from openstreamer.wire.m3u8_documents import MediaInitialization, MediaPlaylist
from openstreamer.wire.m3u8_reader import DeltaUnusable

logger = structlog.get_logger(__name__)

ATTEMPTS: Final = 4  # of one segment
FIRST_RETRY_S: Final = 0.2
MOST_RETRY_S: Final = 1.0
LOST_IN_A_ROW: Final = 3  # segments; then the source is given up
BLOCKED_S: Final = 3.0  # how many target durations a blocking request may take longer, 6.2.5.2


class Sink(Protocol):
    """Where frames go."""

    def deliver(self, rendition: int, period: Period, frames: list[Frame]) -> None:
        """Take frames."""
        ...

    def hole(self, rendition: int, hole_s: float) -> None:
        """About ``hole_s`` of media are missing between the frames so far and those that follow."""
        ...

    def segment_ends(self, rendition: int) -> None:
        """A segment or part was fetched as a whole."""
        ...

    def has_room(self, rendition: int, *, for_segment: bool) -> bool:
        """Whether more may come: of this segment, or a whole further one."""
        ...

    async def room(self) -> None:
        """Wait until something was taken away."""
        ...


class Rendition:
    """A playlist and its media. ``index`` names it to the sink; ``url`` is where ``playlist`` came from, and
    ``first_url`` where the search for it began: a redirect's target may expire."""

    def __init__(
        self,
        index: int,
        web: HlsWeb,
        sink: Sink,
        reader: SegmentReader,
        *,
        first_url: str,
        url: str,
        imported: Mapping[str, str],
        follower: Follower,
        clock_s: Callable[[], float],
    ) -> None:
        self.follower = follower
        self.reader = reader
        self.finished = False
        self.last_loss: SourceError | None = None
        self._index = index
        self._web = web
        self._sink = sink
        self._first_url = first_url
        self._url = url
        self._imported = imported
        self._clock_s = clock_s
        self._news = asyncio.Event()
        self._failed_loads = 0
        self._lost_in_a_row = 0
        self._segment_bytes = (-1, 0)  # of the segment with this number, as far as its parts were fetched

    @property
    def lost_packets(self) -> int:
        """What its container counted, and for each segment that was left out the mean of those that came."""
        follower, counted = self.follower, self.reader.statistics
        of_segment = counted.packets // max(1, follower.taken)
        return counted.lost_packets + follower.skipped * max(1, of_segment)

    async def run(self) -> None:
        """Fetch until the playlist ends; raises :class:`SourceError` when it cannot go on."""
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(self._keep_loading(), name="hls/playlist")
            await self._fetch_all()
            loading.cancel()
        self.finished = True

    # ------------------------------------------------------------------ the playlist

    async def _keep_loading(self) -> None:
        follower = self.follower
        while not follower.ended:
            await asyncio.sleep(max(0.0, follower.reload_s - self._clock_s()))
            try:
                await self._load()
            except DeltaUnusable:
                follower.refused(self._clock_s())
            except (SourceError, RemoteProtocolError) as err:
                await self._bear(err)
            else:
                self._failed_loads = 0
                self._news.set()
                self._check_progress()

    def _check_progress(self) -> None:
        waited_s = self._clock_s() - self.follower.changed_s
        if not self.follower.ended and self._clock_s() > self.follower.stale_s:
            raise SourceStalled(f"hls: {redact_request_url(self._url)}: nothing new for {waited_s:.1f} s")

    async def _load(self) -> None:
        follower = self.follower
        requested_s = self._clock_s()
        directives = follower.directives(requested_s)
        wait_s = BLOCKED_S * follower.target_s if "_HLS_msn" in directives else 0.0
        found, self._url = await self._web.playlist(
            self._url,
            directives=directives,
            imported=self._imported,
            previous=follower.playlist if "_HLS_skip" in directives else None,
            wait_s=wait_s,
        )
        if not isinstance(found, MediaPlaylist):
            raise RemoteProtocolError("the media playlist became a multivariant playlist")
        follower.loaded(found, requested_s, self._clock_s())

    async def _bear(self, err: SourceError | RemoteProtocolError) -> None:
        """A load failed: go on trying for as long as a playlist may stay unchanged."""
        now_s = self._clock_s()
        if now_s >= self.follower.stale_s:
            if isinstance(err, SourceError):
                raise err
            raise SourceUnreachable(f"hls: {redact_request_url(self._url)}: {err}") from err
        self._url = self._first_url
        self.follower.refused(now_s)
        logger.info("hls_playlist_failed", error=str(err))
        await asyncio.sleep(min(MOST_RETRY_S, FIRST_RETRY_S * 2**self._failed_loads))
        self._failed_loads += 1

    # ------------------------------------------------------------------ the media

    async def _fetch_all(self) -> None:
        while True:
            fetch = self.follower.peek()
            if fetch is None:
                if self.follower.ended:
                    break
                self._news.clear()
                await self._news.wait()
                continue
            while not self._sink.has_room(self._index, for_segment=True):
                await self._sink.room()
            await self._fetch(fetch)
        self._deliver(self.reader.end())

    async def _fetch(self, fetch: Fetch) -> None:
        """Fetch one segment or part, with retries; afterwards the follower has moved on."""
        progress = _Progress(self._known_bytes(fetch) if fetch.rest else 0)
        for attempt in range(ATTEMPTS):
            try:
                await self._fetch_once(fetch, progress)
            except RemoteProtocolError as err:
                self._lose(fetch, progress, SourceUnreachable(f"hls: {redact_request_url(fetch.uri)}: {err}"))
                return
            except SourceRejected:
                raise
            except SourceError as err:
                if fetch.hinted:
                    self._hint_failed(fetch, progress, err)
                    return
                if attempt == ATTEMPTS - 1 or self._is_gone(fetch, err):
                    self._lose(fetch, progress, err)
                    return
                await asyncio.sleep(min(MOST_RETRY_S, FIRST_RETRY_S * 2**attempt))
            else:
                self._complete(fetch, progress)
                return

    def _is_gone(self, fetch: Fetch, err: SourceError) -> bool:
        """Whether it is of no use to ask again: a segment that is listed may still be on its way to the edge
        of a network."""
        gone = isinstance(err, AnsweredBadly) and err.status in GONE
        return fetch.msn < self.follower.listed_from or (gone and self.follower.ended)

    def _complete(self, fetch: Fetch, progress: "_Progress") -> None:
        self._lost_in_a_row = 0
        if fetch.part is not None:
            self._segment_bytes = (fetch.msn, self._known_bytes(fetch) + progress.fed_bytes)
        self.follower.done(fetch)
        self._sink.segment_ends(self._index)

    def _hint_failed(self, fetch: Fetch, progress: "_Progress", err: SourceError) -> None:
        if progress.fed_bytes:
            self._lose(fetch, progress, err)
        else:
            self.follower.hint_failed(fetch)

    def _known_bytes(self, fetch: Fetch) -> int:
        """How much of the segment came as parts before."""
        msn, size = self._segment_bytes
        return size if fetch.msn == msn and (fetch.rest or fetch.part) else 0

    def _lose(self, fetch: Fetch, progress: "_Progress", err: SourceError) -> None:
        """Leave a segment out."""
        self._lost_in_a_row += 1
        self.last_loss = err
        logger.info("hls_segment_lost", sequence=fetch.msn, error=str(err))
        if self._lost_in_a_row >= LOST_IN_A_ROW:
            raise SourceUnreachable(f"{err}; so {self._lost_in_a_row} in a row are lost") from err
        if progress.fed_bytes:
            self._deliver(self.reader.end())
        self.follower.skip(fetch)

    async def _fetch_once(self, fetch: Fetch, progress: "_Progress") -> None:
        if not progress.begun:
            await self._begin(fetch, progress)
        url = resolve(self._url, fetch.uri)
        wait_s = BLOCKED_S * self.follower.target_s if fetch.hinted else 0.0
        skip_bytes = progress.fed_bytes  # what came before the connection broke, or as parts
        async with self._web.media(url, fetch.byte_range, "a segment", wait_s=wait_s) as pieces:
            async for piece in pieces:
                if skip_bytes:
                    dropped = min(skip_bytes, len(piece))
                    skip_bytes -= dropped
                    piece = piece[dropped:]
                await self._feed(piece, progress)
        if progress.decryptor is not None:
            await self._demux(progress.decryptor.finish())

    async def _begin(self, fetch: Fetch, progress: "_Progress") -> None:
        initialization = await self._initialization(fetch.initialization)
        progress.decryptor = await self._decryptor(fetch)
        if fetch.period != self.reader.period:
            self._deliver(self.reader.end())
        if fetch.hole_s:
            self._sink.hole(self._index, fetch.hole_s)
        self.reader.begin_segment(fetch.period, initialization)
        progress.begun = True

    async def _feed(self, piece: bytes, progress: "_Progress") -> None:
        progress.fed_bytes += len(piece)
        await self._demux(piece if progress.decryptor is None else progress.decryptor.update(piece))
        while not self._sink.has_room(self._index, for_segment=False):
            await self._sink.room()

    async def _demux(self, data: bytes) -> None:
        """Demux in slices, and let the others have their turn between them."""
        for at in range(0, len(data), SLICE_BYTES):
            self._deliver(self.reader.feed(data[at : at + SLICE_BYTES]))
            await asyncio.sleep(0)

    def _deliver(self, frames: list[Frame]) -> None:
        if frames:
            assert self.reader.period is not None
            self._sink.deliver(self._index, self.reader.period, frames)

    async def _initialization(self, wanted: MediaInitialization | None) -> bytes:
        if wanted is None:
            return b""
        if wanted.key is not None:
            require_plain_aes(wanted.key)
        found = await self._web.initialization(resolve(self._url, wanted.uri), wanted.byte_range)
        if wanted.key is None or wanted.key.iv is None:
            return found  # section 4.4.4.5: an encrypted one needs an IV of its own
        key = await self._web.key(resolve(self._url, wanted.key.uri))
        decryptor = SegmentDecryptor(key, wanted.key.iv)
        return decryptor.update(found) + decryptor.finish()

    async def _decryptor(self, fetch: Fetch) -> SegmentDecryptor | None:
        if fetch.key is None:
            return None
        require_plain_aes(fetch.key)
        key = await self._web.key(resolve(self._url, fetch.key.uri))
        return SegmentDecryptor(key, iv_of(fetch.key, fetch.msn))


class _Progress:
    """How far a segment came, over its attempts."""

    __slots__ = ("begun", "decryptor", "fed_bytes")

    def __init__(self, fed_bytes: int) -> None:
        self.begun = False
        self.fed_bytes = fed_bytes
        self.decryptor: SegmentDecryptor | None = None
