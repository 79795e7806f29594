"""nginx serving the files that the server writes: what viewers cost where only files are sent."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_WITHIN_S = 10.0
_CONFIGURATION = """
daemon off; worker_processes 1; user {user}; pid {directory}/pid; error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp4 mp4 m4s; }}
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx with one worker."""

    http: str
    worker_pid: int


def is_installed() -> bool:
    """Whether there is an nginx to measure."""
    return shutil.which("nginx") is not None


@contextmanager
def running_nginx(directory: Path, root: Path) -> Iterator[Nginx]:
    """nginx serving ``root`` on a free port of the loopback interface."""
    directory.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = directory / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(user=root.owner(), directory=directory, port=port, root=root)
    )
    process = subprocess.Popen(["nginx", "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Nginx(f"127.0.0.1:{port}", int(children[0]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_START_WITHIN_S)


def _wait_for(port: int) -> None:
    end_s = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.02)
        else:
            return
