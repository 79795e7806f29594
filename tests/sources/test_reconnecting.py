"""Cut connections that the consumer does not notice, and those that it must."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from openstreamer.media.errors import (
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.sources.base import KEY_FRAME_DEADLINE_S, LOOK_S, QUIET_S
from openstreamer.sources.reconnecting import BUDGET_S, PATIENCE_S, STABLE_S, WAITS_S, ReconnectingSource
from tests.support.media import audio, video
from tests.support.sources import MidGopSource, PausingSource, ScriptedSource
from tests.support.virtual_time import VirtualTimeLoop, run_virtual

CUT = SourceUnreachable("cut")
Use = Callable[[ReconnectingSource[ScriptedSource], VirtualTimeLoop], Awaitable[None]]


def group(start_90k: int) -> list[Frame]:
    return [video(start_90k, key=True), audio(start_90k), video(start_90k + 3600, key=False)]


class Refusing(ScriptedSource):
    """A source that cannot be entered."""

    def __init__(self, error: SourceError) -> None:
        super().__init__([])
        self._error = error

    async def __aenter__(self) -> "Refusing":
        raise self._error


class Line:
    """Hands out its sources one by one."""

    def __init__(self, *sources: ScriptedSource) -> None:
        self.sources = list(sources)
        self.opened: list[ScriptedSource] = []

    def __call__(self) -> ScriptedSource:
        self.opened.append(self.sources.pop(0) if self.sources else Refusing(CUT))
        return self.opened[-1]


def on(
    line: Line, use: Callable[[ReconnectingSource[ScriptedSource], VirtualTimeLoop], Awaitable[None]]
) -> None:
    """Run ``use`` with an open source over ``line``, on virtual time."""

    async def main(loop: VirtualTimeLoop) -> None:
        async with ReconnectingSource(line) as source:
            await use(source, loop)
        assert all(each.closed or not each.opened for each in line.opened)

    run_virtual(main)


async def frames_until_error(source: ReconnectingSource[ScriptedSource]) -> tuple[list[Frame], SourceError]:
    frames: list[Frame] = []
    while True:
        try:
            frames += await source.receive()
        except SourceError as err:
            return frames, err


def test_a_cut_connection_is_made_again() -> None:
    line = Line(ScriptedSource([group(0), CUT]), ScriptedSource([group(90_000), SourceEnded("done")]))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        frames, err = await frames_until_error(source)
        assert isinstance(err, SourceEnded)
        assert len(frames) == 6
        assert source.statistics.reconnects == 1
        assert source.statistics.received_bytes == sum(len(frame.payload) for frame in frames)

    on(line, use)


def test_tries_are_few_and_quick_and_the_first_error_is_told() -> None:
    line = Line(ScriptedSource([group(0), CUT]), Refusing(SourceRejected("404")))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        started_s = loop.time()
        _, err = await frames_until_error(source)
        assert err is CUT
        assert loop.time() - started_s == pytest.approx(sum(WAITS_S))
        assert len(line.opened) == 1 + len(WAITS_S)
        assert (await frames_until_error(source))[1] is CUT
        assert len(line.opened) == 1 + len(WAITS_S)

    on(line, use)


def test_a_try_that_hangs_ends_with_the_budget() -> None:
    line = Line(ScriptedSource([group(0), CUT]), ScriptedSource([]))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        started_s = loop.time()
        _, err = await frames_until_error(source)
        assert err is CUT
        assert loop.time() - started_s == pytest.approx(BUDGET_S)

    on(line, use)


@pytest.mark.parametrize("error", [SourceEnded("x"), SourceStalled("x"), SourceRejected("x")])
def test_other_ends_pass_through(error: SourceError) -> None:
    line = Line(ScriptedSource([group(0), error]), ScriptedSource([group(0)]))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        _, err = await frames_until_error(source)
        assert err is error
        assert len(line.opened) == 1

    on(line, use)


def test_a_connection_that_delivered_nothing_is_not_made_again() -> None:
    line = Line(ScriptedSource([CUT]), ScriptedSource([group(0)]))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        assert (await frames_until_error(source))[1] is CUT

    on(line, use)


def test_a_second_cut_soon_after_is_told_and_a_late_one_is_not() -> None:
    again = SourceUnreachable("again")
    soon = Line(
        ScriptedSource([group(0), CUT]), ScriptedSource([group(90_000), again]), ScriptedSource([group(0)])
    )
    late = Line(
        ScriptedSource([group(0), CUT]),
        PausingSource([group(90_000)], pause_s=STABLE_S, then=[again]),
        ScriptedSource([group(900_000), SourceEnded("done")]),
    )

    async def told(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        assert (await frames_until_error(source))[1] is again
        assert len(soon.opened) == 2

    async def borne(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        assert isinstance((await frames_until_error(source))[1], SourceEnded)
        assert source.statistics.reconnects == 2

    on(soon, told)
    on(late, borne)


def test_a_source_can_be_excepted() -> None:
    line = Line(ScriptedSource([group(0), CUT]), ScriptedSource([group(0)]))

    async def main(loop: VirtualTimeLoop) -> None:
        async with ReconnectingSource(line, may_reconnect=lambda source: False) as source:
            assert (await frames_until_error(source))[1] is CUT

    run_virtual(main)


def test_a_new_connection_that_sends_is_waited_for_until_its_key_frame() -> None:
    line = Line(
        ScriptedSource([group(0), CUT]),
        MidGopSource(pause_s=9.5, sends_s=60.0, then=[group(900_000), SourceEnded("done")]),
    )

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        frames, err = await frames_until_error(source)
        assert isinstance(err, SourceEnded)
        assert len(frames) == 6
        assert source.statistics.reconnects == 1
        assert len(line.opened) == 2

    on(line, use)


@pytest.mark.parametrize(("sends_s", "waited_s"), [(3.0, 3.0 + QUIET_S), (60.0, KEY_FRAME_DEADLINE_S)])
def test_a_new_connection_without_a_key_frame_is_not_waited_for_for_ever(
    sends_s: float, waited_s: float
) -> None:
    line = Line(ScriptedSource([group(0), CUT]), MidGopSource(pause_s=600.0, sends_s=sends_s, then=[]))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        started_s = loop.time()
        assert (await frames_until_error(source))[1] is CUT
        assert loop.time() - started_s == pytest.approx(waited_s, abs=LOOK_S)

    on(line, use)


@pytest.mark.parametrize(("cut_after_s", "opened"), [(0.5, 3), (3.0, 2)])
def test_a_cut_before_the_key_frame_is_tried_again_within_the_budget_only(
    cut_after_s: float, opened: int
) -> None:
    line = Line(
        ScriptedSource([group(0), CUT]),
        MidGopSource(pause_s=cut_after_s, sends_s=60.0, then=[SourceUnreachable("again")]),
        ScriptedSource([group(90_000), SourceEnded("done")]),
    )

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        _, err = await frames_until_error(source)
        assert len(line.opened) == opened
        assert isinstance(err, SourceEnded if opened == 3 else SourceUnreachable)

    on(line, use)


def test_it_asks_for_patience_until_something_new_came() -> None:
    line = Line(
        ScriptedSource([group(0), CUT]),
        MidGopSource(pause_s=4.0, sends_s=60.0, then=[group(0), group(90_000)]),
    )

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        await source.receive()
        assert source.patience_s == 0.0
        asked: list[float] = []
        for after_s in (0.1, 2.0, 3.9):
            loop.call_later(after_s, lambda: asked.append(source.patience_s))
        assert (await source.receive())[0].dts_90k == 90_000
        assert asked[0] == 0.0
        assert asked[1:] == [KEY_FRAME_DEADLINE_S + BUDGET_S] * 2
        assert source.patience_s == 0.0

    on(line, use)


def test_a_connection_that_only_repeats_is_waited_for_a_while() -> None:
    line = Line(ScriptedSource([group(0), CUT]), ScriptedSource([group(0)]))

    async def use(source: ReconnectingSource[ScriptedSource], loop: VirtualTimeLoop) -> None:
        await source.receive()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await source.receive()
        assert source.patience_s == PATIENCE_S

    on(line, use)
