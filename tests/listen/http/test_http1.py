"""HTTP/1.1 over real sockets."""

import asyncio
import json
import sys
from typing import Any

import httpx
import pytest

from openstreamer.access.proxies import TrustedProxies
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.stream.tasks import cancel_and_wait, spawn
from tests.support.http import BIG_BODY, WITHIN_S, Behaviours, connected, serving
from tests.support.waiting import until


@pytest.fixture(params=["in a task", "at once"])
async def app(request: pytest.FixtureRequest) -> Behaviours:
    """Everything holds for an application that may be begun outside a task, too."""
    return Behaviours(starts_at_once=request.param == "at once")


async def test_a_small_answer_has_length_and_date(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/small?a=1&b=%20")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"small")
        assert answer.headers["content-length"] == "5"
        assert answer.headers["date"].endswith("gmt")
        scope = app.scopes[0]
        assert scope["http_version"] == "1.1"
        assert (scope["path"], scope["query_string"]) == ("/small", b"a=1&b=%20")
        assert scope["client"] == client.writer.get_extra_info("sockname")
        assert scope["server"] == client.writer.get_extra_info("peername")


async def test_one_connection_serves_many_requests(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        for path, body in [("/small", b"small"), ("/parts", b"onetwothree"), ("/big", BIG_BODY)] * 2:
            client.get(path)
            assert (await client.answer()).body == body
        assert listener.statistics.accepted == 1
        assert listener.statistics.requests == 6


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        for path in ("/big", "/small", "/parts", "/small"):
            client.get(path)
        bodies = [(await client.answer()).body for _ in range(4)]
        assert bodies == [BIG_BODY, b"small", b"onetwothree", b"small"]
        assert app.most_running == 1


async def test_too_many_pipelined_requests_end_the_connection_after_those_accepted(app: Behaviours) -> None:
    async with serving(app, max_pipelined=2) as listener, connected(listener) as client:
        client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        await app.entered.wait()
        app.release.set()
        for _ in range(3):
            assert (await client.answer()).body == b"waited"
        assert await client.closed() == b""
        assert listener.statistics.protocol_errors == 1


async def test_head_has_the_headers_of_get_and_no_body(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await client.answer(head_only=True)
        assert answer.headers["content-length"] == str(len(BIG_BODY))
        client.send(b"HEAD /parts HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer(head_only=True)
        client.get("/small")
        assert (await client.answer()).body == b"small"


async def test_no_content_has_no_length(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/empty")
        answer = await client.answer()
        assert answer.status == 204
        assert "content-length" not in answer.headers
        assert "transfer-encoding" not in answer.headers


async def test_http_1_0_is_answered_without_chunks_and_closed(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"GET /parts HTTP/1.0\r\n\r\n")
        answer = await client.answer()
        assert "transfer-encoding" not in answer.headers
        assert answer.body == b"onetwothree"


async def test_connection_close_is_honoured(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/small", "Connection: close")
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.closed() == b""


async def test_an_absolute_target_is_read_as_its_path(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("http://other.example/small?x=1")
        assert (await client.answer()).body == b"small"
        assert app.scopes[0]["query_string"] == b"x=1"
        # RFC 9112 3.2.2: what asks who is meant must not be told by Host that it is somebody else.
        hosts = [value for name, value in app.scopes[0]["headers"] if name == b"host"]
        assert hosts == [b"other.example"]


async def test_a_percent_encoded_path_is_decoded(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/sm%61ll")
        assert (await client.answer()).body == b"small"
        assert app.scopes[0]["raw_path"] == b"/sm%61ll"


# --- request bodies ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_a_body_arrives_whole(app: Behaviours, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with serving(app) as listener, httpx.AsyncClient(base_url=f"http://{listener.bound}") as client:
        assert (await client.post("/echo", content=body)).content == body


async def test_a_chunked_body_with_trailers_arrives_whole(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"3\r\nabc\r\n4;ext=1\r\ndefg\r\n0\r\nX-Trailer: late\r\n\r\n")
        assert (await client.answer()).body == b"abcdefg"
        assert b"x-trailer" not in dict(app.scopes[0]["headers"])
        client.get("/small")
        assert (await client.answer()).body == b"small"


async def test_any_split_of_the_bytes_means_the_same(app: Behaviours) -> None:
    request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"
    async with serving(app) as listener, connected(listener) as client:
        for byte in request + b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n":
            client.send(bytes((byte,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.answer()).body == b"abcdef"
        assert (await client.answer()).body == b"small"


async def test_100_continue_is_sent_when_the_application_reads(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.answer()).status == 100
        client.send(b"ok")
        assert (await client.answer()).body == b"ok"


async def test_a_refused_body_is_not_read_and_its_answer_survives(app: Behaviours) -> None:
    """Closing a socket with unread bytes resets it, and could destroy the answer on its way."""
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"POST /reject-body HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        client.send(b"x" * 500_000)
        assert await until(lambda: listener.statistics.closed["done"] == 1)
        client.send(b"x" * 500_000)
        await client.writer.drain()
        answer = await client.answer()
        assert (answer.status, answer.body) == (413, b"too large")
        assert answer.headers["connection"] == "close"


async def test_a_body_behind_an_ignored_upgrade_is_read(app: Behaviours) -> None:
    """curl --http2 and Java clients offer h2c with every request, those with a body included."""
    async with serving(app) as listener, connected(listener) as client:
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\n" + upgrade
        client.send(head + b"Content-Length: 3\r\n\r\nabc")
        client.send(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n")
        client.send(b"GET /small HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
        client.get("/small")
        bodies = [(await client.answer()).body for _ in range(4)]
        assert bodies == [b"abc", b"de", b"small", b"small"]


async def test_a_body_that_the_application_does_not_read_is_not_buffered(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        await app.entered.wait()
        client.send(b"x" * 20_000_000)
        assert listener._service is not None
        (connection,) = listener._service.connections
        assert await until(lambda: not connection.transport.is_reading())
        assert listener.statistics.received_bytes < 1_000_000
        app.release.set()


# --- hostile and broken requests ---------------------------------------------------------------------------

BROKEN = {
    "garbage": b"\x00\x01\x02 nonsense\r\n\r\n",
    "no host": b"GET /small HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /small HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad chunk": b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "length and chunked": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "negative length": b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n",
    "space before colon": b"GET /small HTTP/1.1\r\nHost : x\r\n\r\n",
    "folded header": b"GET /small HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "not ascii": b"GET /sm\xc3\xa4ll HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT other:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown target": b"GET ftp://x/small HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_request_is_refused_and_the_connection_closed(app: Behaviours, name: str) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(BROKEN[name])
        answer = await client.answer()
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["code"] == "BAD_REQUEST"
        client.writer.write_eof()
        assert await client.closed() == b""
        assert listener.statistics.protocol_errors == 1
        assert listener.statistics.app_errors == 0


async def test_garbage_behind_a_request_does_not_cost_its_answer(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n\x00\x00garbage\r\n\r\n")
        assert (await client.answer()).body == b"small"
        assert await client.closed() == b""


@pytest.mark.parametrize("finished", [True, False])
async def test_an_oversized_head_is_answered_431(app: Behaviours, finished: bool) -> None:
    async with serving(app, max_header_bytes=4096) as listener, connected(listener) as client:
        client.send(b"GET /small HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 5000)
        client.send(b"\r\n\r\n" if finished else b"")
        answer = await client.answer()
        assert answer.status == 431
        assert json.loads(answer.body)["error"]["code"] == "HEADERS_TOO_LARGE"
        assert not app.scopes


async def test_too_many_header_fields_are_answered_431(app: Behaviours) -> None:
    async with serving(app, max_header_fields=20) as listener, connected(listener) as client:
        client.send(b"GET /small HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 20 + b"\r\n")
        assert (await client.answer()).status == 431
        assert not app.scopes


ENDLESS = {
    "trailers": (b"0\r\n", b"a: b\r\n" * 1000),
    "a trailer's name": (b"0\r\n", b"a" * 6000),
    "a chunk's extension": (b"1;", b"a" * 6000),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_what_follows_a_head_and_is_no_body_is_bounded_too(app: Behaviours, name: str) -> None:
    begin, more = ENDLESS[name]
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"GET /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + begin)
        await app.entered.wait()
        for _ in range(20):
            client.send(more)
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert listener.statistics.protocol_errors == 1


async def test_a_body_in_crumbs_takes_no_more_memory_than_one_in_bulk(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.send(b"POST /wait HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        await app.entered.wait()
        assert listener._service is not None
        (connection,) = listener._service.connections
        exchange = connection._exchange
        client.send(b"2\r\nab\r\n" * 5000)
        assert await until(lambda: exchange.buffered_bytes == 10_000)
        assert sys.getsizeof(exchange._body) < 20_000
        app.release.set()


async def test_a_large_body_in_one_piece_with_its_head_is_no_oversized_head(app: Behaviours) -> None:
    body = b"b" * 20_000
    async with serving(app, max_header_bytes=4096) as listener, connected(listener) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + body)
        assert (await client.answer()).body == body


async def test_a_slow_head_is_cut_off_at_its_deadline_however_it_trickles(app: Behaviours) -> None:
    async with serving(app, header_deadline_s=0.3) as listener, connected(listener) as client:
        client.send(b"GET /small HTTP/1.1\r\nHost: x\r\nX: ")

        async def trickle() -> None:
            while True:
                client.send(b"y")
                await asyncio.sleep(0.02)

        trickling = spawn(trickle(), name="trickle")
        assert await client.closed() == b""
        await cancel_and_wait([trickling])
        assert listener.statistics.closed["no complete request head"] == 1


async def test_a_client_that_says_nothing_is_cut_off(app: Behaviours) -> None:
    async with serving(app, header_deadline_s=0.1) as listener, connected(listener) as client:
        assert await client.closed() == b""
        assert listener.statistics.closed["no complete request head"] == 1


async def test_an_idle_connection_is_closed(app: Behaviours) -> None:
    async with serving(app, idle_timeout_s=0.1) as listener, connected(listener) as client:
        client.get("/small")
        await client.answer()
        assert await client.closed() == b""
        assert listener.statistics.closed["idle"] == 1


async def test_a_running_request_outlives_the_idle_and_head_deadlines(app: Behaviours) -> None:
    async with (
        serving(app, idle_timeout_s=0.5, header_deadline_s=0.5) as listener,
        connected(listener) as client,
    ):
        client.get("/wait")
        await app.entered.wait()
        async with connected(listener) as silent:
            assert await silent.closed() == b""  # the deadlines have passed, and are enforced
        app.release.set()
        assert (await client.answer()).body == b"waited"


async def test_a_body_that_stops_arriving_is_cut_off(app: Behaviours) -> None:
    async with serving(app, body_deadline_s=0.1) as listener, connected(listener) as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert await client.closed() == b""
        assert listener.statistics.closed["no request body"] == 1
        assert await until(lambda: listener.statistics.requests_in_flight == 0)


async def test_a_client_that_does_not_read_is_cut_off(app: Behaviours) -> None:
    async with serving(app, write_deadline_s=0.2) as listener, connected(listener, limit=1024) as client:
        client.get("/endless")
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert listener.statistics.closed["slow client"] == 1
        assert await until(lambda: listener.statistics.open_connections == 0)


# --- the application fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/fail", "/silent", "/split-header"])
async def test_a_failing_application_is_a_500_that_tells_no_details(app: Behaviours, path: str) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get(path)
        answer = await client.answer()
        assert answer.status == 500
        assert json.loads(answer.body)["error"]["code"] == "INTERNAL_ERROR"
        assert b"secret" not in answer.body
        assert "x-injected" not in answer.headers
        client.get("/small")
        assert (await client.answer()).body == b"small"
        assert listener.statistics.app_errors == 1


@pytest.mark.parametrize("path", ["/fail-late", "/short"])
async def test_an_answer_that_breaks_off_is_seen_as_broken(app: Behaviours, path: str) -> None:
    async with serving(app) as listener, httpx.AsyncClient(base_url=f"http://{listener.bound}") as client:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.get(path)
        assert listener.statistics.app_errors == 1


# --- the client leaves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/wait", "/watch"])
async def test_a_client_that_leaves_frees_its_waiting_request(app: Behaviours, path: str) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get(path)
        await app.entered.wait()
        client.writer.close()
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert await until(lambda: listener.statistics.requests_in_flight == 0)
        assert listener.statistics.app_errors == 0


async def test_a_request_that_waits_for_nothing_costs_no_task() -> None:
    tasks: list[asyncio.Task[None] | None] = []

    class App(Behaviours):
        async def on_small(self, scope: Any, receive: Any, send: Any) -> None:
            tasks.append(asyncio.current_task())
            await super().on_small(scope, receive, send)
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())

    async with serving(App(starts_at_once=True)) as listener, connected(listener) as client:
        client.get("/small")
        assert (await client.answer()).body == b"small"
        assert await until(lambda: len(tasks) == 2)
        assert tasks[0] is None
        assert tasks[1] is not None


async def test_a_client_that_leaves_in_the_body_is_no_error(app: Behaviours) -> None:
    async with serving(app) as listener:
        async with connected(listener, limit=1024) as client:
            client.get("/big")
            await client.reader.readexactly(1000)
            client.writer.transport.abort()
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert await until(lambda: listener.statistics.open_connections == 0)
        assert listener.statistics.app_errors == 0


async def test_more_requests_than_allowed_are_answered_503(app: Behaviours) -> None:
    async with (
        serving(app, max_requests_in_flight=1) as listener,
        connected(listener) as first,
        connected(listener) as second,
    ):
        first.get("/wait")
        await app.entered.wait()
        second.get("/small")
        answer = await second.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        app.release.set()
        assert (await first.answer()).body == b"waited"
        second.get("/small")
        assert (await second.answer()).status == 200


async def test_one_address_cannot_take_all_requests_there_may_be(app: Behaviours) -> None:
    limits = {"max_requests_in_flight": 9, "max_requests_in_flight_per_address": 1}
    async with (
        serving(app, **limits) as listener,
        connected(listener) as first,
        connected(listener) as second,
        connected(listener, local_addr=("127.0.0.2", 0)) as other,
    ):
        first.get("/wait")
        await app.entered.wait()
        second.get("/small")
        assert (await second.answer()).status == 503
        other.get("/small")
        assert (await other.answer()).status == 200
        app.release.set()
        await first.answer()
        second.get("/small")
        assert (await second.answer()).status == 200


async def test_behind_a_trusted_proxy_its_clients_are_counted(app: Behaviours) -> None:
    proxies = TrustedProxies(["127.0.0.0/8"])
    async with (
        serving(app, proxies=proxies, max_requests_in_flight_per_address=1) as listener,
        connected(listener) as first,
        connected(listener) as second,
    ):
        first.get("/wait", "X-Forwarded-For: 203.0.113.1")
        await app.entered.wait()
        second.get("/small", "X-Forwarded-For: 198.51.100.9, 203.0.113.1")
        answer = await second.answer()
        assert answer.status == 503
        assert b"1 requests of this address are running" in answer.body
        for told in (("X-Forwarded-For: 203.0.113.2",), ("X-Forwarded-For: 203.0.113.1, 203.0.113.2",), ()):
            second.get("/small", *told)
            assert (await second.answer()).status == 200
        app.release.set()
        await first.answer()


async def test_what_others_claim_to_forward_for_is_not_counted(app: Behaviours) -> None:
    async with (
        serving(app, max_requests_in_flight_per_address=1) as listener,
        connected(listener) as first,
        connected(listener) as second,
    ):
        first.get("/wait", "X-Forwarded-For: 203.0.113.1")
        await app.entered.wait()
        second.get("/small", "X-Forwarded-For: 203.0.113.2")
        assert (await second.answer()).status == 503
        app.release.set()
        await first.answer()


def test_the_sweep_is_finer_than_the_shortest_deadline() -> None:
    assert HttpLimits(write_deadline_s=0.8).sweep_interval_s() == pytest.approx(0.1)
    assert HttpLimits().sweep_interval_s() == 1.0
