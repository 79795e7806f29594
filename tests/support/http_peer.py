"""An HTTP server of which a test writes every byte: what it answers, how slowly, and what it then does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.support.raw_peer import port_of, raw_server


@dataclass
class Request:
    """What the client sent."""

    target: str
    headers: dict[str, str]


@dataclass
class Peer:
    """The other end of one request: writes raw bytes, waits until they are on their way."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def respond(self, status: str = "200 OK", body: bytes = b"", **headers: str) -> None:
        """A whole response with a length."""
        fields = {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await self.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body)

    async def left(self) -> None:
        """Wait until the client has closed the connection."""
        await self.reader.read()
        self.cut()

    async def hang(self) -> None:
        """Say nothing until the client goes away."""
        await self.reader.read()

    def cut(self) -> None:
        """Vanish."""
        self.writer.transport.abort()


Script: TypeAlias = Callable[[Peer], Awaitable[None]]


@dataclass
class HttpPeer:
    """A running server: every request is answered by ``script``."""

    port: int
    tls: bool
    script: Script
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    server: asyncio.Server | None = None

    def url(self, path: str = "/live.ts", host: str = "127.0.0.1", user: str = "") -> str:
        at = f"{user}@" if user else ""
        return f"{'https' if self.tls else 'http'}://{at}{host}:{self.port}{path}"

    def close(self) -> None:
        """Refuse new connections and cut those there are."""
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        while not writer.transport.is_closing():
            peer = Peer(await read_request(reader), reader, writer)
            self.requests.append(peer.request)
            await self.script(peer)


async def read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in head[1:] if line)
    return Request(head[0].split(" ")[1], {name.lower(): value.strip() for name, _, value in fields})


@asynccontextmanager
async def http_peer(script: Script, *, context: ssl.SSLContext | None = None) -> AsyncIterator[HttpPeer]:
    """A server on loopback that lives as long as the block."""
    peer = HttpPeer(0, context is not None, script)
    async with raw_server(peer.serve, context=context) as server:
        peer.server, peer.port = server, port_of(server)
        try:
            yield peer
        finally:
            peer.close()
