"""TLS on both ports, and users of the API: configured as an operator does, used by real clients."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.certificates import make_certificate
from tests.support.player import Player
from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate of the loopback address, and its key."""
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def forgiving_browser() -> Iterator[Browser]:
    """A Chromium that plays over TLS whoever signed the certificate."""
    arguments = [*CHROMIUM_ARGS, "--ignore-certificate-errors"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def secure_server(server: Server, certificate: tuple[Path, Path]) -> Server:
    """A server that was told over the API to use TLS, and restarted."""
    document = {"server": {"tls": {"cert": str(certificate[0]), "key": str(certificate[1])}}}
    answer = httpx.post(server.url("/config"), json=document, timeout=15)
    assert answer.status_code == 200, answer.text
    assert answer.json()["restart_required"] == ["server.tls"]
    server.put_stream("news")
    assert server.stop() == 0
    server.rtmp = ""  # a free port, and so another for RTMPS
    server.start()
    until(lambda: f"rtmps://{server.rtmps}/live/" in server.log(), "the server says where to publish")
    return server


def curl(*arguments: str) -> str:
    result = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "20", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_https_http2_and_rtmps(
    secure_server: Server, certificate: tuple[Path, Path], forgiving_browser: Browser, tmp_path: Path
) -> None:
    server = secure_server
    trusted = ("--cacert", str(certificate[0]), "--output", str(tmp_path / "body"))
    shown = ("--write-out", "%{http_version} %{response_code}")
    assert curl(*trusted, *shown, server.url("/streams")) == "2 200"
    assert curl(*trusted, *shown, "--http1.1", server.url("/streams")) == "1.1 200"
    url = f"rtmps://{server.rtmps}/live/news"
    command = list(ffmpeg_publish(url))
    with peer(*command, log=tmp_path / "ffmpeg.log"):
        tls = ssl.create_default_context(cafile=str(certificate[0]))
        with httpx.Client(verify=tls, timeout=20) as client:

            def runtime() -> dict[str, object]:
                found: dict[str, object] = client.get(server.url("/streams/news")).json()["data"]["runtime"]
                return found

            until(lambda: runtime()["status"] == "active", "the stream is active")
            assert runtime()["inputs"][0]["protocol"] == "rtmps"  # type: ignore[index]
            newest = until(
                lambda: _last_number(client.get(server.url("/news/video.m3u8")).text), "a whole segment"
            )
        # HTTP/2 carries blocking reloads and media as well.
        segment = server.url(f"/news/video_{newest}.m4s")
        reload = server.url(f"/news/video.m3u8?_HLS_msn={newest + 2}")
        assert curl(*trusted, *shown, reload, "--output", str(tmp_path / "second"), segment) == "2 2002 200"
        assert (tmp_path / "second").stat().st_size > 1000
        assert f"video_{newest + 2}.m4s" in (tmp_path / "body").read_text()
        found = ffprobe(server.url("/news/index.m3u8"))["streams"]
        assert {stream["codec_name"] for stream in found} == {"h264", "aac"}
        player = Player(forgiving_browser, server.url("/play/news"))
        player.wait_until_playing()
        from_s = player.video("currentTime")
        player.watch(5)
        assert player.video("currentTime") > from_s + 2
        assert player.handle("restarts") == 0


def _last_number(playlist: str) -> int:
    """Media sequence number of the last complete segment; 0 while there is none."""
    uris = [line for line in playlist.splitlines() if line.startswith("video_")]
    return int(uris[-1].removeprefix("video_").partition(".")[0]) if uris else 0


def test_a_user_closes_the_api_and_nothing_else(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")
        added = subprocess.run(
            [
                *(sys.executable, "-m", "openstreamer", "user", "add", "alice", "--password-stdin"),
                *("--data-dir", str(server.data_dir / "store")),
            ],
            input=f"{PASSWORD}\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert added.returncode == 0, added.stderr
        until(lambda: server.get("/streams").status_code == 401, "the API asks who it is")
        refused = server.get("/streams")
        assert refused.headers["www-authenticate"].startswith("Basic")
        assert refused.json()["error"]["code"] == "UNAUTHORIZED"
        assert server.get("/streams", auth=("alice", "wrong")).status_code == 401
        assert server.get("/streams", auth=("alice", PASSWORD)).status_code == 200
        renamed = httpx.post(
            server.url("/streams/news"), json={"name": "News"}, auth=("alice", PASSWORD), timeout=15
        )
        assert renamed.status_code == 200
        for path in ("/healthz", "/readyz", "/news/index.m3u8", "/news/video.m3u8", "/play/news"):
            assert server.get(path).status_code == 200, path
        found = ffprobe(server.url("/news/index.m3u8"))["streams"]
        assert len(found) == 2
