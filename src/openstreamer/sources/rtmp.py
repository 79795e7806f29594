"""An RTMP publisher as a source.

The connection that carries it pushes messages in; a stream pulls frames out. The queue between them is
bounded: when it is full the connection is not read any more, so that TCP slows the publisher down.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import SourceError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.batches import FrameBatches
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.flv import FlvDecoder
from openstreamer.wire.rtmp import MediaReceived


class PublisherConnection(Protocol):
    """What the source needs of the connection that feeds it."""

    def pause_publisher(self) -> None:
        """Take no more data from the network."""
        ...

    def resume_publisher(self) -> None:
        """Go on taking data."""
        ...


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """What may wait for the stream before the publisher is slowed down."""

    max_queued_bytes: int = 4 << 20
    max_queued_s: float = 2.0  # of media time, per the decoding times of the frames


class RtmpPublishSource:
    """A :class:`~openstreamer.sources.base.Source` with a second end, for the connection.

    The connection calls ``feed_metadata`` and ``feed_media`` as messages arrive, and ``end`` once, with the
    error that ``receive`` raises after the last frame: ``SourceEnded`` when the publisher finished,
    ``SourceUnreachable`` when the connection broke. Media that cannot be carried ends it by itself.
    """

    def __init__(
        self,
        connection: PublisherConnection,
        *,
        decoder: FlvDecoder | None = None,
        limits: QueueLimits | None = None,
        protocol: str = "rtmp",
    ) -> None:
        limits = limits or QueueLimits()
        self._connection = connection
        self._decoder = decoder or FlvDecoder()
        self._max_queued_bytes = limits.max_queued_bytes
        self._max_queued_90k = int(limits.max_queued_s * TICKS_PER_SECOND)
        self._protocol = protocol
        self._batches = FrameBatches()
        self._queued_bytes = 0
        self._queued_since_ns: int | None = None
        self._arrived_ns: int | None = None
        self._paused = False
        self._failure: SourceError | None = None
        self._arrival: asyncio.Future[None] | None = None  # what receive waits for
        self._statistics = SourceStatistics()

    # ------------------------------------------------------------------ the stream's end

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Nobody reads any more. The connection is closed by the listener that owns it."""
        self._batches.clear()
        self.end(SourceError("rtmp: the stream stopped reading this publisher"))

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        while not self._batches:
            if self._failure is not None:
                raise self._failure
            # A future, not an Event: this runs for every picture of every stream.
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        frames = self._batches.take()
        self._arrived_ns = self._queued_since_ns
        if self._batches:
            self._queued_bytes = sum(len(frame.payload) for frame in self._batches.queued)
            return frames
        self._queued_bytes = 0
        self._queued_since_ns = None
        if self._paused:
            self._paused = False
            self._connection.resume_publisher()
        return frames

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first; those of the frames that ``receive`` returned last."""
        return self._batches.tracks or self._decoder.tracks

    @property
    def protocol(self) -> str:
        """``rtmp`` or ``rtmps``."""
        return self._protocol

    @property
    def statistics(self) -> SourceStatistics:
        """``received_packets`` counts audio and video messages, ``received_bytes`` their payload."""
        decoded = self._decoder.statistics
        self._statistics.dropped_frames = decoded.dropped_frames
        self._statistics.malformed = decoded.malformed
        return self._statistics

    @property
    def arrived_ns(self) -> int | None:
        """When the oldest frame of the last batch was complete."""
        return self._arrived_ns

    # ------------------------------------------------------------------ the connection's end

    @property
    def failure(self) -> SourceError | None:
        """Why there is no more, once there is no more."""
        return self._failure

    @property
    def queued_bytes(self) -> int:
        """Payload that waits for the stream."""
        return self._queued_bytes

    def feed_metadata(self, values: Mapping[str, AmfValue]) -> None:
        """``onMetaData`` arrived."""
        if self._failure is None:
            self._queue(self._decoder.metadata(values))

    def feed_media(self, message: MediaReceived) -> None:
        """An audio or video message arrived."""
        if self._failure is not None:
            return
        payload = message.payload
        statistics = self._statistics
        statistics.received_packets += 1
        statistics.received_bytes += len(payload)
        decoder = self._decoder
        try:
            if message.is_video:
                frames = decoder.video(message.timestamp_ms, payload)
            else:
                frames = decoder.audio(message.timestamp_ms, payload)
        except SourceRejected as err:
            self._fail(err)
            return
        if frames:
            self._queue(frames)

    def end(self, reason: SourceError) -> None:
        """There is no more: ``receive`` raises ``reason`` once the queue is empty. Only the first counts."""
        if self._failure is None:
            self._queue(self._decoder.end())
            self._fail(reason)

    def _queue(self, frames: list[Frame]) -> None:
        self._batches.put(frames, self._decoder.tracks)
        for frame in frames:
            self._queued_bytes += len(frame.payload)
        queued = self._batches.queued
        if not queued:
            return
        if self._queued_since_ns is None:
            self._queued_since_ns = time.monotonic_ns()
        self._wake()
        full = (
            self._queued_bytes > self._max_queued_bytes
            or queued[-1].dts_90k - queued[0].dts_90k > self._max_queued_90k
        )
        if full and not self._paused:
            self._paused = True
            self._connection.pause_publisher()

    def _fail(self, reason: SourceError) -> None:
        self._failure = reason
        self._wake()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
