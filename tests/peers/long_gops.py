"""Sources with key frames ten seconds apart, joined in between and cut: ``python -m tests.peers.long_gops``.

Each comes from ffmpeg or nginx-rtmp. HTTP goes through a relay that passes on what is live, as a server that
remembers nothing does, and cuts all its connections when it is told to. Prints one line per source.
"""

import argparse
import contextlib
import http.client
import random
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers.originals import make_originals
from tests.peers.site import Site, free_port, running_site
from tests.support.container_files import run_ffmpeg
from tests.support.server import Server, peer, running_server, until

RATE = 25
LEAST_S, MOST_S = 10.5, 18.0  # between two cuts: within 10 s of a connection, a second one is told
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close sends a reset
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"


class Relay:
    """Passes on what an HTTP server sends, to everybody who is connected at that moment."""

    def __init__(self, origin_port: int) -> None:
        self._origin_port = origin_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.port = int(self._listener.getsockname()[1])

    @contextlib.contextmanager
    def running(self) -> Iterator["Relay"]:
        """Relay as long as the block."""
        threads = [threading.Thread(target=run) for run in (self._feed, self._accept)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()
            self.cut()
            self._listener.close()

    def cut(self) -> int:
        """Reset every connection; returns how many there were."""
        with self._lock:
            cut = len(self._clients)
            for client in self._clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                client.close()
            self._clients.clear()
        return cut

    def _feed(self) -> None:
        origin = http.client.HTTPConnection("127.0.0.1", self._origin_port, timeout=10)
        origin.request("GET", "/live.ts")
        answer = origin.getresponse()
        while not self._stopped.is_set() and (data := answer.read1(1 << 16)):
            with self._lock:
                for client in list(self._clients):
                    try:
                        client.sendall(data)
                    except OSError:
                        self._clients.discard(client)
                        client.close()
        origin.close()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            if not select.select([self._listener], [], [], 0.2)[0]:
                continue
            client, _ = self._listener.accept()
            client.settimeout(5)
            client.recv(4096)
            client.sendall(HEAD)
            with self._lock:
                self._clients.add(client)


@dataclass
class Watched:
    """What was seen of one stream."""

    server: Server
    code: str
    began_s: float = field(default_factory=time.monotonic)
    first_after_s: float | None = None
    first_kinds: tuple[str, ...] = ()
    longest_age_s: float = 0.0
    input: dict[str, Any] = field(default_factory=dict)

    def look(self) -> None:
        """At its input, once."""
        self.input = self.server.runtime(self.code)["inputs"][0]
        if (age_s := self.input.get("last_frame_age_sec")) is None:
            return
        if self.first_after_s is None:
            self.first_after_s = time.monotonic() - self.began_s
            self.first_kinds = tuple(track["kind"] for track in self.input["tracks"])
        self.longest_age_s = max(self.longest_age_s, age_s)

    def line(self, name: str, more: str = "") -> str:
        """What to print."""
        answer = self.server.get(f"/{self.code}/index.m3u8").text
        media = next(line for line in answer.splitlines() if line and line[0] != "#")
        listed = self.server.get(f"/{self.code}/{media}").text.splitlines()
        first = f"{self.first_after_s:.1f} s" if self.first_after_s is not None else "never"
        errors = [error["message"] for error in self.input["errors"]]
        return (
            f"{name}: first frame after {first}, {'+'.join(self.first_kinds) or 'nothing'}; "
            f"{self.input['reconnects']} reconnects, longest without a frame {self.longest_age_s:.1f} s, "
            f"{listed.count('#EXT-X-DISCONTINUITY')} discontinuities, errors {errors}{more}"
        )


def watch(watched: list[Watched], seconds: float) -> None:
    """Look at all of them until the time is over."""
    until_s = time.monotonic() + seconds

    def look() -> bool:
        for each in watched:
            each.look()
        return time.monotonic() >= until_s

    until(look, "the time is over", seconds + 60)


def pulled(server: Server, code: str, url: str) -> Watched:
    """A new stream with this input."""
    server.put_stream(code, inputs=[{"url": url, "priority": 0}])
    return Watched(server, code)


def sent(clip: Path, *to: str) -> tuple[str, ...]:
    """The command that sends a clip again and again in real time. Of MP4: of MPEG-TS ffmpeg leaves out the
    first GOP of each pass but the first."""
    again = ("-re", "-stream_loop", "-1", "-i", str(clip), "-c", "copy")
    return ("ffmpeg", "-hide_banner", "-loglevel", "error", *again, *to)


def cuts(site: Site, server: Server, clip: Path, gop_s: int, count: int) -> str:
    """HTTP, cut at random moments."""
    origin = free_port()
    url = f"http://127.0.0.1:{origin}/live.ts"
    log = site.directory / f"http{gop_s}.log"
    with peer(*sent(clip, "-f", "mpegts", "-listen", "1", url), log=log):
        until(lambda: _listens(origin), "ffmpeg listens")
        with Relay(origin).running() as relay:
            watched = pulled(server, f"cut{gop_s}", f"http://127.0.0.1:{relay.port}/live.ts")
            watch([watched], gop_s + 3)
            moments = random.Random(gop_s)
            cut = 0
            for _ in range(count):
                watch([watched], moments.uniform(LEAST_S, MOST_S))
                cut += relay.cut()
            watch([watched], gop_s + 3)
            return watched.line(f"HTTP-TS, GOP {gop_s} s", f", {cut} cuts")


def restarts(site: Site, server: Server, clip: Path, count: int) -> str:
    """HTTP of an ffmpeg that is killed and begins anew: so does its clock."""
    url = f"http://127.0.0.1:{free_port()}/live.ts"
    command = sent(clip, "-f", "mpegts", "-listen", "1", url)
    watched: Watched | None = None
    for _ in range(count + 1):
        with peer(*command, log=site.directory / "restarts.log"):
            watched = watched or pulled(server, "restarts", url)
            watch([watched], LEAST_S + 1.5)  # it takes a while to be there again
    assert watched is not None
    return watched.line("HTTP-TS, GOP 2 s, its server restarted", f", {count} restarts")


def joins(site: Site, server: Server, clip: Path, count: int) -> list[str]:
    """RTMP of nginx and HLS of ffmpeg, joined at moments that are spread over a GOP."""
    lists = site.root / "long"
    lists.mkdir()
    hls = ("-f", "hls", "-hls_time", "10", "-hls_list_size", "4", "-hls_flags", "delete_segments")
    rtmp = site.rtmp("live/long")
    with (
        peer(*sent(clip, "-f", "flv", rtmp), log=site.directory / "rtmp.log"),
        peer(*sent(clip, *hls, str(lists / "index.m3u8")), log=site.directory / "hls.log"),
    ):
        until((lists / "index.m3u8").exists, "ffmpeg wrote a playlist", 60)
        lines = []
        for n in range(count):
            watch([], 10 * n / count)
            watched = [
                pulled(server, f"rtmp{n}", rtmp),
                pulled(server, f"hls{n}", site.http("long/index.m3u8")),
            ]
            watch(watched, 16.3)
            lines += [each.line(name) for each, name in zip(watched, ("RTMP", "HLS"), strict=True)]
        return lines


def probed(site: Site, server: Server, clip: Path) -> list[str]:
    """What the command line says of RTMP, joined behind a key frame: the server has had it."""
    rtmp = site.rtmp("live/probed")
    with peer(*sent(clip, "-f", "flv", rtmp), log=site.directory / "probed.log"):
        watched = pulled(server, "probed", rtmp)

        def has_begun() -> bool:
            watched.look()
            return watched.first_after_s is not None

        until(has_begun, "the first key frame")
        said = subprocess.run(
            ("openstreamer", "probe", rtmp), capture_output=True, text=True, timeout=60, check=False
        )
    return ["probe of RTMP:", *said.stdout.splitlines()[1:]]


def _listens(port: int) -> bool:
    state = f"0100007F:{port:04X} 00000000:0000 0A"
    return state in Path("/proc/net/tcp").read_text()


def main() -> None:
    """Run all of it and print."""
    parser = argparse.ArgumentParser(prog="long_gops", description=__doc__)
    parser.add_argument("--cuts", type=int, default=12, help="of each HTTP source (12)")
    parser.add_argument("--joins", type=int, default=5, help="of RTMP and HLS each (5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="openstreamer-gops-") as temporary:
        directory = Path(temporary)
        clips = {gop_s: directory / f"{gop_s}.mp4" for gop_s in (2, 4, 10)}
        for gop_s, clip in clips.items():
            make_clip(clip, gop_s)
        originals = make_originals(directory / "originals", 2)
        with (
            running_site(directory, originals) as site,
            running_server(directory / "server", "--no-demo") as server,
            ThreadPoolExecutor() as pool,
        ):
            asked = [pool.submit(cuts, site, server, clips[gop_s], gop_s, options.cuts) for gop_s in clips]
            asked.append(pool.submit(restarts, site, server, clips[2], options.cuts // 2))
            lines = joins(site, server, clips[10], options.joins) + probed(site, server, clips[10])
            print(*(each.result() for each in asked), *lines, sep="\n")


def make_clip(path: Path, gop_s: int) -> None:
    """One minute, with key frames so far apart."""
    run_ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={RATE}:duration=60"),
        *("-f", "lavfi", "-i", "sine=sample_rate=48000:duration=60"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p", "-b:v", "800k"),
        *("-g", str(gop_s * RATE), "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k", str(path)),
    )


if __name__ == "__main__":
    main()
