"""A viewer in Chromium: the player page over LL-HLS. The limits are those of ``player.assert_watched``."""

import time
from itertools import pairwise
from typing import Any

from playwright.sync_api import sync_playwright

from tests.peers.originals import SIZE, Original
from tests.peers.showing import Seen, Watch
from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.player import Player
from tests.support.server import Server

_LEAST_AUDIO_BYTES_PER_S = 1000
_LEAST_PICTURES_PER_S = 20
_LATE_S = 3.0


def watch_for(seconds: float) -> Watch:
    """Watch a stream for so long, in a browser of its own."""

    def watch(server: Server, code: str, original: Original) -> Seen:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
            player = Player(browser, server.url(f"/play/{code}?engine=hlsjs"))
            player.wait_until_playing()
            began, began_s = player.seen(), time.monotonic()
            latencies: list[float] = []
            while time.monotonic() - began_s < seconds:
                latencies += player.watch(1)
            seen = _seen(player, began, time.monotonic() - began_s, has_picture="video" in original.kinds)
            seen.latency_s = sorted(latencies)[len(latencies) // 2] if latencies else None
            seen.paused_ms = _longest_pause_ms(player)
            browser.close()
            return seen

    return watch


def _longest_pause_ms(player: Player) -> int:
    """The longest that nothing was noted in the page's trace: its timer writes ten times a second."""
    noted_ms = [entry[0] for entry in player.page.evaluate("window.trace")]
    return max((after - before for before, after in pairwise(noted_ms)), default=0)


def _seen(player: Player, began: dict[str, Any], seconds: float, *, has_picture: bool) -> Seen:
    now = player.seen()
    grown = {
        name: now[name] - began[name] for name in ("stalls", "restarts", "time_s", "audio_bytes", "frames")
    }
    seen = Seen(seconds, stalls=grown["stalls"])
    say = seen.problems.append
    if grown["stalls"]:
        say(f"{grown['stalls']} stalls in the browser:\n{player.around_stalls()}")
    if grown["restarts"] or now["last_error"]:
        say(f"the player started anew {grown['restarts']} times: {now['last_error']}")
    if abs(grown["time_s"] - seconds) > _LATE_S:
        say(f"{grown['time_s']:.1f} s were played in {seconds:.1f} s")
    if grown["audio_bytes"] < _LEAST_AUDIO_BYTES_PER_S * seconds:
        say(f"{grown['audio_bytes']} bytes of sound were decoded in {seconds:.1f} s")
    if has_picture:
        size = (player.video("videoWidth"), player.video("videoHeight"))
        if size != SIZE:
            say(f"the picture is {size}")
        if grown["frames"] < _LEAST_PICTURES_PER_S * seconds:
            say(f"{grown['frames']} pictures were decoded in {seconds:.1f} s")
    return seen
