"""Outgoing connections: names, addresses, the guard, TLS, deadlines."""

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from openstreamer.access.egress import EgressGuard
from openstreamer.media.errors import SourceError, SourceRejected, SourceUnreachable
from openstreamer.sources.outbound import Address, Outbound, SystemResolver, Target, reason_of
from tests.contract.leftovers import nothing_left_behind
from tests.support.certificates import make_certificate
from tests.support.raw_peer import port_of, raw_server

SHORT_S = 0.3
BLACK_HOLE = "192.0.2.1"  # TEST-NET-1 (RFC 5737)


def speaking(connected: socket.socket) -> asyncio.Protocol:
    """A protocol that says nothing."""
    return asyncio.Protocol()


def outbound(addresses: list[str] | None = None, *, cafile: Path | None = None) -> Outbound:
    async def resolve(host: str, port: int) -> list[Address]:
        return [(socket.AF_INET, (address, port)) for address in addresses or []]

    return Outbound(
        EgressGuard(lambda: True),
        resolve=None if addresses is None else resolve,
        tls_context=lambda: ssl.create_default_context(cafile=cafile),
    )


def target(port: int, host: str = "127.0.0.1", connect_s: float = 5, **tls: bool) -> Target:
    return Target("http", host, port, connect_s, **tls)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def connected_to(server: asyncio.Server, out: Outbound, host: str = "127.0.0.1", **tls: bool) -> str:
    """The address that was connected."""
    transport, _ = await out.connect(speaking, target(port_of(server), host, **tls))
    try:
        address: str = transport.get_extra_info("peername")[0]
        return address
    finally:
        transport.abort()


async def error_of(out: Outbound, where: Target) -> SourceError:
    try:
        transport, _ = await out.connect(speaking, where)
    except SourceError as err:
        return err
    transport.abort()
    raise AssertionError("it connected")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_it_connects(host: str) -> None:
    async with raw_server(greet) as server:
        assert await connected_to(server, outbound(), host) == "127.0.0.1"


async def test_only_the_addresses_that_the_guard_lets_through_are_tried() -> None:
    async with raw_server(greet) as server:
        out = outbound(["169.254.169.254", "127.0.0.1"])
        assert await connected_to(server, out, "name.example") == "127.0.0.1"


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected() -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [(socket.AF_INET, ("127.0.0.1" if len(asked) == 1 else "169.254.169.254", port))]

    async with raw_server(greet) as server:
        out = Outbound(EgressGuard(lambda: True), resolve=resolve)
        assert await connected_to(server, out, "rebinding.example") == "127.0.0.1"
    assert asked == ["rebinding.example"]


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["0.0.0.0", "224.0.0.1"]])
async def test_a_name_of_forbidden_addresses_is_refused(addresses: list[str]) -> None:
    assert isinstance(await error_of(outbound(addresses), target(80, "x.example")), SourceRejected)


async def test_literals_pass_the_guard_as_well() -> None:
    for host in ("169.254.169.254", "fe80::1%lo", "::ffff:169.254.169.254"):
        assert isinstance(await error_of(outbound(), target(80, host)), SourceRejected)


async def test_a_dead_address_does_not_keep_a_living_one_waiting() -> None:
    async with raw_server(greet) as server:
        out = outbound([BLACK_HOLE, "127.0.0.1"])
        assert await connected_to(server, out, "x.example") == "127.0.0.1"


async def test_an_address_that_refuses_is_followed_by_the_next() -> None:
    async with raw_server(greet) as server:
        out = outbound(["127.0.0.2", "127.0.0.1"])
        server_port = port_of(server)
        transport, _ = await out.connect(speaking, target(server_port, "x.example"))
        transport.abort()


async def test_names_that_do_not_resolve_are_unreachable() -> None:
    for host in ("does-not-exist.invalid", "a" * 64 + ".example"):
        err = await error_of(outbound(), target(80, host))
        assert isinstance(err, SourceUnreachable)
        assert "resolve" in str(err)
    assert "no address" in str(await error_of(outbound([]), target(80, "x.example")))


async def test_a_name_server_that_is_silent_ends_at_the_deadline() -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        return await asyncio.get_running_loop().create_future()

    out = Outbound(EgressGuard(lambda: True), resolve=resolve)
    err = await error_of(out, target(80, "x.example", SHORT_S))
    assert "not resolved within 0.3 s" in str(err)


async def test_lookups_are_bounded_and_free_their_place() -> None:
    resolver = SystemResolver(max_lookups=2)
    found = await asyncio.gather(*(resolver.resolve("localhost", 80) for _ in range(8)))
    assert all(("127.0.0.1", 80) in [address[1] for address in each] for each in found)


async def test_a_handshake_that_is_not_finished_ends_at_the_deadline() -> None:
    async with raw_server(greet) as server:
        err = await error_of(outbound(), target(port_of(server), connect_s=SHORT_S, tls=True))
    assert isinstance(err, SourceUnreachable)
    assert "TLS" in str(err)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_certificates_are_verified(certificate: tuple[Path, Path]) -> None:
    async with raw_server(greet, context=serving(certificate)) as server:
        where = target(port_of(server), "localhost", tls=True)
        err = await error_of(outbound(), where)
        assert isinstance(err, SourceRejected)
        assert "certificate is not trusted" in str(err)
        trusting = outbound(["127.0.0.1"], cafile=certificate[0])
        assert await connected_to(server, trusting, "localhost", tls=True)
        other = target(port_of(server), "other.example", tls=True)
        assert isinstance(await error_of(trusting, other), SourceRejected)
        assert await connected_to(server, outbound(), "127.0.0.1", tls=True, insecure_tls=True)


async def test_what_speaks_no_tls_is_unreachable() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async with raw_server(speak) as server:
        err = await error_of(outbound(), target(port_of(server), tls=True))
    assert isinstance(err, SourceUnreachable)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("addresses", [[BLACK_HOLE], [BLACK_HOLE, "192.0.2.2", "192.0.2.3"]])
def test_cancelling_leaves_nothing(
    factory: Callable[[], asyncio.AbstractEventLoop], addresses: list[str]
) -> None:
    async def main() -> None:
        async with nothing_left_behind():
            out = outbound(addresses)
            connect = out.connect(speaking, target(80, "x.example"))
            connecting = asyncio.get_running_loop().create_task(connect)
            for _ in range(5):
                await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait([connecting])

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def test_a_lookup_that_gets_no_thread_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = SystemResolver(max_lookups=1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    for _ in range(2):  # the second one would wait for the place of the first
        with pytest.raises(OSError, match="no thread left"):
            await resolver.resolve("localhost", 80)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(), "the connection was closed"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "the connection was closed"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 1)"), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "there is no route to it"),
        (OSError(errno.ENOBUFS, "No buffer space available"), "no buffer space available"),
    ],
)
def test_errors_of_the_network_are_said_in_words(error: OSError, words: str) -> None:
    assert reason_of(error) == words
