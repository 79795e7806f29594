"""All streams together hold no more media than the node may; the largest give way first."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.track import TrackKind
from openstreamer.stream.memory import MIN_MEDIA_BYTES, MediaMemory, default_max_bytes, fair_limit
from openstreamer.stream.publish import PublishRefusal, PublishRefused, PublishRequest
from openstreamer.stream.status import StreamStatus
from tests.support.streams import Node
from tests.support.virtual_time import VirtualTimeLoop, run_virtual

PUBLISH = [{"url": "publish://", "priority": 0}]


@given(st.lists(st.integers(0, 10**9), min_size=1), st.integers(0, 10**10))
def test_the_limit_makes_everything_fit_and_cuts_no_more_than_that_takes(
    sizes: list[int], budget: int
) -> None:
    limit = fair_limit(sizes, budget)
    assert sum(min(size, limit) for size in sizes) <= budget or limit == 0 or sum(sizes) <= budget
    if sum(sizes) > budget:
        assert sum(min(size, limit + 1) for size in sizes) > budget
    else:
        assert limit >= max(sizes)


def test_pressure_begins_above_the_bound_and_ends_with_room_below_it() -> None:
    memory = MediaMemory(1000)
    assert memory.balance([500, 500]) is None
    assert memory.balance([100, 1000]) == 800
    assert memory.balance([100, 800]) == 800
    assert memory.balance([100, 599]) is None


def test_no_streams_need_no_limit() -> None:
    assert MediaMemory(1).balance([]) is None


def test_a_bound_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        MediaMemory(0)


def test_the_default_follows_the_container_when_it_has_less_than_the_machine(tmp_path: Path) -> None:
    bound, unbound = tmp_path / "bound", tmp_path / "unbound"
    bound.write_text(f"{1 << 30}\n")
    unbound.write_text("max\n")
    assert default_max_bytes([unbound, bound]) == int((1 << 30) * 0.7)
    assert default_max_bytes([unbound, tmp_path / "absent"]) > int((1 << 30) * 0.7)
    bound.write_text("4096\n")
    assert default_max_bytes([bound]) == MIN_MEDIA_BYTES


def held_bytes(node: Node) -> dict[str, int]:
    return {code: pipeline.media_bytes for code, pipeline in node.manager.pipelines()}


def segments(node: Node, code: str) -> int:
    presentation = node.manager.presentation(code)
    assert presentation is not None
    track = presentation.packager.track(TrackKind.VIDEO)
    assert track is not None
    return len(track.window.closed)


def test_the_largest_windows_are_cut_the_small_ones_stay_and_everybody_is_told() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        node = Node(loop, MediaMemory(6_000_000))
        node.store.put("idle", inputs=PUBLISH)
        async with node.manager:
            for code, frame_bytes in (("small", 200), ("large", 6_000), ("larger", 16_000)):
                node.frame_bytes = frame_bytes
                node.store.put(code)
                await node.manager.apply(code)
                await asyncio.sleep(0.1)
            await asyncio.sleep(60)
            held = held_bytes(node)
            assert sum(held.values()) <= 6_500_000
            assert segments(node, "small") == 15
            assert 1 <= segments(node, "larger") < segments(node, "large") < 15
            runtime = node.manager.runtime("larger")
            assert runtime is not None
            assert runtime.status is StreamStatus.DEGRADED
            assert any("media memory is full" in reason for reason in runtime.reasons)
            runtime = node.manager.runtime("small")
            assert runtime is not None
            assert runtime.status is StreamStatus.ACTIVE
            with pytest.raises(PublishRefused, match="fill this node's media memory") as refused:
                node.manager.offer_publisher(PublishRequest(("idle",), None, "rtmp", "192.0.2.1:1"))
            assert refused.value.reason is PublishRefusal.OUT_OF_MEMORY

            del node.store.streams["larger"]
            await node.manager.apply("larger")
            await asyncio.sleep(2)
            node.manager.offer_publisher(PublishRequest(("idle",), None, "rtmp", "192.0.2.1:1")).release()
            await asyncio.sleep(60)
            assert segments(node, "large") == 15
            runtime = node.manager.runtime("large")
            assert runtime is not None
            assert runtime.status is StreamStatus.ACTIVE

    run_virtual(main)
