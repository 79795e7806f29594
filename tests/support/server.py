"""The real server in a process of its own, and its real peers."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

START_WITHIN_S = 40.0  # generous: the machine may be busy with other tests
STOP_WITHIN_S = 10.0
POLL_S = 0.05


def until(condition: Callable[[], Any], what: str, within_s: float = 20.0) -> Any:
    """Poll until ``condition`` gives something true, and return it; fail with ``what`` when it never does."""
    deadline_s = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what}"
        time.sleep(POLL_S)


class Server:
    """``openstreamer serve`` on free ports of the loopback interface."""

    def __init__(self, data_dir: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.log_path = data_dir / "server.log"
        self.http = ""
        self.rtmp = ""
        self.rtmps = ""  # once TLS is configured
        self._arguments = arguments
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until everything accepts."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        ready = self.data_dir / "ready.json"
        ready.unlink(missing_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "openstreamer", "serve"),
                    *("--data-dir", str(self.data_dir / "store"), "--ready-file", str(ready)),
                    *("--http", self.http or "127.0.0.1:0", "--rtmp", self.rtmp or "127.0.0.1:0"),
                    *self._arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
            )
        process = self._process
        until(lambda: ready.exists() or process.poll() is not None, "the server is ready", START_WITHIN_S)
        assert ready.exists(), f"the server ended with {process.returncode}: {self.log()}"
        bound = json.loads(ready.read_text())
        assert bound["pid"] == process.pid
        self.http, self.rtmp, self.rtmps = bound["http"], bound["rtmp"], bound.get("rtmps", "")

    def stop(self) -> int:
        """Ctrl-C; returns the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_WITHIN_S)
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, when it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_WITHIN_S)

    def log(self) -> str:
        """Everything it printed so far."""
        return self.log_path.read_text(errors="replace")

    def url(self, path: str) -> str:
        """The URL of a path on the HTTP port."""
        return f"http{'s' if self.rtmps else ''}://{self.http}{path}"

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET a path."""
        return httpx.get(self.url(path), timeout=15, **options)

    def put_stream(self, code: str, **fields: Any) -> dict[str, Any]:
        """Create or merge a stream over the API; by default it takes a publisher."""
        fields.setdefault("inputs", [{"url": "publish://", "priority": 0}])
        answer = httpx.post(self.url(f"/streams/{code}"), json=fields, timeout=15)
        assert answer.status_code in (200, 201), answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    def runtime(self, code: str) -> dict[str, Any]:
        """The ``runtime`` of a stream."""
        runtime: dict[str, Any] = self.get(f"/streams/{code}").json()["data"]["runtime"]
        return runtime

    def wait_for_status(self, code: str, status: str, within_s: float = 20.0) -> dict[str, Any]:
        """Wait until a stream has this status; returns its runtime."""

        def reached() -> dict[str, Any] | None:
            runtime = self.runtime(code)
            return runtime if runtime["status"] == status else None

        found: dict[str, Any] = until(reached, f"{code} is {status}", within_s)
        return found

    def publish_url(self, code: str, query: str = "") -> str:
        """Where an encoder publishes to."""
        return f"rtmp://{self.rtmp}/live/{code}{query}"


@contextlib.contextmanager
def running_server(data_dir: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """A started server, which must stop cleanly at the end."""
    server = Server(data_dir, *arguments, env=env)
    server.start()
    try:
        yield server
        assert server.stop() == 0, server.log()
    finally:
        server.kill()
    assert "Traceback" not in server.log(), server.log()


@contextlib.contextmanager
def peer(*command: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A peer process such as ffmpeg, ended with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def ffmpeg_publish(url: str, *, size: str = "640x360", rate: str = "25", gop: int = 25) -> tuple[str, ...]:
    """The command line of an encoder: a moving picture and a tone, H.264 and AAC, in real time."""
    return (
        *("ffmpeg", "-hide_banner", "-loglevel", "warning", "-re"),
        *("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}"),
        *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"),
        *("-g", str(gop), "-sc_threshold", "0", "-b:v", "800k"),
        *("-c:a", "aac", "-b:a", "96k", "-f", "flv", url),
    )


def ffprobe(
    url: str, *, seconds: float = 4.0, from_start: bool = False, decoded: bool = False
) -> dict[str, Any]:
    """Streams, and packet counts over some seconds, as ffprobe reads them; ``from_start`` begins a live
    playlist with its oldest segment, ``decoded`` counts frames as well."""
    result = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-of", "json", "-show_streams", "-count_packets"),
            *("-read_intervals", f"%+{seconds:g}"),
            *(("-live_start_index", "0") if from_start else ()),
            *(("-count_frames",) if decoded else ()),
            url,
        ],
        capture_output=True,
        timeout=60 + seconds,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode(errors="replace")
    found: dict[str, Any] = json.loads(result.stdout)
    found["stderr"] = result.stderr.decode(errors="replace")
    return found
