"""HLS that ffmpeg made, pulled over loopback: every access unit arrives, and trouble is borne or told."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from openstreamer.media.errors import (
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.hls import HlsLimits, HlsMemory, HlsSource
from openstreamer.wire.m3u8_reader import PlaylistLimits
from tests.support.container_files import read_by_libav
from tests.support.hls_origin import HlsOrigin, LiveOrigin, make_hls, pull, serving
from tests.support.http_peer import Peer
from tests.support.waiting import until

SPEED = 40.0
DEADLINE_S = 20.0
FMP4 = ("-hls_segment_type", "fmp4")
SOUND_APART = (
    *("-map", "0:v", "-map", "1:a", "-var_stream_map", "a:0,agroup:sound,default:yes v:0,agroup:sound"),
    *("-master_pl_name", "index.m3u8"),
)
PACKED_SOUND = ("-vn", "-hls_segment_type", "mpegts", "-hls_flags", "single_file")


async def drain(source: HlsSource) -> tuple[list[Frame], SourceError]:
    """Everything that a source gives until it is over, and why it is."""
    frames: list[Frame] = []
    try:
        async with asyncio.timeout(DEADLINE_S), source:
            while True:
                frames += await source.receive()
    except SourceError as err:
        return frames, err


async def batches_of(source: HlsSource) -> AsyncIterator[list[Frame]]:
    """What an entered source returns until it has ended."""
    while True:
        try:
            batch = await source.receive()
        except SourceEnded:
            return
        yield batch


async def pull_all(files: dict[str, bytes], path: str = "index.m3u8", **options: object) -> list[Frame]:
    """All frames of a presentation that ends."""
    async with serving(HlsOrigin(files)) as origin:
        frames, err = await drain(pull(origin.url(path), speed=SPEED, **options))  # type: ignore[arg-type]
    assert isinstance(err, SourceEnded), err
    return frames


async def error_of(origin: HlsOrigin, path: str = "index.m3u8", **options: object) -> SourceError:
    async with serving(origin):
        return (await drain(pull(origin.url(path), speed=SPEED, **options)))[1]  # type: ignore[arg-type]


def video_of(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.track.is_video]


def audio_of(frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if not frame.track.is_video]


def segments_of(files: dict[str, bytes], suffix: str) -> bytes:
    names = sorted((n for n in files if n.endswith(suffix)), key=lambda name: int(name.partition(".")[0]))
    return files.get("init.mp4", b"") + b"".join(files[name] for name in names)


def steady(frames: list[Frame], step_90k: int = 3600) -> bool:
    return {b.dts_90k - a.dts_90k for a, b in pairwise(video_of(frames))} == {step_90k}


class TestWhatArrives:
    async def test_fragmented_mp4_access_unit_by_access_unit(self) -> None:
        files = make_hls(*FMP4)
        frames = await pull_all(files)
        units = read_by_libav(segments_of(files, ".m4s"), ".mp4")
        for kind, mine in (("video", video_of(frames)), ("audio", audio_of(frames))):
            theirs = [unit.payload for unit in units if unit.kind == kind]
            missing = len(theirs) - len(mine)
            assert missing <= (kind == "audio"), "sound from before the first picture, and nothing else"
            assert [frame.payload for frame in mine] == theirs[missing:]
        assert steady(frames)

    @pytest.mark.parametrize(
        "options", [(), ("-hls_flags", "single_file"), ("-hls_playlist_type", "vod")], ids=" ".join
    )
    async def test_transport_streams_in_files_and_in_ranges_of_one(self, options: tuple[str, ...]) -> None:
        frames = await pull_all(make_hls(*options))
        assert len(video_of(frames)) == 100
        assert steady(frames)
        first, last = audio_of(frames)[0], audio_of(frames)[-1]
        assert (last.dts_90k - first.dts_90k) == (len(audio_of(frames)) - 1) * 1920

    async def test_ranges_from_a_server_that_does_not_know_them(self) -> None:
        files = make_hls(*FMP4, "-hls_flags", "single_file")

        class WithoutRanges(HlsOrigin):
            async def serve(self, peer: Peer, path: str) -> None:
                peer.request.headers.pop("range", None)
                await super().serve(peer, path)

        async with serving(WithoutRanges(files)) as origin:
            frames, _ = await drain(pull(origin.url(), speed=SPEED))
        assert len(video_of(frames)) == 100

    async def test_encrypted_segments(self) -> None:
        files = make_hls(encrypted=True)
        async with serving(HlsOrigin(files)) as origin:
            frames, _ = await drain(pull(origin.url(), speed=SPEED))
            assert origin.asked.count("key.bin") == 1
        assert len(video_of(frames)) == 100
        assert steady(frames)

    async def test_sound_in_a_playlist_of_its_own_is_in_step(self) -> None:
        together = await pull_all(make_hls(*FMP4))
        apart = await pull_all(make_hls(*FMP4, *SOUND_APART))
        assert len(video_of(apart)) == 100

        def offset_90k(frames: list[Frame]) -> int:
            return audio_of(frames)[10].pts_90k - video_of(frames)[0].pts_90k

        assert abs(offset_90k(apart) - offset_90k(together)) <= 1920
        assert not any(frame.key for frame in audio_of(apart))
        assert apart[0].track.is_video

    async def test_packed_audio(self) -> None:
        files = dict(make_hls(seconds=2))
        sound = make_packed_audio()
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:2", "#EXTINF:2,", "sound.aac", "#EXT-X-ENDLIST"]
        files |= {"index.m3u8": "\n".join(lines).encode(), "sound.aac": sound}
        frames = await pull_all(files)
        assert {frame.track.codec for frame in frames} == {"aac"}
        assert all(frame.key for frame in frames)
        assert len(frames) > 90

    async def test_tracks_are_those_of_what_was_returned_over_a_change_of_size(self) -> None:
        small, large = make_hls(seconds=2), make_hls("-s", "320x192", seconds=2)
        files = {f"a{name}": body for name, body in small.items()}
        files |= {f"b{name}": body for name, body in large.items()}
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", "a0.ts", "#EXTINF:1,", "a1.ts"]
        lines += ["#EXT-X-DISCONTINUITY", "#EXTINF:1,", "b0.ts", "#EXTINF:1,", "b1.ts", "#EXT-X-ENDLIST"]
        files["index.m3u8"] = "\n".join(lines).encode()
        sizes: list[tuple[int, int]] = []
        frames: list[Frame] = []
        async with serving(HlsOrigin(files)) as origin, pull(origin.url(), speed=SPEED) as source:
            async for batch in batches_of(source):
                frames += batch
                assert {frame.track for frame in batch} <= set(source.tracks)
                assert len({id(frame.track) for frame in video_of(batch)}) <= 1
                sizes.append(size_of(source.tracks[0]))
        assert list(dict.fromkeys(sizes)) == [(160, 96), (320, 192)]
        steps = {b.dts_90k - a.dts_90k for a, b in pairwise(video_of(frames))}
        assert max(steps) < 3600 + 2 * 1920, "the second clip goes on where the first one ended"
        assert len(video_of(frames)) == 100

    async def test_the_variant_that_was_asked_for_and_not_in_the_request(self) -> None:
        files = dict(make_hls(seconds=1))
        files["low.m3u8"] = files["index.m3u8"]
        files["master.m3u8"] = (
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=1920x1080\nhigh.m3u8\n"
            b"#EXT-X-STREAM-INF:BANDWIDTH=100000,RESOLUTION=160x96\nlow.m3u8\n"
        )
        async with serving(HlsOrigin(files)) as origin:
            url = origin.url("master.m3u8?variant=lowest&a=b")
            frames, _ = await drain(pull(url, speed=SPEED, params={"c": "d"}))
            assert origin.asked[:2] == ["master.m3u8?a=b&c=d", "low.m3u8"]
        assert len(video_of(frames)) == 25


class TestTroubleThatIsBorne:
    async def test_a_connection_that_is_cut_inside_a_segment(self) -> None:
        files = make_hls()

        async def cut(peer: Peer) -> None:
            body = files["1.ts"]
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            await peer.send(head + body[: len(body) // 2])
            peer.cut()

        origin = HlsOrigin(files, answers={"1.ts": [cut, cut]})
        async with serving(origin):
            frames, err = await drain(pull(origin.url(), speed=SPEED))
        assert isinstance(err, SourceEnded)
        assert len(video_of(frames)) == 100
        assert steady(frames)

    async def test_a_cut_inside_an_encrypted_segment(self) -> None:
        files = make_hls(encrypted=True)

        async def cut(peer: Peer) -> None:
            body = files["1.ts"]
            await peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:5000])
            peer.cut()

        async with serving(HlsOrigin(files, answers={"1.ts": [cut]})) as origin:
            frames, _ = await drain(pull(origin.url(), speed=SPEED))
        assert len(video_of(frames)) == 100

    async def test_a_server_that_is_unwell_for_a_moment(self) -> None:
        busy = "503 Service Unavailable"
        async with serving(HlsOrigin(make_hls(), answers={"2.ts": [busy, busy]})) as origin:
            frames, err = await drain(pull(origin.url(), speed=SPEED))
        assert isinstance(err, SourceEnded)
        assert len(video_of(frames)) == 100

    async def test_a_segment_that_is_gone_is_left_out_and_counted(self) -> None:
        files = {name: body for name, body in make_hls().items() if name != "2.ts"}
        async with serving(HlsOrigin(files)) as origin:
            source = pull(origin.url(), speed=SPEED)
            frames, err = await drain(source)
        assert isinstance(err, SourceEnded)
        assert 70 <= len(video_of(frames)) <= 75
        statistics = source.statistics
        loss = statistics.lost_packets / (statistics.received_packets + statistics.lost_packets)
        assert loss == pytest.approx(1 / 4, rel=0.2), "one segment of four"

    async def test_a_damaged_segment_is_left_out_and_what_follows_goes_on(self) -> None:
        files = {**make_hls(*FMP4), "1.m4s": bytes(5000)}
        async with serving(HlsOrigin(files)) as origin:
            frames, err = await drain(pull(origin.url(), speed=SPEED))
        assert isinstance(err, SourceEnded)
        assert len(video_of(frames)) >= 75

    async def test_a_server_that_begins_anew_is_followed(self) -> None:
        files = make_hls(seconds=12)
        numbers = [list(range(6)), list(range(6)), [0, 1, 2], [0, 1, 2, 3], list(range(5))]
        texts = [listing([f"{n}.ts" for n in numbers[0]], 500), listing([f"{n}.ts" for n in numbers[1]], 500)]
        texts += [listing([f"{n + 6}.ts" for n in each], 0) for each in numbers[2:]]
        origin = HlsOrigin({**files, "index.m3u8": listing([f"{n + 6}.ts" for n in range(5)], 0, end=True)})
        origin.answers["index.m3u8"] = [*texts]
        async with serving(origin):
            frames, err = await drain(pull(origin.url(), speed=8))
        assert isinstance(err, SourceEnded), err
        assert {"3.ts", "5.ts", "8.ts", "10.ts"} <= set(origin.asked)
        steps = [b.dts_90k - a.dts_90k for a, b in pairwise(video_of(frames))]
        assert min(steps) > 0
        assert max(steps) < 3600 + 2 * 1920

    async def test_redirects_are_followed_and_relative_names_go_with_them(self) -> None:
        files = {f"edge/{name}": body for name, body in make_hls(seconds=1).items()}

        async def redirect(peer: Peer) -> None:
            await peer.respond("302 Found", Location="/edge/index.m3u8")

        async with serving(HlsOrigin(files, answers={"index.m3u8": [redirect]})) as origin:
            frames, _ = await drain(pull(origin.url(), speed=SPEED))
        assert len(video_of(frames)) == 25


class TestTroubleThatIsTold:
    async def test_a_playlist_that_does_not_change_has_stalled(self) -> None:
        files = {**make_hls(), "index.m3u8": listing(["0.ts", "1.ts", "2.ts"], 0)}
        async with serving(HlsOrigin(files)) as origin:
            source = pull(origin.url(), speed=SPEED, limits=HlsLimits(stale_least_s=0.1))
            frames, err = await drain(source)
        assert isinstance(err, SourceStalled)
        assert "nothing new for" in str(err)
        assert len(video_of(frames)) == 75, "what was there comes first"

    async def test_a_live_stream_that_ends_has_ended_after_its_last_frame(self) -> None:
        origin = LiveOrigin(make_hls(seconds=40, segment_s=0.4), segment_s=0.4, rate=4, ready=8)
        async with serving(origin), pull(origin.url(), speed=SPEED) as source:
            await source.receive()
            origin.end()
            rest = [batch async for batch in batches_of(source)]
        assert rest

    @pytest.mark.parametrize(
        ("playlist", "kind", "words"),
        [
            (b"<html>", SourceRejected, "line 1: does not begin with #EXTM3U"),
            (b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n", SourceRejected, "name one another"),
            (b"#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n", SourceRejected, "seeking"),
            (b"#EXTM3U\n#EXTINF:1,\nnone\n#EXTINF:1,\nnone\n#EXTINF:1,\nnone\n#EXT-X-ENDLIST\n",
             SourceUnreachable, "404 for a segment; so 3 in a row are lost"),
            (b'#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n',
             SourceRejected, "SAMPLE-AES, which is not supported"),
            (b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="short"\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n',
             SourceRejected, "the key has 3 bytes instead of 16"),
            (b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="0.ts"\n#EXTINF:1,\n0.ts\n#EXT-X-ENDLIST\n',
             SourceRejected, "a key of more than 16 bytes"),
            (b"#EXTM3U\n#EXTINF:1,\nnone\n#EXT-X-ENDLIST\n", SourceUnreachable, "404 for a segment"),
            (b"#EXTM3U\n#EXT-X-ENDLIST\n", SourceRejected, "nothing in the playlist can be played"),
            (b"#EXTM3U\n#EXTINF:1,\nhttp://169.254.169.254/latest/meta-data\n#EXT-X-ENDLIST\n",
             SourceRejected, "link-local"),
            (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", SourceRejected, "not followed"),
            (b"#EXTM3U\n#EXTINF:1,\nhttp://[x/\n#EXT-X-ENDLIST\n", SourceRejected, "a URL that is none"),
        ],
    )  # fmt: skip
    async def test_what_cannot_be_pulled_is_refused_with_words(
        self, playlist: bytes, kind: type[SourceError], words: str
    ) -> None:
        files = {**make_hls(seconds=1), "index.m3u8": playlist, "short": b"abc"}
        err = await error_of(HlsOrigin(files))
        assert isinstance(err, kind), repr(err)
        assert words in str(err)

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            ("404 Not Found", SourceRejected),
            ("403 Forbidden", SourceRejected),
            ("429 Too Many Requests", SourceUnreachable),
            ("503 Service Unavailable", SourceUnreachable),
        ],
    )
    async def test_a_playlist_that_cannot_be_had(self, answer: str, kind: type[SourceError]) -> None:
        err = await error_of(HlsOrigin({}, answers={"index.m3u8": [answer]}))
        assert type(err) is kind or (kind is SourceUnreachable and isinstance(err, kind))
        assert f"answered {answer[:3]} for a playlist" in str(err)

    async def test_the_params_of_the_input_are_not_said(self) -> None:
        err = await error_of(HlsOrigin({}), params={"type": "hunter22"})
        assert "answered 404 for a playlist" in str(err)
        assert "type=" in str(err)
        assert "hunter22" not in str(err)

    async def test_private_addresses_when_they_are_forbidden(self) -> None:
        assert isinstance(await error_of(HlsOrigin(make_hls(seconds=1)), private=False), SourceRejected)

    async def test_a_redirect_of_a_segment_to_a_metadata_address(self) -> None:
        async def redirect(peer: Peer) -> None:
            await peer.respond("302 Found", Location="http://169.254.169.254/")

        err = await error_of(HlsOrigin(make_hls(seconds=1), answers={"0.ts": [redirect]}))
        assert isinstance(err, SourceRejected)

    async def test_no_secret_is_repeated(self) -> None:
        async with serving(HlsOrigin({})) as origin:
            url = origin.url("index.m3u8?token=s3cret").replace("//", "//user:s3cret@")
            _, err = await drain(pull(url))
        assert "s3cret" not in str(err)


class TestHostilePeers:
    async def test_a_body_without_an_end_is_cut_and_nothing_of_it_is_kept(self) -> None:
        async def endless(peer: Peer) -> None:
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await peer.send(bytes(64 << 10))

        names = [f"{n}.ts" for n in range(3)]
        origin = HlsOrigin({"index.m3u8": listing(names, 0, end=True)})
        origin.answers = {name: [endless] for name in names}
        err = await error_of(origin, limits=HlsLimits(max_segment_bytes=1 << 20))
        assert isinstance(err, SourceUnreachable)

    async def test_a_playlist_without_an_end_is_refused(self) -> None:
        async def endless(peer: Peer) -> None:
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n")
            while True:
                await peer.send(b"#EXTINF:1,\nx\n" * 5000)

        limits = HlsLimits(playlist=PlaylistLimits(max_bytes=1 << 20))
        err = await error_of(HlsOrigin({}, answers={"index.m3u8": [endless]}), limits=limits)
        assert isinstance(err, SourceRejected)
        assert "more than 1048576 bytes" in str(err)

    async def test_a_playlist_that_drips_is_given_up_after_the_inputs_timeout(self) -> None:
        async def drip(peer: Peer) -> None:
            await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await peer.send(b"#")
                await asyncio.sleep(0.05)

        async with serving(HlsOrigin({}, answers={"index.m3u8": [drip]})) as origin:
            with pytest.raises(SourceStalled, match=r"within 0\.4 s"):
                await pull(origin.url(), net={"timeout_sec": 0.4}).__aenter__()

    async def test_a_segment_that_drips_is_given_up(self) -> None:
        async def drip(peer: Peer) -> None:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                await peer.send(b"G")
                await asyncio.sleep(0.05)

        origin = HlsOrigin({"index.m3u8": listing(["0.ts"], 0, end=True)}, answers={"0.ts": [drip] * 9})
        async with serving(origin):
            source = pull(origin.url(), speed=SPEED, limits=HlsLimits(segment_timeout_s=0.2))
            _, err = await drain(source)
        assert isinstance(err, SourceError)
        assert source.statistics.lost_packets == 1

    async def test_no_more_segments_are_fetched_than_may_wait(self) -> None:
        files = make_hls(seconds=12)
        async with serving(HlsOrigin(files)) as origin:
            async with pull(origin.url(), limits=HlsLimits(max_segments_ahead=3)) as source:
                await source.receive()
                for _ in range(200):
                    await asyncio.sleep(0)
                assert source.queued_bytes < sum(map(len, files.values())) / 2
            assert len([name for name in origin.asked if name.endswith(".ts")]) <= 4

    async def test_a_queue_that_is_full_slows_the_server_down(self) -> None:
        files = make_hls(seconds=12)
        limits = HlsLimits(max_queued_bytes=20_000, max_segments_ahead=1000)
        async with serving(HlsOrigin(files)) as origin, pull(origin.url(), limits=limits) as source:
            await source.receive()
            assert await until(lambda: source.queued_bytes >= 20_000)
            for _ in range(500):
                await asyncio.sleep(0)
            assert source.queued_bytes < 20_000 + (64 << 10)


async def test_an_encoder_that_died_is_not_played_again_from_the_list_it_left() -> None:
    origin = LiveOrigin(make_hls(seconds=6), segment_s=1, rate=20, ready=3)
    memory, limits = HlsMemory(), HlsLimits(stale_least_s=0.2)
    async with serving(origin):
        frames, err = await drain(pull(origin.url(), speed=SPEED, memory=memory, limits=limits))
        assert isinstance(err, SourceStalled)
        assert frames
        frames, err = await drain(pull(origin.url(), speed=SPEED, memory=memory, limits=limits))
    assert isinstance(err, SourceStalled)
    assert frames == []


def listing(names: list[str], first: int, *, end: bool = False) -> bytes:
    """A playlist of one-second segments, which says that they are short: it is soon loaded again. A live one
    is begun three segments before its end."""
    lines = [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:0.3",
        "#EXT-X-SERVER-CONTROL:HOLD-BACK=3",
        f"#EXT-X-MEDIA-SEQUENCE:{first}",
    ]
    lines += [f"#EXTINF:1,\n{name}" for name in names]
    return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if end else []), ""]).encode()


def size_of(track: Track) -> tuple[int, int]:
    return track.video.width, track.video.height


def make_packed_audio() -> bytes:
    """ADTS behind the ID3 tag that says when it begins."""
    from tests.support.container_files import make

    adts = make(".aac", "-c:a", "aac", "-f", "adts", video=False)
    owner = b"com.apple.streaming.transportStreamTimestamp\0" + (900_000).to_bytes(8, "big")
    frame = b"PRIV" + len(owner).to_bytes(4, "big") + b"\0\0" + owner
    return b"ID3\x04\0\0\0\0\0" + bytes((len(frame),)) + frame + adts
