"""Pulled inputs against servers that nobody here wrote: FFmpeg and nginx, over HTTP and RTMP.

Every stream must come out of LL-HLS as it went in: the encoder's access units byte for byte, each at its
time, sound with its picture.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.encoded import AccessUnit, EncodedFile, encode
from tests.support.served import ServedTrack, fetch_track
from tests.support.server import Server, peer, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CLIP_S = 8
LEAST_VIDEO, LEAST_AUDIO = 75, 120  # access units that must have come: three seconds
ROUNDING_S = 0.0021  # FLV counts milliseconds
SKEW_S = 0.040
FFMPEG = ("ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin")
NGINX_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"

NGINX = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
{user} daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log {directory}/nginx.log;
events {{}}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; application live {{ live on; }} }} }}
http {{
  access_log off; types {{ video/mp2t ts; }} default_type application/octet-stream;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c;
  uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{http}; root {directory}/files; }}
}}
"""


@dataclass(frozen=True)
class Origin:
    """What is pulled: the clip, and the server that pulls it."""

    server: Server
    clip: EncodedFile


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def copy(clip: Path, *output: str, paced: bool = True) -> tuple[str, ...]:
    return (*FFMPEG, *(("-re",) if paced else ()), "-i", str(clip), "-c", "copy", *output)


@contextlib.contextmanager
def nginx(directory: Path, http: int, rtmp: int) -> Iterator[None]:
    """nginx with its rtmp module, and the clip as files of every kind."""
    program = shutil.which("nginx", path=NGINX_PATH)
    assert program is not None
    configuration = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not read the files of a test
    configuration.write_text(NGINX.format(directory=directory, http=http, rtmp=rtmp, user=user))
    command = (program, "-c", str(configuration), "-e", str(directory / "nginx.log"))
    with peer(*command, log=directory / "nginx.out"):
        until(lambda: accepts(rtmp) and accepts(http), "nginx listens")
        yield


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, shared_server: Server) -> Iterator[Origin]:
    directory = tmp_path_factory.mktemp("origin")
    files = directory / "files"
    files.mkdir()
    clip = encode(
        directory / "clip.mp4",
        *("-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={CLIP_S}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={CLIP_S}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-b_strategy", "0", "-g", "25"),
        *("-sc_threshold", "0", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k"),
    )
    http, rtmp, ts, flv = (free_port() for _ in range(4))
    fragmented = "frag_keyframe+empty_moov+default_base_moof"
    for name, options in {"x.ts": (), "x.flv": (), "x.mp4": ("-movflags", fragmented)}.items():
        muxing = copy(clip.path, *options, str(files / name), paced=False)
        with peer(*muxing, log=directory / "mux.log") as muxer:
            assert muxer.wait(30) == 0
    urls = {
        "http-ts-file": f"http://127.0.0.1:{http}/x.ts",
        "http-flv-file": f"http://127.0.0.1:{http}/x.flv",
        "http-mp4-file": f"http://127.0.0.1:{http}/x.mp4",
        "http-ts-live": f"http://127.0.0.1:{ts}/live/mpegts",
        "http-flv-live": f"http://127.0.0.1:{flv}/live",
        "rtmp": f"rtmp://127.0.0.1:{rtmp}/live/clip",
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(nginx(directory, http, rtmp))
        lives = (
            (f"rtmp://127.0.0.1:{rtmp}/live/clip", "flv"),
            (f"http://127.0.0.1:{ts}/live/mpegts", "mpegts"),
            (f"http://127.0.0.1:{flv}/live", "flv"),
        )
        for number, (url, kind) in enumerate(lives):
            listen = ("-listen", "1") if url.startswith("http") else ()
            command = copy(clip.path, "-f", kind, *listen, url)
            stack.enter_context(peer(*command, log=directory / f"live{number}.log"))
        for code, url in urls.items():
            shared_server.put_stream(code, inputs=[{"url": url, "priority": 0}])
        yield Origin(shared_server, clip)


CODES = ("http-ts-file", "http-flv-file", "http-mp4-file", "http-ts-live", "http-flv-live", "rtmp")


@pytest.mark.parametrize("code", CODES)
def test_a_pulled_stream_comes_out_as_it_went_in(origin: Origin, code: str) -> None:
    server, clip = origin.server, origin.clip

    def enough() -> tuple[ServedTrack, ServedTrack] | None:
        with contextlib.suppress(AssertionError, KeyError):
            base = server.url(f"/{code}")
            video, audio = (fetch_track(base, kind) for kind in ("video", "audio"))
            if len(video.units) >= LEAST_VIDEO and len(audio.units) >= LEAST_AUDIO:
                return video, audio
        return None

    video, audio = until(enough, f"{code} is served: {server.runtime(code)}", 40)
    video_shift_s = shift_of(video.units[:LEAST_VIDEO], clip.video)
    audio_shift_s = shift_of(audio.units[:LEAST_AUDIO], clip.audio)
    assert abs(video_shift_s - audio_shift_s) < SKEW_S


def shift_of(served: list[AccessUnit], encoded: list[AccessUnit]) -> float:
    """How much later the served units are than the encoder's; they must be the same, one after the other."""
    unit = served[0]
    start = next((n for n, each in enumerate(encoded) if pictures(unit) == pictures(each)), None)
    assert start is not None, "the first unit is none of the encoder's"
    compared = min(len(served), len(encoded) - start)
    assert compared >= 10
    shift_s = unit.pts_s - encoded[start].pts_s
    for here, there in zip(served[:compared], encoded[start:], strict=False):
        assert pictures(here) == pictures(there)
        assert abs(here.pts_s - there.pts_s - shift_s) <= ROUNDING_S
    return shift_s


def pictures(unit: AccessUnit) -> bytes:
    """The unit without the parameter sets, which MPEG-TS has before every key frame; audio as it is."""
    data, at, kept = unit.data, 0, []
    while at + 4 < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return data
        if data[at + 4] & 0x1F not in (7, 8):
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def test_what_the_runtime_says_of_a_pulled_input(origin: Origin) -> None:
    shown = origin.server.wait_for_status("http-ts-file", "active")["inputs"][0]
    assert shown["protocol"] == "http"
    assert [track["codec"] for track in shown["tracks"]] == ["h264", "aac"]
    assert (shown["tracks"][0]["width"], shown["tracks"][0]["height"]) == (320, 180)
    assert shown["packet_loss"] == 0
