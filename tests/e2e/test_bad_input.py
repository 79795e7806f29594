"""Hostile and broken peers against the real server: clear words, counted, bounded; nobody else notices."""

import contextlib
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.encoded import encode
from tests.support.server import Server, ffmpeg_publish, peer, running_server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE_S = 30.0
GROWTH_BYTES = 48 << 20  # what all attackers together may leave behind in the server's memory
PER_ADDRESS = {"rtmp": 256, "http": 300}  # the bound of the one listener, and what the other is told here
CHUNK_HEADER = bytes.fromhex("02000000") + b"\xff\xff\xff" + b"\x09" + bytes(4)  # a message of 16 MB


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def answer_of(address: str, data: bytes) -> bytes:
    """Send ``data``; everything that comes back until the server closes the connection."""
    answer = b""
    with connected(address) as peer_socket, contextlib.suppress(ConnectionError):
        peer_socket.sendall(data)
        while piece := peer_socket.recv(65536):
            answer += piece
    return answer


def shaken_hands() -> bytes:
    """C0, C1 and C2 of a client that does not look at what it gets."""
    return b"\x03" + bytes(8) + bytes(1528) + bytes(1536)


def metric(server: Server, name: str, **labels: str) -> float:
    """The sum of all samples of a metric whose labels include ``labels``."""
    total = 0.0
    for line in server.get("/metrics").text.splitlines():
        found = re.fullmatch(rf"open_streamer_{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            total += float(found[2])
    return total


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def attacks() -> Iterator[tuple[str, str, bytes]]:
    """Name, port and bytes of what is sent at once."""
    noise = random.Random(7)
    for number in range(8):
        yield f"noise{number}", "rtmp", noise.randbytes(20_000)
        yield f"noise{number}", "http", noise.randbytes(20_000)
        yield f"noise{number} after the handshake", "rtmp", shaken_hands() + noise.randbytes(20_000)
    yield "HTTP on the RTMP port", "rtmp", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "TLS on the RTMP port", "rtmp", bytes.fromhex("16030100f8010000f40303") + bytes(300)
    yield "TLS on the HTTP port", "http", bytes.fromhex("16030100f8010000f40303") + bytes(300)
    yield "RTMP on the HTTP port", "http", shaken_hands()
    yield "an oversized message", "rtmp", shaken_hands() + CHUNK_HEADER + bytes(100_000)
    yield "a chunk size of 0", "rtmp", shaken_hands() + bytes.fromhex("020000000000040100000000") + bytes(4)
    yield "an endless header", "http", b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000
    yield (
        "two lengths",
        "http",
        b"POST /config HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    )
    yield (
        "a length and chunks",
        "http",
        (
            b"POST /config HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
    )


def test_no_garbage_disturbs_the_server_or_other_streams(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")
        before = rss_bytes(server.pid)
        errors = {
            port: metric(server, "listener_protocol_errors_total", listener=port) for port in PER_ADDRESS
        }
        for name, port, data in attacks():
            answer = answer_of(getattr(server, port), data)
            # Whoever speaks HTTP is answered in HTTP, and nobody gets more than a refusal.
            assert len(answer) < 8192, name
            if port == "http" and data[:4] in (b"GET ", b"POST"):
                assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), (name, answer[:100])
        with connected(server.rtmp) as truncated:
            truncated.sendall(shaken_hands()[:1000])
        for port, count in errors.items():
            assert metric(server, "listener_protocol_errors_total", listener=port) >= count + 8, port
        assert rss_bytes(server.pid) - before < GROWTH_BYTES
        assert server.runtime("news")["status"] == "active"


@pytest.fixture
def bounded_server(tmp_path: Path) -> Iterator[Server]:
    bound = ("--http-connections-per-address", str(PER_ADDRESS["http"]))
    with running_server(tmp_path / "bounded", "--no-demo", *bound) as server:
        yield server


@pytest.mark.parametrize("port", ["rtmp", "http"])
def test_one_address_cannot_take_all_connections(bounded_server: Server, tmp_path: Path, port: str) -> None:
    server = bounded_server
    server.put_stream("news")
    address, allowed = getattr(server, port), PER_ADDRESS[port]
    before = rss_bytes(server.pid)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(connected(address)) for _ in range(allowed + 44)]
        if port == "rtmp":  # the API has a port of its own
            until(lambda: metric(server, "listener_refused_total", listener=port) >= 44, "44 are refused")
            assert metric(server, "listener_connections", listener=port) <= allowed
        for latecomer in crowd[-20:]:
            assert _is_closed(latecomer)
        assert not _is_closed(crowd[0], patience_s=0.01)
        assert rss_bytes(server.pid) - before < GROWTH_BYTES
    until(lambda: _can_ask(server), "the API answers again")
    assert metric(server, "listener_refused_total", listener=port) >= 44
    until(lambda: metric(server, "listener_connections", listener=port) < 10, "connections are gone")
    with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")


def _is_closed(peer_socket: socket.socket, patience_s: float = PATIENCE_S) -> bool:
    peer_socket.settimeout(patience_s)
    try:
        while peer_socket.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def _can_ask(server: Server) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return server.get("/healthz").status_code == 200
    return False


def test_slow_peers_are_sent_away(server: Server) -> None:
    """A byte now and then does not keep a connection: there is a time for the whole handshake or head."""
    drips = {"rtmp": shaken_hands(), "http": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: z\r\n" * 1000}
    open_sockets = {port: connected(getattr(server, port)) for port in drips}
    waiting = dict(open_sockets)
    sent = 0

    def all_closed() -> bool:
        nonlocal sent
        for port, peer_socket in list(waiting.items()):
            with contextlib.suppress(ConnectionError):
                peer_socket.settimeout(0.2)
                peer_socket.sendall(drips[port][sent : sent + 1])
                with contextlib.suppress(TimeoutError):
                    if peer_socket.recv(4096):
                        continue
                    del waiting[port]
                continue
            del waiting[port]
        sent += 1
        return not waiting

    until(all_closed, "both are sent away", 60)
    for peer_socket in open_sockets.values():
        peer_socket.close()
    assert metric(server, "listener_refused_total", listener="rtmp", reason="deadline") == 1


@pytest.mark.parametrize(
    ("name", "encoder", "word"),
    [
        ("sorenson", ("-c:v", "flv", "-c:a", "aac"), "Sorenson H.263 is not supported"),
        ("speex", ("-vn", "-c:a", "libspeex", "-ar", "16000"), "Speex is not supported"),
    ],
)
def test_a_codec_that_is_not_carried_is_named(
    shared_server: Server, tmp_path: Path, name: str, encoder: tuple[str, ...], word: str
) -> None:
    shared_server.put_stream(name)
    command = (
        *("ffmpeg", "-hide_banner", "-loglevel", "warning", "-nostdin", "-re"),
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=25",
            "-f",
            "lavfi",
            "-i",
            "sine=sample_rate=16000",
        ),
        *(*encoder, "-ac", "1", "-f", "flv", shared_server.publish_url(name)),
    )
    log = tmp_path / "ffmpeg.log"
    with peer(*command, log=log) as process:
        assert process.wait(PATIENCE_S) != 0
    assert_named(shared_server, name, log, word)


def test_flac_by_enhanced_rtmp_is_named(shared_server: Server, tmp_path: Path) -> None:
    tone = ("-f", "lavfi", "-i", "sine=duration=5", "-c:a", "flac", "-strict", "-2")
    source = encode(tmp_path / "flac.mp4", *tone)
    shared_server.put_stream("flac")
    url = shared_server.publish_url("flac")
    log = tmp_path / "publisher.log"
    with peer(
        sys.executable, "-m", "tests.support.remux_publisher", str(source.path), url, log=log
    ) as process:
        assert process.wait(PATIENCE_S) != 0
    assert_named(shared_server, "flac", log, "FLAC is not supported")


def assert_named(server: Server, code: str, log: Path, word: str) -> None:
    """The peer, the API and the metrics know why the publisher was sent away."""
    assert word in log.read_text()
    errors = [entry["message"] for entry in server.runtime(code)["inputs"][0]["errors"]]
    assert any(word in message for message in errors), errors
    assert metric(server, "ingestor_errors_total", stream_code=code, reason="rejected") == 1


# -- a server that cannot start ----------------------------------------------------------------------


def refused_start(data_dir: Path, *arguments: str) -> str:
    """Start a server that must refuse; what it says. One line, exit status 2, no traceback."""
    # Permissions hold root back only when it gives these up.
    plain = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [
        *plain,
        sys.executable,
        "-m",
        "openstreamer",
        "serve",
        "--data-dir",
        str(data_dir),
        "--no-demo",
    ]
    if "--http" not in arguments:
        command += ["--http", "127.0.0.1:0"]
    if "--rtmp" not in arguments:
        command += ["--rtmp", "127.0.0.1:0"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)
    said = result.stdout + result.stderr
    assert result.returncode == 2, said
    lines = [line for line in said.splitlines() if line.startswith("openstreamer: ")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


@pytest.mark.parametrize("option", ["--http", "--rtmp"])
def test_a_taken_port_is_named(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = refused_start(tmp_path / "data", option, address)
    assert address in said
    assert "in use" in said


def test_a_second_server_on_one_data_directory_is_refused(tmp_path: Path) -> None:
    with running_server(tmp_path, "--no-demo") as server:
        assert "in use by another server" in refused_start(tmp_path / "store")
        assert server.get("/healthz").status_code == 200


def filled_store(data_dir: Path) -> Path:
    """A store with a stream in it; its file."""
    with running_server(data_dir, "--no-demo") as server:
        server.put_stream("news", name="Do not lose me")
    return data_dir / "store" / "openstreamer.db"


def overwrite_head(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xde\xad\xbe\xef" * 30)


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3 + 100)


@pytest.mark.parametrize("damage", [overwrite_head, truncate])
def test_a_damaged_store_is_named_and_left_alone(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = filled_store(tmp_path)
    damage(path)
    content = path.read_bytes()
    for _ in range(2):
        said = refused_start(path.parent)
        assert str(path) in said
        assert "damaged" in said
        assert "openstreamer import" in said
    assert path.read_bytes() == content


def test_a_directory_in_place_of_the_store_is_named(tmp_path: Path) -> None:
    path = tmp_path / "openstreamer.db"
    path.mkdir()
    said = refused_start(tmp_path)
    assert str(path) in said
    assert path.is_dir()


@pytest.mark.parametrize(("file_mode", "directory_mode"), [(0o400, 0o700), (0o600, 0o500)])
def test_a_store_that_cannot_be_written_is_named(tmp_path: Path, file_mode: int, directory_mode: int) -> None:
    path = filled_store(tmp_path)
    content = path.read_bytes()
    path.chmod(file_mode)
    path.parent.chmod(directory_mode)
    try:
        said = refused_start(path.parent)
    finally:
        path.parent.chmod(0o700)
    assert str(path) in said
    assert "may write" in said
    assert path.read_bytes() == content
