"""HTTP/2 over real sockets, with the h2 library and curl as clients."""

import asyncio
import json
import math

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from openstreamer.access.proxies import TrustedProxies
from tests.support.http import BIG_BODY, WITHIN_S, Behaviours, curl, serving
from tests.support.http2 import connected2
from tests.support.waiting import until


async def test_curl_with_prior_knowledge(app: Behaviours) -> None:
    async with serving(app) as listener:
        url = f"http://{listener.bound}"
        for path, body in (("/small", b"small"), ("/big", BIG_BODY), ("/parts", b"onetwothree")):
            assert await curl("--http2-prior-knowledge", url + path) == (0, body)
        data = b"z" * 300_000
        assert await curl("--http2-prior-knowledge", "--data-binary", "@-", f"{url}/echo", stdin=data) == (
            0,
            data,
        )
        _, version = await curl(
            "--http2-prior-knowledge", "-I", "-o", "/dev/null", "-w", "%{http_version}", url + "/big"
        )
        assert version == b"2"


async def test_a_request_becomes_the_same_scope_as_over_http_1(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        stream = client.request(
            "/small?a=%20b", headers=[("x-one", "1"), ("cookie", "a=1"), ("cookie", "b=2")]
        )
        answer = await client.answer(stream)
        assert answer.headers[":status"] == "200"
        assert answer.headers["content-length"] == "5"
        assert answer.headers["date"].endswith("GMT")
        assert answer.body == b"small"
        scope = app.scopes[0]
        assert (scope["http_version"], scope["scheme"]) == ("2", "http")
        assert (scope["path"], scope["query_string"]) == ("/small", b"a=%20b")
        assert scope["headers"] == [(b"host", b"test"), (b"x-one", b"1"), (b"cookie", b"a=1; b=2")]


async def test_streams_are_served_at_the_same_time(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        waiting = [client.request("/wait") for _ in range(20)]
        small = client.request("/small")
        assert (await client.answer(small)).body == b"small"
        assert not any(client.answers[stream].done for stream in waiting)
        app.release.set()
        for stream in waiting:
            assert (await client.answer(stream)).body == b"waited"


async def test_a_big_body_waits_for_the_windows_of_its_stream_and_goes_on(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        client.credit = False
        big = client.request("/big")
        assert await until(lambda: listener.statistics.sent_bytes > 65_535)
        while len(client.answers[big].body) < 65_535:
            await client.pump()
        assert not client.answers[big].done
        client.credit = True
        client.h2.acknowledge_received_data(65_535, big)
        client.flush()
        answer = await client.answer(big)
        assert bytes(answer.body) == BIG_BODY


async def test_a_stalled_stream_does_not_stall_the_others(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        client.h2.increment_flow_control_window(10_000_000)
        client.credit = False
        stalled = client.request("/big")
        while len(client.answers[stalled].body) < 65_535:
            await client.pump()
        assert (await client.answer(client.request("/small"))).body == b"small"


async def test_windows_of_one_byte_are_honoured(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1})
        client.flush()
        await client.pump()
        assert bytes((await client.answer(client.request("/small"))).body) == b"small"


async def test_head_and_no_content_end_with_their_headers(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        head = await client.answer(client.request("/big", method="HEAD"))
        assert (head.headers["content-length"], bytes(head.body)) == (str(len(BIG_BODY)), b"")
        empty = await client.answer(client.request("/empty"))
        assert empty.headers[":status"] == "204"
        assert "content-length" not in empty.headers


@pytest.mark.parametrize("size", [0, 10, 60_000])
async def test_a_body_arrives_whole(app: Behaviours, size: int) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        body = b"q" * size
        for _ in range(40):  # more than the connection's window in all
            answer = await client.post("/echo", body)
            assert bytes(answer.body) == body


async def test_unread_bodies_do_not_use_up_the_window_of_the_connection(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        for _ in range(40):
            answer = await client.post("/reject-body", b"x" * 60_000)
            assert answer.headers[":status"] == "413"
        assert bytes((await client.post("/echo", b"ok")).body) == b"ok"


async def test_an_answer_before_the_end_of_the_request_stops_the_upload(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        stream = client.request("/reject-body", method="POST", end_stream=False)
        answer = await client.answer(stream)
        assert bytes(answer.body) == b"too large"
        while answer.reset is None:
            await client.pump()
        assert answer.reset == ErrorCodes.NO_ERROR


async def test_more_streams_than_announced_are_refused(app: Behaviours) -> None:
    async with serving(app, max_concurrent_streams=3) as listener, connected2(listener) as client:
        waiting = [client.request("/wait") for _ in range(3)]
        refused = await client.answer(client.request("/small"))
        assert refused.reset == ErrorCodes.REFUSED_STREAM
        app.release.set()
        for stream in waiting:
            assert (await client.answer(stream)).body == b"waited"
        assert (await client.answer(client.request("/small"))).body == b"small"


@pytest.mark.parametrize("path", ["/wait", "/watch"])
async def test_a_reset_stream_frees_its_request(app: Behaviours, path: str) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        stream = client.request(path)
        await app.entered.wait()
        client.h2.reset_stream(stream)
        client.flush()
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert (await client.answer(client.request("/small"))).body == b"small"


async def test_behind_a_trusted_proxy_its_clients_are_counted(app: Behaviours) -> None:
    proxies = TrustedProxies(["127.0.0.1"])
    async with serving(app, proxies=proxies, max_requests_in_flight_per_address=0) as listener:
        url = f"http://{listener.bound}/small"
        told = ("-H", "X-Forwarded-For: 203.0.113.1")
        _, body = await curl("--http2-prior-knowledge", *told, url)
        assert json.loads(body)["error"]["code"] == "OVERLOADED"
        assert await curl("--http2-prior-knowledge", url) == (0, b"small")


async def test_a_client_that_leaves_frees_all_its_requests(app: Behaviours) -> None:
    async with serving(app) as listener:
        async with connected2(listener) as client:
            for _ in range(5):
                client.request("/wait")
            assert await until(lambda: listener.statistics.requests_in_flight == 5)
        assert await until(lambda: listener.statistics.requests_in_flight == 0)
        assert listener.statistics.app_errors == 0


async def test_rapid_reset_is_cut_off(app: Behaviours) -> None:
    """CVE-2023-44487."""
    async with serving(app) as listener, connected2(listener) as client:
        for _ in range(300):
            stream = client.request("/wait")
            client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        client.flush()
        await client.until_closed()
        assert client.goaway is not None
        assert client.goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM
        assert len(app.scopes) < 200


async def test_requests_that_were_reset_count_until_their_application_returns(app: Behaviours) -> None:
    async with serving(app, max_concurrent_streams=2) as listener, connected2(listener) as client:
        for _ in range(2):
            client.h2.reset_stream(client.request("/stubborn"))
        client.flush()
        assert (await client.answer(client.request("/small"))).reset == ErrorCodes.REFUSED_STREAM
        app.release.set()
        assert await until(lambda: listener.statistics.requests_in_flight == 0)
        assert (await client.answer(client.request("/small"))).body == b"small"


async def test_a_client_with_open_windows_that_does_not_read_is_buffered_within_bounds(
    app: Behaviours,
) -> None:
    async with serving(app, write_deadline_s=0.3) as listener, connected2(listener) as client:
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 65_536)
        for _ in range(3):
            client.request("/endless")
        assert listener._service is not None
        service = listener._service
        assert await until(lambda: any(connection.paused for connection in service.connections))
        (connection,) = service.connections
        assert connection.transport.get_write_buffer_size() < 500_000
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert listener.statistics.closed["slow client"] == 1


async def test_a_ping_flood_is_cut_off(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        for n in range(5000):
            client.h2.ping(n.to_bytes(8, "big"))
        client.flush()
        await client.until_closed()
        assert client.goaway is not None
        assert client.goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM
        assert listener.statistics.protocol_errors == 1


async def test_a_flood_of_windows_wakes_each_waiting_request_once(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        client.credit = False
        big = client.request("/big")
        while len(client.answers[big].body) < 65_535:
            await client.pump()
        assert listener._service is not None
        (connection,) = listener._service.connections
        (exchange,) = connection._exchanges.values()
        wakes = []
        exchange.window_opened = lambda: wakes.append(True)
        connection.data_received((b"\0\0\x04\x08" + bytes(5) + b"\0\0\x01\0") * 1000)
        assert wakes == [True]


async def test_a_client_with_small_windows_that_takes_what_comes_is_not_slow(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        client.h2.increment_flow_control_window(10_000_000)
        client.credit = False
        big = client.request("/big")
        assert listener._service is not None
        service = listener._service
        deadlines = []
        for taken in range(1, 5):
            while len(client.answers[big].body) < taken * 65_535:
                await client.pump()
            (connection,) = service.connections
            exchange = connection._exchanges[big]
            assert await until(lambda exchange=exchange: exchange._window and not exchange._window.is_set())
            deadlines.append(exchange.window_deadline_s)
            client.h2.acknowledge_received_data(65_535, big)
            client.flush()
        assert deadlines[0] < deadlines[-1] < math.inf


async def test_a_failing_application_is_a_500(app: Behaviours) -> None:
    async with serving(app) as listener, connected2(listener) as client:
        for path in ("/fail", "/silent", "/split-header"):
            answer = await client.answer(client.request(path))
            assert answer.headers[":status"] == "500"
            assert json.loads(answer.body)["error"]["code"] == "INTERNAL_ERROR"
            assert "x-injected" not in answer.headers
        late = await client.answer(client.request("/fail-late"))
        assert late.reset == ErrorCodes.INTERNAL_ERROR
        assert (await client.answer(client.request("/small"))).body == b"small"


async def test_a_stream_that_opens_no_window_is_cut_off_and_the_others_live(
    app: Behaviours,
) -> None:
    async with serving(app, write_deadline_s=0.2) as listener, connected2(listener) as client:
        client.h2.increment_flow_control_window(10_000_000)
        client.credit = False
        stalled = await client.answer(client.request("/big"))
        assert stalled.reset == ErrorCodes.CANCEL
        assert await until(lambda: listener.statistics.requests_in_flight == 0)
        assert (await client.answer(client.request("/small"))).body == b"small"


async def test_an_idle_connection_gets_goaway_and_is_closed(app: Behaviours) -> None:
    async with serving(app, idle_timeout_s=0.1) as listener, connected2(listener) as client:
        await client.answer(client.request("/small"))
        await client.until_closed()
        assert client.goaway is not None
        assert client.goaway.error_code == ErrorCodes.NO_ERROR


async def test_a_client_that_sends_no_request_is_closed(app: Behaviours) -> None:
    async with serving(app, header_deadline_s=0.1) as listener, connected2(listener) as client:
        await client.until_closed()


async def test_closing_lets_a_running_request_finish(app: Behaviours) -> None:
    async with serving(app) as listener, asyncio.TaskGroup() as group:
        waiting = group.create_task(curl("--http2-prior-knowledge", f"http://{listener.bound}/wait"))
        await app.entered.wait()
        closing = group.create_task(listener.close(drain_s=WITHIN_S))
        assert await until(lambda: listener._acceptor is None)
        app.release.set()
        assert await waiting == (0, b"waited")
        await closing
        assert listener.statistics.open_connections == 0
