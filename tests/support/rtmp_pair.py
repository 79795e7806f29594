"""An RTMP client and server joined by an in-memory link that may chop what it carries."""

from collections.abc import Callable

from openstreamer.wire.rtmp import (
    ConnectAnswered,
    HandshakeCompleted,
    PublishRequested,
    RtmpClient,
    RtmpEvent,
    RtmpServer,
    StreamCreated,
)

Chop = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    """A link that delivers everything at once."""
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    """A link that delivers single bytes."""
    return [data[at : at + 1] for at in range(len(data))]


class RtmpPair:
    """Both ends; ``exchange`` carries bytes until nobody has anything to say."""

    def __init__(self, client: RtmpClient, server: RtmpServer, chop: Chop = whole) -> None:
        self.client = client
        self.server = server
        self._chop = chop

    def exchange(self) -> tuple[list[RtmpEvent], list[RtmpEvent]]:
        """What happened at the client and at the server meanwhile."""
        at_client: list[RtmpEvent] = []
        at_server: list[RtmpEvent] = []
        while True:
            to_server, to_client = self.client.data_to_send(), self.server.data_to_send()
            if not to_server and not to_client:
                return at_client, at_server
            for piece in self._chop(to_server):
                self.server.receive_data(piece)
            for piece in self._chop(to_client):
                self.client.receive_data(piece)
            at_client += self.client.events()
            at_server += self.server.events()

    def connect(self, app: str = "live") -> None:
        """Up to the answer to ``connect``."""
        events, _ = self.exchange()
        assert events == [HandshakeCompleted()]
        self.client.send_connect(app, f"rtmp://server/{app}")
        events, _ = self.exchange()
        assert isinstance(events[-1], ConnectAnswered)
        assert events[-1].accepted

    def create_stream(self, publish_name: str = "") -> int:
        """A message stream."""
        self.client.send_create_stream(publish_name=publish_name)
        events, _ = self.exchange()
        assert isinstance(events[-1], StreamCreated)
        return events[-1].stream_id

    def publish(self, name: str = "news") -> int:
        """Up to the accepted publication."""
        stream_id = self.create_stream(name)
        self.client.send_publish(stream_id, name)
        _, events = self.exchange()
        assert isinstance(events[-1], PublishRequested)
        self.server.accept_publish(stream_id)
        self.exchange()
        return stream_id
