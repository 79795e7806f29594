"""The plain GET: it means and gives exactly what the general way would."""

from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz import fuzz_http1
from openstreamer.access.proxies import TrustedProxies
from openstreamer.listen.http.asgi import Receive, Scope, Send
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.listen.http.media import MediaApp
from openstreamer.listen.http.plain import PlainAnswer, PlainGet, PlainReader
from openstreamer.listen.http.router import Router
from openstreamer.packager.errors import NotFound, NotReady
from openstreamer.packager.response import MediaResponse, media, playlist
from tests.support.http import Answer, connected, serving

LIMITS = HttpLimits()
HOST = b"Host: x\r\n"

PATHS = st.from_regex(rb"/[A-Za-z0-9._~/%-]{0,12}(\?[a-zA-Z0-9=&%]{0,8})?", fullmatch=True)
NAMES = st.sampled_from(
    [
        b"Host",
        b"host",
        b"Accept-Encoding",
        b"Connection",
        b"Range",
        b"Content-Length",
        b"Upgrade",
        b"X-1",
        b"X_1",
    ]
)
VALUES = st.sampled_from(
    [b"x", b"gzip", b"keep-alive", b"close", b"0", b"5", b"h2c", b"a b", b"", b" x", b"x ", b"\tx"]
)
LINES = st.builds(
    lambda name, colon, value: name + colon + value, NAMES, st.sampled_from([b": ", b":", b" : "]), VALUES
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Request heads that are plain, nearly plain, and broken."""
    method = draw(st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"get"]))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0", b"2.0"]))
    end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
    lines = [b"%s %s HTTP/%s" % (method, draw(PATHS), version), *draw(st.lists(LINES, max_size=4))]
    if draw(st.booleans()):
        lines.append(b"Host: x")
    return end.join(lines) + end + end + draw(st.sampled_from([b"", b"", b"GET / HTTP/1.1\r\n", b"\r\n"]))


@given(heads())
@example(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
def test_what_is_read_as_plain_means_the_same_to_the_general_parser(head: bytes) -> None:
    fuzz_http1.run(b"\0" + head)


@pytest.mark.parametrize(
    "head",
    [
        b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /a HTTP/1.0\r\n" + HOST + b"\r\n",
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /a%2e HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://x/a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST,
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nGET",
        b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: keep-alive, Upgrade\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"Range: bytes=0-1\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X: y\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X : y\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 5000 + b"\r\n\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST + b"".join(b"X%d: y\r\n" % n for n in range(40)) + b"\r\n",
    ],
)
def test_whatever_is_unusual_is_not_plain(head: bytes) -> None:
    assert PlainReader(LIMITS).read(head, 1) is None


def test_the_limits_of_the_listener_hold_for_plain_requests() -> None:
    head = b"GET /a HTTP/1.1\r\n" + HOST + b"X: y\r\n\r\n"
    assert PlainReader(HttpLimits(max_header_fields=2)).read(head, 1) is not None
    assert PlainReader(HttpLimits(max_header_fields=1)).read(head, 1) is None
    assert PlainReader(HttpLimits(max_header_bytes=len(head) - 1)).read(head, 1) is None


def test_changed_fields_are_read_afresh() -> None:
    reader = PlainReader(LIMITS)
    packed = reader.read(b"GET /a HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip\r\n\r\n", 9)
    plain = reader.read(b"GET /b?c=d HTTP/1.1\r\nHost: y\r\nAccept-Encoding: gzip;q=0\r\n\r\n", 9)
    assert packed == ("/a", b"", [(b"host", b"x"), (b"accept-encoding", b"br, gzip")], True, 9)
    assert plain == ("/b", b"c=d", [(b"host", b"y"), (b"accept-encoding", b"gzip;q=0")], False, 9)


class Channel:
    """A presentation whose every resource is there at once."""

    async def fetch(self, name: str, query: Mapping[str, str]) -> MediaResponse:
        match name:
            case "video.m3u8":
                return playlist("#EXTM3U\n" * 100 + query.get("token", ""), "no-cache")
            case "video_1.m4s":
                return media("video/mp4", (b"aaaa", b"bb"))
            case "large.m4s":
                return media("video/mp4", (b"a" * 700_000, b"b" * 700_000))
            case "later":
                raise NotReady("ask again")
            case "broken":
                raise ValueError("a bug of ours")
        raise NotFound(f"there is no {name}")


class Directory:
    def presentation(self, code: str) -> Channel | None:
        return Channel() if code in ("news", "healthz/x", "closed") else None

    def playback_policy(self, code: str) -> str | None:
        return "nobody" if code == "closed" else None


class Counted:
    """An application in front of which plain answers are counted."""

    starts_at_once = True

    def __init__(self, *, plain: bool) -> None:
        self._router = Router(self._control, MediaApp(Directory()))
        self._plain = plain
        self.plain_answers = 0

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"control"})

    def answer(self, request: PlainGet) -> PlainAnswer | None:
        answer = self._router.answer(request) if self._plain else None
        self.plain_answers += answer is not None
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)


async def _asked(app: Counted, target: str, fields: bytes) -> tuple[Answer, Answer]:
    """Twice over one connection."""
    async with serving(app) as listener, connected(listener) as client:
        answers = []
        for _ in range(2):
            client.send(b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (target.encode(), fields))
            answers.append(await client.answer())
        assert listener.statistics.requests == 2
        return answers[0], answers[1]


@pytest.mark.parametrize("fields", [b"", b"Accept-Encoding: gzip\r\n", b"Origin: https://a.example\r\n"])
@pytest.mark.parametrize(
    "target",
    [
        "/news/video.m3u8",
        "/news/video.m3u8?token=t",
        "/news/video_1.m4s",
        "/news/none",
        "/news/later",
        "/closed/video.m3u8",
        "/closed/video_1.m4s",
        "/x/y",
    ],
)
async def test_a_plain_answer_is_the_general_one(target: str, fields: bytes) -> None:
    plain, general = Counted(plain=True), Counted(plain=False)
    ours, theirs = await _asked(plain, target, fields), await _asked(general, target, fields)
    assert (plain.plain_answers, general.plain_answers) == (2, 0)
    for one, other in zip(ours, theirs, strict=True):
        assert (one.status, one.body) == (other.status, other.body)
        assert _undated(one) == _undated(other)


@pytest.mark.parametrize("name", ["video.m3u8", "video_1.m4s", "large.m4s", "video.m3u8?token=t"])
async def test_the_plain_way_refuses_what_a_policy_does(name: str) -> None:
    app = Counted(plain=True)
    for answer in await _asked(app, f"/closed/{name}", b""):
        assert (answer.status, b"PLAYBACK_DENIED" in answer.body) == (403, True)
    assert app.plain_answers == 2


def _undated(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "date"}


@pytest.mark.parametrize(
    "target", ["/healthz/x/video.m3u8", "/news/large.m4s", "/news/video.m3u8?_HLS_msn=1"]
)
async def test_control_and_what_needs_waiting_or_pieces_go_the_general_way(target: str) -> None:
    app = Counted(plain=True)
    first, second = await _asked(app, target, b"")
    assert first.status == second.status == 200
    assert first.body == second.body
    assert app.plain_answers == 0


HALF = b"GET /news/none HTTP/1.1\r\nX: "
WHOLE = b"GET /news/video_1.m4s HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_what_follows_half_a_head_belongs_to_it() -> None:
    """Also behind a request that was complete, in the same piece."""
    app = Counted(plain=True)
    async with serving(app) as listener, connected(listener) as client:
        client.send(WHOLE.replace(b"GET", b"HEAD") + HALF)
        await client.answer(head_only=True)
        client.send(WHOLE)
        assert (await client.answer()).status == 404
        client.send(WHOLE)
        assert (await client.answer()).body == b"aaaabb"
    assert app.plain_answers == 1


async def test_a_failure_is_answered_logged_and_counted_by_the_general_way() -> None:
    app = Counted(plain=True)
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"GET /news/broken HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 500
        client.send(b"GET /news/video_1.m4s HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 200
        assert listener.statistics.app_errors == 1


async def test_requests_are_counted_once_and_refused_when_too_many_run() -> None:
    app = Counted(plain=True)
    async with serving(app, max_requests_in_flight=0) as listener, connected(listener) as client:
        client.send(b"GET /news/video_1.m4s HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 503
        assert (app.plain_answers, listener.statistics.requests) == (0, 1)


async def test_behind_a_trusted_proxy_the_client_is_counted() -> None:
    app = Counted(plain=True)
    proxies = TrustedProxies(["127.0.0.1"])
    async with (
        serving(app, proxies=proxies, max_requests_in_flight_per_address=0) as listener,
        connected(listener) as client,
    ):
        client.get("/news/video_1.m4s", "X-Forwarded-For: 203.0.113.1")
        assert (await client.answer()).status == 503
        client.get("/news/video_1.m4s")
        assert (await client.answer()).status == 200
    assert app.plain_answers == 1
