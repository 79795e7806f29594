"""kill -9 of the server or the encoder in the middle of everything: players go on, nothing stored is lost."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.player import Player
from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, until

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]

CODES = ("news", "sport", "region/north")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.mark.parametrize("engine", ["hlsjs", "native"])
def test_pages_go_on_after_the_server_was_killed(
    server: Server, browser: Browser, tmp_path: Path, engine: str
) -> None:
    for code in CODES:
        server.put_stream(code, name=code.upper())
    command = ffmpeg_publish(server.publish_url("news"))
    with peer(*command, log=tmp_path / "first.log") as encoder:
        server.wait_for_status("news", "active")
        player = Player(browser, server.url(f"/play/news?engine={engine}"))
        player.wait_until_playing()
        player.page.evaluate("window.notReloaded = true")
        before = _newest(server)
        server.kill()
        assert encoder.wait(20) != 0
    server.start()
    names = {record["code"]: record["name"] for record in server.get("/streams").json()["data"]}
    assert names == {code: code.upper() for code in CODES}
    with peer(*command, log=tmp_path / "second.log"):
        server.wait_for_status("news", "active")
        until(lambda: _newest(server) > before, "a playlist with higher numbers")
        player.wait_until_playing()
        assert player.page.evaluate("window.notReloaded") is True
        found = ffprobe(server.url("/news/index.m3u8"))["streams"]
        assert {stream["codec_name"] for stream in found} == {"h264", "aac"}


def test_a_reader_goes_on_when_the_encoder_is_back(server: Server, tmp_path: Path) -> None:
    """FFmpeg gives up when a playlist cannot be loaded at all, so this needs the server, not the encoder."""
    server.put_stream("news")
    command = ffmpeg_publish(server.publish_url("news"))
    progress = tmp_path / "progress"
    reader = (
        *("ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-progress", str(progress)),
        *("-i", server.url("/news/index.m3u8"), "-f", "null", "-"),
    )
    with contextlib.ExitStack() as stack:
        encoder = stack.enter_context(peer(*command, log=tmp_path / "first.log"))
        server.wait_for_status("news", "active")
        player = stack.enter_context(peer(*reader, log=tmp_path / "player.log"))
        until(lambda: _frames(progress) > 25, "ffmpeg plays")
        encoder.kill()
        server.wait_for_status("news", "idle")
        seen = _frames(progress)
        stack.enter_context(peer(*command, log=tmp_path / "second.log"))
        # What the first encoder sent may be played out first: eight seconds are more than that.
        until(lambda: _frames(progress) > seen + 200, "ffmpeg plays on", 60)
        assert player.poll() is None


def _frames(progress: Path) -> int:
    """How many pictures ffmpeg has decoded."""
    lines = progress.read_text().splitlines() if progress.exists() else []
    counts = [int(line.partition("=")[2]) for line in lines if line.startswith("frame=")]
    return counts[-1] if counts else 0


def _newest(server: Server) -> int:
    """Media sequence number of the newest complete segment; 0 while there is no playlist."""
    answer = server.get("/news/video.m3u8")
    uris = [line for line in answer.text.splitlines() if line.startswith("video_")]
    return int(uris[-1].removeprefix("video_").partition(".")[0]) if answer.status_code == 200 and uris else 0
