"""The player page, open in a browser, as a test looks at it."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.support.server import until

START_WITHIN_S = 30.0
# Each entry: [milliseconds, event or "", position s, buffered ahead s]. A stall with a full buffer is the
# decoder's or the machine's; one with an empty buffer and no gap between the entries is the server's.
TRACE = """() => {
  performance.setResourceTimingBufferSize(100000);
  const video = document.querySelector("video");
  window.trace = [];
  const note = (event) => {
    const ends = video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0;
    const ahead = Math.round((ends - video.currentTime) * 1000) / 1000;
    window.trace.push([Math.round(performance.now()), event, video.currentTime, ahead]);
  };
  for (const name of ["waiting", "playing", "seeking"]) video.addEventListener(name, () => note(name));
  window.setInterval(() => note(""), 100);
}"""
TRACED_AROUND_MS = 2500
# Of each request around that time: [path, began, waited for a connection, for an answer, for its end] in ms.
REQUESTS = """() => performance.getEntriesByType("resource").map((entry) => [
  new URL(entry.name).pathname + new URL(entry.name).search, Math.round(entry.fetchStart),
  Math.round(entry.requestStart - entry.fetchStart), Math.round(entry.responseStart - entry.requestStart),
  Math.round(entry.responseEnd - entry.responseStart)])"""


class Player:
    """A player page that is open."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.page: Page = browser.new_page()
        self.page.goto(url)
        self.page.evaluate(TRACE)

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
            "clock_s": self.page.evaluate("performance.now() / 1000"),
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

    def around_stalls(self) -> str:
        """What the page noted around each moment without a picture, for the reader of a failed test."""
        trace: list[list[Any]] = self.page.evaluate("window.trace")
        stalls = [entry[0] for entry in trace if entry[1] == "waiting"]
        noted = trace + [[entry[1], "request", *entry] for entry in self.page.evaluate(REQUESTS)]
        near = [entry for entry in noted if any(abs(entry[0] - stall) < TRACED_AROUND_MS for stall in stalls)]
        return "\n".join(str(entry) for entry in sorted(near, key=lambda entry: entry[0]))


def assert_watched(player: Player, began: dict[str, Any], *, size: tuple[int, int], seconds: float) -> None:
    """It played ``seconds`` or more since ``began`` (what ``Player.seen`` said then) without a stall or a
    restart, and its time went on as the browser's clock did."""
    now = player.seen()
    assert (now["restarts"], now["last_error"]) == (began["restarts"], began["last_error"])
    assert now["stalls"] == began["stalls"], player.around_stalls()
    assert (player.video("videoWidth"), player.video("videoHeight")) == size
    elapsed_s = now["clock_s"] - began["clock_s"]
    assert elapsed_s >= seconds
    assert now["time_s"] - began["time_s"] == pytest.approx(elapsed_s, abs=3)
    assert now["audio_bytes"] - began["audio_bytes"] > 1000 * seconds
    assert now["frames"] - began["frames"] > 20 * seconds
