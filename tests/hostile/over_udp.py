"""Datagrams that mean harm, sent as fast as the machine does."""

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence

from tests.hostile import transport_streams as streams
from tests.support.udp_sender import datagrams, rtp

AT_ONCE = 64  # between two turns of the loop


def attacks() -> dict[str, list[bytes]]:
    """The datagrams of each attack, to be sent over and over."""
    chance = random.Random(4)
    good = list(datagrams(streams.good()))
    begin, follow = streams.endless_pes()
    many_begin, many_follow = streams.endless_pes(32)
    return {
        "noise": [chance.randbytes(1316) for _ in range(500)],
        "empty datagrams": [b""],
        "datagrams of one byte": [b"\x47"],
        "the largest datagrams": [b"\x47" + bytes(65_000)],
        "10^5 SSRCs": [rtp(n, good[n % len(good)], ssrc=n) for n in range(100_000)],
        "sequence numbers by chance": [
            rtp(chance.randrange(65536), good[n % len(good)]) for n in range(10_000)
        ],
        "RTP headers that lie": [b"\xbf\x21" + chance.randbytes(1300) for _ in range(500)],
        "every second number": [rtp(2 * n, good[n % len(good)]) for n in range(10_000)],
        "10^5 PIDs": list(datagrams(streams.every_pid())),
        "tables that change": list(datagrams(streams.changing_tables())),
        "a program that changes": list(datagrams(streams.changing_program())),
        "an endless PES packet": [*datagrams(begin), *(list(datagrams(follow)) * 100)],
        "32 endless PES packets": [*datagrams(many_begin), *(list(datagrams(many_follow)) * 100)],
        "packets of nothing": list(datagrams(streams.nothing())),
        "31 clocks that jump": list(datagrams(streams.jumping_times())),
        "media at full speed": good,
    }


async def flood(target: tuple[str, int], sent: Sequence[bytes]) -> None:
    """Send ``sent`` over and over to an address of loopback and a port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        sender.bind(("127.0.0.1", 0))
        while True:
            for at in range(0, len(sent), AT_ONCE):
                for datagram in sent[at : at + AT_ONCE]:
                    with contextlib.suppress(OSError):
                        sender.sendto(datagram, target)
                await asyncio.sleep(0)
