"""HTTP/2 (RFC 9113), the server's side of one connection: bytes in, events out.

Own because of its cost: a player of low-latency HLS asks a dozen small requests a second, and the general
h2 library takes 180 to 240 µs for one where this takes about a fifth (docs/decisions/0001-http-server.md).
Response bodies are never copied here: ``data_to_send`` returns the caller's buffers between frame headers.

Bounds: header blocks, decoded header lists, concurrent streams, receive windows, and the control frames that
a peer may send between two calls of ``replenish`` (floods of PING, SETTINGS, RST_STREAM, PRIORITY, empty or
tiny frames; CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire.hpack import (
    ENCODER_TABLE_ZERO,
    Header,
    HeaderListTooLargeError,
    HpackDecoder,
    MalformedFieldError,
    encode_response,
)
from openstreamer.wire.http2_frames import (
    DEFAULT_FRAME_BYTES,
    DEFAULT_WINDOW_BYTES,
    FLAG_ACK,
    FLAG_END_HEADERS,
    FLAG_END_STREAM,
    FLAG_PRIORITY,
    FRAME_HEADER,
    FRAME_HEADER_BYTES,
    LARGEST_FRAME_BYTES,
    LARGEST_WINDOW_BYTES,
    PREFACE,
    SETTING,
    STREAM_MASK,
    UINT32,
    ConnectionFailed,
    DataReceived,
    ErrorCode,
    Event,
    FrameType,
    Http2ConnectionError,
    Http2StreamError,
    RequestReceived,
    Setting,
    StreamReset,
    WindowOpened,
    frame,
    frame_header,
    settings_frame,
    without_padding,
)
from openstreamer.wire.http2_request import are_trailers, request_head

Buffer = bytes | memoryview

SENT_FRAME_BYTES = 65_536  # the largest DATA frame sent, if the peer allows it: fair between streams
TINY_BYTES = 256  # smaller window updates and bodies are counted as control frames (CVE-2019-9511)
REMEMBERED_RESETS = 128  # streams reset by us, whose frames in flight are no fault of the peer (5.1)


@dataclass(frozen=True, slots=True)
class Http2Limits:
    """Bounds of one connection.

    ``control_frames`` and ``resets`` are what a peer may send between two calls of ``replenish``;
    ``stream_window_bytes`` and ``connection_window_bytes`` bound the request bodies held in memory.
    """

    max_concurrent_streams: int = 128
    max_header_block_bytes: int = 32_768
    max_header_list_bytes: int = 65_536
    max_header_fields: int = 256
    stream_window_bytes: int = DEFAULT_WINDOW_BYTES
    connection_window_bytes: int = 1 << 20
    control_frames: int = 500
    resets: int = 100


class _Stream:
    """An open or half-closed stream."""

    __slots__ = ("body_bytes_left", "id", "local_open", "receive_window", "remote_open", "send_window")

    def __init__(self, stream_id: int, send_window: int, receive_window: int) -> None:
        self.id = stream_id
        self.send_window = send_window
        self.receive_window = receive_window
        self.remote_open = True
        self.local_open = True
        self.body_bytes_left: int | None = None  # of the announced content-length


class Http2Server:
    """The server role of one HTTP/2 connection. The first bytes to receive are the client's preface."""

    def __init__(self, limits: Http2Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._preface_seen = False
        self._settings_seen = False
        self._failed = False
        self._going_away = False
        self._decoder = HpackDecoder(limits.max_header_list_bytes)
        self._encoder_announced = False
        self._streams: dict[int, _Stream] = {}
        self._last_stream_id = 0
        self._our_resets: deque[int] = deque(maxlen=REMEMBERED_RESETS)
        self._block: bytearray | None = None  # a header block that waits for its CONTINUATION
        self._block_stream_id = 0
        self._block_flags = 0
        self._peer_initial_window = DEFAULT_WINDOW_BYTES
        self._peer_frame_bytes = DEFAULT_FRAME_BYTES
        self._send_window = DEFAULT_WINDOW_BYTES
        self._receive_window = limits.connection_window_bytes
        self._credit_bytes = 0  # consumed on the connection and not yet given back
        self._control_frames_left = limits.control_frames
        self._resets_left = limits.resets
        self._events: list[Event] = []
        self._out: list[Buffer] = [
            settings_frame(
                {
                    Setting.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams,
                    Setting.INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
                    Setting.MAX_HEADER_LIST_SIZE: limits.max_header_list_bytes,
                }
            )
        ]
        if limits.connection_window_bytes > DEFAULT_WINDOW_BYTES:
            self._window_update(0, limits.connection_window_bytes - DEFAULT_WINDOW_BYTES)

    def __repr__(self) -> str:
        state = "failed" if self._failed else "going away" if self._going_away else "open"
        return f"<Http2Server {state} streams={len(self._streams)} last={self._last_stream_id}>"

    @property
    def open_streams(self) -> int:
        """Streams whose request or response is not finished."""
        return len(self._streams)

    # --- receiving ---------------------------------------------------------------------------------------

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes of the peer and return what they mean; after ``ConnectionFailed`` they are ignored."""
        if self._failed:
            return []
        self._buffer += data
        try:
            self._parse()
        except Http2ConnectionError as fault:
            self._fail(fault.code, str(fault))
        events, self._events = self._events, []
        return events

    def replenish(self) -> None:
        """Give the peer a fresh budget of control frames; called once a second."""
        self._control_frames_left = self._limits.control_frames
        self._resets_left = min(self._limits.resets, self._resets_left + self._limits.resets // 5)

    def _parse(self) -> None:
        buffer = self._buffer
        position = 0
        if not self._preface_seen:
            if not PREFACE.startswith(bytes(buffer[: len(PREFACE)])):
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the client's preface is not HTTP/2")
            if len(buffer) < len(PREFACE):
                return
            self._preface_seen = True
            position = len(PREFACE)
        try:
            while len(buffer) - position >= FRAME_HEADER_BYTES:
                high, low, kind, flags, stream_id = FRAME_HEADER.unpack_from(buffer, position)
                length = high << 16 | low
                if length > DEFAULT_FRAME_BYTES:  # 4.2: we never raise SETTINGS_MAX_FRAME_SIZE
                    raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, f"frame of {length} bytes")
                end = position + FRAME_HEADER_BYTES + length
                if end > len(buffer):
                    break
                payload = bytes(buffer[position + FRAME_HEADER_BYTES : end])
                position = end
                try:
                    self._frame(kind, flags, stream_id & STREAM_MASK, payload)
                except Http2StreamError as fault:
                    self._stream_fault(fault)
        finally:
            del buffer[:position]

    def _frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (
            kind != FrameType.CONTINUATION or stream_id != self._block_stream_id
        ):  # 6.10
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if not self._settings_seen and (kind != FrameType.SETTINGS or flags & FLAG_ACK):  # 3.4
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        match kind:
            case FrameType.DATA:
                self._on_data(flags, stream_id, payload)
            case FrameType.HEADERS:
                self._on_headers(flags, stream_id, payload)
            case FrameType.CONTINUATION:
                self._on_continuation(flags, payload)
            case FrameType.WINDOW_UPDATE:
                self._on_window_update(stream_id, payload)
            case FrameType.RST_STREAM:
                self._on_rst_stream(stream_id, payload)
            case FrameType.SETTINGS:
                self._on_settings(flags, stream_id, payload)
            case FrameType.PING:
                self._on_ping(flags, stream_id, payload)
            case FrameType.PRIORITY:
                self._on_priority(stream_id, payload)
            case FrameType.GOAWAY:
                if stream_id or len(payload) < 8:
                    raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "malformed GOAWAY")
            case FrameType.PUSH_PROMISE:  # 8.4: only servers push
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")
            case _:  # 4.1: unknown types are ignored
                self._count_control_frame()

    def _count_control_frame(self) -> None:
        self._control_frames_left -= 1
        if self._control_frames_left < 0:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many control frames")

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._require_known_stream(stream_id)
        length = len(payload)  # 6.9.1: padding counts as well
        self._receive_window -= length
        if self._receive_window < 0:
            raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
        stream = self._streams.get(stream_id)
        if stream is None or not stream.remote_open:
            self._credit_connection(length)
            self._count_control_frame()
            if stream is None and stream_id in self._our_resets:
                return
            raise Http2StreamError(stream_id, ErrorCode.STREAM_CLOSED)
        data = without_padding(payload, flags)
        stream.receive_window -= length
        if stream.receive_window < 0:
            raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        self.credit(stream_id, length - len(data))
        ended = bool(flags & FLAG_END_STREAM)
        if len(data) < TINY_BYTES and not ended:
            self._count_control_frame()
        self._count_body(stream, len(data), ended=ended)
        self._events.append(DataReceived(stream_id, data, ended))
        if ended:
            self._end_remote(stream)

    def _count_body(self, stream: _Stream, length: int, *, ended: bool) -> None:
        """8.1.1: a body that is not as long as its content-length makes the request malformed."""
        if stream.body_bytes_left is None:
            return
        stream.body_bytes_left -= length
        if stream.body_bytes_left < 0 or (ended and stream.body_bytes_left):
            raise Http2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR)

    def _require_known_stream(self, stream_id: int) -> None:
        if stream_id == 0 or stream_id > self._last_stream_id:  # 5.1: idle
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"frame on idle stream {stream_id}")

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id % 2 == 0:  # 5.1.1; stream 0 included
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, f"HEADERS on stream {stream_id}")
        fragment = without_padding(payload, flags)
        if flags & FLAG_PRIORITY:
            if len(fragment) < 5:
                raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            if UINT32.unpack_from(fragment)[0] & STREAM_MASK == stream_id:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
            fragment = fragment[5:]
        self._block_stream_id, self._block_flags = stream_id, flags
        if flags & FLAG_END_HEADERS:
            self._on_header_block(fragment)
        else:
            self._block = bytearray(fragment)

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        if self._block is None:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without a header block")
        self._count_control_frame()
        self._block += payload
        if len(self._block) > self._limits.max_header_block_bytes:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "header block is too large")
        if flags & FLAG_END_HEADERS:
            block, self._block = bytes(self._block), None
            self._on_header_block(block)

    def _on_header_block(self, block: bytes) -> None:
        try:
            fields = self._decoder.decode(block)
        except HeaderListTooLargeError as err:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, str(err)) from err
        except MalformedFieldError as err:  # 8.1.1 allows to answer with a connection error
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, str(err)) from err
        except RemoteProtocolError as err:
            raise Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, str(err)) from err
        if len(fields) > self._limits.max_header_fields:  # many small ones weigh most in memory
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many header fields")
        stream_id, ended = self._block_stream_id, bool(self._block_flags & FLAG_END_STREAM)
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._on_trailers(stream, fields, ended=ended)
        elif stream_id > self._last_stream_id:
            self._last_stream_id = stream_id
            self._on_request(stream_id, fields, ended=ended)
        elif stream_id not in self._our_resets:
            raise Http2ConnectionError(ErrorCode.STREAM_CLOSED, f"HEADERS on closed stream {stream_id}")

    def _on_request(self, stream_id: int, fields: list[Header], *, ended: bool) -> None:
        if len(self._streams) >= self._limits.max_concurrent_streams or self._going_away:
            self._count_reset()
            raise Http2StreamError(stream_id, ErrorCode.REFUSED_STREAM)
        head = request_head(fields)
        if head is None or (ended and head.content_length):
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
        stream = _Stream(stream_id, self._peer_initial_window, self._limits.stream_window_bytes)
        stream.remote_open = not ended
        stream.body_bytes_left = head.content_length
        self._streams[stream_id] = stream
        method, scheme = head.method.decode("ascii"), head.scheme.decode("latin-1")
        self._events.append(RequestReceived(stream_id, method, scheme, head.target, head.headers, ended))

    def _on_trailers(self, stream: _Stream, fields: list[Header], *, ended: bool) -> None:
        if not stream.remote_open:
            raise Http2StreamError(stream.id, ErrorCode.STREAM_CLOSED)
        if not ended or not are_trailers(fields):
            raise Http2StreamError(stream.id, ErrorCode.PROTOCOL_ERROR)
        self._count_body(stream, 0, ended=True)
        self._events.append(DataReceived(stream.id, b"", ended=True))
        self._end_remote(stream)

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "malformed RST_STREAM")
        self._require_known_stream(stream_id)
        self._count_control_frame()
        if self._streams.pop(stream_id, None) is not None:
            self._count_reset()
            self._events.append(StreamReset(stream_id, UINT32.unpack(payload)[0]))

    def _count_reset(self) -> None:
        """CVE-2023-44487: requests that are cancelled at once cost us and not the peer."""
        self._resets_left -= 1
        if self._resets_left < 0:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many streams are reset")

    def _on_priority(self, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        self._count_control_frame()
        if len(payload) != 5:
            raise Http2StreamError(stream_id, ErrorCode.FRAME_SIZE_ERROR)
        if UINT32.unpack_from(payload)[0] & STREAM_MASK == stream_id:
            raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "malformed PING")
        self._count_control_frame()
        if not flags & FLAG_ACK:
            self._out.append(frame(FrameType.PING, FLAG_ACK, 0, payload))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & FLAG_ACK and payload):
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "malformed SETTINGS")
        self._count_control_frame()
        self._settings_seen = True
        if flags & FLAG_ACK:
            return
        for key, value in SETTING.iter_unpack(payload):  # a frame has room for thousands
            self._count_control_frame()
            self._apply_setting(key, value)
        self._out.append(frame(FrameType.SETTINGS, FLAG_ACK, 0, b""))

    def _apply_setting(self, key: int, value: int) -> None:
        # HEADER_TABLE_SIZE and MAX_CONCURRENT_STREAMS bind an encoder with a table and a server that pushes.
        if key == Setting.INITIAL_WINDOW_SIZE:
            if value > LARGEST_WINDOW_BYTES:
                raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE over 2^31-1")
            self._change_initial_window(value)
        elif key == Setting.MAX_FRAME_SIZE:
            if not DEFAULT_FRAME_BYTES <= value <= LARGEST_FRAME_BYTES:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
            self._peer_frame_bytes = value
        elif key == Setting.ENABLE_PUSH and value > 1:
            raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")

    def _change_initial_window(self, value: int) -> None:
        """6.9.2: open streams move by the difference, and may become negative."""
        difference = value - self._peer_initial_window
        self._peer_initial_window = value
        for stream in self._streams.values():
            stream.send_window += difference
            if stream.send_window > LARGEST_WINDOW_BYTES:
                raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "stream window over 2^31-1")
        if difference > 0:
            self._events.append(WindowOpened(0))

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "malformed WINDOW_UPDATE")
        increment = UINT32.unpack(payload)[0] & STREAM_MASK
        if increment < TINY_BYTES:
            self._count_control_frame()
        if stream_id == 0:
            if increment == 0:
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self._send_window += increment
            if self._send_window > LARGEST_WINDOW_BYTES:
                raise Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "connection window over 2^31-1")
        else:
            self._require_known_stream(stream_id)
            stream = self._streams.get(stream_id)
            if stream is None:
                return
            if increment == 0:
                raise Http2StreamError(stream_id, ErrorCode.PROTOCOL_ERROR)
            stream.send_window += increment
            if stream.send_window > LARGEST_WINDOW_BYTES:
                raise Http2StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        self._events.append(WindowOpened(stream_id))

    def _stream_fault(self, fault: Http2StreamError) -> None:
        known = fault.stream_id in self._streams
        self._count_control_frame()
        self.reset(fault.stream_id, fault.code)
        if known:
            self._events.append(StreamReset(fault.stream_id, fault.code))

    def _fail(self, code: ErrorCode, message: str) -> None:
        self._failed = True
        self._streams.clear()
        self._buffer.clear()
        self._goaway(code, message.encode())
        self._events.append(ConnectionFailed(code, message))

    # --- sending -----------------------------------------------------------------------------------------

    def send_headers(
        self, stream_id: int, status: int, headers: Iterable[Header], *, end_stream: bool
    ) -> None:
        """Queue a response head; names must be lower-case. A stream that is gone is ignored."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        block = encode_response(status, headers)
        if not self._encoder_announced:
            self._encoder_announced = True
            block = ENCODER_TABLE_ZERO + block
        flags, kind = (FLAG_END_STREAM if end_stream else 0), FrameType.HEADERS
        while len(block) > DEFAULT_FRAME_BYTES:
            self._out.append(frame(kind, flags, stream_id, block[:DEFAULT_FRAME_BYTES]))
            block, flags, kind = block[DEFAULT_FRAME_BYTES:], 0, FrameType.CONTINUATION
        self._out.append(frame(kind, flags | FLAG_END_HEADERS, stream_id, block))
        if end_stream:
            self._end_local(stream)

    def sendable(self, stream_id: int) -> int:
        """How many bytes of body the windows allow now; 0 for a stream that is gone."""
        stream = self._streams.get(stream_id)
        return max(0, min(self._send_window, stream.send_window)) if stream is not None else 0

    def send_data(self, stream_id: int, data: Buffer, *, end_stream: bool) -> None:
        """Queue a piece of a response body, at most ``sendable`` bytes. A stream that is gone is ignored."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        total = len(data)
        if total and total > min(self._send_window, stream.send_window):
            raise LocalProtocolError(f"{total} bytes exceed the flow-control window")
        self._send_window -= total
        stream.send_window -= total
        largest = min(self._peer_frame_bytes, SENT_FRAME_BYTES)
        view = memoryview(data) if total > largest else data
        for start in range(0, total, largest):
            length = min(largest, total - start)
            last = end_stream and start + length == total
            self._out.append(frame_header(length, FrameType.DATA, FLAG_END_STREAM if last else 0, stream_id))
            self._out.append(view if length == total else view[start : start + length])
        if end_stream:
            if not total:
                self._out.append(frame_header(0, FrameType.DATA, FLAG_END_STREAM, stream_id))
            self._end_local(stream)

    def reset(self, stream_id: int, code: ErrorCode) -> None:
        """Queue a RST_STREAM and forget the stream; what the peer still sends on it is ignored."""
        self._streams.pop(stream_id, None)
        self._our_resets.append(stream_id)
        self._out.append(frame(FrameType.RST_STREAM, 0, stream_id, UINT32.pack(code)))

    def credit(self, stream_id: int, length: int) -> None:
        """Tell the peer that ``length`` bytes of a request body are consumed (6.9)."""
        if not length:
            return
        self._credit_connection(length)
        stream = self._streams.get(stream_id)
        if stream is not None and stream.remote_open:
            stream.receive_window += length
            self._window_update(stream_id, length)

    def go_away(self) -> None:
        """Announce that no new stream is accepted; those that are open may finish (6.8)."""
        if not self._going_away and not self._failed:
            self._going_away = True
            self._goaway(ErrorCode.NO_ERROR, b"")

    def data_to_send(self) -> list[Buffer]:
        """What to write to the peer, in order."""
        out, self._out = self._out, []
        return out

    def _credit_connection(self, length: int) -> None:
        """Window updates of the connection are collected: one for every quarter of the window."""
        self._credit_bytes += length
        if self._credit_bytes * 4 >= self._limits.connection_window_bytes:
            self._receive_window += self._credit_bytes
            self._window_update(0, self._credit_bytes)
            self._credit_bytes = 0

    def _window_update(self, stream_id: int, increment: int) -> None:
        self._out.append(frame(FrameType.WINDOW_UPDATE, 0, stream_id, UINT32.pack(increment)))

    def _goaway(self, code: ErrorCode, debug: bytes) -> None:
        payload = UINT32.pack(self._last_stream_id) + UINT32.pack(code) + debug
        self._out.append(frame(FrameType.GOAWAY, 0, 0, payload))

    def _end_local(self, stream: _Stream) -> None:
        """8.1: a response that is complete before its request ends the stream with NO_ERROR."""
        stream.local_open = False
        if stream.remote_open:
            self.reset(stream.id, ErrorCode.NO_ERROR)
        else:
            del self._streams[stream.id]

    def _end_remote(self, stream: _Stream) -> None:
        stream.remote_open = False
        if not stream.local_open:
            self._streams.pop(stream.id, None)
