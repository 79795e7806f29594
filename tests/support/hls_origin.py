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

from openstreamer.access.egress import EgressGuard
from openstreamer.config.input_urls import HttpInput
from openstreamer.config.models import Input
from openstreamer.sources.hls import HlsLimits, HlsSource
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
    url: str, *, speed: float = 1.0, limits: HlsLimits | None = None, private: bool = True, **said: object
) -> HlsSource:
    """The source of an HLS input."""
    chosen = Input.model_validate({"url": url, **said})
    http = chosen.parsed_url
    assert isinstance(http, HttpInput)
    return HlsSource(Outbound(EgressGuard(lambda: private)), http, chosen, limits=limits, speed=speed)


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
