"""An RTMP publisher for tests and benchmarks: real TCP or TLS, frames in, nothing decoded.

It publishes every codec we carry, Enhanced RTMP included, which the FFmpeg of Debian 12 cannot.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.flv import FlvEncoder, FlvTag, metadata_of
from openstreamer.wire.rtmp import (
    CallFailed,
    ConnectAnswered,
    ConnectionEnded,
    HandshakeCompleted,
    RtmpClient,
    RtmpEvent,
    StatusReceived,
    StreamCreated,
)

READ_BYTES = 64 << 10

E = TypeVar("E", bound=RtmpEvent)


class PublishRejected(Exception):  # noqa: N818 - it says what happened
    """The server refused or ended the publication."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class RtmpPublisher:
    """One publication. ``async with`` connects and publishes; leaving it finishes properly.

    Raises:
        PublishRejected: from ``__aenter__``, and from ``send`` once the server ended the publication.
        ConnectionError: the server closed the connection without a word.
    """

    def __init__(
        self,
        host: str,
        port: int,
        name: str,
        *,
        app: str = "live",
        ssl_context: ssl.SSLContext | None = None,
        client: RtmpClient | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._app = app
        self._name = name
        self._ssl_context = ssl_context
        self._client = client or RtmpClient()
        self._stream_id = 0
        self._waiting: list[RtmpEvent] = []
        self._aborted = False

    async def __aenter__(self) -> Self:
        host_name = "localhost" if self._ssl_context is not None else None
        self._reader, self._writer = await asyncio.open_connection(
            self._host, self._port, ssl=self._ssl_context, server_hostname=host_name
        )
        try:
            await self._publish()
        except BaseException:
            self.abort()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._aborted:
            return
        if exc_type is not None:
            self.abort()
            return
        self._client.send_close(self._stream_id)
        await self._flush()
        self._writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # the server had closed, or sent more
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Vanish without finishing."""
        self._aborted = True
        self._writer.transport.abort()

    async def send(self, frames: Iterable[Frame]) -> None:
        """Publish ``frames`` as fast as the server takes them."""
        frames = list(frames)
        self._send_metadata(frames)
        await self.send_tags(tags_of(frames))

    async def send_tags(self, tags: Sequence[FlvTag], *, add_ms: int = 0, batch: int = 64) -> None:
        """Publish encoded tags, their times moved by ``add_ms``."""
        for start in range(0, len(tags), batch):
            for tag in tags[start : start + batch]:
                self._client.send_media(self._stream_id, tag.is_video, tag.timestamp_ms + add_ms, tag.payload)
            await self._flush()

    async def replay(self, frames: Sequence[Frame], *, duration_s: float) -> None:
        """Publish ``frames`` in real time, over and over, for ``duration_s``."""
        self._send_metadata(frames)
        tags = tags_of(frames)
        loop_ms = tags[-1].timestamp_ms - tags[0].timestamp_ms + 33
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        add_ms = -tags[0].timestamp_ms
        while True:
            for tag in tags:
                due_s = (tag.timestamp_ms + add_ms) / 1000
                if due_s > duration_s:
                    return
                wait_s = started_s + due_s - loop.time()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                self._client.send_media(self._stream_id, tag.is_video, tag.timestamp_ms + add_ms, tag.payload)
                await self._flush()
            add_ms += loop_ms

    async def wait_for_end(self) -> None:
        """Until the server ends the publication; raises what it says."""
        while True:
            await self._next_event()

    def _send_metadata(self, frames: Sequence[Frame]) -> None:
        tracks: dict[int, Track] = {}
        for frame in frames:
            tracks.setdefault(frame.track.id, frame.track)
        self._client.send_metadata(self._stream_id, metadata_of(tracks.values()))

    async def _publish(self) -> None:
        await self._expect(HandshakeCompleted)
        self._client.send_connect(self._app, f"rtmp://{self._host}:{self._port}/{self._app}")
        answer = await self._expect(ConnectAnswered)
        if not answer.accepted:
            raise PublishRejected(answer.code, answer.description)
        self._client.send_create_stream(publish_name=self._name)
        self._stream_id = (await self._expect(StreamCreated)).stream_id
        self._client.send_publish(self._stream_id, self._name)
        await self._expect(StatusReceived)

    async def _expect(self, kind: type[E]) -> E:
        while True:
            event = await self._next_event()
            if isinstance(event, kind):
                return event

    async def _next_event(self) -> RtmpEvent:
        await self._flush()
        while not self._waiting:
            data = await self._reader.read(READ_BYTES)
            if data:
                self._client.receive_data(data)
            else:
                self._client.receive_eof()
            self._waiting += self._client.events()
        event = self._waiting.pop(0)
        match event:
            case StatusReceived(level="error"):
                raise PublishRejected(event.code, event.description)
            case ConnectionEnded():
                raise ConnectionError("the server closed the connection")
            case CallFailed():
                pass  # releaseStream and FCPublish may fail
        return event

    async def _flush(self) -> None:
        data = self._client.data_to_send()
        if data:
            self._writer.write(data)
            await self._writer.drain()


def tags_of(frames: Iterable[Frame]) -> list[FlvTag]:
    """``frames`` encoded once, to be sent many times."""
    encoder = FlvEncoder()
    return [tag for frame in frames for tag in encoder.encode(frame)]
