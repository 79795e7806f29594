"""A client of the HTTP port without a socket: bytes in pieces to one connection over a memory transport."""

import asyncio
from collections.abc import Sequence

from openstreamer.listen.http.asgi import App
from openstreamer.listen.http.connection import Connection, Endpoint
from openstreamer.listen.http.http1 import Http1Connection
from openstreamer.listen.http.limits import HttpLimits, HttpStatistics
from openstreamer.listen.http.service import Service

TURNS = 6  # of the loop: enough for an application that waits for nothing but the client
MOST_PIPELINED = 8  # requests whose answers are waited for at the end
GROUP = "192.0.2.1"


class MemoryTransport(asyncio.Transport):
    """Remembers what is written; takes everything at once. As a real one it drops what is written once it is
    closed, forbids to write behind the end of its side, and tells its protocol of the end a turn later."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.reading = True
        self.closing = False
        self.eof_written = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.eof_written, "written after write_eof"
        if not self.closing:
            self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_written = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self._lost)

    def abort(self) -> None:
        self.close()

    def _lost(self) -> None:
        speaker_on(self).connection_lost(None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def converse(app: App, limits: HttpLimits, pieces: Sequence[bytes]) -> tuple[HttpStatistics, bytes]:
    """Send ``pieces`` to a new connection, then leave. Returns its counters and what it answered.

    Asserts that the application was never at fault and that nothing is left behind.
    """

    async def main() -> tuple[HttpStatistics, bytes]:
        service = Service(app, limits)
        assert not service.admit(GROUP)
        transport = MemoryTransport()
        connection = Http1Connection(service, Endpoint(service, (GROUP, 1), (GROUP, 2), GROUP, tls=False))
        transport.set_protocol(connection)
        connection.attach(transport)
        for piece in pieces:
            await _turns()
            if transport.closing or not transport.reading:
                break
            speaker_on(transport).data_received(piece)
        for _ in range(MOST_PIPELINED):
            await _turns()
        transport.close()
        await _turns()
        statistics = service.statistics
        assert not service.tasks
        assert not service.connections
        assert (statistics.open_connections, statistics.requests_in_flight) == (0, 0)
        assert statistics.app_errors == 0
        return statistics, bytes(transport.written)

    return asyncio.run(main())


def speaker_on(transport: MemoryTransport) -> Connection:
    """Who speaks on it now: it may have been handed over."""
    assert isinstance(transport.protocol, Connection)
    return transport.protocol


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)
