"""What both ends of an RTMP connection do: handshake, chunks, control messages, media.

Sans-IO. Feed ``receive_data`` and ``receive_eof``, take ``events()``, write ``data_to_send()``. The roles
are :class:`~openstreamer.wire.rtmp.server.RtmpServer` and :class:`~openstreamer.wire.rtmp.client.RtmpClient`.
Specification: Adobe, *Real Time Messaging Protocol* 1.0 (2012), and *Enhanced RTMP* v2 (Veovera).
"""

import enum
import sys
from collections.abc import Iterator

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.rtmp.chunks import ChunkReader, encode_message
from openstreamer.wire.rtmp.events import (
    ConnectionEnded,
    HandshakeCompleted,
    MediaReceived,
    MetadataReceived,
    RtmpEvent,
)
from openstreamer.wire.rtmp.handshake import ClientHandshake, ServerHandshake
from openstreamer.wire.rtmp.limits import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES, RtmpLimits
from openstreamer.wire.rtmp.messages import (
    ChunkStreamId,
    Message,
    MessageType,
    UserControl,
    sub_messages,
    uint32_of,
    user_control,
)
from openstreamer.wire.rtmp.states import MessageStream, StreamState

WINDOW_BYTES = 2_500_000  # what encoders and servers commonly announce; acknowledged at least this often
_BYTES_PER_ANSWER = 1024  # servers ping every few seconds

_MAX_VALUES = 1024  # in one message, which takes four milliseconds; encoders send thirty
_BYTES_LIKE_A_MESSAGE = 64  # of a command: to decode so many takes as long as a message of media

_IGNORED_TYPES = frozenset(
    {
        MessageType.SET_CHUNK_SIZE,
        MessageType.ABORT,
        MessageType.ACKNOWLEDGEMENT,
        MessageType.SHARED_OBJECT_AMF0,
    }
    | {MessageType.SHARED_OBJECT_AMF3}
)
_AUDIO = int(MessageType.AUDIO)
_VIDEO = int(MessageType.VIDEO)


class ConnectionState(enum.Enum):
    """How far a connection has come."""

    HANDSHAKE = "handshake"
    OPEN = "open"  # chunks flow, no application yet
    CONNECTED = "connected"
    ENDED = "ended"


class RtmpConnection:
    """The part of the protocol machine that does not depend on the role."""

    # The states in which the peer may send us media: set by the role.
    _RECEIVING: tuple[StreamState, ...]

    def __init__(
        self,
        handshake: ServerHandshake | ClientHandshake,
        *,
        limits: RtmpLimits,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    ) -> None:
        if not 1 <= chunk_bytes <= MAX_CHUNK_BYTES:
            raise ValueError(f"chunk_bytes must be between 1 and {MAX_CHUNK_BYTES}, not {chunk_bytes}")
        self.state = ConnectionState.HANDSHAKE
        self.ignored_messages = 0  # of types and commands that mean nothing here
        self._handshake = handshake
        self._limits = limits
        self._reader = ChunkReader(limits)
        self._parts: Iterator[Message] | None = None  # of an aggregate message, those that were not taken yet
        self._chunk_bytes = chunk_bytes
        self._sending_chunk_bytes = 128
        self._streams: dict[int, MessageStream] = {}
        self._last_stream_id = 0
        self._events: list[RtmpEvent] = []
        self._out: list[bytes] = [handshake.data_to_send()]
        self._received_bytes = 0
        self._acknowledged_bytes = 0
        self._window_bytes = WINDOW_BYTES
        self._announced_window_bytes = 0
        self._answers = 0  # to pings and bandwidths

    def __repr__(self) -> str:
        streams = ", ".join(map(repr, self._streams.values()))
        return f"<{type(self).__name__} {self.state.value} [{streams}] {self._reader!r}>"

    @property
    def buffered_bytes(self) -> int:
        """What was received and waits for more."""
        return self._reader.buffered_bytes

    @property
    def peer_chunk_bytes(self) -> int:
        """The chunk size the peer announced; FFmpeg uses the same for what it sends."""
        return self._reader.chunk_bytes

    @property
    def has_more(self) -> bool:
        """Whether messages that were received have not been taken: feed nothing to take more of them."""
        return self.state is not ConnectionState.ENDED and (self._parts is not None or self._reader.has_more)

    def receive_data(self, data: bytes, max_messages: int = sys.maxsize) -> None:
        """Feed received bytes; then take :meth:`events` and :meth:`data_to_send`.

        Of so many bytes thousands of messages may be made, which takes time: ``max_messages`` of them are
        taken at the most, fewer when they hold much to be decoded, and :attr:`has_more` tells when that were
        not all.

        Raises:
            RemoteProtocolError: the peer broke the protocol or a bound; the connection is over. Events of
                what came before are still there.
        """
        if self.state is ConnectionState.ENDED:
            raise LocalProtocolError("RTMP: data fed to a connection that is over")
        try:
            if self.state is ConnectionState.HANDSHAKE:
                data = self._shake_hands(data)
            self._received_bytes += len(data)
            if data:
                self._reader.feed(data)
            self._take_messages(max_messages)
        except RemoteProtocolError:
            self.state = ConnectionState.ENDED
            raise
        if self._received_bytes - self._acknowledged_bytes >= self._window_bytes:
            self._acknowledge()

    def receive_eof(self) -> None:
        """The peer will send nothing more."""
        if self.state is not ConnectionState.ENDED:
            self.state = ConnectionState.ENDED
            self._events.append(ConnectionEnded())

    def events(self) -> list[RtmpEvent]:
        """What happened since the last call."""
        events = self._events
        self._events = []
        return events

    def data_to_send(self) -> bytes:
        """What must be written to the peer; cleared by the call."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def stream_state(self, stream_id: int) -> StreamState:
        """What the message stream is used for; ``CLOSED`` for one that was deleted."""
        stream = self._streams.get(stream_id)
        return StreamState.CLOSED if stream is None else stream.state

    def send_ping(self, time_ms: int) -> None:
        """Ask the peer for a sign of life (7.1.7)."""
        self._send_control(MessageType.USER_CONTROL, user_control(UserControl.PING_REQUEST, time_ms))

    # ------------------------------------------------------------------ receiving

    def _shake_hands(self, data: bytes) -> bytes:
        rest = self._handshake.receive_data(data)
        self._out.append(self._handshake.data_to_send())
        if self._handshake.done:
            self.state = ConnectionState.OPEN
            self._events.append(HandshakeCompleted())
        return rest

    def _take_messages(self, max_messages: int) -> None:
        next_message = self._reader.next_message
        while max_messages > 0:
            message = next_message() if self._parts is None else self._next_part()
            if message is None:
                break
            self._receive_message(message)
            is_media = message.type_id in (_VIDEO, _AUDIO)
            max_messages -= 1 if is_media else 1 + len(message.payload) // _BYTES_LIKE_A_MESSAGE

    def _next_part(self) -> Message | None:
        """The next part of an aggregate message, the next message behind the last one."""
        assert self._parts is not None
        message = next(self._parts, None)
        if message is None:
            self._parts = None
            return self._reader.next_message()
        return message

    def _receive_message(self, message: Message) -> None:
        type_id, stream_id, timestamp_ms, payload = message
        if type_id in (_VIDEO, _AUDIO):
            stream = self._streams.get(stream_id) or self._stream_meant_by(stream_id)
            if stream is not None and stream.state in self._RECEIVING:
                self._events.append(MediaReceived(type_id == _VIDEO, stream.stream_id, timestamp_ms, payload))
            else:
                self._expect_late_media(message)
        elif type_id == MessageType.COMMAND_AMF0:
            self._receive_command(message, payload)
        elif type_id == MessageType.COMMAND_AMF3:
            self._receive_command(message, _amf0_part(payload))
        elif type_id in (MessageType.DATA_AMF0, MessageType.DATA_AMF3):
            self._receive_data_message(message)
        elif type_id == MessageType.AGGREGATE:
            self._parts = sub_messages(message)
        elif type_id == MessageType.USER_CONTROL:
            self._receive_user_control(payload)
        elif type_id == MessageType.WINDOW_ACK_SIZE:
            self._window_bytes = max(1, uint32_of(payload, "WindowAckSize"))
        elif type_id == MessageType.SET_PEER_BANDWIDTH:
            self._receive_peer_bandwidth(payload)
        elif type_id not in _IGNORED_TYPES:
            self.ignored_messages += 1

    def _stream_meant_by(self, stream_id: int) -> MessageStream | None:
        """The stream that a peer means by the id of none."""
        return None

    def _expect_late_media(self, message: Message) -> None:
        """Media of a stream that was refused or closed is still on its way; of others it is an error."""
        stream = self._streams.get(message.stream_id)
        if stream is None:
            on_the_way = 0 < message.stream_id <= self._last_stream_id
        else:
            on_the_way = stream.state in (StreamState.REFUSED, StreamState.CLOSED)
        if not on_the_way:
            raise RemoteProtocolError(
                f"RTMP: media on message stream {message.stream_id}, which nobody opened"
            )
        self.ignored_messages += 1

    def _receive_data_message(self, message: Message) -> None:
        """``onMetaData``, with or without ``@setDataFrame``. It is a hint, so that a bad one does no harm."""
        payload = message.payload
        try:
            values = _values_in(_amf0_part(payload) if payload[:1] == b"\0" else payload)
        except RemoteProtocolError:
            self.ignored_messages += 1
            return
        if values[:1] == ["@setDataFrame"]:
            del values[0]
        stream = self._streams.get(message.stream_id) or self._stream_meant_by(message.stream_id)
        announces = len(values) >= 2 and values[0] == "onMetaData" and isinstance(values[1], dict)
        if stream is not None and stream.state in self._RECEIVING and announces:
            assert isinstance(values[1], dict)
            self._events.append(MetadataReceived(stream.stream_id, message.timestamp_ms, values[1]))
        else:
            self.ignored_messages += 1

    def _receive_user_control(self, payload: bytes) -> None:
        if len(payload) < 2:
            raise RemoteProtocolError("RTMP user control message: shorter than its event type")
        if int.from_bytes(payload[:2], "big") == UserControl.PING_REQUEST:
            time_ms = uint32_of(payload[2:], "ping request")
            self._count_answer()
            self._send_control(MessageType.USER_CONTROL, user_control(UserControl.PING_RESPONSE, time_ms))

    def _receive_peer_bandwidth(self, payload: bytes) -> None:
        # 5.4.5: answer with our window when it changes.
        window_bytes = uint32_of(payload, "SetPeerBandwidth")
        if window_bytes and window_bytes != self._announced_window_bytes:
            self._count_answer()
            self._announce_window(window_bytes)

    def _count_answer(self) -> None:
        """Each takes seven microseconds: at 2 MB/s, requests alone would take a core."""
        self._answers += 1
        if self._answers > self._limits.max_answers + self._received_bytes // _BYTES_PER_ANSWER:
            raise RemoteProtocolError(
                f"RTMP: {self._answers} requests for an answer in {self._received_bytes} bytes"
            )

    def _receive_command(self, message: Message, payload: bytes) -> None:
        values = _values_in(payload)
        if not values or not isinstance(values[0], str):
            raise RemoteProtocolError("RTMP command: the name is missing")
        # FFmpeg's server says "onFCPublish" and nothing more.
        transaction_id = amf0.number_or_none(values[1]) if len(values) > 1 else 0.0
        if transaction_id is None:
            raise RemoteProtocolError(f"RTMP command {values[0][:40]!r}: the transaction id is not a number")
        self._handle_command(values[0], transaction_id, values[2:], message.stream_id)

    def _handle_command(
        self, name: str, transaction_id: float, arguments: list[AmfValue], stream_id: int
    ) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------------ sending

    def _send(self, chunk_stream_id: int, message: Message) -> None:
        self._out += encode_message(message, chunk_stream_id, self._sending_chunk_bytes)

    def _send_control(self, type_id: MessageType, payload: bytes) -> None:
        self._send(ChunkStreamId.CONTROL, Message(type_id, 0, 0, payload))

    def _send_command(self, stream_id: int, *values: AmfValue) -> None:
        payload = amf0.encode(*values)
        self._send(ChunkStreamId.COMMAND, Message(MessageType.COMMAND_AMF0, stream_id, 0, payload))

    def _send_media(self, stream_id: int, is_video: bool, timestamp_ms: int, payload: bytes) -> None:
        if is_video:
            message = Message(_VIDEO, stream_id, timestamp_ms & 0xFFFFFFFF, payload)
            self._send(ChunkStreamId.VIDEO, message)
        else:
            message = Message(_AUDIO, stream_id, timestamp_ms & 0xFFFFFFFF, payload)
            self._send(ChunkStreamId.AUDIO, message)

    def _send_data(self, stream_id: int, timestamp_ms: int, *values: AmfValue) -> None:
        message = Message(MessageType.DATA_AMF0, stream_id, timestamp_ms & 0xFFFFFFFF, amf0.encode(*values))
        self._send(ChunkStreamId.DATA, message)

    def _announce_chunk_size(self) -> None:
        self._send_control(MessageType.SET_CHUNK_SIZE, self._chunk_bytes.to_bytes(4, "big"))
        self._sending_chunk_bytes = self._chunk_bytes

    def _announce_window(self, window_bytes: int) -> None:
        self._announced_window_bytes = window_bytes
        self._send_control(MessageType.WINDOW_ACK_SIZE, window_bytes.to_bytes(4, "big"))

    def _acknowledge(self) -> None:
        self._acknowledged_bytes = self._received_bytes
        count = self._received_bytes & 0xFFFFFFFF  # 5.4.3: a sequence number of 32 bits
        self._send_control(MessageType.ACKNOWLEDGEMENT, count.to_bytes(4, "big"))


def _values_in(payload: bytes) -> list[AmfValue]:
    return amf0.decode(payload, max_values=_MAX_VALUES)


def _amf0_part(payload: bytes) -> bytes:
    """The AMF0 values in a message of an AMF3 type: peers put a zero byte before them."""
    if payload[:1] != b"\0":
        raise RemoteProtocolError("RTMP: a command of an AMF3 type that does not begin with AMF0")
    return payload[1:]
