"""A stream that names a playback policy: viewers and operators are told from the change on."""

import asyncio

from openstreamer.config.support import PLAYBACK_POLICIES
from openstreamer.stream.status import StreamStatus
from tests.support.streams import Node
from tests.support.virtual_time import VirtualTimeLoop, run_virtual


def test_a_policy_holds_from_its_change_to_its_removal_and_the_stream_runs_on() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        node = Node(loop)
        async with node.manager as manager:
            node.store.put("news")
            await manager.apply("news")
            await asyncio.sleep(5)
            served = manager.presentation("news")
            assert manager.playback_policy("news") is None
            node.store.put("news", playback_policy="closed")
            await manager.apply("news")
            assert manager.playback_policy("news") == "closed"
            node.store.put("news")
            await manager.apply("news")
            assert manager.playback_policy("news") is None
            assert served is not None
            assert manager.presentation("news") is served
            assert len(node.sources) == 1

    run_virtual(main)


def test_a_policy_of_the_template_is_the_streams() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        node = Node(loop)
        async with node.manager as manager:
            node.store.put_template("base", playback_policy="members")
            node.store.put("news", template="base")
            node.store.put("own", template="base", playback_policy="closed")
            await manager.apply_all()
            assert manager.playback_policy("news") == "members"
            assert manager.playback_policy("own") == "closed"
            assert manager.playback_policy("nothing") is None

    run_virtual(main)


def test_a_stream_that_nobody_may_watch_is_not_active_and_says_why() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        node = Node(loop)
        async with node.manager as manager:
            node.store.put("news", playback_policy="closed")
            await manager.apply("news")
            await asyncio.sleep(5)
            runtime = manager.runtime("news")
            assert runtime is not None
            assert runtime.status is StreamStatus.DEGRADED
            assert runtime.reasons == [PLAYBACK_POLICIES]
            assert runtime.pipeline_active

    run_virtual(main)
