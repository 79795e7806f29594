"""VLC plays what we serve: its HLS client and MP4 reader share nothing with those of the other players."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.encoded import encode
from tests.support.server import Server, ffmpeg_publish, peer, until
from tests.support.vlc import Vlc

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(120)]

PLAYS_WITHIN_S = 25.0  # while the encoder still sends
PICTURES = 75
SOUNDS = 100  # buffers, of one or two AAC frames

TEST_PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=30")
TONE = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=30")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-tag:v", "hvc1")
X265_GOP = ("-x265-params", "keyint=50:min-keyint=50:scenecut=0:log-level=none")
AAC = ("-c:a", "aac", "-b:a", "64k")


def h264_and_aac(url: str, _directory: Path) -> tuple[str, ...]:
    return ffmpeg_publish(url, gop=50)


def h265_and_aac(url: str, directory: Path) -> tuple[str, ...]:
    file = encode(directory / "h265.mp4", *TEST_PICTURE, *TONE, *X265, *X265_GOP, *AAC)
    return sys.executable, "-m", "tests.support.remux_publisher", str(file.path), url


def aac_alone(url: str, _directory: Path) -> tuple[str, ...]:
    return ("ffmpeg", "-loglevel", "warning", "-nostdin", "-re", *TONE, *AAC, "-f", "flv", url)


@pytest.mark.parametrize(
    ("encoder", "pictures", "sounds"),
    [(h264_and_aac, PICTURES, SOUNDS), (h265_and_aac, PICTURES, SOUNDS), (aac_alone, 0, SOUNDS)],
)
def test_vlc_shows_the_picture_and_plays_the_sound(
    server: Server,
    tmp_path: Path,
    encoder: Callable[[str, Path], tuple[str, ...]],
    pictures: int,
    sounds: int,
) -> None:
    server.put_stream("news")
    command = encoder(server.publish_url("news"), tmp_path)
    with peer(*command, log=tmp_path / "encoder.log"):
        server.wait_for_status("news", "active")
        with Vlc(server.url("/news/index.m3u8"), tmp_path / "vlc.log") as vlc:

            def plays() -> bool:
                seen = vlc.counters()
                return seen["frames displayed"] >= pictures and seen["buffers played"] >= sounds

            until(plays, "VLC plays", PLAYS_WITHIN_S)
            seen = vlc.counters()
    assert seen["discontinuities"] == 0
    assert seen["demux corrupted"] == 0
