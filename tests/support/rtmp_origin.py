"""An RTMP server that plays a clip to whoever asks: what a pulled input connects to in tests."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from openstreamer.media.frame import Frame
from openstreamer.wire.flv import metadata_of
from openstreamer.wire.rtmp import ConnectRequested, PlayRequested, RtmpServer
from tests.support.beside import end
from tests.support.raw_peer import port_of, raw_server
from tests.support.rtmp_publisher import tags_of

READ_BYTES = 64 << 10


@dataclass
class Player:
    """One client that asked to play."""

    machine: RtmpServer
    request: PlayRequested
    connect: ConnectRequested
    writer: asyncio.StreamWriter

    async def accept(self) -> None:
        self.machine.accept_play(self.request.stream_id)
        await self.flush()

    async def refuse(self, code: str, description: str = "") -> None:
        self.machine.reject_play(self.request.stream_id, code, description)
        await self.flush()

    async def end(self) -> None:
        self.machine.end_play(self.request.stream_id)
        await self.flush()

    async def play(self, frames: tuple[Frame, ...], *, speed: float = 1, start_ms: int = 0) -> None:
        """The clip over and over, at a multiple of real time or (0) as fast as the client takes it; the
        clock begins at ``start_ms``."""
        self.machine.send_metadata(self.request.stream_id, 0, metadata_of({f.track for f in frames}))
        tags = tags_of(frames)
        loop = asyncio.get_running_loop()
        started_s, add_ms = loop.time(), start_ms
        while True:
            for tag in tags:
                if speed:
                    due_s = started_s + (tag.timestamp_ms + add_ms - start_ms) / 1000 / speed
                    await asyncio.sleep(max(0.0, due_s - loop.time()))
                time_ms = tag.timestamp_ms + add_ms
                self.machine.send_media(self.request.stream_id, tag.is_video, time_ms, tag.payload)
                await self.flush()
            add_ms += tags[-1].timestamp_ms + 33

    async def flush(self) -> None:
        self.writer.write(self.machine.data_to_send())
        await self.writer.drain()


Script: TypeAlias = Callable[[Player], Awaitable[None]]


@dataclass
class RtmpOrigin:
    """A running server; every player is served by ``script``."""

    script: Script
    machine: Callable[[], RtmpServer] = RtmpServer
    port: int = 0
    players: list[Player] = field(default_factory=list)
    serving: list["asyncio.Task[None]"] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def fall_silent(self) -> None:
        """Send nothing more, but stay."""
        serving, self.serving = self.serving, []
        await end(serving)

    async def kill(self) -> None:
        """Vanish."""
        await self.fall_silent()
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        machine = self.machine()
        connect: ConnectRequested | None = None
        self.writers.append(writer)
        while data := await reader.read(READ_BYTES):
            machine.receive_data(data)
            for event in machine.events():
                if isinstance(event, ConnectRequested):
                    connect = event
                elif isinstance(event, PlayRequested):
                    assert connect is not None
                    self._begin(Player(machine, event, connect, writer))
            writer.write(machine.data_to_send())

    def _begin(self, player: Player) -> None:
        async def run() -> None:
            with contextlib.suppress(ConnectionError):
                await self.script(player)

        self.players.append(player)
        self.serving.append(asyncio.get_running_loop().create_task(run(), name="test/rtmp-origin-player"))


@asynccontextmanager
async def rtmp_origin(
    script: Script, *, context: ssl.SSLContext | None = None, machine: Callable[[], RtmpServer] = RtmpServer
) -> AsyncIterator[RtmpOrigin]:
    """A server on loopback that lives as long as the block."""
    origin = RtmpOrigin(script, machine)
    async with raw_server(origin.serve, context=context) as server:
        origin.server, origin.port = server, port_of(server)
        try:
            yield origin
        finally:
            await origin.kill()
