"""One RTMP connection: joins the protocol machine, the transport, and the stream it publishes to."""

import asyncio
import socket
from collections.abc import Callable
from typing import assert_never, cast

import structlog

from openstreamer.listen.routing import stream_codes_of
from openstreamer.listen.rtmp.service import RtmpService
from openstreamer.media.errors import (
    AccessError,
    RemoteProtocolError,
    SourceEnded,
    SourceRejected,
    SourceUnreachable,
)
from openstreamer.sources.held_back import HeldBack
from openstreamer.sources.rtmp import RtmpPublishSource, take_for_a_turn
from openstreamer.stream.publish import PublishRefusal, PublishRefused, PublishRequest, PublishSlot
from openstreamer.stream.tasks import spawn
from openstreamer.wire.flv import FlvDecoder
from openstreamer.wire.rtmp import (
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
    RtmpServer,
    StatusReceived,
    StreamClosed,
    StreamCreated,
    StreamState,
)

logger = structlog.get_logger(__name__)

BAD_NAME = "NetStream.Publish.BadName"  # the one refusal that every encoder shows to its user
DENIED = "NetStream.Publish.Denied"
PLAY_FAILED = "NetStream.Play.Failed"
# Encoders retry after BadName, and stop for good after Denied. Other reasons pass: a stream that restarts, a
# server that stops, a full node.
_PERMANENT = frozenset({PublishRefusal.WRONG_KEY, PublishRefusal.TAKEN_OVER})
MAX_LOGGED_CHARS = 300  # of words that quote the peer: a path may have the length of a command


class RtmpServerConnection(asyncio.BufferedProtocol):
    """The adapter between a transport and :class:`RtmpServer`.

    A ``BufferedProtocol`` over one buffer that all connections share. What is read is handled at once, as far
    as a turn of the loop allows: the rest of many small messages is handled in the next turns, and one that
    fills the buffer has more to say then.
    """

    def __init__(self, service: RtmpService, address: str, peer: str, accepted: socket.socket) -> None:
        self.address = address
        self.peer = peer
        self.connected = False
        self._service = service
        self._machine = RtmpServer(limits=service.limits.protocol, chunk_bytes=service.limits.chunk_bytes)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._held = HeldBack(accepted)
        self._received_bytes = 0
        self._last_data_s = 0.0
        self._leaving = False  # sent away: what still arrives is not read
        self._blocked_by_writing = False
        self._blocked_by_queue = False
        self._blocked_by_turn = False
        self._stream_id = 0
        self._source: RtmpPublishSource | None = None
        self._slot: PublishSlot | None = None
        self._following: PublishRequested | None = None  # waits for the end of the publication before it
        self._behind: list[RtmpEvent] = []  # what came behind that

    def __repr__(self) -> str:
        stream = self._slot.code if self._slot is not None else "-"
        return f"<RtmpServerConnection {self.peer} {stream} {self._machine!r}>"

    # ------------------------------------------------------------------ transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.connected = True
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TCP transport is no subclass of it
        self._arm(self._service.limits.handshake_deadline_s, self._give_up_waiting)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._service.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        service = self._service
        service.statistics.received_bytes += nbytes
        if self._leaving:
            return
        self._received_bytes += nbytes
        self._last_data_s = service.loop.time()
        is_all = nbytes < len(service.read_buffer)
        if is_all and self._source is not None:
            service.hold_until_tick(self._held)
        self._take(bytes(service.read_buffer[:nbytes]))
        if not is_all or self._machine.has_more:
            self._end_turn()

    def eof_received(self) -> bool:
        self._take_the_rest()
        self._machine.receive_eof()
        self._machine.events()
        return False  # closes the transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        reason = f": {exc.strerror or exc}" if isinstance(exc, OSError) else ""
        self._end_source(SourceUnreachable(f"rtmp: the publisher's connection was lost{reason}"))
        self._transport = None
        self._service.forget(self)

    def pause_writing(self) -> None:
        """The peer does not read our answers: take no more commands from it."""
        self._blocked_by_writing = True
        self._apply_pauses()

    def resume_writing(self) -> None:
        self._blocked_by_writing = False
        self._unblock()

    # ------------------------------------------------------------------ the source's callbacks

    def pause_publisher(self) -> None:
        """The stream does not keep up."""
        self._blocked_by_queue = True
        self._apply_pauses()

    def resume_publisher(self) -> None:
        """The stream has emptied the queue."""
        self._blocked_by_queue = False
        self._last_data_s = self._service.loop.time()
        self._unblock()

    # ------------------------------------------------------------------ turns

    def _take(self, data: bytes) -> None:
        """Take the messages in ``data`` and in what was received before, until those are all, or the time of
        this turn is over, or there is no room for more."""
        problem = take_for_a_turn(self._machine, data, self._handle_events, self._has_room)
        self._flush()
        if problem is not None:
            self._protocol_error(str(problem))
        elif self._source is None and not self._machine.has_more and self._said_too_much:
            self._protocol_error("RTMP: too much data before anything is published")

    def _take_the_rest(self) -> None:
        """Take what of the last read waits for its turn: TLS tells of the end at once, paused or not."""
        while self._machine.has_more and not self._leaving:
            problem = take_for_a_turn(self._machine, b"", self._handle_events, lambda: not self._leaving)
            if problem is not None:
                self._protocol_error(str(problem))

    @property
    def _said_too_much(self) -> bool:
        return self._received_bytes > self._service.limits.max_bytes_before_publish

    @property
    def _blocked(self) -> bool:
        """Whether more of this publisher has no place to go."""
        return self._blocked_by_writing or self._blocked_by_queue or self._following is not None

    def _has_room(self) -> bool:
        return not self._blocked and not self._leaving and self._transport is not None

    @property
    def _can_go_on(self) -> bool:
        """Whether there are messages that were received and can be taken."""
        return self._machine.has_more and self._has_room()

    def _end_turn(self) -> None:
        """There is more: let the others have their turn. libuv repeats a read that filled its buffer, up to
        32 times, and would keep the loop for 2 MB of one publisher."""
        if not self._blocked_by_turn:
            self._blocked_by_turn = True
            self._apply_pauses()
            self._service.loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._blocked_by_turn = False
        if self._can_go_on:
            self._take(b"")
        self._unblock()

    def _unblock(self) -> None:
        """Go on with what was received and not taken, else with reading."""
        if self._can_go_on:
            self._end_turn()
        else:
            self._apply_pauses()

    def _apply_pauses(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if (self._blocked or self._blocked_by_turn) and not self._leaving:
            transport.pause_reading()
        else:
            transport.resume_reading()

    # ------------------------------------------------------------------ events

    def _handle_events(self, _problem: RemoteProtocolError | None) -> None:
        self._take_events(self._machine.events())

    def _take_events(self, happened: list[RtmpEvent]) -> None:
        events = iter(happened)
        for event in events:
            if event.__class__ is MediaReceived:
                if self._source is not None and event.stream_id == self._stream_id:
                    self._source.feed_media(event)
            elif not self._leaving:
                self._handle(event)
                if self._following is not None:
                    self._behind += events

    def _handle(self, event: RtmpEvent) -> None:
        match event:
            case HandshakeCompleted():
                self._arm(self._service.limits.publish_deadline_s, self._give_up_waiting)
            case PublishRequested():
                self._publish(event)
            case PlayRequested():
                self._play(event)
            case MetadataReceived():
                if self._source is not None and event.stream_id == self._stream_id:
                    self._source.feed_metadata(event.values)
            case StreamClosed():
                if event.stream_id == self._stream_id:
                    self._end_source(SourceEnded("rtmp: the publisher finished"))
            case MediaReceived() | ConnectRequested() | ConnectionEnded():
                pass
            case ConnectAnswered() | StreamCreated() | CallFailed() | StatusReceived():
                pass  # of the client role
            case _:
                assert_never(event)

    def _publish(self, event: PublishRequested) -> None:
        if self._machine.stream_state(event.stream_id) is not StreamState.PUBLISH_REQUESTED:
            return  # closed or deleted in the same breath
        if self._source is not None and isinstance(self._source.failure, SourceEnded):
            self._following = event
            self._apply_pauses()
            return
        if self._source is not None:
            self._refuse(event.stream_id, BAD_NAME, "this connection is publishing already", "occupied")
            return
        key = event.query.get("key") or event.query.get("token")
        try:
            request = PublishRequest(stream_codes_of(event.path), key, self._service.protocol, self.peer)
            slot = self._service.offer(request)
        except PublishRefused as err:
            code = DENIED if err.reason in _PERMANENT else BAD_NAME
            self._refuse(event.stream_id, code, str(err), err.reason.value)
        except AccessError as err:
            self._refuse(event.stream_id, BAD_NAME, str(err), err.code.lower())
        else:
            self._begin(event.stream_id, slot)

    def _play(self, event: PlayRequested) -> None:
        if self._machine.stream_state(event.stream_id) is StreamState.PLAY_REQUESTED:
            self._machine.reject_play(event.stream_id, PLAY_FAILED, "playing over RTMP is not available yet")
            self._dismiss("play")

    def _begin(self, stream_id: int, slot: PublishSlot) -> None:
        service = self._service
        decoder = FlvDecoder(service.limits.demuxing)
        source = RtmpPublishSource(
            self, decoder=decoder, limits=service.limits.queue, protocol=service.protocol
        )
        self._stream_id, self._slot, self._source = stream_id, slot, source
        self._machine.accept_publish(stream_id)
        service.statistics.publishing += 1
        service.statistics.published += 1
        self._arm(service.limits.silence_deadline_s, self._check_silence)
        logger.info("publish_started", stream=slot.code, protocol=service.protocol, peer=self.peer)
        task = spawn(self._serve(slot, source), name=f"stream/{slot.code}/{service.protocol}-publish")
        service.watch(task)
        task.add_done_callback(lambda done: self._ended(done, slot, source))

    # ------------------------------------------------------------------ a publication

    async def _serve(self, slot: PublishSlot, source: RtmpPublishSource) -> None:
        """Lives as long as the publication; decides how the publisher is sent away."""
        try:
            await slot.run(source)
        except PublishRefused as err:
            self._send_away(str(err), err.reason)
            return
        failure = source.failure
        if isinstance(failure, SourceRejected):
            self._reject(BAD_NAME, str(failure), "media")
        elif not isinstance(failure, SourceEnded | SourceUnreachable):
            self._send_away(f"stream {slot.code} begins anew, connect again", None)

    def _ended(self, task: "asyncio.Task[None]", slot: PublishSlot, source: RtmpPublishSource) -> None:
        """However the task ended, and even if it never began to run."""
        slot.release()
        self._service.statistics.publishing -= 1
        if not task.cancelled() and (err := task.exception()) is not None:
            logger.error("publish_failed", stream=slot.code, peer=self.peer, exc_info=err)
        reason = slot.eviction or source.failure
        logger.info("publish_ended", stream=slot.code, peer=self.peer, reason=str(reason or "stopped"))
        if isinstance(reason, SourceEnded):
            self._begin_anew()
        else:
            self._leave()

    def _begin_anew(self) -> None:
        """The publisher finished: its connection may publish again, what came for that meanwhile included."""
        if self._transport is None or self._leaving:
            return
        self._source = self._slot = None
        self._received_bytes = 0
        following, self._following = self._following, None
        if following is None:
            self._see_off()
            return
        self._publish(following)
        behind, self._behind = self._behind, []
        self._take_events(behind)
        self._flush()
        self._unblock()

    def _end_source(self, reason: SourceEnded | SourceUnreachable) -> None:
        if self._source is not None:
            self._source.end(reason)

    # ------------------------------------------------------------------ sending away

    def _refuse(self, stream_id: int, code: str, description: str, reason: str) -> None:
        detail = description[:MAX_LOGGED_CHARS]
        self._service.log_peer("publish_refused", self.address, peer=self.peer, reason=reason, detail=detail)
        self._machine.reject_publish(stream_id, code, description)
        self._dismiss(reason)

    def _reject(self, code: str, description: str, reason: str) -> None:
        """End a publication that had begun."""
        if self._publishes:
            self._machine.reject_publish(self._stream_id, code, description)
        self._dismiss(reason)

    def _send_away(self, description: str, reason: PublishRefusal | None) -> None:
        """End a publication that the stream takes no more of."""
        if reason in _PERMANENT:
            self._reject(DENIED, description, reason.value if reason is not None else "")
            return
        if self._publishes:
            self._machine.end_publish(self._stream_id, description)
        self._dismiss(reason.value if reason is not None else "dropped")

    @property
    def _publishes(self) -> bool:
        """Whether there is a peer that believes it publishes."""
        state = self._machine.stream_state(self._stream_id)
        return self._transport is not None and state is StreamState.PUBLISHING

    def _dismiss(self, reason: str) -> None:
        self._service.statistics.refused[reason] += 1
        self._flush()
        self._leave()

    def _protocol_error(self, what: str) -> None:
        self._service.statistics.protocol_errors += 1
        self._service.log_peer(
            "rtmp_protocol_error", self.address, peer=self.peer, error=what[:MAX_LOGGED_CHARS]
        )
        self._end_source(SourceUnreachable(f"rtmp: the publisher broke the protocol: {what}"))
        self._leave()

    def _give_up_waiting(self) -> None:
        self._service.statistics.refused["deadline"] += 1
        self.abort()

    def _check_silence(self) -> None:
        limit_s = self._service.limits.silence_deadline_s
        silent_s = self._service.loop.time() - self._last_data_s
        if self._blocked_by_queue:
            silent_s = 0.0
        if silent_s >= limit_s:
            self._end_source(SourceUnreachable(f"rtmp: nothing arrived for {limit_s:g} s"))
            self.abort()
        else:
            self._arm(limit_s - silent_s, self._check_silence)

    def _see_off(self) -> None:
        """The publisher finished, and is given time to close first: GStreamer takes a connection that is
        closed on it for a failure, even then."""
        if self._transport is not None and not self._leaving:
            self._arm(self._service.limits.linger_s, self._leave)

    def _leave(self) -> None:
        """Close, but let the peer read why: close our side first, then wait a little for its side."""
        transport = self._transport
        if transport is None or self._leaving:
            return
        self._leaving = True
        self._apply_pauses()
        if transport.can_write_eof():
            transport.write_eof()
            self._arm(self._service.limits.linger_s, self.abort)
        else:  # TLS has no half-closed state
            transport.close()
            self._arm(self._service.limits.linger_s, self.abort)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ timers and output

    def _arm(self, delay_s: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._service.loop.call_later(delay_s, action)

    def _flush(self) -> None:
        data = self._machine.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._service.statistics.sent_bytes += len(data)
            self._transport.write(data)
