"""What ffmpeg and GStreamer send arrives: access unit by access unit as it was in the file they sent."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from openstreamer.config.input_urls import UdpInput, parse_input_url
from openstreamer.config.models import Input
from openstreamer.media.frame import Frame
from openstreamer.media.nal import iter_length_prefixed
from openstreamer.sources.udp import UdpSource
from tests.support.encoded import EncodedFile, encode
from tests.support.udp_sender import free_port

SECONDS = 2
SOUNDS_KEPT_BACK = 12  # ffmpeg does not send the last PES packet of sound over RTP
QUIET_S = 0.5  # behind the end of the sender: then all has come


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> EncodedFile:
    return encode(
        tmp_path_factory.mktemp("udp") / "clip.mp4",
        *("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(SECONDS)),
        *(
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "25",
            "-bf",
            "2",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
        ),
    )


def ffmpeg(path: Path, url: str, container: str) -> list[str]:
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-re", "-i", str(path)]
    return [*command, "-c", "copy", "-f", container, url]


def gstreamer(path: Path, port: int, *, rtp: bool) -> list[str]:
    packetiser = "rtpmp2tpay ! " if rtp else ""
    pipeline = (
        f"mpegtsmux name=mux alignment=7 ! {packetiser}udpsink host=127.0.0.1 port={port} "
        f"filesrc location={path} ! qtdemux name=file "
        "file.video_0 ! queue ! h264parse ! mux. file.audio_0 ! queue ! aacparse ! mux."
    )
    return ["gst-launch-1.0", "-q", *pipeline.split()]


async def received(url: str, command: list[str]) -> tuple[list[Frame], UdpSource]:
    """All that arrives from ``command``, which ends by itself."""
    parsed = parse_input_url(url)
    assert isinstance(parsed, UdpInput)
    frames: list[Frame] = []
    async with UdpSource(parsed, Input(url=url)) as source, asyncio.timeout(60):
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        try:
            ended = asyncio.get_running_loop().create_task(process.communicate())
            while not ended.done() or source.quiet_s < QUIET_S:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(QUIET_S / 2):
                        frames += await source.receive()
            _, errors = await ended
            assert not errors.strip(), errors.decode(errors="replace")
        finally:
            if process.returncode is None:
                process.kill()
    return frames, source


def units(frames: list[Frame], *, video: bool) -> list[bytes]:
    return [content(frame.payload, video) for frame in frames if frame.track.is_video is video]


def content(payload: bytes, video: bool) -> bytes:
    """Without what a multiplexer may add to a picture: delimiters, parameter sets, SEI messages."""
    if not video:
        return payload
    return b"".join(nal for nal in iter_length_prefixed(payload) if nal[0] & 0x1F in (1, 5))


def expected(clip_file: EncodedFile, *, video: bool) -> Iterator[bytes]:
    return (content(unit.data, video) for unit in (clip_file.video if video else clip_file.audio))


@pytest.mark.e2e
@pytest.mark.parametrize(
    "peer", ["ffmpeg", "ffmpeg plain", "ffmpeg rtp", "ffmpeg multicast", "gstreamer", "gstreamer rtp"]
)
async def test_every_access_unit_arrives(clip_file: EncodedFile, peer: str) -> None:
    port = free_port()
    url = f"udp://127.0.0.1:{port}"
    match peer:
        case "ffmpeg":
            command = ffmpeg(clip_file.path, f"{url}?pkt_size=1316", "mpegts")
        case "ffmpeg plain":  # pieces of 1472 bytes, packets over their borders
            command = ffmpeg(clip_file.path, url, "mpegts")
        case "ffmpeg rtp":
            command = ffmpeg(clip_file.path, f"rtp://127.0.0.1:{port}", "rtp_mpegts")
        case "ffmpeg multicast":
            url = f"udp://239.255.77.9:{port}?iface=lo"
            command = ffmpeg(
                clip_file.path, f"udp://239.255.77.9:{port}?localaddr=127.0.0.1&pkt_size=1316", "mpegts"
            )
        case _:
            command = gstreamer(clip_file.path, port, rtp=peer.endswith("rtp"))
    frames, source = await received(url, command)
    assert source.statistics.lost_packets == source.statistics.malformed == 0
    assert source.protocol == ("rtp" if peer.endswith("rtp") else "udp")
    pictures = list(expected(clip_file, video=True))
    assert units(frames, video=True) == pictures[: len(units(frames, video=True))]
    assert len(units(frames, video=True)) >= len(pictures) - 1  # the last one's end is not known
    sounds, sent = units(frames, video=False), list(expected(clip_file, video=False))
    first = sent.index(sounds[0])
    assert first <= 4  # sound that is earlier than the first picture
    assert sounds == sent[first : first + len(sounds)]
    assert len(sounds) >= len(sent) - SOUNDS_KEPT_BACK
