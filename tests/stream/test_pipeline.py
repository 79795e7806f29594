"""The running parts of one stream: what a source sent last is delivered, to viewers and to the disk."""

from pathlib import Path

import pytest

from openstreamer.config.models import GlobalConfig, Protocols, Stream
from openstreamer.media.track import TrackKind
from openstreamer.packager.presentation import Presentation
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.pipeline import MediaSettings, StreamPipeline
from tests.support.beside import beside
from tests.support.hls_checker import HlsChecker
from tests.support.hls_playlist import parse
from tests.support.made_streams import MadeStream
from tests.support.mp4_reader import samples
from tests.support.waiting import until

MADE = MadeStream(seconds=4.5, audio=None)


@pytest.fixture
def pipeline(tmp_path: Path) -> StreamPipeline:
    """A stream that waits for a publisher and writes files."""
    spec = Stream.model_validate({"code": "news", "inputs": [{"url": "publish://", "priority": 0}]})
    config = GlobalConfig.model_validate({"publisher": {"hls": {"dir": str(tmp_path)}}})

    def open_nothing(_: object) -> None:
        raise AssertionError("a publisher is waited for")

    settings = MediaSettings.of(config)
    return StreamPipeline(spec, settings, open_nothing, Histogram((1.0,)))  # type: ignore[arg-type]


def served(presentation: Presentation) -> list[bytes]:
    """The payloads of all complete segments."""
    track = presentation.packager.track(TrackKind.VIDEO)
    closed = track.window.closed if track is not None else []
    return [sample.data for segment in closed for sample in samples(b"".join(segment.chunks))]


async def test_what_a_source_sent_last_is_packaged_before_its_segment_is_closed(
    pipeline: StreamPipeline, tmp_path: Path
) -> None:
    await pipeline.start()
    try:
        presentation = pipeline.presentation
        assert presentation is not None
        frames = MADE.frames()
        assert await until(lambda: pipeline.hub.statistics.readers == 1)
        pipeline.tick(0)
        with pipeline.hub.writer() as writer:
            writer.write(frames[:70], MADE.tracks, 0)
            assert await until(lambda: presentation.segments_total > 0)
            writer.write(frames[70:], MADE.tracks, 0)
        pipeline.tick(1)  # the packager has not run since the last write
        assert len(served(presentation)) < len(frames)
        assert await until(lambda: pipeline.hub.capacity_used == 0)
        pipeline.tick(2)
        assert served(presentation) == [frame.payload for frame in frames]
        newest = presentation.packager.video.window.closed[-1].msn  # type: ignore[union-attr]
        assert await until((tmp_path / "news" / f"video_{newest}.m4s").exists)
    finally:
        await pipeline.stop()


async def test_numbers_go_on_when_delivery_was_switched_off_and_on(pipeline: StreamPipeline) -> None:
    long = MadeStream(seconds=20, audio=None)
    frames = long.frames()
    numbers: list[tuple[int, int]] = []
    on = pipeline.spec
    off = on.model_copy(update={"protocols": Protocols(dash=True)})

    def served_now() -> Presentation | None:
        return pipeline.presentation

    await pipeline.start()
    try:
        with pipeline.hub.writer() as writer:
            for first, end in ((0, 150), (150, 400), (400, 600)):
                await pipeline.adopt(off, pipeline.settings)
                assert served_now() is None
                await pipeline.adopt(on, pipeline.settings)
                presentation = served_now()
                assert presentation is not None
                assert await until(lambda: pipeline.hub.statistics.readers == 1)
                # The reload that a player of the playlist before is waiting with is answered.
                query = {"_HLS_msn": str(numbers[-1][0] + 1)} if numbers else {}
                writer.write(frames[first:end], long.tracks, 0)
                response = await presentation.fetch("video.m3u8", query)
                text = b"".join(response.chunks).decode()
                assert not numbers or playlist_numbers(text) == (numbers[-1][0] + 1, numbers[-1][1] + 1)
                assert await until(lambda: pipeline.hub.capacity_used == 0)
                video = presentation.packager.video
                assert video is not None
                assert video.segment is not None
                numbers.append((video.segment.msn, video.segment.opening.discontinuity_sequence))
    finally:
        await pipeline.stop()


def hls(**fields: object) -> MediaSettings:
    return MediaSettings.of(GlobalConfig.model_validate({"publisher": {"hls": fields}}))


async def test_a_viewer_waits_through_a_change_of_the_segments_length_and_misses_no_frame(
    pipeline: StreamPipeline, tmp_path: Path
) -> None:
    long = MadeStream(seconds=40, audio=None)
    frames = long.frames()
    checker = HlsChecker(target_may_grow=True)
    await pipeline.start()
    try:
        presentation = pipeline.presentation
        assert presentation is not None
        assert await until(lambda: pipeline.hub.statistics.readers == 1)
        with pipeline.hub.writer() as writer:
            writer.write(frames[:300], long.tracks, 0)
            text = await playlist_text(presentation)
            first = parse(text).media_sequence
            for segment_s, end in ((6, 700), (0.5, 1000), (2, 1200)):
                checker.feed("video.m3u8", 0, text)
                next_msn = parse(text).newest[0] + 1
                async with beside(playlist_text(presentation, _HLS_msn=str(next_msn))) as waiting:
                    assert await until(lambda: presentation.waiting == 1)
                    await pipeline.adopt(pipeline.spec, hls(dir=str(tmp_path), live_segment_sec=segment_s))
                    assert pipeline.presentation is presentation
                    assert presentation.waiting == 1
                    for frame in frames[pipeline.hub.end : end]:
                        writer.write([frame], long.tracks, 0)
                    text = await waiting
                assert await until(lambda: pipeline.hub.capacity_used == 0)
        checker.feed("video.m3u8", 0, text)
        pipeline.tick(1)
        assert checker.problems == []
        assert presentation.packager.video is not None
        closed = presentation.packager.video.window.closed
        assert {segment.opening.discontinuity_sequence for segment in closed} == {
            closed[0].opening.discontinuity_sequence
        }
        durations_s = [round(segment.duration_s, 1) for segment in closed]
        assert closed[0].msn > first
        assert (max(durations_s), min(durations_s[:-1])) == (6, 1)  # key frames come every second
        assert served(presentation)[-600:] == [frame.payload for frame in frames[-600:]]
    finally:
        await pipeline.stop()


async def playlist_text(presentation: Presentation, **query: str) -> str:
    """The video's playlist as a player gets it."""
    response = await presentation.fetch("video.m3u8", query)
    return b"".join(response.chunks).decode()


async def test_files_move_to_another_directory_and_players_of_the_server_notice_nothing(
    pipeline: StreamPipeline, tmp_path: Path
) -> None:
    frames = MADE.frames()
    await pipeline.start()
    try:
        presentation = pipeline.presentation
        assert presentation is not None
        assert await until(lambda: pipeline.hub.statistics.readers == 1)
        with pipeline.hub.writer() as writer:
            writer.write(frames, MADE.tracks, 0)
            assert await until((tmp_path / "news" / "index.m3u8").exists)
            await pipeline.adopt(pipeline.spec, hls(dir=str(tmp_path / "other")))
            assert pipeline.presentation is presentation
            assert await until((tmp_path / "other" / "news" / "index.m3u8").exists)
            assert not (tmp_path / "news").exists()
            await pipeline.adopt(pipeline.spec, hls(dir=str(tmp_path / "other"), live_ephemeral=False))
            await pipeline.adopt(pipeline.spec, hls())
            assert pipeline.disk is None
            assert pipeline.dead_components() == []
    finally:
        await pipeline.stop()
    assert (tmp_path / "other" / "news" / "index.m3u8").exists()


def playlist_numbers(text: str) -> tuple[int, int]:
    """Its media sequence number and its discontinuity sequence number."""
    playlist = parse(text)
    return playlist.media_sequence, playlist.number("EXT-X-DISCONTINUITY-SEQUENCE")
