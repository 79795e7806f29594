"""A sender of MPEG-TS datagrams: a clip over and over, its times and counters going on."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts import MpegTsMuxer
from tests.support.mpegts import tracks_of

DATAGRAM_BYTES = 7 * 188


def free_port() -> int:
    """A UDP port of loopback that nothing uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def endless(frames: Sequence[Frame]) -> Iterator[Frame]:
    """``frames`` again and again, each time later by their length."""
    length_90k = max(frame.dts_90k for frame in frames) + 3000
    add_90k = 0
    while True:
        for frame in frames:
            yield Frame(
                frame.track, frame.pts_90k + add_90k, frame.dts_90k + add_90k, frame.key, frame.payload
            )
        add_90k += length_90k


def datagrams(data: bytes) -> Iterator[bytes]:
    """``data`` in pieces of whole packets."""
    return (data[at : at + DATAGRAM_BYTES] for at in range(0, len(data), DATAGRAM_BYTES))


def rtp(sequence: int, payload: bytes, *, ssrc: int = 7) -> bytes:
    """An RTP datagram of MPEG-TS (payload type 33)."""
    return b"\x80\x21" + (sequence & 0xFFFF).to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big") + payload


class UdpSender:
    """Sends in the background until it is told to stop."""

    def __init__(
        self, port: int, frames: Sequence[Frame], *, pause_s: float = 0.03, per_pause: int = 3
    ) -> None:
        self._address = ("127.0.0.1", port)
        self._frames = frames
        self._pause_s = pause_s
        self._per_pause = per_pause
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._task = asyncio.get_running_loop().create_task(self._send(), name="test/udp sender")

    async def stop(self) -> None:
        """Send nothing more: all that a UDP sender can do about it."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._socket.close()

    async def _send(self) -> None:
        muxer = MpegTsMuxer(tracks_of(self._frames))
        batch: list[Frame] = []
        for frame in endless(self._frames):
            batch.append(frame)
            if len(batch) == self._per_pause:
                for datagram in datagrams(muxer.mux(batch)):
                    with contextlib.suppress(BlockingIOError):
                        self._socket.sendto(datagram, self._address)
                batch.clear()
                await asyncio.sleep(self._pause_s)
