"""RTMP(S) pulled from another server: connects, plays, and goes on as a publisher's connection does."""

import asyncio
import secrets
import socket
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self, assert_never, cast
from urllib.parse import urlencode, urlsplit

from openstreamer.config.defaults import RTMP_TIMEOUT_S
from openstreamer.config.input_urls import RtmpInput
from openstreamer.config.models import Input
from openstreamer.config.urls import MASK
from openstreamer.media.errors import (
    RemoteProtocolError,
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.batches import QueueLimits
from openstreamer.sources.held_back import HeldBack
from openstreamer.sources.outbound import Outbound, Target, reason_of
from openstreamer.sources.rtmp import RtmpPublishSource, take_for_a_turn
from openstreamer.sources.ticks import next_tick_s
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
    RtmpClient,
    RtmpEvent,
    StatusReceived,
    StreamClosed,
    StreamCreated,
)
from openstreamer.wire.rtmp.login import MAX_TRIES, login_query, wants_login

MAX_BYTES_BEFORE_PLAY: Final = 1 << 20
MOST_AT_ONCE_BYTES: Final = 256 << 10  # then the others have their turn: in one, uvloop reads 8 MB and more
_PLAYING: Final = "NetStream.Play.Start"
_NOT_FOUND: Final = frozenset({"NetStream.Play.StreamNotFound", "NetStream.Play.FileNotFound"})


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """What is asked of the server. ``name`` carries the query, which may hold a token."""

    target: Target
    app: str
    tc_url: str
    name: str = field(repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, rtmp: RtmpInput, chosen: Input) -> Self:
        """``rtmp://host/app/name?query``: the last part of the path is the stream, what is before it the
        application. Path and query are sent as they were written, as encoders do."""
        endpoint, scheme = rtmp.endpoint, "rtmps" if rtmp.tls else "rtmp"
        split = urlsplit(chosen.url)
        app, _, name = split.path.strip("/").rpartition("/")
        if not app:
            app, name = name, ""
        query = "&".join(part for part in (split.query, urlencode(dict(chosen.params))) if part)
        host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        target = Target(
            label=scheme,
            host=endpoint.host,
            port=endpoint.port,
            connect_s=float(chosen.net.timeout_sec or RTMP_TIMEOUT_S),
            tls=rtmp.tls,
            insecure_tls=chosen.net.insecure_tls,
        )
        tc_url = f"{scheme}://{host}:{endpoint.port}/{app}"
        asked = f"{name}?{query}" if query else name
        return cls(target, app, tc_url, asked, endpoint.username, endpoint.password)

    def with_login(self, query: str) -> Self:
        """The same, with ``query`` behind the application."""
        return replace(self, app=self.app + query, tc_url=self.tc_url + query)


class RtmpPullSource:
    """A :class:`~openstreamer.sources.base.Source` that plays a stream of another server.

    ``net.timeout_sec`` bounds connecting, the way to the server's consent, and any silence after it.
    """

    def __init__(
        self, outbound: Outbound, rtmp: RtmpInput, chosen: Input, *, limits: QueueLimits | None = None
    ) -> None:
        self._outbound = outbound
        self._request = PlayRequest.of(rtmp, chosen)
        self._limits = limits
        self._connection = _PlayConnection(self._request, limits)

    async def __aenter__(self) -> Self:
        for _ in range(MAX_TRIES - 1):
            try:
                await self._connect()
            except SourceRejected:
                query = self._login()
                if not query:
                    raise
                self._connection = _PlayConnection(self._request.with_login(query), self._limits)
            else:
                return self
        await self._connect()
        return self

    def _login(self) -> str:
        """What the application needs behind it at the next try; empty when the server wants no login, or we
        have none."""
        request, wanted = self._request, self._connection.login_wanted
        if not request.username or not wants_login(wanted):
            return ""
        try:
            return login_query(wanted, request.username, request.password, secrets.token_hex(4))
        except RemoteProtocolError as err:
            raise SourceRejected(f"{request.target.label}: {err}") from err

    async def _connect(self) -> None:
        connection, target = self._connection, self._request.target
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await self._outbound.connect(connection.over, target)
        remaining_s = max(0.1, target.connect_s - (loop.time() - started_s))
        try:
            async with asyncio.timeout(remaining_s):
                await connection.wait_until_playing()
        except TimeoutError as err:
            connection.close()
            label, waiting_for = target.label, connection.waiting_for
            raise SourceStalled(
                f"{label}: connected, but {waiting_for} within {target.connect_s:g} s"
            ) from err
        except BaseException:
            connection.close()
            raise

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._connection.close()

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        return await self._connection.media.receive()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first; those of the frames that ``receive`` returned last."""
        return self._connection.media.tracks

    @property
    def protocol(self) -> str:
        """``rtmp`` or ``rtmps``."""
        return self._request.target.label

    @property
    def statistics(self) -> SourceStatistics:
        """``received_packets`` counts audio and video messages, ``received_bytes`` their payload."""
        return self._connection.media.statistics

    @property
    def arrived_ns(self) -> int | None:
        """When the oldest frame of the last batch was complete."""
        return self._connection.media.arrived_ns

    @property
    def left_out(self) -> str | None:
        """In words, what the server sends and the stream goes without."""
        return self._connection.media.left_out

    @property
    def queued_bytes(self) -> int:
        """Payload that waits to be received."""
        return self._connection.media.queued_bytes

    @property
    def paused(self) -> bool:
        """Whether the server is being slowed down because nobody receives."""
        return self._connection.paused


class _PlayConnection(asyncio.Protocol):
    """The adapter between a transport, :class:`RtmpClient` and the queue that ``receive`` reads."""

    def __init__(self, request: PlayRequest, limits: QueueLimits | None) -> None:
        target = request.target
        self.media = RtmpPublishSource(self, limits=limits, protocol=target.label)
        self.paused = False
        self.waiting_for = "no handshake"  # in the words of the error
        self.login_wanted = ""  # what a refusal of the application said
        self._request = request
        self._machine = RtmpClient()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None  # of ticks, once it plays
        self._held: HeldBack  # between ticks; of the socket, which ``over`` is given before any callback
        self._playing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stream_id = 0
        self._received_bytes = 0
        self._last_data_s = 0.0
        self._unshared_bytes = 0  # received since the others had their turn
        self._waits_for_turn = False

    def over(self, connected: socket.socket) -> Self:
        """This connection, over a socket."""
        self._held = HeldBack(connected)
        return self

    async def wait_until_playing(self) -> None:
        """Returns when the server has agreed, raises what it says otherwise."""
        await self._playing

    def close(self) -> None:
        """Leave. Nothing that the server does can delay it."""
        if self._timer is not None:
            self._timer.cancel()
        self._playing.cancel()
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's TCP transport is no subclass of it
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self.media.failure is not None:
            return
        self._received_bytes += len(data)
        self._last_data_s = asyncio.get_running_loop().time()
        if self._timer is not None:
            self._held.hold()
        self._unshared_bytes += len(data)
        self._take(data)
        if self._machine.has_more or self._unshared_bytes > MOST_AT_ONCE_BYTES:
            self._end_turn()

    def _take(self, data: bytes) -> None:
        """Take the messages in ``data`` and in what was received before, as far as a turn allows."""
        problem = take_for_a_turn(self._machine, data, self._handle_events, self._has_room)
        self._flush()
        if problem is not None:
            self._end(SourceUnreachable(f"{self._label}: the server broke the protocol: {problem}"))
        elif not self._playing.done() and self._received_bytes > MAX_BYTES_BEFORE_PLAY:
            self._end(SourceRejected(f"{self._label}: the server sends and does not say that it plays"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        said = f": {reason_of(exc)}" if isinstance(exc, OSError) else ""
        if not self._playing.done():
            said += f": {self.waiting_for}"
        self._end(SourceUnreachable(f"{self._label}: the server closed the connection{said}"))

    def pause_writing(self) -> None:
        self._end(SourceUnreachable(f"{self._label}: the server asks and does not read what is answered"))

    def _has_room(self) -> bool:
        """Whether more of this server has a place to go."""
        transport = self._transport
        is_open = transport is not None and not transport.is_closing() and self.media.failure is None
        return is_open and not self.paused

    def _end_turn(self) -> None:
        """However fast the server sends: let the others have their turn."""
        if self._transport is not None and not self._waits_for_turn:
            self._waits_for_turn = True
            self._unshared_bytes = 0
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        self._waits_for_turn = False
        if self._machine.has_more and self._has_room():
            self._take(b"")
        self._go_on()

    def _go_on(self) -> None:
        """With what was received and not taken, else with reading."""
        if self._transport is not None and self._has_room():
            if self._machine.has_more:
                self._end_turn()
            elif not self._waits_for_turn:
                self._transport.resume_reading()

    # ------------------------------------------------------------------ the queue's callbacks

    def pause_publisher(self) -> None:
        """The stream does not keep up: let TCP slow the server down."""
        self.paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_publisher(self) -> None:
        """The stream has emptied the queue."""
        self.paused = False
        self._last_data_s = asyncio.get_running_loop().time()
        self._go_on()

    # ------------------------------------------------------------------ events

    @property
    def _label(self) -> str:
        return self._request.target.label

    def _handle_events(self, problem: RemoteProtocolError | None) -> None:
        """``problem``: the connection broke behind these events, so that nothing can be asked any more."""
        for event in self._machine.events():
            if self.media.failure is not None:
                return
            if event.__class__ is MediaReceived:
                self.media.feed_media(event)
            elif problem is None:
                self._handle(event)

    def _handle(self, event: RtmpEvent) -> None:
        match event:
            case HandshakeCompleted():
                self.waiting_for = "no answer to connect"
                self._machine.send_connect(self._request.app, self._request.tc_url)
            case ConnectAnswered():
                self._connect_answered(event)
            case StreamCreated():
                self._play(event.stream_id)
            case StatusReceived():
                self._status(event)
            case MetadataReceived():
                self.media.feed_metadata(event.values)
            case StreamClosed():
                self._end(SourceEnded(f"{self._label}: the server says that the stream is over"))
            case CallFailed():
                self._refused(f"refused {event.command}", event.code, event.description)
            case MediaReceived() | ConnectionEnded():
                pass
            case ConnectRequested() | PublishRequested() | PlayRequested():
                pass  # of the server role
            case _:
                assert_never(event)

    def _connect_answered(self, event: ConnectAnswered) -> None:
        if event.accepted:
            self.waiting_for = "no answer to createStream"
            self._machine.send_create_stream()
            return
        self.login_wanted = event.description
        self._refused("refused the application", event.code, event.description)

    def _play(self, stream_id: int) -> None:
        if self._stream_id:
            return  # an answer nobody asked for
        self._stream_id = stream_id
        self.waiting_for = "no answer to play"
        self._machine.send_play(stream_id, self._request.name)

    def _status(self, event: StatusReceived) -> None:
        if event.level == "error":
            what = "has no such stream" if event.code in _NOT_FOUND else "refused to play"
            self._refused(what, event.code, event.description)
        elif event.code == _PLAYING and not self._playing.done():
            self._playing.set_result(None)
            self._tick()

    def _refused(self, what: str, code: str, description: str) -> None:
        """End with the server's own words, cut short and without the query of the name, which is a secret."""
        name = self._request.name
        words = f"{code[:80]} {description[:400]}".strip()
        if "?" in name:
            words = words.replace(name, name.partition("?")[0]).replace(name.partition("?")[2], MASK)
        said = f": {words[:240]}" if words else ""
        self._end(SourceRejected(f"{self._label}: the server {what}{said}"))

    def _end(self, reason: SourceError) -> None:
        """Only the first reason counts; what is queued is received before it is raised."""
        if self._timer is not None:
            self._timer.cancel()
        self.media.end(reason)
        if not self._playing.done():
            self._playing.set_exception(self.media.failure or reason)
        if self._transport is not None:
            self._transport.abort()

    def _tick(self) -> None:
        """See what has come since the last tick, or that nothing did for too long: media is in real time."""
        loop, held = asyncio.get_running_loop(), self._held
        if self._transport is None:
            return
        limit_s = self._request.target.connect_s
        if held.holds:
            held.release()
        elif loop.time() - self._last_data_s > limit_s and not self.paused:
            self._end(SourceStalled(f"{self._label}: connected, but silent for {limit_s:g} s"))
            return
        self._timer = loop.call_at(next_tick_s(loop.time()), self._tick)

    def _flush(self) -> None:
        data = self._machine.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
