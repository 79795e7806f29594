"""Take screenshots of the start page in every state, light and dark, wide and narrow, to look at them.

Usage: python scripts/preview_pages.py OUTPUT_DIR
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.pages_server import PagesServer, stream

VIEWPORTS = {"wide": (1280, 800), "narrow": (390, 844)}
STREAMS = [
    stream("demo", name="Test card", kbps=1650, uptime_sec=754),
    stream("news", name="News channel", description="Studio A, main feed", uptime_sec=1_050_000),
    stream(
        "region/north/sport",
        "degraded",
        reasons=["no audio for 12 s: the encoder sends video only", "input 0 timed out 3 times in 60 s"],
        kbps=8412,
        uptime_sec=19_000,
        tracks=[{"kind": "video", "codec": "h265", "width": 3840, "height": 2160}],
    ),
    stream("radio", tracks=[{"kind": "audio", "codec": "opus"}], kbps=128, uptime_sec=43),
    stream("camera-07", "idle", reasons=["waiting for a publisher"], stream_key="********"),
    stream("archive", "stopped", reasons=["disabled"], disabled=True),
]


def shoot(browser: Browser, server: PagesServer, out: Path, name: str) -> None:
    for theme in ("light", "dark"):
        for size, (width, height) in VIEWPORTS.items():
            page = browser.new_page(color_scheme=theme, viewport={"width": width, "height": height})
            page.goto(server.url)
            page.wait_for_selector("main:not([data-state=loading])")
            page.screenshot(path=out / f"{name}_{theme}_{size}.png", full_page=True)
            page.close()


def main() -> None:
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    with PagesServer() as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
        shoot(browser, server, out, "empty")
        server.streams = STREAMS
        shoot(browser, server, out, "list")
        server.refusal = (403, "the admin API answers loopback only")
        shoot(browser, server, out, "forbidden")
        browser.close()


if __name__ == "__main__":
    main()
