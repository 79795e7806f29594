"""FLV files: frames keep the promises of a source, whatever comes. The first byte: the size of pieces."""

from collections.abc import Iterator

from tests.support.media import audio, video

from fuzz.fuzz_flv import check
from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.wire import amf0
from openstreamer.wire.flv import FlvDemuxer, FlvEncoder
from openstreamer.wire.flv.decoder import FlvLimits

LIMITS = FlvLimits(max_held_frames=8, max_held_bytes=2000)
HEADER = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"


def run(data: bytes) -> None:
    demuxer = FlvDemuxer(LIMITS, max_tag_bytes=4096)
    frames: list[Frame] = []
    try:
        for piece in pieces_of(data[1:], data[0] if data else 1):
            frames += demuxer.receive_data(piece)
        frames += demuxer.receive_eof()
    except (SourceRejected, RemoteProtocolError):
        pass
    check(frames)


def tag(kind: int, time_ms: int, body: bytes) -> bytes:
    head = bytes((kind,)) + len(body).to_bytes(3, "big") + time_ms.to_bytes(3, "big") + bytes(4)
    return head + body + (len(head) + len(body)).to_bytes(4, "big")


def seeds() -> Iterator[bytes]:
    encoder = FlvEncoder()
    frames = [video(0, key=True, size=30), audio(0), video(3600, key=False, size=30), audio(1920)]
    media = [each for frame in frames for each in encoder.encode(frame)]
    tags = b"".join(tag(9 if each.is_video else 8, each.timestamp_ms, each.payload) for each in media)
    script = tag(18, 0, amf0.encode("onMetaData", {"videocodecid": 7.0, "audiocodecid": 10.0}))
    yield b"\xff" + HEADER + script + tags
    yield b"\x05" + HEADER + tags + HEADER + tags


TARGET = FuzzTarget("flv_reader", run, (), seeds)
