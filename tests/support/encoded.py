"""Files that FFmpeg encoded, and what is in them: the truth that a published stream is compared with."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av


@dataclass(frozen=True)
class AccessUnit:
    """One coded picture or audio frame; times in seconds."""

    dts_s: float
    pts_s: float
    data: bytes


@dataclass(frozen=True)
class EncodedFile:
    """A file and its access units in decoding order, by kind of track."""

    path: Path
    video: list[AccessUnit]
    audio: list[AccessUnit]


def encode(path: Path, *arguments: str) -> EncodedFile:
    """Let ffmpeg make ``path`` (MP4) out of ``arguments``, and read it back."""
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments, str(path)]
    result = subprocess.run(command, capture_output=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    return read(path)


def read(path: Path) -> EncodedFile:
    """The access units of a file."""
    units: dict[str, list[AccessUnit]] = {"video": [], "audio": []}
    with av.open(path) as container:
        for packet in container.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            dts_s, pts_s = float(packet.dts * packet.time_base), float(packet.pts * packet.time_base)
            units[packet.stream.type].append(AccessUnit(dts_s, pts_s, bytes(packet)))
    return EncodedFile(path, units["video"], units["audio"])


def copy_publish(path: Path, url: str) -> tuple[str, ...]:
    """The command line of an ffmpeg that publishes a file in real time as it is. A track without packets
    holds the other one up for 0.1 s (FFmpeg's default is 10 s)."""
    return (
        *("ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-re"),
        *("-i", str(path), "-c", "copy", "-max_interleave_delta", "100000", "-f", "flv", url),
    )
