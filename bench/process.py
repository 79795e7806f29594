"""The server under measurement and the load generators: processes, and what the kernel says of them."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
ANSWER_WITHIN_S = 15.0
POLL_S = 0.002  # start-up is measured to this
_CPU_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h: all threads, those that ended included
_BUCKET = re.compile(r'^(\S+?)_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)


def cpu_ns(pid: int) -> int:
    """The CPU time of a process in user and kernel mode, without its children: what utime and stime of
    /proc/PID/stat say, but not in hundredths of a second."""
    return time.clock_gettime_ns(~pid << 3 | _CPU_CLOCK)


def rss_mb(pid: int) -> float:
    """The resident memory of a process in MB (10^6 bytes)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


class Server:
    """``openstreamer serve`` on free ports of the loopback interface."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._ready_file = directory / "ready.json"
        self._log = directory / "server.log"
        command = [
            *(sys.executable, "-m", "openstreamer", "serve", "--data-dir", str(directory / "store")),
            *("--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--ready-file", str(self._ready_file)),
            *arguments,
        ]
        # As after an installation: byte code is written once, and not compiled anew at every start.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.started_s = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env
            )
        self.pid = self._process.pid
        self.ready_after_s = self._wait()
        bound = json.loads(self._ready_file.read_text())
        self.http: str = bound["http"]
        self.rtmp: str = bound["rtmp"]

    def _wait(self) -> float:
        while not self._ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > self.started_s + READY_WITHIN_S:
                self._process.kill()
                raise RuntimeError(f"the server did not start:\n{self._log.read_text(errors='replace')}")
            time.sleep(POLL_S)
        return time.monotonic() - self.started_s

    def stop(self) -> None:
        """Ctrl-C; complains when the server does."""
        self._process.send_signal(signal.SIGINT)
        try:
            status = self._process.wait(STOP_WITHIN_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        log = self._log.read_text(errors="replace")
        if status or "Traceback" in log:
            raise RuntimeError(f"the server ended with {status}:\n{log}")

    def get(self, path: str) -> bytes:
        """GET a path."""
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=ANSWER_WITHIN_S) as answer:
            body: bytes = answer.read()
        return body

    def add_stream(self, code: str, url: str = "publish://") -> None:
        """A stream with this input; without one it waits for a publisher."""
        self._post(f"/streams/{code}", json.dumps({"inputs": [{"url": url, "priority": 0}]}).encode())

    def write_files(self, directory: Path) -> None:
        """Let all streams write their HLS files below ``directory``."""
        body = json.dumps({"publisher": {"hls": {"dir": str(directory)}}}).encode()
        self._post("/config", body)

    def _post(self, path: str, body: bytes) -> None:
        request = urllib.request.Request(
            f"http://{self.http}{path}", body, {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S):
            pass

    def status(self, code: str) -> str:
        """The status of a stream."""
        return str(self.runtime(code)["status"])

    def runtime(self, code: str) -> dict[str, Any]:
        """What the server says of a running stream."""
        runtime: dict[str, Any] = json.loads(self.get(f"/streams/{code}"))["data"]["runtime"]
        return runtime

    def loop_lag(self) -> dict[float, float]:
        """How many looks at the event loop found it at most so late, by that bound in seconds."""
        text = self.get("/metrics").decode()
        return {
            float(bound): float(count)
            for name, bound, count in _BUCKET.findall(text)
            if name == "open_streamer_event_loop_lag_seconds"
        }


@contextmanager
def running_server(directory: Path, *arguments: str) -> Iterator[Server]:
    """A started server, stopped at the end."""
    directory.mkdir(parents=True)
    server = Server(directory, *arguments)
    try:
        yield server
    except BaseException:
        os.kill(server.pid, signal.SIGKILL)
        raise
    server.stop()


class Load:
    """A load generator in a process of its own, which says two lines of JSON: at its start and its end."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-m", module, *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def started(self) -> dict[str, float]:
        """Wait until it runs."""
        return self._line()

    def stop(self) -> dict[str, float]:
        """End it, and return what it says of itself."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._line()
        finally:
            self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _line(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a load generator ended early")
        said: dict[str, float] = json.loads(line)
        return said


@contextmanager
def running_load(module: str, *arguments: str) -> Iterator[Load]:
    """A load generator that runs, killed at the end if it was not stopped."""
    load = Load(module, *arguments)
    try:
        yield load
    finally:
        load.kill()


def publisher(server: Server, clip: Path, codes: Sequence[str], *extra: str) -> AbstractContextManager[Load]:
    """All of ``codes`` published from one process."""
    return running_load("bench.publisher", server.rtmp, str(clip), *codes, *extra)


def ts_sender(clip: Path, *arguments: str) -> AbstractContextManager[Load]:
    """Transport streams over UDP or HTTP, see :mod:`bench.ts_sender`."""
    return running_load("bench.ts_sender", str(clip), *arguments)


def viewers(http: str, code: str, kind: str, count: int) -> AbstractContextManager[Load]:
    """``count`` viewers of one stream at the HTTP address."""
    return running_load("bench.viewers", http, code, "--kind", kind, "--count", str(count))
