"""Packed audio: frames keep the promises of a source, whatever comes. The first byte: the size of pieces."""

from collections.abc import Iterator

from tests.support.media import AUDIO

from fuzz.fuzz_flv import check
from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.aac import AacConfig, adts_header
from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.wire.packed_audio import PackedAudioDemuxer, PackedAudioLimits

LIMITS = PackedAudioLimits(max_tag_bytes=1024, max_junk_bytes=1024)
OWNER = b"com.apple.streaming.transportStreamTimestamp\0"


def run(data: bytes) -> None:
    demuxer = PackedAudioDemuxer(LIMITS)
    frames: list[Frame] = []
    try:
        for piece in pieces_of(data[1:], data[0] if data else 1):
            frames += demuxer.receive_data(piece)
            assert demuxer.buffered_bytes <= 3 * 8192 + len(piece)
        frames += demuxer.receive_eof()
    except (SourceRejected, RemoteProtocolError):
        pass
    check(frames)


def seeds() -> Iterator[bytes]:
    config = AUDIO.config
    assert isinstance(config, AacConfig)
    aac = (adts_header(config, 9) + bytes(9)) * 3
    private = OWNER + (900_000).to_bytes(8, "big")
    frame = b"PRIV" + len(private).to_bytes(4, "big") + b"\0\0" + private
    yield b"\xff" + b"ID3\x04\0\0\0\0\0" + bytes((len(frame),)) + frame + aac
    yield b"\x03" + aac + b"junk" + aac
    yield b"\xff" + (bytes.fromhex("fffb1064") + bytes(100)) * 3
    yield b"\xff" + (bytes.fromhex("0b77aaaa0040") + bytes(122)) * 3
    yield b"\xff" + (bytes.fromhex("0b7700203486") + bytes(60)) * 3


TARGET = FuzzTarget("packed_audio", run, (), seeds)
