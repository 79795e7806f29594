"""Small files of many containers and codecs, made by ffmpeg at test time, and what libav reads in them."""

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av

from openstreamer.media.av1 import drop_temporal_delimiters
from openstreamer.media.frame import Frame
from openstreamer.wire.demuxer import Demuxer

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate={rate}:duration={seconds}")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate={hz}:duration={seconds}")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "15", "-pix_fmt", "yuv420p")
B_FRAMES = (
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-g",
    "24",
    "-bf",
    "2",
    "-b_strategy",
    "0",
    "-threads",
    "1",
)
FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")


@dataclass(frozen=True)
class Unit:
    """One access unit: ``kind`` is ``video`` or ``audio``."""

    kind: str
    pts_90k: int
    dts_90k: int
    key: bool
    payload: bytes


@cache
def make(
    suffix: str,
    *arguments: str,
    rate: str = "25",
    hz: int = 48_000,
    seconds: str = "2",
    video: bool = True,
    audio: bool = True,
) -> bytes:
    """The file that ffmpeg makes of a moving picture and a tone with these output options."""
    inputs = (PICTURE if video else ()) + (SOUND if audio else ())
    values = {"rate": rate, "hz": str(hz), "seconds": seconds}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"made{suffix}"
        run_ffmpeg(*(each.format(**values) for each in inputs), *arguments, str(path))
        return path.read_bytes()


def run_ffmpeg(*arguments: str) -> None:
    """Run ffmpeg, which must succeed."""
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments]
    done = subprocess.run(command, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def read_by_libav(data: bytes, suffix: str, *, format_name: str | None = None) -> list[Unit]:
    """The access units as libav finds them, in the order of each track."""
    units: list[Unit] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"read{suffix}"
        path.write_bytes(data)
        with av.open(path, format=format_name) as container:
            for packet in container.demux():
                if packet.dts is None or packet.pts is None:
                    continue
                payload = bytes(packet)
                if packet.stream.codec_context.name in ("libdav1d", "av1", "libaom-av1"):
                    payload = drop_temporal_delimiters(payload)
                pts, dts = (_to_90k(time * packet.time_base) for time in (packet.pts, packet.dts))
                units.append(Unit(packet.stream.type, pts, dts, packet.is_keyframe, payload))
    return units


def units_of(frames: Iterable[Frame]) -> list[Unit]:
    """Frames, so that they compare with what libav read."""
    return [
        Unit(
            "video" if frame.track.is_video else "audio",
            frame.pts_90k,
            frame.dts_90k,
            frame.key,
            frame.payload,
        )
        for frame in frames
    ]


def of_kind(units: Iterable[Unit], kind: str) -> list[Unit]:
    return [unit for unit in units if unit.kind == kind]


def demux(demuxer: Demuxer, data: bytes, piece_bytes: int = 1 << 16) -> list[Frame]:
    """All frames of ``data``, fed in pieces of this size."""
    frames: list[Frame] = []
    for start in range(0, len(data), piece_bytes):
        frames += demuxer.receive_data(data[start : start + piece_bytes])
    return frames + demuxer.receive_eof()


def _to_90k(seconds: Fraction) -> int:
    """To the nearest; ties go up."""
    return (2 * seconds * 90_000 + 1).__floor__() // 2
