"""The states of a message stream, as a table. Both roles use it: what one side asks, the other grants."""

import enum

from openstreamer.media.errors import ProtocolError


class StreamState(enum.Enum):
    """What a message stream is used for."""

    IDLE = "idle"
    PUBLISH_REQUESTED = "publish requested"
    PUBLISHING = "publishing"
    PLAY_REQUESTED = "play requested"
    PLAYING = "playing"
    REFUSED = "refused"
    CLOSED = "closed"


class StreamInput(enum.Enum):
    """What happens to a message stream."""

    PUBLISH = "publish"
    PLAY = "play"
    ACCEPT = "accept"
    REJECT = "reject"
    CLOSE = "close"


TRANSITIONS: dict[tuple[StreamState, StreamInput], StreamState] = {
    (StreamState.IDLE, StreamInput.PUBLISH): StreamState.PUBLISH_REQUESTED,
    (StreamState.IDLE, StreamInput.PLAY): StreamState.PLAY_REQUESTED,
    (StreamState.CLOSED, StreamInput.PUBLISH): StreamState.PUBLISH_REQUESTED,
    (StreamState.CLOSED, StreamInput.PLAY): StreamState.PLAY_REQUESTED,
    (StreamState.PUBLISH_REQUESTED, StreamInput.ACCEPT): StreamState.PUBLISHING,
    (StreamState.PUBLISH_REQUESTED, StreamInput.REJECT): StreamState.REFUSED,
    (StreamState.PLAY_REQUESTED, StreamInput.ACCEPT): StreamState.PLAYING,
    (StreamState.PLAY_REQUESTED, StreamInput.REJECT): StreamState.REFUSED,
    # A server may end what it granted: NetStream.Publish.Denied, NetStream.Play.Failed in mid-stream.
    (StreamState.PUBLISHING, StreamInput.REJECT): StreamState.REFUSED,
    (StreamState.PLAYING, StreamInput.REJECT): StreamState.REFUSED,
    **{(state, StreamInput.CLOSE): StreamState.CLOSED for state in StreamState},
}

IN_USE = frozenset(
    {
        StreamState.PUBLISH_REQUESTED,
        StreamState.PUBLISHING,
        StreamState.PLAY_REQUESTED,
        StreamState.PLAYING,
    }
)


class MessageStream:
    """One message stream of a connection."""

    __slots__ = ("name", "state", "stream_id")

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id
        self.state = StreamState.IDLE
        self.name = ""

    def __repr__(self) -> str:
        return f"<MessageStream {self.stream_id} {self.state.value}>"

    def step(self, happened: StreamInput, error: type[ProtocolError]) -> None:
        """Move to the next state; a pair that is not in the table raises ``error``."""
        following = TRANSITIONS.get((self.state, happened))
        if following is None:
            raise error(
                f"RTMP stream {self.stream_id}: {happened.value} is impossible while {self.state.value}"
            )
        self.state = following
