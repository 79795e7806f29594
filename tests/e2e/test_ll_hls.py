"""What the answers to a low-latency player say beside the media."""

from pathlib import Path

import httpx

from tests.support.server import Server, ffmpeg_publish, peer


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
