"""The parent's end of the pipe to a child: a socket that the event loop watches.

No transport of the loop is used: opening and closing one takes turns of the loop, and a cancellation between
them leaves half of it behind (on uvloop the connection is then never reported lost). Here both are one call.
"""

import asyncio
import socket

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.media.frame import FRAME_BYTES
from openstreamer.wire.pipe import PipeDecoder, PipeEvent

READ_BYTES = 64 * 1024


class ChildPipe:
    """The parent's end of the pipe: decodes what arrives, and stops reading when nobody takes it.

    ``pending_bytes`` bounds the memory of what was decoded and not taken, give or take one read; ``failure``
    is what the child did wrong.
    """

    def __init__(self, pending_bytes: int, max_record_bytes: int) -> None:
        self._decoder = PipeDecoder(max_record_bytes=max_record_bytes)
        self._limit_bytes = pending_bytes
        self._socket: socket.socket | None = None
        self._events: list[PipeEvent] = []
        self._unsent = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.failure: RemoteProtocolError | None = None
        self.pending_bytes = 0
        self.paused = False

    @property
    def is_open(self) -> bool:
        """Whether there is a socket: not before ``open``, not after the child closed or failed."""
        return self._socket is not None

    def open(self, pipe: socket.socket) -> None:
        """Take ``pipe`` over."""
        pipe.setblocking(False)
        self._socket = pipe
        asyncio.get_running_loop().add_reader(pipe, self._read)

    def close(self) -> None:
        """Close the descriptor and wake whoever waits; what was decoded can still be taken."""
        if (pipe := self._socket) is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(pipe)
        loop.remove_writer(pipe)
        pipe.close()
        self._socket = None
        self._unsent.clear()
        self._writable.set()
        self._news.set()

    def take(self) -> list[PipeEvent]:
        """Everything that waits; makes room, so reading goes on."""
        events = self._events
        if not events:
            return events
        self._events = []
        self.pending_bytes = self._decoder.buffered_bytes
        if self.paused and self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._read)
        self.paused = False
        return events

    async def wait(self) -> None:
        """Until something arrived or the pipe closed."""
        self._news.clear()
        await self._news.wait()

    def write(self, data: bytes) -> None:
        """Send what the socket takes now, and the rest when it takes more; nothing once it is closed."""
        if self._socket is None or not data:
            return
        if self._unsent:
            self._unsent += data
            return
        self._unsent += data[self._send(self._socket, data) :]
        if self._unsent and self._socket is not None:
            self._writable.clear()
            asyncio.get_running_loop().add_writer(self._socket, self._write)

    async def drained(self) -> None:
        """Until everything is sent or the pipe closed."""
        await self._writable.wait()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET: it died with unread data of ours
            data = b""
        if not data:
            self.close()
            return
        self._decode(data)
        if self.pending_bytes > self._limit_bytes and self._events and self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self.paused = True
        self._news.set()

    def _decode(self, data: bytes) -> None:
        try:
            self._decoder.receive_data(data)
        except RemoteProtocolError as err:
            self.failure = err
            self.close()
        events = self._decoder.events()
        self._events += events
        self.pending_bytes += len(data) + FRAME_BYTES * len(events)

    def _write(self) -> None:
        assert self._socket is not None
        del self._unsent[: self._send(self._socket, self._unsent)]
        if not self._unsent and self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket)
            self._writable.set()

    def _send(self, pipe: socket.socket, data: bytes | bytearray) -> int:
        try:
            return pipe.send(data)
        except BlockingIOError:
            return 0
        except OSError:  # EPIPE: the child is gone, which whoever receives will hear
            self.close()
            return len(data)
