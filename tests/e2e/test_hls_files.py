"""``publisher.hls.dir``: the live window as files for a web server, and what a full disk does to it."""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.hls_playlist import parse
from tests.support.served import is_complete
from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, until
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SEGMENT_S = 0.5
WINDOW = 6
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
ENCODER = {"size": "320x180", "gop": 10, "rate": "20"}


def write_files_to(server: Server, directory: Path) -> None:
    hls = {"dir": str(directory), "live_segment_sec": SEGMENT_S, "live_window": WINDOW}
    answer = httpx.post(server.url("/config"), json={"publisher": {"hls": hls}}, timeout=15)
    assert answer.status_code == 200, answer.text


def newest_msn(playlist: Path) -> int:
    """Media sequence number of the last segment of a playlist on the disk; 0 while there is none."""
    with contextlib.suppress(FileNotFoundError):
        return parse(playlist.read_text()).segments[-1].msn
    return 0


@contextlib.contextmanager
def nginx(root: Path, scratch: Path) -> Iterator[str]:
    """An nginx that serves ``root``; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    temporary = "".join(f"{name}_temp_path {scratch}/{name}; " for name in TEMPORARY)
    configuration = scratch / "nginx.conf"
    configuration.write_text(
        f"""daemon off; master_process off; pid {scratch}/nginx.pid; error_log {scratch}/nginx-error.log;
        events {{}}
        http {{
            access_log off; {temporary}
            types {{ application/vnd.apple.mpegurl m3u8; video/mp4 mp4 m4s; }}
            server {{ listen 127.0.0.1:{port}; root {root}; }}
        }}
        """
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    url = f"http://127.0.0.1:{port}"
    with peer(program, "-c", str(configuration), "-p", str(scratch), log=scratch / "nginx.log"):
        until(lambda: _answers(url), "nginx answers")
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/").status_code > 0
    except httpx.ConnectError:
        return False


def test_files_are_what_http_serves_and_a_web_server_plays_them(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "www"
    write_files_to(server, root)
    server.put_stream("news")
    directory = root / "news"
    counts: list[int] = []
    with peer(*ffmpeg_publish(server.publish_url("news"), **ENCODER), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")
        first = until(lambda: newest_msn(directory / "video.m3u8"), "a playlist on the disk")

        def slid_twice() -> bool:
            counts.append(len(os.listdir(directory)))
            assert_everything_named_is_there(directory)
            return newest_msn(directory / "audio.m3u8") > first + 3 * WINDOW

        until(slid_twice, "the window slid over itself twice", 40)
        with nginx(root, tmp_path) as url:
            for player_url in (f"{url}/news/index.m3u8", str(directory / "index.m3u8")):
                found = ffprobe(player_url, seconds=2)["streams"]
                assert {stream["codec_name"] for stream in found} == {"h264", "aac"}
                assert all(int(stream["nb_read_packets"]) > 15 for stream in found)
    server.wait_for_status("news", "idle")
    until(lambda: is_complete(server.url("/news"), "video"), "the last segment")
    # Per track: the window, what players may still ask for, what is being replaced, and an init; playlists.
    assert max(counts) <= 2 * (WINDOW + 3 + 2 + 1) + 3 + 1
    assert_files_are_served(server, directory)


def assert_everything_named_is_there(directory: Path) -> None:
    """A playlist is whole whenever it is read, and names files that are there as long as it stands."""
    for name in ("video.m3u8", "audio.m3u8"):
        path = directory / name
        text = path.read_text() if path.exists() else ""
        segments = parse(text).segments if text else []
        missing = [
            uri
            for segment in segments
            for uri in (segment.uri, segment.map_uri)
            if uri is not None and not (directory / uri).exists()
        ]
        assert not missing or path.read_text() != text, f"{name} names {missing}"


def assert_files_are_served(server: Server, directory: Path) -> None:
    """Once the encoder is gone, nothing changes any more: every file is what HTTP answers."""
    last = directory / "video.m3u8"
    served_last = parse(server.get("/news/video.m3u8").text).segments[-1].msn
    until(lambda: newest_msn(last) >= served_last, "the last segment is on the disk as well")
    compared = 0
    for path in directory.iterdir():
        if path.suffix in (".m4s", ".mp4"):
            answer = server.get(f"/news/{path.name}")
            if answer.status_code == 200:
                assert answer.content == path.read_bytes(), path.name
                compared += 1
    named = parse((directory / "video.m3u8").read_text()).segments
    assert compared >= 2 * len(named) + 2
    served = {segment.msn: segment for segment in parse(server.get("/news/video.m3u8").text).segments}
    for segment in named:
        if segment.msn in served:
            assert (segment.duration_s, segment.program_date_time) == (
                served[segment.msn].duration_s,
                served[segment.msn].program_date_time,
            )


def test_an_ephemeral_directory_goes_with_its_stream(server: Server, tmp_path: Path) -> None:
    root = tmp_path / "www"
    write_files_to(server, root)
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news"), **ENCODER), log=tmp_path / "ffmpeg.log"):
        until(lambda: newest_msn(root / "news" / "video.m3u8"), "a playlist on the disk")
    assert httpx.delete(server.url("/streams/news"), timeout=15).status_code in (200, 204)
    until(lambda: not (root / "news").exists(), "the directory is gone")


def test_a_full_disk_is_said_live_delivery_goes_on_and_it_recovers(server: Server, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        write_files_to(server, disk.path)
        server.put_stream("news")
        on_disk = disk.path / "news" / "video.m3u8"
        with peer(*ffmpeg_publish(server.publish_url("news"), **ENCODER), log=tmp_path / "ffmpeg.log"):
            server.wait_for_status("news", "active")
            until(lambda: newest_msn(on_disk), "a playlist on the disk")
            disk.fill(server.pid)
            runtime = server.wait_for_status("news", "degraded")
            assert any(
                "HLS on disk" in reason and str(disk.path) in reason for reason in runtime["reasons"]
            ), runtime["reasons"]
            assert_everything_named_is_there(disk.path / "news")
            served = parse(server.get("/news/video.m3u8").text).segments[-1].msn
            until(
                lambda: parse(server.get("/news/video.m3u8").text).segments[-1].msn > served + 3,
                "live delivery goes on",
            )
            stuck = newest_msn(on_disk)
            disk.empty(server.pid)
            runtime = server.wait_for_status("news", "active")
            assert runtime["reasons"] == []
            until(lambda: newest_msn(on_disk) > stuck + 3, "files are written again")
            assert_everything_named_is_there(disk.path / "news")
        assert httpx.delete(server.url("/streams/news"), timeout=15).status_code in (200, 204)
        until(lambda: not on_disk.exists(), "the files are gone")


def test_a_directory_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    write_files_to(server, tmp_path)
    taken = tmp_path / "news"
    taken.write_text("a file where a directory should be")
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news"), **ENCODER), log=tmp_path / "ffmpeg.log"):
        runtime = server.wait_for_status("news", "degraded")
        until(
            lambda: any(str(taken) in reason for reason in server.runtime("news")["reasons"]),
            f"the reason names the directory, not {runtime['reasons']}",
        )
        assert server.get("/news/index.m3u8").status_code == 200
    assert taken.read_text() == "a file where a directory should be"
