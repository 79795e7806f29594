"""Every source against peers that mean harm: what the input is told, and that its memory stays flat.

Each attack has an input of its own in a process of its own, which runs as a stream runs it (open, first
frame, silence, retry) for at least three seconds and is measured at its peak. A table of them runs at once.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.hostile import other_containers, over_http, over_rtmp, over_udp, playlists
from tests.hostile import transport_streams as streams
from tests.hostile.siege import Row, assert_withstood, besiege
from tests.support.http_peer import HttpPeer, Peer, Script, http_peer
from tests.support.raw_peer import port_of, raw_server
from tests.support.udp_sender import free_port

pytestmark = [pytest.mark.hostile, pytest.mark.slow, pytest.mark.timeout(240)]

# A flood is cut off by what it is, or, where the machine is too slow for that, by the time it takes.
TOO_LONG = "no (key frame|media) within|silent for|damaged access units|units are damaged|nothing new for"
METADATA = "may not connect to .*: it is (link-local|a metadata address)"
PLAYS = ""  # nothing needs to be refused

HEADS = {
    "endless header": "more than 64 kB of header",
    "one endless header line": "more than 64 kB of header",
    "endless status line": "more than 64 kB of header",
    "dripping header": "no answer within 1 s",
    "interim responses without end": "interim responses without end",
    "endless chunk extension": "more than 64 kB of header|no media within",
    "a chunk of 2^64 bytes": "what is not HTTP",
    "endless trailers": "more than 64 kB of header|sends nothing",
    "not HTTP": "what is not HTTP",
}
REDIRECTS = {
    "a redirect loop": "more than 5 redirects",
    "redirects without end": "more than 5 redirects",
    "a redirect to 169.254.169.254": METADATA,
    "a redirect to fd00:ec2::254": METADATA,
    "a redirect to ::ffff:169.254.169.254": METADATA,
    "a redirect to a file": "'file', which is not followed",
    "a redirect of 1 MB": "64 kB of header|8192 characters",
}
MEDIA = {
    "endless garbage": "no packets in|this is not an FLV file|neither MPEG-TS nor",
    "garbage behind media": f"no packets in|no tag stands here|{TOO_LONG}",
    "dripping body": f"no media within 1 s|{TOO_LONG}",
    "dripping behind media": f"no packets in|no tag stands here|{TOO_LONG}",
    "media at full speed": PLAYS,
    "a file of 10^18 bytes": PLAYS,
    "chunks of two bytes": PLAYS,
}
TRANSPORT_STREAM = {
    "10^5 PIDs": f"nothing that can be carried, only programs without a PMT|{TOO_LONG}",
    "tables that change": f"no frame in .* packets|{TOO_LONG}",
    "a program that changes": f"no frame in .* packets|{TOO_LONG}",
    "an endless PES packet": f"h264: no frame in .* packets|{TOO_LONG}",
    "32 endless PES packets": f"no frame in .* packets|{TOO_LONG}",
    "32 endless PES packets of sound": f"no frame in .* packets|{TOO_LONG}",
    "32 endless PES packets behind media": TOO_LONG,
    "packets of nothing": f"no program table|{TOO_LONG}",
    "scrambled packets": f"program 1 is scrambled|{TOO_LONG}",
    "packets without distance": f"no packets were found|{TOO_LONG}",
    "31 clocks that jump": PLAYS,
}
FLV = {
    "a tag of 16 MB": "a tag of 16777215 bytes",
    "tags of 11 MB": TOO_LONG,
    "empty tags": TOO_LONG,
    "damaged tags": "malformed",
    "configurations that change": "malformed",
    "nested metadata": TOO_LONG,
    "metadata of half a million values": TOO_LONG,
    "headers without end": TOO_LONG,
}
MP4 = {
    "a moov of 4 GB": "a moov box of (more than )?[0-9]+ bytes",
    "a moov of 2^62 bytes": "a moov box of more than",
    "a moof of 4 GB": "a moof box of more than",
    "fragments of 2^32 samples": "more than 65536 samples",
    "an mdat without end": TOO_LONG,
    "boxes without end": TOO_LONG,
    "movies without end": TOO_LONG,
    "10^5 empty tracks": f"more than 16384 boxes|{TOO_LONG}",
    "nested boxes": "no mvhd box|more than 16384 boxes",
}
PACKED_AUDIO = {
    "an ID3 tag of 256 MB": "an ID3 tag of 268435465 bytes",
    "an ID3 tag of 4 MB": "an ID3 tag of 4194313 bytes",
    "ID3 tags without end": TOO_LONG,
    "junk between frames": "no audio frame within",
    "frames at full speed": PLAYS,
}
TOO_LARGE = "a document of more than 4194304 bytes|connected, but no|not complete within"
PLAYLISTS = {
    "10^6 lines": TOO_LARGE,
    "10^6 empty lines": TOO_LARGE,
    "one line of 50 MB": TOO_LARGE,
    "10^6 variants": TOO_LARGE,
    "10^6 renditions": TOO_LARGE,
    "10^6 parts": TOO_LARGE,
    "10^6 variables": TOO_LARGE,
    "a line of attributes": TOO_LARGE,
    "a dripping playlist": "not complete within 1 s|silent for 1 s",
    "masters that name masters": "multivariant playlists that name one another",
    "variables of variables": "more than 16384 characters after its variables were replaced",
    "a gzip bomb": TOO_LARGE,
    "a deflate bomb": "the content coding 'deflate' was not asked for",
    "a brotli bomb": "the content coding 'br' was not asked for",
    "a playlist that always grows": "answered 503 for a segment; so 3 in a row are lost",
    "times beyond all numbers": "is no duration in seconds",
    "a segment at the metadata address": METADATA,
    "a variant at the metadata address": METADATA,
    "a key at the metadata address": METADATA,
    "a map that redirects to the metadata address": METADATA,
    "a file of this machine": "'file', which is not followed",
}
IN_A_ROW = "; so 3 in a row are lost"
HLS = {
    "a key without end": "a key of more than 16 bytes",
    "a dripping key": "a key of more than 16 bytes",
    "a key of 64 MB": "a key of more than 16 bytes",
    "a map without end": "an initialization segment of more than 1048576 bytes",
    "a dripping map": TOO_LONG,
    "segments of garbage": f"neither MPEG-TS nor fragmented MP4 nor packed audio{IN_A_ROW}",
    "segments that drip": TOO_LONG,
    "segments packed in gzip": "media in the content coding 'gzip' is not taken",
    "segments that are not there": f"404 for a segment{IN_A_ROW}",
    "segments without end": PLAYS,
    "segments that redirect for ever": "more than 5 redirects",
    "10^5 PIDs": TRANSPORT_STREAM["10^5 PIDs"],
    "tables that change": TRANSPORT_STREAM["tables that change"],
    "32 endless PES packets": TRANSPORT_STREAM["32 endless PES packets"],
    **{f"packed audio: {name}": words for name, words in PACKED_AUDIO.items()},
    **{f"fMP4: {name}": f"{words}|a body of more than" for name, words in MP4.items()},
}
BROKEN = "the server broke the protocol: "
RTMP = {
    "noise": f"{BROKEN}RTMP handshake",
    "noise behind the greeting": BROKEN,
    "a dripping greeting": "no handshake within 1 s",
    "no answer to connect": "no answer to connect within 1 s",
    "a dripping answer": "no answer to connect within 1 s",
    "no consent": "no answer to play within 1 s",
    "pings without consent": f"{BROKEN}RTMP: .* requests for an answer",
    "media without consent": f"{BROKEN}RTMP: media on message stream 1, which nobody opened|{TOO_LONG}",
    "nested answers": f"{BROKEN}AMF0: values nested deeper than 16",
    "pings": f"{BROKEN}RTMP: .* requests for an answer",
    "pings, and deaf": f"{BROKEN}RTMP: .* requests for an answer",
    "acknowledge every byte, and deaf": TOO_LONG,
    "chunks of one byte": f"{BROKEN}|{TOO_LONG}",
    "messages of 16 MB": f"{BROKEN}RTMP: a message of type 9 with 16777215 bytes",
    "pictures of 7 MB": f"access units are damaged|{TOO_LONG}",
    "60 messages at once": BROKEN,
    "10^5 chunk streams": f"{BROKEN}RTMP: more than 64 chunk streams",
    "empty messages": f"{BROKEN}RTMP: .* messages without a body",
    "metadata without end": TOO_LONG,
    "statuses without end": TOO_LONG,
    "media at full speed": PLAYS,
}
UDP = {
    "noise": "no packets in",
    "empty datagrams": "no datagram for",
    "datagrams of one byte": TOO_LONG,
    "the largest datagrams": f"no packets|no program table|{TOO_LONG}",
    "10^5 SSRCs": PLAYS,
    "sequence numbers by chance": PLAYS,
    "RTP headers that lie": f"no packets|{TOO_LONG}",
    "every second number": PLAYS,
    "10^5 PIDs": TRANSPORT_STREAM["10^5 PIDs"],
    "tables that change": TRANSPORT_STREAM["tables that change"],
    "a program that changes": TRANSPORT_STREAM["a program that changes"],
    "an endless PES packet": TRANSPORT_STREAM["an endless PES packet"],
    "32 endless PES packets": TRANSPORT_STREAM["32 endless PES packets"],
    "packets of nothing": TRANSPORT_STREAM["packets of nothing"],
    "31 clocks that jump": PLAYS,
    "media at full speed": PLAYS,
}
FILES = {
    "a moov of 4 GB": "a moov box of 4294967040 bytes",
    "a moov of 60 MB": "no mvhd box",
    "2^32 sizes (stsz)": "the box 'stsz' is too short",
    "2^32 samples of one size (stsz)": "4294967295 samples of 1 bytes in [0-9]+ bytes",
    "2^32 times (stts)": "the box 'stts' is too short",
    "2^32 samples of one time (stts)": PLAYS,
    "2^32 chunks (stco)": "the box 'stco' is too short",
    "2^32 samples per chunk (stsc)": PLAYS,
    "2^32 edits (elst)": PLAYS,
    "a million boxes": "there is no moov box",
    "an EBML element of 2^56 bytes": "libav cannot read it",
    "a sparse file of 1 TB": "no packets in",
    "a packet of 1 TB": "libav cannot read it",
    "10^5 PIDs": TRANSPORT_STREAM["10^5 PIDs"],
    "tables that change": TRANSPORT_STREAM["tables that change"],
    "an endless PES packet": TRANSPORT_STREAM["an endless PES packet"],
    **{f"FLV: {name}": f"{words}|nothing in it that can be played" for name, words in FLV.items()},
}

# What may be more than 20 MB, because so much is one legal unit of media.
GROWTH_KB = {
    "tags of 11 MB": 44 << 10,  # received, taken out, and as a frame
    "FLV: tags of 11 MB": 44 << 10,
    "pictures of 7 MB": 30 << 10,
    "a moov of 60 MB": 72 << 10,  # the table of a film of half a day
    "segments without end": 36 << 10,  # 32 MB of frames may wait for their time
    "packed audio: frames at full speed": 36 << 10,  # the same, in many small ones
    "an endless PES packet": 28 << 10,  # 8 MB in pieces of 184 bytes
}


def redirecting() -> dict[str, Script]:
    """Web servers that send their visitors elsewhere."""
    at = {
        "a redirect to 169.254.169.254": "http://169.254.169.254/latest/meta-data/",
        "a redirect to fd00:ec2::254": "http://[fd00:ec2::254]/latest/meta-data/",
        "a redirect to ::ffff:169.254.169.254": "http://[::ffff:169.254.169.254]/",
        "a redirect to a file": "file:///etc/passwd",
        "a redirect of 1 MB": "http://127.0.0.1/" + "x" * (1 << 20),
    }
    found = {name: over_http.redirects(lambda _target, to=to: to) for name, to in at.items()}  # type: ignore[misc]
    found["a redirect loop"] = over_http.redirects(lambda target: target)
    found["redirects without end"] = over_http.redirects(lambda target: target + "x")
    return found


@contextlib.asynccontextmanager
async def web(scripts: Mapping[str, Script]) -> AsyncIterator[HttpPeer]:
    """One server for all: the first part of the path is the attack."""

    async def script(peer: Peer) -> None:
        await scripts[unquote(peer.request.target.split("/")[1])](peer)

    async with http_peer(script) as server:
        yield server


async def besiege_by_web(scripts: Mapping[str, Script], expected: Mapping[str, str], name: str) -> None:
    """Every attack on an input whose URL ends in ``name``."""
    assert scripts.keys() == expected.keys()
    async with web(scripts) as server:
        urls = {attack: server.url(f"/{quote(attack)}/{name}") for attack in scripts}
        await besiege_all(urls, expected)


async def besiege_all(
    urls: Mapping[str, str], expected: Mapping[str, str], roots: Mapping[str, str] | None = None
) -> None:
    """Inputs at ``urls``, and what they are to say."""
    rows = [
        Row(
            name,
            url,
            expected[name],
            growth_kb=GROWTH_KB.get(name, 20 << 10),
            roots=roots or {},
        )
        for name, url in urls.items()
    ]
    assert_withstood(await besiege(rows))


def following(content_type: bytes, attacks: Mapping[str, tuple[bytes, bytes]]) -> dict[str, Script]:
    """Containers that mean harm, as bodies without end."""
    live = over_http.LIVE % content_type
    return {name: over_http.says(live + begin, follow) for name, (begin, follow) in attacks.items()}


async def test_web_servers() -> None:
    scripts = {**over_http.heads(b"video/mp2t"), **redirecting()}
    await besiege_by_web(scripts, HEADS | REDIRECTS, "live.ts")


async def test_transport_streams_over_http() -> None:
    scripts = {**over_http.media(b"video/mp2t", streams.good()), **over_http.transport_stream_attacks()}
    await besiege_by_web(scripts, MEDIA | TRANSPORT_STREAM, "live.ts")


async def test_flv_over_http() -> None:
    media = over_http.media(b"video/x-flv", other_containers.good_flv())
    scripts = media | following(b"video/x-flv", other_containers.flv_attacks())
    await besiege_by_web(scripts, MEDIA | FLV, "live.flv")


async def test_mp4_and_packed_audio_over_http() -> None:
    scripts = following(b"video/mp4", other_containers.mp4_attacks())
    scripts |= following(b"audio/aac", other_containers.packed_audio_attacks())
    await besiege_by_web(scripts, MP4 | PACKED_AUDIO, "live")


async def test_playlists() -> None:
    await besiege_by_web(playlists.playlist_attacks(), PLAYLISTS, "live.m3u8")


async def test_what_playlists_name() -> None:
    await besiege_by_web(playlists.resource_attacks(), HLS, "live.m3u8")


@pytest.mark.parametrize("name", ["live.ts", "live.m3u8"])
async def test_a_name_of_this_machine_when_private_addresses_are_forbidden(name: str) -> None:
    async with web({}) as server:
        url = server.url(f"/x/{name}", host="localhost")
        assert_withstood(
            await besiege([Row("localhost", url, "private addresses are off", "rejected", private=False)])
        )
        assert not server.connections


async def test_rtmp() -> None:
    async with contextlib.AsyncExitStack() as stack:
        urls = {}
        for name, serve in over_rtmp.attacks().items():
            server = await stack.enter_async_context(raw_server(serve))
            urls[name] = f"rtmp://127.0.0.1:{port_of(server)}/live/x"
        await besiege_all(urls, RTMP)


async def test_udp() -> None:
    attacks = over_udp.attacks()
    ports = [free_port() for _ in attacks]
    targets = {name: (f"127.77.0.{n + 1}", ports[n]) for n, name in enumerate(attacks)}
    flooding = [
        asyncio.get_running_loop().create_task(over_udp.flood(targets[name], attacks[name]))
        for name in attacks
    ]
    try:
        await besiege_all({name: f"udp://{host}:{port}" for name, (host, port) in targets.items()}, UDP)
    finally:
        for task in flooding:
            task.cancel()
        ended = await asyncio.gather(*flooding, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def test_files(tmp_path: Path) -> None:
    attacks: Mapping[str, tuple[str, bytes, int]] = other_containers.file_attacks()
    urls = {}
    for number, (name, (suffix, begin, size_bytes)) in enumerate(attacks.items()):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(begin)
        if size_bytes:
            os.truncate(path, size_bytes)
        urls[name] = f"file://films/{path.name}"
    await besiege_all(urls, FILES, {"films": str(tmp_path)})
