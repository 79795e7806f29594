"""HLS that means harm. An attack answers every request of its presentation; the playlist is ``live.m3u8``."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tests.hostile import other_containers as containers
from tests.hostile import over_http as http
from tests.hostile import transport_streams as streams
from tests.support.http_peer import Peer, Script

HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n"
PLAYLIST = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n"
MIME = "application/vnd.apple.mpegurl"
SEGMENTS = "".join(f"#EXTINF:1,\n{number}.ts\n" for number in range(3))

Answer: TypeAlias = str | Callable[[Peer], Awaitable[None]]


def presentation(playlist: Answer, **others: Answer) -> Script:
    """``live.m3u8`` is ``playlist``; ``others`` are files by stem, ``segment`` is whatever else there is."""

    async def script(peer: Peer) -> None:
        name = peer.request.target.partition("?")[0].rpartition("/")[2]
        answer = (
            playlist if name == "live.m3u8" else others.get(name.partition(".")[0], others.get("segment"))
        )
        if answer is None:
            await peer.respond("404 Not Found")
        elif isinstance(answer, str):
            await peer.respond(body=answer.encode(), Content_Type=MIME)
        else:
            await answer(peer)

    return script


def grows() -> Answer:
    """A live playlist that has a new segment whenever it is asked for, of no duration at all."""
    asked = 0

    async def answer(peer: Peer) -> None:
        nonlocal asked
        asked += 1
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:0\n#EXT-X-MEDIA-SEQUENCE:{asked}\n"
        text += "".join(f"#EXTINF:0.0,\n{asked + number}.ts\n" for number in range(3))
        await peer.respond(body=text.encode(), Content_Type=MIME)

    return answer


def endless_master() -> Answer:
    """Every multivariant playlist names another one."""
    asked = 0

    async def answer(peer: Peer) -> None:
        nonlocal asked
        asked += 1
        body = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{asked}/live.m3u8\n"
        await peer.respond(body=body.encode(), Content_Type=MIME)

    return answer


async def status_503(peer: Peer) -> None:
    """Not now."""
    await peer.respond("503 Service Unavailable")


def to_metadata(peer: Peer) -> Awaitable[None]:
    """A redirect to the credentials of the machine."""
    return peer.respond("302 Found", Location="http://169.254.169.254/latest/meta-data/")


def nesting_variables() -> str:
    """Variables of variables: 10 GB when they are replaced."""
    lines = ['#EXT-X-DEFINE:NAME="a0",VALUE="' + "x" * 8000 + '"']
    lines += [f'#EXT-X-DEFINE:NAME="a{n}",VALUE="{f"{{$a{n - 1}}}" * 2}"' for n in range(1, 60)]
    return HEAD + "\n".join(lines) + "\n#EXTINF:1,\n{$a59}.ts\n"


def playlist_attacks() -> dict[str, Script]:
    """Attacks with the playlist itself."""
    say = http.says
    return {
        "10^6 lines": say(PLAYLIST + HEAD.encode(), b"#EXTINF:1,\na.ts\n" * 4096),
        "10^6 empty lines": say(PLAYLIST + HEAD.encode(), b"\n" * 65536),
        "one line of 50 MB": say(PLAYLIST + HEAD.encode(), b"x" * 65536),
        "10^6 variants": say(PLAYLIST + b"#EXTM3U\n", b"#EXT-X-STREAM-INF:BANDWIDTH=1\na\n" * 2048),
        "10^6 renditions": say(
            PLAYLIST + b"#EXTM3U\n", b'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n"\n' * 2048
        ),
        "10^6 parts": say(
            PLAYLIST + HEAD.encode() + b"#EXT-X-PART-INF:PART-TARGET=1\n",
            b'#EXT-X-PART:URI="a",DURATION=1\n' * 2048,
        ),
        "10^6 variables": say(PLAYLIST + HEAD.encode(), b'#EXT-X-DEFINE:NAME="a",VALUE="b"\n' * 2048),
        "a line of attributes": say(PLAYLIST + HEAD.encode() + b"#EXT-X-KEY:", b"A=1," * 16384),
        "a dripping playlist": http.drips(PLAYLIST, HEAD.encode() + b"#EXTINF:1,\na.ts\n" * 100),
        "masters that name masters": presentation(endless_master()),
        "variables of variables": presentation(nesting_variables()),
        "a gzip bomb": http.packed("gzip", MIME),
        "a deflate bomb": http.packed("deflate", MIME),
        "a brotli bomb": http.packed("br", MIME),
        "a playlist that always grows": presentation(grows(), segment=status_503),
        "times beyond all numbers": presentation(
            "#EXTM3U\n#EXT-X-TARGETDURATION:1e308\n#EXT-X-MEDIA-SEQUENCE:" + "9" * 4000 + "\n" + SEGMENTS,
            segment=status_503,
        ),
        "a segment at the metadata address": presentation(
            HEAD + "#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data\n"
        ),
        "a variant at the metadata address": presentation(
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://[fd00:ec2::254]/latest/meta-data\n"
        ),
        "a key at the metadata address": presentation(
            HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="http://169.254.169.254/"\n' + SEGMENTS
        ),
        "a map that redirects to the metadata address": presentation(
            HEAD + '#EXT-X-MAP:URI="map.mp4"\n' + SEGMENTS, map=to_metadata
        ),
        "a file of this machine": presentation(HEAD + "#EXTINF:1,\nfile:///etc/passwd\n"),
    }


def resource_attacks() -> dict[str, Script]:
    """Attacks with what the playlist names."""
    listed = HEAD + SEGMENTS
    keyed = HEAD + '#EXT-X-KEY:METHOD=AES-128,URI="key.bin"\n' + SEGMENTS
    mapped = HEAD + '#EXT-X-MAP:URI="map.mp4"\n' + SEGMENTS
    media = b"HTTP/1.1 200 OK\r\n\r\n"
    found = {
        "a key without end": presentation(keyed, key=http.says(media, bytes(65536)), segment=status_503),
        "a dripping key": presentation(keyed, key=http.drips(media, bytes(64)), segment=status_503),
        "a key of 64 MB": presentation(keyed, key=_sized(64 << 20), segment=status_503),
        "a map without end": presentation(mapped, map=http.says(media, bytes(65536)), segment=status_503),
        "a dripping map": presentation(mapped, map=http.drips(media, bytes(64)), segment=status_503),
        "segments of garbage": presentation(listed, segment=http.says(media, bytes(65536))),
        "segments that drip": presentation(listed, segment=http.drips(media, streams.good())),
        "segments packed in gzip": presentation(listed, segment=http.packed("gzip", "video/mp2t")),
        "segments that are not there": presentation(listed),
        "segments without end": presentation(listed, segment=http.says(media, streams.good())),
        "segments that redirect for ever": presentation(
            listed, segment=http.redirects(lambda target: target + "x")
        ),
        "10^5 PIDs": presentation(listed, segment=http.says(media, streams.every_pid())),
        "tables that change": presentation(listed, segment=http.says(media, streams.changing_tables())),
        "32 endless PES packets": presentation(
            listed, segment=http.says(media + streams.endless_pes(32)[0], streams.endless_pes(32)[1])
        ),
    }
    for name, (begin, follow) in containers.packed_audio_attacks().items():
        found[f"packed audio: {name}"] = presentation(listed, segment=http.says(media + begin, follow))
    for name, (begin, follow) in containers.mp4_attacks().items():
        found[f"fMP4: {name}"] = presentation(listed, segment=http.says(media + begin, follow))
    return found


def _sized(size: int) -> Answer:
    async def answer(peer: Peer) -> None:
        await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size >> 16):
            await peer.send(bytes(65536))
            await asyncio.sleep(0)

    return answer
