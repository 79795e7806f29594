"""Real encoder output: one small file with a track of every codec, made once per test session."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest

_VIDEO_SOURCE = "testsrc2=s=318x178:r=25:d=0.4,setsar=12/11,format=yuv420p"
_AUDIO_SOURCE = "anoisesrc=r=48000:d=0.3:a=0.1,aformat=sample_fmts=fltp:channel_layouts=5.1"

_VIDEO = {
    "h264": "libx264 -preset veryfast -g 5",
    "h265": "libx265 -preset ultrafast -tag hvc1 -x265-params log-level=none:keyint=5",
    "av1": "libaom-av1 -cpu-used 8 -usage realtime -lag-in-frames 0 -g 5",
    "vp9": "libvpx-vp9 -deadline realtime -cpu-used 8 -g 5",
}
_AUDIO = {
    "aac": "aac -ac 2 -ar 48000",
    "aac_surround": "aac -ar 44100",
    "opus": "libopus -ac 2",
    "opus_surround": "libopus -mapping_family 1",
    "mp3": "libmp3lame -ac 2 -ar 44100",
    "mp3_low": "libmp3lame -ac 1 -ar 22050",
    "ac3": "ac3",
    "eac3": "eac3",
}


@dataclass(frozen=True)
class Encoded:
    """One track: what ffprobe says of it, its decoder configuration record, its samples and their keys."""

    probe: dict[str, Any]
    extradata: bytes
    samples: list[bytes]
    keys: list[bool]


def _options(kind: str, tracks: dict[str, str]) -> list[str]:
    """The codec and its options for each track, every one with its stream specifier."""
    options: list[str] = []
    for index, description in enumerate(tracks.values()):
        encoder, *rest = description.split()
        options += [f"-c:{kind}:{index}", encoder]
        for name, value in zip(rest[::2], rest[1::2], strict=True):
            options += [f"{name}:{kind}:{index}", value]
    return options


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoded]:
    """A track of every codec, by name."""
    path = tmp_path_factory.mktemp("codecs") / "all.mp4"
    maps = ["-map", "0:v"] * len(_VIDEO) + ["-map", "1:a"] * len(_AUDIO)
    subprocess.run(
        [
            *(
                "ffmpeg",
                "-v",
                "error",
                "-f",
                "lavfi",
                "-i",
                _VIDEO_SOURCE,
                "-f",
                "lavfi",
                "-i",
                _AUDIO_SOURCE,
            ),
            *(*maps, *_options("v", _VIDEO), *_options("a", _AUDIO), str(path)),
        ],
        check=True,
    )
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)], check=True, capture_output=True
    )
    return _demux(path, json.loads(probed.stdout)["streams"])


def _demux(path: Path, probes: list[dict[str, Any]]) -> dict[str, Encoded]:
    samples: list[list[bytes]] = [[] for _ in probes]
    keys: list[list[bool]] = [[] for _ in probes]
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                samples[packet.stream.index].append(bytes(packet))
                keys[packet.stream.index].append(packet.is_keyframe)
        extradata = [bytes(stream.codec_context.extradata or b"") for stream in container.streams]
    names = [*_VIDEO, *_AUDIO]
    return {
        name: Encoded(*track) for name, *track in zip(names, probes, extradata, samples, keys, strict=True)
    }
