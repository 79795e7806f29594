"""What a person sees: the player page of the real server in Chromium, fed by real encoders."""

import signal
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PLAY_S = 60
START_WITHIN_S = 30.0
LATENCY_S = 2.0
# A shared machine may hold everything up once, for a second. A server that stalls its viewers does it again.
MACHINE_STALLS = 1


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


class Player:
    """A player page that is open."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_page()
        self.page.goto(url)

    def handle(self, name: str) -> Any:
        """What the page says of itself."""
        return self.page.evaluate(f"window.openstreamerPlayer?.{name}")

    def video(self, name: str) -> Any:
        """A property of the video element."""
        return self.page.evaluate(f"document.querySelector('video').{name}")

    def wait_until_playing(self) -> None:
        """Until the picture moves."""
        until(lambda: self.handle("state") == "playing", "the page plays", START_WITHIN_S)
        start = self.video("currentTime")
        until(lambda: self.video("currentTime") > start + 0.5, "the picture moves", START_WITHIN_S)

    def seen(self) -> dict[str, Any]:
        """The page's and the browser's counters."""
        return {
            **{name: self.handle(name) for name in ("stalls", "restarts", "last_error")},
            "time_s": self.video("currentTime"),
            "audio_bytes": self.video("webkitAudioDecodedByteCount"),
            "frames": self.video("webkitDecodedFrameCount"),
        }

    def watch(self, seconds: float) -> list[float]:
        """Watch for some seconds of the browser's own time; returns the latency seen each second."""
        latencies = []
        for _ in range(int(seconds)):
            self.page.wait_for_timeout(1000)
            latency_s = self.handle("latency_s")
            if latency_s is not None:
                latencies.append(float(latency_s))
        return latencies


def assert_watched(player: Player, began: dict[str, Any], *, size: tuple[int, int], seconds: float) -> None:
    """It played ``seconds`` since ``began`` (what ``Player.seen`` said then) without a restart."""
    now = player.seen()
    assert (now["restarts"], now["last_error"]) == (began["restarts"], began["last_error"])
    assert now["stalls"] - began["stalls"] <= MACHINE_STALLS
    assert (player.video("videoWidth"), player.video("videoHeight")) == size
    assert now["time_s"] - began["time_s"] == pytest.approx(seconds, abs=3)
    assert now["audio_bytes"] - began["audio_bytes"] > 1000 * seconds
    assert now["frames"] - began["frames"] > 20 * seconds


def test_hlsjs_and_the_browsers_own_player_play_a_minute_without_a_stall(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")
        # Chromium's own player cannot begin with a playlist of less than three segments.
        until(lambda: server.get("/news/video.m3u8").text.count("#EXTINF") >= 4, "four segments")
        hlsjs = Player(browser, server.url("/play/news?engine=hlsjs"))
        native = Player(browser, server.url("/play/news?engine=native"))
        for player in (hlsjs, native):
            player.wait_until_playing()
        assert (hlsjs.handle("engine"), native.handle("engine")) == ("hlsjs", "native")
        begun = [(player, player.seen()) for player in (hlsjs, native)]
        latencies = hlsjs.watch(PLAY_S)
        for player, began in begun:
            assert_watched(player, began, size=(640, 360), seconds=PLAY_S)
        assert statistics.median(latencies) < LATENCY_S
        assert server.runtime("news")["status"] == "active"


def test_an_encoder_that_is_killed_and_comes_back_needs_no_reload(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    server.put_stream("news")
    command = ffmpeg_publish(server.publish_url("news"))
    with peer(*command, log=tmp_path / "first.log") as first:
        player = Player(browser, server.url("/play/news"))
        player.wait_until_playing()
        player.page.evaluate("window.notReloaded = true")
        first.send_signal(signal.SIGKILL)
        server.wait_for_status("news", "idle")
    with peer(*command, log=tmp_path / "second.log"):
        server.wait_for_status("news", "active")
        player.wait_until_playing()
        assert statistics.median(player.watch(10)) < LATENCY_S + 1
        assert player.page.evaluate("window.notReloaded") is True


@pytest.mark.parametrize(
    ("encoders", "codecs", "plays"),
    [
        (("libsvtav1", "libopus"), ("av1", "opus"), True),
        (("libsvtav1", "aac"), ("av1", "aac"), True),
        # Chromium has no software decoder for H.265: ffprobe has.
        (("libx265", "aac"), ("hevc", "aac"), False),
    ],
)
def test_enhanced_rtmp_plays(
    server: Server,
    browser: Browser,
    tmp_path: Path,
    encoders: tuple[str, str],
    codecs: tuple[str, str],
    plays: bool,
) -> None:
    server.put_stream("news")
    command = (sys.executable, "-m", "tests.support.libav_publisher", server.publish_url("news"), *encoders)
    log = tmp_path / "publisher.log"
    with peer(*command, log=log):
        server.wait_for_status("news", "active", 30)
        found = ffprobe(server.url("/news/index.m3u8"))["streams"]
        assert {stream["codec_name"] for stream in found} == set(codecs)
        assert all(int(stream["nb_read_packets"]) > 20 for stream in found)
        if plays:
            player = Player(browser, server.url("/play/news"))
            player.wait_until_playing()
            began = player.seen()
            player.watch(10)
            assert_watched(player, began, size=(640, 360), seconds=10)
