"""What a person sees: the player page of the real server in Chromium, fed by real encoders."""

import contextlib
import signal
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.player import Player, assert_watched
from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, until

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(240)]

PLAY_S = 60
LATENCY_S = 2.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


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


PICTURES = ("-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25")
SOUND = ("-re", "-f", "lavfi", "-i", "sine=sample_rate=48000")
ENCODED = (
    "-pix_fmt",
    "yuv420p",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-g",
    "25",
    "-c:a",
    "aac",
    "-f",
    "flv",
)
INPUTS = {"video": PICTURES, "audio": SOUND, "video and audio": (*PICTURES, *SOUND)}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("video", "video and audio"),
        ("audio", "video and audio"),
        ("video and audio", "audio"),
        ("video and audio", "video"),
    ],
)
def test_an_encoder_that_comes_back_with_other_tracks_needs_no_reload(
    server: Server, browser: Browser, tmp_path: Path, before: str, after: str
) -> None:
    server.put_stream("news")
    encoder = ("ffmpeg", "-v", "warning", "-nostdin")
    target = (*ENCODED, server.publish_url("news"))
    with peer(*encoder, *INPUTS[before], *target, log=tmp_path / "first.log") as first:
        player = Player(browser, server.url("/play/news"))
        player.wait_until_playing()
        first.send_signal(signal.SIGKILL)
        server.wait_for_status("news", "idle")
    with peer(*encoder, *INPUTS[after], *target, log=tmp_path / "second.log"):
        server.wait_for_status("news", "active")
        until(lambda: has_renditions(server, after), "the index lists the new tracks")
        until(lambda: shows(player, after), f"{after} is played")
        assert player.handle("last_error") == ""


MP3 = ("-c:a", "libmp3lame")


def test_sound_that_the_browser_cannot_play_is_named_and_its_picture_plays(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    for code in ("radio", "news"):
        server.put_stream(code)
    encoder = ("ffmpeg", "-v", "warning", "-nostdin")
    radio = (*encoder, *SOUND, *MP3, "-f", "flv", server.publish_url("radio"))
    news = (*encoder, *INPUTS["video and audio"], *ENCODED)
    with peer(*radio, log=tmp_path / "radio.log"):
        server.wait_for_status("radio", "active")
        deaf = Player(browser, server.url("/play/radio"))
        until(lambda: deaf.handle("state") == "unsupported", "the page says so")
        expect(deaf.page.get_by_text("This browser cannot play the stream")).to_be_visible()
        expect(deaf.page.get_by_text("It cannot play MP3.")).to_be_visible()
        with peer(*news, *MP3, server.publish_url("news"), log=tmp_path / "mp3.log"):
            player = Player(browser, server.url("/play/news"))
            player.wait_until_playing()
            expect(player.page.get_by_text("No sound: this browser cannot play MP3")).to_be_visible()
            expect(player.page.get_by_role("button", name="Turn sound on")).to_be_hidden()
            until(lambda: shows(player, "video"), "the picture is played")
        assert (deaf.handle("restarts"), player.handle("restarts")) == (0, 0)
    with peer(*news, server.publish_url("news"), log=tmp_path / "aac.log"):
        until(lambda: shows(player, "video and audio"), "the new sound is played")
        expect(player.page.get_by_role("button", name="Turn sound on")).to_be_visible()
        expect(player.page.get_by_text("No sound")).to_be_hidden()


def has_renditions(server: Server, kinds: str) -> bool:
    listed = server.get("/news/index.m3u8").text
    return all((f"{kind}.m3u8" in listed) == (kind in kinds) for kind in ("video", "audio"))


def shows(player: Player, kinds: str) -> bool:
    """Whether half a second brings more of each of ``kinds``, and time goes on."""
    began = player.seen()
    player.page.wait_for_timeout(500)
    now = player.seen()
    counters = [name for kind, name in (("video", "frames"), ("audio", "audio_bytes")) if kind in kinds]
    grow = all(now[name] > began[name] for name in (*counters, "time_s"))
    return (
        grow
        and now["restarts"] == began["restarts"]
        and ("video" in kinds or player.video("videoWidth") == 0)
    )


ENHANCED = {
    "av1-opus": ("libsvtav1", "libopus"),
    "av1-aac": ("libsvtav1", "aac"),
    "h265-aac": ("libx265", "aac"),
}
FPS, AAC_PER_S = 25, 48_000 / 1024


def test_enhanced_rtmp_plays_a_minute_without_a_stall(
    server: Server, browser: Browser, tmp_path: Path
) -> None:
    """AV1 in the browser; H.265, which Chromium has no software decoder for, by ffprobe at the same time."""
    with contextlib.ExitStack() as stack:
        for code, encoders in ENHANCED.items():
            server.put_stream(code)
            publisher = (sys.executable, "-m", "tests.support.libav_publisher", server.publish_url(code))
            stack.enter_context(peer(*publisher, *encoders, log=tmp_path / f"{code}.log"))
        for code in ENHANCED:
            server.wait_for_status(code, "active", 30)
        players = {code: Player(browser, server.url(f"/play/{code}")) for code in ENHANCED}
        assert can_play(players["av1-opus"], server, "av1-opus")
        assert not can_play(players["h265-aac"], server, "h265-aac")
        until(lambda: players["h265-aac"].handle("state") == "unsupported", "the page says so")
        players.pop("h265-aac").page.close()
        for player in players.values():
            player.wait_until_playing()
        begun = [(player, player.seen()) for player in players.values()]
        pool = stack.enter_context(ThreadPoolExecutor(1))
        h265 = pool.submit(ffprobe, server.url("/h265-aac/index.m3u8"), seconds=PLAY_S, decoded=True)
        players["av1-opus"].watch(PLAY_S)
        for player, began in begun:
            assert_watched(player, began, size=(640, 360), seconds=PLAY_S)
        found = {stream["codec_name"]: stream for stream in h265.result()["streams"]}
    assert {name: int(stream["nb_read_frames"]) for name, stream in found.items()} == {
        "hevc": pytest.approx(PLAY_S * FPS, abs=2),
        "aac": pytest.approx(PLAY_S * AAC_PER_S, abs=3),
    }
    assert h265.result()["stderr"] == ""


def can_play(player: Player, server: Server, code: str) -> bool:
    """Whether the browser says that it can decode the stream's video."""
    outputs = server.runtime(code)["media"]["outputs"]
    codec = next(output["codec_string"] for output in outputs if output["kind"] == "video")
    supported: bool = player.page.evaluate(
        "type => MediaSource.isTypeSupported(type)", f'video/mp4; codecs="{codec}"'
    )
    return supported
