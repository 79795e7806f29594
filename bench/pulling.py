"""What pulled inputs cost: twenty streams of a kind, LL-HLS packaged, nobody watches. Only the server counts.

The peers are processes of their own: :mod:`bench.ts_sender` for transport streams over HTTP and UDP, FFmpeg
and nginx for playlists, a second server for low-latency playlists.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import SOCK_DGRAM, socket

from bench.clip import DURATION_MS, load_clip
from bench.latency import latencies_ms, percentile
from bench.mpegts_demux_trial import READ_SIZES, demux_costs_us
from bench.nginx import is_installed, running_nginx
from bench.process import Server, publisher, rss_mb, running_server, ts_sender
from bench.publisher import send_times_file
from bench.results import Results
from bench.scenarios import PULLED_KINDS, WINDOW_FULL_S, Plan, cpu_ms_per_s

STREAMS = 20
STARTS_APART_S = 0.1  # files and playlists begin with a key frame: twenty are spread over one GOP
ACTIVE_WITHIN_S = 40.0
WARM_UP_S = 10.0
LATENCY_S = 10.0
MEMORY_S = 120.0
MEMORY_SAMPLES_PER_MINUTE = 12
GROUP = "239.255.77.20"
# The targets of the project for 3 Mbit/s, LL-HLS out.
TARGETS_MS = {kind: 4.0 if "hls" in kind else 5.0 for kind in PULLED_KINDS}
TITLES = {
    "http-ts": "HTTP-TS",
    "udp": "UDP unicast",
    "multicast": "UDP multicast",
    "hls-ts": "HLS pull, MPEG-TS",
    "hls-fmp4": "HLS pull, fMP4",
    "ll-hls": "LL-HLS pull, parts",
    "file-mp4": "file, MP4",
    "file-ts": "file, MPEG-TS",
}


def pulling(plan: Plan, results: Results, kind: str) -> None:
    """CPU of twenty inputs of one kind."""
    if kind.startswith("hls") and not is_installed():
        return
    title = f"{STREAMS} × {TITLES[kind]}"
    with ExitStack() as stack:
        peer = stack.enter_context(_peer(plan, kind, STREAMS))
        server = stack.enter_context(_server(plan))
        codes = _add(server, peer.urls)
        time.sleep(WARM_UP_S)
        samples = [cpu_ms_per_s(server.pid, plan.window_s) / STREAMS for _ in range(plan.windows)]
        _require_active(server, codes)
        latency = peer.latencies_ms(server, codes[0])
        lost = sum(_lost(server, code) for code in codes)
    results.add(title, "CPU", "ms per stream-second", samples, TARGETS_MS[kind])
    if latency:
        results.add(title, "send → part, median", "ms", [percentile(latency, 50)])
        results.add(title, "send → part, 95 %", "ms", [percentile(latency, 95)])
    results.add(title, "packets and segments lost", "", [lost], 0)


def memory(plan: Plan, results: Results) -> None:
    """Whether memory stays flat once the windows are full, with inputs of all kinds."""
    kinds = [kind for kind in PULLED_KINDS if kind != "ll-hls" and (is_installed() or "hls" not in kind)]
    with ExitStack() as stack:
        peers = [
            stack.enter_context(_peer(plan, kind, STREAMS // len(kinds) + (place < STREAMS % len(kinds))))
            for place, kind in enumerate(kinds)
        ]
        server = stack.enter_context(_server(plan))
        codes = _add(server, [url for peer in peers for url in peer.urls])
        time.sleep(WINDOW_FULL_S)
        minutes = [_rss_of_a_minute(server) for _ in range(round(MEMORY_S / 60))]
        _require_active(server, codes)
    title = f"{STREAMS} inputs of all kinds"
    results.add(title, "resident memory, first minute", "MB", minutes[0])
    results.add(title, "resident memory, last minute", "MB", minutes[-1])


def demuxing(results: Results) -> None:
    """The demuxer by itself."""
    costs = demux_costs_us()
    for size in READ_SIZES:
        results.add("MPEG-TS demuxer", f"reads of {size} bytes", "µs per packet", costs[size])


def _rss_of_a_minute(server: Server) -> list[float]:
    samples = []
    for _ in range(MEMORY_SAMPLES_PER_MINUTE):
        time.sleep(60 / MEMORY_SAMPLES_PER_MINUTE)
        samples.append(rss_mb(server.pid))
    return samples


@contextmanager
def _server(plan: Plan) -> Iterator[Server]:
    with running_server(
        plan.new_directory(), "--no-demo", "--file-root", f"clips={plan.directory}"
    ) as server:
        yield server


def _add(server: Server, urls: list[str]) -> list[str]:
    codes = [f"pull{number}" for number in range(len(urls))]
    for code, url in zip(codes, urls, strict=True):
        server.add_stream(code, url)
        time.sleep(STARTS_APART_S)
    end_s = time.monotonic() + ACTIVE_WITHIN_S
    while any(server.status(code) != "active" for code in codes):
        if time.monotonic() > end_s:
            _require_active(server, codes)
        time.sleep(0.5)
    return codes


def _require_active(server: Server, codes: list[str]) -> None:
    for code in codes:
        runtime = server.runtime(code)
        if runtime["status"] != "active":
            raise RuntimeError(f"{code} is {runtime['status']}: {runtime}")


def _lost(server: Server, code: str) -> float:
    return sum(float(each["packet_loss"] or 0) for each in server.runtime(code)["inputs"])


class Peer:
    """Who serves the inputs, one URL for each; ``times`` is where it notes when it sends pictures."""

    def __init__(self, plan: Plan, urls: list[str], times: Path | None = None) -> None:
        self.urls = urls
        self._plan = plan
        self._times = times

    def latencies_ms(self, server: Server, code: str) -> list[float]:
        """From the sending of the last byte of a part to the answer of a player's reload that has the part;
        empty where the peer does not send in real time."""
        if self._times is None:
            return []
        return latencies_ms(server.http, code, load_clip(self._plan.clip), self._times, LATENCY_S)


@contextmanager
def _peer(plan: Plan, kind: str, count: int) -> Iterator[Peer]:
    directory = plan.new_directory()
    directory.mkdir(mode=0o755)
    match kind.partition("-")[0]:
        case "http" | "udp" | "multicast":
            times = directory / "times"
            send_times_file(times, len(load_clip(plan.clip).tags))
            with _sender(plan, kind, count, times) as urls:
                yield Peer(plan, urls, times)
        case "hls":
            with _segments(plan, directory, kind.rpartition("-")[2]) as url:
                yield Peer(plan, [url] * count)
        case "ll":
            with running_server(directory / "origin", "--no-demo") as origin:
                origin.add_stream("origin")
                with publisher(origin, plan.clip, ["origin"]) as load:
                    load.started()
                    time.sleep(WARM_UP_S)  # a window with segments in it
                    yield Peer(plan, [f"http://{origin.http}/origin/index.m3u8"] * count)
                    load.stop()
        case _:
            suffix = kind.rpartition("-")[2]
            file = plan.directory / f"clip.{suffix}"
            _run(*("-t", str(DURATION_MS / 1000), "-i", str(plan.clip), "-c", "copy", str(file)))
            yield Peer(plan, [f"file://clips/{file.name}?loop=true"] * count)


@contextmanager
def _sender(plan: Plan, kind: str, count: int, times: Path) -> Iterator[list[str]]:
    if kind == "http-ts":
        with ts_sender(plan.clip, "--http", "--times", str(times)) as load:
            port = int(load.started()["port"])
            yield [f"http://127.0.0.1:{port}/{number}.ts" for number in range(count)]
            return
    host = GROUP if kind == "multicast" else "127.0.0.1"
    addresses = [f"{host}:{port}" for port in _free_ports(count)]
    with ts_sender(plan.clip, "--times", str(times), "--udp", *addresses) as load:
        load.started()
        yield [f"udp://{address}{'?iface=lo' if kind == 'multicast' else ''}" for address in addresses]


def _free_ports(count: int) -> list[int]:
    """Below the ports that the kernel gives to whoever does not care, such as the sender's own sockets."""
    ports = iter(range(20_000, 32_000))
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = next(ports)
            probe = stack.enter_context(socket(type=SOCK_DGRAM))
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
        return found


@contextmanager
def _segments(plan: Plan, directory: Path, segment_type: str) -> Iterator[str]:
    """FFmpeg writes a live playlist with segments of two seconds, nginx serves them."""
    files = directory / "hls"
    files.mkdir(mode=0o755)
    playlist = files / "live.m3u8"
    kind = "mpegts" if segment_type == "ts" else "fmp4"
    command = [
        *("ffmpeg", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(plan.clip), "-c", "copy"),
        *("-f", "hls", "-hls_time", "2", "-hls_list_size", "6", "-hls_delete_threshold", "3"),
        *("-hls_flags", "delete_segments+independent_segments", "-hls_segment_type", kind, str(playlist)),
    ]
    for each in (directory, plan.directory):
        each.chmod(0o755)  # for the worker of nginx
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        with running_nginx(directory / "nginx", files) as nginx:
            while not playlist.exists() or playlist.read_text().count("#EXTINF") < 4:
                if process.poll() is not None:
                    raise RuntimeError("FFmpeg does not write the playlist")
                time.sleep(0.1)
            yield f"http://{nginx.http}/live.m3u8"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _run(*arguments: str) -> None:
    command = ["ffmpeg", "-loglevel", "error", "-y", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
