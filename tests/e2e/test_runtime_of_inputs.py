"""What the API says of an input while its peer sends, and after the peer was killed."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.peers.site import free_port
from tests.support.container_files import run_ffmpeg
from tests.support.server import Server, peer, until

LOST_EVERY = 20  # datagrams
SIZE, RATE, SAMPLE_RATE, CHANNELS = (640, 360), 25, 48_000, 2
DATAGRAM_BYTES_MAX = 65_536


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip without B-frames: its picture and sound are sent as they are."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={RATE}:duration=8"),
        *("-f", "lavfi", "-i", f"anoisesrc=amplitude=0.1:sample_rate={SAMPLE_RATE}:duration=8"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(RATE), "-b:v", "800k"),
        *("-c:a", "aac", "-b:a", "96k", "-ac", str(CHANNELS), str(path)),
    )
    return path


def bitrates_kbps(film: Path) -> dict[str, float]:
    """Of each kind of track, as ffprobe reads it."""
    command = ("ffprobe", "-v", "error", "-of", "json", "-show_streams", str(film))
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"]
    return {stream["codec_type"]: int(stream["bit_rate"]) / 1000 for stream in found}


@dataclass
class DroppingRelay:
    """Passes datagrams on to a port, all but one in ``LOST_EVERY``."""

    to_port: int

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]

    def run(self) -> None:
        """Until an empty datagram comes."""
        count = 0
        while datagram := self.socket.recv(DATAGRAM_BYTES_MAX):
            count += 1
            if count % LOST_EVERY:
                self.socket.sendto(datagram, ("127.0.0.1", self.to_port))


@contextmanager
def dropping_relay(to_port: int) -> Iterator[int]:
    """Its port, while the block runs."""
    relay = DroppingRelay(to_port)
    with closing(relay.socket):
        thread = threading.Thread(target=relay.run)
        thread.start()
        try:
            yield relay.port
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", ("127.0.0.1", relay.port))
            thread.join()


@dataclass(frozen=True)
class Kind:
    """An input, and the output of the ffmpeg that feeds it."""

    input_url: str
    output: tuple[str, ...]
    loss: float = 0.0


@contextmanager
def set_up(name: str, server: Server) -> Iterator[Kind]:
    if name == "rtmp publish":
        yield Kind("publish://", ("-f", "flv", server.publish_url("seen-rtmp-publish")))
    elif name == "rtmp pull":
        url = f"rtmp://127.0.0.1:{free_port()}/live/film"
        yield Kind(url, ("-f", "flv", "-listen", "1", url))
    elif name == "http-flv":
        url = f"http://127.0.0.1:{free_port()}/live"
        yield Kind(url, ("-f", "flv", "-listen", "1", url))
    else:
        port = free_port(socket.SOCK_DGRAM)
        with dropping_relay(port) as relay:
            target = f"udp://127.0.0.1:{relay}?pkt_size=1316"
            yield Kind(f"udp://127.0.0.1:{port}", ("-f", "mpegts", target), 1 / LOST_EVERY)


def only_input(server: Server, code: str) -> dict[str, Any]:
    (shown,) = server.runtime(code)["inputs"]
    return dict(shown)


ENDS = {
    "rtmp publish": ("idle", "the publisher's connection was lost"),
    "rtmp pull": ("degraded", "the server closed the connection"),
    "http-flv": ("degraded", "the connection was lost"),
    "udp": ("degraded", "silent for 2 s"),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_input_is_shown_as_it_is_while_its_peer_sends_and_after(
    name: str, shared_server: Server, film: Path, tmp_path: Path
) -> None:
    server, code = shared_server, f"seen-{name.replace(' ', '-')}"
    send = ("ffmpeg", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i", str(film), "-c", "copy")
    with set_up(name, server) as kind:
        if kind.input_url == "publish://":
            server.put_stream(code)
        with peer(*send, *kind.output, log=tmp_path / "peer.log"):
            server.put_stream(code, inputs=[{"url": kind.input_url, "priority": 0}])
            server.wait_for_status(code, "active")
            until(lambda: server.runtime(code)["uptime_sec"] >= 3, "a mean over seconds")
            _while_it_sends(server, code, kind, film)
            killed_at = datetime.now(UTC)
        status, words = ENDS[name]
        _after(server, code, status, words, killed_at)


def _while_it_sends(server: Server, code: str, kind: Kind, film: Path) -> None:
    shown = only_input(server, code)
    video, audio = shown["tracks"]
    assert (video["codec"], video["width"], video["height"]) == ("h264", *SIZE)
    assert video["frame_rate"] == RATE
    assert (audio["codec"], audio["sample_rate"], audio["channels"]) == ("aac", SAMPLE_RATE, CHANNELS)
    for track in (video, audio):
        assert track["bitrate_kbps"] == pytest.approx(bitrates_kbps(film)[track["kind"]], rel=0.4)
    assert shown["bitrate_kbps"] == video["bitrate_kbps"] + audio["bitrate_kbps"]
    assert shown["status"] == "active"
    assert shown["packet_loss"] == pytest.approx(kind.loss, rel=0.25)


def _after(server: Server, code: str, status: str, words: str, killed_at: datetime) -> None:
    until(lambda: only_input(server, code)["status"] == status, f"the input is {status}")
    runtime = server.runtime(code)
    assert runtime["status"] == status, runtime["reasons"]
    assert (runtime["pipeline_active"], runtime["active_input_priority"]) == (False, None)
    assert runtime["media"]["input_bitrate_kbps"] == 0
    shown = only_input(server, code)
    assert (shown["status"], shown["bitrate_kbps"]) == (status, 0)
    assert shown["last_frame_age_sec"] > 0
    assert datetime.fromisoformat(shown["last_packet_at"]) <= datetime.now(UTC)
    (told_at,) = [entry["at"] for entry in shown["errors"] if words in entry["message"]]
    assert killed_at < datetime.fromisoformat(told_at) <= datetime.now(UTC)
