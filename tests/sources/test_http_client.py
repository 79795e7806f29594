"""The HTTP client of the sources, against a server that is well and against hostile ones."""

import asyncio
import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from openstreamer.access.egress import EgressGuard
from openstreamer.config.models import Input
from openstreamer.media.errors import SourceError, SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.sources.held_back import HELD_BACK_BYTES
from openstreamer.sources.http_client import HttpClient, HttpOptions, HttpResponse, input_url
from openstreamer.sources.http_connection import MOST_QUEUED_BYTES, PIECE_BYTES
from openstreamer.sources.outbound import Address, Outbound
from tests.contract.leftovers import nothing_left_behind
from tests.support.certificates import make_certificate
from tests.support.http_peer import HttpPeer, Peer, Script, http_peer
from tests.support.waiting import until

SHORT_S = 0.3  # a deadline that a test waits for
ENOUGH_BYTES = 1 << 20


def outbound(*, private: bool = True) -> Outbound:
    return Outbound(EgressGuard(lambda: private))


def client_for(peer: HttpPeer, url: str = "", *, timeout_s: float = 10, **said: object) -> HttpClient:
    chosen = Input.model_validate({"url": url or peer.url(), "net": {"timeout_sec": timeout_s}, **said})
    return HttpClient(outbound(), HttpOptions.of(chosen))


@asynccontextmanager
async def answered(
    script: Script, *, timeout_s: float = 10, compressed: bool = False
) -> AsyncIterator[HttpResponse]:
    async with (
        http_peer(script) as peer,
        client_for(peer, timeout_s=timeout_s) as client,
        client.get(peer.url(), compressed=compressed) as response,
    ):
        yield response


async def error_of(script: Script, *, timeout_s: float = 10) -> SourceError:
    """What reading a whole answer of ``script`` raises."""
    try:
        async with answered(script, timeout_s=timeout_s) as response:
            response.require_success()
            while await response.chunk():
                pass
    except SourceError as err:
        return err
    raise AssertionError("nothing was raised")


# ---------------------------------------------------------------------- requests


async def test_the_query_is_sent_as_written_and_params_are_added() -> None:
    chosen = Input.model_validate(
        {"url": "http://user:pw@host/a%2Fb/x.ts?sig=a+b%2F&flag#part", "params": {"token": "a b"}}
    )
    assert input_url(chosen) == "http://user:pw@host/a%2Fb/x.ts?sig=a+b%2F&flag&token=a+b"


@pytest.mark.parametrize("name", ["pp", "type"])
async def test_no_value_of_the_params_is_said_whatever_its_name(name: str) -> None:
    async with http_peer(lambda peer: peer.respond("403 Forbidden")) as peer:
        chosen = Input.model_validate({"url": peer.url("/x?a=1"), "params": {name: "hunter22"}})
        client = HttpClient(outbound(), HttpOptions.of(chosen))
        async with client, client.get(input_url(chosen)) as response:
            assert "hunter22" not in repr(response)
            with pytest.raises(SourceRejected, match="403") as refused:
                response.require_success()
    assert "hunter22" in peer.requests[0].target
    assert "hunter22" not in str(refused.value)


async def test_headers_user_agent_host_and_credentials_are_sent() -> None:
    async with http_peer(Peer.respond) as peer:
        url = peer.url("/x", user="me:p%40ss")
        client = client_for(peer, url, headers={"X-Key": "1"})
        async with client, client.get(peer.url("/x y", user="me:p%40ss")):
            pass
    sent = peer.requests[0]
    assert sent.target == "/x%20y"
    assert sent.headers["host"] == f"127.0.0.1:{peer.port}"
    assert sent.headers["user-agent"].startswith("openstreamer/")
    assert sent.headers["x-key"] == "1"
    assert sent.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert sent.headers["accept-encoding"] == "identity"


async def test_framing_headers_of_an_input_are_not_sent() -> None:
    async with http_peer(Peer.respond) as peer:
        client = client_for(peer, headers={"Content-Length": "5", "User-Agent": "mine"})
        async with client, client.get(peer.url()):
            pass
    assert "content-length" not in peer.requests[0].headers
    assert peer.requests[0].headers["user-agent"] == "mine"


async def test_connections_are_used_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(body=b"x")

    async with http_peer(script) as peer, client_for(peer) as client:
        for _ in range(3):
            async with client.get(peer.url()) as response:
                assert await response.read(10) == b"x"
    assert peer.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_replaced() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(body=b"x")
        peer.cut()

    async with http_peer(script) as peer, client_for(peer) as client:
        for _ in range(3):
            async with client.get(peer.url()) as response:
                assert await response.read(10) == b"x"
    assert len(peer.requests) == 3


async def test_a_body_that_was_not_read_costs_its_connection() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")

    async with http_peer(script) as peer, client_for(peer) as client:
        for _ in range(2):
            async with client.get(peer.url()):
                pass
    assert peer.connections == 2


# ---------------------------------------------------------------------- bodies


async def test_chunked_bodies_with_interim_responses() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: a\r\nX: b\r\n\r\n3\r\nabc\r\n")
        await peer.send(b"2;ext=1\r\nde\r\n0\r\nTrailer: 1\r\n\r\n")

    async with answered(script) as response:
        assert response.headers["x"] == "a, b"
        assert "link" not in response.headers
        assert await response.read(100) == b"abcde"
        assert response.complete


async def test_chunks_of_two_bytes_become_few_pieces() -> None:
    body = bytes(range(256)) * 512

    async def script(peer: Peer) -> None:
        chunks = b"".join(b"2\r\n%b\r\n" % body[at : at + 2] for at in range(0, len(body), 2))
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")

    pieces = []
    async with answered(script) as response:
        while piece := await response.chunk():
            pieces.append(piece)
    assert b"".join(pieces) == body
    assert len(pieces) < 1000


async def test_a_body_that_ends_with_the_connection_is_not_said_to_be_complete() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
        peer.writer.close()

    async with answered(script) as response:
        assert await response.read(100) == b"abc"
        assert not response.complete


@pytest.mark.parametrize(
    "head", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"]
)
async def test_a_cut_body_is_unreachable(head: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n" + head)
        peer.writer.close()

    assert isinstance(await error_of(script), SourceUnreachable)


async def test_pieces_are_bounded_and_nothing_is_lost() -> None:
    body = bytes(range(256)) * 8192

    async def script(peer: Peer) -> None:
        await peer.respond(body=body)

    pieces = []
    async with answered(script) as response:
        while piece := await response.chunk():
            pieces.append(piece)
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= PIECE_BYTES


async def test_a_body_that_nobody_takes_slows_the_server_down() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(bytes(1 << 20))

    async with answered(script) as response:
        assert await until(lambda: response.connection.paused)
        assert response.connection.queued_bytes <= MOST_QUEUED_BYTES + (512 << 10)
        for _ in range(100):
            assert await response.chunk()


async def test_gzip_documents_are_unpacked() -> None:
    async def script(peer: Peer) -> None:
        assert peer.request.headers["accept-encoding"] == "gzip"
        await peer.respond(body=gzip.compress(b"#EXTM3U\n"), Content_Encoding="gzip")

    async with answered(script, compressed=True) as response:
        assert await response.read(100) == b"#EXTM3U\n"


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        ("404 Not Found", SourceRejected, "no such stream"),
        ("401 Unauthorized", SourceRejected, "credentials"),
        ("403 Forbidden", SourceRejected, "refuses"),
        ("429 Slow Down", SourceUnreachable, "429"),
        ("503 Later", SourceUnreachable, "503"),
        ("204 No Content", SourceUnreachable, "204"),
    ],
)
async def test_statuses_are_told_in_words(status: str, kind: type[SourceError], words: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(status)

    err = await error_of(script)
    assert type(err) is kind
    assert words in str(err)


async def test_a_refused_connection_is_unreachable() -> None:
    async with http_peer(Peer.respond) as peer:
        pass
    async with client_for(peer) as client:
        with pytest.raises(SourceUnreachable, match="connection refused"):
            async with client.get(peer.url()):
                pass


async def test_secrets_are_in_no_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond("404 Not Found")

    async with http_peer(script) as peer:
        url = peer.url("/x.ts?token=geheim", user="me:geheim")
        async with client_for(peer, url) as client, client.get(url) as response:
            with pytest.raises(SourceRejected) as caught:
                response.require_success()
    assert "geheim" not in str(caught.value)
    assert "geheim" not in repr(client.options)
    assert "geheim" not in repr(response)


async def test_what_is_not_http_is_unreachable() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"SSH-2.0-OpenSSH_9\r\n\r\n")

    assert "not HTTP" in str(await error_of(script))


async def test_media_in_a_content_coding_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(body=gzip.compress(b"x"), Content_Encoding="gzip")

    async with answered(script) as response:
        with pytest.raises(SourceRejected, match="gzip"):
            response.require_plain()


# ---------------------------------------------------------------------- redirects


async def test_redirects_are_followed_and_secrets_stay_with_their_origin() -> None:
    async def other(peer: Peer) -> None:
        await peer.respond(body=b"there")

    async with http_peer(other) as target:

        async def script(peer: Peer) -> None:
            if peer.request.target == "/live.ts":
                await peer.respond("302 Found", Location="/second?x=1")
            else:
                await peer.respond("307 Temporary", Location=target.url("/third"))

        async with http_peer(script) as peer:
            url = peer.url(user="me:secret")
            client = client_for(peer, url, headers={"X-Key": "1"})
            async with client, client.get(url, headers={"Range": "bytes=0-9"}) as response:
                assert await response.read(10) == b"there"
                assert response.url == target.url("/third")
    assert [request.target for request in peer.requests] == ["/live.ts", "/second?x=1"]
    assert all("x-key" in request.headers for request in peer.requests)
    assert all("authorization" in request.headers for request in peer.requests)
    assert "x-key" not in target.requests[0].headers
    assert "authorization" not in target.requests[0].headers
    assert target.requests[0].headers["range"] == "bytes=0-9"


async def test_a_redirect_loop_ends() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond("302 Found", Location=peer.request.target)

    err = await error_of(script)
    assert isinstance(err, SourceRejected)
    assert "redirects" in str(err)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fe80::1]/",
        "http://224.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://:80/",
        "http://[::/",
        "//",
    ],
)
async def test_redirects_to_where_nobody_may_go_are_refused(location: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.respond("302 Found", Location=location)

    assert isinstance(await error_of(script), SourceRejected)


async def test_a_name_that_resolves_to_loopback_is_refused_when_private_addresses_are() -> None:
    async with http_peer(Peer.respond) as peer:
        url = peer.url(host="localhost")
        options = HttpOptions.of(Input.model_validate({"url": url}))
        async with HttpClient(outbound(private=False), options) as client:
            with pytest.raises(SourceRejected, match="private addresses"):
                async with client.get(url):
                    pass
    assert not peer.connections


# ---------------------------------------------------------------------- hostile servers


async def test_a_head_without_end_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"X-Filler: " + b"x" * 1000 + b"\r\n")

    assert "header" in str(await error_of(script))


async def test_one_endless_header_line_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await peer.send(b"x" * 1000)

    assert isinstance(await error_of(script), SourceUnreachable)


async def test_interim_responses_without_end_are_cut_off() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    assert "interim" in str(await error_of(script))


@pytest.mark.parametrize("filler", [b"x" * 1000, b"T: y\r\n" * 100])
async def test_trailers_and_chunk_extensions_without_end_are_cut_off(filler: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"1;" if filler.startswith(b"x") else b"0\r\n")
        while True:
            await peer.send(filler)

    assert isinstance(await error_of(script), SourceUnreachable)


async def test_a_head_that_drips_ends_at_the_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await peer.send(b"X: y\r\n")
            await asyncio.sleep(SHORT_S / 10)

    assert isinstance(await error_of(script, timeout_s=SHORT_S), SourceStalled)


async def test_a_document_that_drips_ends_at_the_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"x")
            await asyncio.sleep(SHORT_S / 10)

    async with answered(script, timeout_s=SHORT_S) as response:
        with pytest.raises(SourceStalled, match="not complete"):
            await response.read(ENOUGH_BYTES)


async def test_a_silent_body_is_stalled() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nx")
        await asyncio.sleep(60)

    assert isinstance(await error_of(script, timeout_s=SHORT_S), SourceStalled)


async def test_crumbs_of_live_media_wait_for_a_tick_and_no_longer() -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await go_on.wait()
        await peer.send(b"first")
        await peer.left()

    async with answered(script) as response, asyncio.timeout(20):
        response.follow_rate()
        go_on.set()
        assert await response.chunk() == b"first"
        accepted = response.connection._transport.get_extra_info("socket")  # type: ignore[union-attr]
        mark = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)
        assert mark == HELD_BACK_BYTES
        assert await until(lambda: accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1)


async def test_a_document_that_is_too_large_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(bytes(4096))

    async with answered(script) as response:
        with pytest.raises(SourceRejected, match="more than 100000 bytes"):
            await response.read(100_000)


async def test_a_decompression_bomb_is_refused_and_costs_no_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()

    async def script(peer: Peer) -> None:
        await peer.respond(body=bomb, Content_Encoding="gzip")

    async with answered(script, compressed=True) as response:
        tracemalloc.start()
        try:
            with pytest.raises(SourceRejected, match="more than"):
                await response.read(ENOUGH_BYTES)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak_bytes < 4 * ENOUGH_BYTES


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "zstd"])
async def test_codings_that_were_not_asked_for_are_refused(coding: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(body=b"x", Content_Encoding=coding)

    async with answered(script, compressed=True) as response:
        with pytest.raises(SourceRejected):
            await response.read(100)


async def test_what_says_gzip_and_is_none_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(body=b"plain", Content_Encoding="gzip")

    async with answered(script, compressed=True) as response:
        with pytest.raises(SourceRejected, match="gzip"):
            await response.read(100)


async def test_more_than_was_announced_is_not_taken_for_the_next_answer() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\nevil")

    async with http_peer(script) as peer, client_for(peer) as client:
        async with client.get(peer.url()) as response:
            assert await response.read(10) == b"x"
        async with client.get(peer.url()) as response:
            assert await response.read(10) == b"x"
    assert peer.connections == 2


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_cancelling_leaves_nothing(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def script(peer: Peer) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        async with nothing_left_behind(), http_peer(script) as peer, client_for(peer) as client:

            async def ask() -> None:
                async with client.get(peer.url()):
                    pass

            task = asyncio.get_running_loop().create_task(ask())
            assert await until(lambda: bool(peer.requests))
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def test_https_verifies_certificates_and_does_not_follow_to_plain_http(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))

    async def plain(peer: Peer) -> None:
        await peer.respond(body=b"plain")

    async with http_peer(plain) as target:

        async def script(peer: Peer) -> None:
            await peer.respond("302 Found", Location=target.url())

        async with http_peer(script, context=context) as peer:
            url = peer.url(host="localhost")
            with pytest.raises(SourceRejected, match="certificate is not trusted"):
                await first_bytes(HttpClient(outbound(), HttpOptions()), url)
            trusting = Outbound(
                EgressGuard(lambda: True),
                tls_context=lambda: ssl.create_default_context(cafile=tmp_path / "cert.pem"),
                resolve=to_loopback,
            )
            with pytest.raises(SourceRejected, match="plain HTTP"):
                await first_bytes(HttpClient(trusting, HttpOptions()), url)
            insecure = HttpClient(outbound(), HttpOptions(insecure_tls=True))
            assert await first_bytes(insecure, url) == b"plain"


async def to_loopback(host: str, port: int) -> list[Address]:
    return [(socket.AF_INET, ("127.0.0.1", port))]


async def first_bytes(client: HttpClient, url: str) -> bytes:
    async with client, client.get(url) as response:
        return await response.read(100)
