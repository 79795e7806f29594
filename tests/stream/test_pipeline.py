"""The running parts of one stream: what a source sent last is delivered, to viewers and to the disk."""

from pathlib import Path

import pytest

from openstreamer.config.models import GlobalConfig, Stream
from openstreamer.media.track import TrackKind
from openstreamer.packager.presentation import Presentation
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.pipeline import MediaSettings, StreamPipeline
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


async def test_numbers_go_on_when_a_setting_makes_the_playlists_anew(pipeline: StreamPipeline) -> None:
    long = MadeStream(seconds=20, audio=None)
    frames = long.frames()
    numbers: list[tuple[int, int]] = []
    await pipeline.start()
    try:
        with pipeline.hub.writer() as writer:
            for segment_s, first, end in ((2.0, 0, 150), (6.0, 150, 400), (0.5, 400, 600)):
                config = GlobalConfig.model_validate({"publisher": {"hls": {"live_segment_sec": segment_s}}})
                await pipeline.adopt(pipeline.spec, MediaSettings.of(config))
                presentation = pipeline.presentation
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


def playlist_numbers(text: str) -> tuple[int, int]:
    """Its media sequence number and its discontinuity sequence number."""
    playlist = parse(text)
    return playlist.media_sequence, playlist.number("EXT-X-DISCONTINUITY-SEQUENCE")
