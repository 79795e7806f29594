"""The start page and the player page in Chromium, against a made-up server and media from ffmpeg."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.support.browser import CHROMIUM_ARGS, chromium_path
from tests.support.live_hls import SIZE, LiveHls
from tests.support.pages_server import PagesServer, stream

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PLAYS_WITHIN_MS = 30_000  # a shared CI machine also encodes the picture


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PagesServer]:
    with PagesServer(tmp_path) as server:
        yield server


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not break its own content security policy, nor throw."""
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            complaints.append(message.text)

    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def row(page: Page, code: str) -> str:
    return f"li.row:has(a[href='/play/{code}'])"


class TestStartPage:
    def test_a_stream_is_shown_with_its_state_bitrate_format_and_links(
        self, server: PagesServer, page: Page
    ) -> None:
        server.streams = [stream("region/north", "degraded", reasons=["no audio for 12 s"], name="North")]
        page.goto(server.url)
        shown = page.locator(row(page, "region/north"))
        for text in (
            "Degraded",
            "no audio for 12 s",
            "North",
            "3.2 Mbit/s",
            "1280×720 H.264 + AAC",
            "2 h 03 min",
        ):
            expect(shown).to_contain_text(text)
        expect(shown.get_by_role("link", name="Play region/north")).to_be_visible()

    def test_a_change_appears_by_itself_and_the_focus_stays(self, server: PagesServer, page: Page) -> None:
        server.streams = [stream("b"), stream("c")]
        page.goto(server.url)
        link = page.get_by_role("link", name="Play c")
        link.focus()
        server.streams = [stream("a"), stream("c", "idle", reasons=["waiting for a publisher"])]
        expect(page.locator(row(page, "c"))).to_contain_text("waiting for a publisher")
        expect(page.locator(row(page, "a"))).to_be_visible()
        expect(page.locator(row(page, "b"))).to_have_count(0)
        expect(link).to_be_focused()

    def test_the_filter_and_the_search_narrow_the_list(self, server: PagesServer, page: Page) -> None:
        server.streams = [stream("news"), stream("sport", "stopped"), stream("newsroom", "idle")]
        page.goto(server.url)
        page.get_by_role("button", name="Active 1").click()
        expect(page.locator("li.row:visible")).to_have_count(1)
        page.get_by_role("button", name="All 3").click()
        page.get_by_role("searchbox").fill("news")
        expect(page.locator("li.row:visible")).to_have_count(2)
        page.get_by_role("searchbox").fill("nothing like it")
        expect(page.get_by_text("No stream matches.")).to_be_visible()

    def test_without_streams_it_tells_how_to_publish_to_this_server(
        self, server: PagesServer, page: Page
    ) -> None:
        page.goto(server.url)
        expect(page.get_by_role("heading", name="No streams yet")).to_be_visible()
        expect(page.locator("#example-ffmpeg")).to_contain_text("-f flv rtmp://127.0.0.1/live/news")
        expect(page.locator("#example-add")).to_contain_text(f"{server.url}/streams/news")

    def test_the_urls_are_copied(self, server: PagesServer, page: Page) -> None:
        server.streams = [stream("news"), stream("a/b")]
        page.goto(server.url)
        page.locator(row(page, "news")).get_by_role("button", name="Copy HLS URL").click()
        expect(page.locator("#announcer")).to_have_text(f"{server.url}/news/index.m3u8 copied")
        assert page.evaluate("navigator.clipboard.readText()") == f"{server.url}/news/index.m3u8"
        page.locator(row(page, "a/b")).get_by_role("button", name="Copy publish URL").click()
        expect(page.locator("#announcer")).to_have_text("rtmp://127.0.0.1/a/b copied")

    def test_a_name_is_text_and_never_markup(self, server: PagesServer, page: Page) -> None:
        server.streams = [stream("news", name="<img src=x onerror=alert(1)><b>bold</b>")]
        page.goto(server.url)
        expect(page.locator(row(page, "news"))).to_contain_text("<b>bold</b>")
        expect(page.locator("li.row img, li.row b")).to_have_count(0)

    def test_when_the_server_goes_away_the_list_stays_and_goes_on_later(
        self, page: Page, tmp_path: Path
    ) -> None:
        with PagesServer(tmp_path) as first:
            first.streams = [stream("news")]
            page.goto(first.url)
            expect(page.locator(row(page, "news"))).to_be_visible()
        expect(page.get_by_role("heading", name="The server does not answer")).to_be_visible()
        expect(page.locator(row(page, "news"))).to_be_visible()
        with PagesServer(tmp_path, port=first.port) as second:
            second.streams = [stream("sport")]
            expect(page.locator(row(page, "sport"))).to_be_visible(timeout=15_000)
            expect(page.get_by_role("heading", name="The server does not answer")).to_be_hidden()

    def test_a_refused_address_learns_the_rule_and_the_remedy(self, server: PagesServer, page: Page) -> None:
        server.refusal = (403, "loopback only")
        page.goto(server.url)
        expect(page.locator("#notice")).to_contain_text("Until a user exists")
        expect(page.locator("#notice")).to_contain_text("openstreamer user add NAME")

    def test_a_login_is_asked_for_once_and_not_every_two_seconds(
        self, server: PagesServer, page: Page
    ) -> None:
        page.clock.install()
        server.refusal = (401, "authentication required")
        page.goto(server.url)
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        page.clock.run_for(60_000)
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert server.requests.count("/streams") == 1

    def test_it_fits_a_phone(self, server: PagesServer, page: Page) -> None:
        page.set_viewport_size({"width": 360, "height": 740})
        server.streams = [stream("a-rather-long-code/" + "x" * 60, "degraded", reasons=["y" * 80])]
        page.goto(server.url)
        expect(page.locator("li.row")).to_be_visible()
        page.locator("#publish summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def wait_for_state(page: Page, state: str) -> None:
    page.wait_for_function("state => openstreamerPlayer.state === state", arg=state, timeout=PLAYS_WITHIN_MS)


def wait_for_movement(page: Page) -> None:
    """The picture moves on from where it is now, and the player says that it plays."""
    position = page.evaluate("document.querySelector('video').currentTime")
    page.wait_for_function(
        """from => openstreamerPlayer.state === 'playing'
            && Math.abs(document.querySelector('video').currentTime - from) > 1""",
        arg=position,
        timeout=PLAYS_WITHIN_MS,
    )


class TestPlayer:
    @pytest.mark.parametrize("engine", ["hlsjs", "native"])
    def test_it_waits_for_the_stream_and_starts_by_itself(
        self, server: PagesServer, page: Page, tmp_path: Path, engine: str
    ) -> None:
        page.goto(f"{server.url}/play/news?engine={engine}")
        expect(page.get_by_text("Waiting for the stream")).to_be_visible()
        with LiveHls(tmp_path):
            wait_for_movement(page)
            assert page.evaluate("openstreamerPlayer.engine") == engine
            assert page.evaluate("document.querySelector('video').videoWidth") == SIZE[0]

    def test_a_playlist_that_is_held_until_the_stream_comes_is_no_silent_server(
        self, server: PagesServer, page: Page, tmp_path: Path
    ) -> None:
        server.media_answers.clear()
        page.clock.install()
        page.goto(f"{server.url}/play/news")
        page.clock.fast_forward(3000)
        expect(page.get_by_text("Waiting for the stream")).to_be_visible()
        page.clock.fast_forward(8500)  # beyond the 10 s that the server holds it
        expect(page.get_by_text("It starts here by itself")).to_be_visible()
        assert page.evaluate("openstreamerPlayer.state") == "waiting"
        with LiveHls(tmp_path):
            server.media_answers.set()
            wait_for_movement(page)

    def test_it_tells_the_latency_from_the_wall_clock(
        self, server: PagesServer, page: Page, tmp_path: Path
    ) -> None:
        with LiveHls(tmp_path):
            page.goto(f"{server.url}/play/news")
            wait_for_movement(page)
            assert 0 < page.evaluate("openstreamerPlayer.latency_s") < 15

    def test_a_source_that_pauses_is_waited_for_and_goes_on_without_a_restart(
        self, server: PagesServer, page: Page, tmp_path: Path
    ) -> None:
        with LiveHls(tmp_path) as source:
            page.goto(f"{server.url}/play/news")
            wait_for_movement(page)
            source.kill()
            wait_for_state(page, "waiting")
            expect(page.get_by_text("The stream sends nothing at the moment.")).to_be_visible()
            source.start()
            wait_for_movement(page)
            assert page.evaluate("openstreamerPlayer.restarts") == 0
            assert page.evaluate("openstreamerPlayer.stalls") >= 1

    def test_a_server_that_answers_with_errors_is_survived(
        self, server: PagesServer, page: Page, tmp_path: Path
    ) -> None:
        with LiveHls(tmp_path):
            page.goto(f"{server.url}/play/news")
            wait_for_movement(page)
            server.media_status = 503
            wait_for_state(page, "waiting")
            server.media_status = None
            wait_for_movement(page)

    def test_a_playlist_that_begins_anew_is_joined(
        self, server: PagesServer, page: Page, tmp_path: Path
    ) -> None:
        with LiveHls(tmp_path) as source:
            page.goto(f"{server.url}/play/news")
            page.wait_for_function(
                "() => document.querySelector('video').currentTime > 3", timeout=PLAYS_WITHIN_MS
            )
            source.kill()
            for file in tmp_path.iterdir():
                file.unlink()
            source.start()
            page.wait_for_function("() => openstreamerPlayer.restarts > 0", timeout=PLAYS_WITHIN_MS)
            wait_for_movement(page)

    def test_a_viewer_without_access_is_told_so(self, server: PagesServer, page: Page) -> None:
        server.media_status = 403
        page.goto(f"{server.url}/play/news")
        expect(page.get_by_text("You may not watch this stream")).to_be_visible()

    def test_the_token_of_the_page_goes_along_to_the_playlist(self, server: PagesServer, page: Page) -> None:
        with page.expect_request(lambda request: "index.m3u8" in request.url) as request:
            page.goto(f"{server.url}/play/region/north?token=17.a-b_c&other=1")
        assert request.value.url == f"{server.url}/region/north/index.m3u8?token=17.a-b_c"

    def test_an_address_that_is_no_code_asks_the_server_for_nothing(
        self, server: PagesServer, page: Page
    ) -> None:
        page.goto(f"{server.url}/play/..%2F..%2Fstreams%3Fx")
        expect(page.get_by_text("No such stream")).to_be_visible()
        assert not [path for path in server.requests if "m3u8" in path]
