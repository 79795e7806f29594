"""Real media for tests: encoded by ffmpeg on this machine, read back as frames of the server's model."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import CodecConfig, Track


@dataclass(frozen=True)
class Clip:
    """The tracks of a file and its frames in the order in which they arrive."""

    tracks: tuple[Track, ...]
    frames: list[Frame]

    @property
    def video(self) -> Track:
        return next(track for track in self.tracks if track.is_video)

    @property
    def audio(self) -> Track:
        return next(track for track in self.tracks if not track.is_video)


def encode(path: Path, *arguments: str) -> Path:
    """Run ffmpeg with ``arguments`` and ``path`` as its output."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


def clip(path: Path, *, origin_90k: int = 0, epoch: int = 1) -> Clip:
    """The frames of ``path``, an MP4 or Matroska file, beginning at ``origin_90k``."""
    with av.open(str(path)) as container:
        return _read(container, origin_90k, epoch)


def _read(container: av.container.InputContainer, origin_90k: int, epoch: int) -> Clip:
    streams = [stream for stream in container.streams if stream.type in ("video", "audio")]
    packets = [packet for packet in container.demux(streams) if packet.dts is not None]
    packets.sort(key=lambda packet: packet.dts * packet.time_base)
    tracks = {}
    for packet in packets:
        index = packet.stream.index
        if index not in tracks:
            tracks[index] = Track(index + 1, _config(packet.stream, bytes(packet)))
    first = min(packet.dts * packet.time_base for packet in packets)
    frames = []
    for packet in packets:
        pts, dts = (round((time * packet.time_base - first) * 90_000) for time in (packet.pts, packet.dts))
        track = tracks[packet.stream.index]
        key = packet.is_keyframe and (track.is_video or len(tracks) == 1)
        frames.append(Frame(track, origin_90k + pts, origin_90k + dts, key, bytes(packet), epoch))
    return Clip(tuple(tracks[index] for index in sorted(tracks)), frames)


def _config(stream: av.stream.Stream, first_payload: bytes) -> CodecConfig:
    extradata = bytes(stream.codec_context.extradata or b"")
    match stream.codec_context.name:
        case "h264":
            return H264Config.from_avcc(extradata)
        case "hevc":
            return H265Config.from_hvcc(extradata)
        case "libdav1d" | "av1":
            return Av1Config.from_av1c(extradata)
        case "aac":
            return AacConfig(extradata)
        case "opus" | "libopus":
            return OpusConfig.from_opus_head(extradata)
        case "mp3" | "mp3float":
            return Mp3Config.from_frame_header(first_payload[:4])
        case "ac3":
            return Ac3Config.from_sync_frame(first_payload)
        case "eac3":
            return Eac3Config.from_sync_frame(first_payload)
        case other:
            raise AssertionError(f"no configuration for {other}")
