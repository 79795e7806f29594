"""The client role of RTMP: publishes or plays on somebody else's server (RTMP 1.0, section 7.2)."""

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.rtmp.connection import WINDOW_BYTES, ConnectionState, RtmpConnection
from openstreamer.wire.rtmp.enhanced import announced_capabilities, announced_four_ccs, capability_fields
from openstreamer.wire.rtmp.events import (
    CallFailed,
    ConnectAnswered,
    StatusReceived,
    StreamClosed,
    StreamCreated,
)
from openstreamer.wire.rtmp.handshake import ClientHandshake
from openstreamer.wire.rtmp.limits import DEFAULT_CHUNK_BYTES, RtmpLimits
from openstreamer.wire.rtmp.messages import MessageType, UserControl, user_control
from openstreamer.wire.rtmp.states import IN_USE, MessageStream, StreamInput, StreamState

_FLASH_VERSION = "FMLE/3.0 (compatible; Openstreamer)"  # servers look for the first word
_PLAY_BUFFER_MS = 1000

_ACCEPTING = frozenset({"NetStream.Publish.Start", "NetStream.Play.Start"})
_ENDING = frozenset({"NetStream.Unpublish.Success", "NetStream.Play.Stop", "NetStream.Play.UnpublishNotify"})


class RtmpClient(RtmpConnection):
    """One connection to a server.

    In order: :class:`HandshakeCompleted`, :meth:`send_connect`, :class:`ConnectAnswered`,
    :meth:`send_create_stream`, :class:`StreamCreated`, :meth:`send_publish` or :meth:`send_play`,
    :class:`StatusReceived` with ``NetStream.Publish.Start`` or ``NetStream.Play.Start``, then media.
    """

    _RECEIVING = (StreamState.PLAYING, StreamState.PLAY_REQUESTED)

    def __init__(
        self,
        *,
        limits: RtmpLimits | None = None,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        digest_handshake: bool = True,
        digest_scheme: int = 0,
    ) -> None:
        handshake = ClientHandshake(digest=digest_handshake, scheme=digest_scheme)
        super().__init__(handshake, limits=limits or RtmpLimits(), chunk_bytes=chunk_bytes)
        self._calls: dict[float, str] = {}
        self._last_transaction_id = 0
        self._last_stream_id = 0

    def send_connect(self, app: str, tc_url: str) -> None:
        """Name the application. ``tc_url`` is the URL without the stream name and without secrets."""
        if self.state is not ConnectionState.OPEN or self._calls:
            raise LocalProtocolError(f"RTMP: connect is impossible while {self.state.value}")
        self._announce_chunk_size()
        options: dict[str, AmfValue] = {
            "app": app,
            "type": "nonprivate",
            "flashVer": _FLASH_VERSION,
            "tcUrl": tc_url,
            "objectEncoding": 0.0,
            **capability_fields(),
        }
        self._call("connect", options)

    def send_create_stream(self, *, publish_name: str = "") -> None:
        """Ask for a message stream; encoders name what they will publish before they do."""
        self._expect_connected("createStream")
        if publish_name:
            self._call("releaseStream", None, publish_name)
            self._call("FCPublish", None, publish_name)
        self._call("createStream", None)

    def send_publish(self, stream_id: int, name: str, kind: str = "live") -> None:
        """Ask to publish on a created stream."""
        self._step(stream_id, StreamInput.PUBLISH, name)
        self._send_command(stream_id, "publish", self._next_transaction_id(), None, name, kind)

    def send_play(self, stream_id: int, name: str) -> None:
        """Ask to play on a created stream, from the live edge (a start of -2000, section 7.2.2.1)."""
        self._step(stream_id, StreamInput.PLAY, name)
        self._send_command(stream_id, "play", self._next_transaction_id(), None, name, -2000.0)
        buffer = user_control(UserControl.SET_BUFFER_LENGTH, stream_id, _PLAY_BUFFER_MS)
        self._send_control(MessageType.USER_CONTROL, buffer)

    def send_media(self, stream_id: int, is_video: bool, timestamp_ms: int, payload: bytes) -> None:
        """Publish one FLV tag body."""
        self._expect_publishing(stream_id)
        self._send_media(stream_id, is_video, timestamp_ms, payload)

    def send_metadata(self, stream_id: int, values: dict[str, AmfValue]) -> None:
        """Publish ``onMetaData``."""
        self._expect_publishing(stream_id)
        self._send_data(stream_id, 0, "@setDataFrame", "onMetaData", amf0.EcmaArray(values))

    def send_close(self, stream_id: int) -> None:
        """Finish publishing or playing, and give the message stream back."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            raise LocalProtocolError(f"RTMP stream {stream_id}: closed twice or never created")
        if stream.state in (StreamState.PUBLISH_REQUESTED, StreamState.PUBLISHING):
            self._call("FCUnpublish", None, stream.name)
        self._send_command(0, "deleteStream", self._next_transaction_id(), None, float(stream_id))

    # ------------------------------------------------------------------ answers of the server

    def _handle_command(
        self, name: str, transaction_id: float, arguments: list[AmfValue], stream_id: int
    ) -> None:
        if name in ("_result", "_error"):
            self._receive_answer(name == "_result", transaction_id, arguments)
        elif name == "onStatus":
            self._receive_status(stream_id, arguments)
        else:
            self.ignored_messages += 1  # onBWDone, onFCPublish and the like

    def _receive_answer(self, accepted: bool, transaction_id: float, arguments: list[AmfValue]) -> None:
        command = self._calls.pop(transaction_id, None)
        fields = _fields(arguments[1]) if len(arguments) > 1 else {}
        code, description = _text(fields.get("code")), _text(fields.get("description"))
        if command == "connect":
            if accepted:
                self.state = ConnectionState.CONNECTED
                self._announce_window(WINDOW_BYTES)
            four_ccs, capabilities = announced_four_ccs(fields), announced_capabilities(fields)
            self._events.append(ConnectAnswered(accepted, code, description, four_ccs, capabilities))
        elif command == "createStream" and accepted:
            self._stream_created(amf0.number_or_none(arguments[1]) if len(arguments) > 1 else None)
        elif command is None:
            self.ignored_messages += 1
        elif not accepted:
            self._events.append(CallFailed(command, code, description))

    def _stream_created(self, number: float | None) -> None:
        if number is None or not 1 <= number <= 0xFFFFFFFF or int(number) in self._streams:
            raise RemoteProtocolError(f"RTMP createStream: {number} is not a new stream id")
        stream_id = int(number)
        self._streams[stream_id] = MessageStream(stream_id)
        self._last_stream_id = max(self._last_stream_id, stream_id)
        self._events.append(StreamCreated(stream_id))

    def _receive_status(self, stream_id: int, arguments: list[AmfValue]) -> None:
        fields = _fields(arguments[1]) if len(arguments) > 1 else {}
        level, code = _text(fields.get("level")), _text(fields.get("code"))
        stream = self._streams.get(stream_id) or self._stream_meant_by(0)  # whatever the server calls it
        if stream is not None:
            self._apply_status(stream, level, code)
            stream_id = stream.stream_id
        self._events.append(StatusReceived(stream_id, level, code, _text(fields.get("description"))))

    def _apply_status(self, stream: MessageStream, level: str, code: str) -> None:
        if code in _ACCEPTING:
            if stream.state in (StreamState.PUBLISH_REQUESTED, StreamState.PLAY_REQUESTED):
                stream.step(StreamInput.ACCEPT, RemoteProtocolError)
        elif level == "error":
            if stream.state in IN_USE:
                stream.step(StreamInput.REJECT, RemoteProtocolError)
        elif code in _ENDING and stream.state in IN_USE:
            stream.step(StreamInput.CLOSE, RemoteProtocolError)
            self._events.append(StreamClosed(stream.stream_id))

    def _stream_meant_by(self, stream_id: int) -> MessageStream | None:
        """Some servers, FFmpeg's among them, send status and media of the only stream on stream 0."""
        return next(iter(self._streams.values())) if stream_id == 0 and len(self._streams) == 1 else None

    # ------------------------------------------------------------------ sending

    def _call(self, command: str, *arguments: AmfValue) -> None:
        if len(self._calls) >= self._limits.max_pending_calls:
            raise LocalProtocolError("RTMP: too many commands wait for their answer")
        transaction_id = self._next_transaction_id()
        self._calls[transaction_id] = command
        self._send_command(0, command, transaction_id, *arguments)

    def _next_transaction_id(self) -> float:
        self._last_transaction_id += 1
        return float(self._last_transaction_id)

    def _step(self, stream_id: int, happened: StreamInput, name: str) -> None:
        self._expect_connected(happened.value)
        stream = self._streams.get(stream_id)
        if stream is None:
            raise LocalProtocolError(f"RTMP stream {stream_id}: {happened.value} on a stream not created")
        stream.step(happened, LocalProtocolError)
        stream.name = name

    def _expect_connected(self, what: str) -> None:
        if self.state is not ConnectionState.CONNECTED:
            raise LocalProtocolError(f"RTMP: {what} is impossible while {self.state.value}")

    def _expect_publishing(self, stream_id: int) -> None:
        if self.stream_state(stream_id) is not StreamState.PUBLISHING:
            raise LocalProtocolError(f"RTMP stream {stream_id}: the server has not accepted the publication")


def _fields(value: AmfValue) -> dict[str, AmfValue]:
    return value if isinstance(value, dict) else {}


def _text(value: AmfValue) -> str:
    return value if isinstance(value, str) else ""
