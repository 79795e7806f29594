"""The vocabulary of HTTP/2 (RFC 9113 sections 4 to 7): frame types, flags, error codes, events, builders."""

import enum
import struct
from dataclasses import dataclass

from openstreamer.wire.hpack import Header

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # 3.4
FRAME_HEADER_BYTES = 9  # 4.1
DEFAULT_FRAME_BYTES = 16_384  # 6.5.2: SETTINGS_MAX_FRAME_SIZE before anybody changes it
LARGEST_FRAME_BYTES = 16_777_215
DEFAULT_WINDOW_BYTES = 65_535  # 6.9.2
LARGEST_WINDOW_BYTES = 2**31 - 1  # 6.9.1

FRAME_HEADER = struct.Struct(">BHBBL")  # length (8 + 16 bits), type, flags, reserved bit and stream
SETTING = struct.Struct(">HL")
UINT32 = struct.Struct(">L")
STREAM_MASK = 0x7FFFFFFF


class FrameType(enum.IntEnum):
    """RFC 9113 section 6."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


FLAG_END_STREAM = 0x1
FLAG_ACK = 0x1
FLAG_END_HEADERS = 0x4
FLAG_PADDED = 0x8
FLAG_PRIORITY = 0x20


class Setting(enum.IntEnum):
    """RFC 9113 section 6.5.2."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class ErrorCode(enum.IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A complete request head. ``headers`` has the regular fields, ``host`` among them."""

    stream_id: int
    method: str
    scheme: str
    target: bytes
    headers: list[Header]
    ended: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes of a request body; give them back with ``credit`` once they are consumed."""

    stream_id: int
    data: bytes
    ended: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The stream is over before its response was: reset by the peer, or by us for a fault of the peer."""

    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """More may be sent on this stream, or on every stream when ``stream_id`` is 0."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class ConnectionFailed:
    """The peer broke a rule of the connection: send what is pending (a GOAWAY), then close."""

    code: ErrorCode
    message: str


Event = RequestReceived | DataReceived | StreamReset | WindowOpened | ConnectionFailed


class Http2ConnectionError(Exception):
    """A connection error (5.4.1); inside the machine only, it becomes ``ConnectionFailed``."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Http2StreamError(Exception):
    """A stream error (5.4.2); inside the machine only, it becomes RST_STREAM."""

    def __init__(self, stream_id: int, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.stream_id = stream_id
        self.code = code


def frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """The nine bytes in front of every frame (4.1)."""
    return FRAME_HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """A whole frame."""
    return frame_header(len(payload), kind, flags, stream_id) + payload


def settings_frame(settings: dict[Setting, int]) -> bytes:
    """A SETTINGS frame (6.5)."""
    payload = b"".join(SETTING.pack(key, value) for key, value in settings.items())
    return frame(FrameType.SETTINGS, 0, 0, payload)


def without_padding(payload: bytes, flags: int) -> bytes:
    """The payload of a DATA or HEADERS frame less its padding (6.1)."""
    if not flags & FLAG_PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
