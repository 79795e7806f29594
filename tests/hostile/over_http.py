"""A web server that means harm. Every attack answers one request; what it is asked for does not matter."""

import asyncio
import zlib
from collections.abc import Callable
from functools import cache

from tests.hostile import transport_streams as streams
from tests.support.http_peer import Peer, Script

DRIP_S = 0.05
LIVE = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"


async def flood(peer: Peer, data: bytes) -> None:
    """``data`` again and again, as fast as it is taken."""
    while True:
        await peer.send(data)
        await asyncio.sleep(0)


async def drip(peer: Peer, data: bytes) -> None:
    """``data`` again and again, a byte at a time."""
    while True:
        for byte in data:
            await peer.send(bytes((byte,)))
            await asyncio.sleep(DRIP_S)


def says(begin: bytes, follow: bytes) -> Script:
    """A script that sends ``begin`` and then ``follow`` for ever."""

    async def script(peer: Peer) -> None:
        await peer.send(begin)
        await flood(peer, follow)

    return script


def drips(begin: bytes, follow: bytes) -> Script:
    """The same, a byte at a time."""

    async def script(peer: Peer) -> None:
        await peer.send(begin)
        await drip(peer, follow)

    return script


def redirects(where: Callable[[str], str]) -> Script:
    """Every request is sent elsewhere; ``where`` makes the target of the one that was asked for."""

    async def script(peer: Peer) -> None:
        await peer.respond("302 Found", Location=where(peer.request.target))

    return script


def packed(coding: str, content_type: str) -> Script:
    """A bomb in a content coding that nobody asked for, or did."""

    body = bomb(coding)  # now: making it would keep the others waiting

    async def script(peer: Peer) -> None:
        await peer.respond(body=body, Content_Type=content_type, Content_Encoding=coding)

    return script


@cache
def bomb(coding: str) -> bytes:
    """64 MB of lines of a playlist, a thousand times smaller."""
    packer = zlib.compressobj(6, wbits=zlib.MAX_WBITS | (16 if coding == "gzip" else 0))  # 16: a gzip header
    packed = [packer.compress(b"#EXTM3U\n"), *(packer.compress(b"#" * 65535 + b"\n") for _ in range(1024))]
    return b"".join((*packed, packer.flush()))  # for brotli as well: it must not even be looked at


def chunked(data: bytes, size: int) -> bytes:
    """``data`` in chunks so small that each costs more than it carries."""
    return b"".join(
        b"%x\r\n%b\r\n" % (len(data[at : at + size]), data[at : at + size])
        for at in range(0, len(data), size)
    )


def heads(content_type: bytes) -> dict[str, Script]:
    """Attacks with the head and the framing of a response."""
    return {
        "endless header": says(b"HTTP/1.1 200 OK\r\n", b"X-Padding: " + b"x" * 4000 + b"\r\n"),
        "one endless header line": says(b"HTTP/1.1 200 OK\r\nX-Padding: ", b"x" * 65536),
        "endless status line": says(b"HTTP/1.1 200 ", b"x" * 65536),
        "dripping header": drips(b"HTTP/1.1 200 OK\r\n", b"X-Padding: xxxx\r\n"),
        "interim responses without end": says(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        "endless chunk extension": says(CHUNKED % content_type + b"1;", b"x" * 65536),
        "a chunk of 2^64 bytes": says(CHUNKED % content_type + b"FFFFFFFFFFFFFFFFFF\r\n", b"x" * 65536),
        "endless trailers": says(CHUNKED % content_type + b"0\r\n", b"X-Padding: xxxx\r\n" * 1000),
        "not HTTP": says(b"", bytes(range(256)) * 256),
    }


def media(content_type: bytes, good: bytes) -> dict[str, Script]:
    """Attacks with a body that is, or begins as, media."""
    live = LIVE % content_type
    half = good[: len(good) // 2]
    return {
        "endless garbage": says(live, b"\xa5\x5a\x00\x11" * 16384),
        "garbage behind media": says(live + half, b"\xa5\x5a\x00\x11" * 16384),
        "dripping body": drips(live, good),
        "dripping behind media": drips(live + half, b"\xff"),
        "media at full speed": says(live, good),
        "a file of 10^18 bytes": says(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n", good
        ),
        "chunks of two bytes": says(CHUNKED % content_type, chunked(good, 2)),
    }


def transport_stream_attacks() -> dict[str, Script]:
    """Attacks with a transport stream."""
    live = LIVE % b"video/mp2t"
    return {
        "10^5 PIDs": says(live, streams.every_pid()),
        "tables that change": says(live, streams.changing_tables()),
        "a program that changes": says(live, streams.changing_program()),
        "an endless PES packet": says(live + streams.endless_pes()[0], streams.endless_pes()[1]),
        "32 endless PES packets": says(live + streams.endless_pes(32)[0], streams.endless_pes(32)[1]),
        "32 endless PES packets behind media": says(
            live + streams.good() + streams.endless_pes(32)[0], streams.endless_pes(32)[1]
        ),
        "32 endless PES packets of sound": says(
            live + streams.endless_pes(32, streams.AAC)[0], streams.endless_pes(32, streams.AAC)[1]
        ),
        "packets of nothing": says(live, streams.nothing()),
        "scrambled packets": says(live, streams.scrambled()),
        "packets without distance": says(live, streams.losing_sync()),
        "31 clocks that jump": says(live, streams.jumping_times()),
    }
