"""A low-latency player without a decoder: follows media playlists by blocking reloads, as hls.js does,
fetches every part when it is hinted at, and lets the strict checker look at each answer.

python -m tests.support.hls_follower http://host/code 300
"""

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.hls_checker import HlsChecker
from tests.support.hls_playlist import MediaPlaylist, parse

PATIENCE_S = 30.0
DELTA_EVERY = 3  # of the reloads, this one asks for a delta update


@dataclass
class Followed:
    """What was seen of one playlist. ``failures`` says what was not as promised, in words."""

    name: str
    reloads: int = 0
    delta_updates: int = 0
    compressed: int = 0
    parts: dict[str, bytes] = field(default_factory=dict)
    compared: list[int] = field(default_factory=list)  # segments, by number, that were held to their parts
    # Segments whose parts came and went (6.2.2: after three target durations) while this machine kept the
    # follower for longer than two: since it asked for the playlist that it saw before.
    missed: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def segments_compared(self) -> int:
        return len(self.compared)


class HlsFollower:
    """Follows playlists of one stream; ``stream_url`` is what they are below."""

    def __init__(self, stream_url: str, checker: HlsChecker | None = None, **client: Any) -> None:
        self.checker = checker or HlsChecker()
        self._client = httpx.AsyncClient(base_url=f"{stream_url}/", timeout=PATIENCE_S, **client)

    async def follow(self, *names: str, seconds: float) -> list[Followed]:
        """Follow ``names`` at the same time, after a look at the multivariant playlist."""
        async with self._client, asyncio.TaskGroup() as group:
            index = (await self._client.get("index.m3u8")).raise_for_status().text
            self.checker.feed("index.m3u8", asyncio.get_running_loop().time(), index)
            tasks = [group.create_task(self._follow(name, seconds)) for name in names]
        self.checker.finish()
        return [task.result() for task in tasks]

    async def _follow(self, name: str, seconds: float) -> Followed:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        seen = Followed(name)
        playlist, answer = await self._reload(seen, {})
        asked_s = loop.time()
        while loop.time() < until_s:
            asked_before_s, asked_s = asked_s, loop.time()
            msn, part = _next_part(playlist)
            query = {"_HLS_msn": str(msn), "_HLS_part": str(part)}
            if seen.reloads % DELTA_EVERY == 0:
                query["_HLS_skip"] = "YES"
            (playlist, answer), _ = await asyncio.gather(
                self._reload(seen, query), self._fetch_hinted(seen, playlist)
            )
            seen.delta_updates += playlist.skipped > 0
            seen.compressed += answer.headers.get("content-encoding") == "gzip"
            if playlist.newest < (msn, part):
                seen.failures.append(f"asked for {msn}.{part}, answered with {playlist.newest}")
            held_up = loop.time() - asked_before_s > 2 * playlist.target_duration_s
            await self._compare(seen, playlist, held_up=held_up)
        return seen

    async def _reload(self, seen: Followed, query: dict[str, str]) -> tuple[MediaPlaylist, httpx.Response]:
        loop = asyncio.get_running_loop()
        asked_s = loop.time()
        answer = await self._client.get(seen.name, params=query)
        answer.raise_for_status()
        seen.reloads += 1
        self.checker.feed(seen.name, loop.time(), answer.text, asked_s=asked_s)
        return parse(answer.text), answer

    async def _fetch_hinted(self, seen: Followed, playlist: MediaPlaylist) -> None:
        """The next part, before it is there: the answer comes with it."""
        await self._part(seen, next(hint["URI"] for hint in playlist.hints if hint["TYPE"] == "PART"))

    async def _compare(self, seen: Followed, playlist: MediaPlaylist, *, held_up: bool) -> None:
        """A complete segment is its parts, one after the other. Those that were never the hinted one, since
        two came between two reloads, are fetched now."""
        for segment in playlist.segments:
            if segment.uri is None or segment.msn <= max([*seen.compared, *seen.missed], default=-1):
                continue
            if not segment.parts:
                if held_up and seen.compared:
                    seen.missed.append(segment.msn)
                continue
            parts = [await self._part(seen, part.uri) for part in segment.parts]
            answer = await self._client.get(segment.uri)
            seen.compared.append(segment.msn)
            if answer.content != b"".join(parts):
                seen.failures.append(f"{segment.uri} is not its parts")

    async def _part(self, seen: Followed, uri: str) -> bytes:
        if uri not in seen.parts:
            answer = await self._client.get(uri)
            if answer.status_code != 200:
                seen.failures.append(f"the part {uri} was {answer.status_code}")
                return b""
            seen.parts[uri] = answer.content
        return seen.parts[uri]


def _next_part(playlist: MediaPlaylist) -> tuple[int, int]:
    """What a player asks for next: the part after the newest."""
    if playlist.growing is not None:
        return playlist.growing.msn, len(playlist.growing.parts)
    return playlist.segments[-1].msn + 1, 0


def main() -> None:
    """Follow a stream and say what was seen."""
    follower = HlsFollower(sys.argv[1])
    for seen in asyncio.run(follower.follow("video.m3u8", "audio.m3u8", seconds=float(sys.argv[2]))):
        print(
            f"{seen.name}: {seen.reloads} reloads, {seen.delta_updates} of them delta updates,"
            f" {len(seen.parts)} parts, {seen.segments_compared} segments compared,"
            f" {len(seen.failures)} failures {seen.failures[:5]}"
        )
    print(
        f"{follower.checker.playlists_checked} playlists checked, problems: {follower.checker.problems[:10]}"
    )


if __name__ == "__main__":
    main()
