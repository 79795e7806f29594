"""Pulling HLS of an encoder that begins anew, and our own low-latency HLS; all kinds: ``test_peers``."""

import contextlib
import functools
import http.server
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.hls_playlist import MediaPlaylist, parse
from tests.support.server import Server, ffmpeg_publish, peer, until

ENCODER = (
    *("ffmpeg", "-hide_banner", "-loglevel", "warning", "-re"),
    *("-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"),
    *("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-sc_threshold", "0"),
    *("-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "6"),
    *("-hls_flags", "delete_segments+temp_file+append_list+omit_endlist"),
)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def web_server(directory: Path) -> Iterator[str]:
    """The files of a directory over HTTP; gives the base URL."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def encoder(files: Path, *options: str) -> Iterator[None]:
    """An ffmpeg that writes into ``files``, from its first segments on."""
    files.mkdir(exist_ok=True)
    before = len(list(files.iterdir()))
    with peer("env", "-C", str(files), *ENCODER, *options, log=files.parent / "ffmpeg.log"):
        until(lambda: len(list(files.iterdir())) >= before + 4 or before > 4, "segments")
        yield


def put_pull(server: Server, code: str, url: str) -> None:
    server.put_stream(code, inputs=[{"url": url, "priority": 0}])


def playlist_of(server: Server, code: str) -> MediaPlaylist:
    return parse(server.get(f"/{code}/video.m3u8").text)


def test_an_encoder_that_begins_anew_goes_on_without_a_discontinuity(server: Server, tmp_path: Path) -> None:
    files = tmp_path / "hls"
    plain = ("-hls_segment_filename", "s%d.ts", "index.m3u8")
    with contextlib.ExitStack() as stack:
        with encoder(files, *plain):
            base_url = stack.enter_context(web_server(files))
            put_pull(server, "pulled", f"{base_url}/index.m3u8")
            server.wait_for_status("pulled", "active")
        with encoder(files, *plain):
            until(lambda: "#EXT-X-DISCONTINUITY" in (files / "index.m3u8").read_text(), "it begins anew")
            before = playlist_of(server, "pulled").newest[0]
            until(lambda: playlist_of(server, "pulled").newest[0] > before + 3, "the playlist goes on")
            assert not any(segment.discontinuity for segment in playlist_of(server, "pulled").segments[1:])
            assert server.runtime("pulled")["status"] == "active"


def test_our_own_low_latency_hls_is_pulled_part_by_part(server: Server, tmp_path: Path) -> None:
    server.put_stream("first")
    with peer(*ffmpeg_publish(server.publish_url("first")), log=tmp_path / "ffmpeg.log") as publisher:
        server.wait_for_status("first", "active")
        until(lambda: len(playlist_of(server, "first").segments) >= 4, "four segments")
        put_pull(server, "second", server.url("/first/index.m3u8"))
        runtime = server.wait_for_status("second", "active")
        assert runtime["inputs"][0]["protocol"] == "hls"
        until(lambda: len(playlist_of(server, "second").segments) >= 3, "three segments")
        assert not any(segment.gap for segment in playlist_of(server, "second").segments)
        publisher.send_signal(signal.SIGKILL)
        runtime = server.wait_for_status("second", "degraded")
        assert runtime["reasons"]
