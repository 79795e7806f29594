"""Accepting, refusing, moving and closing."""

import asyncio
import contextlib
import errno
import json
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from openstreamer.access.proxies import TrustedProxies
from openstreamer.listen.http.listener import HttpListener
from openstreamer.listen.http.tls import tls_context
from openstreamer.listen.sockets import listening_socket
from openstreamer.media.errors import ConfigError
from tests.support.http import WITHIN_S, Behaviours, connected, curl, serving
from tests.support.waiting import until


async def test_port_0_is_shown_as_bound(app: Behaviours) -> None:
    async with serving(app) as listener:
        assert listener.bound.startswith("127.0.0.1:")
        assert not listener.bound.endswith(":0")


async def test_ipv6_is_bound_and_shown_in_brackets(app: Behaviours) -> None:
    async with HttpListener(app, "::1", 0) as listener:
        assert listener.bound.startswith("[::1]:")
        assert await curl(f"http://{listener.bound}/small") == (0, b"small")


async def test_an_empty_host_serves_both_families_and_shows_ipv4_clients_as_such(app: Behaviours) -> None:
    async with HttpListener(app, "", 0) as listener:
        port = listener.bound.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            assert await curl(f"http://{host}:{port}/small") == (0, b"small")
        assert [scope["client"][0] for scope in app.scopes] == ["127.0.0.1", "::1"]


async def test_a_taken_port_is_a_clear_error(app: Behaviours) -> None:
    async with serving(app) as listener:
        host, _, port = listener.bound.rpartition(":")
        with pytest.raises(ConfigError, match=f"cannot listen on {listener.bound}: address already in use"):
            async with HttpListener(app, host, int(port)):
                pass


def test_an_unknown_host_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on no-such-host\.invalid:80: "):
        listening_socket("no-such-host.invalid", 80)


async def test_more_connections_of_one_address_than_allowed_are_turned_away(app: Behaviours) -> None:
    async with (
        serving(app, max_connections_per_address=2) as listener,
        connected(listener) as first,
        connected(listener) as second,
    ):
        for client in (first, second):
            client.get("/small")
            assert (await client.answer()).status == 200
        async with connected(listener) as third:
            third.get("/small")
            with contextlib.suppress(ConnectionError):  # a reset may overtake the answer
                assert (await third.reader.read(12)) in (b"HTTP/1.1 503", b"")
        assert listener.statistics.refused["too many connections of one address"] == 1
        first.writer.close()
        assert await until(lambda: listener.statistics.open_connections == 1)
        async with connected(listener) as fourth:
            fourth.get("/small")
            assert (await fourth.answer()).status == 200
            async with connected(listener) as fifth:
                turned_away = await fifth.answer()
                assert turned_away.status == 503
                assert b"of one address: 2 are open" in turned_away.body
                assert json.loads(turned_away.body)["error"]["code"] == "TOO_MANY_CONNECTIONS"


def accept_from(listener: HttpListener, *addresses: str) -> None:
    """Connections as if they had come from ``addresses``, whose clients have left already."""
    assert listener._acceptor is not None
    with socket.create_server(("127.0.0.1", 0)) as server:
        for address in addresses:
            with socket.create_connection(server.getsockname()):
                listener._acceptor._admit(server.accept()[0], (address, 1))


async def test_addresses_of_one_ipv6_host_count_as_one(app: Behaviours) -> None:
    async with serving(app, max_connections_per_address=1) as listener:
        accept_from(listener, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
        assert listener.statistics.accepted == 2
        assert listener.statistics.refused["too many connections of one address"] == 1


async def test_a_trusted_proxy_is_bounded_by_the_total_only(app: Behaviours) -> None:
    proxies = TrustedProxies(["192.0.2.0/24"])
    async with serving(app, proxies=proxies, max_connections=5, max_connections_per_address=1) as listener:
        accept_from(listener, "192.0.2.1", "192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.1")
        assert listener.statistics.accepted == 4
        assert listener.statistics.refused == {"too many connections of one address": 1}
        proxies.use(())  # what is open is given back as it was counted
        accept_from(listener, "192.0.2.1", "192.0.2.9")
        assert listener.statistics.accepted == 5
        assert listener.statistics.refused["too many connections"] == 1
        assert await until(lambda: listener.statistics.open_connections == 0)
        accept_from(listener, "192.0.2.1", "192.0.2.1")
        assert listener.statistics.refused["too many connections of one address"] == 2


@pytest.mark.parametrize("turns", range(6))
async def test_closing_in_the_moment_of_an_accept_leaves_nothing_open(app: Behaviours, turns: int) -> None:
    async with serving(app) as listener:
        accept_from(listener, "127.0.0.1")
        for _ in range(turns):  # of the event loop: a connection takes several to open
            await asyncio.sleep(0)
        async with asyncio.timeout(WITHIN_S):
            await listener.close(0)
        assert listener.statistics.open_connections == 0


async def test_more_connections_than_allowed_are_turned_away(app: Behaviours) -> None:
    async with serving(app, max_connections=1) as listener, connected(listener) as first:
        first.get("/small")
        await first.answer()
        async with connected(listener) as second:
            turned_away = await second.answer()
            assert turned_away.status == 503
            assert b"too many connections: 1 are open" in turned_away.body
            assert await second.closed() == b""
        assert listener.statistics.refused["too many connections"] == 1


async def test_a_connection_can_be_cut_by_its_client_address(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client, connected(listener) as other:
        for one in (client, other):
            one.get("/small")
            await one.answer()
        assert listener.disconnect(app.scopes[0]["client"])
        assert await client.closed() == b""
        assert not listener.disconnect(app.scopes[0]["client"])
        other.get("/small")
        assert (await other.answer()).status == 200


async def test_moving_keeps_open_connections_and_serves_the_new_address(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as client:
        client.get("/small")
        await client.answer()
        old = listener.bound
        listener.rebind("127.0.0.1", 0)
        assert listener.bound != old
        assert await curl(f"http://{listener.bound}/small") == (0, b"small")
        assert (await curl(f"http://{old}/small"))[0] == 7  # could not connect
        client.get("/small")
        assert (await client.answer()).body == b"small"


async def test_moving_to_another_host_on_the_same_port(app: Behaviours) -> None:
    async with serving(app) as listener:
        port = int(listener.bound.rpartition(":")[2])
        listener.rebind("0.0.0.0", port)
        assert listener.bound == f"0.0.0.0:{port}"
        assert await curl(f"http://127.0.0.1:{port}/small") == (0, b"small")


async def test_a_move_that_fails_changes_nothing(app: Behaviours) -> None:
    async with serving(app) as listener, serving(app) as other:
        old = listener.bound
        with pytest.raises(ConfigError):
            listener.rebind("127.0.0.1", int(other.bound.rpartition(":")[2]))
        assert listener.bound == old
        assert await curl(f"http://{old}/small") == (0, b"small")


async def test_closing_lets_a_running_request_finish_and_ends_idle_connections(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as busy, connected(listener) as idle:
        busy.get("/wait")
        idle.get("/small")
        await idle.answer()
        await app.entered.wait()
        async with asyncio.TaskGroup() as group:
            closing = group.create_task(listener.close(drain_s=WITHIN_S))
            assert await idle.closed() == b""
            assert not closing.done()
            app.release.set()
            answer = await busy.answer()
            assert (answer.body, answer.headers["connection"]) == (b"waited", "close")
        assert listener.statistics.open_connections == 0
        assert listener.statistics.requests_in_flight == 0


async def test_closing_cuts_what_does_not_finish(app: Behaviours) -> None:
    async with serving(app) as listener, connected(listener) as waiting, connected(listener) as stalled:
        waiting.get("/wait")
        stalled.get("/endless")
        await app.entered.wait()
        async with asyncio.timeout(WITHIN_S):
            await listener.close(drain_s=0.05)
        assert listener.statistics.open_connections == 0
        assert app.running == 0
        assert await waiting.closed() == b""


async def test_closing_twice_and_leaving_the_context_is_harmless(app: Behaviours) -> None:
    async with serving(app) as listener:
        await listener.close(0)
        await listener.close(0)


async def test_running_out_of_file_descriptors_is_survived(
    app: Behaviours, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.socket.accept
    failures = 2

    def accept(self: socket.socket) -> tuple[socket.socket, object]:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    monkeypatch.setattr("openstreamer.listen.http.accept.RETRY_ACCEPT_S", 0.01)
    async with serving(app) as listener:
        assert await curl(f"http://{listener.bound}/small") == (0, b"small")
        assert listener.statistics.refused["out of resources"] == 2


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    return tls_context(*certificate)


async def test_alpn_chooses_http_2_or_http_1(
    app: Behaviours, context: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    ca = ("--cacert", str(certificate[0]))
    async with serving(app, tls=context) as listener:
        url = f"https://localhost:{listener.bound.rpartition(':')[2]}"
        for option, version in (("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")):
            assert await curl(*ca, option, f"{url}/small") == (0, b"small")
            assert app.scopes[-1]["http_version"] == version
            assert app.scopes[-1]["scheme"] == "https"
            assert len((await curl(*ca, option, f"{url}/big"))[1]) == 750_000
            body = b"b" * 200_000
            assert (await curl(*ca, option, "--data-binary", "@-", f"{url}/echo", stdin=body))[1] == body


async def test_httpx_over_tls(
    app: Behaviours, context: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    async with serving(app, tls=context) as listener:
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        async with httpx.AsyncClient(verify=trust, base_url=f"https://{listener.bound}") as client:
            for _ in range(3):
                assert len((await client.get("/big")).content) == 750_000
        assert listener.statistics.accepted == 1


async def test_clear_text_on_a_tls_port_is_a_counted_error(app: Behaviours, context: ssl.SSLContext) -> None:
    async with serving(app, tls=context) as listener, connected(listener) as client:
        client.get("/small")
        await client.closed()
        assert await until(lambda: listener.statistics.open_connections == 0)
        assert listener.statistics.protocol_errors == 1


async def test_a_handshake_that_does_not_come_is_cut_off(app: Behaviours, context: ssl.SSLContext) -> None:
    async with serving(app, tls=context, header_deadline_s=0.1) as listener, connected(listener) as client:
        await client.closed()
        assert await until(lambda: listener.statistics.open_connections == 0)


async def test_pending_handshakes_count_as_connections(app: Behaviours, context: ssl.SSLContext) -> None:
    async with (
        serving(app, tls=context, max_connections=1) as listener,
        connected(listener),
        connected(listener) as second,
    ):
        assert await second.closed() == b""
        assert listener.statistics.refused["too many connections"] == 1


async def test_closing_gives_up_pending_handshakes(app: Behaviours, context: ssl.SSLContext) -> None:
    limits = {"header_deadline_s": 10 * WITHIN_S}
    async with serving(app, tls=context, **limits) as listener, connected(listener) as client:
        assert await until(lambda: listener.statistics.open_connections == 1)
        async with asyncio.timeout(WITHIN_S):
            await listener.close(0)
        await client.closed()
        assert listener.statistics.open_connections == 0


async def test_a_renewed_certificate_serves_new_connections(
    app: Behaviours, context: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    async with serving(app) as listener:
        assert await curl(f"http://{listener.bound}/small") == (0, b"small")
        listener.use_tls(context)
        url = f"https://localhost:{listener.bound.rpartition(':')[2]}/small"
        assert await curl("--cacert", str(certificate[0]), url) == (0, b"small")


async def test_a_slow_tls_client_is_cut_off(
    app: Behaviours, context: ssl.SSLContext, certificate: tuple[Path, Path]
) -> None:
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    async with (
        serving(app, tls=context, write_deadline_s=0.2) as listener,
        connected(listener, ssl=trust, server_hostname="localhost", limit=1024) as client,
    ):
        client.get("/endless")
        async with asyncio.timeout(WITHIN_S):
            await app.gone.wait()
        assert listener.statistics.closed["slow client"] == 1
