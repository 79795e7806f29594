"""The client role of RTMP, behind the handshake: the server it connects to is hostile."""

from collections.abc import Iterator

from fuzz.fuzz_rtmp_server import LIMITS
from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.rtmp import ConnectAnswered, HandshakeCompleted, RtmpClient, StreamCreated
from openstreamer.wire.rtmp.chunks import encode_message
from openstreamer.wire.rtmp.messages import Message, MessageType

HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)


def run(data: bytes) -> None:
    client = RtmpClient(limits=LIMITS, digest_handshake=False)
    for piece in pieces_of(HANDSHAKE + data[1:], 50 + (data[0] if data else 0)):
        client.receive_data(piece)
        for event in client.events():
            _go_on(client, event)
        client.data_to_send()
    client.receive_eof()


def _go_on(client: RtmpClient, event: object) -> None:
    try:
        if isinstance(event, HandshakeCompleted):
            client.send_connect("live", "rtmp://host/live")
        elif isinstance(event, ConnectAnswered) and event.accepted:
            client.send_create_stream()
        elif isinstance(event, StreamCreated):
            client.send_publish(event.stream_id, "news")
    except LocalProtocolError:
        return  # answers that come twice find a connection that is further on


def seeds() -> Iterator[bytes]:
    answers = [
        ("_result", 1.0, None, {"level": "status", "code": "NetConnection.Connect.Success"}),
        ("_result", 2.0, None, 1.0),
        ("onStatus", 0.0, None, {"level": "status", "code": "NetStream.Publish.Start"}),
        ("_error", 2.0, None, {"level": "error", "code": "NetStream.Failed"}),
    ]
    yield b"\xff" + b"".join(
        b"".join(
            encode_message(Message(MessageType.COMMAND_AMF0, index // 2, 0, amf0.encode(*values)), 3, 128)
        )
        for index, values in enumerate(answers)
    )


TARGET = FuzzTarget("rtmp_client", run, (RemoteProtocolError,), seeds)
