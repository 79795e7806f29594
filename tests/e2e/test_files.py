"""Files as inputs of the real server: played in real time over LL-HLS, in a loop without a seam."""

import asyncio
from pathlib import Path

import pytest

from tests.support.container_files import make
from tests.support.hls_checker import HlsChecker
from tests.support.hls_follower import HlsFollower
from tests.support.server import ffprobe, running_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# 3.84 s: 96 pictures and 180 frames of AAC, so that both tracks are equally long; a segment is one GOP
SOURCE = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "48", "-pix_fmt", "yuv420p", "-c:a", "aac")
FOLLOW_S = 14.0  # four passes, and enough segments for the checker


def test_a_file_in_a_loop_is_one_stream_without_a_seam(tmp_path: Path) -> None:
    vod = tmp_path / "vod"
    vod.mkdir()
    (vod / "film.mp4").write_bytes(make(".mp4", *SOURCE, seconds="3.84"))
    with running_server(tmp_path / "data", "--no-demo", "--file-root", f"vod={vod}") as server:
        server.put_stream("film", inputs=[{"url": "file://vod/film.mp4?loop=true", "priority": 0}])
        runtime = server.wait_for_status("film", "active")
        assert runtime["reasons"] == []
        follower = HlsFollower(server.url("/film"), HlsChecker())
        followed = asyncio.run(follower.follow("video.m3u8", "audio.m3u8", seconds=FOLLOW_S))
        playlist = server.get("/film/video.m3u8").text
        seen = ffprobe(server.url("/film/index.m3u8"), seconds=6, from_start=True)
    assert follower.checker.problems == []
    assert [each.failures for each in followed] == [[], []]
    assert "#EXT-X-DISCONTINUITY\n" not in playlist
    assert seen["stderr"] == ""
    packets = {stream["codec_type"]: int(stream["nb_read_packets"]) for stream in seen["streams"]}
    assert packets["video"] > 140
    assert packets["audio"] > 260


def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    vod = tmp_path / "vod"
    vod.mkdir()
    (vod / "link.mp4").symlink_to("/etc/passwd")
    with running_server(tmp_path / "data", "--no-demo", "--file-root", f"vod={vod}") as server:
        for code, url in {
            "link": "file://vod/link.mp4",
            "root": "/etc/passwd",
            "mount": "file://tv/a.ts",
        }.items():
            server.put_stream(code, inputs=[{"url": url, "priority": 0}])

        def reason(code: str) -> str:
            return " ".join(server.wait_for_status(code, "degraded")["reasons"])

        assert "vod/link.mp4 is outside of the directories that may be read" in reason("link")
        assert "/etc/passwd is outside of the directories" in reason("root")
        assert "there is no mount 'tv'; there are: vod" in reason("mount")
