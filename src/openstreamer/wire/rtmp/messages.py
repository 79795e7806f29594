"""RTMP messages: their types, and the protocol control messages (RTMP 1.0, sections 5.4, 6.2, 7.1)."""

import enum
import struct
from collections.abc import Iterator
from typing import NamedTuple

from openstreamer.media.errors import RemoteProtocolError


class MessageType(enum.IntEnum):
    """Message type ids."""

    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_ACK_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    SHARED_OBJECT_AMF3 = 16
    COMMAND_AMF3 = 17
    DATA_AMF0 = 18
    SHARED_OBJECT_AMF0 = 19
    COMMAND_AMF0 = 20
    AGGREGATE = 22


class UserControl(enum.IntEnum):
    """User control event types (7.1.7)."""

    STREAM_BEGIN = 0
    STREAM_EOF = 1
    STREAM_DRY = 2
    SET_BUFFER_LENGTH = 3
    STREAM_IS_RECORDED = 4
    PING_REQUEST = 6
    PING_RESPONSE = 7


class ChunkStreamId(enum.IntEnum):
    """The chunk streams we send on. 2 is prescribed (5.4), the others are what everybody uses."""

    CONTROL = 2
    COMMAND = 3
    AUDIO = 4
    DATA = 5
    VIDEO = 6


class Message(NamedTuple):
    """One whole message. A tuple, not a dataclass: one is made per frame of every stream."""

    type_id: int
    stream_id: int
    timestamp_ms: int
    payload: bytes


_AGGREGATE_HEADER = struct.Struct(">BBHBHBBH")  # an FLV tag header: type, size, time, extension, stream id
_AGGREGATE_HEADER_BYTES = 11
_AGGREGATE_TRAILER_BYTES = 4  # the back pointer after every sub-message
_AGGREGATE_MAX_PARTS = 4096  # else 8 MiB of empty parts would become a hundred megabytes of objects


def uint32_of(payload: bytes, what: str) -> int:
    """The 32-bit value that most control messages consist of."""
    if len(payload) < 4:
        raise RemoteProtocolError(f"RTMP {what}: 4 bytes expected, {len(payload)} received")
    return int.from_bytes(payload[:4], "big")


def chunk_size_of(payload: bytes) -> int:
    """The value of a Set Chunk Size message (5.4.1): 31 bits, at least 1."""
    size_bytes = uint32_of(payload, "SetChunkSize")
    if not 1 <= size_bytes <= 0x7FFFFFFF:
        raise RemoteProtocolError(f"RTMP SetChunkSize: {size_bytes} is not between 1 and 2147483647")
    return size_bytes


def user_control(event: UserControl, *values: int) -> bytes:
    """The payload of a user control message."""
    return struct.pack(f">H{len(values)}I", event, *values)


def sub_messages(message: Message) -> Iterator[Message]:
    """The messages inside an aggregate message (7.1.6), their times moved to the aggregate's.

    Raises:
        RemoteProtocolError: the aggregate is truncated, or holds another aggregate.
    """
    payload = message.payload
    count = offset_ms = 0
    position = 0
    while len(payload) - position >= _AGGREGATE_HEADER_BYTES:
        header = _AGGREGATE_HEADER.unpack_from(payload, position)
        type_id, size = header[0], header[1] << 16 | header[2]
        time_ms = (header[3] << 16 | header[4]) | header[5] << 24
        body_at = position + _AGGREGATE_HEADER_BYTES
        if type_id == MessageType.AGGREGATE or body_at + size > len(payload):
            raise RemoteProtocolError("RTMP aggregate message: a nested or truncated part")
        if count == _AGGREGATE_MAX_PARTS:
            raise RemoteProtocolError(f"RTMP aggregate message: more than {_AGGREGATE_MAX_PARTS} parts")
        if not count:
            offset_ms = message.timestamp_ms - time_ms
        body = payload[body_at : body_at + size]
        yield Message(type_id, message.stream_id, time_ms + offset_ms & 0xFFFFFFFF, body)
        count += 1
        position = body_at + size + _AGGREGATE_TRAILER_BYTES
