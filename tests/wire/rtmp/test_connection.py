"""Client and server over every kind of link, and peers that break the protocol."""

import contextlib
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.rtmp import (
    DEFAULT_CHUNK_BYTES,
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
    RtmpLimits,
    RtmpServer,
    StatusReceived,
    StreamClosed,
    StreamCreated,
    StreamState,
)
from openstreamer.wire.rtmp.chunks import ChunkReader, encode_message
from openstreamer.wire.rtmp.messages import Message, MessageType, UserControl, user_control
from tests.support.amf3 import switched
from tests.support.rtmp_pair import Chop, RtmpPair, bytewise, whole

NONE_OPTIONS: dict[str, AmfValue] = {"app": "live", "tcUrl": "rtmp://server/live"}


def command(stream_id: int, *values: AmfValue) -> bytes:
    return raw(MessageType.COMMAND_AMF0, amf0.encode(*values), stream_id)


def raw(type_id: int, payload: bytes, stream_id: int = 0, timestamp_ms: int = 0) -> bytes:
    return b"".join(encode_message(Message(type_id, stream_id, timestamp_ms, payload), 3, 128))


def part(type_id: int, time_ms: int, body: bytes) -> bytes:
    """A message inside an aggregate."""
    size, time = len(body).to_bytes(3, "big"), (time_ms & 0xFFFFFF).to_bytes(3, "big")
    tail = (len(body) + 11).to_bytes(4, "big")
    return bytes((type_id,)) + size + time + bytes((time_ms >> 24,)) + bytes(3) + body + tail


def server_after_handshake(limits: RtmpLimits | None = None) -> RtmpServer:
    server = RtmpServer(limits=limits)
    server.receive_data(b"\x03" + bytes(1536) + bytes(1536))
    assert server.events() == [HandshakeCompleted()]
    server.data_to_send()
    return server


def connected_server(limits: RtmpLimits | None = None) -> RtmpServer:
    server = server_after_handshake(limits)
    server.receive_data(command(0, "connect", 1.0, NONE_OPTIONS))
    server.events()
    server.data_to_send()
    return server


def publishing_server(limits: RtmpLimits | None = None) -> RtmpServer:
    server = connected_server(limits)
    server.receive_data(command(0, "createStream", 2.0, None))
    server.receive_data(command(1, "publish", 3.0, None, "news", "live"))
    server.events()
    server.accept_publish(1)
    server.data_to_send()
    return server


def commands_in(data: bytes) -> list[list[AmfValue]]:
    return [
        amf0.decode(message.payload)
        for message in ChunkReader(RtmpLimits()).receive_data(data)
        if message.type_id == MessageType.COMMAND_AMF0
    ]


# ---------------------------------------------------------------------- sessions


@pytest.mark.parametrize("chop", [whole, bytewise])
@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize("scheme", [0, 1])
def test_a_client_publishes_to_a_server(chop: Chop, digest: bool, scheme: int) -> None:
    client = RtmpClient(digest_handshake=digest, digest_scheme=scheme)
    pair = RtmpPair(client, RtmpServer(), chop)
    pair.connect()
    stream_id = pair.create_stream("news?key=a+b%20c")
    client.send_publish(stream_id, "news?key=a+b%20c")
    _, at_server = pair.exchange()
    assert at_server == [PublishRequested(stream_id, "live/news", {"key": "a+b c"}, "live")]
    pair.server.accept_publish(stream_id)
    at_client, _ = pair.exchange()
    assert at_client == [StatusReceived(stream_id, "status", "NetStream.Publish.Start", "Publishing.")]
    client.send_metadata(stream_id, {"width": 1280.0})
    client.send_media(stream_id, True, 40, b"v" * 300)
    client.send_media(stream_id, False, 0x1_0000_0007, b"a")
    client.send_close(stream_id)
    _, at_server = pair.exchange()
    assert at_server == [
        MetadataReceived(stream_id, 0, {"width": 1280.0}),
        MediaReceived(True, stream_id, 40, b"v" * 300),
        MediaReceived(False, stream_id, 7, b"a"),
        StreamClosed(stream_id),
    ]


def test_connect_tells_the_server_what_the_client_can_do() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.exchange()
    pair.client.send_connect("region/north", "rtmp://server/region/north")
    at_client, at_server = pair.exchange()
    (requested,) = at_server
    assert isinstance(requested, ConnectRequested)
    assert (requested.app, requested.tc_url) == ("region/north", "rtmp://server/region/north")
    assert {"hvc1", "av01", "Opus"} <= set(requested.four_ccs)
    (answered,) = at_client
    assert isinstance(answered, ConnectAnswered)
    assert answered.code == "NetConnection.Connect.Success"
    assert {"hvc1", "av01", "vp09", "ac-3"} <= set(answered.four_ccs)


@pytest.mark.parametrize("chop", [whole, bytewise])
def test_a_client_plays_from_a_server(chop: Chop) -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer(), chop)
    pair.connect()
    stream_id = pair.create_stream()
    pair.client.send_play(stream_id, "news?token=t")
    _, at_server = pair.exchange()
    assert at_server == [PlayRequested(stream_id, "live/news", {"token": "t"})]
    pair.server.accept_play(stream_id)
    pair.server.send_metadata(stream_id, 0, {"height": 720.0})
    pair.server.send_media(stream_id, True, 0xFFFFFFFE, b"frame" * 50)
    at_client, _ = pair.exchange()
    codes = [event.code for event in at_client if isinstance(event, StatusReceived)]
    assert codes == ["NetStream.Play.Reset", "NetStream.Play.Start"]
    assert at_client[2:] == [
        MetadataReceived(stream_id, 0, {"height": 720.0}),
        MediaReceived(True, stream_id, 0xFFFFFFFE, b"frame" * 50),
    ]
    pair.server.end_play(stream_id)
    at_client, _ = pair.exchange()
    assert StreamClosed(stream_id) in at_client


def test_a_refusal_reaches_the_client_with_its_reason() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    stream_id = pair.create_stream("news")
    pair.client.send_publish(stream_id, "news")
    pair.exchange()
    pair.server.reject_publish(stream_id, "NetStream.Publish.BadName", "no such stream")
    at_client, _ = pair.exchange()
    assert at_client == [StatusReceived(stream_id, "error", "NetStream.Publish.BadName", "no such stream")]
    assert pair.client.stream_state(stream_id) is StreamState.REFUSED
    with pytest.raises(LocalProtocolError):
        pair.client.send_media(stream_id, True, 0, b"x")


def test_the_server_may_end_a_publication_and_ignores_what_is_still_on_the_way() -> None:
    server = publishing_server()
    server.reject_publish(1, "NetStream.Publish.Denied", "taken over")
    server.receive_data(raw(MessageType.VIDEO, b"late", 1))
    assert server.events() == []
    assert server.ignored_messages == 1


def test_media_that_does_not_wait_for_the_decision_is_delivered() -> None:
    server = connected_server()
    server.receive_data(
        command(0, "createStream", 2.0, None)
        + command(1, "publish", 3.0, None, "news", "live")
        + raw(MessageType.VIDEO, b"early", 1, 5)
    )
    assert server.events()[-1] == MediaReceived(True, 1, 5, b"early")


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1 << 20), max_size=40), st.booleans(), st.integers(1, 20), st.booleans())
def test_any_split_of_a_session_gives_the_same_events(
    cuts: list[int], broken: bool, max_messages: int, at_once: bool
) -> None:
    """However the bytes are cut, and however few messages are taken at a time, before more comes or after."""
    wire = (
        b"\x03" + bytes(1536) + bytes(1536)
        + command(0, "connect", 1.0, NONE_OPTIONS)
        + command(0, "releaseStream", 2.0, None, "news")
        + command(0, "createStream", 3.0, None)
        + command(1, "publish", 4.0, None, "news?key=k", "live")
        + raw(MessageType.DATA_AMF0, amf0.encode("@setDataFrame", "onMetaData", {"width": 2.0}), 1)
        + raw(MessageType.VIDEO, b"v" * 500, 1, 0xFFFFFF + 3)
        + raw(MessageType.AUDIO, b"a" * 129, 1, 41)
        + raw(MessageType.AGGREGATE, part(9, 1000, b"v") + part(8, 1021, b"a"), 1, 60)
        + command(0, "FCUnpublish", 5.0, None, "news?key=k")
        + command(0, "deleteStream", 6.0, None, 1.0)
    )  # fmt: skip
    wire += b"\xff" if broken else b""  # a chunk that refers to an earlier one, which is not there
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    server = RtmpServer()
    events: list[RtmpEvent] = []
    with pytest.raises(RemoteProtocolError) if broken else contextlib.nullcontext():
        for start, end in itertools.pairwise(edges):
            try:
                server.receive_data(wire[start:end], max_messages)
                while server.has_more and (at_once or end == len(wire)):
                    server.receive_data(b"", max_messages)
            finally:
                events += server.events()
    assert events == [
        HandshakeCompleted(),
        ConnectRequested("live", "rtmp://server/live", "", (), 0),
        PublishRequested(1, "live/news", {"key": "k"}, "live"),
        MetadataReceived(1, 0, {"width": 2.0}),
        MediaReceived(True, 1, 0xFFFFFF + 3, b"v" * 500),
        MediaReceived(False, 1, 41, b"a" * 129),
        MediaReceived(True, 1, 60, b"v"),
        MediaReceived(False, 1, 81, b"a"),
        StreamClosed(1),
    ]
    assert server.buffered_bytes == 0
    assert not server.has_more


def test_no_more_messages_are_taken_than_were_asked_for() -> None:
    """One read may hold thousands: the others must have their turn meanwhile."""
    server = publishing_server()
    wire = raw(MessageType.AUDIO, b"a", 1) * 10
    wire += raw(MessageType.AGGREGATE, b"".join(part(8, n, b"b") for n in range(10)), 1, 0)
    counts = []
    server.receive_data(wire, 4)
    while True:
        counts.append(len(server.events()))
        if not server.has_more:
            break
        server.receive_data(b"", 4)
    assert counts == [4, 4, 2, 4, 4, 2], "the aggregate counts as well, by its size"
    assert server.buffered_bytes == 0


def test_what_was_not_taken_is_nothing_once_the_peer_is_gone() -> None:
    server = publishing_server()
    server.receive_data(raw(MessageType.AUDIO, b"a", 1) * 3, 1)
    assert server.has_more
    server.receive_eof()
    assert not server.has_more


# ---------------------------------------------------------------------- commands


def test_a_command_may_switch_to_amf3_for_its_values() -> None:
    server = server_after_handshake()
    options = switched({"app": "live", "objectEncoding": 3, "fourCcList": ["hvc1"]})
    server.receive_data(raw(MessageType.COMMAND_AMF3, b"\0" + amf0.encode("connect", 1.0) + options))
    create = b"\0" + switched("createStream", 2) + switched(None)
    server.receive_data(raw(MessageType.COMMAND_AMF3, create))
    server.receive_data(
        raw(MessageType.COMMAND_AMF3, b"\0" + amf0.encode("publish", 3.0) + switched(None, "news", "live"), 1)
    )
    assert server.events() == [
        ConnectRequested("live", "", "", ("hvc1",), 0),
        PublishRequested(1, "live/news", {}, "live"),
    ]


def test_commands_in_amf3_messages_are_read_as_amf0_behind_a_zero() -> None:
    server = server_after_handshake()
    payload = b"\x00" + amf0.encode("connect", 1.0, NONE_OPTIONS)
    server.receive_data(raw(MessageType.COMMAND_AMF3, payload))
    assert isinstance(server.events()[0], ConnectRequested)
    with pytest.raises(RemoteProtocolError, match="AMF3"):
        server.receive_data(raw(MessageType.COMMAND_AMF3, b"\x11\x0a\x0b\x01"))


def test_unknown_commands_get_an_error_only_when_they_expect_an_answer() -> None:
    server = connected_server()
    server.receive_data(command(0, "whatIsThis", 7.0, None))
    (answer,) = commands_in(server.data_to_send())
    assert answer[:2] == ["_error", 7.0]
    server.receive_data(command(0, "whatIsThis", 0.0, None))
    assert server.data_to_send() == b""
    assert server.ignored_messages == 2


@pytest.mark.parametrize("name", ["releaseStream", "FCPublish", "FCUnpublish", "_checkbw", "getStreamLength"])
def test_commands_around_publishing_are_answered(name: str) -> None:
    server = connected_server()
    server.receive_data(command(0, name, 4.0, None, "news"))
    (answer,) = commands_in(server.data_to_send())
    assert answer[:2] == ["_result", 4.0]


@pytest.mark.parametrize("name", ["pause", "seek", "receiveAudio", "onStatus", "_result", "closeStream"])
def test_commands_without_effect_are_accepted_in_silence(name: str) -> None:
    server = connected_server()
    server.receive_data(command(0, name, 0.0, None))
    assert (server.events(), server.data_to_send()) == ([], b"")


def test_a_closed_stream_can_be_published_again() -> None:
    server = publishing_server()
    server.receive_data(command(1, "closeStream", 0.0, None))
    assert server.events() == [StreamClosed(1)]
    server.receive_data(command(1, "publish", 5.0, None, "news2", "live"))
    assert server.events() == [PublishRequested(1, "live/news2", {}, "live")]


def test_unpublishing_another_name_changes_nothing() -> None:
    server = publishing_server()
    server.receive_data(command(0, "FCUnpublish", 5.0, None, "other"))
    assert server.events() == []
    assert server.stream_state(1) is StreamState.PUBLISHING


def test_the_stream_name_and_the_application_may_both_carry_a_query() -> None:
    server = server_after_handshake()
    server.receive_data(command(0, "connect", 1.0, {"app": "/live?key=app&a=1/"}))
    server.receive_data(command(0, "createStream", 2.0, None))
    server.receive_data(command(1, "publish", 3.0, None, "//news?key=name"))
    assert server.events()[-1] == PublishRequested(1, "live/news", {"key": "name", "a": "1/"}, "live")


def test_onmetadata_that_makes_no_sense_is_ignored() -> None:
    server = publishing_server()
    for payload in (b"\x02\x00\x99", amf0.encode("onCuePoint", {}), amf0.encode("onMetaData", "text"), b""):
        server.receive_data(raw(MessageType.DATA_AMF0, payload, 1))
    server.receive_data(raw(MessageType.DATA_AMF3, b"\x00" + amf0.encode("onMetaData", {"a": 1.0}), 1))
    assert server.events() == [MetadataReceived(1, 0, {"a": 1.0})]
    assert server.ignored_messages == 4


def test_a_command_of_nothing_but_its_name_is_understood() -> None:
    server = connected_server()
    server.receive_data(command(0, "FCPublish"))
    assert server.data_to_send() == b"", "without a transaction id no answer is expected"


def test_a_failed_call_is_reported_to_the_client() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    pair.client.send_create_stream(publish_name="news")
    pair.client.data_to_send()
    failed = {"code": "NetConnection.Call.Failed", "description": "no"}
    pair.client.receive_data(command(0, "_error", 3.0, None, failed))
    assert pair.client.events() == [CallFailed("FCPublish", "NetConnection.Call.Failed", "no")]
    pair.client.receive_data(command(0, "_error", 3.0, None, failed))
    assert pair.client.events() == []


def test_a_refused_application_is_reported_to_the_client() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.exchange()
    pair.client.send_connect("live", "rtmp://server/live")
    pair.client.data_to_send()
    rejected = {"code": "NetConnection.Connect.Rejected", "description": "go away"}
    pair.client.receive_data(command(0, "_error", 1.0, None, rejected))
    assert pair.client.events() == [
        ConnectAnswered(False, "NetConnection.Connect.Rejected", "go away", (), 0)
    ]
    with pytest.raises(LocalProtocolError):
        pair.client.send_create_stream()


def test_a_status_on_stream_zero_counts_for_the_only_stream() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    stream_id = pair.create_stream()
    pair.client.send_play(stream_id, "news")
    pair.client.receive_data(
        command(0, "onStatus", 0.0, None, {"level": "status", "code": "NetStream.Play.Start"})
    )
    assert pair.client.stream_state(stream_id) is StreamState.PLAYING


# ---------------------------------------------------------------------- control messages


def test_a_ping_is_answered_with_its_time() -> None:
    server = connected_server()
    server.receive_data(raw(MessageType.USER_CONTROL, user_control(UserControl.PING_REQUEST, 77)))
    (answer,) = ChunkReader(RtmpLimits()).receive_data(server.data_to_send())
    assert answer.payload == user_control(UserControl.PING_RESPONSE, 77)
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    pair.server.send_ping(5)
    pair.exchange()


@pytest.mark.parametrize("type_id", [MessageType.USER_CONTROL, MessageType.SET_PEER_BANDWIDTH])
def test_a_peer_that_does_nothing_but_ask_is_cut_off(type_id: MessageType) -> None:
    server = connected_server(RtmpLimits(max_answers=10))

    def ask(number: int) -> None:
        ping = user_control(UserControl.PING_REQUEST, number)
        server.receive_data(raw(type_id, ping if type_id == MessageType.USER_CONTROL else ping[2:]))

    for number in range(1, 11):
        ask(number)
    with pytest.raises(RemoteProtocolError, match="11 requests for an answer"):
        ask(11)


def test_a_peer_that_asks_now_and_then_is_answered_for_ever() -> None:
    server = publishing_server(RtmpLimits(max_answers=1))
    for number in range(50):
        server.receive_data(raw(MessageType.USER_CONTROL, user_control(UserControl.PING_REQUEST, number)))
        server.receive_data(raw(MessageType.VIDEO, bytes(1100), 1))
    assert server.data_to_send()


def test_received_bytes_are_acknowledged_once_per_window() -> None:
    server = publishing_server()
    server.receive_data(raw(MessageType.WINDOW_ACK_SIZE, (1000).to_bytes(4, "big")))
    server.data_to_send()
    for _ in range(3):
        server.receive_data(raw(MessageType.VIDEO, bytes(700), 1))
    sent = ChunkReader(RtmpLimits()).receive_data(server.data_to_send())
    assert [message.type_id for message in sent] == [MessageType.ACKNOWLEDGEMENT]
    assert int.from_bytes(sent[0].payload, "big") > 1400


def test_a_new_peer_bandwidth_is_answered_with_our_window() -> None:
    server = connected_server()
    bandwidth = raw(MessageType.SET_PEER_BANDWIDTH, (5000).to_bytes(4, "big") + b"\x02")
    server.receive_data(bandwidth)
    (answer,) = ChunkReader(RtmpLimits()).receive_data(server.data_to_send())
    assert (answer.type_id, answer.payload) == (MessageType.WINDOW_ACK_SIZE, (5000).to_bytes(4, "big"))
    server.receive_data(bandwidth)
    assert server.data_to_send() == b""


def test_aggregate_messages_are_taken_apart_and_their_times_moved() -> None:
    server = publishing_server()
    aggregate = part(9, 0x01000000, b"v") + part(8, 0x01000000 + 21, b"a")
    server.receive_data(raw(MessageType.AGGREGATE, aggregate, 1, 5000))
    assert server.events() == [MediaReceived(True, 1, 5000, b"v"), MediaReceived(False, 1, 5021, b"a")]
    with pytest.raises(RemoteProtocolError, match="aggregate"):
        server.receive_data(raw(MessageType.AGGREGATE, part(9, 0, b"v")[:11] + b"", 1))


# ---------------------------------------------------------------------- peers that break the protocol


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "version 3 expected"),
        (b"\x16\x03\x01", "TLS"),
        (b"\x06" + bytes(1536), "encrypted RTMP"),
    ],
)
def test_who_does_not_speak_rtmp_is_told_apart_at_the_first_byte(data: bytes, said: str) -> None:
    server = RtmpServer()
    with pytest.raises(RemoteProtocolError, match=said):
        server.receive_data(data)
    with pytest.raises(LocalProtocolError):
        server.receive_data(b"more")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (command(0, "createStream", 2.0, None), "'createStream' while open"),
        (command(0, "connect", 1.0, None), "command object is missing"),
        (command(0, "connect", "1", NONE_OPTIONS), "transaction id is not a number"),
        (command(0, 5.0, 1.0), "the name is missing"),
        (raw(MessageType.COMMAND_AMF0, b""), "the name is missing"),
        (raw(MessageType.COMMAND_AMF0, b"\x0a\0\0\0\1" * 20), "AMF0: values nested deeper"),
        (raw(MessageType.VIDEO, b"x", 1), "media on message stream 1, which nobody opened"),
        (raw(MessageType.USER_CONTROL, b"\x00"), "user control"),
        (raw(MessageType.USER_CONTROL, b"\x00\x06\x00"), "ping request"),
        (raw(MessageType.WINDOW_ACK_SIZE, b"\x00"), "WindowAckSize"),
    ],
)
def test_messages_out_of_order_or_malformed_end_the_connection(data: bytes, said: str) -> None:
    server = server_after_handshake()
    with pytest.raises(RemoteProtocolError, match=said):
        server.receive_data(data)
    with pytest.raises(LocalProtocolError):
        server.receive_data(b"more")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (command(0, "connect", 9.0, NONE_OPTIONS), "'connect' while connected"),
        (command(5, "publish", 9.0, None, "x"), "stream 5, which was not created"),
        (command(1, "publish", 9.0, None, "x"), "publish is impossible while publishing"),
        (command(1, "play", 9.0, None, "x"), "play is impossible while publishing"),
        (command(1, "publish", 9.0, None, "x" * 3000), "name longer than"),
        (command(1, "publish", 9.0, None, "x?" + "a=1&" * 40), "query fields"),
        (b"".join(command(0, "createStream", 2.0, None) for _ in range(9)), "8 message streams"),
    ],
)
def test_a_publisher_that_breaks_the_rules_is_disconnected(data: bytes, said: str) -> None:
    server = publishing_server()
    with pytest.raises(RemoteProtocolError, match=said):
        server.receive_data(data)


def test_a_truncated_handshake_is_just_an_end() -> None:
    server = RtmpServer()
    server.receive_data(b"\x03" + bytes(700))
    server.receive_eof()
    server.receive_eof()
    assert server.events() == [ConnectionEnded()]


def test_what_the_owner_asks_out_of_order_is_a_local_error() -> None:
    server = publishing_server()
    with pytest.raises(LocalProtocolError):
        server.accept_publish(1)
    with pytest.raises(LocalProtocolError):
        server.accept_play(1)
    with pytest.raises(LocalProtocolError):
        server.accept_publish(9)
    with pytest.raises(LocalProtocolError):
        server.send_media(1, True, 0, b"")
    with pytest.raises(LocalProtocolError):
        server.send_metadata(1, 0, {})
    client = RtmpClient()
    for call in (
        lambda: client.send_connect("a", "b"),
        lambda: client.send_publish(1, "a"),
        lambda: client.send_close(1),
        lambda: client.send_metadata(1, {}),
    ):
        with pytest.raises(LocalProtocolError):
            call()
    with pytest.raises(ValueError, match="chunk_bytes"):
        RtmpServer(chunk_bytes=0)


def test_a_server_that_makes_no_sense_is_a_protocol_error_at_the_client() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    pair.client.send_create_stream()
    pair.client.data_to_send()
    with pytest.raises(RemoteProtocolError, match="not a new stream id"):
        pair.client.receive_data(command(0, "_result", 2.0, None, -1.0))


def test_calls_that_nobody_answers_are_bounded() -> None:
    pair = RtmpPair(RtmpClient(limits=RtmpLimits(max_pending_calls=2)), RtmpServer())
    pair.connect()
    pair.client.send_create_stream()
    pair.client.send_create_stream()
    with pytest.raises(LocalProtocolError, match="too many"):
        pair.client.send_create_stream()


def test_the_client_delivers_its_streams_by_the_number_the_server_gave() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    pair.client.send_create_stream()
    pair.client.data_to_send()
    pair.client.receive_data(command(0, "_result", 2.0, None, 17.0))
    assert pair.client.events() == [StreamCreated(17)]
    assert "MessageStream 17 idle" in repr(pair.client)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_random_bytes_after_the_handshake_are_events_or_a_protocol_error(
    data: bytes, publishing: bool
) -> None:
    server = publishing_server() if publishing else server_after_handshake()
    try:
        server.receive_data(data)
    except RemoteProtocolError:
        return
    assert server.buffered_bytes <= len(data)


def test_a_server_may_send_the_only_stream_on_stream_0() -> None:
    pair = RtmpPair(RtmpClient(), RtmpServer())
    pair.connect()
    stream_id = pair.create_stream()
    pair.client.send_play(stream_id, "news")
    pair.exchange()
    client = pair.client
    client.receive_data(
        b"".join(encode_message(Message(MessageType.VIDEO, 0, 5, b"\x17\x01"), 6, DEFAULT_CHUNK_BYTES))
    )
    metadata = amf0.encode("onMetaData", {"width": 1.0})
    client.receive_data(
        b"".join(encode_message(Message(MessageType.DATA_AMF0, 0, 5, metadata), 5, DEFAULT_CHUNK_BYTES))
    )
    assert client.events() == [
        MediaReceived(True, stream_id, 5, b"\x17\x01"),
        MetadataReceived(stream_id, 5, {"width": 1.0}),
    ]
