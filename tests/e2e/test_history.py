"""Five minutes of low-latency HLS of the real server, as a player follows it, held to every rule."""

import asyncio
from pathlib import Path

import pytest

from tests.support.encoded import encode
from tests.support.hls_checker import HlsChecker
from tests.support.hls_follower import HlsFollower
from tests.support.server import Server, peer

# It waits nearly all of its time: `make test` runs it beside others.
pytestmark = [pytest.mark.minutes, pytest.mark.slow, pytest.mark.timeout(420)]

FOLLOW_S = 300
CLIP_S = 320  # what the follower sees, and the start
PART_S, SEGMENT_S = 1 / 3, 2
DELTA_EVERY = 3  # of the follower's reloads, this one asks for a delta update
CLIP = (
    *("-f", "lavfi", "-i", f"testsrc2=size=160x90:rate=30000/1001:duration={CLIP_S}"),
    *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={CLIP_S}"),
    *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-bf", "2", "-b_strategy", "0"),
    *("-g", "60", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k"),
)


def copy_publish(path: Path, url: str) -> tuple[str, ...]:
    return ("ffmpeg", "-v", "warning", "-nostdin", "-re", "-i", str(path), "-c", "copy", "-f", "flv", url)


def test_five_minutes_keep_every_rule_for_a_player_that_reloads_without_pause(
    server: Server, tmp_path: Path
) -> None:
    clip = encode(tmp_path / "clip.mp4", *CLIP)
    server.put_stream("news")
    with peer(*copy_publish(clip.path, server.publish_url("news")), log=tmp_path / "ffmpeg.log") as encoder:
        server.wait_for_status("news", "active")
        follower = HlsFollower(server.url("/news"), HlsChecker())
        followed = asyncio.run(follower.follow("video.m3u8", "audio.m3u8", seconds=FOLLOW_S))
        assert encoder.poll() is None
    assert follower.checker.problems == []
    for seen in followed:
        assert seen.failures == []
        assert seen.compressed == seen.reloads - 1
        assert seen.delta_updates > 0.9 * seen.reloads / DELTA_EVERY
        # No segment is left out, and no more of them than came before the first reload or after the last.
        followed_through = sorted(seen.compared + seen.missed)
        assert followed_through == list(range(followed_through[0], followed_through[-1] + 1))
        assert seen.segments_compared > 0.95 * FOLLOW_S / SEGMENT_S
        assert len(seen.parts) > 0.95 * FOLLOW_S / PART_S
