"""A publisher of many streams that costs next to nothing: a load generator must not be what is measured.

    python -m bench.publisher HOST:PORT CLIP CODE...

The clip becomes RTMP chunks once. Replaying a tag is then three bytes of timestamp and one ``send``, at the
time at which an encoder would send it: the server sees every frame of every stream by itself. Streams begin
spread over one group of pictures, so that neither key frames nor pictures of several coincide.

Prints one line of JSON once everything is published and one when it is ended by SIGTERM. ``--times FILE`` has
the time of sending of each tag of the first stream in that file, as an array of monotonic nanoseconds.
"""

import argparse
import contextlib
import heapq
import json
import mmap
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from bench.clip import DURATION_MS, Clip, load_clip
from openstreamer.wire.rtmp import (
    ConnectAnswered,
    HandshakeCompleted,
    RtmpClient,
    RtmpEvent,
    StatusReceived,
    StreamCreated,
)
from openstreamer.wire.rtmp.chunks import encode_message
from openstreamer.wire.rtmp.messages import ChunkStreamId, Message, MessageType

SPREAD_MS = 2_000  # one group of pictures
GOLDEN_RATIO = (5**0.5 - 1) / 2  # multiples of it, without their whole part, are evenly spread however many
ANSWER_WITHIN_S = 20.0
DRAIN_EVERY_NS = 1_000_000_000  # acknowledgements of the server are read and thrown away
MAX_TIME_MS = 0xFFFFFF  # from here on RTMP has another form of timestamps: after four and a half hours

_Event = TypeVar("_Event", bound=RtmpEvent)


class Replay:
    """The clip as chunks, shared by all streams: the timestamp is put in just before sending."""

    def __init__(self, clip: Clip, stream_id: int, chunk_bytes: int) -> None:
        self.stream_id = stream_id
        self.chunk_bytes = chunk_bytes
        self.headers = b"".join(self._chunks(tag.is_video, tag.payload) for tag in clip.headers)
        self.messages = [self._chunks(tag.is_video, tag.payload) for tag in clip.tags]
        self.times_ms = [tag.time_ms for tag in clip.tags]

    def _chunks(self, is_video: bool, payload: bytes) -> bytearray:
        type_id = MessageType.VIDEO if is_video else MessageType.AUDIO
        chunk_stream = ChunkStreamId.VIDEO if is_video else ChunkStreamId.AUDIO
        message = Message(type_id, self.stream_id, 0, payload)
        return bytearray(b"".join(encode_message(message, chunk_stream, self.chunk_bytes)))

    def message(self, index: int, time_ms: int) -> bytearray:
        """The chunks of a tag with this time, valid until the next call."""
        chunks = self.messages[index]
        chunks[1:4] = time_ms.to_bytes(3, "big")
        return chunks


class Publication:
    """One stream: its connection and how far it has come."""

    def __init__(self, address: tuple[str, int], code: str) -> None:
        self.connecting_at_ns = time.monotonic_ns()
        self.code = code
        self.socket = socket.create_connection(address, timeout=ANSWER_WITHIN_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client = RtmpClient()
        self.stream_id = self._publish(address)
        self.next_tag = 0
        self.loop_starts_ms = 0
        self.begins_at_ns = 0
        self._unsent = b""

    def _publish(self, address: tuple[str, int]) -> int:
        client = self.client
        self._expect(HandshakeCompleted)
        client.send_connect("live", f"rtmp://{address[0]}:{address[1]}/live")
        self._expect(ConnectAnswered)
        client.send_create_stream(publish_name=self.code)
        stream_id = self._expect(StreamCreated).stream_id
        client.send_publish(stream_id, self.code)
        status = self._expect(StatusReceived)
        if status.level == "error":
            raise ConnectionError(f"{self.code} is refused: {status.description}")
        return stream_id

    def _expect(self, kind: type[_Event]) -> _Event:
        while True:
            self.socket.sendall(self.client.data_to_send())
            for event in self.client.events():
                if isinstance(event, kind):
                    return event
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError(f"{self.code}: the server closed the connection")
            self.client.receive_data(data)

    def begin(self, replay: Replay, begins_at_ns: int) -> None:
        """Send what comes before the first tag, which is due at ``begins_at_ns``."""
        size = replay.chunk_bytes.to_bytes(4, "big")
        message = Message(MessageType.SET_CHUNK_SIZE, 0, 0, size)
        self.socket.sendall(b"".join(encode_message(message, ChunkStreamId.CONTROL, 128)) + replay.headers)
        self.socket.setblocking(False)
        self.begins_at_ns = begins_at_ns

    def due_ns(self, replay: Replay) -> int:
        """When the next tag is to be sent."""
        return self.begins_at_ns + (self.loop_starts_ms + replay.times_ms[self.next_tag]) * 1_000_000

    def send_next(self, replay: Replay) -> None:
        """Send the next tag. What the server does not take goes first the next time."""
        index = self.next_tag
        time_ms = self.loop_starts_ms + replay.times_ms[index]
        if time_ms >= MAX_TIME_MS:
            raise OverflowError("a publication lasts four and a half hours at most")
        self.next_tag += 1
        if self.next_tag == len(replay.messages):
            self.next_tag = 0
            self.loop_starts_ms += DURATION_MS
        data: bytes | bytearray = replay.message(index, time_ms)
        if self._unsent:
            data = self._unsent + data
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = bytes(data[sent:]) if sent < len(data) else b""

    @property
    def is_blocked(self) -> bool:
        """Whether the server takes less than what is sent."""
        return bool(self._unsent)

    def drain(self) -> None:
        """Read what the server says; raises when it ended the publication."""
        with contextlib.suppress(BlockingIOError):
            if not self.socket.recv(65_536):
                raise ConnectionError(f"{self.code}: the server ended the publication")


class Publisher:
    """All streams, sent by one thread in the order in which their tags are due."""

    def __init__(self, address: tuple[str, int], clip: Clip, codes: Sequence[str]) -> None:
        self.streams = [Publication(address, code) for code in codes]
        first = self.streams[0]
        self.replay = Replay(clip, first.stream_id, first.client.peer_chunk_bytes)
        assert {stream.stream_id for stream in self.streams} == {first.stream_id}
        self.late_ns: list[int] = []
        self.blocked = 0
        self.stopping = False

    def run(self, times: mmap.mmap | None) -> None:
        """Replay until ``stopping``."""
        queue = self._begin()
        drain_at_ns = 0
        while not self.stopping:
            due_ns, number = queue[0]
            now_ns = time.monotonic_ns()
            if due_ns > now_ns:
                if now_ns >= drain_at_ns:
                    drain_at_ns = now_ns + DRAIN_EVERY_NS
                    for stream in self.streams:
                        stream.drain()
                select.select((), (), (), (due_ns - now_ns) / 1e9)
                continue
            self._send(number, due_ns, times)
            heapq.heapreplace(queue, (self.streams[number].due_ns(self.replay), number))

    def _begin(self) -> list[tuple[int, int]]:
        now_ns = time.monotonic_ns()
        for number, stream in enumerate(self.streams):
            stream.begin(self.replay, now_ns + int(number * GOLDEN_RATIO % 1 * SPREAD_MS * 1_000_000))
        queue = [(stream.begins_at_ns, number) for number, stream in enumerate(self.streams)]
        heapq.heapify(queue)
        return queue

    def _send(self, number: int, due_ns: int, times: mmap.mmap | None) -> None:
        stream = self.streams[number]
        tag = stream.next_tag
        now_ns = time.monotonic_ns()
        if number == 0:
            if times is not None:
                struct.pack_into("=q", times, 8 * tag, now_ns)
            self.late_ns.append(now_ns - due_ns)
        stream.send_next(self.replay)
        self.blocked += stream.is_blocked


def send_times_file(path: Path, tags: int) -> None:
    """Make the file that ``--times`` wants."""
    path.write_bytes(bytes(8 * tags))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("clip", type=Path)
    parser.add_argument("codes", nargs="+", metavar="CODE")
    parser.add_argument("--times", type=Path)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    publisher = Publisher((host, int(port)), load_clip(options.clip), options.codes)

    def stop(_number: int, _frame: object) -> None:
        publisher.stopping = True

    signal.signal(signal.SIGTERM, stop)
    times = None
    if options.times is not None:
        with options.times.open("r+b") as file:
            times = mmap.mmap(file.fileno(), 0)
    _say(connecting_at_ns=publisher.streams[0].connecting_at_ns)
    began_s = time.monotonic()
    cpu_began_s = time.process_time()
    publisher.run(times)
    late = sorted(publisher.late_ns)
    _say(
        cpu_ms_per_stream_s=1000
        * (time.process_time() - cpu_began_s)
        / ((time.monotonic() - began_s) * len(publisher.streams)),
        late_p95_ms=late[len(late) * 95 // 100] / 1e6 if late else 0.0,
        late_max_ms=late[-1] / 1e6 if late else 0.0,
        blocked=publisher.blocked,
    )


def _say(**values: float) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
