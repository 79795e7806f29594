"""One input: whatever its source does, it is tried again, and what can be said of it is true."""

import asyncio
import gc
import re
import weakref
from collections.abc import Awaitable, Callable

import pytest

from openstreamer.failover.timeline import Timeline
from openstreamer.hub import Hub
from openstreamer.media.errors import RemoteProtocolError, SourceEnded, SourceRejected, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.sources.base import Source
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.ingest import Ingest, IngestTotals
from openstreamer.stream.publish import PublishPoint, PublishRefused, PublishRequest
from tests.support.beside import beside
from tests.support.media import video
from tests.support.sources import MidGopSource, PausingSource, ScriptedSource
from tests.support.virtual_time import VirtualTimeLoop, run_virtual


def second(number: int) -> list[Frame]:
    return [video((number * 25 + n) * 3600, key=n == 0) for n in range(25)]


def seconds(first: int, count: int) -> list[Frame]:
    return [frame for number in range(first, first + count) for frame in second(number)]


class Rig:
    """An ingest with its hub, run as a task on virtual time."""

    def __init__(self, loop: VirtualTimeLoop, sources: list[ScriptedSource], silence_s: float = 2.0) -> None:
        self.loop = loop
        self.hub = Hub()
        self.timeline = Timeline(0)
        self.opened_s: list[float] = []
        self._sources = list(sources)
        self.ingest = Ingest(
            "news",
            url="test://",
            priority=0,
            hub=self.hub,
            timeline=self.timeline,
            silence_s=silence_s,
            totals=IngestTotals(),
            latency=Histogram((1.0,)),
            open_source=self._open,
            clock_ns=loop.now_ns,
        )

    async def _open(self) -> Source:
        self.opened_s.append(self.loop.time())
        if not self._sources:
            raise SourceUnreachable("nothing answers")
        return self._sources.pop(0)

    async def run_for(self, seconds: float) -> None:
        async with beside(self.ingest.run()):
            await asyncio.sleep(seconds)


def virtual(scenario: Callable[[VirtualTimeLoop], Awaitable[None]]) -> None:
    async def main(loop: VirtualTimeLoop) -> None:
        await scenario(loop)

    run_virtual(main)


def test_frames_reach_the_hub_on_the_streams_time_and_epoch() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, [ScriptedSource([second(4), second(5)])])
        reader = rig.hub.reader("r")
        await rig.run_for(0.5)
        frames = await reader.receive()
        assert [frame.dts_90k for frame in frames] == [n * 3600 for n in range(50)]
        assert {frame.epoch for frame in frames} == {1}

    virtual(scenario)


def test_a_source_that_ends_is_opened_again_and_the_stream_goes_on() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        first = ScriptedSource([second(0), SourceEnded("done")])
        rig = Rig(loop, [first, ScriptedSource([second(0)])])
        reader = rig.hub.reader("r")
        await rig.run_for(2)
        frames = await reader.receive()
        assert [frame.dts_90k for frame in frames] == [n * 3600 for n in range(50)]
        assert [frame.epoch for frame in frames] == [1] * 25 + [2] * 25
        assert first.closed
        assert [failure.message for failure in rig.ingest.failures] == ["done"]

    virtual(scenario)


@pytest.mark.parametrize(("received_bytes", "words"), [(0, "no media"), (9000, "no key frame")])
def test_a_source_that_opens_and_yields_nothing_is_given_up_after_the_first_frame_deadline(
    received_bytes: int, words: str
) -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        dumb = ScriptedSource([])
        dumb.statistics.received_bytes = received_bytes
        rig = Rig(loop, [dumb])
        await rig.run_for(5.1)
        assert dumb.closed
        assert f"connected, but {words} within 5 s" in rig.ingest.failures[-1].message
        assert rig.ingest.problem is not None

    virtual(scenario)


def test_silence_ends_a_source_after_the_silence_window_and_not_before() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        quiet = ScriptedSource([second(0)])
        rig = Rig(loop, [quiet], silence_s=2.0)
        async with beside(rig.ingest.run()):
            await asyncio.sleep(1.99)
            assert not quiet.closed
            await asyncio.sleep(0.2)
            assert quiet.closed
            assert "silent for 2 s" in rig.ingest.failures[-1].message

    virtual(scenario)


def test_a_source_that_only_lacks_its_key_frame_is_waited_for_as_long_as_a_long_gop_lasts() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, [MidGopSource(pause_s=9.9, sends_s=60.0, then=[second(0), second(1)])])
        await rig.run_for(10.5)
        assert rig.hub.end == 50
        assert not rig.ingest.failures
        assert len(rig.opened_s) == 1

    virtual(scenario)


def test_a_source_whose_key_frame_never_comes_is_given_up() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        endless = MidGopSource(pause_s=600.0, sends_s=600.0, then=[])
        rig = Rig(loop, [endless])
        async with beside(rig.ingest.run()):
            await asyncio.sleep(11.9)
            assert not endless.closed
            await asyncio.sleep(0.3)
            assert endless.closed
        assert "connected, but no key frame within 12 s" in rig.ingest.failures[-1].message

    virtual(scenario)


class WaitingSource(PausingSource):
    """One that asks for patience as soon as nothing comes."""

    patience_s = 0.0

    async def receive(self) -> list[Frame]:
        asyncio.get_running_loop().call_later(1.0, setattr, self, "patience_s", 9.0)
        return await super().receive()


def test_patience_that_is_asked_for_during_the_silence_is_given() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        waiting = WaitingSource([second(0)], pause_s=8.0, then=[second(1)])
        rig = Rig(loop, [waiting], silence_s=2.0)
        async with beside(rig.ingest.run()):
            await asyncio.sleep(8.5)
            assert rig.hub.end == 50
            await asyncio.sleep(8.5)
            assert not waiting.closed
            await asyncio.sleep(2.0)
            assert waiting.closed
        assert "silent for 9 s" in rig.ingest.failures[0].message

    virtual(scenario)


class PatientSource(PausingSource):
    """One of segments: nothing may come for long."""

    patience_s = 18.0


def test_a_source_of_long_segments_may_be_silent_for_as_long_as_it_says() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        slow = PatientSource([second(0)], pause_s=17.0, then=[second(1)])
        late = PatientSource([], pause_s=17.0, then=[second(0)])
        rig = Rig(loop, [slow, late], silence_s=2.0)
        async with beside(rig.ingest.run()):
            await asyncio.sleep(17.5 + 17.9)
            assert not slow.closed
            await asyncio.sleep(1.5)
            assert slow.closed
            assert "silent for 18 s" in rig.ingest.failures[-1].message
            await asyncio.sleep(18.5)
            assert rig.hub.end == 75

    virtual(scenario)


def test_retries_back_off_to_thirty_seconds_and_never_stop() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, [])
        await rig.run_for(600)
        waits = [b - a for a, b in zip(rig.opened_s, rig.opened_s[1:], strict=False)]
        assert 0.8 <= waits[0] <= 1.2
        assert all(wait <= 36 for wait in waits)
        assert len(rig.opened_s) >= 18
        assert len(rig.ingest.failures) == 5
        assert rig.ingest.totals.failures == {"unreachable": len(rig.opened_s)}

    virtual(scenario)


def test_a_source_that_delivered_is_retried_at_once_again() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        flapping = [ScriptedSource([second(0), SourceUnreachable("cut")]) for _ in range(8)]
        rig = Rig(loop, flapping)
        await rig.run_for(11)
        assert len(rig.opened_s) >= 8

    virtual(scenario)


def test_a_publisher_feeds_the_hub_and_its_end_is_no_failure() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        hub, point = Hub(), PublishPoint("news", stream_key=None, clock_ns=loop.now_ns)
        ingest = Ingest(
            "news",
            url="publish://",
            priority=0,
            hub=hub,
            timeline=Timeline(0),
            silence_s=2.0,
            totals=IngestTotals(),
            latency=Histogram((1.0,)),
            point=point,
            clock_ns=loop.now_ns,
        )
        async with beside(ingest.run()):
            assert ingest.waits_for_publisher
            for _ in range(2):
                with point.offer(PublishRequest(("news",), None, "rtmp", "192.0.2.1:1")) as slot:
                    await slot.run(ScriptedSource([second(0), SourceEnded("unpublished")]))
            assert hub.end == 50
            assert ingest.waits_for_publisher
            assert ingest.problem is None
            assert not ingest.failures

    virtual(scenario)


def test_a_refused_source_is_remembered_with_its_words() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, [ScriptedSource([SourceRejected("codec Speex is not supported")])])
        await rig.run_for(0.1)
        assert rig.ingest.problem == "input: codec Speex is not supported"

    virtual(scenario)


class KeepingSource(ScriptedSource):
    """Keeps its error, as sources do that raise it again when they are asked again."""

    def __init__(self) -> None:
        super().__init__([])
        self.read: weakref.ref[set[int]] | None = None

    async def receive(self) -> list[Frame]:
        read = set(range(1000))
        self.read = weakref.ref(read)
        try:
            raise RemoteProtocolError("damaged")
        except RemoteProtocolError as err:
            self.failure = SourceRejected("damaged")
            raise self.failure from err


def test_what_a_refused_source_had_read_is_let_go_at_once() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        source = KeepingSource()
        gc.disable()
        try:
            await Rig(loop, [source]).run_for(0.1)
            assert source.read is not None
            assert source.read() is None
        finally:
            gc.enable()

    virtual(scenario)


def test_an_error_that_is_its_own_cause_is_no_endless_matter() -> None:
    class Repeating(ScriptedSource):
        async def receive(self) -> list[Frame]:
            failure = SourceRejected("damaged")
            raise failure from failure

    async def scenario(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, [Repeating([])])
        await rig.run_for(0.1)
        assert rig.ingest.problem == "input: damaged"

    virtual(scenario)


async def refused(publishing: Awaitable[None]) -> None:
    """Publishing that must be ended because another publisher came."""
    with pytest.raises(PublishRefused, match="taken over"):
        await publishing


def test_a_silent_publisher_stays_until_it_sends_again_or_another_takes_over() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        hub, point = Hub(), PublishPoint("news", stream_key=None, clock_ns=loop.now_ns)
        ingest = Ingest(
            "news",
            url="publish://",
            priority=0,
            hub=hub,
            timeline=Timeline(0),
            silence_s=2.0,
            totals=IngestTotals(),
            latency=Histogram((1.0,)),
            point=point,
            clock_ns=loop.now_ns,
        )
        first = PausingSource([second(0)], pause_s=20.0, then=[second(1)])
        slot = point.offer(PublishRequest(("news",), None, "rtmp", "192.0.2.1:1"))
        async with beside(ingest.run()), beside(refused(slot.run(first))) as publishing:
            await asyncio.sleep(15)
            assert not publishing.done()
            for _ in range(2):
                ingest.notice_silence(loop.now_ns())
            assert [failure.message for failure in ingest.failures] == [
                "scripted: connected, but silent for 2 s"
            ]
            await asyncio.sleep(10)
            assert hub.end == 50
            ingest.notice_silence(loop.now_ns())
            assert len(ingest.failures) == 2
            successor = point.offer(PublishRequest(("news",), None, "rtmp", "192.0.2.2:1"))
            assert point.slot is successor
            await publishing

    virtual(scenario)


def publishing(loop: VirtualTimeLoop) -> tuple[Ingest, PublishPoint]:
    """The ingest of a ``publish://`` input."""
    point = PublishPoint("news", stream_key=None, clock_ns=loop.now_ns)
    ingest = Ingest(
        "news",
        url="publish://",
        priority=0,
        hub=Hub(),
        timeline=Timeline(0),
        silence_s=2.0,
        totals=IngestTotals(),
        latency=Histogram((1.0,)),
        point=point,
        clock_ns=loop.now_ns,
    )
    return ingest, point


def test_a_publisher_that_does_not_pace_itself_enters_in_real_time_and_keeps_its_slot() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        ingest, point = publishing(loop)
        hub = ingest._hub
        an_hour = ScriptedSource([second(number) for number in range(3600)])
        slot = point.offer(PublishRequest(("news",), None, "rtmp", "192.0.2.1:1"))
        async with beside(ingest.run()), beside(slot.run(an_hour)):
            await asyncio.sleep(0.1)
            assert 10 * 25 <= hub.end <= 11 * 25
            assert ingest.held_back
            for _ in range(60):
                await asyncio.sleep(1)
                assert loop.now_ns() - slot.last_frame_ns <= 500_000_000
                assert loop.now_ns() - (hub.flows[1].last_frame_ns or 0) <= 100_000_000
            assert 69 * 25 <= hub.end <= 73 * 25
            assert not ingest.failures
            slot.release()

    virtual(scenario)


def test_a_pulled_source_that_is_held_back_is_not_taken_for_silent() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        greedy = ScriptedSource([seconds(first, 10) for first in range(0, 200, 10)])
        rig = Rig(loop, [greedy])
        await rig.run_for(100)
        assert not rig.ingest.failures
        assert len(rig.opened_s) == 1
        assert 109 * 25 <= rig.hub.end <= 113 * 25

    virtual(scenario)


def test_a_source_that_falls_silent_after_it_was_held_back_is_given_up() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        greedy = ScriptedSource([second(number) for number in range(20)])
        rig = Rig(loop, [greedy])
        await rig.run_for(13)
        assert greedy.closed
        assert "silent for 2 s" in rig.ingest.failures[0].message
        assert not rig.ingest.held_back

    virtual(scenario)


def test_a_new_connection_gains_no_second_burst() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        ten_seconds = [second(number) for number in range(10)]
        rig = Rig(loop, [ScriptedSource([*ten_seconds, SourceEnded("done")]) for _ in range(50)])
        await rig.run_for(60)
        assert rig.hub.end <= 73 * 25

    virtual(scenario)


REQUEST = PublishRequest(("news",), None, "rtmp", "192.0.2.1:1")


@pytest.mark.parametrize("held_back", [False, True])
def test_a_takeover_releases_the_old_source_at_once_and_is_said(held_back: bool) -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        ingest, point = publishing(loop)
        hung = ScriptedSource([seconds(0, 60)] if held_back else [second(0)])
        slot = point.offer(REQUEST)
        async with beside(ingest.run()), beside(refused(slot.run(hung))) as sending:
            await asyncio.sleep(1.5)
            slot.last_frame_ns = loop.now_ns() - 1_500_000_000
            before = ingest._hub.end
            successor = point.offer(PublishRequest(("news",), None, "rtmp", "192.0.2.2:1"))
            async with beside(successor.run(ScriptedSource([second(0)]))):
                await asyncio.sleep(0.01)
                assert hung.closed
                assert ingest._hub.end >= before + 25 or held_back
                assert ingest.source is successor.source
                message = ingest.failures[-1].message
                assert message == (
                    "scripted: the publisher was taken over by another one (rtmp from 192.0.2.2:1):"
                    " no frame came from it for 1.5 s"
                )
                assert ingest.totals.failures == {"replaced": 1}
                await sending
                successor.release()

    virtual(scenario)


class DamagedSource(ScriptedSource):
    """After its script it sends 25 damaged units per second, and receive returns nothing of them."""

    async def receive(self) -> list[Frame]:
        while not self._script:
            await asyncio.sleep(0.04)
            self.statistics.malformed += 1
        return await super().receive()


def test_a_publisher_of_damaged_media_is_not_called_silent() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        ingest, point = publishing(loop)
        slot = point.offer(REQUEST)
        async with beside(ingest.run()), beside(slot.run(DamagedSource([]))):
            assert ingest.damage is None
            for _ in range(5):
                await asyncio.sleep(1.01)
                ingest.notice_silence(loop.now_ns())
            assert [failure.message for failure in ingest.failures] == [
                "scripted: 50 damaged access units, none usable"
            ]
            assert ingest.damage == "126 damaged access units, none usable"
            slot.release()

    virtual(scenario)


def test_damage_before_the_last_frame_is_no_reason_for_silence() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        ingest, point = publishing(loop)
        source = ScriptedSource([second(0)])
        source.statistics.malformed = 7
        slot = point.offer(REQUEST)
        async with beside(ingest.run()), beside(slot.run(source)):
            for _ in range(5):
                await asyncio.sleep(1.0)
                ingest.notice_silence(loop.now_ns())
            assert [failure.message for failure in ingest.failures] == [
                "scripted: connected, but silent for 2 s"
            ]
            assert ingest.damage is None
            slot.release()

    virtual(scenario)


def test_a_pulled_source_of_damaged_media_is_given_up_with_these_words() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        rig = Rig(loop, [DamagedSource([])])
        await rig.run_for(5.1)
        message = rig.ingest.failures[0].message
        assert re.fullmatch(r"scripted: connected, but 12[45] damaged access units, none usable", message)

    virtual(scenario)
