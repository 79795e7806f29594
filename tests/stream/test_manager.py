"""The streams of a node: what the store says is what runs, whatever happens on the way there."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from openstreamer.stream.manager import StreamDisabled, UnknownStream
from openstreamer.stream.publish import PublishRefusal, PublishRefused, PublishRequest
from openstreamer.stream.status import StreamStatus
from tests.support.streams import Node
from tests.support.virtual_time import VirtualTimeLoop, run_virtual

Scenario = Callable[[Node], Coroutine[Any, Any, None]]


def on_node(scenario: Scenario) -> None:
    """Run a scenario on a started node; afterwards nothing of it may be left."""

    async def main(loop: VirtualTimeLoop) -> None:
        node = Node(loop)
        before = asyncio.all_tasks()
        async with node.manager:
            await scenario(node)
        assert node.open_sources == 0
        assert asyncio.all_tasks() == before

    run_virtual(main)


def status_of(node: Node, code: str) -> StreamStatus:
    runtime = node.manager.runtime(code)
    assert runtime is not None
    return runtime.status


def publish(*codes: str, key: str | None = None) -> PublishRequest:
    return PublishRequest(codes, key, "rtmp", "192.0.2.1:1")


def test_stored_streams_come_up_at_boot_and_are_active_once_frames_flow() -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        node = Node(loop)
        for number in range(50):
            node.store.put(f"ch{number}")
        async with node.manager:
            await asyncio.sleep(2)
            assert {status_of(node, code) for code in node.manager.codes()} == {StreamStatus.ACTIVE}
            assert len(node.manager.codes()) == 50

    run_virtual(main)


def test_a_new_record_runs_after_apply_and_a_removed_one_does_not() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        await asyncio.sleep(1)
        assert status_of(node, "news") is StreamStatus.ACTIVE
        del node.store.streams["news"]
        await node.manager.apply("news")
        assert node.manager.runtime("news") is None
        assert node.manager.presentation("news") is None
        assert node.open_sources == 0

    on_node(scenario)


def test_what_nobody_announced_is_found_by_the_reconciler() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await asyncio.sleep(11)
        assert status_of(node, "news") is StreamStatus.ACTIVE
        node.store.put("news", disabled=True)
        await asyncio.sleep(11)
        assert status_of(node, "news") is StreamStatus.STOPPED
        del node.store.streams["news"]
        await asyncio.sleep(11)
        assert node.manager.codes() == []

    on_node(scenario)


def test_the_reconciler_outlives_a_failing_store_and_running_streams_do_not_notice() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        node.store.failing = True
        await asyncio.sleep(60)
        assert status_of(node, "news") is StreamStatus.ACTIVE
        assert len(node.sources) == 1
        node.store.failing = False
        node.store.put("sport")
        await asyncio.sleep(21)
        assert status_of(node, "sport") is StreamStatus.ACTIVE

    on_node(scenario)


def test_delete_wins_over_applies_at_the_same_time() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        applies = [asyncio.get_running_loop().create_task(node.manager.apply("news")) for _ in range(20)]
        await asyncio.sleep(0)
        del node.store.streams["news"]
        await node.manager.apply("news")
        await asyncio.gather(*applies)
        await asyncio.sleep(15)
        assert node.manager.codes() == []
        assert node.open_sources == 0

    on_node(scenario)


def test_racing_operations_leave_one_running_stream() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        operations: list[Coroutine[Any, Any, None]] = []
        for number in range(20):
            operations.append(node.manager.apply("news"))
            operations.append(node.manager.restart("news"))
            node.store.put("news", description=str(number))
        await asyncio.gather(*operations)
        await asyncio.sleep(1)
        assert node.open_sources == 1
        assert status_of(node, "news") is StreamStatus.ACTIVE

    on_node(scenario)


def test_a_start_that_fails_is_stopped_with_the_reason_and_is_rebuilt() -> None:
    async def scenario(node: Node) -> None:
        node.build_failures = [OSError("no file descriptors"), OSError("still none")]
        node.store.put("news")
        await node.manager.apply("news")
        runtime = node.manager.runtime("news")
        assert runtime is not None
        assert runtime.status is StreamStatus.STOPPED
        assert "no file descriptors" in runtime.reasons[0]
        await asyncio.sleep(10)
        assert status_of(node, "news") is StreamStatus.ACTIVE

    on_node(scenario)


def test_a_change_of_name_does_not_touch_the_running_stream() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        await asyncio.sleep(3)
        presentation = node.manager.presentation("news")
        node.store.put("news", name="News", tags=["a"], stream_key="k")
        await node.manager.apply("news")
        assert len(node.sources) == 1
        assert node.manager.presentation("news") is presentation

    on_node(scenario)


def test_a_changed_input_restarts_the_input_and_the_viewers_keep_their_playlist() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        await asyncio.sleep(3)
        presentation = node.manager.presentation("news")
        node.store.put("news", inputs=[{"url": "test://?fps=50", "priority": 0}])
        await node.manager.apply("news")
        await asyncio.sleep(1)
        assert [source.open for source in node.sources] == [False, True]
        assert node.manager.presentation("news") is presentation
        assert presentation is not None
        assert not presentation.closed
        assert status_of(node, "news") is StreamStatus.ACTIVE

    on_node(scenario)


def test_a_restart_builds_everything_anew() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        await asyncio.sleep(3)
        presentation = node.manager.presentation("news")
        await node.manager.restart("news")
        await asyncio.sleep(1)
        assert node.manager.presentation("news") is not presentation
        assert presentation is not None
        assert presentation.closed
        assert node.open_sources == 1

    on_node(scenario)


def test_restart_says_what_cannot_be_restarted() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(UnknownStream):
            await node.manager.restart("nobody")
        node.store.put("off", disabled=True)
        await node.manager.apply("off")
        with pytest.raises(StreamDisabled):
            await node.manager.restart("off")

    on_node(scenario)


def test_a_template_gives_inputs_and_its_change_reaches_the_stream() -> None:
    async def scenario(node: Node) -> None:
        node.store.put_template("t", inputs=[{"url": "test://", "priority": 0}])
        node.store.put("news", inputs=[], template="t")
        await node.manager.apply("news")
        await asyncio.sleep(1)
        assert status_of(node, "news") is StreamStatus.ACTIVE
        node.store.put_template("t", inputs=[{"url": "publish://", "priority": 0}])
        await node.manager.apply_all()
        await asyncio.sleep(1)
        assert status_of(node, "news") is StreamStatus.IDLE

    on_node(scenario)


def test_a_stream_without_input_says_so() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news", inputs=[])
        await node.manager.apply("news")
        runtime = node.manager.runtime("news")
        assert runtime is not None
        assert (runtime.status, runtime.reasons) == (StreamStatus.DEGRADED, ["no input is configured"])

    on_node(scenario)


def test_a_changed_global_setting_reaches_running_streams() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        node.change_settings(input_packet_timeout_sec=0.5)
        await node.manager.apply_all()
        pipelines = dict(node.manager.pipelines())
        assert pipelines["news"].settings.silence_s == 0.5

    on_node(scenario)


@pytest.mark.parametrize(
    ("fields", "request_", "reason"),
    [
        ({"inputs": [{"url": "publish://", "priority": 0}]}, publish("other"), PublishRefusal.UNKNOWN_STREAM),
        ({"disabled": True}, publish("news"), PublishRefusal.DISABLED),
        ({}, publish("news"), PublishRefusal.NO_PUBLISH_INPUT),
        (
            {"inputs": [{"url": "publish://", "priority": 0}], "stream_key": "k"},
            publish("news", key="wrong"),
            PublishRefusal.WRONG_KEY,
        ),
    ],
)
def test_a_publisher_is_refused_with_the_reason(
    fields: dict[str, Any], request_: PublishRequest, reason: PublishRefusal
) -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news", **fields)
        await node.manager.apply("news")
        with pytest.raises(PublishRefused) as refused:
            node.manager.offer_publisher(request_)
        assert refused.value.reason is reason

    on_node(scenario)


def test_the_second_code_that_a_url_may_mean_is_tried() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("live/news", inputs=[{"url": "publish://", "priority": 0}])
        await node.manager.apply("live/news")
        with node.manager.offer_publisher(publish("news", "live/news")) as slot:
            assert slot.code == "live/news"
        assert status_of(node, "live/news") is StreamStatus.IDLE

    on_node(scenario)


def test_an_input_that_is_not_supported_is_said_once() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news", inputs=[{"url": "srt://192.0.2.1:9000", "priority": 0}])
        node.real_sources = True
        await node.manager.apply("news")
        await asyncio.sleep(1)
        runtime = node.manager.runtime("news")
        assert runtime is not None
        assert runtime.reasons == ["input 0: srt:// inputs are not supported by this version"]
        assert runtime.status is StreamStatus.DEGRADED

    on_node(scenario)


def test_a_change_of_everything_is_told_within_a_second_and_reaches_every_stream() -> None:
    async def scenario(node: Node) -> None:
        for number in range(200):
            node.store.put(f"ch{number}", inputs=[{"url": "publish://", "priority": 0}])
        node.store.read_s = 1.0  # a store so slow that a pass takes minutes
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await node.manager.apply_all()
        assert loop.time() - began_s <= 1.0
        node.store.put("news")
        began_s = loop.time()
        await node.manager.apply("news")  # does not queue behind the others
        assert status_of(node, "news") is not StreamStatus.STOPPED
        assert loop.time() - began_s < 10
        await asyncio.sleep(120)
        assert len(node.manager.codes()) == 201
        assert {status_of(node, f"ch{number}") for number in range(200)} == {StreamStatus.IDLE}
        node.store.read_s = 0.0

    on_node(scenario)


def test_what_is_asked_for_during_a_pass_gets_one_of_its_own() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        node.store.read_s = 0.1
        first = asyncio.get_running_loop().create_task(node.manager.apply_all())
        await asyncio.sleep(0.45)  # it has read the settings, and has more to do
        node.change_settings(input_packet_timeout_sec=0.5)
        await node.manager.apply_all()
        assert dict(node.manager.pipelines())["news"].settings.silence_s == 0.5
        await first
        node.store.read_s = 0.0

    on_node(scenario)


def test_a_record_that_changes_during_a_pass_is_applied_as_it_is_then() -> None:
    async def scenario(node: Node) -> None:
        node.store.put_template("t", inputs=[{"url": "publish://", "priority": 0}])
        node.store.put("news", inputs=[{"url": "publish://", "priority": 0}])
        await node.manager.apply("news")
        node.store.put("news", inputs=[], template="t")
        node.store.read_s = 0.1
        whole_pass = asyncio.get_running_loop().create_task(node.manager.apply_all())
        await asyncio.sleep(0.35)  # everything is read, and the record is about to be read again
        node.store.put("news", disabled=True)
        await whole_pass
        assert status_of(node, "news") is StreamStatus.STOPPED
        node.store.read_s = 0.0

    on_node(scenario)


def test_playlists_and_input_go_on_through_a_change_of_hls_settings() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        await asyncio.sleep(3)
        presentation = node.manager.presentation("news")
        assert presentation is not None
        node.change_live_window(20)
        await node.manager.apply_all()
        parts_before = presentation.parts_total
        await asyncio.sleep(3)
        assert node.manager.presentation("news") is presentation
        assert presentation.packager.options.window_segments == 20
        assert presentation.parts_total > parts_before
        assert [source.open for source in node.sources] == [True]
        assert status_of(node, "news") is StreamStatus.ACTIVE

    on_node(scenario)


def test_delivery_is_switched_off_and_on_without_touching_the_input() -> None:
    async def scenario(node: Node) -> None:
        node.store.put("news")
        await node.manager.apply("news")
        node.store.put("news", protocols={"dash": False})
        await node.manager.apply("news")
        assert node.manager.presentation("news") is None
        node.store.put("news", protocols={"hls": True})
        await node.manager.apply("news")
        await asyncio.sleep(2)
        assert status_of(node, "news") is StreamStatus.ACTIVE
        assert len(node.sources) == 1

    on_node(scenario)
