"""Media over HTTP: every container, live and finite bodies, cut connections, and what is no media."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from openstreamer.access.egress import EgressGuard
from openstreamer.config.models import Input
from openstreamer.media.errors import (
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.sources.base import Source
from openstreamer.sources.http import HttpSource
from openstreamer.sources.http_connection import MOST_QUEUED_BYTES
from openstreamer.sources.outbound import Outbound
from openstreamer.sources.pacing import LIVE_LEAD_S
from openstreamer.sources.reconnecting import ReconnectingSource
from tests.contract.source_suite import SourceContract, SourceRig, error_of, receive, sample
from tests.support.clips import clip
from tests.support.flv_bytes import flv_of
from tests.support.http_peer import Peer, http_peer
from tests.support.streams import EndlessSource
from tests.support.transport_stream import endless, length_90k, transport_stream

SHORT_S = 0.3
READ_BYTES = 256 << 10  # of a transport, beyond a full queue
LIVE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nTransfer-Encoding: chunked\r\n\r\n"


def input_of(url: str, **said: object) -> Input:
    return Input.model_validate({"url": url, **said})


def http_source(chosen: Input, open_playlist: Callable[[Input], Source] | None = None) -> HttpSource:
    return HttpSource(Outbound(EgressGuard(lambda: True)), chosen, open_playlist)


def reconnecting(chosen: Input) -> ReconnectingSource[HttpSource]:
    return ReconnectingSource(
        lambda: http_source(chosen), may_reconnect=lambda source: not (source.is_playlist or source.is_file)
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class LivePeer:
    """A live transport stream, and what can happen to it."""

    def __init__(self, *, speed: float = 10, start_90k: Callable[[], int] = lambda: 0) -> None:
        self.speed = speed
        self.start_90k = start_90k
        self.silent = asyncio.Event()
        self.finish = asyncio.Event()
        self.peers: list[Peer] = []

    async def __call__(self, peer: Peer) -> None:
        self.peers.append(peer)
        await peer.send(LIVE_HEAD)
        async for piece in endless(clip(), speed=self.speed, start_90k=self.start_90k()):
            if self.finish.is_set():
                await peer.send(b"0\r\n\r\n")
                return
            if self.silent.is_set():
                await peer.left()
                return
            await peer.send(chunk(piece))


class TestContract(SourceContract):
    buffer_bound_bytes = MOST_QUEUED_BYTES + READ_BYTES

    @asynccontextmanager
    async def rig(self, speed: float = 10) -> AsyncIterator[SourceRig]:
        live = LivePeer(speed=speed)
        async with http_peer(live) as peer:
            source = reconnecting(input_of(peer.url()))

            async def kill() -> None:
                peer.close()

            async def silence() -> None:
                live.silent.set()

            async def finish() -> None:
                live.finish.set()

            yield SourceRig(
                source,
                kill_peer=kill,
                silence_peer=silence,
                end_peer=finish,
                buffered_bytes=lambda: source.source.buffered_bytes,
                blocked=lambda: source.source.paused,
            )

    def backlogged_rig(self):  # type: ignore[no-untyped-def]
        return self.rig(0)


# ---------------------------------------------------------------------- containers


async def frames_of(body: bytes, content_type: str = "", **said: object) -> list[Frame]:
    """Everything that a finite body of ``body`` gives."""

    async def script(peer: Peer) -> None:
        await peer.respond(body=body, **({"Content_Type": content_type} if content_type else {}))

    frames: list[Frame] = []
    async with http_peer(script) as peer, http_source(input_of(peer.url("/x"), **said)) as source:
        while True:
            try:
                frames += await receive(source)
            except SourceEnded:
                return frames


def short(frames: Sequence[Frame]) -> list[Frame]:
    """What a pacer lets through at once."""
    return [frame for frame in frames if frame.dts_90k < 60_000]


async def test_a_finite_transport_stream_comes_whole_and_ends() -> None:
    sent = short(clip())
    received = await frames_of(transport_stream(sent))
    for track in (0, 1):
        sent_here = [f.payload for f in sent if f.track.id == track]
        received_here = [f.payload for f in received if f.track.id == track]
        # AAC begins before the first picture; key frames have their parameter sets before them.
        assert len(sent_here) - len(received_here) <= track
        kept = sent_here[-len(received_here) :]
        assert all(got.endswith(put) for got, put in zip(received_here, kept, strict=True))


async def test_a_file_is_paced_in_real_time() -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    received = await frames_of(transport_stream(clip()))
    took_s = loop.time() - started_s
    media_s = (received[-1].dts_90k - received[0].dts_90k) / 90_000
    assert took_s >= media_s - 1.0 - 0.1  # a second ahead, and frames go in small batches


async def test_a_file_without_a_length_is_paced_in_real_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(LIVE_HEAD)
        for start in range(0, len(body), 4000):
            await peer.send(chunk(body[start : start + 4000]))
        await peer.send(chunk(b""))

    body = transport_stream(clip(), repeats=-(-5 * 90_000 // length_90k(clip())))
    loop = asyncio.get_running_loop()
    received: list[Frame] = []
    async with http_peer(script) as peer, reconnecting(input_of(peer.url())) as source:
        started_s = loop.time()
        try:
            while True:
                received += await receive(source)
        except SourceEnded:
            took_s = loop.time() - started_s
    media_s = (received[-1].dts_90k - received[0].dts_90k) / 90_000
    assert media_s > LIVE_LEAD_S + 1
    assert took_s >= media_s - LIVE_LEAD_S - 0.1


async def test_flv_is_recognised_whatever_it_is_called() -> None:
    sent = short(clip())
    received = await frames_of(flv_of(sent), "application/octet-stream")
    assert [f.payload for f in received if f.track.is_video] == [f.payload for f in sent if f.track.is_video]


async def test_plain_audio_is_recognised() -> None:
    from openstreamer.media.aac import AacConfig

    sent = short(clip(None, "aac"))
    config = sent[0].track.config
    assert isinstance(config, AacConfig)

    def adts(payload: bytes) -> bytes:
        size = len(payload) + 7
        return (
            bytes([0xFF, 0xF1, 0x4C, 0x80 | size >> 11, size >> 3 & 0xFF, (size & 7) << 5 | 0x1F, 0xFC])
            + payload
        )

    received = await frames_of(b"".join(adts(f.payload) for f in sent), "audio/aac")
    assert {f.track.codec for f in received} == {"aac"}
    assert [f.payload for f in received] == [f.payload for f in sent]


async def test_a_playlist_is_handed_over() -> None:
    async def script(peer: Peer) -> None:
        await peer.respond(body=b"#EXTM3U\n#EXT-X-VERSION:3\n", Content_Type="text/plain")

    async with http_peer(script) as peer:
        chosen = input_of(peer.url("/x"))
        opened: list[Input] = []

        def open_playlist(given: Input) -> Source:
            opened.append(given)
            return EndlessSource()

        async with http_source(chosen, open_playlist) as source:
            assert source.is_playlist
            assert await receive(source)
            assert source.protocol == EndlessSource.protocol
    assert opened == [chosen]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><html></html>", "page"),
        (b'{"error": "no"}', "page"),
        (b"", "nothing"),
        (bytes(5000), "neither"),
        (b"#EXTM3U\n", "playlists"),
        (b"G" + bytes(187), "neither"),
    ],
)
async def test_what_is_no_media_is_refused_in_words(body: bytes, words: str) -> None:
    with pytest.raises(SourceRejected, match=words):
        await frames_of(body)


async def test_media_that_says_nothing_of_a_carried_codec_is_refused() -> None:
    with pytest.raises(SourceError) as caught:
        await frames_of((b"\x47\x1f\xff\x10" + bytes(184)) * 100)  # null packets
    assert isinstance(caught.value, SourceRejected)


# ---------------------------------------------------------------------- live


async def test_a_cut_connection_is_made_again_and_the_clock_goes_on() -> None:
    elapsed = Elapsed()
    live = LivePeer(start_90k=elapsed)
    async with http_peer(live) as peer, reconnecting(input_of(peer.url())) as source:
        before = await sample(source, 40)
        tracks = source.tracks
        elapsed.more_90k = length_90k(clip()) * 2
        live.peers[0].cut()
        after = await sample(source, 40)
        assert source.statistics.reconnects == 1
        assert source.tracks == tracks
    assert [frame.track for frame in after if frame.track not in tracks] == []
    for track in tracks:
        times = [frame.dts_90k for frame in before + after if frame.track == track]
        assert times == sorted(times)
        assert times[-1] - times[0] < 10 * 90_000


async def test_a_connection_that_is_cut_again_and_again_ends_the_source() -> None:
    live = LivePeer()
    async with http_peer(live) as peer, reconnecting(input_of(peer.url())) as source:
        await sample(source, 20)
        live.peers[-1].cut()
        await sample(source, 20)
        live.peers[-1].cut()
        assert isinstance(await error_of(source), SourceUnreachable)
        assert source.statistics.reconnects == 1


async def test_a_server_that_is_gone_for_good_is_told_within_the_budget() -> None:
    live = LivePeer()
    async with http_peer(live) as peer, reconnecting(input_of(peer.url())) as source:
        await sample(source, 20)
        peer.close()
        err = await error_of(source)
    assert isinstance(err, SourceUnreachable)
    assert source.statistics.reconnects == 0


async def test_a_live_body_that_falls_silent_is_stalled() -> None:
    live = LivePeer()
    async with (
        http_peer(live) as peer,
        reconnecting(input_of(peer.url(), net={"timeout_sec": SHORT_S})) as source,
    ):
        await sample(source, 20)
        live.silent.set()
        assert isinstance(await error_of(source), SourceStalled)


async def test_a_body_that_drips_before_it_is_recognised_is_stalled() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(b"G")
            await asyncio.sleep(SHORT_S / 10)

    assert isinstance(await refusal(script), SourceStalled)


async def test_an_endless_body_of_nothing_is_refused() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        while True:
            await peer.send(bytes(65_536))

    assert isinstance(await refusal(script, timeout_s=10), SourceRejected)


async def refusal(script: Callable[[Peer], object], timeout_s: float = SHORT_S) -> SourceError:
    async with http_peer(script) as peer:  # type: ignore[arg-type]
        try:
            async with reconnecting(input_of(peer.url(), net={"timeout_sec": timeout_s})) as source:
                return await error_of(source)
        except SourceError as err:
            return err


class Elapsed:
    """How far the peer's clock is when somebody connects."""

    def __init__(self) -> None:
        self.more_90k = 0

    def __call__(self) -> int:
        return self.more_90k
