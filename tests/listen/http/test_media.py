"""The media application, under the real listener, over presentations of the packager's response type."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from openstreamer.listen.http.media import MediaApp, accepts_gzip
from openstreamer.packager.errors import BadRequest, NotFound, NotReady
from openstreamer.packager.response import MediaResponse, media, playlist
from tests.support.http import WITHIN_S, connected, serving
from tests.support.waiting import until

SEGMENT = (b"aaaa", b"bbbbbb", b"cc")
PLAYLIST = "#EXTM3U\n" * 100


@dataclass
class Channel:
    """A presentation with a resource of each kind."""

    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    waiting: int = 0
    part_ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, name: str, query: Mapping[str, str]) -> MediaResponse:
        self.asked.append((name, dict(query)))
        if name == "segment.m4s":
            return media("video/mp4", SEGMENT)
        if name.endswith(".m3u8"):
            return playlist(PLAYLIST, "no-cache")
        if name == "part.m4s":
            self.waiting += 1
            try:
                await self.part_ready.wait()
            finally:
                self.waiting -= 1
            return media("video/mp4", (b"part",))
        if name == "extra":
            return MediaResponse(200, "text/plain", (b"x",), "no-store", ((b"x-extra", b"1"),))
        if name == "bad":
            raise BadRequest("the directive is malformed")
        if name == "later":
            raise NotReady("the part did not come in time")
        raise NotFound(f"there is no {name!r} here")


class Directory:
    def __init__(self, **channels: Channel) -> None:
        self.channels = {code.replace("__", "/"): channel for code, channel in channels.items()}
        self.policies: dict[str, str] = {}

    def presentation(self, code: str) -> Channel | None:
        return self.channels.get(code)

    def playback_policy(self, code: str) -> str | None:
        return self.policies.get(code)


@dataclass
class Durations:
    seen: list[tuple[str, str, int]] = field(default_factory=list)

    def observe(self, route: str, method: str, status: int, duration_s: float) -> None:
        assert duration_s >= 0
        self.seen.append((route, method, status))


async def ask(app: MediaApp, method: str, path: str, **headers: str) -> httpx.Response:
    async with serving(app) as listener, httpx.AsyncClient(base_url=f"http://{listener.bound}") as client:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, path, headers=fields)


@pytest.fixture
async def news() -> Channel:
    return Channel()


@pytest.fixture
async def app(news: Channel) -> MediaApp:
    return MediaApp(Directory(news=news))


async def test_a_segment_is_served_whole_with_its_headers(app: MediaApp, news: Channel) -> None:
    answer = await ask(app, "GET", "/news/segment.m4s")
    assert (answer.status_code, answer.content) == (200, b"aaaabbbbbbcc")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == "12"
    assert answer.headers["cache-control"] == "public, max-age=86400, immutable"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-range" in answer.headers["access-control-expose-headers"]
    assert answer.headers["accept-ranges"] == "bytes"
    assert news.asked == [("segment.m4s", {})]


async def test_head_has_the_same_headers_and_no_body(app: MediaApp) -> None:
    get = await ask(app, "GET", "/news/segment.m4s")
    head = await ask(app, "HEAD", "/news/segment.m4s")
    assert head.content == b""
    drop = {"date"}
    assert {k: v for k, v in head.headers.items() if k not in drop} == {
        k: v for k, v in get.headers.items() if k not in drop
    }


async def test_headers_of_the_response_are_added(app: MediaApp) -> None:
    assert (await ask(app, "GET", "/news/extra")).headers["x-extra"] == "1"


async def test_a_page_of_another_origin_may_ask_first(app: MediaApp) -> None:
    answer = await ask(app, "OPTIONS", "/news/segment.m4s", origin="https://player.example")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "GET" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_media_cannot_be_written(app: MediaApp, method: str) -> None:
    answer = await ask(app, method, "/news/segment.m4s")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert answer.json()["error"]["code"] == "METHOD_NOT_ALLOWED"


# --- paths and queries -------------------------------------------------------------------------------------


async def test_the_longest_known_code_wins() -> None:
    region, north = Channel(), Channel()
    app = MediaApp(Directory(region=region, region__north=north))
    await ask(app, "GET", "/region/north/segment.m4s")
    await ask(app, "GET", "/region/south/segment.m4s")
    await ask(app, "GET", "/region/track_1/video.m3u8")
    assert north.asked == [("segment.m4s", {})]
    assert [name for name, _ in region.asked] == ["south/segment.m4s", "track_1/video.m3u8"]


async def test_an_unknown_stream_is_told_from_an_unknown_name(app: MediaApp) -> None:
    stream = await ask(app, "GET", "/nothing/index.m3u8")
    assert (stream.status_code, stream.json()["error"]["code"]) == (404, "STREAM_NOT_FOUND")
    name = await ask(app, "GET", "/news/nothing.m4s")
    assert (name.status_code, name.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert name.headers["cache-control"] == "no-store"
    assert name.headers["access-control-allow-origin"] == "*"


async def test_the_code_alone_is_no_resource(app: MediaApp) -> None:
    assert (await ask(app, "GET", "/news")).status_code == 404
    assert (await ask(app, "GET", "/news/")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/news/../news/segment.m4s",
        "/news/%2e%2e/segment.m4s",
        "/news/./segment.m4s",
        "//news/segment.m4s",
        "/news//segment.m4s",
        "/news/%2Fsegment.m4s",
        "/news/segment.m4s%00",
        "/news%5Csegment.m4s",
        "/news/%0asegment.m4s",
        "/news/" + "a" * 600,
        "/news" + "/a" * 100,
    ],
)
async def test_a_path_that_could_mean_two_things_is_refused(app: MediaApp, news: Channel, path: str) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get(path)
        answer = await client.answer()
        assert answer.status == 400
        assert b"BAD_REQUEST" in answer.body
        assert news.asked == []


async def test_the_query_is_decoded_and_the_first_of_two_counts(app: MediaApp, news: Channel) -> None:
    await ask(app, "GET", "/news/index.m3u8?_HLS_msn=7&_HLS_part=2&token=a%2Bb+c&_HLS_msn=9&flag&&empty=")
    fields = {"_HLS_msn": "7", "_HLS_part": "2", "token": "a+b c", "flag": "", "empty": ""}
    assert news.asked == [("index.m3u8", fields)]


@pytest.mark.parametrize("query", ["a=1&" * 50, "a=" + "x" * 3000])
async def test_an_endless_query_is_refused(app: MediaApp, query: str) -> None:
    assert (await ask(app, "GET", f"/news/index.m3u8?{query}")).status_code == 400


# --- policies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ["index.m3u8", "segment.m4s", "part.m4s", "none", "video.m3u8?_HLS_msn=1"])
async def test_a_stream_with_a_policy_is_served_to_nobody(news: Channel, method: str, name: str) -> None:
    directory = Directory(news=news, open=Channel())
    directory.policies["news"] = "closed"
    app = MediaApp(directory)
    answer = await ask(app, method, f"/news/{name}")
    assert answer.status_code == 403
    assert answer.headers["cache-control"] == "no-store"
    assert news.asked == []
    if method == "GET":
        error = answer.json()["error"]
        assert error["code"] == "PLAYBACK_DENIED"
        assert "not supported by this version" in error["message"]
        assert "closed" not in error["message"]
    assert (await ask(app, method, "/open/segment.m4s")).status_code == 200


async def test_the_policy_is_that_of_the_stream_which_is_served() -> None:
    directory = Directory(region=Channel(), region__north=Channel())
    directory.policies["region/north"] = "closed"
    app = MediaApp(directory)
    assert (await ask(app, "GET", "/region/north/segment.m4s")).status_code == 403
    assert (await ask(app, "GET", "/region/segment.m4s")).status_code == 200
    directory.policies = {"region": "closed"}
    assert (await ask(app, "GET", "/region/north/segment.m4s")).status_code == 200
    assert (await ask(app, "GET", "/region/track_1/segment.m4s")).status_code == 403


# --- errors of the presentation ----------------------------------------------------------------------------


async def test_errors_of_the_presentation_keep_their_status_and_message(app: MediaApp) -> None:
    bad = await ask(app, "GET", "/news/bad")
    assert (bad.status_code, bad.json()["error"]["message"]) == (400, "the directive is malformed")
    later = await ask(app, "GET", "/news/later")
    assert (later.status_code, later.headers["retry-after"]) == (503, "1")


async def test_durations_are_counted_by_route_and_never_by_path(news: Channel) -> None:
    durations = Durations()
    app = MediaApp(Directory(news=news), durations)
    for path in ("/news/segment.m4s", "/news/index.m3u8", "/news/odd.name", "/no/index.m3u8", "/a//b"):
        await ask(app, "GET", path)
    assert durations.seen == [
        ("/{code}/*.m4s", "GET", 200),
        ("/{code}/*.m3u8", "GET", 200),
        ("/{code}/*", "GET", 404),
        ("/{code}/*.m3u8", "GET", 404),
        ("/{code}/*", "GET", 400),
    ]


# --- waiting -----------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_frees_its_waiting_request_at_once(app: MediaApp, news: Channel) -> None:
    async with serving(app) as listener:
        async with connected(listener) as client:
            client.get("/news/part.m4s")
            assert await until(lambda: news.waiting == 1)
        assert await until(lambda: news.waiting == 0)
        assert listener.statistics.app_errors == 0


async def test_a_waiting_request_is_answered_when_there_is_news(app: MediaApp, news: Channel) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/news/part.m4s")
        assert await until(lambda: news.waiting == 1)
        news.part_ready.set()
        async with asyncio.timeout(WITHIN_S):
            assert (await client.answer()).body == b"part"


# --- compression and ranges --------------------------------------------------------------------------------


async def test_a_playlist_is_compressed_for_who_accepts_it(app: MediaApp) -> None:
    packed = await ask(app, "GET", "/news/index.m3u8", accept_encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(PLAYLIST)
    assert packed.text == PLAYLIST
    plain = await ask(app, "GET", "/news/index.m3u8", accept_encoding="identity")
    assert "content-encoding" not in plain.headers
    assert plain.text == PLAYLIST
    for answer in (packed, plain):  # a cache must keep them apart
        assert answer.headers["vary"] == "accept-encoding"


async def test_segments_are_not_compressed(app: MediaApp) -> None:
    answer = await ask(app, "GET", "/news/segment.m4s", accept_encoding="gzip")
    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers


def test_accept_encoding_is_read_as_the_specification_says() -> None:
    assert accepts_gzip(b"gzip")
    assert accepts_gzip(b"br;q=1.0, gzip;q=0.5")
    assert not accepts_gzip(b"")
    assert not accepts_gzip(b"br")
    assert not accepts_gzip(b"gzip;q=0")
    assert not accepts_gzip(b"gzip; q=0.000, br")


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=0-3", 206, b"aaaa", "bytes 0-3/12"),
        ("bytes=2-10", 206, b"aabbbbbbc", "bytes 2-10/12"),
        ("bytes=4-", 206, b"bbbbbbcc", "bytes 4-11/12"),
        ("bytes=-3", 206, b"bcc", "bytes 9-11/12"),
        ("bytes=-100", 206, b"aaaabbbbbbcc", "bytes 0-11/12"),
        ("bytes=5-500", 206, b"bbbbbcc", "bytes 5-11/12"),
        ("bytes=12-", 416, b"", "bytes */12"),
        ("bytes=-0", 416, b"", "bytes */12"),
        ("bytes=5-2", 200, b"aaaabbbbbbcc", None),
        ("bytes=0-1,4-5", 200, b"aaaabbbbbbcc", None),
        ("lines=0-1", 200, b"aaaabbbbbbcc", None),
        ("bytes=-", 200, b"aaaabbbbbbcc", None),
    ],
)
async def test_ranges(
    app: MediaApp, header: str, status: int, body: bytes, content_range: str | None
) -> None:
    answer = await ask(app, "GET", "/news/segment.m4s", range=header)
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers.get("content-range") == content_range
    assert int(answer.headers["content-length"]) == len(body)
    cached = "no-store" if status == 416 else "public, max-age=86400, immutable"
    assert answer.headers.get_list("cache-control") == [cached]


async def test_a_range_is_ignored_for_head_and_with_a_condition(app: MediaApp) -> None:
    assert (await ask(app, "HEAD", "/news/segment.m4s", range="bytes=0-1")).status_code == 200
    conditional = await ask(app, "GET", "/news/segment.m4s", range="bytes=0-1", if_range='"etag"')
    assert conditional.status_code == 200


async def test_it_serves_under_any_asgi_server(app: MediaApp) -> None:
    transport = httpx.ASGITransport(app)  # has no extension of ours
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/news/segment.m4s")
        assert (answer.status_code, answer.content) == (200, b"aaaabbbbbbcc")
        assert (await client.head("/news/segment.m4s")).content == b""
