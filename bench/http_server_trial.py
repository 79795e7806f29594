"""The trial behind docs/decisions/0001-http-server.md: what a segment and a playlist cost an HTTP server.

    python bench/http_server_trial.py                      # ours and uvicorn
    python bench/http_server_trial.py --granian PYTHON     # and granian, from an interpreter that has it

Each server runs in a process of its own; its CPU time is read from /proc, so the load generator (wrk for
HTTP/1.1, h2load for HTTP/2) does not count. ``--stalled N`` measures the memory of N clients that ask for a
segment and never read it.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SEGMENT = tuple(bytes((n,)) * 125_000 for n in range(6))  # six parts: 2 s at 3 Mbit/s
PLAYLIST = b"#EXTM3U\n" + b"#EXTINF:2.00000,\nvideo_1234567.m4s\n" * 29
HEAD = [
    (b"cache-control", b"max-age=60"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"content-length, content-range, date"),
]
CLOCK_HZ = os.sysconf("SC_CLK_TCK")


async def plain_app(scope: Any, receive: Any, send: Any) -> None:
    """The same two resources over plain ASGI, for servers without our extension."""
    body = b"".join(SEGMENT) if scope["path"].endswith("m4s") else PLAYLIST
    headers = [(b"content-type", b"video/mp4"), *HEAD, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def serve_own(port: int, tls: tuple[str, str] | None) -> None:
    """Ours, with the media application on top."""
    from openstreamer.listen.http.limits import HttpLimits
    from openstreamer.listen.http.listener import HttpListener
    from openstreamer.listen.http.media import MediaApp
    from openstreamer.listen.http.tls import tls_context
    from openstreamer.packager.response import media, playlist

    class Channel:
        async def fetch(self, name: str, query: Any) -> Any:
            return answers[name]

    class Everything:
        def presentation(self, code: str) -> Channel:
            return channel

        def playback_policy(self, code: str) -> None:
            return None

    answers = {
        "s.m4s": media("video/mp4", SEGMENT),
        "p.m3u8": playlist(PLAYLIST.decode(), "max-age=60"),
    }
    channel = Channel()
    context = tls_context(*tls) if tls else None
    limits = HttpLimits(max_connections_per_address=10_000)
    async with HttpListener(MediaApp(Everything()), "127.0.0.1", port, limits, context):
        await asyncio.Event().wait()


def serve(name: str, port: int, tls: tuple[str, str] | None) -> None:
    """Run one server until killed."""
    cert, key = tls or (None, None)
    if name == "own":
        import uvloop

        uvloop.run(serve_own(port, tls))
    elif name == "uvicorn":
        import uvicorn

        uvicorn.run(
            plain_app,
            port=port,
            loop="uvloop",
            http="httptools",
            log_level="error",
            access_log=False,
            ssl_certfile=cert,
            ssl_keyfile=key,
        )
    elif name == "granian":
        import uvloop
        from granian.constants import Interfaces
        from granian.server.embed import Server

        server = Server(
            plain_app,
            address="127.0.0.1",
            port=port,
            interface=Interfaces.ASGI,
            ssl_cert=Path(cert) if cert else None,
            ssl_key=Path(key) if key else None,
        )
        uvloop.run(server.serve())


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_HZ


def rss_kb(pid: int) -> int:
    """Resident memory."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def load(url: str, *, http2: bool, seconds: int, connections: int) -> int:
    """Run a load generator; returns how many requests were answered."""
    if http2:
        command = ["h2load", "-t1", f"-c{connections}", "-m4", f"-D{seconds}", url]
        output = run(command)
        if "Application protocol: http/1.1" in output:  # the server does not speak HTTP/2
            return 0
        found = re.search(r"requests: \d+ total.* (\d+) succeeded", output)
    else:
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
        found = re.search(r"(\d+) requests in", run(command))
    return int(found[1]) if found else 0


def run(command: list[str]) -> str:
    """The output of a command."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def stall(port: int, clients: int, tls: bool) -> list[socket.socket]:
    """Clients that ask for a segment and never read."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    sockets = []
    for _ in range(clients):
        sock: socket.socket = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        try:
            if tls:
                sock = context.wrap_socket(sock)
            sock.sendall(b"GET /a/s.m4s HTTP/1.1\r\nHost: x\r\n\r\n")
        except OSError as err:
            print(f"a stalled client was refused: {err}", file=sys.stderr)
        sockets.append(sock)
    return sockets


def measure(name: str, python: str, port: int, cert: tuple[str, str], args: argparse.Namespace) -> list[Any]:
    """All cells of one server."""
    rows = []
    for tls in (False, True):
        command = [python, __file__, "--serve", name, "--port", str(port)]
        command += ["--cert", cert[0], "--key", cert[1]] if tls else []
        process = subprocess.Popen(command)
        scheme = "https" if tls else "http"
        try:
            wait_for(port)
            for http2 in (False, True):
                for path in ("s.m4s", "p.m3u8"):
                    url = f"{scheme}://127.0.0.1:{port}/a/{path}"
                    load(url, http2=http2, seconds=1, connections=args.connections)
                    before = cpu_s(process.pid), time.monotonic()
                    done = load(url, http2=http2, seconds=args.seconds, connections=args.connections)
                    cpu, wall = cpu_s(process.pid) - before[0], time.monotonic() - before[1]
                    row = {
                        "server": name,
                        "tls": tls,
                        "http": 2 if http2 else 1,
                        "what": path,
                        "per_s": round(done / wall),
                        "cpu_us": round(cpu / done * 1e6, 1) if done else None,
                    }
                    rows.append(row)
                    print(json.dumps(row), flush=True)
            before_kb = rss_kb(process.pid)
            sockets = stall(port, args.stalled, tls)
            time.sleep(2)
            extra = (rss_kb(process.pid) - before_kb) / max(1, args.stalled)
            print(json.dumps({"server": name, "tls": tls, "stalled_kb_each": round(extra)}), flush=True)
            for sock in sockets:
                sock.close()
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    return rows


def wait_for(port: int) -> None:
    """Until something listens."""
    for _ in range(200):
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on {port}")


def certificate(directory: str) -> tuple[str, str]:
    """A self-signed certificate."""
    cert, key = f"{directory}/cert.pem", f"{directory}/key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run(
        [*command, "-subj", "/CN=localhost", "-out", cert, "-keyout", key], check=True, capture_output=True
    )
    return cert, key


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--serve")
    parser.add_argument("--port", type=int, default=18_080)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--granian", metavar="PYTHON")
    parser.add_argument("--only", action="append", help="own, uvicorn or granian")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--stalled", type=int, default=300)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve, args.port, (args.cert, args.key) if args.cert else None)
        return
    with tempfile.TemporaryDirectory() as directory:
        pair = certificate(directory)
        servers = {"own": sys.executable, "uvicorn": sys.executable}
        if args.granian:
            servers["granian"] = args.granian
        for offset, (name, python) in enumerate(servers.items()):
            if not args.only or name in args.only:
                measure(name, python, args.port + offset, pair, args)


if __name__ == "__main__":
    main()
