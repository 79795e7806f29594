"""The server role of RTMP: answers connect, createStream, publish and play (RTMP 1.0, section 7.2)."""

from collections.abc import Callable
from typing import TypeAlias

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import UNDEFINED, AmfValue
from openstreamer.wire.rtmp.connection import WINDOW_BYTES, ConnectionState, RtmpConnection
from openstreamer.wire.rtmp.enhanced import (
    RECONNECT,
    announced_capabilities,
    announced_four_ccs,
    capability_fields,
)
from openstreamer.wire.rtmp.events import (
    ConnectRequested,
    PlayRequested,
    PublishRequested,
    StreamClosed,
)
from openstreamer.wire.rtmp.handshake import ServerHandshake
from openstreamer.wire.rtmp.limits import DEFAULT_CHUNK_BYTES, RtmpLimits
from openstreamer.wire.rtmp.messages import MessageType, UserControl, user_control
from openstreamer.wire.rtmp.names import path_and_query
from openstreamer.wire.rtmp.states import IN_USE, MessageStream, StreamInput, StreamState

_DYNAMIC = b"\x02"  # 5.4.5: limit type "dynamic"
_FLASH_MEDIA_SERVER = "FMS/3,5,7,7009"  # a version that encoders know; some refuse an unknown one


class RtmpServer(RtmpConnection):
    """One accepted connection.

    ``connect`` and ``createStream`` are answered here; the owner decides about :class:`PublishRequested`
    and :class:`PlayRequested`. Media that arrives before that decision is delivered, as some encoders do
    not wait.
    """

    _RECEIVING = (StreamState.PUBLISHING, StreamState.PUBLISH_REQUESTED)

    def __init__(self, *, limits: RtmpLimits | None = None, chunk_bytes: int = DEFAULT_CHUNK_BYTES) -> None:
        super().__init__(ServerHandshake(), limits=limits or RtmpLimits(), chunk_bytes=chunk_bytes)
        self._app = ""
        self._capabilities = 0

    # ------------------------------------------------------------------ decisions of the owner

    def accept_publish(self, stream_id: int) -> None:
        """Let the client publish."""
        self._step(stream_id, StreamInput.ACCEPT, StreamState.PUBLISH_REQUESTED)
        self._send_stream_begin(stream_id)
        self._send_status(stream_id, "status", "NetStream.Publish.Start", "Publishing.")

    def reject_publish(self, stream_id: int, code: str, description: str) -> None:
        """Refuse to publish, or end a publication for good: ``code`` as in ``NetStream.Publish.BadName``."""
        self._step(stream_id, StreamInput.REJECT)
        self._send_status(stream_id, "error", code, description)

    def end_publish(self, stream_id: int, description: str) -> None:
        """End a publication for reasons that pass: the client shall connect again.

        A client that said it can is asked to (Enhanced RTMP v2, "Reconnect Request"). For the others the
        application shuts down, which no encoder takes for its own fault, as it does ``Publish.Denied``.
        """
        self._step(stream_id, StreamInput.REJECT)
        if self._capabilities & RECONNECT:
            self._send_status(0, "status", "NetConnection.Connect.ReconnectRequest", description)
        else:
            self._send_status(0, "error", "NetConnection.Connect.AppShutdown", description)

    def accept_play(self, stream_id: int) -> None:
        """Let the client play; media may be sent from now on."""
        self._step(stream_id, StreamInput.ACCEPT, StreamState.PLAY_REQUESTED)
        self._send_stream_begin(stream_id)
        self._send_status(stream_id, "status", "NetStream.Play.Reset", "Playing and resetting.")
        self._send_status(stream_id, "status", "NetStream.Play.Start", "Started playing.")
        self._send_data(stream_id, 0, "|RtmpSampleAccess", True, True)
        self._send_data(stream_id, 0, "onStatus", {"code": "NetStream.Data.Start"})

    def reject_play(self, stream_id: int, code: str, description: str) -> None:
        """Refuse to play, or end it: ``code`` such as ``NetStream.Play.StreamNotFound``."""
        self._step(stream_id, StreamInput.REJECT)
        self._send_status(stream_id, "error", code, description)

    def end_play(self, stream_id: int) -> None:
        """Tell a player that there is no more."""
        self._step(stream_id, StreamInput.CLOSE)
        self._send_control(MessageType.USER_CONTROL, user_control(UserControl.STREAM_EOF, stream_id))
        self._send_status(stream_id, "status", "NetStream.Play.UnpublishNotify", "The stream is over.")

    def send_media(self, stream_id: int, is_video: bool, timestamp_ms: int, payload: bytes) -> None:
        """Send one FLV tag body to a player."""
        if self.stream_state(stream_id) is not StreamState.PLAYING:
            raise LocalProtocolError(f"RTMP stream {stream_id}: media sent to who does not play")
        self._send_media(stream_id, is_video, timestamp_ms, payload)

    def send_metadata(self, stream_id: int, timestamp_ms: int, values: dict[str, AmfValue]) -> None:
        """Send ``onMetaData`` to a player."""
        if self.stream_state(stream_id) is not StreamState.PLAYING:
            raise LocalProtocolError(f"RTMP stream {stream_id}: metadata sent to who does not play")
        self._send_data(stream_id, timestamp_ms, "onMetaData", amf0.EcmaArray(values))

    def _step(self, stream_id: int, happened: StreamInput, before: StreamState | None = None) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise LocalProtocolError(f"RTMP stream {stream_id}: the client has deleted it")
        if before is not None and stream.state is not before:
            raise LocalProtocolError(f"RTMP stream {stream_id}: not {before.value} but {stream.state.value}")
        stream.step(happened, LocalProtocolError)

    # ------------------------------------------------------------------ commands of the client

    def _handle_command(
        self, name: str, transaction_id: float, arguments: list[AmfValue], stream_id: int
    ) -> None:
        if (self.state is ConnectionState.OPEN) != (name == "connect"):
            raise RemoteProtocolError(f"RTMP: command {name[:40]!r} while {self.state.value}")
        handler = _HANDLERS.get(name)
        if handler is not None:
            handler(self, transaction_id, arguments, stream_id)
            return
        self.ignored_messages += 1
        if transaction_id:  # 7.2: 0 means that no answer is expected
            failed = _status("error", "NetConnection.Call.Failed", f"Unknown command {name[:40]!r}.")
            self._send_command(0, "_error", transaction_id, None, failed)

    def _connect(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        options = arguments[0] if arguments else None
        if not isinstance(options, dict):
            raise RemoteProtocolError("RTMP connect: the command object is missing")
        self._app = _text(options.get("app"))
        self._capabilities = announced_capabilities(options)
        self.state = ConnectionState.CONNECTED
        self._announce_window(WINDOW_BYTES)
        self._send_control(MessageType.SET_PEER_BANDWIDTH, WINDOW_BYTES.to_bytes(4, "big") + _DYNAMIC)
        self._announce_chunk_size()
        server: dict[str, AmfValue] = {"fmsVer": _FLASH_MEDIA_SERVER, "capabilities": 31.0, "mode": 1.0}
        # Object encoding 0: whatever the client offered, we speak AMF0.
        outcome = _status("status", "NetConnection.Connect.Success", "Connection succeeded.")
        outcome |= {"objectEncoding": 0.0, **capability_fields()}
        self._send_command(0, "_result", transaction_id, server, outcome)
        self._events.append(
            ConnectRequested(
                self._app,
                _text(options.get("tcUrl")),
                _text(options.get("flashVer")),
                announced_four_ccs(options),
                self._capabilities,
            )
        )

    def _create_stream(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        if len(self._streams) >= self._limits.max_message_streams:
            raise RemoteProtocolError(f"RTMP: more than {self._limits.max_message_streams} message streams")
        self._last_stream_id += 1
        self._streams[self._last_stream_id] = MessageStream(self._last_stream_id)
        self._send_command(0, "_result", transaction_id, None, float(self._last_stream_id))

    def _publish(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        name = _text(arguments[1]) if len(arguments) > 1 else ""
        kind = _text(arguments[2]) if len(arguments) > 2 else "live"
        path, query = path_and_query(self._app, name)
        self._request(stream_id, StreamInput.PUBLISH, name)
        self._events.append(PublishRequested(stream_id, path, query, kind))

    def _play(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        name = _text(arguments[1]) if len(arguments) > 1 else ""
        path, query = path_and_query(self._app, name)
        self._request(stream_id, StreamInput.PLAY, name)
        self._events.append(PlayRequested(stream_id, path, query))

    def _request(self, stream_id: int, happened: StreamInput, name: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise RemoteProtocolError(
                f"RTMP: {happened.value} on message stream {stream_id}, which was not created"
            )
        stream.step(happened, RemoteProtocolError)
        stream.name = name

    def _unpublish(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        name = _text(arguments[1]) if len(arguments) > 1 else ""
        for stream in self._streams.values():
            if stream.name == name and stream.state in self._RECEIVING:
                self._close(stream)
        self._answer_call(transaction_id, arguments, stream_id)

    def _close_stream(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._close(stream)

    def _delete_stream(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        number = amf0.number_or_none(arguments[1]) if len(arguments) > 1 else None
        stream = self._streams.pop(int(number), None) if number is not None else None
        if stream is not None:
            self._close(stream)

    def _close(self, stream: MessageStream) -> None:
        if stream.state in IN_USE:
            self._events.append(StreamClosed(stream.stream_id))
        stream.step(StreamInput.CLOSE, RemoteProtocolError)

    def _get_stream_length(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        self._send_command(0, "_result", transaction_id, None, 0.0)  # live has no length

    def _answer_call(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        """Commands that encoders send around publishing and that need no more than an answer."""
        if transaction_id:
            self._send_command(0, "_result", transaction_id, None, UNDEFINED)

    def _ignore(self, transaction_id: float, arguments: list[AmfValue], stream_id: int) -> None:
        """Commands and answers that change nothing for a live stream."""

    # ------------------------------------------------------------------ sending

    def _send_stream_begin(self, stream_id: int) -> None:
        self._send_control(MessageType.USER_CONTROL, user_control(UserControl.STREAM_BEGIN, stream_id))

    def _send_status(self, stream_id: int, level: str, code: str, description: str) -> None:
        self._send_command(stream_id, "onStatus", 0.0, None, _status(level, code, description))


_Handler: TypeAlias = Callable[[RtmpServer, float, list[AmfValue], int], None]

_HANDLERS: dict[str, _Handler] = {
    "connect": RtmpServer._connect,
    "createStream": RtmpServer._create_stream,
    "publish": RtmpServer._publish,
    "play": RtmpServer._play,
    "closeStream": RtmpServer._close_stream,
    "deleteStream": RtmpServer._delete_stream,
    "FCUnpublish": RtmpServer._unpublish,
    "FCPublish": RtmpServer._answer_call,
    "releaseStream": RtmpServer._answer_call,
    "_checkbw": RtmpServer._answer_call,
    "getStreamLength": RtmpServer._get_stream_length,
    "pause": RtmpServer._ignore,
    "seek": RtmpServer._ignore,
    "receiveAudio": RtmpServer._ignore,
    "receiveVideo": RtmpServer._ignore,
    "onStatus": RtmpServer._ignore,
    "_result": RtmpServer._ignore,
    "_error": RtmpServer._ignore,
}


def _status(level: str, code: str, description: str) -> dict[str, AmfValue]:
    return {"level": level, "code": code, "description": description}


def _text(value: AmfValue) -> str:
    return value if isinstance(value, str) else ""
