"""The built pages: policy, caching, nothing outside the build."""

import gzip
from pathlib import Path

import pytest

from openstreamer.control.static_pages import FOR_EVER, REVALIDATE, StaticPages

FILES = {
    "index.html": "<!doctype html><title>start</title>",
    "play.html": "<!doctype html><title>player</title>",
    "swagger.html": "<!doctype html><title>api</title>",
    "assets/start-AB12CD34.js": "let start = 1;",
    "assets/swagger-ui-bundle.js": "let swagger = 1;",
    "assets/favicon.svg": "<svg/>",
}


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    directory = tmp_path / "dist"
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "secret.txt").write_text("secret")
    return directory


async def test_pages_allow_scripts_of_this_host_only(dist: Path) -> None:
    pages = StaticPages(dist)
    for page in (await pages.start_page({}), await pages.player({}), await pages.openapi_page({})):
        policy = page.headers["content-security-policy"]
        assert page.status == 200
        assert "script-src 'self';" in policy
        assert "unsafe-eval" not in policy
        assert "http" not in policy
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["referrer-policy"] == "no-referrer"


async def test_the_player_may_be_framed_and_plays_from_media_source_the_start_page_may_not(
    dist: Path,
) -> None:
    pages = StaticPages(dist)
    player = (await pages.player({})).headers["content-security-policy"]
    assert "media-src 'self' blob:" in player
    assert "worker-src 'self' blob:" in player
    assert "frame-ancestors *" in player
    assert "frame-ancestors 'none'" in (await pages.start_page({})).headers["content-security-policy"]


async def test_hashed_names_are_cached_for_ever_and_fixed_ones_are_asked_for_again(dist: Path) -> None:
    pages = StaticPages(dist)
    assert (await pages.asset("start-AB12CD34.js", {})).headers["cache-control"] == FOR_EVER
    assert (await pages.asset("swagger-ui-bundle.js", {})).headers["cache-control"] == REVALIDATE
    assert (await pages.start_page({})).headers["cache-control"] == REVALIDATE


async def test_a_known_entity_tag_gets_304_without_a_body(dist: Path) -> None:
    pages = StaticPages(dist)
    first = await pages.start_page({})
    again = await pages.start_page({"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_text_is_compressed_for_those_who_take_it(dist: Path) -> None:
    pages = StaticPages(dist)
    packed = await pages.asset("start-AB12CD34.js", {"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == b"let start = 1;"
    plain = await pages.asset("start-AB12CD34.js", {"accept-encoding": "gzip;q=0"})
    assert plain.body == b"let start = 1;"
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    "name", ["../../secret.txt", "../index.html", "/etc/passwd", "", ".", "none.js", "a\0b"]
)
async def test_nothing_outside_the_list_of_the_build_is_served(dist: Path, name: str) -> None:
    assert (await StaticPages(dist).asset(name, {})).status == 404


async def test_a_link_in_the_build_is_not_followed(dist: Path) -> None:
    (dist / "assets" / "link.txt").symlink_to(dist.parent / "secret.txt")
    assert (await StaticPages(dist).asset("link.txt", {})).status == 404


async def test_a_missing_build_is_said_plainly_and_found_once_it_is_there(tmp_path: Path) -> None:
    pages = StaticPages(tmp_path / "dist")
    missing = await pages.start_page({})
    assert missing.status == 503
    assert b"make pages" in missing.body
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "index.html").write_text("built")
    assert (await pages.start_page({})).body == b"built"


async def test_a_new_build_is_found_when_a_file_is_gone(dist: Path) -> None:
    pages = StaticPages(dist)
    await pages.start_page({})
    (dist / "assets" / "start-AB12CD34.js").unlink()
    (dist / "index.html").write_text("new")
    assert (await pages.asset("start-AB12CD34.js", {})).status == 404
    assert (await pages.start_page({})).body == b"new"
