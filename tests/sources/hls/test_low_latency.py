"""A low-latency stream is pulled part by part, as its server offers it."""

import asyncio
from itertools import pairwise

import pytest

from openstreamer.media.frame import Frame
from openstreamer.sources.hls import HlsLimits, HlsSource
from tests.support.hls_origin import LowLatencyOrigin, make_hls, pull, serving
from tests.support.http_peer import Peer

PART_S, PARTS = 0.2, 5
RATE = 3.0
DEADLINE_S = 20.0
CUT_BY_TIME = (
    *("-hls_segment_type", "fmp4", "-hls_time", str(PART_S), "-hls_flags", "split_by_time"),
    *("-g", str(int(25 * PART_S * PARTS)), "-tune", "zerolatency"),
)


def origin_of(*, ready: int = 12, hints: bool = True, rate: float | None = RATE) -> LowLatencyOrigin:
    files = make_hls(*CUT_BY_TIME, seconds=12)
    return LowLatencyOrigin(files, part_s=PART_S, parts=PARTS, rate=rate, ready=ready, hints=hints)


async def pictures(source: HlsSource, count: int) -> list[Frame]:
    """The first ``count`` pictures of an entered source."""
    found: list[Frame] = []
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            found += [frame for frame in await source.receive() if frame.track.is_video]
    return found


def is_steady(frames: list[Frame]) -> bool:
    return {b.dts_90k - a.dts_90k for a, b in pairwise(frames)} == {3600}


async def test_part_by_part_from_a_key_frame_on_and_each_part_once() -> None:
    async with serving(origin_of(rate=None)) as origin, pull(origin.url(), speed=RATE) as source:
        frames = await pictures(source, 120)
        asked = [name for name in origin.asked if name.startswith("s")]
    assert frames[0].key
    assert is_steady(frames)
    assert len(set(asked)) == len(asked)
    assert {"s2.3.m4s", "s3.1.m4s", "s4.4.m4s"} <= set(asked)
    assert "s4.m4s" not in asked


async def test_reloads_block_and_ask_for_what_changed() -> None:
    async with (
        serving(origin_of(ready=60 - 20, rate=None)) as origin,
        pull(origin.url(), speed=RATE) as source,
    ):
        await pictures(source, 60)
        reloads = [name for name in origin.asked if name.startswith("index.m3u8?")]
    assert "index.m3u8?_HLS_msn=8&_HLS_part=1&_HLS_skip=YES" in reloads
    assert len(set(reloads)) == len(reloads)


async def test_it_does_not_fall_behind_the_live_edge() -> None:
    async with serving(origin_of(rate=1.0)) as origin, pull(origin.url()) as source:  # a part is 0.2 s then
        frames = await pictures(source, 70)
        assert isinstance(origin, LowLatencyOrigin)
        behind = origin.available - frames[-1].dts_90k / 90_000 / PART_S
    assert behind < 2 * 3, "twice the hold back, in parts"


async def test_a_server_that_announces_what_it_does_not_serve_yet() -> None:
    async with serving(origin_of(hints=False)) as origin, pull(origin.url(), speed=RATE) as source:
        assert is_steady(await pictures(source, 100))


async def test_the_rest_of_a_segment_when_its_parts_are_not_listed_any_more() -> None:
    origin = origin_of(rate=None)

    async def late(peer: Peer) -> None:
        await origin.wait_for(6 * PARTS)
        await origin.serve(peer, "s3.1.m4s")

    origin.answers["s3.1.m4s"] = [late]
    async with serving(origin), pull(origin.url(), speed=RATE) as source:
        frames = await pictures(source, 150)
        assert "s3.m4s" in origin.asked
        assert "s4.m4s" in origin.asked
    assert is_steady(frames)


@pytest.mark.parametrize("status", ["400 Bad Request", "503 Service Unavailable"])
async def test_a_server_that_refuses_to_block_is_asked_plainly(status: str) -> None:
    origin = origin_of()
    first = origin.playlist(delta=False).encode()
    origin.answers["index.m3u8"] = [first, status]
    async with serving(origin), pull(origin.url(), speed=RATE) as source:
        assert is_steady(await pictures(source, 100))
        assert origin.asked.count("index.m3u8") >= 2


async def test_a_delta_update_of_what_was_never_listed_is_asked_for_as_a_whole() -> None:
    origin = origin_of()
    delta = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:900\n#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n#EXTINF:1,\nx\n"
    origin.answers["index.m3u8"] = [origin.playlist(delta=False).encode(), delta]
    async with serving(origin), pull(origin.url(), speed=RATE) as source:
        assert is_steady(await pictures(source, 100))


async def test_its_patience_is_that_of_parts() -> None:
    limits = HlsLimits(stale_least_s=1.0)
    async with serving(origin_of()) as origin, pull(origin.url(), limits=limits) as source:
        assert source.patience_s == pytest.approx(PARTS * PART_S + 3 * PART_S)
