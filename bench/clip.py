"""The clip that the publishers replay: encoded once by FFmpeg, then kept as FLV tags.

720p30 H.264 at about 3 Mbit/s with a key frame every two seconds, and AAC at 48 kHz. Eight seconds are a
whole number of video frames (240), of groups of pictures (4) and of audio frames (375), so that the clip can
be repeated without a seam.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DURATION_MS = 8_000
VIDEO_FRAMES = 240
AUDIO_FRAMES = 375
_NAME = "clip-720p30-v2.flv"  # another content needs another name: the file is kept between runs
_FLV_HEADER_BYTES = 9
_TAG_HEADER_BYTES = 11
_AUDIO, _VIDEO = 8, 9


@dataclass(frozen=True, slots=True)
class Tag:
    """One FLV tag."""

    is_video: bool
    time_ms: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Clip:
    """What is sent once when a publication begins, and what is repeated after that."""

    headers: tuple[Tag, ...]
    tags: tuple[Tag, ...]

    @property
    def bitrate_kbps(self) -> int:
        """Of audio and video together."""
        return sum(len(tag.payload) for tag in self.tags) * 8 // DURATION_MS


def cached_clip() -> Path:
    """The clip's file; it is made on the first call, which takes some seconds."""
    directory = Path(tempfile.gettempdir()) / f"openstreamer-bench-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / _NAME
    if not path.exists():
        partial = path.with_name(f"{os.getpid()}-{path.name}")
        subprocess.run(_encoder(partial), check=True, stdin=subprocess.DEVNULL)
        partial.replace(path)
    return path


def _encoder(path: Path) -> list[str]:
    seconds = str(DURATION_MS / 1000 + 0.5)
    return [
        *("ffmpeg", "-hide_banner", "-loglevel", "error", "-y"),
        # Noise keeps the encoder at its bit rate: a test pattern alone needs a tenth of it.
        *("-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30,noise=alls=14:allf=t"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", seconds),
        *("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "60", "-sc_threshold", "0"),
        *("-pix_fmt", "yuv420p", "-b:v", "3000k", "-maxrate", "3000k", "-bufsize", "3000k"),
        *("-c:a", "aac", "-b:a", "128k", "-ac", "2", "-f", "flv", str(path)),
    ]


def load_clip(path: Path) -> Clip:
    """Read as many tags of ``path`` as are repeated, and the sequence headers.

    The times are counted anew, with the rounding to milliseconds that encoders do: in the file audio begins
    between two of its frames.
    """
    headers: list[Tag] = []
    video: list[Tag] = []
    audio: list[Tag] = []
    for is_video, payload in _media_of(path.read_bytes()):
        if payload[1] == 0:  # AVCPacketType, AACPacketType: a sequence header
            headers.append(Tag(is_video, 0, payload))
        elif is_video and payload[1] == 1 and len(video) < VIDEO_FRAMES:
            video.append(Tag(True, round(len(video) * DURATION_MS / VIDEO_FRAMES), payload))
        elif not is_video and len(audio) < AUDIO_FRAMES:
            audio.append(Tag(False, round(len(audio) * DURATION_MS / AUDIO_FRAMES), payload))
    if len(video) < VIDEO_FRAMES or len(audio) < AUDIO_FRAMES:
        raise ValueError(f"{path} is too short: delete it")
    return Clip(tuple(headers), tuple(sorted(video + audio, key=lambda tag: tag.time_ms)))


def _media_of(flv: bytes) -> Iterator[tuple[bool, bytes]]:
    position = _FLV_HEADER_BYTES + 4
    while position < len(flv):
        kind, size = flv[position], int.from_bytes(flv[position + 1 : position + 4], "big")
        start = position + _TAG_HEADER_BYTES
        position = start + size + 4
        if kind in (_AUDIO, _VIDEO):
            yield kind == _VIDEO, flv[start : start + size]
