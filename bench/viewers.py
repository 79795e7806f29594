"""HLS viewers in numbers, as players behave but without playing.

    python -m bench.viewers HOST:PORT CODE --kind classic|ll --count N

``classic``: each track's playlist once per target duration, each segment once. ``ll``: blocking reloads with
delta updates, and each part once. Every track has a kept-alive connection. Viewers begin spread over one
segment. Prints one line of JSON once all of them play, and one when it is ended by SIGTERM.
"""

import argparse
import asyncio
import json
import random
import re
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import uvloop

from bench.http_client import Answer, HttpConnection, read_buffer

SPREAD_S = 2.0
VIEWERS_PER_ADDRESS = 100  # the server bounds the connections of one address
START_BEHIND_SEGMENTS = 3  # where classic players begin, counted from the end
_SEGMENT = re.compile(r"^[a-z]+_(\d+)\.m4s$", re.MULTILINE)
_PART = re.compile(r'^#EXT-X-PART:.*URI="(([a-z]+)_(\d+)\.(\d+)\.m4s)"', re.MULTILINE)
_HINT = re.compile(r'^#EXT-X-PRELOAD-HINT:.*URI="[a-z]+_(\d+)\.(\d+)\.m4s"', re.MULTILINE)
_TARGET = re.compile(r"^#EXT-X-TARGETDURATION:(\d+)", re.MULTILINE)


@dataclass(slots=True)
class Totals:
    """What all viewers did."""

    playlists: int = 0
    unchanged: int = 0
    media: int = 0
    received_bytes: int = 0
    missed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


class TrackViewer:
    """One track of one viewer."""

    def __init__(self, connection: HttpConnection, base: str, kind: str, totals: Totals) -> None:
        self._connection = connection
        self._base = base
        self._kind = kind
        self._totals = totals
        self.plays = asyncio.Event()

    async def watch_classic(self) -> None:
        """Reload after a target duration, or half of it when nothing was new (rfc8216 section 6.3.4)."""
        next_msn: int | None = None
        while True:
            began_s = time.monotonic()
            text = await self._playlist("")
            msns = [int(msn) for msn in _SEGMENT.findall(text)]
            if next_msn is None:
                next_msn = msns[-START_BEHIND_SEGMENTS:][0]
            self._totals.missed += max(0, msns[0] - next_msn)
            fresh = [msn for msn in msns if msn >= next_msn]
            for msn in fresh:
                await self._media(f"{self._kind}_{msn}.m4s")
            self._totals.unchanged += not fresh
            if fresh:
                next_msn = fresh[-1] + 1
                self.plays.set()
            target = _TARGET.search(text)
            wait_s = float(target[1]) if target else SPREAD_S
            wait_s = wait_s if fresh else wait_s / 2
            await asyncio.sleep(max(0.0, began_s + wait_s - time.monotonic()))

    async def watch_parts(self) -> None:
        """Ask for the playlist that has the next part, then for what is new in it."""
        text = await self._playlist("")
        seen = max((int(msn), int(part)) for _, _, msn, part in _PART.findall(text))
        while True:
            hint = _HINT.search(text)
            msn, part = (hint[1], hint[2]) if hint else (str(seen[0] + 1), "0")
            text = await self._playlist(f"?_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES")
            for name, _, msn, part in _PART.findall(text):
                at = int(msn), int(part)
                if at > seen:
                    await self._media(name)
                    seen = at
                    self.plays.set()

    async def _playlist(self, query: str) -> str:
        self._totals.playlists += 1
        answer = await self._connection.get(f"{self._base}{self._kind}.m3u8{query}", keep=True)
        self._count(answer)
        return answer.body.decode()

    async def _media(self, name: str) -> None:
        self._totals.media += 1
        self._count(await self._connection.get(self._base + name, keep=False))

    def _count(self, answer: Answer) -> None:
        self._totals.statuses[answer.status] += 1
        self._totals.received_bytes += answer.length
        if answer.status != 200:
            raise ConnectionError(f"the server answered {answer.status}")


async def watch(host: str, port: int, code: str, kind: str, count: int) -> Totals:
    """Until SIGTERM."""
    totals = Totals()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    buffer = read_buffer()
    async with asyncio.TaskGroup() as group:
        tracks: list[TrackViewer] = []
        tasks = []
        for number in range(count):
            local = f"127.0.1.{1 + number // VIEWERS_PER_ADDRESS}"
            for track in ("video", "audio"):
                connection = await HttpConnection.connect(host, port, buffer, local)
                viewer = TrackViewer(connection, f"/{code}/", track, totals)
                tracks.append(viewer)
                tasks.append(group.create_task(_begin(viewer, kind, random.uniform(0, SPREAD_S))))
        for viewer in tracks:
            await viewer.plays.wait()
        began = {name: getattr(totals, name) for name in ("playlists", "media", "received_bytes")}
        began_s = time.monotonic()
        say(playing=count)
        await stopping.wait()
        for task in tasks:
            task.cancel()
        duration_s = time.monotonic() - began_s
        per_viewer_s = duration_s * count
        say(
            playlists_per_viewer_s=(totals.playlists - began["playlists"]) / per_viewer_s,
            media_per_viewer_s=(totals.media - began["media"]) / per_viewer_s,
            kbps_per_viewer=(totals.received_bytes - began["received_bytes"]) * 8 / 1000 / per_viewer_s,
            unchanged=totals.unchanged,
            missed=totals.missed,
        )
    return totals


async def _begin(viewer: TrackViewer, kind: str, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await (viewer.watch_classic() if kind == "classic" else viewer.watch_parts())


def say(**values: float) -> None:
    """One line for whoever started this process."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("code")
    parser.add_argument("--kind", choices=("classic", "ll"), default="classic")
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    host, _, port = options.address.rpartition(":")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watch(host, int(port), options.code, options.kind, options.count))


if __name__ == "__main__":
    main()
