"""The RTMP chunk stream: bytes ⇄ messages (RTMP 1.0, section 5.3).

The reader waits for whole chunks, so that a message of one chunk, which nearly all are at the chunk size
we announce, is cut out of the received bytes with one copy and a dozen Python operations.
"""

import struct

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.rtmp.limits import MAX_CHUNK_BYTES, RtmpLimits
from openstreamer.wire.rtmp.messages import Message, MessageType, chunk_size_of, uint32_of

INITIAL_CHUNK_BYTES = 128  # 5.4.1: what both sides use until they announce another size

_EXTENDED = 0xFFFFFF  # 5.3.1.3: this time field means that 32 bits follow the message header
_MESSAGE_HEADER_BYTES = (11, 7, 3, 0)  # 5.3.1.2: by chunk type
_TIME_LENGTH_TYPE = struct.Struct(">IHB")  # 24 bits of time, 24 of length, 8 of type, as 32 + 16 + 8
_STREAM_ID = struct.Struct("<I")  # 5.3.1.2.1: the one little-endian field of RTMP
_UINT32 = struct.Struct(">I")

# A type 3 chunk that starts a message right after a type 0 chunk repeats that chunk's absolute time as a
# difference (5.3.1.2.4), and FFmpeg writes it so. Others mean "the same time". A difference above this
# cannot be meant.
_MAX_REPEATED_DELTA_MS = 1000
# In a type 3 chunk that starts a message, 32 bits this little above the last time are an extended time
# stamp; anything else is payload of a sender that leaves the field out.
_MAX_PLAUSIBLE_STEP_MS = 60_000

# A message without a body can be a single byte, and costs three microseconds like any other: a peer that
# sends nothing else would take a core for 350 kB/s.
_BYTES_PER_EMPTY_MESSAGE = 64

_FORGOTTEN_BYTES = 64 << 10  # what was read is not kept while a large message, a copy of it, is handled
_CONTROL_LIMIT_BYTES = 256
_CONTROL_TYPES = range(MessageType.SET_CHUNK_SIZE, MessageType.SET_PEER_BANDWIDTH + 1)


class _ChunkStream:
    """The last header on one chunk stream, and the message that is being put together."""

    __slots__ = (
        "body",
        "delta_ms",
        "extended",
        "length",
        "stream_id",
        "time_field",
        "timestamp_ms",
        "type_id",
    )

    def __init__(self) -> None:
        self.timestamp_ms = 0
        self.delta_ms = 0
        self.time_field = 0  # the last extended time as it was on the wire, to recognise its repetition
        self.extended = False
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.body: bytearray | None = None


class ChunkReader:
    """Turns received bytes into messages; obeys Set Chunk Size and Abort by itself.

    Buffers at most one chunk plus the unfinished messages, which ``limits`` bound.
    """

    def __init__(self, limits: RtmpLimits) -> None:
        self._limits = limits
        self._limit_of_type = _limits_by_type(limits)
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_bytes = INITIAL_CHUNK_BYTES
        self._data = b""  # that is being read, from _position on
        self._position = 0
        self._pending = bytearray()  # the beginning of a chunk whose rest has not come
        self._needed_bytes = 1  # how long ``_pending`` must be before the next chunk can be whole
        self._unfinished_bytes = 0
        self._consumed_bytes = 0  # before _data
        self._empty_messages = 0

    def __repr__(self) -> str:
        return (
            f"<ChunkReader {len(self._streams)} streams, chunks of {self._chunk_bytes}, "
            f"{self.buffered_bytes} bytes buffered>"
        )

    @property
    def chunk_bytes(self) -> int:
        """The chunk size the peer announced."""
        return self._chunk_bytes

    @property
    def buffered_bytes(self) -> int:
        """What was not read yet, or waits for the rest of its chunk or message."""
        return len(self._data) - self._position + len(self._pending) + self._unfinished_bytes

    @property
    def has_more(self) -> bool:
        """Whether ``next_message`` did not say yet that there is none."""
        return self._position < len(self._data)

    def feed(self, data: bytes) -> None:
        """Take received bytes; then ask for :meth:`next_message` until there is none."""
        pending = self._pending
        if self.has_more:
            self._forget_read()
            self._data += data
            return
        self._drop_data()
        if not pending:
            self._data = data
            return
        pending += data
        if len(pending) >= self._needed_bytes:
            self._data = bytes(pending)
            pending.clear()

    def next_message(self) -> Message | None:
        """The next message that is whole; ``None`` when its rest has not come.

        Raises:
            RemoteProtocolError: the chunk stream is malformed, or a bound is exceeded.
        """
        data = self._data
        end = len(data)
        while (position := self._position) < end:
            try:
                message = self._read_chunk(data, position, end)
            except RemoteProtocolError:
                self._drop_data()
                raise
            if message is not None:
                if self._position >= _FORGOTTEN_BYTES:
                    self._forget_read()
                return message
            if self._position == position:
                self._pending += memoryview(data)[position:]
                break
        self._drop_data()
        return None

    def _forget_read(self) -> None:
        self._consumed_bytes += self._position
        self._data = self._data[self._position :]
        self._position = 0

    def _drop_data(self) -> None:
        self._consumed_bytes += self._position
        self._position = 0
        self._data = b""

    def receive_data(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes."""
        self.feed(data)
        messages: list[Message] = []
        while (message := self.next_message()) is not None:
            messages.append(message)
        return messages

    def _read_chunk(self, data: bytes, start: int, end: int) -> Message | None:
        """Read the chunk at ``start``. Returns the message that it completes, if it does; stays where it is
        when not all of it is there.

        Nothing is changed before the whole chunk is there: then this runs again from ``start``. One
        function, and a long one, because it runs for every frame of every stream.
        """
        # 5.3.1.1 basic header
        first = data[start]
        position = start + 1
        chunk_stream_id = first & 0x3F
        if chunk_stream_id < 2:
            position += chunk_stream_id + 1
            if position > end:
                return self._wait_for(position - start)
            chunk_stream_id = int.from_bytes(data[start + 1 : position], "little") + 64
        chunk_type = first >> 6
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            stream = self._new_stream(chunk_stream_id, chunk_type)

        # 5.3.1.2 message header, 5.3.1.3 extended timestamp
        if chunk_type == 3:
            length, type_id, stream_id = stream.length, stream.type_id, stream.stream_id
            body = stream.body
            delta = stream.delta_ms
            timestamp = stream.timestamp_ms
            extended, time_field = stream.extended, stream.time_field
            if extended:
                if position + 4 > end:
                    return self._wait_for(position + 4 - start)
                position, time_field, delta = self._repeated_time(data, position, stream)
            if body is None:
                timestamp = timestamp + delta & 0xFFFFFFFF
        else:
            header_end = position + _MESSAGE_HEADER_BYTES[chunk_type]
            if header_end > end:
                return self._wait_for(header_end - start)
            body = stream.body
            if body is not None:
                raise RemoteProtocolError(
                    f"RTMP chunk stream {chunk_stream_id}: a new message before the last one is complete"
                )
            stream_id = stream.stream_id
            if chunk_type == 2:
                time_field = data[position] << 16 | data[position + 1] << 8 | data[position + 2]
                length, type_id = stream.length, stream.type_id
            else:
                high, low, type_id = _TIME_LENGTH_TYPE.unpack_from(data, position)
                time_field = high >> 8
                length = (high & 0xFF) << 16 | low
                if length > self._limit_of_type[type_id]:
                    raise self._too_large(type_id, length)
                if chunk_type == 0:
                    stream_id = _STREAM_ID.unpack_from(data, position + 7)[0]
            position = header_end
            extended = time_field == _EXTENDED
            if extended:
                if position + 4 > end:
                    return self._wait_for(position + 4 - start)
                time_field = _UINT32.unpack_from(data, position)[0]
                position += 4
            if chunk_type == 0:
                timestamp = time_field
                delta = time_field if time_field <= _MAX_REPEATED_DELTA_MS else 0
            else:
                delta = time_field
                timestamp = stream.timestamp_ms + delta & 0xFFFFFFFF

        # payload
        size = length if body is None else length - len(body)
        if size > self._chunk_bytes:
            size = self._chunk_bytes
        payload_end = position + size
        if payload_end > end:
            return self._wait_for(payload_end - start)

        stream.timestamp_ms = timestamp
        stream.delta_ms = delta
        stream.time_field = time_field
        stream.extended = extended
        stream.length = length
        stream.type_id = type_id
        stream.stream_id = stream_id
        self._position = payload_end
        if size == length:
            if not length:
                self._count_empty_message(self._consumed_bytes + start)
            message = Message(type_id, stream_id, timestamp, data[position:payload_end])
        else:
            whole = self._append(stream, body, data[position:payload_end])
            if whole is None:
                return None
            message = Message(type_id, stream_id, timestamp, whole)
        if type_id <= MessageType.ABORT:
            self._obey(message)
        return message

    def _count_empty_message(self, consumed_bytes: int) -> None:
        self._empty_messages += 1
        if (
            self._empty_messages
            > self._limits.max_empty_messages + consumed_bytes // _BYTES_PER_EMPTY_MESSAGE
        ):
            raise RemoteProtocolError(f"RTMP: {self._empty_messages} messages without a body")

    def _wait_for(self, needed_bytes: int) -> Message | None:
        self._needed_bytes = needed_bytes
        return None

    def _new_stream(self, chunk_stream_id: int, chunk_type: int) -> _ChunkStream:
        # 5.3.1.2.1 wants type 0 first; librtmp starts its ping answers with type 1 on a fresh stream.
        if chunk_type > 1:
            raise RemoteProtocolError(
                f"RTMP chunk stream {chunk_stream_id}: begins with a type {chunk_type} chunk, which refers "
                "to an earlier one"
            )
        if len(self._streams) >= self._limits.max_chunk_streams:
            raise RemoteProtocolError(f"RTMP: more than {self._limits.max_chunk_streams} chunk streams")
        stream = self._streams[chunk_stream_id] = _ChunkStream()
        return stream

    def _repeated_time(self, data: bytes, position: int, stream: _ChunkStream) -> tuple[int, int, int]:
        """The position behind the extended time of a type 3 chunk, that time, and what it means as a delta.

        In the middle of a message the field repeats what the first chunk had; some senders leave it out.
        (32 bits of payload that look the same are one chance in four billion.) At the start of a message
        it may as well be the new absolute time.
        """
        value: int = _UINT32.unpack_from(data, position)[0]
        if value in (stream.time_field, stream.timestamp_ms):
            return position + 4, value, stream.delta_ms
        step_ms = value - stream.timestamp_ms & 0xFFFFFFFF
        if stream.body is None and step_ms <= _MAX_PLAUSIBLE_STEP_MS:
            return position + 4, value, step_ms
        return position, stream.time_field, stream.delta_ms

    def _append(self, stream: _ChunkStream, body: bytearray | None, piece: bytes) -> bytes | None:
        """Add to an unfinished message; the whole of it when this was the last piece."""
        if body is None:
            body = stream.body = bytearray()
        body += piece
        self._unfinished_bytes += len(piece)
        if len(body) < stream.length:
            if self._unfinished_bytes > self._limits.max_buffered_bytes:
                raise RemoteProtocolError(
                    f"RTMP: more than {self._limits.max_buffered_bytes} bytes in unfinished messages"
                )
            return None
        self._unfinished_bytes -= len(body)
        stream.body = None
        return bytes(body)

    def _obey(self, message: Message) -> None:
        if message.type_id == MessageType.SET_CHUNK_SIZE:
            self._chunk_bytes = min(chunk_size_of(message.payload), MAX_CHUNK_BYTES)
        elif message.type_id == MessageType.ABORT:
            aborted = self._streams.get(uint32_of(message.payload, "Abort"))
            if aborted is not None and aborted.body is not None:
                self._unfinished_bytes -= len(aborted.body)
                aborted.body = None

    def _too_large(self, type_id: int, length: int) -> RemoteProtocolError:
        return RemoteProtocolError(
            f"RTMP: a message of type {type_id} with {length} bytes, at most "
            f"{self._limit_of_type[type_id]} are accepted"
        )


def encode_message(message: Message, chunk_stream_id: int, chunk_bytes: int) -> list[bytes]:
    """``message`` as chunks, to be sent one after the other: headers, and slices of its payload.

    The first chunk is always of type 0: four bytes more than a difference would take, and the result
    depends on nothing that was sent before, so that one serialisation serves every player.
    """
    if not 2 <= chunk_stream_id <= 63:
        raise ValueError(f"chunk stream {chunk_stream_id}: only the ids of one byte are used for sending")
    payload = message.payload
    extended = message.timestamp_ms >= _EXTENDED
    time_field = _EXTENDED if extended else message.timestamp_ms
    tail = _UINT32.pack(message.timestamp_ms) if extended else b""
    header = (
        bytes((chunk_stream_id,))
        + time_field.to_bytes(3, "big")
        + len(payload).to_bytes(3, "big")
        + bytes((message.type_id,))
        + _STREAM_ID.pack(message.stream_id)
        + tail
    )
    if len(payload) <= chunk_bytes:
        return [header, payload]
    pieces = [header, payload[:chunk_bytes]]
    continuation = bytes((0xC0 | chunk_stream_id,)) + tail
    for start in range(chunk_bytes, len(payload), chunk_bytes):
        pieces += (continuation, payload[start : start + chunk_bytes])
    return pieces


def _limits_by_type(limits: RtmpLimits) -> list[int]:
    """The largest accepted message by type id; types that nobody uses are as small as commands."""
    of_type = [limits.max_command_bytes] * 256
    for control in _CONTROL_TYPES:
        of_type[control] = _CONTROL_LIMIT_BYTES
    of_type[MessageType.AUDIO] = limits.max_audio_bytes
    of_type[MessageType.VIDEO] = of_type[MessageType.AGGREGATE] = limits.max_video_bytes
    of_type[MessageType.DATA_AMF0] = of_type[MessageType.DATA_AMF3] = limits.max_data_bytes
    return of_type
