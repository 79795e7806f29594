"""RTMP and Enhanced RTMP v2, both roles, sans-IO."""

from openstreamer.wire.rtmp.client import RtmpClient
from openstreamer.wire.rtmp.events import (
    CallFailed,
    ConnectAnswered,
    ConnectionEnded,
    ConnectRequested,
    HandshakeCompleted,
    MediaReceived,
    MetadataReceived,
    PlayRequested,
    PublishRequested,
    RtmpEvent,
    StatusReceived,
    StreamClosed,
    StreamCreated,
)
from openstreamer.wire.rtmp.limits import DEFAULT_CHUNK_BYTES, RtmpLimits
from openstreamer.wire.rtmp.server import RtmpServer
from openstreamer.wire.rtmp.states import StreamState

__all__ = [
    "DEFAULT_CHUNK_BYTES",
    "CallFailed",
    "ConnectAnswered",
    "ConnectRequested",
    "ConnectionEnded",
    "HandshakeCompleted",
    "MediaReceived",
    "MetadataReceived",
    "PlayRequested",
    "PublishRequested",
    "RtmpClient",
    "RtmpEvent",
    "RtmpLimits",
    "RtmpServer",
    "StatusReceived",
    "StreamClosed",
    "StreamCreated",
    "StreamState",
]
