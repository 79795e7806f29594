"""The HTTP/2 server machine, against the h2 library as its client and against single frames."""

from collections.abc import Callable
from functools import cache

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import LocalProtocolError
from openstreamer.wire.http2 import Http2Limits, Http2Server
from openstreamer.wire.http2_frames import (
    PREFACE,
    ConnectionFailed,
    DataReceived,
    ErrorCode,
    Event,
    FrameType,
    RequestReceived,
    Setting,
    StreamReset,
    WindowOpened,
    frame,
    settings_frame,
)
from openstreamer.wire.http2_request import request_head

GET = bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")  # GET http://www.example.com/
POST_4 = b"\x83\x86\x84\x0f\x0d\x014"  # POST, content-length: 4
HEADERS, END_STREAM, END_HEADERS, PADDED, PRIORITY = FrameType.HEADERS, 1, 4, 8, 32


def new_server(**limits: int) -> Http2Server:
    """A server that has seen the preface and an empty SETTINGS; its own SETTINGS are taken off."""
    server = Http2Server(Http2Limits(**limits))
    assert server.receive_data(PREFACE + settings_frame({})) == []
    server.data_to_send()
    return server


def opened(**limits: int) -> Http2Server:
    """A server with the request of stream 1 open for a response, and its request complete."""
    server = new_server(**limits)
    (event,) = server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 1, GET))
    assert isinstance(event, RequestReceived)
    return server


def sent(server: Http2Server) -> bytes:
    return b"".join(server.data_to_send())


def failure(events: list[Event]) -> ErrorCode:
    """The code of the connection error that ends ``events``."""
    assert isinstance(events[-1], ConnectionFailed)
    return events[-1].code


def client_pair(*, careless: bool = False) -> tuple[h2.connection.H2Connection, Http2Server]:
    """A client, that sends malformed heads too if it is ``careless``, and a server."""
    config = h2.config.H2Configuration(
        client_side=True, header_encoding=None, validate_outbound_headers=not careless
    )
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    return client, Http2Server(Http2Limits())


def exchange(client: h2.connection.H2Connection, server: Http2Server) -> tuple[list[Event], list[object]]:
    """Pass bytes both ways until both are quiet."""
    server_events: list[Event] = []
    client_events: list[object] = []
    while True:
        to_server, to_client = client.data_to_send(), sent(server)
        if not to_server and not to_client:
            return server_events, client_events
        server_events += server.receive_data(to_server)
        client_events += client.receive_data(to_client)


def fields(path: bytes, method: bytes = b"GET") -> list[tuple[bytes, bytes]]:
    return [(b":method", method), (b":authority", b"x"), (b":scheme", b"https"), (b":path", path)]


# --- with another implementation ---------------------------------------------------------------------------


def test_a_request_and_its_response() -> None:
    client, server = client_pair()
    client.send_headers(1, [*fields(b"/a?b=c"), (b"accept", b"*/*")], end_stream=True)
    events, _ = exchange(client, server)
    headers = [(b"host", b"x"), (b"accept", b"*/*")]
    assert events == [RequestReceived(1, "GET", "https", b"/a?b=c", headers, ended=True)]
    server.send_headers(1, 200, [(b"content-length", b"40000")], end_stream=False)
    server.send_data(1, b"z" * 40_000, end_stream=True)
    _, received = exchange(client, server)
    assert b"".join(e.data for e in received if isinstance(e, h2.events.DataReceived)) == b"z" * 40_000
    assert any(isinstance(e, h2.events.StreamEnded) for e in received)
    assert server.open_streams == 0


@pytest.mark.parametrize("scheme", [b"http", b"https"])
@pytest.mark.parametrize(
    ("authority", "hosts"),
    [
        (b"evil.example", [b"127.0.0.1"]),
        (b"127.0.0.1:8080", [b"127.0.0.1"]),
        (b"", [b"127.0.0.1"]),
        (b"x", [b""]),
        (b"x", [b"x", b"x"]),
        (None, [b"x", b"127.0.0.1"]),
    ],
)
def test_a_host_that_is_not_the_authority_is_malformed(
    scheme: bytes, authority: bytes | None, hosts: list[bytes]
) -> None:
    pseudo = [(b":method", b"GET"), (b":scheme", scheme), (b":path", b"/")]
    named = [] if authority is None else [(b":authority", authority)]
    assert request_head([*pseudo, *named, *((b"host", host) for host in hosts)]) is None


@pytest.mark.parametrize(
    ("scheme", "authority", "host"),
    [
        (b"http", b"X.example", b"x.EXAMPLE"),
        (b"http", b"x:80", b"x"),
        (b"https", b"x", b"x:443"),
        (b"https", b"[::1]", b"[::1]:"),
        (b"http", b"[::1]:8080", b"[::1]:8080"),
    ],
)
def test_a_host_that_names_the_authority_is_passed_on(scheme: bytes, authority: bytes, host: bytes) -> None:
    pseudo = [(b":method", b"GET"), (b":scheme", scheme), (b":path", b"/"), (b":authority", authority)]
    head = request_head([*pseudo, (b"host", host)])
    assert head is not None
    assert head.headers == [(b"host", host)]


def test_a_server_resets_the_stream_of_a_host_that_is_not_the_authority() -> None:
    client, server = client_pair(careless=True)
    client.send_headers(1, [*fields(b"/streams"), (b"host", b"127.0.0.1")], end_stream=True)
    events, received = exchange(client, server)
    assert events == []
    (reset,) = [event for event in received if isinstance(event, h2.events.StreamReset)]
    assert reset.error_code == ErrorCode.PROTOCOL_ERROR


def test_a_body_is_delivered_credited_and_ended() -> None:
    client, server = client_pair()
    client.send_headers(1, fields(b"/", b"POST"))
    exchange(client, server)
    for _ in range(20):  # many times the window
        client.send_data(1, b"d" * 16_000, pad_length=100)
        events, _ = exchange(client, server)
        assert events == [DataReceived(1, b"d" * 16_000, ended=False)]
        server.credit(1, 16_000)
        exchange(client, server)
    client.send_data(1, b"", end_stream=True)
    assert exchange(client, server)[0] == [DataReceived(1, b"", ended=True)]


def test_a_header_block_in_many_frames_is_one_request() -> None:
    client, server = client_pair()
    long = [(b"x-long-%d" % n, b"v" * 900) for n in range(30)]
    client.send_headers(1, fields(b"/") + long, end_stream=True)
    events, _ = exchange(client, server)
    assert isinstance(events[0], RequestReceived)
    assert events[0].headers[1:] == long


def test_a_large_response_head_is_split_into_continuations() -> None:
    client, server = client_pair()
    client.send_headers(1, fields(b"/"), end_stream=True)
    exchange(client, server)
    headers = [(b"x-%d" % n, b"v" * 500) for n in range(60)]
    server.send_headers(1, 200, headers, end_stream=True)
    client.max_inbound_frame_size = 16_384
    _, received = exchange(client, server)
    (response,) = [e for e in received if isinstance(e, h2.events.ResponseReceived)]
    assert [tuple(field) for field in response.headers][1:] == headers


def test_settings_with_another_header_table_size_are_survived() -> None:
    """The peer's decoder must see a size update when it lowers its table (RFC 7541 4.2)."""
    client, server = client_pair()
    client.update_settings({1: 0})
    client.send_headers(1, fields(b"/"), end_stream=True)
    exchange(client, server)
    server.send_headers(1, 200, [(b"a", b"b")], end_stream=True)
    _, received = exchange(client, server)
    assert any(isinstance(e, h2.events.ResponseReceived) for e in received)


@cache
def several_requests() -> tuple[bytes, list[Event], bytes]:
    """What a client says, and what one server that gets it at once makes of it and answers."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, fields(b"/one"), end_stream=True)
    client.send_headers(3, [*fields(b"/two", b"POST"), (b"x", b"y" * 20_000)])
    client.send_data(3, b"body" * 100, end_stream=True)
    client.ping(b"12345678")
    client.increment_flow_control_window(1000)
    client.send_headers(5, fields(b"/three"))
    client.reset_stream(5, 8)
    stream = client.data_to_send()
    server = Http2Server(Http2Limits())
    return stream, server.receive_data(stream), sent(server)


@given(st.data())
def test_any_split_of_the_bytes_gives_the_same_events_and_answers(data: st.DataObject) -> None:
    stream, expected, answers = several_requests()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    parts = Http2Server(Http2Limits())
    events: list[Event] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += parts.receive_data(stream[start:end])
    assert events == expected
    assert sent(parts) == answers


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=60)))
)
def test_any_frames_give_events_or_one_connection_error(frames: list[tuple[int, int, int, bytes]]) -> None:
    server = new_server()
    events = []
    for kind, flags, stream_id, payload in frames:
        events += server.receive_data(frame(kind, flags, stream_id, payload))
    failures = [event for event in events if isinstance(event, ConnectionFailed)]
    assert len(failures) <= 1
    assert not failures or events[-1] is failures[0]
    sent(server)


@given(st.binary(max_size=400))
def test_any_bytes_after_the_preface_are_survived(data: bytes) -> None:
    new_server().receive_data(data)


# --- connection errors -------------------------------------------------------------------------------------

_E = ErrorCode
CONNECTION_ERRORS: dict[str, tuple[bytes, ErrorCode]] = {
    "frame over the limit": (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", _E.FRAME_SIZE_ERROR),
    "data on stream 0": (frame(0, 0, 0, b"x"), _E.PROTOCOL_ERROR),
    "data on an idle stream": (frame(0, 0, 3, b"x"), _E.PROTOCOL_ERROR),
    "reset of an idle stream": (frame(3, 0, 3, bytes(4)), _E.PROTOCOL_ERROR),
    "short reset": (frame(3, 0, 1, bytes(3)), _E.FRAME_SIZE_ERROR),
    "window of an idle stream": (frame(8, 0, 3, b"\x00\x00\x01\x00"), _E.PROTOCOL_ERROR),
    "window of nothing": (frame(8, 0, 0, bytes(4)), _E.PROTOCOL_ERROR),
    "window over the limit": (frame(8, 0, 0, b"\x7f\xff\xff\xff"), _E.FLOW_CONTROL_ERROR),
    "short window update": (frame(8, 0, 0, bytes(3)), _E.FRAME_SIZE_ERROR),
    "headers on an even stream": (frame(1, 5, 2, GET), _E.PROTOCOL_ERROR),
    "headers on stream 0": (frame(1, 5, 0, GET), _E.PROTOCOL_ERROR),
    "headers that depend on themselves": (frame(1, 37, 3, b"\0\0\0\x03\x10" + GET), _E.PROTOCOL_ERROR),
    "too short for its priority": (frame(1, 37, 3, b"\0\0"), _E.FRAME_SIZE_ERROR),
    "padding longer than the frame": (frame(1, 13, 3, b"\x09abc"), _E.PROTOCOL_ERROR),
    "broken compression": (frame(1, 5, 3, b"\xff\xff\xff\xff\xff"), _E.COMPRESSION_ERROR),
    "upper-case header": (frame(1, 5, 3, GET + b"\x00\x01A\x01b"), _E.PROTOCOL_ERROR),
    "continuation of nothing": (frame(9, 4, 1, GET), _E.PROTOCOL_ERROR),
    "interrupted block": (frame(1, 1, 3, GET) + frame(6, 0, 0, bytes(8)), _E.PROTOCOL_ERROR),
    "settings on a stream": (frame(4, 0, 1, b""), _E.PROTOCOL_ERROR),
    "odd settings": (frame(4, 0, 0, bytes(5)), _E.FRAME_SIZE_ERROR),
    "acknowledgement with content": (frame(4, 1, 0, bytes(6)), _E.FRAME_SIZE_ERROR),
    "push setting": (settings_frame({Setting.ENABLE_PUSH: 2}), _E.PROTOCOL_ERROR),
    "frame size setting": (settings_frame({Setting.MAX_FRAME_SIZE: 100}), _E.PROTOCOL_ERROR),
    "window setting": (settings_frame({Setting.INITIAL_WINDOW_SIZE: 1 << 31}), _E.FLOW_CONTROL_ERROR),
    "ping on a stream": (frame(6, 0, 1, bytes(8)), _E.PROTOCOL_ERROR),
    "short ping": (frame(6, 0, 0, bytes(7)), _E.FRAME_SIZE_ERROR),
    "goaway on a stream": (frame(7, 0, 1, bytes(8)), _E.PROTOCOL_ERROR),
    "push promise": (frame(5, 4, 1, bytes(4) + GET), _E.PROTOCOL_ERROR),
    "priority on stream 0": (frame(2, 0, 0, bytes(5)), _E.PROTOCOL_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
def test_a_connection_error_is_told_with_goaway_and_ends_everything(name: str) -> None:
    data, code = CONNECTION_ERRORS[name]
    server = opened()
    assert failure(server.receive_data(data)) == code
    goaway = sent(server)
    assert goaway[3] == FrameType.GOAWAY
    assert goaway[9:17] == (1).to_bytes(4, "big") + int(code).to_bytes(4, "big")
    assert server.receive_data(frame(6, 0, 0, bytes(8))) == []
    assert sent(server) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PREFACE + frame(6, 0, 0, bytes(8)),
        PREFACE + frame(4, 1, 0, b""),
    ],
)
def test_what_does_not_begin_with_preface_and_settings_is_no_http_2(data: bytes) -> None:
    assert failure(Http2Server(Http2Limits()).receive_data(data)) == ErrorCode.PROTOCOL_ERROR


# --- stream errors -----------------------------------------------------------------------------------------

MALFORMED = {
    "no path": b"\x82\x86",
    "no method": b"\x86\x84",
    "no scheme": b"\x82\x84",
    "two paths": b"\x82\x86\x84\x84",
    "empty path": b"\x82\x86\x04\x00",
    "relative path": b"\x82\x86\x04\x01a",
    "status in a request": b"\x82\x86\x84\x88",
    "pseudo-field after a field": b"\x82\x86\x00\x01a\x01b\x84",
    "connection": b"\x82\x86\x84\x00\x0aconnection\x05close",
    "te": b"\x82\x86\x84\x00\x02te\x04gzip",
    "two content-lengths": b"\x83\x86\x84\x0f\x0d\x011\x0f\x0d\x011",
    "content-length is no number": b"\x83\x86\x84\x0f\x0d\x02-1",
    "content-length without a body": POST_4,
    "CONNECT": b"\x02\x07CONNECT\x01\x01x",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_resets_its_stream_only(name: str) -> None:
    server = new_server()
    assert server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 1, MALFORMED[name])) == []
    assert sent(server) == frame(FrameType.RST_STREAM, 0, 1, b"\0\0\0\x01")
    (event,) = server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 3, GET))
    assert isinstance(event, RequestReceived)


@pytest.mark.parametrize("body", [b"abc", b"abcde"])
def test_a_body_that_is_not_as_long_as_announced_resets_the_stream(body: bytes) -> None:
    server = new_server()
    server.receive_data(frame(HEADERS, END_HEADERS, 1, POST_4))
    events = server.receive_data(frame(FrameType.DATA, END_STREAM, 1, body))
    assert events == [StreamReset(1, ErrorCode.PROTOCOL_ERROR)]


def test_trailers_end_a_request_and_are_dropped() -> None:
    server = new_server()
    server.receive_data(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84"))
    trailers = frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x00\x01a\x01b")
    assert server.receive_data(trailers) == [DataReceived(1, b"", ended=True)]


@pytest.mark.parametrize(("flags", "block"), [(END_HEADERS, b"\x00\x01a\x01b"), (5, b"\x84")])
def test_bad_trailers_reset_the_stream(flags: int, block: bytes) -> None:
    server = new_server()
    server.receive_data(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84"))
    assert server.receive_data(frame(HEADERS, flags, 1, block)) == [StreamReset(1, ErrorCode.PROTOCOL_ERROR)]


def test_more_body_than_the_window_resets_the_stream() -> None:
    server = new_server(stream_window_bytes=1000)
    server.receive_data(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84"))
    events = server.receive_data(frame(FrameType.DATA, 0, 1, bytes(1001)))
    assert events == [StreamReset(1, ErrorCode.FLOW_CONTROL_ERROR)]


def test_more_bodies_than_the_window_of_the_connection_end_it() -> None:
    server = new_server(connection_window_bytes=70_000)
    for stream_id in (1, 3):
        server.receive_data(frame(HEADERS, END_HEADERS, stream_id, b"\x83\x86\x84"))
    events: list[Event] = []
    for n in range(6):
        events += server.receive_data(frame(FrameType.DATA, 0, 1 + n % 2 * 2, bytes(16_000)))
    assert failure(events) == ErrorCode.FLOW_CONTROL_ERROR


def test_frames_on_a_stream_that_this_side_reset_are_ignored() -> None:
    server = new_server()
    server.receive_data(frame(HEADERS, END_HEADERS, 1, b"\x83\x86\x84"))
    server.reset(1, ErrorCode.CANCEL)
    sent(server)
    late = frame(0, 0, 1, b"x") + frame(8, 0, 1, b"\0\0\1\0") + frame(HEADERS, 5, 1, b"\x00\x01a\x01b")
    assert server.receive_data(late) == []
    assert sent(server) == b""


# --- bounds ------------------------------------------------------------------------------------------------

FLOODS: dict[str, Callable[[int], bytes]] = {
    "ping": lambda n: frame(6, 0, 0, n.to_bytes(8, "big")),
    "settings": lambda n: settings_frame({Setting.INITIAL_WINDOW_SIZE: n}),
    "priority": lambda n: frame(2, 0, 1, bytes(5)),
    "unknown frames": lambda n: frame(0xAA, 0, 0, b""),
    "tiny windows": lambda n: frame(8, 0, 0, b"\0\0\0\1"),
    "empty data": lambda n: frame(0, 0, 3, b""),
    "tiny data": lambda n: frame(0, 0, 3, b"x"),
    "empty continuations": lambda n: frame(9, 0, 5, b"") if n else frame(1, 1, 5, GET),
    "resets": lambda n: frame(1, 4, 7 + 2 * n, GET) + frame(3, 0, 7 + 2 * n, bytes(4)),
    "refused streams": lambda n: frame(1, 4, 7 + 2 * n, GET),
    "data after the end": lambda n: frame(0, 1, 1, b""),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection_and_is_answered_within_bounds(name: str) -> None:
    cancels = name in ("resets", "refused streams")
    server = opened(control_frames=5000 if cancels else 50, resets=20, max_concurrent_streams=10)
    server.receive_data(frame(HEADERS, END_HEADERS, 3, b"\x83\x86\x84"))
    sent(server)
    events: list[Event] = []
    for n in range(2000):
        events += server.receive_data(FLOODS[name](n))
    assert failure(events) == ErrorCode.ENHANCE_YOUR_CALM
    assert len(sent(server)) < 4000


@pytest.mark.parametrize("name", ["ping", "priority", "tiny windows", "resets"])
def test_the_same_frames_over_a_long_time_are_allowed(name: str) -> None:
    server = opened(control_frames=50, resets=20)
    for n in range(500):
        events = server.receive_data(FLOODS[name](n))
        assert not any(isinstance(event, ConnectionFailed) for event in events)
        sent(server)
        if n % 4 == 0:
            server.replenish()


def test_an_endless_header_block_ends_the_connection() -> None:
    server = new_server(max_header_block_bytes=20_000)
    events = server.receive_data(frame(HEADERS, END_STREAM, 1, bytes(16_000)))
    events += server.receive_data(frame(FrameType.CONTINUATION, 0, 1, bytes(16_000)))
    assert failure(events) == ErrorCode.ENHANCE_YOUR_CALM


def test_settings_are_counted_one_by_one_however_many_come_in_a_frame() -> None:
    window = Setting.INITIAL_WINDOW_SIZE.to_bytes(2, "big") + b"\0\1\0\0"
    assert failure(opened().receive_data(frame(4, 0, 0, window * 2000))) == ErrorCode.ENHANCE_YOUR_CALM


def test_a_crowd_of_small_header_fields_ends_the_connection() -> None:
    server = new_server(max_header_fields=100)
    events = server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 1, GET + b"\x00\x01a\x00" * 99))
    assert failure(events) == ErrorCode.ENHANCE_YOUR_CALM


def test_more_streams_than_allowed_are_refused_and_may_be_tried_again() -> None:
    server = new_server(max_concurrent_streams=1)
    server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 1, GET))
    assert server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 3, GET)) == []
    assert sent(server).endswith(frame(FrameType.RST_STREAM, 0, 3, b"\0\0\0\x07"))
    server.send_headers(1, 204, [], end_stream=True)
    (event,) = server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 5, GET))
    assert isinstance(event, RequestReceived)


# --- sending -----------------------------------------------------------------------------------------------


def test_sending_keeps_to_both_windows_and_says_when_they_open() -> None:
    server = opened()
    server.send_headers(1, 200, [], end_stream=False)
    assert server.sendable(1) == 65_535
    with pytest.raises(LocalProtocolError):
        server.send_data(1, bytes(65_536), end_stream=True)
    server.send_data(1, bytes(65_535), end_stream=False)
    assert server.sendable(1) == 0
    assert server.receive_data(frame(8, 0, 0, b"\0\0\x27\x10")) == [WindowOpened(0)]
    assert server.sendable(1) == 0
    assert server.receive_data(frame(8, 0, 1, b"\0\0\x03\xe8")) == [WindowOpened(1)]
    assert server.sendable(1) == 1000


def test_a_smaller_initial_window_may_make_a_window_negative() -> None:
    server = opened()
    server.send_headers(1, 200, [], end_stream=False)
    server.send_data(1, bytes(60_000), end_stream=False)
    server.receive_data(settings_frame({Setting.INITIAL_WINDOW_SIZE: 10_000}))
    assert server.sendable(1) == 0
    events = server.receive_data(settings_frame({Setting.INITIAL_WINDOW_SIZE: 60_010}))
    assert events == [WindowOpened(0)]
    assert server.sendable(1) == 10


def test_bodies_are_framed_without_being_copied() -> None:
    server = opened()
    server.send_headers(1, 200, [], end_stream=False)
    sent(server)
    body = bytes(range(256)) * 200
    server.send_data(1, body, end_stream=True)
    buffers = server.data_to_send()
    views = [buffer for buffer in buffers if isinstance(buffer, memoryview)]
    assert all(view.obj is body for view in views)
    assert b"".join(views) == body
    assert max(map(len, views)) == 16_384


def test_a_peer_that_takes_larger_frames_gets_them() -> None:
    server = opened()
    server.receive_data(settings_frame({Setting.MAX_FRAME_SIZE: 1 << 20}))
    server.send_headers(1, 200, [], end_stream=False)
    sent(server)
    server.send_data(1, bytes(60_000), end_stream=True)
    assert [len(buffer) for buffer in server.data_to_send()] == [9, 60_000]


def test_after_going_away_new_streams_are_refused_and_open_ones_finish() -> None:
    server = opened()
    server.go_away()
    assert server.receive_data(frame(HEADERS, END_STREAM | END_HEADERS, 3, GET)) == []
    server.send_headers(1, 204, [], end_stream=True)
    kinds = [bytes(buffer)[3] for buffer in server.data_to_send()]
    assert kinds == [FrameType.GOAWAY, FrameType.RST_STREAM, FrameType.HEADERS]


def test_a_response_on_a_stream_that_is_gone_is_dropped() -> None:
    server = opened()
    assert server.receive_data(frame(3, 0, 1, b"\0\0\0\x08")) == [StreamReset(1, 8)]
    server.send_headers(1, 200, [], end_stream=False)
    server.send_data(1, b"late", end_stream=True)
    assert server.sendable(1) == 0
    assert sent(server) == b""
