"""What is said about a running stream follows what flows, not what flowed."""

import asyncio

import pytest

from openstreamer.config.models import GlobalConfig, Stream
from openstreamer.hub import Hub
from openstreamer.media.errors import SourceEnded
from openstreamer.media.frame import Frame
from openstreamer.sources.base import SourceStatistics
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.observe import FlowMeter
from openstreamer.stream.pipeline import MediaSettings, StreamPipeline
from openstreamer.stream.publish import PublishRequest
from tests.support.beside import beside
from tests.support.media import AUDIO, VIDEO, audio, video
from tests.support.sources import ScriptedSource
from tests.support.virtual_time import VirtualTimeLoop, run_virtual

FRAME_BYTES = 5000
RATE_KBPS = FRAME_BYTES * 25 * 8 // 1000


def pictures(first: int, count: int) -> list[Frame]:
    return [video(n * 3600, key=n % 25 == 0, size=FRAME_BYTES) for n in range(first, first + count)]


class PacedSource(ScriptedSource):
    """A picture every 40 ms, for ``count`` pictures; then it ends, or says nothing any more."""

    def __init__(
        self, count: int, *, ends: bool, script: list[list[Frame] | Exception] | None = None
    ) -> None:
        steps: list[list[Frame] | Exception] = script or [pictures(n, 1) for n in range(count)]
        super().__init__([*steps, SourceEnded("done")] if ends else steps, tracks=(VIDEO,))

    async def receive(self) -> list[Frame]:
        await asyncio.sleep(0.04)
        return await super().receive()


def pipeline(loop: VirtualTimeLoop) -> StreamPipeline:
    """A stream that waits for a publisher."""
    spec = Stream.model_validate({"code": "news", "inputs": [{"url": "publish://", "priority": 0}]})

    def open_nothing(_: object) -> None:
        raise AssertionError("a publisher is waited for")

    settings = MediaSettings.of(GlobalConfig())
    return StreamPipeline(spec, settings, open_nothing, Histogram((1.0,)), loop.now_ns)  # type: ignore[arg-type]


async def tick(stream: StreamPipeline, loop: VirtualTimeLoop, seconds: int) -> None:
    """Let the stream run as its supervisor would."""
    for _ in range(seconds):
        await asyncio.sleep(1)
        stream.tick(loop.now_ns())


async def publish(stream: StreamPipeline, source: ScriptedSource) -> None:
    """Feed the stream from ``source`` to its end."""
    point = stream.publish_point
    assert point is not None
    with point.offer(PublishRequest(("news",), None, "rtmp", "192.0.2.1:1")) as slot:
        await slot.run(source)


def shown_kbps(stream: StreamPipeline, loop: VirtualTimeLoop) -> int:
    return stream.runtime(loop.now_ns()).media.input_bitrate_kbps


def test_the_bitrate_is_gone_with_the_publisher_and_right_again_when_it_is_back() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        stream = pipeline(loop)
        await stream.start()
        first = loop.create_task(publish(stream, PacedSource(251, ends=True)))
        await tick(stream, loop, 10)
        assert abs(shown_kbps(stream, loop) - RATE_KBPS) <= RATE_KBPS * 0.05
        await first
        assert shown_kbps(stream, loop) == 0
        await tick(stream, loop, 30)
        second = loop.create_task(publish(stream, PacedSource(251, ends=True)))
        await tick(stream, loop, 3)
        assert abs(shown_kbps(stream, loop) - RATE_KBPS) <= RATE_KBPS * 0.35
        await second
        await stream.stop()

    run_virtual(scenario)


def test_the_bitrate_of_a_publisher_that_fell_silent_is_nothing() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        stream = pipeline(loop)
        await stream.start()
        async with beside(publish(stream, PacedSource(250, ends=False))):
            await tick(stream, loop, 13)
            runtime = stream.runtime(loop.now_ns())
            assert runtime.media.input_bitrate_kbps == 0
            assert runtime.inputs[0].bitrate_kbps == 0
            assert runtime.inputs[0].tracks[0].bitrate_kbps == 0
        await stream.stop()

    run_virtual(scenario)


def test_an_input_says_how_old_its_last_frame_is_and_how_many_come() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        stream = pipeline(loop)
        await stream.start()
        source = PacedSource(100, ends=False)
        source.statistics = SourceStatistics(
            received_packets=99, lost_packets=1, dropped_frames=3, reconnects=2
        )
        async with beside(publish(stream, source)):
            await tick(stream, loop, 5)
            shown = stream.runtime(loop.now_ns()).inputs[0]
            assert shown.last_frame_age_sec == pytest.approx(1.0, abs=0.05)
            assert (shown.packet_loss, shown.dropped_frames, shown.reconnects) == (0.01, 3, 2)
        await stream.stop()

    run_virtual(scenario)


def test_an_input_that_was_opened_again_is_not_active_before_it_delivers() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        sources = [PacedSource(100, ends=True), ScriptedSource([], tracks=(VIDEO,))]
        again = asyncio.Event()

        async def open_next(_: object) -> ScriptedSource:
            if len(sources) == 1:
                again.set()
            return sources.pop(0)

        spec = Stream.model_validate({"code": "news", "inputs": [{"url": "test://", "priority": 0}]})
        settings = MediaSettings.of(GlobalConfig())
        stream = StreamPipeline(spec, settings, open_next, Histogram((1.0,)), loop.now_ns)
        await stream.start()
        await tick(stream, loop, 4)
        assert stream.runtime(loop.now_ns()).active_input_priority == 0
        await again.wait()
        await asyncio.sleep(0.04)
        runtime = stream.runtime(loop.now_ns())
        assert runtime.inputs[0].last_frame_age_sec is not None
        assert runtime.inputs[0].last_frame_age_sec < 2, "it would still be fresh"
        assert (runtime.status, runtime.inputs[0].status) == ("degraded", "degraded")
        assert (runtime.pipeline_active, runtime.active_input_priority) == (False, None)
        assert (runtime.media.input_bitrate_kbps, runtime.inputs[0].bitrate_kbps) == (0, 0)
        await stream.stop()

    run_virtual(scenario)


class SlowCamera(ScriptedSource):
    """A picture every four seconds, for ``count`` pictures; then nothing. With ``sound``, a multiplexer sends
    it in bursts with the pictures."""

    def __init__(self, count: int, *, sound: bool) -> None:
        steps: list[list[Frame] | Exception] = [
            [video(n * 4 * 90_000, key=True), *(self._sound(n) if sound else [])] for n in range(count)
        ]
        super().__init__(steps, tracks=(VIDEO, AUDIO) if sound else (VIDEO,))
        self._sent = 0

    @staticmethod
    def _sound(number: int) -> list[Frame]:
        """That of the four seconds before a picture."""
        first, end = (max(0, (number - n) * 4 * 90_000 // 1920) for n in (1, 0))
        return [audio(index * 1920) for index in range(first, end)]

    async def receive(self) -> list[Frame]:
        await asyncio.sleep(4 if self._sent else 0)
        self._sent += 1
        return await super().receive()


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "no sound"])
@pytest.mark.parametrize("pulled", [True, False], ids=["pulled", "published"])
def test_a_slow_camera_becomes_active_once_and_stays_so_until_it_is_silent(pulled: bool, sound: bool) -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        camera = SlowCamera(12, sound=sound)

        async def open_camera(_: object) -> ScriptedSource:
            return camera

        spec = Stream.model_validate({"code": "news", "inputs": [{"url": "test://", "priority": 0}]})
        settings = MediaSettings.of(GlobalConfig())
        stream = (
            StreamPipeline(spec, settings, open_camera, Histogram((1.0,)), loop.now_ns)
            if pulled
            else pipeline(loop)
        )
        await stream.start()
        async with beside(asyncio.sleep(0) if pulled else publish(stream, camera)):
            seen: list[str] = []
            for _ in range(70):
                await tick(stream, loop, 1)
                runtime = stream.runtime(loop.now_ns())
                seen.append(f"{runtime.status} {runtime.inputs[0].status}")
            assert [seen[n] for n in range(70) if not n or seen[n] != seen[n - 1]] == [
                "degraded active",
                "active active",
                "degraded degraded",
            ]
            assert 4 <= seen.index("active active") <= 8  # its second picture ends the first part
            assert 44 + 9 <= seen.index("degraded degraded") <= 44 + 11
            assert ["silent for 10 s" in failure.message for failure in stream.ingest.failures][:1] == [True]  # type: ignore[union-attr]
            assert camera.closed is pulled
        await stream.stop()

    run_virtual(scenario)


def test_a_publisher_without_key_frames_is_named_until_they_come_again() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        stream = pipeline(loop)
        await stream.start()
        pictures = [video(n * 3600, key=n in (0, 900, 950), size=100) for n in range(1025)]
        source = PacedSource(0, ends=False, script=[[picture] for picture in pictures])
        async with beside(publish(stream, source)):
            reasons: list[list[str]] = []
            for _ in range(41):
                await tick(stream, loop, 1)
                reasons.append(stream.runtime(loop.now_ns()).reasons)
            first, last = 21, 37  # seconds: 20 s after the first one; and at the one after the next
            assert all("key frame" in said[-1] for said in reasons[first : last + 1])
            assert "no key frame for 31 s" in reasons[30][0]
            assert reasons[last + 2] == []
            assert "key frame" not in str(reasons[:20])
        await stream.stop()

    run_virtual(scenario)


def test_the_frame_rate_is_measured() -> None:
    hub, meter = Hub(), FlowMeter()
    assert meter.frame_rate(VIDEO.id) is None
    with hub.writer() as writer:
        for second in range(4):
            writer.write(pictures(second * 25, 25), (VIDEO,), second * 1_000_000_000)
            meter.sample(hub, second * 1_000_000_000)
    assert meter.frame_rate(VIDEO.id) == 25.0


def test_a_mean_does_not_reach_back_over_a_standstill() -> None:
    hub, meter = Hub(), FlowMeter()
    with hub.writer() as writer:
        for second in (*range(5), *range(60, 63)):
            writer.write(pictures(second * 25, 25), (VIDEO,), second * 1_000_000_000)
            meter.sample(hub, second * 1_000_000_000)
            if second == 4:
                for silent in range(5, 60):
                    meter.sample(hub, silent * 1_000_000_000)
    assert meter.kbps(VIDEO.id) == RATE_KBPS


def test_inputs_that_were_never_tried_are_listed_as_idle_without_their_secrets() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        stream = pipeline(loop)
        inputs = [
            {"url": "rtmp://spare.example/live/news?key=geheim", "priority": 1},
            {"url": "publish://", "priority": 0},
        ]
        stream.spec = Stream.model_validate({"code": "news", "inputs": inputs})
        await stream.start()
        await tick(stream, loop, 1)
        shown = stream.runtime(loop.now_ns()).inputs
        assert [(each.input_priority, each.status.value) for each in shown] == [(0, "idle"), (1, "idle")]
        assert "geheim" not in shown[1].url
        assert shown[1].last_packet_at is None
        await stream.stop()

    run_virtual(scenario)
