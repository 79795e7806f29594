"""An RTMP publisher as a source.

The connection that carries it pushes messages in; a stream pulls frames out. The queue between them is
bounded: when it is full the connection is not read any more, so that TCP slows the publisher down. Of what it
reads a connection takes as many messages as a turn of the loop allows, and the rest in the next turns.
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Protocol, Self

from openstreamer.media.errors import RemoteProtocolError, SourceError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.batches import FrameQueue, QueueLimits
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.flv import FlvDecoder
from openstreamer.wire.rtmp import MediaReceived
from openstreamer.wire.rtmp.connection import RtmpConnection

MESSAGES_AT_ONCE: Final = 16  # between two looks at the clock; each takes ten microseconds, a few a hundred
TURN_S: Final = 0.002  # for one connection: 64 kB of messages of two bytes take a hundred milliseconds


def take_for_a_turn(
    machine: RtmpConnection,
    data: bytes,
    handle: Callable[[RemoteProtocolError | None], None],
    can_go_on: Callable[[], bool],
) -> RemoteProtocolError | None:
    """Feed ``data``, and take messages of it and of what was fed before: all of them, or as many as the time
    of a turn of the loop and ``can_go_on`` allow; ``machine.has_more`` says which. ``handle`` takes the
    events of some messages, and what was wrong behind them; that is returned as well, and is the end."""
    until_s = 0.0
    while True:
        problem: RemoteProtocolError | None = None
        try:
            machine.receive_data(data, MESSAGES_AT_ONCE)
        except RemoteProtocolError as err:
            problem = err
        handle(problem)
        if not machine.has_more or not can_go_on():
            return problem
        now_s = time.monotonic()  # the loop's own clock stands still during a turn
        until_s = until_s or now_s + TURN_S
        if now_s >= until_s:
            return None
        data = b""


class PublisherConnection(Protocol):
    """What the source needs of the connection that feeds it."""

    def pause_publisher(self) -> None:
        """Take no more data from the network."""
        ...

    def resume_publisher(self) -> None:
        """Go on taking data."""
        ...


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
        self._connection = connection
        self._decoder = decoder or FlvDecoder()
        self._protocol = protocol
        self._queue = FrameQueue(limits or QueueLimits())
        self._paused = False
        self._statistics = SourceStatistics()

    # ------------------------------------------------------------------ the stream's end

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Nobody reads any more. The connection is closed by the listener that owns it."""
        self._queue.clear()
        self.end(SourceError("rtmp: the stream stopped reading this publisher"))

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        queue = self._queue
        frames = await queue.receive()
        if self._paused and not queue.is_full:
            self._paused = False
            self._connection.resume_publisher()
        return frames

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first; those of the frames that ``receive`` returned last."""
        return self._queue.tracks or self._decoder.tracks

    @property
    def left_out(self) -> str | None:
        """In words, what the publisher sends and the stream goes without."""
        return self._decoder.left_out

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
        return self._queue.arrived_ns

    # ------------------------------------------------------------------ the connection's end

    @property
    def failure(self) -> SourceError | None:
        """Why there is no more, once there is no more."""
        return self._queue.failure

    @property
    def queued_bytes(self) -> int:
        """Memory of what waits for the stream."""
        return self._queue.queued_bytes

    def feed_metadata(self, values: Mapping[str, AmfValue]) -> None:
        """``onMetaData`` arrived."""
        if self._queue.failure is None:
            self._put(self._decoder.metadata(values))

    def feed_media(self, message: MediaReceived) -> None:
        """An audio or video message arrived."""
        if self._queue.failure is not None:
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
            self._queue.fail(err)
            return
        if frames:
            self._put(frames)

    def end(self, reason: SourceError) -> None:
        """There is no more: ``receive`` raises ``reason`` once the queue is empty. Only the first counts."""
        if self._queue.failure is not None:
            return
        try:
            self._put(self._decoder.end())
        except SourceRejected as err:
            reason = err
        self._queue.fail(reason)

    def _put(self, frames: list[Frame]) -> None:
        self._queue.put(frames, self._decoder.tracks, time.monotonic_ns())
        if self._queue.is_full and not self._paused:
            self._paused = True
            self._connection.pause_publisher()
