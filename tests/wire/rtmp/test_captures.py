"""What real encoders sent to the server, byte for byte; ``tests/fixtures/capture.py`` says how it was got.

The truth is the file that each encoder wrote beside: its FLV tags are the messages that must come out.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire import amf0
from openstreamer.wire.rtmp import (
    ConnectionEnded,
    ConnectRequested,
    HandshakeCompleted,
    MediaReceived,
    MetadataReceived,
    PublishRequested,
    RtmpEvent,
    RtmpServer,
    StreamClosed,
)

CAPTURES = Path(__file__).parents[2] / "fixtures" / "rtmp"
STREAM_ID = 1
AUDIO, VIDEO, SCRIPT = 8, 9, 18


@dataclass(frozen=True)
class Capture:
    """A session: who says what it is, how much of it the truncated twin holds, and how the invalid fails."""

    name: str
    port: int  # of the proxy
    flash_version: str
    events: int
    whole_in_truncated: int
    whole_in_invalid: int
    error: str

    def bytes_of(self, twin: str = "") -> bytes:
        return (CAPTURES / f"{self.name}{twin}.rtmp").read_bytes()

    def expected(self) -> list[RtmpEvent]:
        """From the handshake to the end."""
        url = f"rtmp://127.0.0.1:{self.port}/live"
        return [
            HandshakeCompleted(),
            ConnectRequested("live", url, self.flash_version, (), 0),
            PublishRequested(STREAM_ID, "live/news", {}, "live"),
            *tags_of((CAPTURES / f"{self.name}.flv").read_bytes()),
            StreamClosed(STREAM_ID),
        ]


SESSIONS = (
    Capture(
        "ffmpeg_h264_aac",
        35857,
        "FMLE/3.0 (compatible; Lavf59.27.100)",
        events=67,
        whole_in_truncated=33,
        whole_in_invalid=2,
        error="SetChunkSize: 0 is not between 1 and 2147483647",
    ),
    Capture(
        "gstreamer_h264_aac",
        45019,
        "LNX 10,0,32,18",
        events=79,
        whole_in_truncated=29,
        whole_in_invalid=32,
        error="a message of type 9 with 16777215 bytes, at most 8388608 are accepted",
    ),
    Capture(
        "libav_h265_aac",
        43621,
        "FMLE/3.0 (compatible; Lavf62.12.102)",
        events=67,
        whole_in_truncated=7,
        whole_in_invalid=1,
        error="AMF0: a record set is reserved and not supported",
    ),
)


@pytest.fixture(params=SESSIONS, ids=lambda capture: capture.name)
def capture(request: pytest.FixtureRequest) -> Capture:
    found: Capture = request.param
    return found


def tags_of(flv: bytes) -> list[RtmpEvent]:
    """What the tags of an FLV file are as messages (Video File Format 10.1, E.3 and E.4)."""
    events: list[RtmpEvent] = []
    at = 13  # the header, and the size of the tag before the first
    while at < len(flv):
        kind, size = flv[at], int.from_bytes(flv[at + 1 : at + 4], "big")
        timestamp_ms = int.from_bytes(flv[at + 4 : at + 7], "big") | flv[at + 7] << 24
        body = flv[at + 11 : at + 11 + size]
        if kind == SCRIPT:
            name, values = amf0.decode(body)[:2]
            assert name == "onMetaData"
            assert isinstance(values, dict)
            events.append(MetadataReceived(STREAM_ID, timestamp_ms, values))
        else:
            events.append(MediaReceived(kind == VIDEO, STREAM_ID, timestamp_ms, body))
        at += 11 + size + 4
    return events


def received(server: RtmpServer, pieces: list[bytes]) -> tuple[list[RtmpEvent], RemoteProtocolError | None]:
    """The events until all is read, or until the machine refuses to go on."""
    events: list[RtmpEvent] = []
    for piece in pieces:
        try:
            server.receive_data(piece)
        except RemoteProtocolError as err:
            return events + server.events(), err
        events += server.events()
    return events, None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def test_a_session_is_what_the_encoder_wrote_beside(capture: Capture) -> None:
    server = RtmpServer()
    events, error = received(server, [capture.bytes_of()])
    assert error is None
    assert events == capture.expected()
    assert len(events) == capture.events
    assert (server.buffered_bytes, server.ignored_messages) == (0, 0)


@pytest.mark.parametrize("twin", ["", "_truncated", "_invalid"])
def test_single_bytes_give_the_same_events_and_the_same_error(capture: Capture, twin: str) -> None:
    data = capture.bytes_of(twin)
    whole, error = received(RtmpServer(), [data])
    single, error_of_single = received(RtmpServer(), [data[at : at + 1] for at in range(len(data))])
    assert single == whole
    assert str(error_of_single) == str(error)


@settings(max_examples=30)
@given(places=st.lists(st.integers(0, 1 << 20), max_size=40), number=st.integers(0, len(SESSIONS) - 1))
def test_any_split_gives_the_same_events(places: list[int], number: int) -> None:
    capture = SESSIONS[number]
    events, error = received(RtmpServer(), cut(capture.bytes_of(), places))
    assert (events, error) == (capture.expected(), None)


def test_a_session_that_is_cut_off_gives_its_whole_messages_and_its_end(capture: Capture) -> None:
    server = RtmpServer()
    events, error = received(server, [capture.bytes_of("_truncated")])
    assert error is None
    assert events == capture.expected()[: capture.whole_in_truncated]
    assert server.buffered_bytes > 0
    server.receive_eof()
    assert server.events() == [ConnectionEnded()]


def test_an_invalid_session_gives_what_came_before_the_fault_and_says_the_fault(capture: Capture) -> None:
    events, error = received(RtmpServer(), [capture.bytes_of("_invalid")])
    assert events == capture.expected()[: capture.whole_in_invalid]
    assert error is not None
    assert capture.error in str(error)
