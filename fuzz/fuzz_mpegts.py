"""A transport stream with any bytes in it: frames keep the promises of a source, however the bytes are split.

The first byte says how the input is split. Packets whose check sums a fuzzer cannot make right stand in
front: a PAT and a PMT that announces every codec.
"""

from collections.abc import Iterator

from tests.support.tracks import TRACKS

from fuzz.fuzz_flv import check
from fuzz.target import FuzzTarget
from openstreamer.media.errors import MediaError, RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.mpegts import MpegTsDemuxer, MpegTsLimits, MpegTsMuxer
from openstreamer.wire.mpegts.table_writer import (
    StreamEntry,
    descriptor,
    pat_section,
    pmt_section,
    section_payloads,
)

LIMITS = MpegTsLimits(
    track_wait_ms=50, max_held_frames=8, max_held_bytes=2000, max_unit_bytes=3000, max_garbage_bytes=3000
)
STREAM_TYPES = (0x1B, 0x0F, 0x11, 0x03, 0x81, 0x87)
OPUS = descriptor(5, b"Opus") + descriptor(0x7F, b"\x80\x02")


def tables(video: int) -> bytes:
    """PAT and PMT; ``video`` is H.264, H.265 or AV1."""
    first = (
        StreamEntry(0x100, 0x1B, b""),
        StreamEntry(0x100, 0x24, b""),
        StreamEntry(0x100, 0x06, descriptor(5, b"AV01")),
    )[video]
    streams = [first, *(StreamEntry(0x100 + n, kind, b"") for n, kind in enumerate(STREAM_TYPES) if n)]
    streams.append(StreamEntry(0x106, 0x06, OPUS))
    sections = (0, pat_section(1, 1, 0x1000)), (0x1000, pmt_section(1, 0, 0x100, streams))
    return b"".join(
        (0x47400010 | pid << 8).to_bytes(4, "big") + payload
        for pid, section in sections
        for payload in section_payloads(section)
    )


def run(data: bytes) -> None:
    if not data:
        return
    whole = tables(data[0] % 3) + data[1:]
    frames = demuxed(whole, 1 + (data[0] >> 2) * 40)
    check(frames)
    again = demuxed(whole, len(whole))
    common = min(len(frames), len(again))  # a refusal keeps back what came with it
    assert facts(frames[:common]) == facts(again[:common]), "the split of the bytes changed the frames"


def facts(frames: list[Frame]) -> list[tuple[int, int, int, bool, bytes]]:
    return [(frame.track.id, frame.pts_90k, frame.dts_90k, frame.key, frame.payload) for frame in frames]


def demuxed(data: bytes, piece_bytes: int) -> list[Frame]:
    """The frames so far; ends where the demuxer refuses the stream."""
    demuxer = MpegTsDemuxer(limits=LIMITS)
    frames: list[Frame] = []
    try:
        for start in range(0, len(data), piece_bytes):
            frames += demuxer.receive_data(data[start : start + piece_bytes])
        frames += demuxer.receive_eof()
    except (SourceRejected, RemoteProtocolError):
        pass
    return frames


def seeds() -> Iterator[bytes]:
    for track in TRACKS:
        try:
            muxer = MpegTsMuxer([track])
        except MediaError:
            continue
        head = bytes((0xFC | {"h265": 1, "av1": 2}.get(track.codec, 0),))
        yield head + b"".join(muxer.mux([frame]) for frame in _frames(track))
    yield b"\x40" + tables(0)[188:] + bytes(300)


def _frames(track: Track) -> Iterator[Frame]:
    """Three frames, the second of them no key frame."""
    for number in range(3):
        key = number != 1
        payload = {
            "h264": bytes((0, 0, 0, 5, 0x65 if key else 0x41, 0x88, 0x84, 0, 0x10)),
            "h265": bytes((0, 0, 0, 6, 0x26 if key else 0x02, 1, 0xAF, 8, 0, 1)),
            "av1": bytes.fromhex("32061000000000aa"),
            "mp3": bytes.fromhex("fffb9064") + bytes(413),
            "ac3": bytes.fromhex("0b77aaaa1e40e1") + bytes(761),
            "eac3": bytes.fromhex("0b7700203486") + bytes(60),
        }.get(track.codec, bytes(range(1, 20)))
        yield Frame(track, number * 3600, number * 3600, key, payload)


TARGET = FuzzTarget("mpegts", run, (), seeds)
