"""Serves the built pages with a made-up list of streams, for the page tests and for looking at the pages.

The REST answers have the shape of the wire contract; media come from a directory that an ffmpeg fills.
"""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DIST = Path(__file__).parents[2] / "src/openstreamer/control/pages/dist"
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/mp4",
    ".mp4": "video/mp4",
}


class PagesServer:
    """A server on a free loopback port whose answers the test sets through its attributes."""

    def __init__(self, media_dir: Path | None = None, port: int = 0) -> None:
        self.streams: list[dict[str, Any]] = []
        self.refusal: tuple[int, str] | None = (
            None  # status and message of every answer of the REST interface
        )
        self.media_dir = media_dir
        self.media_status: int | None = None  # set: no media, but this status
        self.media_answers = threading.Event()  # cleared: media requests are held
        self.media_answers.set()
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="pages-server")

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.media_answers.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.requests.append(path)
        if path in ("/streams", "/config"):
            self._answer_rest(request, path)
        elif path == "/" or path.startswith(("/play/", "/assets/")):
            name = {"/": "index.html"}.get(path, "play.html" if path.startswith("/play/") else path[1:])
            self._send_file(request, DIST / name)
        else:
            self.media_answers.wait()
            self._answer_media(request, path)

    def _answer_media(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if self.media_status is not None:
            body = {"error": {"code": "STREAM_NOT_FOUND", "message": "There is no stream of this name."}}
            self._send_json(request, self.media_status, body)
        elif self.media_dir is not None:
            self._send_file(request, self.media_dir / Path(path).name)
        else:
            request.send_error(HTTPStatus.NOT_FOUND)

    def _answer_rest(self, request: BaseHTTPRequestHandler, path: str) -> None:
        if self.refusal is not None:
            status, message = self.refusal
            self._send_json(request, status, {"error": {"code": "REFUSED", "message": message}})
        elif path == "/streams":
            self._send_json(request, 200, {"data": self.streams, "total": len(self.streams)})
        else:
            ports = {"http_addr": f"127.0.0.1:{self.port}", "rtmp_port": 1935}
            self._send_json(request, 200, {"ports": ports, "version": {"version": "0.1.0"}})

    def _send_json(self, request: BaseHTTPRequestHandler, status: int, body: object) -> None:
        self._send(request, status, "application/json", json.dumps(body).encode())

    def _send_file(self, request: BaseHTTPRequestHandler, path: Path) -> None:
        try:
            body = path.read_bytes()
        except OSError:
            request.send_error(HTTPStatus.NOT_FOUND)
            return
        self._send(request, 200, CONTENT_TYPES[path.suffix], body)

    def _send(self, request: BaseHTTPRequestHandler, status: int, content_type: str, body: bytes) -> None:
        request.send_response(status)
        request.send_header("Content-Type", content_type)
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Cache-Control", "no-cache")
        request.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        request.end_headers()
        request.wfile.write(body)


def stream(code: str, status: str = "active", **more: Any) -> dict[str, Any]:
    """One element of GET /streams: 720p with AAC, accepting a publisher, unless `more` says else."""
    live = status in ("active", "degraded")
    tracks = [
        {"kind": "video", "codec": "h264", "bitrate_kbps": 3100, "width": 1280, "height": 720},
        {"kind": "audio", "codec": "aac", "bitrate_kbps": 128},
    ]
    runtime = {
        "status": status,
        "reasons": more.pop("reasons", []),
        "uptime_sec": more.pop("uptime_sec", 7380) if live else None,
        "media": {
            "input_bitrate_kbps": more.pop("kbps", 3230) if live else 0,
            "inputs": tracks if live else [],
            "outputs": more.pop("tracks", tracks) if live else [],
        },
    }
    inputs = [{"url": "publish://", "priority": 0}]
    return {"code": code, "inputs": inputs, "source": "config", "runtime": runtime, **more}
