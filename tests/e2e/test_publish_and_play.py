"""From an encoder to a player, with peers that nobody here wrote."""

import json
import signal
from pathlib import Path

import httpx
import pytest

from tests.support.server import Server, ffmpeg_publish, ffprobe, peer, running_server, until


def test_ffmpeg_publishes_and_ffprobe_plays(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    assert server.runtime("news")["status"] == "idle"
    with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
        runtime = server.wait_for_status("news", "active")
        assert runtime["reasons"] == []
        assert {track["codec"] for track in runtime["inputs"][0]["tracks"]} == {"h264", "aac"}
        found = ffprobe(server.url("/news/index.m3u8"))
        video = next(stream for stream in found["streams"] if stream["codec_type"] == "video")
        audio = next(stream for stream in found["streams"] if stream["codec_type"] == "audio")
        assert (video["codec_name"], video["width"], video["height"]) == ("h264", 640, 360)
        assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000")
        assert int(video["nb_read_packets"]) > 25
        assert int(audio["nb_read_packets"]) > 40
    server.wait_for_status("news", "idle")


def test_a_killed_encoder_comes_back_on_the_same_playlist(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    command = ffmpeg_publish(server.publish_url("news"))

    def newest() -> int:
        text = server.get("/news/video.m3u8").text
        return max(
            (
                int(line.split("_")[1].split(".")[0])
                for line in text.splitlines()
                if line.startswith("video_")
            ),
            default=0,
        )

    with peer(*command, log=tmp_path / "first.log") as first:
        server.wait_for_status("news", "active")
        before = until(newest, "a segment")
        first.send_signal(signal.SIGKILL)
        server.wait_for_status("news", "idle")
        assert newest() >= before
        with peer(*command, log=tmp_path / "second.log"):
            server.wait_for_status("news", "active")
            until(lambda: newest() >= before + 2, "the playlist goes on")
    text = server.get("/news/video.m3u8").text
    assert "#EXT-X-DISCONTINUITY\n" not in text


@pytest.mark.parametrize(
    ("query", "stream", "word"),
    [
        ("nobody", {}, "there is no stream"),
        ("keyed?key=wrong", {"stream_key": "s3cret"}, "stream key"),
        ("pulled", {"inputs": [{"url": "test://", "priority": 0}]}, "publish://"),
    ],
)
def test_a_refused_publisher_is_told_why(
    shared_server: Server, tmp_path: Path, query: str, stream: dict[str, object], word: str
) -> None:
    code = query.partition("?")[0]
    if code != "nobody":
        shared_server.put_stream(code, **stream)
    log = tmp_path / "ffmpeg.log"
    with peer(*ffmpeg_publish(shared_server.publish_url(query)), log=log) as process:
        assert process.wait(20) != 0
    assert word in log.read_text()


def test_a_second_publisher_is_refused_and_the_first_goes_on(server: Server, tmp_path: Path) -> None:
    server.put_stream("news")
    command = ffmpeg_publish(server.publish_url("news"))
    with peer(*command, log=tmp_path / "first.log") as first:
        server.wait_for_status("news", "active")
        log = tmp_path / "second.log"
        with peer(*command, log=log) as second:
            assert second.wait(20) != 0
        assert "being published" in log.read_text()
        assert first.poll() is None
        assert server.runtime("news")["status"] == "active"


def test_an_unknown_path_is_a_404_with_a_reason(shared_server: Server) -> None:
    answer = httpx.get(shared_server.url("/nobody/index.m3u8"))
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "STREAM_NOT_FOUND"


def test_an_encoder_takes_the_place_of_one_that_hangs(server: Server, tmp_path: Path) -> None:
    server.put_stream("news", stream_key="s3cret")
    command = ffmpeg_publish(server.publish_url("news", "?key=s3cret"))
    with peer(*command, log=tmp_path / "hanging.log") as hanging:
        server.wait_for_status("news", "active")
        hanging.send_signal(signal.SIGSTOP)
        runtime = server.wait_for_status("news", "degraded")
        assert "nothing for" in runtime["reasons"][0]
        with peer(*command, log=tmp_path / "second.log") as second:
            runtime = server.wait_for_status("news", "active")
            assert runtime["reasons"] == []
            hanging.send_signal(signal.SIGCONT)
            assert hanging.wait(20) != 0
            assert second.poll() is None
            assert server.runtime("news")["status"] == "active"


def test_streams_of_the_store_are_there_when_the_server_says_that_it_is_ready(tmp_path: Path) -> None:
    publish = [{"url": "publish://", "priority": 0}]
    streams = [{"code": f"s{number}", "inputs": publish} for number in range(300)]
    with running_server(tmp_path, "--no-demo") as server:
        taken = httpx.put(server.url("/config/yaml"), content=json.dumps({"streams": streams}), timeout=60)
        assert taken.status_code == 200, taken.text
    with running_server(tmp_path, "--no-demo") as server:
        assert server.get("/readyz").status_code == 200
        assert server.get("/metrics").text.count('streams_total{status="idle"} 300') == 1
