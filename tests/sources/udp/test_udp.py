"""Datagrams, with RTP or without, over loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openstreamer.config.input_urls import UdpInput, parse_input_url
from openstreamer.config.models import Input
from openstreamer.media.errors import SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.sources.udp import UdpSource
from openstreamer.sources.udp.sockets import interface_index, kernel_drops, open_socket
from tests.support.beside import beside
from tests.support.clips import clip
from tests.support.mpegts import by_track, demuxed, muxed
from tests.support.udp_sender import datagrams, free_port, rtp
from tests.support.waiting import until

GROUP, GROUP_6 = "239.255.77.1", "ff11::77:1"  # of this host only
DATA = muxed(clip())
EXPECTED = demuxed(DATA)[0]
DEADLINE_S = 20.0
TS_PACKET_BYTES = 188


def source_of(url: str, **settings: object) -> UdpSource:
    parsed = parse_input_url(url)
    assert isinstance(parsed, UdpInput)
    return UdpSource(parsed, Input.model_validate({"url": url, **settings}))


@asynccontextmanager
async def receiving(url: str = "udp://127.0.0.1:0", **settings: object) -> AsyncIterator[UdpSource]:
    async with source_of(url.replace(":0", f":{free_port()}"), **settings) as source:
        yield source


async def frames_of(source: UdpSource, count: int) -> list[Frame]:
    """``count`` frames or more; what comes in the meantime included."""
    frames: list[Frame] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(frames) < count:
            frames += await source.receive()
    return frames


def send(port: int, pieces: Iterable[bytes], host: str = "127.0.0.1", interface: str = "lo") -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        if family == socket.AF_INET:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex(interface))
        for piece in pieces:
            sender.sendto(piece, (host, port))


def whole(frames: list[Frame]) -> int:
    """Pictures and sounds that must come out while the stream goes on: the last two wait for what follows."""
    return len(frames) - 2


async def test_datagrams_become_the_frames_that_were_sent() -> None:
    async with receiving() as source:
        send(source.bound_port, datagrams(DATA))
        frames = await frames_of(source, whole(EXPECTED))
        assert source.protocol == "udp"
        assert source.statistics.received_bytes == len(DATA)
        assert source.statistics.received_packets == len(DATA) // TS_PACKET_BYTES
        assert source.dropped_datagrams == 0
        assert source.arrived_ns is not None
    assert by_track(frames) == by_track(EXPECTED[: len(frames)])


async def test_rtp_is_stripped_ordered_and_counted() -> None:
    pieces = [rtp(65_530 + n, piece) for n, piece in enumerate(datagrams(DATA))]
    pieces[4], pieces[5], pieces[8:8] = pieces[5], pieces[4], [pieces[7], pieces[3]]
    async with receiving() as source:
        send(source.bound_port, pieces)
        frames = await frames_of(source, whole(EXPECTED))
        assert source.protocol == "rtp"
        assert source.statistics.lost_packets == 0
    assert by_track(frames) == by_track(EXPECTED[: len(frames)])


@pytest.mark.parametrize("numbered", [True, False], ids=["rtp", "plain"])
@pytest.mark.parametrize("begin", [0, 1000])
async def test_packets_may_straddle_datagrams(numbered: bool, begin: int) -> None:
    pieces = [DATA[at : at + 1472] for at in range(begin, len(DATA), 1472)]
    expected = demuxed(DATA[begin:])[0]
    async with receiving() as source:
        send(source.bound_port, [rtp(n, piece) for n, piece in enumerate(pieces)] if numbered else pieces)
        frames = await frames_of(source, whole(expected))
        assert source.protocol == ("rtp" if numbered else "udp")
        assert source.statistics.malformed == source.statistics.lost_packets == 0
    assert by_track(frames) == by_track(expected[: len(frames)])


async def test_lost_rtp_datagrams_are_counted() -> None:
    pieces = [rtp(n, piece) for n, piece in enumerate(datagrams(DATA))]
    del pieces[10:13]
    async with receiving() as source:
        send(source.bound_port, pieces)
        await frames_of(source, 20)
        async with asyncio.timeout(DEADLINE_S):
            while source.statistics.lost_packets != 3:
                await source.receive()


@pytest.mark.parametrize("numbered", [True, False], ids=["rtp", "plain"])
async def test_one_datagram_in_ten_lost_is_a_loss_of_a_tenth(numbered: bool) -> None:
    pieces = list(datagrams(DATA))
    kept = [rtp(n, piece) if numbered else piece for n, piece in enumerate(pieces) if n % 10 != 5]
    async with receiving() as source:
        send(source.bound_port, kept)
        assert await until(lambda: source.statistics.received_bytes == sum(map(len, kept)))
        assert await until(lambda: source.statistics.lost_packets >= len(pieces) - len(kept))
        statistics = source.statistics
    loss = statistics.lost_packets / (statistics.received_packets + statistics.lost_packets)
    assert loss == pytest.approx(1 - len(kept) / len(pieces), rel=0.1)


RTCP_REPORT = b"\x80\xc8\x00\x06" + bytes(24)
STRAYS = {
    "rtcp": RTCP_REPORT,
    "other-rtp": b"\x80\x60\x00\x01" + bytes(4) + b"else" + b"\x41" * 900,
    "rtp": rtp(9, DATA[:TS_PACKET_BYTES], ssrc=99),
}


@pytest.mark.parametrize("stray", STRAYS.values(), ids=STRAYS)
async def test_one_stray_datagram_does_not_end_the_count_of_losses(stray: bytes) -> None:
    pieces = list(datagrams(DATA))
    kept = [piece for n, piece in enumerate(pieces) if n % 10 != 5]
    kept.insert(8, stray)
    async with receiving() as source:
        send(source.bound_port, kept)
        assert await until(lambda: source.statistics.received_bytes == sum(map(len, kept)))
        assert source.statistics.lost_packets >= len(pieces) - len(kept)
        assert source.protocol == "udp"


@pytest.mark.parametrize("stray", [RTCP_REPORT, STRAYS["other-rtp"]], ids=["rtcp", "other-rtp"])
async def test_what_comes_beside_rtp_is_neither_counted_nor_a_new_sender(stray: bytes) -> None:
    pieces = [rtp(n, piece) for n, piece in enumerate(datagrams(DATA))]
    pieces[4], pieces[5] = pieces[5], pieces[4]
    mixed = [each for piece in pieces for each in (piece, stray)]
    async with receiving() as source:
        send(source.bound_port, mixed)
        frames = await frames_of(source, whole(EXPECTED))
        assert await until(lambda: source.statistics.received_bytes == sum(map(len, mixed)))
        assert source.statistics.received_packets == len(pieces)
        assert source.statistics.lost_packets == source.statistics.malformed == 0
        assert source.stray_datagrams == len(pieces)
        assert source.protocol == "rtp"
    assert by_track(frames) == by_track(EXPECTED[: len(frames)])


async def test_rtp_of_something_else_is_refused() -> None:
    async with receiving() as source, beside(send_garbage(source.bound_port, STRAYS["other-rtp"])):
        with pytest.raises(SourceRejected, match="no packets in"):
            await frames_of(source, 1)


async def test_a_program_that_is_not_there_is_refused() -> None:
    async with receiving(program=9) as source:
        send(source.bound_port, datagrams(DATA))
        with pytest.raises(SourceRejected, match="there is no program 9, only 1"):
            await frames_of(source, 1)


async def test_silence_is_told_after_its_time() -> None:
    async with receiving(net={"timeout_sec": 0.05}) as source:
        with pytest.raises(SourceStalled, match="no datagram for"):
            await source.receive()


async def test_something_else_than_a_transport_stream_is_refused() -> None:
    async with receiving() as source, beside(send_garbage(source.bound_port)):
        with pytest.raises(SourceRejected, match="no packets in"):
            await frames_of(source, 1)


async def send_garbage(port: int, garbage: bytes = b"\x00hello" * 1000) -> None:
    while True:
        send(port, [garbage] * 20)
        await asyncio.sleep(0.01)


async def test_a_taken_port_is_unreachable() -> None:
    async with receiving() as source:
        with pytest.raises(SourceUnreachable, match="in use"):
            await source_of(f"udp://127.0.0.1:{source.bound_port}").__aenter__()


# ---------------------------------------------------------------------- multicast, interfaces


@pytest.mark.parametrize("interface", ["lo", "127.0.0.1"])
async def test_a_group_is_joined_on_the_named_interface(interface: str) -> None:
    async with receiving(f"udp://{GROUP}:0?iface={interface}") as source:
        send(source.bound_port, datagrams(DATA), GROUP)
        frames = await frames_of(source, whole(EXPECTED))
    assert by_track(frames) == by_track(EXPECTED[: len(frames)])


async def test_a_group_can_be_received_twice() -> None:
    url = f"udp://{GROUP}:{free_port()}?iface=lo"
    async with source_of(url) as first, source_of(url) as second:
        send(first.bound_port, datagrams(DATA), GROUP)
        assert await frames_of(first, 20)
        assert await frames_of(second, 20)


async def test_only_the_named_source_of_a_group_is_heard() -> None:
    async with receiving(f"udp://{GROUP}:0?iface=lo&source=127.0.0.1") as source:
        send(source.bound_port, datagrams(DATA), GROUP)
        assert await frames_of(source, 20)
    async with receiving(f"udp://{GROUP}:0?iface=lo&source=127.0.0.9", net={"timeout_sec": 0.2}) as source:
        send(source.bound_port, datagrams(DATA), GROUP)
        with pytest.raises(SourceStalled):
            await source.receive()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_ipv6() -> None:
    if not has_ipv6():
        with pytest.raises(SourceUnreachable):
            await source_of("udp://[::1]:5000").__aenter__()
        return
    async with receiving("udp://[::1]:0") as source:
        send(source.bound_port, datagrams(DATA), "::1")
        assert await frames_of(source, 20)
    for interface in ipv6_multicast_interfaces():
        for url in (f"udp://[{GROUP_6}]:0?iface={interface}", f"udp://[{GROUP_6}%{interface}]:0"):
            async with receiving(url) as source:
                send(source.bound_port, datagrams(DATA), GROUP_6, interface)
                assert await frames_of(source, 20)


def ipv6_multicast_interfaces() -> list[str]:
    """Those that have a route for groups: loopback has none on most systems."""
    routes = Path("/proc/net/ipv6_route").read_text().splitlines()
    return sorted({route.split()[9] for route in routes if route.startswith("ff" + "0" * 30 + " 08")})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"udp://{GROUP}:5000?iface=nosuch0", "no interface nosuch0"),
        (f"udp://{GROUP}:5000?iface=203.0.113.9", "no interface has the address 203.0.113.9"),
        (f"udp://{GROUP}:5000?iface=lo&source=encoder", "the source encoder is no IP address"),
        (f"udp://{GROUP}:5000?iface=lo&source=::1", "different families"),
        ("udp://[ff12::1]:5000", "local to a link: say which with iface="),
        ("udp://encoder.example:5000", "the host encoder.example is no IP address"),
        ("udp://:5000?iface=nosuch0", "no interface nosuch0"),
    ],
)
async def test_what_cannot_be_received_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(SourceRejected, match=words):
        await source_of(url).__aenter__()


@pytest.mark.parametrize("query", ["", "?iface=lo", "?iface=127.0.0.1"])
def test_without_a_host_the_interface_says_where(query: str) -> None:
    parsed = parse_input_url(f"udp://:{free_port()}{query}")
    assert isinstance(parsed, UdpInput)
    with open_socket(parsed) as opened:
        assert opened.getsockname()[0] == ("127.0.0.1" if query else "0.0.0.0")


async def test_a_foreign_address_is_unreachable() -> None:
    with pytest.raises(SourceUnreachable, match="cannot be received"):
        await source_of("udp://203.0.113.9:5000").__aenter__()


def test_datagrams_that_the_kernel_drops_are_counted() -> None:
    parsed = parse_input_url(f"udp://127.0.0.1:{free_port()}")
    assert isinstance(parsed, UdpInput)
    with open_socket(parsed) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2000)
        send(opened.getsockname()[1], [bytes(1316)] * 50)
        assert kernel_drops(opened) > 10


def test_an_interface_without_a_name_is_the_systems_choice() -> None:
    assert interface_index("") == 0
    assert interface_index("lo") == interface_index("127.0.0.1") == socket.if_nametoindex("lo")
