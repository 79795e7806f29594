"""What the connections of one RTMP listener share."""

import asyncio
import ipaddress
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import structlog

from openstreamer.listen.rtmp.limits import RtmpListenerLimits, RtmpStatistics
from openstreamer.listen.rtmp.peer_log import PeerLogBudget
from openstreamer.sources.held_back import HeldBack
from openstreamer.sources.ticks import next_tick_s
from openstreamer.stream.publish import PublishRequest, PublishSlot

logger = structlog.get_logger(__name__)

# One read of this size costs at most a few ms of parsing at usual sizes; the rest of more waits for its turn.
READ_BUFFER_BYTES = 64 << 10

PublishGate = Callable[[PublishRequest], PublishSlot]
"""Lets a publisher in, or raises :class:`~openstreamer.stream.publish.PublishRefused`."""


class OpenConnection(Protocol):
    """A connection as the listener sees it."""

    address: str

    def abort(self) -> None: ...


class RtmpService:
    """Limits, counters, the gate, and who is connected."""

    def __init__(self, offer: PublishGate, limits: RtmpListenerLimits, protocol: str) -> None:
        self.offer = offer
        self.limits = limits
        self.protocol = protocol
        self.statistics = RtmpStatistics()
        self.loop = asyncio.get_running_loop()
        self.read_buffer = memoryview(bytearray(READ_BUFFER_BYTES))
        self.connections: set[OpenConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._per_address: Counter[str] = Counter()
        self._empty = asyncio.Event()
        self._empty.set()
        self._held: list[HeldBack] = []  # until the next tick
        self._log_budget = PeerLogBudget(
            lines=limits.logged_lines_per_address, max_peers=limits.logged_addresses
        )
        self._log_window: asyncio.TimerHandle | None = None

    def refusal(self, address: str) -> str | None:
        """Why a connection from ``address`` may not be opened now."""
        if self.statistics.open_connections >= self.limits.max_connections:
            return "connections"
        if self._per_address[_group(address)] >= self.limits.max_connections_per_address:
            return "connections_per_address"
        return None

    def enter(self, address: str) -> None:
        """A connection was accepted."""
        self.statistics.accepted += 1
        self.statistics.open_connections += 1
        self._per_address[_group(address)] += 1
        self._empty.clear()

    def leave(self, address: str) -> None:
        """An accepted connection is over."""
        group = _group(address)
        self.statistics.open_connections -= 1
        self._per_address[group] -= 1
        if not self._per_address[group]:
            del self._per_address[group]
        if not self.statistics.open_connections:
            self._empty.set()

    def forget(self, connection: OpenConnection) -> None:
        """A connection is over, or was never made. Again is harmless."""
        if connection in self.connections:
            self.connections.remove(connection)
            self.leave(connection.address)

    def hold_until_tick(self, held: HeldBack) -> None:
        """Something was read of a publication: read on at the next tick, with all the others."""
        if held.holds:
            return
        held.hold()
        if not self._held:
            self.loop.call_at(next_tick_s(self.loop.time()), self._tick)
        self._held.append(held)

    def _tick(self) -> None:
        released, self._held = self._held, []
        for held in released:
            held.release()

    def log_peer(self, event: str, address: str, **fields: str) -> None:
        """Log what a peer did wrong, unless it did so too often in this window."""
        if self._log_window is None:
            self._log_window = self.loop.call_later(self.limits.log_window_s, self.end_log_window)
        if self._log_budget.admit(_group(address)):
            logger.info(event, **fields)

    def end_log_window(self) -> None:
        """Say what was left out, and begin anew with the next line. Again is harmless."""
        if self._log_window is not None:
            self._log_window.cancel()
            self._log_window = None
        for peer, lines in self._log_budget.end_window().items():
            logger.info("rtmp_log_lines_left_out", protocol=self.protocol, peer=peer, lines=lines)

    def watch(self, task: "asyncio.Task[None]") -> None:
        """Own ``task`` until it is done."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def wait_empty(self) -> None:
        """Until no connection is open."""
        await self._empty.wait()


def _group(address: str) -> str:
    """Addresses that count as one peer: an IPv6 host has a whole /64 to choose from."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
