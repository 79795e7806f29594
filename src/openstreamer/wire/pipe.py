"""Records between a parent process and its children, both ways: tracks, frames, messages.

A pipe is a reliable byte stream, in practice a socket pair. It carries records, integers big-endian::

    u32 body length | u8 kind | body

    HELLO    u16 version                                   first, once
    TRACKS   u8 count, then each track (wire/pipe_tracks)  replaces the table of tracks
    FRAME    u16 track id | u8 flags | u32 epoch | i64 pts_90k | i64 dts_90k | payload
    MESSAGE  a JSON object, at most 64 kB                  what is not media: log, error, command
    END      UTF-8 reason                                  last, once: this side is finished on purpose

A pipe that closes without END is broken. Both sides run the same release, so there is nothing to
negotiate: another version is an error. The other side may be a child that libav was tricked into
corrupting, so every field is checked and every buffer has a bound.
"""

import enum
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from openstreamer.media.errors import LocalProtocolError, MediaError, RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.pipe_tracks import parse_tracks, serialise_tracks

PIPE_VERSION = 1
MAX_RECORD_BYTES = 16 * 1024 * 1024  # a 4K intra picture at lossless quality stays below it
MAX_MESSAGE_BYTES = 64 * 1024
MAX_TRACKS_BYTES = 1024 * 1024
MAX_REASON_BYTES = 4096
_JOIN_AFTER_CHUNKS = 256  # the bookkeeping of pending chunks stays small however finely data arrive

_FLAG_KEY = 0x01

_PREFIX = struct.Struct(">IB")
_HELLO = struct.Struct(">H")
_FRAME = struct.Struct(">HBIqq")
_FRAME_RECORD = struct.Struct(">IBHBIqq")
_FRAME_OVERHEAD = _FRAME.size
_FRAME_PAYLOAD_AT = _FRAME_RECORD.size


class RecordKind(enum.IntEnum):
    """The kinds of record; the value is the byte on the wire."""

    HELLO = 1
    TRACKS = 2
    FRAME = 3
    MESSAGE = 4
    END = 5


_KIND_FRAME = int(RecordKind.FRAME)  # comparing plain ints is what the hot path can afford


@dataclass(frozen=True, slots=True)
class Hello:
    """The other side is up and speaks our version."""

    version: int


@dataclass(frozen=True, slots=True)
class TracksAnnounced:
    """The table of tracks, whole. A track that did not change is the same object as before."""

    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """Anything that is not media, such as ``{"error": "..."}``; its keys are the users' business."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class End:
    """The other side finished on purpose; nothing follows."""

    reason: str


PipeEvent: TypeAlias = Hello | TracksAnnounced | Frame | Message | End


class PipeEncoder:
    """Turns tracks, frames and messages into bytes.

    ``send_…`` queue a record, ``data_to_send`` hands out what is queued: whoever drives it drains after
    every batch, so that the queue is never longer than what was queued in one go. Payloads are copied once,
    in ``data_to_send``. HELLO is sent by the constructor.

    Raises :class:`LocalProtocolError` when asked for what the other side would refuse.
    """

    def __init__(self, *, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._max_payload_bytes = max_record_bytes - _FRAME_OVERHEAD
        self._tracks: dict[int, Track] = {}
        self._parts: list[bytes] = []
        self._ended = False
        self._queue(RecordKind.HELLO, _HELLO.pack(PIPE_VERSION), _HELLO.size)

    def send_tracks(self, tracks: Iterable[Track]) -> None:
        """Announce the whole table of tracks; ids are unique in it."""
        table = tuple(tracks)
        by_id = {track.id: track for track in table}
        if len(by_id) != len(table):
            raise LocalProtocolError("two tracks have the same id")
        self._queue(RecordKind.TRACKS, serialise_tracks(table), MAX_TRACKS_BYTES)
        self._tracks = by_id

    def send_frame(self, frame: Frame) -> None:
        """Queue one frame of an announced track."""
        track = frame.track
        if self._tracks.get(track.id) is not track:
            self._accept_equal_track(track)
        payload = frame.payload
        size = len(payload)
        if not 0 < size <= self._max_payload_bytes or self._ended:
            raise LocalProtocolError(f"cannot send a frame of {size} bytes" + " after END" * self._ended)
        try:
            head = _FRAME_RECORD.pack(
                _FRAME_OVERHEAD + size,
                _KIND_FRAME,
                track.id,
                _FLAG_KEY if frame.key else 0,
                frame.epoch,
                frame.pts_90k,
                frame.dts_90k,
            )
        except struct.error as err:
            raise LocalProtocolError(f"cannot be written to a pipe: {frame!r}") from err
        self._parts += (head, payload)

    def send_message(self, body: dict[str, Any]) -> None:
        """Queue a JSON object."""
        try:
            data = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError) as err:
            raise LocalProtocolError(f"not a JSON object: {err}") from err
        self._queue(RecordKind.MESSAGE, data, MAX_MESSAGE_BYTES)

    def send_end(self, reason: str) -> None:
        """Say that nothing follows, on purpose. A reason that is too long is cut."""
        self._queue(RecordKind.END, reason.encode("utf-8", "replace")[:MAX_REASON_BYTES], MAX_REASON_BYTES)
        self._ended = True

    def data_to_send(self) -> bytes:
        """Everything queued since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data

    def _queue(self, kind: RecordKind, body: bytes, max_bytes: int) -> None:
        if self._ended:
            raise LocalProtocolError(f"cannot send {kind.name} after END")
        if len(body) > max_bytes:
            raise LocalProtocolError(f"a {kind.name} record of {len(body)} bytes exceeds {max_bytes}")
        self._parts.append(_PREFIX.pack(len(body), kind) + body)

    def _accept_equal_track(self, track: Track) -> None:
        """An equal track that is another object means the same; from here on it is the known one."""
        if self._tracks.get(track.id) != track:
            raise LocalProtocolError(f"track {track.id} ({track.codec}) was not announced as it is now")
        self._tracks[track.id] = track


class PipeDecoder:
    """Turns bytes into events.

    Buffers at most one incomplete record (``max_record_bytes``) and what one call of ``receive_data`` brings;
    events wait until ``events`` takes them. A payload is copied once when its record arrives in one piece,
    twice when it arrives in several.

    Raises :class:`RemoteProtocolError`, after which every further call raises it again.
    """

    def __init__(self, *, max_record_bytes: int = MAX_RECORD_BYTES) -> None:
        self._max_record_bytes = max_record_bytes
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0
        self._wanted_bytes = _PREFIX.size
        self._tracks: dict[int, Track] = {}
        self._events: list[PipeEvent] = []
        self._greeted = False
        self._ended = False
        self._error: RemoteProtocolError | None = None

    @property
    def buffered_bytes(self) -> int:
        """What waits for the rest of its record."""
        return self._buffered_bytes

    def receive_data(self, data: bytes) -> None:
        """Take what arrived, in pieces of any size."""
        if self._error is not None:
            raise self._error
        chunks = self._chunks
        chunks.append(data)
        self._buffered_bytes += len(data)
        if self._buffered_bytes < self._wanted_bytes:
            if len(chunks) > _JOIN_AFTER_CHUNKS:
                self._chunks = [b"".join(chunks)]
            return
        buffer = data if len(chunks) == 1 else b"".join(chunks)
        try:
            parsed_bytes = self._parse(buffer)
        except RemoteProtocolError as err:
            self._fail(err)
            raise
        self._keep(buffer, parsed_bytes)

    def receive_eof(self) -> None:
        """The other side closed. Without END that is a broken pipe."""
        if self._error is not None:
            raise self._error
        if self._ended and not self._buffered_bytes:
            return
        error = RemoteProtocolError("the pipe closed in the middle of a record")
        if not self._buffered_bytes:
            error = RemoteProtocolError("the pipe closed without an END record")
        self._fail(error)
        raise error

    def events(self) -> list[PipeEvent]:
        """What was understood since the last call, in order."""
        events = self._events
        self._events = []
        return events

    def _keep(self, buffer: bytes, parsed_bytes: int) -> None:
        rest_bytes = len(buffer) - parsed_bytes
        self._buffered_bytes = rest_bytes
        if not rest_bytes:
            self._chunks.clear()
        else:
            self._chunks = [buffer[parsed_bytes:]]

    def _fail(self, error: RemoteProtocolError) -> None:
        self._error = error
        self._chunks.clear()
        self._buffered_bytes = 0

    def _parse(self, buffer: bytes) -> int:
        """Parse all whole records; returns how many bytes they took and sets ``_wanted_bytes``."""
        at = 0
        available = len(buffer)
        while available - at >= _PREFIX.size:
            body_bytes, kind = _PREFIX.unpack_from(buffer, at)
            if body_bytes > self._max_record_bytes:
                raise RemoteProtocolError(f"a record of {body_bytes} bytes exceeds {self._max_record_bytes}")
            end = at + _PREFIX.size + body_bytes
            if end > available:
                self._check_head(kind, body_bytes)
                self._wanted_bytes = end - at
                return at
            if kind == _KIND_FRAME and self._greeted and not self._ended:
                self._parse_frame(buffer, at, end)
            else:
                self._check_head(kind, body_bytes)
                self._parse_other(RecordKind(kind), buffer[at + _PREFIX.size : end])
            at = end
        self._wanted_bytes = _PREFIX.size
        return at

    def _check_head(self, kind: int, body_bytes: int) -> None:
        """What can be refused before the body is there is refused before it is buffered."""
        if kind not in _MAX_BODY_BYTES:
            raise RemoteProtocolError(f"unknown kind of record {kind}")
        if body_bytes > _MAX_BODY_BYTES[kind]:
            raise RemoteProtocolError(f"a {RecordKind(kind).name} record of {body_bytes} bytes is too long")
        if self._ended:
            raise RemoteProtocolError(f"{RecordKind(kind).name} after END")
        if (kind == RecordKind.HELLO) == self._greeted:
            raise RemoteProtocolError(f"{RecordKind(kind).name} instead of HELLO, or HELLO twice")

    def _parse_frame(self, buffer: bytes, at: int, end: int) -> None:
        payload_at = at + _FRAME_PAYLOAD_AT
        if payload_at >= end:
            raise RemoteProtocolError("a frame without a payload")
        track_id, flags, epoch, pts_90k, dts_90k = _FRAME.unpack_from(buffer, at + 5)
        track = self._tracks.get(track_id)
        if track is None or flags > _FLAG_KEY:
            raise RemoteProtocolError(f"a frame of unknown track {track_id}, or with unknown flags {flags}")
        self._events.append(Frame(track, pts_90k, dts_90k, flags != 0, buffer[payload_at:end], epoch))

    def _parse_other(self, kind: RecordKind, body: bytes) -> None:
        match kind:
            case RecordKind.HELLO:
                self._parse_hello(body)
            case RecordKind.TRACKS:
                self._parse_tracks(body)
            case RecordKind.MESSAGE:
                self._events.append(Message(_parse_message(body)))
            case _:
                self._ended = True
                self._events.append(End(body.decode("utf-8", "replace")))

    def _parse_hello(self, body: bytes) -> None:
        if body != _HELLO.pack(PIPE_VERSION):
            raise RemoteProtocolError(f"the other side speaks pipe version {body.hex()}, not {PIPE_VERSION}")
        self._greeted = True
        self._events.append(Hello(PIPE_VERSION))

    def _parse_tracks(self, body: bytes) -> None:
        try:
            table = parse_tracks(body)
        except MediaError as err:
            raise RemoteProtocolError(f"cannot understand a table of tracks: {err}") from err
        tracks = tuple(_the_same_if_equal(self._tracks.get(track.id), track) for track in table)
        self._tracks = {track.id: track for track in tracks}
        self._events.append(TracksAnnounced(tracks))


_MAX_BODY_BYTES: dict[int, int] = {
    RecordKind.HELLO: _HELLO.size,
    RecordKind.TRACKS: MAX_TRACKS_BYTES,
    RecordKind.FRAME: 2**32,  # bounded by ``max_record_bytes``
    RecordKind.MESSAGE: MAX_MESSAGE_BYTES,
    RecordKind.END: MAX_REASON_BYTES,
}


def _the_same_if_equal(known: Track | None, track: Track) -> Track:
    return known if known is not None and known == track else track


def _parse_message(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as err:
        raise RemoteProtocolError("a MESSAGE record is not JSON") from err
    if not isinstance(value, dict):
        raise RemoteProtocolError("a MESSAGE record is not a JSON object")
    return value
