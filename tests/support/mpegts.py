"""Transport streams for tests: made by our multiplexer or by ffmpeg, and cut up as a test needs it."""

import random
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from openstreamer.media.errors import SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.nal import to_length_prefixed
from openstreamer.media.track import Track
from openstreamer.wire.mpegts import MpegTsDemuxer, MpegTsMuxer
from tests.support.media import VIDEO

PACKET = 188
Facts = tuple[int, int, int, bool, bytes]


def muxed(frames: Iterable[Frame], *, together: int = 3) -> bytes:
    """A transport stream of ``frames``, ``together`` of them per call."""
    listed = list(frames)
    muxer = MpegTsMuxer(tracks_of(listed))
    return b"".join(muxer.mux(listed[at : at + together]) for at in range(0, len(listed), together))


def tracks_of(frames: Iterable[Frame]) -> list[Track]:
    """The tracks of ``frames``, by id."""
    return [track for _, track in sorted({frame.track.id: frame.track for frame in frames}.items())]


def demuxed(
    data: bytes, *, piece_bytes: int = 1316, demuxer: MpegTsDemuxer | None = None
) -> tuple[list[Frame], MpegTsDemuxer]:
    """All frames of ``data``, read in pieces; a stream without any gives none."""
    demuxer = demuxer or MpegTsDemuxer()
    frames: list[Frame] = []
    for at in range(0, len(data), piece_bytes):
        frames += demuxer.receive_data(data[at : at + piece_bytes])
    try:
        frames += demuxer.receive_eof()
    except SourceRejected:
        assert not frames
    return frames, demuxer


def facts(frames: Iterable[Frame], track_id: int | None = None) -> list[Facts]:
    """What frames consist of, to compare; of one track or of all."""
    return [
        (frame.track.id, frame.pts_90k, frame.dts_90k, frame.key, frame.payload)
        for frame in frames
        if track_id is None or frame.track.id == track_id
    ]


def by_track(frames: Iterable[Frame]) -> list[Facts]:
    """The same, one track after the other: the order between tracks is the multiplexer's."""
    return sorted(facts(frames), key=lambda each: each[0])


def packets(data: bytes) -> list[bytes]:
    """The packets of a stream of 188 bytes each."""
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


def pid_of(packet: bytes) -> int:
    """The PID of a packet."""
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def changed(data: bytes, change: Callable[[int, bytes], bytes]) -> bytes:
    """Every packet as ``change`` returns it for its number: changed, doubled or empty."""
    return b"".join(change(number, packet) for number, packet in enumerate(packets(data)))


def ffmpeg(path: Path, *arguments: str) -> bytes:
    """Let ffmpeg make ``path``, and return what is in it."""
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments, str(path)]
    result = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return path.read_bytes()


def picture(
    dts_90k: int, *, key: bool, size: int = 100, track: Track = VIDEO, pts_90k: int | None = None
) -> Frame:
    """An H.264 frame of one slice that says it is the first of its picture, with all it needs when a key."""
    nal = bytes((0x65 if key else 0x41, 0x88)) + filling(size - 6, dts_90k)
    config = track.config
    assert isinstance(config, H264Config)
    sets = (*config.sps, *config.pps) if key else ()
    return Frame(
        track, dts_90k if pts_90k is None else pts_90k, dts_90k, key, to_length_prefixed((*sets, nal))
    )


def filling(size: int, seed: int) -> bytes:
    """Bytes that never repeat and have no zero among them."""
    return random.Random(seed).randbytes(size).replace(b"\x00", b"\x01")
