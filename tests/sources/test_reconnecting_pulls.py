"""Live pulls over real sockets whose connection is cut: inside the budget it is no more than a counter."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise

import pytest

from openstreamer.media.errors import SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.sources.base import Source
from openstreamer.sources.reconnecting import BUDGET_S
from openstreamer.stream.wiring import SourceOpener
from tests.contract.source_suite import DEADLINE_S, error_of, sample
from tests.sources.test_http import input_of
from tests.support.clips import clip
from tests.support.flv_bytes import FLV_HEAD, framed
from tests.support.http_peer import read_request
from tests.support.raw_peer import Serve, port_of, raw_server
from tests.support.rtmp_origin import Player, RtmpOrigin
from tests.support.rtmp_publisher import tags_of

SPEED = 10  # times real time
GONE_ON_MS = 2_000  # how far a server's clock went while nobody was connected
ANOTHER_MS = 3_600_000
PATIENT_S = 60  # what an input may take to connect: more than the budget, and than the test waits
FRAMES = 60


class Answer(Enum):
    """What the server does with one connection."""

    PLAY = auto()
    CUT = auto()
    HANG = auto()


@dataclass
class LiveServer:
    """Plays to whoever connects, until it is told something else about the connections to come."""

    play: Serve
    answers: list[Answer] = field(default_factory=list)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        answer = self.answers.pop(0) if self.answers else Answer.PLAY
        if answer is Answer.PLAY:
            await self.play(reader, writer)
        elif answer is Answer.HANG:
            while await reader.read(4096):
                pass

    def cut(self) -> None:
        """The newest connection is lost."""
        self.connections[-1].transport.abort()


Clock = Callable[[], int]
"""The server's time in milliseconds, when somebody begins to play."""


def flv_over_http(clock: Clock) -> Serve:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        tags = tags_of(clip())
        loop, add_ms = asyncio.get_running_loop(), clock()
        began_s = loop.time() - add_ms / 1000 / SPEED
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\nConnection: close\r\n\r\n" + FLV_HEAD)
        while True:
            for tag in tags:
                due_s = began_s + (tag.timestamp_ms + add_ms) / 1000 / SPEED
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                writer.write(framed(tag, add_ms=add_ms))
                await writer.drain()
            add_ms += tags[-1].timestamp_ms + 33

    return play


def rtmp(clock: Clock) -> Serve:
    async def play_clip(player: Player) -> None:
        await player.accept()
        await player.play(clip(), speed=SPEED, start_ms=clock())

    return RtmpOrigin(play_clip).serve


KINDS = {"http": flv_over_http, "rtmp": rtmp}


@asynccontextmanager
async def pulling(kind: str, clock: Clock = lambda: 0) -> AsyncIterator[tuple[LiveServer, Source]]:
    """A server, and the source that the product makes of its URL, entered."""
    live = LiveServer(KINDS[kind](clock))
    async with raw_server(live.serve) as server:
        url = f"{kind}://127.0.0.1:{port_of(server)}/live/news"
        source = await SourceOpener().open(input_of(url, net={"timeout_sec": PATIENT_S}))
        async with source:
            yield live, source


def rising(frames: list[Frame], source: Source) -> None:
    """Frames of the same tracks, in order, and without a hole of more than the server's clock went on."""
    assert {frame.track for frame in frames} == set(source.tracks)
    for track in source.tracks:
        times = [frame.dts_90k for frame in frames if frame.track == track]
        steps = [after - before for before, after in pairwise(times)]
        assert min(steps) > 0
        assert max(steps) <= (GONE_ON_MS + BUDGET_S * 1000 * SPEED) * 90


@pytest.mark.parametrize("restarted_ms", [0, GONE_ON_MS, ANOTHER_MS], ids=["anew", "on", "other clock"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cut_connection_is_a_counter_and_the_times_go_on(kind: str, restarted_ms: int) -> None:
    clock = iter((0, restarted_ms))
    async with pulling(kind, lambda: next(clock)) as (live, source):
        before = await sample(source, FRAMES)
        tracks = source.tracks
        assert [track.codec for track in tracks] == ["h264", "aac"]
        live.cut()
        after = await sample(source, FRAMES)
        rising(before + after, source)
        assert source.tracks == tracks
        assert source.statistics.reconnects == 1
        assert len(live.connections) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_first_try_that_fails_is_no_more_than_a_counter(kind: str) -> None:
    async with pulling(kind) as (live, source):
        before = await sample(source, FRAMES)
        live.answers.append(Answer.CUT)
        live.cut()
        rising(before + await sample(source, FRAMES), source)
        assert source.statistics.reconnects == 1
        assert len(live.connections) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_is_away_for_all_tries_ends_the_source(kind: str) -> None:
    async with pulling(kind) as (live, source):
        await sample(source, FRAMES)
        live.answers += [Answer.CUT] * 3
        live.cut()
        assert isinstance(await error_of(source), SourceUnreachable)
        assert source.statistics.reconnects == 0
        assert len(live.connections) == 4


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_is_back_and_says_nothing_ends_the_source_within_the_budget(kind: str) -> None:
    assert PATIENT_S > DEADLINE_S, "or the input's own limit would end it"
    async with pulling(kind) as (live, source):
        await sample(source, FRAMES)
        live.answers += [Answer.HANG] * 3
        live.cut()
        assert isinstance(await error_of(source), SourceUnreachable)
        assert source.statistics.reconnects == 0
        assert len(live.connections) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_connection_that_is_cut_again_soon_ends_the_source(kind: str) -> None:
    async with pulling(kind) as (live, source):
        await sample(source, FRAMES)
        live.cut()
        await sample(source, FRAMES)
        live.cut()
        assert isinstance(await error_of(source), SourceUnreachable)
        assert source.statistics.reconnects == 1
        assert len(live.connections) == 2
