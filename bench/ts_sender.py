"""A sender of many transport streams, over UDP or as an HTTP server, that costs next to nothing.

    python -m bench.ts_sender CLIP --udp HOST:PORT...
    python -m bench.ts_sender CLIP --http

Each stream is sent as evenly as hardware encoders do: 3 Mbit/s are a datagram every 3.5 ms. That is the
worst case for a receiver, which could be woken for each. The clip is repeated without a seam, and streams
begin spread over one group of pictures.

Prints one line of JSON once it is ready and one when it is ended by SIGTERM. ``--times FILE`` has the time of
sending the last byte of each picture of the first stream in that file, as ``bench.publisher`` has.
"""

import argparse
import contextlib
import json
import mmap
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.clip import AUDIO_FRAMES, DURATION_MS, VIDEO_FRAMES, load_clip
from openstreamer.media.frame import Frame
from openstreamer.wire.flv import FlvDemuxer
from openstreamer.wire.mpegts import MpegTsMuxer

DATAGRAM_BYTES = 7 * 188
DURATION_90K = DURATION_MS * 90
AUDIO_FRAMES_PER_PES = 8  # as ffmpeg's muxer puts together at 128 kbit/s
TICK_S = 0.004
SPREAD_NS = 2_000_000_000  # one group of pictures
SEND_BUFFER_BYTES = 1 << 20
SEND_WITHIN_S = 1.0  # into a buffer of two seconds
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Pass:
    """The clip once: its datagrams, and the tags of which a picture's last byte is in a datagram."""

    datagrams: list[bytes]
    complete: dict[int, list[int]]


class Passes:
    """The clip as an endless transport stream."""

    def __init__(self, clip: Path) -> None:
        self._frames = _frames_of(clip)
        tracks = {frame.track.id: frame.track for frame in self._frames}
        self._muxer = MpegTsMuxer([tracks[number] for number in sorted(tracks)])
        self._video_tags = [number for number, tag in enumerate(load_clip(clip).tags) if tag.is_video]
        self._made: dict[int, Pass] = {}

    def get(self, number: int) -> Pass:
        """The clip for the ``number``-th time. To be asked for in turn; the newest few are kept."""
        if number not in self._made:
            self._made[number] = self._make(number)
            self._made.pop(number - 4, None)
        return self._made[number]

    def _make(self, number: int) -> Pass:
        data = bytearray()
        complete: dict[int, list[int]] = {}
        audio: list[Frame] = []
        video_frames = 0
        for frame in self._frames:
            moved = _moved(frame, number * DURATION_90K)
            if not frame.track.is_video:
                audio.append(moved)
                if len(audio) == AUDIO_FRAMES_PER_PES:
                    data += self._muxer.mux(audio)
                    audio = []
                continue
            data += self._muxer.mux([moved])
            tag = self._video_tags[video_frames]
            complete.setdefault((len(data) - 1) // DATAGRAM_BYTES, []).append(tag)
            video_frames += 1
        data += self._muxer.mux(audio)
        datagrams = [bytes(data[at : at + DATAGRAM_BYTES]) for at in range(0, len(data), DATAGRAM_BYTES)]
        return Pass(datagrams, complete)


def _frames_of(clip: Path) -> list[Frame]:
    demuxer = FlvDemuxer()
    frames = demuxer.receive_data(clip.read_bytes()) + demuxer.receive_eof()
    video = [frame for frame in frames if frame.track.is_video][:VIDEO_FRAMES]
    audio = [frame for frame in frames if not frame.track.is_video][:AUDIO_FRAMES]
    for number, frame in enumerate(audio):  # FLV rounds to milliseconds, at which a muxer puts less together
        frame.pts_90k = frame.dts_90k = audio[0].dts_90k + number * DURATION_90K // AUDIO_FRAMES
    return sorted(video + audio, key=lambda frame: frame.dts_90k)


def _moved(frame: Frame, by_90k: int) -> Frame:
    return Frame(frame.track, frame.pts_90k + by_90k, frame.dts_90k + by_90k, frame.key, frame.payload)


class Outlet(Protocol):
    """Where the datagrams of one stream go."""

    def send(self, datagrams: list[bytes]) -> None:
        """Raises :class:`OSError` when nobody wants them any more."""
        ...


class UdpOutlet:
    """One datagram each, to one address."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        loopback = socket.inet_aton("127.0.0.1")
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        self._socket.connect(address)

    def send(self, datagrams: list[bytes]) -> None:
        """See :class:`Outlet`."""
        for datagram in datagrams:
            with contextlib.suppress(ConnectionRefusedError):  # nobody listens yet
                self._socket.send(datagram)


class HttpOutlet:
    """A response without end, one chunk for what is sent at once."""

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        accepted.settimeout(SEND_WITHIN_S)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        accepted.sendall(RESPONSE)

    def send(self, datagrams: list[bytes]) -> None:
        """See :class:`Outlet`."""
        data = b"".join(datagrams)
        self._socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))


class Stream:
    """One stream: where it goes, and how far it has come."""

    def __init__(self, outlet: Outlet, begins_at_ns: int, first_pass: int) -> None:
        self._outlet = outlet
        self._pass_begins_at_ns = begins_at_ns
        self._pass = first_pass
        self._next = 0

    def send_due(self, passes: Passes, now_ns: int, times: mmap.mmap | None) -> None:
        """Send what is due until ``now_ns``."""
        current = passes.get(self._pass)
        count = len(current.datagrams)
        share = (now_ns - self._pass_begins_at_ns) / (DURATION_MS * 1_000_000)
        until = min(count, int(share * count))
        if until <= self._next:
            return
        self._outlet.send(current.datagrams[self._next : until])
        if times is not None:
            for number in range(self._next, until):
                for tag in current.complete.get(number, ()):
                    struct.pack_into("=q", times, 8 * tag, time.monotonic_ns())
        self._next = until
        if until == count:
            self._next = 0
            self._pass += 1
            self._pass_begins_at_ns += DURATION_MS * 1_000_000


class Sender:
    """All streams, sent by one thread."""

    def __init__(self, clip: Path) -> None:
        self.passes = Passes(clip)
        self.streams: list[Stream] = []
        self.late_ns: list[int] = []
        self.stopping = False
        self._began_ns = time.monotonic_ns()
        self._accepted: list[socket.socket] = []  # whose request did not come yet

    def add(self, outlet: Outlet, begins_at_ns: int) -> None:
        """One more stream."""
        passed = (begins_at_ns - self._began_ns) // (DURATION_MS * 1_000_000)
        self.passes.get(passed)
        self.streams.append(Stream(outlet, begins_at_ns, passed))

    def run(self, listener: socket.socket | None, times: mmap.mmap | None) -> None:
        """Send until ``stopping``."""
        next_ns = time.monotonic_ns()
        while not self.stopping:
            next_ns += int(TICK_S * 1e9)
            wait_s = max(0.0, (next_ns - time.monotonic_ns()) / 1e9)
            sockets = [] if listener is None else [listener, *self._accepted]
            for readable in select.select(sockets, (), (), wait_s)[0]:
                if readable is listener:
                    self._accepted.append(readable.accept()[0])
                else:
                    self._answer(readable)
            now_ns = time.monotonic_ns()
            self.late_ns.append(now_ns - next_ns)
            for number, stream in enumerate(list(self.streams)):
                try:
                    stream.send_due(self.passes, now_ns, times if number == 0 else None)
                except OSError:
                    self.streams.remove(stream)

    def _answer(self, accepted: socket.socket) -> None:
        """Begin a stream, whatever was asked for."""
        self._accepted.remove(accepted)
        with contextlib.suppress(OSError):
            if accepted.recv(4096):
                self.add(HttpOutlet(accepted), time.monotonic_ns())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--udp", nargs="+", metavar="HOST:PORT")
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--times", type=Path)
    options = parser.parse_args()
    sender = Sender(options.clip)

    def stop(_number: int, _frame: object) -> None:
        sender.stopping = True

    signal.signal(signal.SIGTERM, stop)
    listener = socket.create_server(("127.0.0.1", 0)) if options.http else None
    addresses: list[str] = options.udp or []
    for number, address in enumerate(addresses):
        host, _, port = address.rpartition(":")
        begins_at_ns = time.monotonic_ns() + number * SPREAD_NS // len(addresses)
        sender.add(UdpOutlet((host, int(port))), begins_at_ns)
    times = None
    if options.times is not None:
        with options.times.open("r+b") as file:
            times = mmap.mmap(file.fileno(), 0)
    _say(port=listener.getsockname()[1] if listener is not None else 0)
    began_s, cpu_began_s = time.monotonic(), time.process_time()
    sender.run(listener, times)
    late = sorted(sender.late_ns)
    _say(
        cpu_ms_per_stream_s=1000
        * (time.process_time() - cpu_began_s)
        / ((time.monotonic() - began_s) * max(1, len(sender.streams))),
        late_p95_ms=late[len(late) * 95 // 100] / 1e6 if late else 0.0,
        late_max_ms=late[-1] / 1e6 if late else 0.0,
    )


def _say(**values: float) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
