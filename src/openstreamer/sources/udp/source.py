"""MPEG-TS in UDP datagrams, with RTP or without, unicast and multicast.

What costs here is waking up: three hundred datagrams a second make 3 Mbit/s. So the socket is drained when
it becomes readable and then again at every tick, for as long as something comes; all that was read goes to
the demuxer at once.
"""

import asyncio
import socket
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from openstreamer.config.input_urls import UdpInput
from openstreamer.config.models import Input
from openstreamer.media.errors import (
    RemoteProtocolError,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.batches import FrameQueue, QueueLimits
from openstreamer.sources.ticks import next_tick_s
from openstreamer.sources.udp.flow import DatagramFlow, FlowKind
from openstreamer.sources.udp.sockets import kernel_drops, open_socket
from openstreamer.wire.demuxer import ListedProgram
from openstreamer.wire.mpegts import MpegTsDemuxer
from openstreamer.wire.mpegts.packets import SYNC_BYTE

DATAGRAM_BYTES_MAX = 65_536
READ_BYTES = 2 * DATAGRAM_BYTES_MAX  # at one wake-up, about; the rest waits for the next
SILENCE_TIMEOUT_S = 10.0  # unless the input says another: failover has a shorter one of its own


@dataclass(frozen=True, slots=True)
class UdpLimits:
    """What is read at once, and what may wait before the socket is not read and the kernel drops."""

    queue: QueueLimits = field(default_factory=QueueLimits)
    read_bytes: int = READ_BYTES


class UdpSource:
    """A :class:`~openstreamer.sources.base.Source`.

    UDP cannot tell an end from silence: after ``net.timeout_sec`` without a datagram, ``receive`` raises
    :class:`SourceStalled`. ``lost_packets`` counts datagrams where RTP numbers them, else TS packets by
    their continuity counters, which do not tell sixteen of a stream that are lost in a row from none.
    """

    def __init__(self, udp: UdpInput, chosen: Input, limits: UdpLimits | None = None) -> None:
        self._udp = udp
        self._limits = limits or UdpLimits()
        self._timeout_s = float(chosen.net.timeout_sec) or SILENCE_TIMEOUT_S
        self._demuxer = MpegTsDemuxer(program=chosen.program or None, pids=chosen.pids)
        self._flow = DatagramFlow()
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._queue = FrameQueue(self._limits.queue)
        self._paused = False
        self._watching = False  # for the socket to become readable
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at_s = 0.0
        self._statistics = SourceStatistics()

    async def __aenter__(self) -> Self:
        try:
            self._socket = open_socket(self._udp)
        except OSError as err:
            where = f"udp://{self._udp.host}:{self._udp.port}"
            raise SourceUnreachable(f"{where} cannot be received: {err.strerror or err}") from err
        self._buffer = bytearray(self._limits.read_bytes + DATAGRAM_BYTES_MAX)
        self._heard_at_s = asyncio.get_running_loop().time()
        self._watch()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stop()
        self._queue.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def receive(self) -> list[Frame]:
        """The next frames."""
        queue = self._queue
        while not (queue or queue.failure):
            await self._wait()
        frames = queue.take()
        if self._paused and not queue.is_full:
            self._paused = False
            self._heard_at_s = asyncio.get_running_loop().time()
            self._drain()
        return frames

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first; those of the frames that ``receive`` returned last."""
        return self._queue.tracks or self._demuxer.tracks

    @property
    def protocol(self) -> str:
        """``rtp`` when the transport stream comes in that, else ``udp``."""
        return "rtp" if self._is_numbered else "udp"

    @property
    def statistics(self) -> SourceStatistics:
        """``received_packets`` and ``lost_packets`` count the same: datagrams where RTP numbers them, else TS
        packets. ``received_bytes`` is what is in the datagrams."""
        statistics, demuxed, flow = self._statistics, self._demuxer.statistics, self._flow
        statistics.dropped_frames, statistics.malformed = demuxed.dropped_frames, demuxed.malformed
        if self._is_numbered:
            statistics.received_packets, statistics.lost_packets = flow.numbered, flow.lost
        else:
            statistics.received_packets, statistics.lost_packets = demuxed.packets, demuxed.lost_packets
        return statistics

    @property
    def programs(self) -> tuple[ListedProgram, ...]:
        """Those of the transport stream."""
        return self._demuxer.listed_programs

    @property
    def _is_numbered(self) -> bool:
        return self._flow.kind is FlowKind.RTP

    @property
    def arrived_ns(self) -> int | None:
        """When the oldest frame of the last batch was read off the socket."""
        return self._queue.arrived_ns

    @property
    def dropped_datagrams(self) -> int:
        """How many the kernel dropped because they were not read in time."""
        return kernel_drops(self._socket) if self._socket is not None else 0

    @property
    def stray_datagrams(self) -> int:
        """How many were left out: RTCP, and the RTP of something else that is sent here too."""
        return self._flow.strays

    @property
    def bound_port(self) -> int:
        """The port that is listened on, while it is."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    @property
    def quiet_s(self) -> float:
        """How long ago the last datagram was read, or the socket opened."""
        return asyncio.get_running_loop().time() - self._heard_at_s

    @property
    def queued_bytes(self) -> int:
        """Memory of what waits for the stream."""
        return self._queue.queued_bytes

    @property
    def paused(self) -> bool:
        """Whether the socket is not read because too much waits."""
        return self._paused

    # ------------------------------------------------------------------ waiting

    async def _wait(self) -> None:
        """Until something arrives; fails when nothing does for too long."""
        loop, queue = asyncio.get_running_loop(), self._queue
        silence = loop.call_at(self._heard_at_s + self._timeout_s, queue.wake)
        try:
            await queue.wait()
        finally:
            silence.cancel()
        silent_s = loop.time() - self._heard_at_s
        if not queue and queue.failure is None and silent_s >= self._timeout_s:
            raise SourceStalled(f"udp: no datagram for {silent_s:.1f} s")

    # ------------------------------------------------------------------ reading

    def _watch(self) -> None:
        if self._socket is not None and not self._watching:
            self._watching = True
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._drain)

    def _unwatch(self) -> None:
        if self._watching and self._socket is not None:
            self._watching = False
            asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def _stop(self) -> None:
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drain(self) -> None:
        """Read what is there, and look again soon; watch the socket when nothing was."""
        self._timer = None
        if self._socket is None or self._queue.failure is not None:
            return
        try:
            heard_bytes = self._read()
        except SourceRejected as err:
            self._fail(err)
            return
        except (RemoteProtocolError, OSError) as err:
            self._fail(SourceRejected(f"udp: {err}") if isinstance(err, RemoteProtocolError) else _lost(err))
            return
        loop = asyncio.get_running_loop()
        if heard_bytes:
            self._heard_at_s = loop.time()
        if self._paused:
            self._unwatch()
        elif heard_bytes or self._flow.is_waiting:
            self._unwatch()
            is_all = heard_bytes < self._limits.read_bytes
            at_s = next_tick_s(loop.time()) if is_all else loop.time()
            self._timer = loop.call_at(at_s, self._drain)
        else:
            self._watch()

    def _read(self) -> int:
        """Datagrams into the demuxer, in one piece; how many bytes there were, the limit or more when others
        may wait."""
        assert self._socket is not None
        now_ns = time.monotonic_ns()
        data, received = self._read_stream(self._socket, now_ns)
        self._statistics.received_bytes += received
        frames = self._demuxer.receive_data(data) if data else []
        if frames:
            self._queue.put(frames, self._demuxer.tracks, now_ns)
            self._paused = self._queue.is_full
        return received

    def _read_stream(self, opened: socket.socket, now_ns: int) -> tuple[bytes | memoryview, int]:
        """What datagrams have of the stream, in its order, and their bytes.

        Those that are taken as they are stay where they were read; nine of ten are.
        """
        receive_into, flow = opened.recv_into, self._flow
        buffer, limit = memoryview(self._buffer), self._limits.read_bytes
        start = position = received = 0
        pieces: list[bytes] = []
        usual_came = False
        usual_bytes = flow.usual_bytes
        try:
            while position < limit and received < limit:
                size = receive_into(buffer[position : position + DATAGRAM_BYTES_MAX])
                received += size
                if size == usual_bytes and buffer[position] == SYNC_BYTE:
                    position += size
                    usual_came = True
                elif size:
                    datagram = bytes(buffer[position : position + size])
                    found = flow.receive_datagram(datagram, now_ns)
                    usual_bytes = flow.usual_bytes
                    if len(found) == 1 and found[0] is datagram:
                        position += size
                    elif found:
                        if start < position:
                            pieces.append(bytes(buffer[start:position]))
                            start = position
                        pieces += found
        except (BlockingIOError, InterruptedError):
            pass
        if usual_came:
            flow.usual_came()
        if flow.is_waiting:
            pieces += [bytes(buffer[start:position]), *flow.expire(now_ns)]
            start = position
        rest = buffer[start:position]
        return (b"".join([*pieces, rest]) if pieces else rest), received

    def _fail(self, reason: SourceError) -> None:
        self._stop()
        self._queue.fail(reason)


def _lost(err: OSError) -> SourceUnreachable:
    return SourceUnreachable(f"udp: {err.strerror or err}")
