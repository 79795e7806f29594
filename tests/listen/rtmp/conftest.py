"""A listener with a real publish point behind it, and a stream that records what it reads."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from openstreamer.listen.rtmp import RtmpListener, RtmpListenerLimits
from openstreamer.media.errors import SourceError
from openstreamer.media.frame import Frame
from openstreamer.stream.publish import (
    PublishPoint,
    PublishRefusal,
    PublishRefused,
    PublishRequest,
    PublishSlot,
)
from openstreamer.stream.tasks import cancel_and_wait, spawn
from openstreamer.wire.rtmp import RtmpClient
from tests.support.rtmp_publisher import RtmpPublisher


@dataclass
class RecordingStream:
    """The stream ``news``: reads one publisher after the other."""

    point: PublishPoint = field(default_factory=lambda: PublishPoint("news", stream_key=None))
    requests: list[PublishRequest] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    ends: list[SourceError] = field(default_factory=list)
    reading: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reading.set()

    def offer(self, request: PublishRequest) -> PublishSlot:
        self.requests.append(request)
        if "news" not in request.codes:
            raise PublishRefused(PublishRefusal.UNKNOWN_STREAM, f"there is no stream {request.codes[0]}")
        return self.point.offer(request)

    async def run(self) -> None:
        while True:
            slot, source = await self.point.next_source()
            try:
                async with source:
                    while True:
                        await self.reading.wait()
                        self.frames += await source.receive()
            except SourceError as err:
                self.ends.append(err)
            finally:
                slot.finish()


@dataclass
class Server:
    """A listener on a free port of the loopback interface."""

    listener: RtmpListener
    stream: RecordingStream

    @property
    def port(self) -> int:
        return int(self.listener.bound.rpartition(":")[2])

    def publisher(
        self, name: str = "news", *, app: str = "live", client: RtmpClient | None = None
    ) -> RtmpPublisher:
        return RtmpPublisher("127.0.0.1", self.port, name, app=app, client=client)


MakeServer = Callable[..., Awaitable[Server]]


@asynccontextmanager
async def serving(
    limits: RtmpListenerLimits | None = None,
    *,
    stream_key: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    """A server while the block runs."""
    stream = RecordingStream(PublishPoint("news", stream_key=stream_key))
    reader = spawn(stream.run(), name="recording stream")
    try:
        async with RtmpListener("127.0.0.1", 0, stream.offer, limits, ssl_context=ssl_context) as listener:
            yield Server(listener, stream)
    finally:
        await cancel_and_wait([reader])


@pytest.fixture
async def make_server() -> AsyncIterator[MakeServer]:
    async with AsyncExitStack() as stack:

        async def make(limits: RtmpListenerLimits | None = None, *, stream_key: str | None = None) -> Server:
            return await stack.enter_async_context(serving(limits, stream_key=stream_key))

        yield make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-keyout", str(key), "-out", str(cert), "-days", "1", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key
