"""The server role of RTMP, from the first byte of the handshake or from behind it.

The first byte says whether the handshake is done, and into what pieces the rest is cut. However it is cut,
the same events and the same error come out.
"""

from collections.abc import Iterator

from tests.support.rtmp_pair import RtmpPair

from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire.rtmp import PublishRequested, RtmpClient, RtmpLimits, RtmpServer

LIMITS = RtmpLimits(
    max_video_bytes=2000,
    max_audio_bytes=1000,
    max_data_bytes=1000,
    max_command_bytes=1000,
    max_buffered_bytes=3000,
    max_chunk_streams=6,
)
HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)
LARGEST_CHUNK_BYTES = 2100


def run(data: bytes) -> None:
    first = data[0] if data else 0
    before = [] if first & 1 else [HANDSHAKE]
    whole = _events([*before, data[1:]], accept=False)
    assert whole == _events([*before, *pieces_of(data[1:], first >> 1)], accept=False)
    _events([*before, *pieces_of(data[1:], 300)], accept=True)


def _events(pieces: list[bytes], *, accept: bool) -> tuple[list[str], str]:
    server = RtmpServer(limits=LIMITS)
    events: list[str] = []
    error = ""
    for piece in pieces:
        try:
            server.receive_data(piece)
        except RemoteProtocolError as err:
            error = str(err)
        assert server.buffered_bytes <= LIMITS.max_buffered_bytes + LARGEST_CHUNK_BYTES + len(HANDSHAKE)
        happened = server.events()
        events += map(repr, happened)
        if error:
            break
        if accept:
            _accept(server, happened)
        server.data_to_send()
    server.receive_eof()
    return events, error


def _accept(server: RtmpServer, happened: list[object]) -> None:
    for event in happened:
        if isinstance(event, PublishRequested):
            try:
                server.accept_publish(event.stream_id)
            except LocalProtocolError:
                continue  # it was deleted in the same breath


def seeds() -> Iterator[bytes]:
    for digest in (False, True):
        session = _session(digest=digest)
        yield b"\x03" + session
        yield b"\x40" + session[len(HANDSHAKE) :]


def _session(*, digest: bool) -> bytes:
    """What a publisher sends."""
    sent: list[bytes] = []

    def record_link(data: bytes) -> list[bytes]:
        sent.append(data)
        return [data]

    client, server = RtmpClient(digest_handshake=digest, chunk_bytes=500), RtmpServer(limits=LIMITS)
    pair = RtmpPair(client, server, record_link)
    pair.connect()
    stream_id = pair.publish("news?key=secret")
    to_server = sent[::2]  # the link carries both directions in turn, this one first
    return b"".join([*to_server, _media(client, stream_id)])


def _media(client: RtmpClient, stream_id: int) -> bytes:
    client.send_metadata(stream_id, {"width": 1280.0})
    client.send_media(stream_id, True, 0x1000000, bytes(1200))
    client.send_media(stream_id, False, 0x1000010, bytes(20))
    return client.data_to_send()


TARGET = FuzzTarget("rtmp_server", run, (), seeds, max_input_bytes=6000)
