"""A kept-alive HTTP/1.1 connection that throws media away as it arrives.

For a load generator: one request at a time, bodies of an announced length, of which only those are kept that
somebody reads.
"""

import asyncio
import time
import zlib
from dataclasses import dataclass
from typing import Self, cast

_READ_BUFFER_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; ``body`` is empty when it was not to be kept."""

    status: int
    length: int
    body: bytes
    arrived_ns: int


class HttpConnection(asyncio.BufferedProtocol):
    """Open one with :meth:`connect`, then :meth:`get`."""

    def __init__(self, host: str, buffer: memoryview) -> None:
        self._request_end = f" HTTP/1.1\r\nhost: {host}\r\naccept-encoding: gzip\r\n\r\n".encode()
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._keeps = False
        self._kept = bytearray()  # the head, then the body if it is kept
        self._status = 0
        self._compressed = False
        self._length = 0
        self._missing = -1  # bytes of the body; -1 in the head

    @classmethod
    async def connect(cls, host: str, port: int, buffer: memoryview, local: str | None = None) -> Self:
        """``buffer`` may be shared by all connections; ``local`` is the address to come from."""
        loop = asyncio.get_running_loop()
        local_address = None if local is None else (local, 0)
        _, protocol = await loop.create_connection(
            lambda: cls(f"{host}:{port}", buffer), host, port, local_addr=local_address
        )
        return protocol

    async def get(self, path: str, *, keep: bool) -> Answer:
        """Request ``path``; ``keep`` the body."""
        if self._transport is None:
            raise ConnectionError("the server closed the connection")
        self._keeps = keep
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(b"GET " + path.encode() + self._request_end)
        return await self._waiting

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the server closed the connection"))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._missing < 0:
            self._kept += self._buffer[:nbytes]
            end = self._kept.find(b"\r\n\r\n")
            if end < 0:
                return
            self._read_head(bytes(self._kept[: end + 2]).lower())
            nbytes = len(self._kept) - end - 4
            del self._kept[: end + 4]
            if not self._keeps:
                self._kept.clear()
        elif self._keeps:
            self._kept += self._buffer[:nbytes]
        self._missing -= nbytes
        if self._missing <= 0:
            self._finish()

    def _read_head(self, head: bytes) -> None:
        self._status = int(head[9:12])
        _, found, rest = head.partition(b"\r\ncontent-length: ")
        if not found:
            raise ValueError(f"an answer without a length: {head!r}")
        self._length = self._missing = int(rest[: rest.index(b"\r")])
        self._compressed = b"\r\ncontent-encoding: gzip" in head

    def _finish(self) -> None:
        body = bytes(self._kept)
        if self._compressed and body:
            body = zlib.decompress(body, wbits=31)
        self._kept.clear()
        self._missing = -1
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(Answer(self._status, self._length, body, time.monotonic_ns()))


def read_buffer() -> memoryview:
    """A buffer for :meth:`HttpConnection.connect`."""
    return memoryview(bytearray(_READ_BUFFER_BYTES))
