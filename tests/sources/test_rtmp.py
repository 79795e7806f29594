"""The publish source: a bounded queue with two ends, and typed ends."""

import asyncio

import pytest

from openstreamer.media.errors import SourceEnded, SourceError, SourceRejected, SourceUnreachable
from openstreamer.sources.base import left_out_of
from openstreamer.sources.batches import QueueLimits
from openstreamer.sources.rtmp import RtmpPublishSource
from openstreamer.wire.flv import metadata_of
from openstreamer.wire.rtmp import MediaReceived
from tests.support.clips import clip
from tests.support.rtmp_publisher import tags_of

CLIP = clip("h264", "aac")


class Tap:
    """The connection as the source sees it: says whether it is paused."""

    def __init__(self) -> None:
        self.paused = False

    def pause_publisher(self) -> None:
        self.paused = True

    def resume_publisher(self) -> None:
        self.paused = False


def feed(source: RtmpPublishSource) -> None:
    tracks = {frame.track.id: frame.track for frame in CLIP}
    source.feed_metadata(metadata_of(tracks.values()))
    for tag in tags_of(CLIP):
        source.feed_media(MediaReceived(tag.is_video, 1, tag.timestamp_ms, tag.payload))


async def test_frames_come_in_batches_and_the_end_comes_last() -> None:
    tap = Tap()
    source = RtmpPublishSource(tap)
    async with source:
        feed(source)
        source.end(SourceEnded("finished"))
        source.end(SourceUnreachable("and lost, which is no news any more"))
        frames = await source.receive()
        assert len(frames) == len(CLIP) - 1, "but for the sound before the picture"
        assert source.statistics.dropped_frames == 0
        assert [track.codec for track in source.tracks] == ["h264", "aac"]
        assert next(frame for frame in frames if frame.track.is_video).key
        for _ in range(2):
            with pytest.raises(SourceEnded, match="finished"):
                await source.receive()
    assert source.protocol == "rtmp"
    assert source.statistics.received_packets == len(tags_of(CLIP))
    assert source.statistics.received_bytes == sum(len(tag.payload) for tag in tags_of(CLIP))


async def test_tracks_go_with_the_frames_even_when_a_change_was_read_already() -> None:
    tap = Tap()
    source = RtmpPublishSource(tap, limits=QueueLimits(max_queued_s=0.5))
    feed(source)
    for tag in tags_of(clip("h265", "opus")):
        source.feed_media(MediaReceived(tag.is_video, 1, 2000 + tag.timestamp_ms, tag.payload))
    seen: list[list[str]] = []
    while source.queued_bytes:
        frames = await source.receive()
        assert all(any(frame.track is track for track in source.tracks) for frame in frames)
        assert tap.paused is (source.queued_bytes > 0)
        seen.append([track.codec for track in source.tracks])
    assert (seen[0], seen[-1]) == (["h264", "aac"], ["h265", "opus"])


async def test_a_waiting_stream_is_woken_by_the_first_frame() -> None:
    source = RtmpPublishSource(Tap())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(source.receive())
        await asyncio.sleep(0)
        assert not waiting.done()
        feed(source)
    assert waiting.result()


async def test_cancelling_a_waiting_stream_is_immediate_and_loses_nothing() -> None:
    source = RtmpPublishSource(Tap())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await source.receive()
    feed(source)
    assert await source.receive()


@pytest.mark.parametrize("limits", [QueueLimits(max_queued_bytes=500), QueueLimits(max_queued_s=0.5)])
async def test_a_full_queue_slows_the_publisher_down_until_it_is_read(limits: QueueLimits) -> None:
    tap = Tap()
    source = RtmpPublishSource(tap, limits=limits)
    assert not tap.paused
    feed(source)
    assert tap.paused
    assert source.queued_bytes > 0
    await source.receive()
    assert not tap.paused
    assert source.queued_bytes == 0


async def test_media_that_cannot_be_carried_ends_the_source_by_name() -> None:
    source = RtmpPublishSource(Tap())
    source.feed_metadata({"audiocodecid": 11.0})
    source.feed_media(MediaReceived(False, 1, 0, b"\xb2speex"))
    source.feed_media(MediaReceived(False, 1, 20, b"\xaf\x00\x11\x90"))
    assert source.tracks == ()
    with pytest.raises(SourceRejected, match="Speex"):
        await source.receive()


async def test_sound_alone_that_cannot_be_carried_is_named_at_the_end_too() -> None:
    source = RtmpPublishSource(Tap())
    source.feed_media(MediaReceived(False, 1, 0, b"\xb2speex"))
    source.end(SourceEnded("finished"))
    with pytest.raises(SourceRejected, match="Speex"):
        await source.receive()
    assert left_out_of(source) == "RTMP audio: Speex is not supported"


async def test_a_publisher_that_ends_at_once_still_gives_its_frames() -> None:
    source = RtmpPublishSource(Tap())
    for tag in [tag for tag in tags_of(CLIP) if tag.is_video][:3]:
        source.feed_media(MediaReceived(True, 1, tag.timestamp_ms, tag.payload))
    source.end(SourceEnded("finished"))
    assert len(await source.receive()) == 2
    with pytest.raises(SourceEnded):
        await source.receive()


async def test_nothing_is_kept_for_a_stream_that_went_away() -> None:
    source = RtmpPublishSource(Tap())
    async with source:
        feed(source)
    feed(source)
    with pytest.raises(SourceError, match="stopped reading"):
        await source.receive()
