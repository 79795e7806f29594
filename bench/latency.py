"""How long a frame takes from the publisher's ``send`` to the answer of a blocking playlist reload.

A part ends with the bytes of its last frame; by them the tag is found whose time of sending the publisher
keeps in a file. Times are the monotonic clock's, which all processes share.
"""

import asyncio
import mmap
import re
import struct
from collections.abc import Sequence
from pathlib import Path

from bench.clip import Clip
from bench.http_client import Answer, HttpConnection, read_buffer

_KEY_BYTES = 48
_PART = re.compile(r'^#EXT-X-PART:.*URI="video_(\d+)\.(\d+)\.m4s"', re.MULTILINE)
_HINT = re.compile(r'^#EXT-X-PRELOAD-HINT:.*URI="video_(\d+)\.(\d+)\.m4s"', re.MULTILINE)


def latencies_ms(address: str, code: str, clip: Clip, times: Path, duration_s: float) -> list[float]:
    """The latency of each video part of ``code`` for ``duration_s``, from the sending of its last frame."""
    host, _, port = address.rpartition(":")
    return asyncio.run(_follow(host, int(port), f"/{code}/", clip, times, duration_s))


async def _follow(host: str, port: int, base: str, clip: Clip, times: Path, duration_s: float) -> list[float]:
    tag_of = {tag.payload[-_KEY_BYTES:]: number for number, tag in enumerate(clip.tags) if tag.is_video}
    found: list[float] = []
    with times.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as sent:
        connection = await HttpConnection.connect(host, port, read_buffer())
        loop = asyncio.get_running_loop()
        end_s = loop.time() + duration_s
        playlist = await connection.get(base + "video.m3u8", keep=True)
        while loop.time() < end_s:
            playlist = await _reload(connection, base, playlist)
            msn, part = _PART.findall(playlist.body.decode())[-1]
            media = await connection.get(f"{base}video_{msn}.{part}.m4s", keep=True)
            tag = tag_of[media.body[-_KEY_BYTES:]]
            sent_ns = struct.unpack_from("=q", sent, 8 * tag)[0]
            found.append((playlist.arrived_ns - sent_ns) / 1e6)
        connection.close()
    return found


async def _reload(connection: HttpConnection, base: str, before: Answer) -> Answer:
    hint = _HINT.search(before.body.decode())
    if hint is None:
        raise ValueError("the playlist hints at no next part")
    answer = await connection.get(f"{base}video.m3u8?_HLS_msn={hint[1]}&_HLS_part={hint[2]}", keep=True)
    if answer.status != 200:
        raise ConnectionError(f"the server answered {answer.status} to a blocking reload")
    return answer


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that is at least as large as ``percent`` of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
