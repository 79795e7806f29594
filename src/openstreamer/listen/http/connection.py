"""One accepted connection, whatever it speaks: flow control, deadlines, accounting, the way it ends."""

import asyncio
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from openstreamer.listen.http.service import Service

Buffer = bytes | memoryview
Address = tuple[str, int]

# What is given to writev at once where unsent buffers stay shared references: a segment in one system call.
GATHERED_PIECE_BYTES = 1 << 20
LINGER_S = 2.0  # how long unread request bytes are thrown away, so that a reset does not eat our answer


class Endpoint:
    """The two ends of a connection, and its place in the listener's count."""

    __slots__ = ("_service", "group", "local", "peer", "tls")

    def __init__(self, service: "Service", peer: Address, local: Address, group: str, *, tls: bool) -> None:
        self._service: Service | None = service
        self.peer = peer
        self.local = local
        self.group = group  # under which the listener counts the peer; empty for a proxy that is trusted
        self.tls = tls

    def release(self) -> None:
        """Give the place back; again is harmless."""
        if self._service is not None:
            self._service.release(self.group)
            self._service = None


class Connection(asyncio.Protocol):
    """Base of the protocols. Deadlines are loop times, looked at by the listener's sweep."""

    transport: asyncio.Transport

    def __init__(self, service: "Service", endpoint: Endpoint) -> None:
        self.service = service
        self.endpoint = endpoint
        self.deadline_s = math.inf
        self.lost = False
        self.paused = False
        self._write_deadline_s = math.inf
        self._writable = asyncio.Event()
        self._gathers = False
        self.piece_bytes = service.limits.write_buffer_bytes

    def attach(self, transport: asyncio.Transport) -> None:
        """Take over ``transport``. The caller sets this object as its protocol."""
        self.transport = transport
        transport.set_write_buffer_limits(high=self.service.limits.write_buffer_bytes // 2)
        # uvloop's TCP transport hands a list to writev and keeps references to what is left; the others
        # join it, and TLS would make a record of every little buffer.
        self._gathers = not self.endpoint.tls and type(transport).__module__.startswith("uvloop")
        if self._gathers:
            self.piece_bytes = max(self.piece_bytes, GATHERED_PIECE_BYTES)
        self.service.connections.add(self)

    def hand_over(self, successor: "Connection") -> None:
        """Let ``successor`` speak on this transport from now on."""
        self.service.connections.discard(self)
        successor.attach(self.transport)
        self.transport.set_protocol(successor)

    def now_s(self) -> float:
        """The loop's clock."""
        return self.service.loop.time()

    # --- writing -----------------------------------------------------------------------------------------

    def write(self, buffers: Sequence[Buffer], length: int) -> None:
        """Send ``buffers``, ``length`` bytes in all. Look at ``paused`` before sending more."""
        self.service.statistics.sent_bytes += length
        if len(buffers) == 1:
            self.transport.write(buffers[0])
        elif self._gathers:
            self.transport.writelines(buffers)
        else:
            self.transport.write(b"".join(buffers))

    def pause_writing(self) -> None:
        self.paused = True
        self._writable.clear()
        self._write_deadline_s = self.now_s() + self.service.limits.write_deadline_s

    def resume_writing(self) -> None:
        self.paused = False
        self._writable.set()
        self._write_deadline_s = math.inf

    async def drain(self) -> None:
        """Wait until the peer took enough of what was sent, or is gone."""
        if self.paused and not self.lost:
            await self._writable.wait()

    # --- the end -----------------------------------------------------------------------------------------

    def check(self, now_s: float) -> None:
        """End what missed its deadline; called by the sweep."""
        if self._write_deadline_s <= now_s:
            self.abort("slow client")
        elif self.deadline_s <= now_s:
            if self.transport.is_closing():
                self.abort("slow client")
            else:
                self.expire()

    def expire(self) -> None:
        """``deadline_s`` has passed."""
        self.close("timeout")

    def shut_down(self) -> None:
        """Finish what is running, then close."""
        self.close("shutting down")

    def close(self, reason: str) -> None:
        """Close once everything written is sent, or after the write deadline."""
        if not self.transport.is_closing():
            self.service.statistics.closed[reason] += 1
            self.deadline_s = self.now_s() + self.service.limits.write_deadline_s
            self.transport.close()

    def abort(self, reason: str) -> None:
        """Close at once; unsent bytes are lost."""
        self.service.statistics.closed[reason] += 1
        self.deadline_s = self._write_deadline_s = math.inf
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost, self.paused = True, False
        self._writable.set()
        self.service.connections.discard(self)
        self.endpoint.release()


def as_transport(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """Streams hand out their transports under the base type."""
    return cast("asyncio.Transport", transport)
