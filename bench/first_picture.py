"""What somebody who types ``make run`` waits for: from the server's process to a picture in the browser.

The browser is open already; it asks for the player page of the demo as soon as the server accepts. Everything
counts: the interpreter, the store, the child that makes the picture, the first part, the page, the decoder.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright
from tests.support.browser import CHROMIUM_ARGS, chromium_path

from bench.process import running_server
from bench.results import Results
from bench.scenarios import Plan

TARGET_S = 5.0
# Unix times in milliseconds. The callback runs when a picture of the video was composited (HTML,
# requestVideoFrameCallback); the answer to the first request of the page's script says that there is media.
NOTE_PICTURE = """window.firstPictureUnixMs = new Promise((resolve, reject) => {
  window.setTimeout(() => reject(new Error("no picture within 30 s")), 30_000);
  document.addEventListener("DOMContentLoaded", () => {
    const seen = () => resolve(performance.timeOrigin + performance.now());
    document.querySelector("video").requestVideoFrameCallback(seen);
  });
});"""
STAGES = """async () => {
  const seenUnixMs = await window.firstPictureUnixMs;
  const page = performance.getEntriesByType("navigation")[0];
  const playlist = performance.getEntriesByType("resource").find((entry) => entry.name.includes(".m3u8"));
  const origin = performance.timeOrigin;
  return [origin + page.domContentLoadedEventEnd, origin + playlist.responseEnd, seenUnixMs];
}"""


def first_picture(plan: Plan, results: Results) -> None:
    """From the process's start to the first picture of the demo stream in Chromium."""
    names = ("page loaded", "playlist with a part", "first picture in Chromium")
    with _chromium() as browser:
        _stages_s(plan, browser)  # writes the byte code, and warms the file cache
        runs = [_stages_s(plan, browser) for _ in range(plan.starts)]
    for name, samples in zip(names, zip(*runs, strict=True), strict=True):
        target = TARGET_S if name == names[-1] else None
        results.add("first picture", f"process start → {name}", "s", samples, target)


@contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
        try:
            yield browser
        finally:
            browser.close()


def _stages_s(plan: Plan, browser: Browser) -> Sequence[float]:
    """When the page was loaded, the playlist came, and the picture was seen."""
    began_unix_ms = time.time() * 1000
    with running_server(plan.new_directory()) as server:
        page = browser.new_page()
        page.add_init_script(NOTE_PICTURE)
        page.goto(f"http://{server.http}/play/demo", wait_until="commit")
        stages: list[float] = page.evaluate(STAGES)
        page.close()
    return [(at_unix_ms - began_unix_ms) / 1000 for at_unix_ms in stages]
