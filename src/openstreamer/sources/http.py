"""Media over HTTP: MPEG-TS, FLV, fragmented MP4 and plain audio, recognised by their first bytes.

A URL that turns out to be a playlist is handed over to the source of playlists. A body with a length is a
file: it is paced in real time, continued where its connection breaks, and its end is an end. One without is
live, and flows as it comes; should it get further ahead of real time than a server's buffer explains, it is a
file all the same, and waits: it is not read, which slows the server down.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from openstreamer.config.models import Input
from openstreamer.media.errors import (
    RemoteProtocolError,
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame, held_bytes
from openstreamer.media.track import Track
from openstreamer.sources.base import Source, SourceStatistics, left_out_of, patience_of
from openstreamer.sources.batches import FrameBatches
from openstreamer.sources.http_body import HttpBody
from openstreamer.sources.http_client import HttpClient, HttpOptions, input_url
from openstreamer.sources.outbound import Outbound
from openstreamer.sources.pacing import LivePacer, Pacer
from openstreamer.sources.sniff import Container, demuxer_of, sniff
from openstreamer.wire.demuxer import Demuxer, ListedProgram, programs_in

PLAYLIST_TYPES: Final = frozenset(
    {"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"}
)
LEAD_S: Final = 1.0  # of a file, sent at once: what the network may owe for a moment


class HttpSource:
    """A :class:`~openstreamer.sources.base.Source` over one HTTP response.

    ``open_playlist`` makes the source of an HLS playlist; without it playlists are refused.
    """

    def __init__(
        self, outbound: Outbound, chosen: Input, open_playlist: Callable[[Input], Source] | None = None
    ) -> None:
        self._outbound = outbound
        self._chosen = chosen
        self._open_playlist = open_playlist
        self._stack = AsyncExitStack()
        self._playlist: Source | None = None
        self._body: HttpBody | None = None
        self._demuxer: Demuxer | None = None
        self._first_piece = b""
        self._batches = FrameBatches()
        self._held: deque[Frame] = deque()  # until they are due
        self._held_tracks: tuple[Track, ...] = ()
        self._pacer: Pacer | LivePacer = LivePacer()
        self._arrived_ns: int | None = None
        self._failure: SourceError | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        if self._playlist is not None:
            return await self._playlist.receive()
        while True:
            if self._batches:
                return self._batches.take()
            if self._held:
                await self._wait_until_due()
            elif self._failure is not None:
                raise self._failure
            else:
                await self._read()

    @property
    def is_playlist(self) -> bool:
        """Whether the source of playlists has taken over."""
        return self._playlist is not None

    @property
    def is_file(self) -> bool:
        """Whether the body has a length: it is not to be begun again where it breaks."""
        return not isinstance(self._pacer, LivePacer)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far; those of the frames that ``receive`` returned last."""
        if self._playlist is not None:
            return self._playlist.tracks
        return self._batches.tracks

    @property
    def protocol(self) -> str:
        """``http`` or ``https``; that of playlists when it is one."""
        if self._playlist is not None:
            return self._playlist.protocol
        return self._chosen.url.partition(":")[0].lower()

    @property
    def statistics(self) -> SourceStatistics:
        """``received_packets`` counts those of the container: TS packets, FLV tags, fragments."""
        if self._playlist is not None:
            return self._playlist.statistics
        if self._body is None or self._demuxer is None:
            return SourceStatistics()
        counted = self._demuxer.statistics
        return SourceStatistics(
            received_bytes=self._body.received_bytes,
            received_packets=counted.packets,
            lost_packets=counted.lost_packets,
            dropped_frames=counted.dropped_frames,
            reconnects=self._body.resumptions,
            malformed=counted.malformed,
        )

    @property
    def left_out(self) -> str | None:
        """In words, what is sent and the stream goes without."""
        return left_out_of(self._demuxer)

    @property
    def programs(self) -> tuple[ListedProgram, ...]:
        """Those of a transport stream."""
        return programs_in(self._demuxer)

    @property
    def arrived_ns(self) -> int | None:
        """When the newest bytes of the last batch arrived; not known of what had to wait."""
        if self._playlist is not None:
            return self._playlist.arrived_ns
        return self._arrived_ns

    @property
    def patience_s(self) -> float:
        """That of playlists when it is one."""
        return 0.0 if self._playlist is None else patience_of(self._playlist)

    @property
    def buffered_bytes(self) -> int:
        """Received, and not taken by whoever reads this source."""
        waiting = self._body.response.connection.queued_bytes if self._body is not None else 0
        return waiting + held_bytes(self._held)

    @property
    def paused(self) -> bool:
        """Whether the server is being slowed down."""
        return self._body is not None and self._body.response.connection.paused

    # ------------------------------------------------------------------ opening

    async def _open(self) -> None:
        client = HttpClient(self._outbound, HttpOptions.of(self._chosen))
        await self._stack.enter_async_context(client)
        body = await self._stack.enter_async_context(HttpBody(client, input_url(self._chosen)))
        body.response.require_success()
        head, container = await self._recognise(body)
        if container is Container.PLAYLIST:
            await self._hand_over()
            return
        body.response.require_plain()
        self._body, self._first_piece = body, head
        chosen = self._chosen
        self._demuxer = demuxer_of(container, program=chosen.program, pids=chosen.pids)
        if body.response.content_length is None:
            body.response.follow_rate()
        else:
            self._pacer = Pacer()

    async def _recognise(self, body: HttpBody) -> tuple[bytes, Container]:
        """The first bytes, and what they are."""
        head, response = b"", body.response
        limit_s = HttpOptions.of(self._chosen).timeout_s
        if response.content_type not in PLAYLIST_TYPES:
            response.require_plain()
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    piece = await body.chunk()
                    head += piece
                    container = sniff(head, response.content_type, at_end=not piece)
                    if container is not None:
                        return head, container
        except TimeoutError as err:
            raise SourceStalled(f"http: connected, but no media within {limit_s:g} s") from err

    async def _hand_over(self) -> None:
        if self._open_playlist is None:
            raise SourceRejected("http: HLS playlists are not supported by this version")
        await self._stack.aclose()
        playlist = self._open_playlist(self._chosen)
        await self._stack.enter_async_context(playlist)
        self._playlist = playlist

    # ------------------------------------------------------------------ reading

    async def _read(self) -> None:
        """Take what arrived through the demuxer, or learn that there is no more."""
        assert self._body is not None
        piece = self._first_piece
        if piece:
            self._first_piece = b""
        else:
            try:
                connection = self._body.response.connection
                if connection.paused and isinstance(self._pacer, LivePacer):
                    self._pacer.pushed(asyncio.get_running_loop().time())
                if connection.queued_bytes:
                    await asyncio.sleep(0)  # it sends faster than it is read: the others have their turn
                piece = await self._body.chunk()
            except SourceError as err:
                self._failure = err
                self._put(self._remaining_frames())
                return
        if piece:
            self._arrived_ns = None if self.is_file else time.monotonic_ns()
            self._demux(piece)
        else:
            frames = self._remaining_frames()
            if self._failure is None:
                self._failure = self._end()
            self._put(frames)

    def _demux(self, piece: bytes) -> None:
        assert self._demuxer is not None
        try:
            frames = self._demuxer.receive_data(piece)
        except SourceRejected as err:
            self._failure = err
        except RemoteProtocolError as err:
            begun = bool(self._batches.tracks)
            kind = SourceUnreachable if begun else SourceRejected
            self._failure = kind(f"http: {err}")
        else:
            self._put(frames)

    def _remaining_frames(self) -> list[Frame]:
        """What the end completes. A body in which there was nothing says so."""
        assert self._demuxer is not None
        try:
            return self._demuxer.receive_eof()
        except (SourceRejected, RemoteProtocolError) as err:
            if self._failure is None:
                self._failure = SourceRejected(f"http: {err}")
            return []

    def _end(self) -> SourceError:
        assert self._body is not None
        if self._body.response.complete:
            return SourceEnded("http: the server says that the stream is over")
        return SourceUnreachable("http: the server closed the connection")

    def _put(self, frames: list[Frame]) -> None:
        if not frames:
            return
        assert self._demuxer is not None
        now_s = asyncio.get_running_loop().time()
        if not self._batches.tracks:
            self._pacer.start(frames[0].dts_90k, now_s - (LEAD_S if self.is_file else 0.0))
        self._held += frames
        self._held_tracks = self._demuxer.tracks
        self._release(now_s)
        if isinstance(self._pacer, LivePacer):
            self._pacer.follow(self._held, now_s)

    def _release(self, now_s: float) -> None:
        due = self._pacer.take(self._held, now_s)
        if due:
            self._batches.put(due, self._held_tracks)

    async def _wait_until_due(self) -> None:
        self._arrived_ns = None
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._pacer.wait_s(self._held, loop.time()))
        self._release(loop.time())
