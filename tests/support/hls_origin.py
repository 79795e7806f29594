"""HLS presentations that ffmpeg made, and a server for them that can be told to misbehave."""

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl

from openstreamer.access.egress import EgressGuard
from openstreamer.config.input_urls import HttpInput
from openstreamer.config.models import Input
from openstreamer.sources.hls import HlsLimits, HlsMemory, HlsSource
from openstreamer.sources.outbound import Outbound
from tests.support.http_peer import HttpPeer, Peer, http_peer

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-sc_threshold", "0")
KEY = bytes(range(16))

Answer: TypeAlias = bytes | Callable[[Peer], Awaitable[None]]


@cache
def make_hls(
    *options: str, seconds: float = 4, segment_s: float = 1, rate: int = 25, encrypted: bool = False
) -> dict[str, bytes]:
    """The files of a complete presentation by name: ``index.m3u8``, its segments, and with
    ``-var_stream_map`` among ``options`` whatever they name."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        command = [
            *("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"),
            *("-f", "lavfi", "-i", f"testsrc2=size=160x96:rate={rate}:duration={seconds}"),
            *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"),
            *(*X264, "-g", str(int(rate * segment_s)), "-c:a", "aac", "-b:a", "64k"),
            *("-f", "hls", "-hls_time", str(segment_s), "-hls_list_size", "0"),
        ]
        if encrypted:
            (path / "key.bin").write_bytes(KEY)
            (path / "key.info").write_text("key.bin\nkey.bin\n")
            command += ["-hls_key_info_file", "key.info"]
        mapped = "-var_stream_map" in options
        name = "%v_" if mapped else ""
        suffix = "m4s" if "fmp4" in options else "ts"
        command += [*options, "-hls_segment_filename", f"{name}%d.{suffix}"]
        done = subprocess.run(
            [*command, f"{name}index.m3u8"], cwd=path, capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return {each.name: each.read_bytes() for each in path.iterdir()}


@dataclass
class HlsOrigin:
    """Serves ``files`` by path; what ``answers`` has for a path is used up first."""

    files: dict[str, bytes]
    answers: dict[str, list[Answer | str]] = field(default_factory=dict)
    hanging: bool = False
    peer: HttpPeer | None = None

    @property
    def asked(self) -> list[str]:
        """Paths and queries in the order they were asked for."""
        assert self.peer is not None
        return [request.target.removeprefix("/") for request in self.peer.requests]

    def url(self, path: str = "index.m3u8") -> str:
        assert self.peer is not None
        return self.peer.url(f"/{path}")

    async def script(self, peer: Peer) -> None:
        if self.hanging:
            await peer.hang()
            return
        path = peer.request.target.partition("?")[0].removeprefix("/")
        prepared = self.answers.get(path)
        if prepared:
            answer = prepared.pop(0)
            if isinstance(answer, str):
                await peer.respond(answer)
            elif isinstance(answer, bytes):
                await peer.respond(body=answer)
            else:
                await answer(peer)
            return
        await self.serve(peer, path)

    async def serve(self, peer: Peer, path: str) -> None:
        body = self.files.get(path)
        if body is None:
            await peer.respond("404 Not Found")
            return
        wanted = peer.request.headers.get("range", "").removeprefix("bytes=")
        if wanted:
            first, _, last = wanted.partition("-")
            part = body[int(first) : int(last) + 1]
            span = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
            await peer.respond("206 Partial Content", part, Content_Range=span)
            return
        await peer.respond(body=body)


@asynccontextmanager
async def serving(origin: HlsOrigin) -> AsyncIterator[HlsOrigin]:
    """The origin on loopback."""
    async with http_peer(origin.script) as peer:
        origin.peer = peer
        yield origin


def pull(
    url: str,
    *,
    speed: float = 1.0,
    limits: HlsLimits | None = None,
    memory: HlsMemory | None = None,
    private: bool = True,
    **said: object,
) -> HlsSource:
    """The source of an HLS input."""
    chosen = Input.model_validate({"url": url, **said})
    http = chosen.parsed_url
    assert isinstance(http, HttpInput)
    outbound = Outbound(EgressGuard(lambda: private))
    return HlsSource(outbound, http, chosen, limits=limits, memory=memory, speed=speed)


class LiveOrigin(HlsOrigin):
    """A live stream of the segments of a complete one: ``rate`` times as fast as real time, for as long as
    there are segments; the first ``ready`` of them are there from the beginning."""

    def __init__(self, files: dict[str, bytes], *, segment_s: float, rate: float, ready: int) -> None:
        super().__init__(dict(files))
        self._names = sorted((n for n in files if n.endswith((".ts", ".m4s"))), key=_number_of)
        self._segment_s = segment_s
        self._rate = rate
        self._ready = ready
        self._since_s = asyncio.get_running_loop().time()
        self._ended_at: int | None = None

    @property
    def available(self) -> int:
        """How many segments there are now."""
        passed_s = asyncio.get_running_loop().time() - self._since_s
        count = self._ready + int(passed_s * self._rate / self._segment_s)
        return min(count, len(self._names)) if self._ended_at is None else self._ended_at

    def end(self) -> None:
        """The live stream is over."""
        self._ended_at = self.available

    async def serve(self, peer: Peer, path: str) -> None:
        if path == "index.m3u8":
            await peer.respond(body=self.playlist().encode())
        else:
            await super().serve(peer, path)

    def playlist(self, listed: int = 20) -> str:
        end = self.available
        first = max(0, end - listed)
        lines = [
            *("#EXTM3U", f"#EXT-X-TARGETDURATION:{self._segment_s}", f"#EXT-X-MEDIA-SEQUENCE:{first}"),
            *(f"#EXTINF:{self._segment_s},\n{name}" for name in self._names[first:end]),
            *(("#EXT-X-ENDLIST",) if self._ended_at is not None else ()),
        ]
        return "\n".join(lines) + "\n"


def _number_of(name: str) -> int:
    return int(name.partition(".")[0])


class LowLatencyOrigin(HlsOrigin):
    """A live stream in parts, with blocking reloads, delta updates and hints that can be fetched.

    The parts are the files of a presentation cut by time; ``parts`` of them make a segment. The first
    ``ready`` are there at once, each further one ``part_s / rate`` seconds later; with ``rate`` None it is
    there when somebody who took all others waits for it, however long that takes. Parts are listed for the
    growing segment and the one before it.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        *,
        part_s: float,
        parts: int,
        rate: float | None,
        ready: int,
        hints: bool = True,
    ) -> None:
        super().__init__({"init.mp4": files["init.mp4"]})
        self._parts = [
            files[name] for name in sorted((n for n in files if n.endswith(".m4s")), key=_number_of)
        ]
        self._part_s = part_s
        self._per_segment = parts
        self._rate = rate
        self._ready = ready
        self._hints = hints
        self._since_s = asyncio.get_running_loop().time()
        self._taken = 0  # as many parts as there are, when the newest was asked for
        self._newest_taken = asyncio.Condition()

    @property
    def available(self) -> int:
        """How many parts there are now."""
        if self._rate is None:
            return self._ready
        passed_s = asyncio.get_running_loop().time() - self._since_s
        return min(self._ready + int(passed_s * self._rate / self._part_s), len(self._parts))

    async def wait_for(self, part: int) -> None:
        """Until this part is there; the last one is followed by silence."""
        if part >= len(self._parts):
            await asyncio.get_running_loop().create_future()
        if self._rate is None:
            self._ready = max(self._ready, part + 1)
            return
        at_s = self._since_s + (part + 1 - self._ready) * self._part_s / self._rate + 0.001
        await asyncio.sleep(max(0.0, at_s - asyncio.get_running_loop().time()))

    async def _wait_to_list(self, part: int) -> None:
        if self._rate is None and part >= self._ready:
            async with self._newest_taken:
                await self._newest_taken.wait_for(lambda: part < self._ready or self._taken >= self._ready)
        await self.wait_for(part)

    async def serve(self, peer: Peer, path: str) -> None:
        if path == "index.m3u8":
            query = dict(parse_qsl(peer.request.target.partition("?")[2]))
            if "_HLS_msn" in query:
                wanted = int(query["_HLS_msn"]) * self._per_segment + int(query.get("_HLS_part", 0))
                if wanted > self.available + 2 * self._per_segment:
                    await peer.respond("400 Bad Request")
                    return
                await self._wait_to_list(wanted)
            await peer.respond(body=self.playlist(delta="_HLS_skip" in query).encode())
            return
        numbers = path.removeprefix("s").removesuffix(".m4s").split(".")
        if path == "init.mp4" or not numbers[0].isdigit():
            await super().serve(peer, path)
            return
        first = int(numbers[0]) * self._per_segment
        wanted = range(first, first + self._per_segment)
        if len(numbers) == 2:
            wanted = range(first + int(numbers[1]), first + int(numbers[1]) + 1)
            if not self._hints and wanted[0] >= self.available:
                await peer.respond("404 Not Found")
                return
        await self.wait_for(wanted[-1])
        async with self._newest_taken:
            self._taken = max(self._taken, wanted[-1] + 1)
            self._newest_taken.notify_all()
        await peer.respond(body=b"".join(self._parts[number] for number in wanted))

    def playlist(self, *, delta: bool) -> str:
        complete, growing = divmod(self.available, self._per_segment)
        segment_s = self._part_s * self._per_segment
        lines = [
            *("#EXTM3U", f"#EXT-X-TARGETDURATION:{segment_s}", f"#EXT-X-PART-INF:PART-TARGET={self._part_s}"),
            f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={6 * segment_s},"
            f"PART-HOLD-BACK={3 * self._part_s}",
        ]
        skipped = max(0, complete - 6) if delta else 0
        lines += [f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"] if skipped else ['#EXT-X-MAP:URI="init.mp4"']
        for msn in range(skipped, complete):
            if msn == complete - 1:
                lines += [self._part_line(msn, index) for index in range(self._per_segment)]
            lines += [f"#EXTINF:{segment_s},", f"s{msn}.m4s"]
        lines += [self._part_line(complete, index) for index in range(growing)]
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="s{complete}.{growing}.m4s"')
        return "\n".join(lines) + "\n"

    def _part_line(self, msn: int, index: int) -> str:
        independent = ",INDEPENDENT=YES" if index == 0 else ""
        return f'#EXT-X-PART:DURATION={self._part_s},URI="s{msn}.{index}.m4s"{independent}'
