"""RTMP pulled from a server that is well, refuses, stalls, ends, or breaks the protocol."""

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from openstreamer.access.egress import EgressGuard
from openstreamer.config.input_urls import RtmpInput
from openstreamer.config.models import Input
from openstreamer.media.errors import (
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.sources import rtmp
from openstreamer.sources.batches import QueueLimits
from openstreamer.sources.outbound import Outbound
from openstreamer.sources.rtmp_pull import RtmpPullSource
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.rtmp import RtmpServer
from tests.contract.source_suite import SourceContract, SourceRig, error_of, sample
from tests.support.certificates import make_certificate
from tests.support.clips import clip
from tests.support.raw_peer import port_of, raw_server
from tests.support.rtmp_origin import Player, RtmpOrigin, Script, rtmp_origin
from tests.support.rtmp_publisher import tags_of

SMALL_QUEUE_BYTES = 20_000
READ_BYTES = 256 * 1024  # of a transport, beyond a full queue
SHORT_S = 0.3
SPEED = 10  # times real time


def pull(url: str, *, limits: QueueLimits | None = None, **said: object) -> RtmpPullSource:
    chosen = Input.model_validate({"url": url, **said})
    parsed = chosen.parsed_url
    assert isinstance(parsed, RtmpInput)
    return RtmpPullSource(Outbound(EgressGuard(lambda: True)), parsed, chosen, limits=limits)


async def play_clip(player: Player) -> None:
    await player.accept()
    await player.play(clip(), speed=SPEED)


async def play_flat_out(player: Player) -> None:
    await player.accept()
    await player.play(clip(), speed=0)


class TestContract(SourceContract):
    buffer_bound_bytes = SMALL_QUEUE_BYTES + READ_BYTES

    @asynccontextmanager
    async def rig(
        self, script: Script = play_clip, limits: QueueLimits | None = None
    ) -> AsyncIterator[SourceRig]:
        async with rtmp_origin(script) as origin:
            source = pull(f"rtmp://127.0.0.1:{origin.port}/live/news", limits=limits)

            async def finish() -> None:
                await origin.fall_silent()
                await origin.players[0].end()

            yield SourceRig(
                source,
                kill_peer=origin.kill,
                silence_peer=origin.fall_silent,
                end_peer=finish,
                buffered_bytes=lambda: source.queued_bytes,
                blocked=lambda: source.paused,
            )

    def backlogged_rig(self):  # type: ignore[no-untyped-def]
        return self.rig(play_flat_out, QueueLimits(max_queued_bytes=SMALL_QUEUE_BYTES))


async def test_of_many_small_messages_the_others_have_their_turn_between_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtmp, "TURN_S", 0.0)  # over at the first look at the clock
    crumb, count = b"\xaf\x01\x21", 2000

    async def flood(player: Player) -> None:
        await player.accept()
        for tag in tags_of(clip()):
            player.machine.send_media(player.request.stream_id, tag.is_video, tag.timestamp_ms, tag.payload)
        for number in range(count):
            player.machine.send_media(player.request.stream_id, False, 2000 + number, crumb)
        await player.flush()

    async with rtmp_origin(flood) as origin, pull(f"rtmp://127.0.0.1:{origin.port}/live/news") as source:
        counts = [source.statistics.received_packets]
        frames: list[Frame] = []
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            reading = group.create_task(collect(source, frames))
            while len(frames) < count or frames[-1].pts_90k != (2000 + count - 1) * 90:
                await asyncio.sleep(0)
                counts.append(source.statistics.received_packets)
            reading.cancel()
    assert max(after - before for before, after in pairwise(counts)) == rtmp.MESSAGES_AT_ONCE
    times = [frame.dts_90k for frame in frames if frame.payload == crumb[2:]]
    assert times == sorted(times)
    assert len(times) == count


async def collect(source: RtmpPullSource, frames: list[Frame]) -> None:
    while True:
        frames += await source.receive()


async def error_against(script: Script, *, timeout_s: float = 10, path: str = "live/news") -> SourceError:
    async with rtmp_origin(script) as origin:
        return await error_of_url(origin, path, timeout_s)


async def error_of_url(origin: RtmpOrigin, path: str, timeout_s: float) -> SourceError:
    source = pull(f"rtmp://127.0.0.1:{origin.port}/{path}", net={"timeout_sec": timeout_s})
    try:
        async with source:
            return await error_of(source)
    except SourceError as err:
        return err


async def test_frames_are_those_of_the_server() -> None:
    async with rtmp_origin(play_clip) as origin, pull(f"rtmp://127.0.0.1:{origin.port}/live/news") as source:
        frames = await sample(source, 60)
    sent = [frame.payload for frame in clip() if frame.track.is_video]
    received = [frame.payload for frame in frames if frame.track.is_video]
    assert received[: len(sent)] == sent[: len(received)]
    assert [track.codec for track in source.tracks] == ["h264", "aac"]


@pytest.mark.parametrize(
    ("path", "params", "app", "asked", "query"),
    [
        ("live/news", {}, "live", "live/news", {}),
        (
            "region/north/news?key=a%20b",
            {"t": "1"},
            "region/north",
            "region/north/news",
            {"key": "a b", "t": "1"},
        ),
        ("live", {}, "live", "live", {}),
    ],
)
async def test_the_path_is_split_as_servers_expect(
    path: str, params: dict[str, str], app: str, asked: str, query: dict[str, str]
) -> None:
    async with (
        rtmp_origin(play_clip) as origin,
        pull(f"rtmp://127.0.0.1:{origin.port}/{path}", params=params),
    ):
        player = origin.players[0]
    assert (player.connect.app, player.request.path) == (app, asked)
    assert player.connect.tc_url == f"rtmp://127.0.0.1:{origin.port}/{app}"
    assert dict(player.request.query) == query


@pytest.mark.parametrize(
    ("code", "words"),
    [("NetStream.Play.StreamNotFound", "no such stream"), ("NetStream.Play.Failed", "refused to play")],
)
async def test_a_refusal_is_told_in_the_servers_words_without_the_token(code: str, words: str) -> None:
    async def script(player: Player) -> None:
        await player.refuse(code, "news?token=geheim is not here, nor for token=geheim")

    err = await error_against(script, path="live/news?token=geheim")
    assert isinstance(err, SourceRejected)
    assert words in str(err)
    assert code in str(err)
    assert "geheim" not in str(err)


async def test_a_server_that_says_nothing_is_stalled() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(silent) as server:
        err = await error_of_url(RtmpOrigin(play_clip, port=port_of(server)), "live/news", SHORT_S)
    assert isinstance(err, SourceStalled)
    assert "handshake" in str(err)


async def test_a_server_that_does_not_answer_play_is_stalled() -> None:
    async def script(player: Player) -> None:
        await player.flush()

    err = await error_against(script, timeout_s=SHORT_S)
    assert isinstance(err, SourceStalled)
    assert "play" in str(err)


async def test_a_server_that_falls_silent_is_stalled() -> None:
    async def script(player: Player) -> None:
        await player.accept()

    assert isinstance(await error_against(script, timeout_s=SHORT_S), SourceStalled)


async def test_a_server_that_closes_is_unreachable() -> None:
    async def script(player: Player) -> None:
        await player.accept()
        player.writer.close()

    assert isinstance(await error_against(script), SourceUnreachable)


async def test_nobody_there_is_unreachable() -> None:
    async with rtmp_origin(play_clip) as origin:
        pass
    assert isinstance(await error_of_url(origin, "live/news", 5), SourceUnreachable)


async def test_the_end_of_the_publication_is_an_end() -> None:
    async def script(player: Player) -> None:
        await player.accept()
        await player.end()

    assert isinstance(await error_against(script), SourceEnded)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100, b"\x03" + bytes(3072) + b"\xff" * 5000]
)
async def test_what_is_not_rtmp_is_unreachable(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await reader.read()

    async with raw_server(speak) as server:
        err = await error_of_url(RtmpOrigin(play_clip, port=port_of(server)), "live/news", 2)
    assert isinstance(err, SourceUnreachable)
    assert "protocol" in str(err)


@pytest.mark.parametrize("insecure", [True, False])
async def test_rtmps_verifies_the_certificate_unless_told_not_to(tmp_path: Path, insecure: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))
    async with rtmp_origin(play_clip, context=context) as origin:
        source = pull(f"rtmps://localhost:{origin.port}/live/news", net={"insecure_tls": insecure})
        assert source.protocol == "rtmps"
        if insecure:
            async with source:
                assert await sample(source, 20)
            return
        with pytest.raises(SourceRejected, match="certificate is not trusted"):
            await source.__aenter__()


class AccessManager(RtmpServer):
    """A server that lets nobody connect without Adobe's login."""

    def _handle_command(
        self, name: str, transaction_id: float, arguments: list[AmfValue], stream_id: int
    ) -> None:
        options = arguments[0] if arguments else None
        if name != "connect" or not isinstance(options, dict):
            super()._handle_command(name, transaction_id, arguments, stream_id)
            return
        app, _, query = str(options["app"]).partition("?")
        refusal = refusal_of(dict(parse_qsl(query)))
        if refusal:
            code = "NetConnection.Connect.Rejected"
            self._send_command(0, "_error", transaction_id, None, {"code": code, "description": refusal})
        else:
            options["app"] = app
            super()._handle_command(name, transaction_id, arguments, stream_id)


def refusal_of(login: dict[str, str]) -> str:
    """What the server says to a login; nothing when it is right. The hashes follow FFmpeg's client."""
    reject = "[ AccessManager.Reject ] : [ authmod=adobe ] : "
    if "user" not in login:
        return "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
    if "response" not in login:
        return f"{reject}?reason=needauth&user={login['user']}&salt=c2FsdA==&challenge=Y2hhbA==&opaque=b3Bh"

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.md5(text.encode()).digest()).decode()

    expected = digest(digest("me" + "c2FsdA==" + "p@ss") + "b3Bh" + login["challenge"])
    return (
        "" if login["response"].replace(" ", "+") == expected else f"{reject}?reason=authfailed&opaque=b3Bh"
    )


async def test_a_server_that_does_not_read_our_answers_is_left() -> None:
    async with rtmp_origin(play_clip) as origin, pull(f"rtmp://127.0.0.1:{origin.port}/live/news") as source:
        source._connection.pause_writing()  # what the transport calls when too much waits to be sent
        err = await error_of(source)
    assert isinstance(err, SourceUnreachable)
    assert "does not read what is answered" in str(err)


async def test_it_logs_in_where_the_server_wants_it() -> None:
    async with rtmp_origin(play_clip, machine=AccessManager) as origin:
        async with pull(f"rtmp://me:p%40ss@127.0.0.1:{origin.port}/live/news") as source:
            assert await sample(source, 20)
        assert origin.players[0].connect.app == "live"


@pytest.mark.parametrize("login", ["", "me:wrong@"])
async def test_a_wrong_login_is_refused_and_not_repeated(login: str) -> None:
    async with rtmp_origin(play_clip, machine=AccessManager) as origin:
        source = pull(f"rtmp://{login}127.0.0.1:{origin.port}/live/news")
        with pytest.raises(SourceRejected, match="refused the application") as caught:
            await source.__aenter__()
        assert "wrong" not in str(caught.value)
        assert not origin.players
