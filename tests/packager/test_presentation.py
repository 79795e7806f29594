"""What players ask and get: waiting, refusals, caching, tokens."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import permutations

import pytest

from openstreamer.media.aac import AacConfig
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager.errors import BadRequest, NotFound, NotReady
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.presentation import Presentation
from openstreamer.packager.response import MediaResponse
from tests.support.made_streams import START_90K, MadeStream
from tests.support.media import AUDIO, VIDEO
from tests.support.mp4_reader import boxes, samples
from tests.support.waiting import until

FIRST = 5_000
STREAM = MadeStream(seconds=60)
OTHER_AUDIO = Track(2, AacConfig(bytes.fromhex("1210")))


class Broadcast:
    """A presentation that is fed by hand."""

    def __init__(self, stream: MadeStream = STREAM, options: PackagerOptions | None = None) -> None:
        self.presentation = Presentation(options or PackagerOptions(), FIRST, 7)
        self._stream = stream
        self._frames: Iterator[Frame] = iter(stream.frames())
        self._now_90k = START_90K

    def go_on_with(self, stream: MadeStream) -> None:
        """The frames after this are another stream's."""
        self._stream = stream
        self._frames = iter(stream.frames())

    def feed(self, seconds: float) -> None:
        """The next frames, up to this much media time."""
        self._now_90k += round(seconds * 90_000)
        for frame in self._frames:
            self.presentation.push([frame], self._stream.tracks, frame.pts_90k // 90)
            if frame.dts_90k >= self._now_90k:
                return

    async def text(self, name: str, **query: str) -> str:
        return body(await self.presentation.fetch(name, query)).decode()

    def ask(self, name: str, **query: str) -> "asyncio.Task[MediaResponse]":
        return asyncio.get_running_loop().create_task(self.presentation.fetch(name, query))


def renditions(text: str) -> list[str]:
    """The media playlists that a multivariant playlist names, video first."""
    assert "#EXT-X-TARGETDURATION" not in text
    return sorted(set(re.findall(r"\b\w+\.m3u8", text)), reverse=True)


def body(response: MediaResponse) -> bytes:
    return b"".join(response.chunks)


async def waiters(presentation: Presentation, count: int) -> None:
    """Let the loop run until so many requests wait."""
    assert await until(lambda: presentation.waiting >= count)


@pytest.fixture
async def live() -> AsyncIterator[Broadcast]:
    broadcast = Broadcast()
    broadcast.feed(5.5)  # complete: 5000 (1 s), 5001, 5002 (2 s each); growing: 5003
    yield broadcast
    broadcast.presentation.close()


async def test_index_is_a_master_of_video_and_audio(live: Broadcast) -> None:
    text = await live.text("index.m3u8")

    assert re.search(r'#EXT-X-MEDIA:TYPE=AUDIO,.*URI="audio.m3u8"', text)
    assert re.search(r"#EXT-X-STREAM-INF:BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+", text)
    assert 'CODECS="avc1.42c01f,mp4a.40.2"' in text
    assert "RESOLUTION=1280x720,FRAME-RATE=30.000" in text
    assert text.endswith("\nvideo.m3u8\n")


async def test_low_latency_players_are_asked_to_stay_four_parts_behind(live: Broadcast) -> None:
    text = await live.text("video.m3u8")

    assert "#EXT-X-PART-INF:PART-TARGET=0.334" in text
    assert re.search(r"#EXT-X-SERVER-CONTROL:.*PART-HOLD-BACK=1.336\b", text)


@pytest.mark.parametrize("missing", ["video", "audio"])
async def test_index_is_a_master_of_a_single_track_too(missing: str) -> None:
    broadcast = Broadcast(MadeStream(seconds=20, **{missing: None}))
    broadcast.feed(5)

    kind = "audio" if missing == "video" else "video"
    text = await broadcast.text("index.m3u8")
    assert renditions(text) == [f"{kind}.m3u8"]
    assert text.count("#EXT-X-STREAM-INF") == 1
    assert f'URI="{kind}_init_5000.mp4"' in await broadcast.text(f"{kind}.m3u8")


@pytest.mark.parametrize(
    "query", [{"_HLS_msn": "5002"}, {"_HLS_msn": "9" * 9, "_HLS_part": "1"}, {"_HLS_part": "x"}]
)
async def test_directives_say_nothing_at_the_index(live: Broadcast, query: dict[str, str]) -> None:
    assert await live.presentation.fetch("index.m3u8", query) is await live.presentation.fetch(
        "index.m3u8", {}
    )
    assert live.presentation.waiting == 0


@pytest.mark.parametrize(("before", "after"), [*permutations(("video audio", "video", "audio"), 2)])
async def test_index_lists_what_the_source_that_came_back_has(before: str, after: str) -> None:
    first = MadeStream(seconds=9, **{kind: None for kind in ("video", "audio") if kind not in before})
    second = first.after(seconds=9, video=None, audio=None)
    second = replace(
        second, video=VIDEO if "video" in after else None, audio=AUDIO if "audio" in after else None
    )
    broadcast = Broadcast(first)
    broadcast.feed(8.9)
    assert renditions(await broadcast.text("index.m3u8")) == [f"{kind}.m3u8" for kind in before.split()]

    broadcast.presentation.flush()
    broadcast.go_on_with(second)
    broadcast.feed(4)
    assert renditions(await broadcast.text("index.m3u8")) == [f"{kind}.m3u8" for kind in after.split()]


async def test_a_track_that_is_silent_for_a_moment_stays_in_the_index() -> None:
    broadcast = Broadcast(MadeStream(seconds=31, video_silent=(7.3, 15)))
    for _ in range(29):
        broadcast.feed(1)
        if broadcast.presentation.packager.settled:
            assert renditions(await broadcast.text("index.m3u8")) == ["video.m3u8", "audio.m3u8"]


async def test_the_playlist_of_video_that_is_gone_for_good_is_not_found() -> None:
    first = MadeStream(seconds=9)
    broadcast = Broadcast(first)
    broadcast.feed(8.9)
    broadcast.presentation.flush()
    broadcast.go_on_with(first.after(seconds=60, video=None))
    broadcast.feed(5)
    assert "#EXT-X-GAP" in await broadcast.text("video.m3u8")  # for who plays what it was
    broadcast.feed(30)
    with pytest.raises(NotFound):
        await broadcast.text("video.m3u8")


async def test_everything_a_playlist_names_can_be_fetched(live: Broadcast) -> None:
    for kind, content_type in (("video", "video/mp4"), ("audio", "audio/mp4")):
        text = await live.text(f"{kind}.m3u8")
        names = re.findall(r'URI="([^"]*_[^"]*)"', text.partition("#EXT-X-PRELOAD-HINT")[0])
        names += [line for line in text.splitlines() if line.endswith(".m4s")]
        assert len(names) > 10
        for name in names:
            response = await live.presentation.fetch(name, {})
            assert response.content_type == content_type
            assert "immutable" in response.cache_control
            assert response.gzip_chunks is None
            assert list(boxes(body(response)))


async def test_a_segment_is_its_parts(live: Broadcast) -> None:
    parts = [body(await live.presentation.fetch(f"video_5001.{index}.m4s", {})) for index in range(6)]
    assert body(await live.presentation.fetch("video_5001.m4s", {})) == b"".join(parts)


@pytest.mark.parametrize(
    "name",
    [
        "video_4999.m4s", "video_5003.m4s", "video_6000.m4s", "video_5001.6.m4s", "video_5003.9.m4s",
        "index.html", "video_init_1.mp4", "subtitles.m3u8", "video_-1.m4s", "../index.m3u8", "",
        "video_5001.m4s\n", "video_1111111111111111111111.m4s", "text_5001.m4s",
    ],
)  # fmt: skip
async def test_other_names_are_not_found_at_once(live: Broadcast, name: str) -> None:
    with pytest.raises(NotFound):
        await live.presentation.fetch(name, {})
    assert live.presentation.waiting == 0


async def test_a_blocking_reload_waits_for_its_part_and_no_longer(live: Broadcast) -> None:
    window = live.presentation.packager.video.window  # type: ignore[union-attr]
    newest = len(window.open.parts) - 1  # type: ignore[union-attr]
    reload = live.ask("video.m3u8", _HLS_msn="5003", _HLS_part=str(newest + 1))
    await waiters(live.presentation, 1)
    live.feed(0.2)
    live.feed(0.2)

    text = body(await reload).decode()
    assert f'URI="video_5003.{newest + 1}.m4s"' in text
    assert f'URI="video_5003.{newest + 2}.m4s"' in text.partition("#EXT-X-PRELOAD-HINT")[2]


async def test_a_blocking_reload_without_a_part_waits_for_the_segment(live: Broadcast) -> None:
    reload = live.ask("video.m3u8", _HLS_msn="5003")
    await waiters(live.presentation, 1)
    live.feed(0.5)
    await asyncio.sleep(0)
    assert not reload.done()
    live.feed(2)

    assert "\nvideo_5003.m4s\n" in body(await reload).decode()


async def test_a_part_beyond_the_last_is_the_first_of_the_next_segment(live: Broadcast) -> None:
    live.feed(1.6)  # 5003 is complete with six parts, 5004 has no part yet
    reload = live.ask("video.m3u8", _HLS_msn="5003", _HLS_part="6")
    await waiters(live.presentation, 1)
    live.feed(0.4)

    assert 'URI="video_5004.0.m4s"' in body(await reload).decode()


async def test_what_is_there_already_is_answered_at_once(live: Broadcast) -> None:
    for query in ({"_HLS_msn": "5002"}, {"_HLS_msn": "0"}, {"_HLS_msn": "5003", "_HLS_part": "0"}):
        response = await live.presentation.fetch("video.m3u8", query)
        assert response.cache_control == "max-age=12"
    assert (await live.presentation.fetch("video.m3u8", {})).cache_control == "no-cache"


@pytest.mark.parametrize(
    "query",
    [
        {"_HLS_part": "1"},
        {"_HLS_msn": "-1"},
        {"_HLS_msn": "x"},
        {"_HLS_msn": "9" * 30},
        {"_HLS_msn": "5005"},
        {"_HLS_msn": "5003", "_HLS_part": "13"},
        {"_HLS_msn": "5003", "_HLS_part": "²"},
    ],
)
async def test_senseless_directives_are_refused_at_once(live: Broadcast, query: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        await live.presentation.fetch("video.m3u8", query)
    assert live.presentation.waiting == 0


async def test_the_hinted_part_is_waited_for(live: Broadcast) -> None:
    text = await live.text("video.m3u8")
    hint = re.search(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text)
    assert hint is not None
    early = live.ask(hint[1])
    await waiters(live.presentation, 1)
    live.feed(0.5)

    assert body(await early) == body(await live.presentation.fetch(hint[1], {}))


async def test_a_hinted_part_that_does_not_come_is_not_found(live: Broadcast) -> None:
    live.presentation.flush()
    live.presentation.push([Frame(VIDEO, 0, STREAM.end_90k, True, b"", 1)], (VIDEO,), 0)
    window = live.presentation.packager.video.window  # type: ignore[union-attr]
    early = live.ask(f"video_{window.open.msn}.1.m4s")  # type: ignore[union-attr]
    with pytest.raises(NotFound):
        await early
    hinted = live.ask(f"video_{window.open.msn}.0.m4s")  # type: ignore[union-attr]
    await waiters(live.presentation, 1)
    live.presentation.close()
    with pytest.raises(NotFound):
        await hinted


async def test_a_player_that_is_early_waits_for_the_first_segment() -> None:
    broadcast = Broadcast()
    asked = [broadcast.ask("index.m3u8"), broadcast.ask("video.m3u8"), broadcast.ask("audio.m3u8")]
    await waiters(broadcast.presentation, 3)
    broadcast.feed(0.9)
    await asyncio.sleep(0)
    assert not any(task.done() for task in asked)
    broadcast.feed(0.3)

    master, *media = [body(response).decode() for response in await asyncio.gather(*asked)]
    assert "audio.m3u8" in master
    assert all("#EXTINF:1.0" in text for text in media)


async def test_waiting_ends_with_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openstreamer.packager.presentation.FIRST_PLAYLIST_WAIT_S", 0.01)
    with pytest.raises(NotReady):
        await Broadcast().presentation.fetch("index.m3u8", {})


async def test_a_blocking_reload_of_a_dead_stream_ends_with_not_ready(
    live: Broadcast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openstreamer.packager.presentation.BLOCKING_WAIT_TARGETS", 0.005)
    with pytest.raises(NotReady):
        await live.presentation.fetch("video.m3u8", {"_HLS_msn": "5003"})
    assert "5002" in await live.text("video.m3u8")  # without directives the old list is served


async def test_the_number_of_waiters_is_bounded() -> None:
    broadcast = Broadcast(options=PackagerOptions(max_waiters=2))
    broadcast.feed(4)
    asked = [broadcast.ask("video.m3u8", _HLS_msn="5002") for _ in range(2)]
    await waiters(broadcast.presentation, 2)
    with pytest.raises(NotReady, match="too many"):
        await broadcast.presentation.fetch("video.m3u8", {"_HLS_msn": "5002"})
    broadcast.feed(2)
    await asyncio.gather(*asked)


async def test_a_player_that_goes_away_frees_its_place(live: Broadcast) -> None:
    asked = live.ask("video.m3u8", _HLS_msn="5003")
    other = live.ask("video.m3u8", _HLS_msn="5003")
    await waiters(live.presentation, 2)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert live.presentation.waiting == 1
    live.feed(2)
    assert (await other).status == 200


async def test_closing_tells_whoever_waits(live: Broadcast) -> None:
    asked = live.ask("video.m3u8", _HLS_msn="5003")
    await waiters(live.presentation, 1)
    live.presentation.close()
    with pytest.raises(NotFound):
        await asked
    with pytest.raises(NotFound):
        await live.presentation.fetch("index.m3u8", {})


async def test_one_rendering_serves_all_until_something_changes(live: Broadcast) -> None:
    first = await live.presentation.fetch("video.m3u8", {})
    assert await live.presentation.fetch("video.m3u8", {}) is first
    live.feed(0.4)
    assert await live.presentation.fetch("video.m3u8", {}) is not first


async def test_playlists_are_compressed_once(live: Broadcast) -> None:
    response = await live.presentation.fetch("video.m3u8", {})
    assert response.gzip_chunks is not None
    assert gzip.decompress(b"".join(response.gzip_chunks)) == body(response)
    assert response.gzip_chunks is response.gzip_chunks


async def test_a_token_is_carried_to_every_uri(live: Broadcast) -> None:
    token = "1795500000.Zm9v_-x"
    for name in ("index.m3u8", "video.m3u8", "audio.m3u8"):
        text = await live.text(name, token=token)
        uris = re.findall(r'URI="([^"]+)"', text) + [
            line for line in text.splitlines() if line and not line.startswith("#")
        ]
        assert uris
        assert all(uri.endswith(f"?token={token}") for uri in uris)
        assert "token" not in await live.text(name)


@pytest.mark.parametrize("token", ['x"\n#EXT', "a&b=c", "ä", "x" * 600, "%22"])
async def test_a_token_that_could_break_a_playlist_is_not_carried(live: Broadcast, token: str) -> None:
    assert await live.text("video.m3u8", token=token) == await live.text("video.m3u8")


async def test_many_tokens_do_not_fill_the_memory(live: Broadcast) -> None:
    for number in range(1000):
        await live.presentation.fetch("video.m3u8", {"token": f"t{number}"})
    assert len(live.presentation._responses) <= 256


async def test_a_delta_update_skips_what_is_old() -> None:
    broadcast = Broadcast()
    broadcast.feed(40)
    full = await broadcast.text("video.m3u8")
    delta = await broadcast.text("video.m3u8", _HLS_skip="YES")

    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=6\n" in delta
    assert len(delta) < len(full)
    tail = full[full.index("#EXT-X-PROGRAM-DATE-TIME", full.index("\nvideo_5013.m4s\n")) :]
    assert delta.endswith(tail)
    assert await broadcast.text("video.m3u8", _HLS_skip="NO") == full


async def test_observations_say_what_happened(live: Broadcast) -> None:
    presentation = live.presentation
    assert presentation.segments_total == 6
    assert presentation.parts_total > 30
    assert presentation.last_part_at_ns is not None
    assert presentation.memory_bytes == sum(
        len(part.data) for track in presentation.packager.tracks for part in all_parts(track.window)
    )
    assert presentation.bitrate_kbps(TrackKind.VIDEO) > presentation.bitrate_kbps(TrackKind.AUDIO) > 0


def all_parts(window: object) -> list[object]:
    growing = window.open.parts if window.open is not None else []  # type: ignore[attr-defined]
    return [part for segment in window.closed for part in segment.parts] + growing  # type: ignore[attr-defined]


async def test_the_hinted_part_comes_though_its_segment_turns_out_to_have_other_sound() -> None:
    first = MadeStream(seconds=7.5, gop=60)
    second = replace(first.after(audio=OTHER_AUDIO), epoch=first.epoch)
    left_over = [frame for frame in replace(second, audio=AUDIO).frames() if frame.track is AUDIO][:3]
    pictures, sound = ([f for f in second.frames() if f.track.is_video is which] for which in (True, False))
    presentation = Broadcast(first).presentation
    presentation.push(first.frames(), first.tracks, 0)
    presentation.push([pictures[0], *left_over, *pictures[1:5]], first.tracks, 0)
    assert presentation.packager.audio is not None
    growing = presentation.packager.audio.window.open
    assert growing is not None

    asked = asyncio.get_running_loop().create_task(presentation.fetch(f"audio_{growing.msn}.0.m4s", {}))
    await waiters(presentation, 1)
    presentation.push([*sound[:30], *pictures[5:25]], second.tracks, 0)
    assert growing.init is not None
    assert growing.init.track is OTHER_AUDIO
    assert len(samples(body(await asked))) == 14  # a third of a second at 44.1 kHz
