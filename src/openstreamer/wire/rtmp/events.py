"""What an RTMP connection tells its owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from openstreamer.wire.amf0 import AmfValue


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """Chunks may flow."""


@dataclass(frozen=True, slots=True)
class ConnectRequested:
    """The client named an application; the server role has accepted it already.

    ``four_ccs`` is what it says it can do in Enhanced RTMP, ``capabilities`` its ``capsEx`` flags.
    """

    app: str
    tc_url: str
    flash_version: str
    four_ccs: tuple[str, ...]
    capabilities: int


@dataclass(frozen=True, slots=True)
class PublishRequested:
    """The client wants to publish: answer with ``accept_publish`` or ``reject_publish``.

    ``path`` joins application and stream name without their queries, which are merged in ``query`` (the
    first value of every name; the stream name's win over the application's).
    """

    stream_id: int
    path: str
    query: Mapping[str, str]
    kind: str


@dataclass(frozen=True, slots=True)
class PlayRequested:
    """The client wants to play: answer with ``accept_play`` or ``reject_play``. Fields as in publishing."""

    stream_id: int
    path: str
    query: Mapping[str, str]


class MediaReceived(NamedTuple):
    """One audio or video message: an FLV tag body.

    ``timestamp_ms`` is the 32-bit time as it was sent. A tuple, not a dataclass, because one is made per
    frame of every stream.
    """

    is_video: bool
    stream_id: int
    timestamp_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class MetadataReceived:
    """``onMetaData``: what the publisher says about its stream."""

    stream_id: int
    timestamp_ms: int
    values: Mapping[str, AmfValue]


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The client finished publishing or playing on purpose."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class ConnectAnswered:
    """The server's answer to ``connect``; ``accepted`` is false when it refused the application."""

    accepted: bool
    code: str
    description: str
    four_ccs: tuple[str, ...]
    capabilities: int


@dataclass(frozen=True, slots=True)
class StreamCreated:
    """The server gave us a message stream to publish or play on."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The server answered the named command with ``_error``."""

    command: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class StatusReceived:
    """The server's ``onStatus``: level ``status``, ``warning`` or ``error`` and a code such as
    ``NetStream.Publish.Start``."""

    stream_id: int
    level: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class ConnectionEnded:
    """The peer closed its side of the connection."""


RtmpEvent: TypeAlias = (
    HandshakeCompleted
    | ConnectRequested
    | PublishRequested
    | PlayRequested
    | MediaReceived
    | MetadataReceived
    | StreamClosed
    | ConnectAnswered
    | StreamCreated
    | CallFailed
    | StatusReceived
    | ConnectionEnded
)
