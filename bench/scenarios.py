"""What is measured, one function per group of figures. Only the server's process counts."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.clip import load_clip
from bench.latency import latencies_ms, percentile
from bench.nginx import running_nginx
from bench.process import Load, Server, cpu_ns, publisher, rss_mb, running_server, viewers
from bench.publisher import send_times_file
from bench.results import Results

SETTLE_S = 2.0  # after a start, before memory is read
WINDOW_FULL_S = 34.0  # twelve listed and three more segments of two seconds, and a little
WARM_UP_S = 6.0
FIRST_FRAME_WITHIN_S = 30.0
# The targets of the project for 3 Mbit/s 720p30 on two cores.
TARGET_STREAM_MS = 4.0
TARGET_VIEWER_MS = 0.2
TARGET_STREAM_MB = 15.0
TARGET_IDLE_MB = 80.0
TARGET_READY_S = 1.5
PULLED_KINDS = ("http-ts", "udp", "multicast", "hls-ts", "hls-fmp4", "ll-hls", "file-mp4", "file-ts")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often to measure."""

    clip: Path
    directory: Path
    window_s: float = 20.0
    windows: int = 3
    publishers: tuple[int, ...] = (1, 20, 60)
    classic_viewers: tuple[int, ...] = (100, 400)
    ll_viewers: tuple[int, ...] = (100,)
    pulled_kinds: tuple[str, ...] = PULLED_KINDS
    starts: int = 5
    latency_s: float = 15.0

    def new_directory(self) -> Path:
        """For a server with nothing in it."""
        return self.directory / f"server-{time.monotonic_ns()}"


def start_up(plan: Plan, results: Results) -> None:
    """From the process's start to a server that accepts, and to the first part of the demo stream."""
    ready, memory, cpu, first_part = [], [], [], []
    with running_server(plan.new_directory()) as server:  # writes the byte code, and warms the file cache
        _first_part_at_s(server, "demo")
    for _ in range(plan.starts):
        with running_server(plan.new_directory(), "--no-demo") as server:
            ready.append(server.ready_after_s)
            cpu.append(cpu_ns(server.pid) / 1e9)
            time.sleep(SETTLE_S)
            memory.append(rss_mb(server.pid))
    for _ in range(plan.starts):
        with running_server(plan.new_directory()) as server:
            first_part.append(_first_part_at_s(server, "demo") - server.started_s)
    results.add("start", "process start → ready", "s", ready, TARGET_READY_S)
    results.add("start", "CPU until ready", "s", cpu)
    results.add("start", "process start → first part of the demo", "s", first_part)
    results.add("idle", "resident memory", "MB", memory, TARGET_IDLE_MB)


def idle(plan: Plan, results: Results) -> None:
    """A server without streams."""
    with running_server(plan.new_directory(), "--no-demo") as server:
        time.sleep(SETTLE_S)
        samples = [cpu_ms_per_s(server.pid, plan.window_s / 2) for _ in range(2)]
    results.add("idle", "CPU", "ms/s", samples)


def publishing(plan: Plan, results: Results, count: int) -> None:
    """``count`` RTMP publishers with HLS on, and nobody who watches."""
    group = f"{count} publisher{'s' if count > 1 else ''}"
    codes = [f"load{number}" for number in range(count)]
    with running_server(plan.new_directory(), "--no-demo") as server:
        time.sleep(SETTLE_S)
        idle_mb = rss_mb(server.pid)
        for code in codes:
            server.add_stream(code)
        times = plan.directory / f"times-{count}"
        clip = load_clip(plan.clip)
        send_times_file(times, len(clip.tags))
        with publisher(server, plan.clip, codes, "--times", str(times)) as load:
            load.started()
            time.sleep(WINDOW_FULL_S)
            lag_before = server.loop_lag()
            samples = [cpu_ms_per_s(server.pid, plan.window_s) / count for _ in range(plan.windows)]
            lag = _lag_percentiles_ms(lag_before, server.loop_lag())
            full_mb = rss_mb(server.pid)
            active = sum(server.status(code) == "active" for code in codes)
            if active < count:
                raise RuntimeError(f"only {active} of {count} streams are active")
            latency = latencies_ms(server.http, codes[0], clip, times, plan.latency_s)
            said = load.stop()
    target = TARGET_STREAM_MS if count > 1 else None
    results.add(group, "CPU", "ms per stream-second", samples, target)
    results.add(group, "memory per stream", "MB", [(full_mb - idle_mb) / count], TARGET_STREAM_MB)
    results.add(group, "send → part, median", "ms", [percentile(latency, 50)])
    results.add(group, "send → part, 95 %", "ms", [percentile(latency, 95)])
    results.add(group, "event loop late by at most, 95 %", "ms", [lag[0]])
    results.add(group, "event loop late by at most, 99 %", "ms", [lag[1]])
    results.add(group, "CPU of the load generator", "ms per stream-second", [said["cpu_ms_per_stream_s"]])
    results.add(group, "load generator late, 95 %", "ms", [said["late_p95_ms"]])


def first_frame(plan: Plan, results: Results) -> None:
    """From a publisher's connect to the first playlist that has a part."""
    samples = []
    with running_server(plan.new_directory(), "--no-demo") as server:
        for number in range(plan.starts):
            code = f"first{number}"
            server.add_stream(code)
            with publisher(server, plan.clip, [code]) as load:
                at_s = _first_part_at_s(server, code)
                samples.append(at_s - load.started()["connecting_at_ns"] / 1e9)
                load.stop()
    results.add("first frame", "publisher connects → playlist with a part", "s", samples)


def watching(plan: Plan, results: Results) -> None:
    """Viewers of one stream; what publishing it costs is measured first and taken off."""
    with running_server(plan.new_directory(), "--no-demo") as server:
        server.add_stream("watched")
        with publisher(server, plan.clip, ["watched"]) as load:
            load.started()
            time.sleep(WARM_UP_S)
            base = cpu_ms_per_s(server.pid, plan.window_s)
            for count in plan.classic_viewers:
                _watch(plan, results, server, "classic", count, base)
            for count in plan.ll_viewers:
                _watch(plan, results, server, "ll", count, base)
            load.stop()


def watching_nginx(plan: Plan, results: Results) -> None:
    """The same viewers at an nginx that serves the same segments from files, for comparison."""
    directory = plan.new_directory()
    files = directory / "hls"
    with running_server(directory, "--no-demo") as server:
        files.mkdir()
        server.write_files(files)
        server.add_stream("watched")
        with publisher(server, plan.clip, ["watched"]) as load:
            load.started()
            time.sleep(3 * WARM_UP_S)  # several segments on the disk
            with running_nginx(directory / "nginx", files) as nginx:
                for count in plan.classic_viewers:
                    group = f"{count} HLS viewers of nginx"
                    with viewers(nginx.http, "watched", "classic", count) as watchers:
                        _measure_viewers(plan, results, group, nginx.worker_pid, watchers, count)
            load.stop()


def _watch(plan: Plan, results: Results, server: Server, kind: str, count: int, base: float) -> None:
    group = f"{count} {'HLS' if kind == 'classic' else 'LL-HLS'} viewers"
    target = TARGET_VIEWER_MS if kind == "classic" else None
    with viewers(server.http, "watched", kind, count) as watchers:
        _measure_viewers(plan, results, group, server.pid, watchers, count, base=base, target=target)


def _measure_viewers(
    plan: Plan,
    results: Results,
    group: str,
    pid: int,
    watchers: Load,
    count: int,
    *,
    base: float = 0.0,
    target: float | None = None,
) -> None:
    watchers.started()
    time.sleep(WARM_UP_S)
    cpu = [(cpu_ms_per_s(pid, plan.window_s) - base) / count for _ in range(plan.windows)]
    said = watchers.stop()
    results.add(group, "CPU", "ms per viewer-second", cpu, target)
    results.add(group, "playlists", "per viewer-second", [said["playlists_per_viewer_s"]])
    results.add(group, "segments or parts", "per viewer-second", [said["media_per_viewer_s"]])
    results.add(group, "received", "kbit/s per viewer", [said["kbps_per_viewer"]])
    results.add(group, "segments missed", "", [said["missed"]], 0)


def cpu_ms_per_s(pid: int, window_s: float) -> float:
    """The CPU time of a process in the coming ``window_s``."""
    began_ns, cpu_began_ns = time.monotonic_ns(), cpu_ns(pid)
    time.sleep(window_s)
    cpu_used_ns = cpu_ns(pid) - cpu_began_ns
    return 1000 * cpu_used_ns / (time.monotonic_ns() - began_ns)


def _first_part_at_s(server: Server, code: str) -> float:
    """The time at which the stream's playlist has a part. The server holds the request until then."""
    end_s = time.monotonic() + FIRST_FRAME_WITHIN_S
    with _connection(server) as connection:
        while time.monotonic() < end_s:
            connection.request("GET", f"/{code}/video.m3u8")
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200 and b"#EXT-X-PART:" in body:
                return time.monotonic()
            if answer.status != 503:
                time.sleep(0.01)
    raise RuntimeError(f"no part of {code} within {FIRST_FRAME_WITHIN_S:g} s")


@contextmanager
def _connection(server: Server) -> Iterator[http.client.HTTPConnection]:
    host, _, port = server.http.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=FIRST_FRAME_WITHIN_S)
    try:
        yield connection
    finally:
        connection.close()


def _lag_percentiles_ms(before: dict[float, float], after: dict[float, float]) -> tuple[float, float]:
    """Upper bounds of the 95th and 99th percentile of what a histogram counted in between."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    total = max(counts.values(), default=0.0)

    def bound_of(share: float) -> float:
        return next((1000 * bound for bound, count in counts.items() if count >= share * total), 0.0)

    return bound_of(0.95), bound_of(0.99)
