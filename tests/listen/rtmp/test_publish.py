"""Publishing over real sockets: with FFmpeg, and with a publisher of ours for what FFmpeg cannot."""

import asyncio
import contextlib
import socket
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import av
import pytest

from openstreamer.listen.rtmp import RtmpListenerLimits
from openstreamer.media.errors import SourceEnded, SourceRejected, SourceUnreachable
from openstreamer.media.frame import Frame
from openstreamer.sources.batches import QueueLimits
from openstreamer.stream.publish import PublishRefusal, PublishRefused, PublishRequest, PublishSlot
from openstreamer.wire import amf0
from openstreamer.wire.amf0 import AmfValue
from openstreamer.wire.flv import FlvTag
from openstreamer.wire.rtmp import RtmpClient
from openstreamer.wire.rtmp.chunks import encode_message
from openstreamer.wire.rtmp.messages import Message, MessageType
from tests.listen.rtmp.conftest import MakeServer, Server
from tests.support.clips import clip
from tests.support.media import video
from tests.support.rtmp_publisher import PublishRejected, RtmpPublisher, tags_of
from tests.support.waiting import until


def content(frames: list[Frame], *, video: bool) -> list[bytes]:
    return [frame.payload for frame in frames if frame.track.is_video == video]


async def run_ffmpeg(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "ffmpeg", "-hide_banner", "-nostdin", *arguments, stderr=subprocess.PIPE
    )
    async with asyncio.timeout(30):
        _, stderr = await process.communicate()
    assert process.returncode == 0, stderr.decode()
    return stderr.decode()


async def published(server: Server, *, ends: int = 1) -> list[Frame]:
    assert await until(lambda: len(server.stream.ends) >= ends)
    return server.stream.frames


@pytest.fixture(scope="module")
def source_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rtmp") / "source.flv"
    subprocess.run(
        [
            "ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin",
            "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30",
            "-f", "lavfi", "-i", "sine=sample_rate=48000", "-t", "3",
            "-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "30", "-c:a", "aac", str(path),
        ],
        check=True,
        timeout=60,
    )  # fmt: skip
    return path


def units_of(path: Path) -> dict[str, list[tuple[bytes, int, int, bool]]]:
    units: dict[str, list[tuple[bytes, int, int, bool]]] = {"video": [], "audio": []}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.dts is not None and packet.pts is not None:
                units[packet.stream.type].append(
                    (bytes(packet), packet.dts * 90, packet.pts * 90, bool(packet.is_keyframe))
                )
    return units


async def test_every_access_unit_that_ffmpeg_publishes_arrives_unchanged(
    make_server: MakeServer, source_file: Path
) -> None:
    server = await make_server()
    url = f"rtmp://127.0.0.1:{server.port}/live/news"
    await run_ffmpeg("-loglevel", "error", "-i", str(source_file), "-c", "copy", "-f", "flv", url)
    frames = await published(server)
    assert isinstance(server.stream.ends[0], SourceEnded)
    expected = units_of(source_file)
    video = [(f.payload, f.dts_90k, f.pts_90k, f.key) for f in frames if f.track.is_video]
    assert video == expected["video"]
    audio = [(f.payload, f.dts_90k) for f in frames if not f.track.is_video]
    from_key_frame_on = [unit[:2] for unit in expected["audio"] if unit[1] >= expected["video"][0][1]]
    assert audio == from_key_frame_on
    assert len(audio) > 130
    assert server.listener.statistics.protocol_errors == 0


async def test_ffmpeg_is_told_why_it_is_refused(make_server: MakeServer, source_file: Path) -> None:
    server = await make_server(stream_key="secret")
    url = f"rtmp://127.0.0.1:{server.port}/live/news?key=wrong"
    with pytest.raises(AssertionError, match="wrong or missing stream key"):
        await run_ffmpeg("-loglevel", "error", "-re", "-i", str(source_file), "-c", "copy", "-f", "flv", url)
    assert server.listener.statistics.refused == {"wrong_key": 1}


@pytest.mark.parametrize("video", ["h264", "h264-bframes", "h265", "av1", "vp9"])
@pytest.mark.parametrize("audio", ["aac", "opus"])
async def test_every_codec_is_published(make_server: MakeServer, video: str, audio: str) -> None:
    server = await make_server()
    sent = list(clip(video, audio))
    async with server.publisher() as publisher:
        await publisher.send(sent)
    frames = await published(server)
    assert content(frames, video=True) == content(sent, video=True)
    received_audio = content(frames, video=False)
    assert received_audio
    assert received_audio == content(sent, video=False)[-len(received_audio) :]
    first = next(frame for frame in frames if frame.track.is_video)
    assert first.key
    assert first.track.config == next(frame.track.config for frame in sent if frame.track.is_video)


@pytest.mark.parametrize("audio", ["mp3", "ac3", "eac3", "aac"])
async def test_audio_alone_is_published(make_server: MakeServer, audio: str) -> None:
    server = await make_server()
    sent = list(clip(None, audio))
    async with server.publisher() as publisher:
        await publisher.send(sent)
    assert content(await published(server), video=False) == content(sent, video=False)


@pytest.mark.parametrize(
    ("app", "name", "codes", "key"),
    [
        ("live", "news?key=k1", ("news", "live/news"), "k1"),
        ("live?token=k2", "news", ("news", "live/news"), "k2"),
        ("live/", "/news", ("news", "live/news"), None),
        ("", "live/news?key=a%20b", ("news", "live/news"), "a b"),
    ],
)
async def test_the_url_names_the_stream_and_the_key(
    make_server: MakeServer, app: str, name: str, codes: tuple[str, ...], key: str | None
) -> None:
    server = await make_server()
    async with server.publisher(name, app=app):
        (request,) = server.stream.requests
    assert (request.codes, request.key, request.protocol) == (codes, key, "rtmp")
    assert request.peer.startswith("127.0.0.1:")


async def test_a_publisher_that_vanishes_is_a_lost_connection(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as publisher:
        await publisher.send(clip())
        publisher.abort()
        await published(server)
    assert isinstance(server.stream.ends[0], SourceUnreachable)
    assert await until(lambda: server.stream.point.slot is None), "the slot is free again"


async def test_a_publisher_may_leave_and_come_back(make_server: MakeServer) -> None:
    server = await make_server()
    for turn in (1, 2, 3):
        async with server.publisher() as publisher:
            await publisher.send(clip())
        frames = await published(server, ends=turn)
        assert len(content(frames, video=True)) == turn * 45
    assert await until(lambda: server.listener.statistics.open_connections == 0)
    assert server.listener.statistics.published == 3
    assert await until(lambda: server.listener.statistics.publishing == 0)


@pytest.mark.parametrize(
    ("app", "name", "code", "said", "reason"),
    [
        ("live", "sport", "NetStream.Publish.BadName", "there is no stream sport", "unknown_stream"),
        ("", "news", "NetStream.Publish.BadName", "goes as live/news", "invalid_path"),
        ("live", "news?key=no", "NetStream.Publish.Denied", "stream key", "wrong_key"),
        ("live", "news", "NetStream.Publish.Denied", "stream key", "wrong_key"),
    ],
)
async def test_a_refused_publisher_is_told_why(
    make_server: MakeServer, app: str, name: str, code: str, said: str, reason: str
) -> None:
    server = await make_server(stream_key="secret")
    with pytest.raises(PublishRejected, match=said) as refused:
        await server.publisher(name, app=app).__aenter__()
    assert refused.value.code == code
    assert server.listener.statistics.refused == {reason: 1}
    assert await until(lambda: server.listener.statistics.open_connections == 0)


async def test_a_second_publisher_of_a_live_stream_is_refused(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as first:
        await first.send(clip())
        with pytest.raises(PublishRejected, match="being published by another encoder"):
            await server.publisher().__aenter__()
        await first.send(clip())


async def test_a_publisher_that_is_sent_away_is_told_why(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as publisher:
        await publisher.send(clip())
        server.stream.point.close()
        with pytest.raises(PublishRejected, match="stream news was stopped or restarts") as sent_away:
            await publisher.wait_for_end()
        publisher.abort()
    assert sent_away.value.code == "NetConnection.Connect.AppShutdown", "after Denied, encoders stop for good"
    assert server.listener.statistics.refused == {PublishRefusal.STOPPED.value: 1}


async def test_a_publisher_whose_slot_was_taken_over_is_denied_for_good(make_server: MakeServer) -> None:
    server = await make_server()
    async with server.publisher() as publisher:
        await publisher.send(clip())
        assert await until(lambda: len(server.stream.frames) > 0)
        assert server.stream.point.slot is not None
        server.stream.point.slot.last_frame_ns -= 2_000_000_000
        async with server.publisher() as other:
            with pytest.raises(PublishRejected, match="taken over") as sent_away:
                await publisher.wait_for_end()
            publisher.abort()
            await other.send(clip())
    assert sent_away.value.code == "NetStream.Publish.Denied"


async def test_media_that_cannot_be_carried_is_answered_with_its_name(make_server: MakeServer) -> None:
    server = await make_server()

    class SpeexClient(RtmpClient):
        def send_metadata(self, stream_id: int, values: dict[str, AmfValue]) -> None:
            super().send_metadata(stream_id, {"audiocodecid": 11.0})
            self.send_media(stream_id, False, 0, b"\xb2speex")

    async with server.publisher(client=SpeexClient()) as publisher:
        await publisher.send(clip())
        with pytest.raises(PublishRejected, match="Speex is not supported"):
            await publisher.wait_for_end()
        publisher.abort()
    assert isinstance(server.stream.ends[0], SourceRejected)
    assert server.listener.statistics.refused == {"media": 1}


async def test_a_stream_that_does_not_read_stops_the_publisher_until_it_does(make_server: MakeServer) -> None:
    server = await make_server(RtmpListenerLimits(queue=QueueLimits(max_queued_bytes=1 << 20)))
    statistics = server.listener.statistics
    server.stream.reading.clear()
    frames = [video(number * 3000, key=True, size=200_000) for number in range(10)]
    async with server.publisher() as publisher:
        await publisher.send(frames[:1])
        with pytest.raises(TimeoutError):  # the kernel takes no more, because the server does not read
            await asyncio.wait_for(_send_until_stuck(publisher, frames, stuck_s=0.5), 30)
        held_bytes = statistics.received_bytes
        assert held_bytes < 16 << 20
        server.stream.reading.set()
        assert await until(lambda: statistics.received_bytes > held_bytes)
        publisher.abort()
    await published(server)


async def _send_until_stuck(publisher: RtmpPublisher, frames: list[Frame], *, stuck_s: float) -> None:
    for _ in range(100):  # 200 MB
        async with asyncio.timeout(stuck_s):
            await publisher.send(frames)


async def test_a_publisher_that_is_slowed_down_is_not_taken_for_silent(make_server: MakeServer) -> None:
    limits = RtmpListenerLimits(queue=QueueLimits(max_queued_s=0.1), silence_deadline_s=0.1)
    server = await make_server(limits)
    server.stream.reading.clear()
    async with server.publisher() as publisher:
        await publisher.send(clip())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(publisher.wait_for_end(), 0.5)
        server.stream.reading.set()
    await published(server)


async def test_a_refused_publisher_that_goes_on_sending_still_reads_why(make_server: MakeServer) -> None:
    server = await make_server()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    client = RtmpClient(digest_handshake=False)
    writer.write(client.data_to_send() + bytes(1536))
    options: dict[str, AmfValue] = {"app": "live"}
    for stream_id, values in (
        (0, ("connect", 1.0, options)),
        (0, ("createStream", 2.0, None)),
        (1, ("publish", 3.0, None, "sport", "live")),
    ):
        message = Message(MessageType.COMMAND_AMF0, stream_id, 0, amf0.encode(*values))
        writer.writelines(encode_message(message, 3, 128))
    writer.writelines(encode_message(Message(MessageType.VIDEO, 1, 0, bytes(300_000)), 6, 128))
    await writer.drain()
    said = await reader.read()  # up to the end, which is no reset
    assert b"there is no stream sport" in said
    writer.close()
    await writer.wait_closed()


async def test_a_slot_is_given_back_even_if_its_publication_never_began(make_server: MakeServer) -> None:
    server = await make_server()
    offer = server.stream.point.offer

    def offer_and_cancel(request: PublishRequest) -> PublishSlot:
        slot = offer(request)
        others = asyncio.all_tasks()
        asyncio.get_running_loop().call_soon(lambda: [task.cancel() for task in asyncio.all_tasks() - others])
        return slot

    server.stream.point.offer = offer_and_cancel  # type: ignore[method-assign]
    with contextlib.suppress(ConnectionError, PublishRejected):
        async with server.publisher() as publisher:
            await publisher.wait_for_end()
    assert server.stream.point.slot is None


async def test_ffmpeg_as_a_player_accepts_the_signed_handshake(make_server: MakeServer) -> None:
    # FFmpeg checks the server's digest and signature only when it plays, and says which of them is wrong.
    server = await make_server()
    with pytest.raises(AssertionError, match="not available yet"):
        await run_ffmpeg(
            "-loglevel", "debug", "-i", f"rtmp://127.0.0.1:{server.port}/live/news", "-f", "null", "-"
        )


async def test_our_client_publishes_to_ffmpeg(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    output = tmp_path / "received.flv"
    url = f"rtmp://127.0.0.1:{port}/live/news"
    process = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", "-listen", "1", "-i", url),
        *("-c", "copy", str(output)),
    )
    sent = list(clip())
    async with AsyncExitStack() as stack, asyncio.timeout(30):
        publisher = None
        while publisher is None:
            with contextlib.suppress(ConnectionRefusedError):  # until FFmpeg listens
                publisher = await stack.enter_async_context(RtmpPublisher("127.0.0.1", port, "news"))
            assert process.returncode is None
            await asyncio.sleep(0.02)
        await publisher.send(sent)
    async with asyncio.timeout(20):
        assert await process.wait() == 0
    assert [unit[0] for unit in units_of(output)["video"]] == content(sent, video=True)
    assert [unit[0] for unit in units_of(output)["audio"]] == content(sent, video=False)


async def test_one_connection_publishes_one_stream(make_server: MakeServer) -> None:
    server = await make_server()

    class TwiceClient(RtmpClient):
        def send_publish(self, stream_id: int, name: str, kind: str = "live") -> None:
            super().send_publish(stream_id, name, kind)
            if stream_id == 1:
                self.send_create_stream()

    client = TwiceClient()
    async with server.publisher(client=client) as publisher:
        await publisher.send(clip())
        client.send_publish(2, "news")
        with pytest.raises(PublishRejected, match="this connection is publishing already"):
            await publisher.wait_for_end()
        publisher.abort()


async def test_a_gate_that_fails_refuses_nobody_silently(make_server: MakeServer) -> None:
    server = await make_server()
    server.stream.point.offer = _failing  # type: ignore[method-assign]
    with pytest.raises(PublishRejected, match="disabled"):
        await server.publisher().__aenter__()


def _failing(request: object) -> None:
    raise PublishRefused(PublishRefusal.DISABLED, "stream news is disabled")


async def test_a_publisher_of_damaged_access_units_is_told_so_and_gives_its_slot_back(
    make_server: MakeServer,
) -> None:
    server = await make_server()
    header, *_ = tags_of(clip("h264", None)[:1])
    body = b"\x17\x01\x00\x00\x00" + b"\x00\x00\xff\xff\x65" + bytes(500)
    damaged = [FlvTag(is_video=True, timestamp_ms=number * 40, payload=body) for number in range(130)]
    async with server.publisher() as publisher:
        with pytest.raises(PublishRejected, match=r"H\.264 access units are damaged: 126 of them"):
            await _send_and_wait(publisher, [header, *damaged])
    assert [type(end) for end in server.stream.ends] == [SourceRejected]
    assert server.listener.statistics.refused["media"] == 1
    assert server.stream.point.slot is None
    assert await until(lambda: server.listener.statistics.open_connections == 0)


async def _send_and_wait(publisher: RtmpPublisher, tags: list[FlvTag]) -> None:
    await publisher.send_tags(tags)
    await publisher.wait_for_end()
