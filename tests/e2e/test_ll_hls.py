"""Low-latency HLS of the real server, followed in real time, and the same stream as files on a disk."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.support.hls_checker import HlsChecker
from tests.support.hls_follower import HlsFollower
from tests.support.server import Server, ffmpeg_publish, peer

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]

FOLLOW_S = 40


def test_both_playlists_keep_every_rule_for_a_player_that_reloads_without_pause(
    server: Server, tmp_path: Path
) -> None:
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news"), gop=50), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")
        follower = HlsFollower(server.url("/news"), HlsChecker())
        followed = asyncio.run(follower.follow("video.m3u8", "audio.m3u8", seconds=FOLLOW_S))
    assert follower.checker.problems == []
    for seen in followed:
        assert seen.failures == []
        assert seen.compressed == seen.reloads - 1
        # Three parts a second; a machine that is busy may have it ask for several at once.
        assert seen.reloads > FOLLOW_S
        assert len(seen.parts) > FOLLOW_S
        assert seen.delta_updates > 5
        assert seen.segments_compared > FOLLOW_S // 2 - 6


def test_answers_say_how_long_they_may_be_kept(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
        server.wait_for_status("news", "active")
        plain = server.get("/news/video.m3u8")
        segment = server.get(
            f"/news/{[line for line in plain.text.splitlines() if line.endswith('.m4s')][-1]}"
        )
        newest = int(plain.text.rpartition("video_")[2].partition(".")[0])
        blocking = server.get(f"/news/video.m3u8?_HLS_msn={newest}&_HLS_part=0")
        with httpx.Client() as client:
            far = client.get(server.url(f"/news/video.m3u8?_HLS_msn={newest + 50}"))
    assert plain.headers["cache-control"] == "no-cache"
    assert "max-age" in blocking.headers["cache-control"]
    assert "immutable" in segment.headers["cache-control"]
    assert plain.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert segment.headers["content-type"] == "video/mp4"
    assert far.status_code == 400
