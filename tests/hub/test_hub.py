"""The hub: nobody waits for the writer's sake, nobody loses anything without being told."""

import asyncio

import pytest

from openstreamer.hub import Hub, HubLimits, HubReader
from openstreamer.hub.hub import MOST_HELD_BYTES, MOST_HELD_FRAMES
from openstreamer.media.errors import HubBroken, HubEnded
from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.media.track import Track
from tests.support.media import AUDIO, VIDEO, audio, video

TRACKS = (VIDEO, AUDIO)


def gop(start: int, length: int = 5, size: int = 100) -> list[Frame]:
    """``length`` video frames at 25 fps from frame number ``start``, the first a key frame."""
    return [video(number * 3600, key=number == start, size=size) for number in range(start, start + length)]


def write(hub: Hub, frames: list[Frame], tracks: tuple[Track, ...] = TRACKS) -> None:
    with hub.writer() as writer:
        writer.write(frames, tracks, now_ns=1)


async def receive_now(reader: HubReader) -> list[Frame]:
    """What is there already; fails rather than waits."""
    task = asyncio.get_running_loop().create_task(reader.receive())
    await asyncio.sleep(0)
    assert task.done(), "receive would wait"
    return task.result()


async def test_a_new_reader_begins_with_the_cached_key_frame() -> None:
    hub = Hub()
    write(hub, gop(0) + gop(5, 3))
    frames = await receive_now(hub.reader("late"))
    assert [frame.dts_90k // 3600 for frame in frames] == [5, 6, 7]
    assert frames[0].key


async def test_without_a_cached_gop_a_reader_waits_for_the_next_key_frame() -> None:
    hub = Hub()
    write(hub, gop(0)[1:])
    reader = hub.reader("early")
    write(hub, [video(5 * 3600, key=False), *gop(6, 2)])
    assert [frame.dts_90k // 3600 for frame in await receive_now(reader)] == [6, 7]


async def test_every_reader_gets_every_frame_in_order_and_in_batches() -> None:
    hub = Hub()
    readers = [hub.reader(str(number)) for number in range(3)]
    tasks = [asyncio.get_running_loop().create_task(reader.receive()) for reader in readers]
    await asyncio.sleep(0)
    frames = gop(0)
    write(hub, frames[:2])
    write(hub, frames[2:])
    assert [await task for task in tasks] == [frames, frames, frames]


async def test_a_reader_that_waits_for_a_time_is_woken_at_that_time_with_everything() -> None:
    hub = Hub()
    reader = hub.reader("patient")
    frames = gop(0, 8)
    with hub.writer() as writer:
        writer.write(frames[:1], TRACKS, 1)
        assert await reader.receive(5 * 3600) == frames[:1]  # what is unread is not waited for
        task = asyncio.get_running_loop().create_task(reader.receive(5 * 3600))
        for number in range(1, 5):
            await asyncio.sleep(0)
            writer.write([frames[number]], TRACKS, 1)
        ahead = audio(5 * 3600)  # as it is beside pictures that are presented later than decoded
        writer.write([ahead], TRACKS, 1)
        await asyncio.sleep(0)
        assert not task.done()
        writer.write([frames[5]], TRACKS, 1)
        assert await task == [*frames[1:5], ahead, frames[5]]


async def test_without_video_audio_tells_the_time() -> None:
    hub = Hub()
    write(hub, gop(0))
    reader = hub.reader("patient")
    await receive_now(reader)
    first, second = audio(1 << 30), audio((1 << 30) + 1920)
    with hub.writer() as writer:
        writer.write([first], (AUDIO,), 1)
        assert await reader.receive() == [first]
        task = asyncio.get_running_loop().create_task(reader.receive(second.dts_90k))
        await asyncio.sleep(0)
        writer.write([second], (AUDIO,), 1)
        assert await task == [second]


@pytest.mark.parametrize(
    "event", ["key frame", "epoch", "tracks", "end of the writer", "closing", "many", "large"]
)
async def test_nothing_that_matters_waits_for_the_time(event: str) -> None:
    hub = Hub()
    reader = hub.reader("patient")
    with hub.writer() as writer:
        writer.write(gop(0, 2), TRACKS, 1)
        await receive_now(reader)
        task = asyncio.get_running_loop().create_task(reader.receive(1 << 60))
        await asyncio.sleep(0)
        expected = [video(7200, key=False)]
        writer.write(expected, TRACKS, 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        frame = video(10800, key=event == "key frame")
        frame.epoch = int(event == "epoch")
        match event:
            case "key frame" | "epoch":
                writer.write([frame], TRACKS, 1)
                expected.append(frame)
            case "tracks":
                writer.write([frame], (VIDEO,), 1)
            case "closing":
                hub.close()
            case "large":
                large = [video(10800, key=False, size=MOST_HELD_BYTES)]
                writer.write(large, TRACKS, 1)
                expected += large
            case "many":
                many = [video(10800 + number, key=False) for number in range(MOST_HELD_FRAMES)]
                writer.write(many, TRACKS, 1)
                expected += many
            case _:
                writer.close()
        assert await task == expected


async def test_one_writer_at_a_time() -> None:
    hub = Hub()
    with hub.writer() as first:
        with pytest.raises(AssertionError, match="exactly one writer"):
            hub.writer()
        first.write(gop(0), TRACKS, 1)
    with pytest.raises(AssertionError, match="closed"):
        first.write(gop(0), TRACKS, 1)
    hub.writer()


async def test_a_reader_that_lags_in_time_loses_whole_gops_up_to_a_key_frame_and_counts_them() -> None:
    hub = Hub(HubLimits(max_lag_s=1.0))
    slow = hub.reader("slow")
    quick = hub.reader("quick")
    received: list[Frame] = []
    for start in range(0, 50, 5):
        write(hub, gop(start))
        received += await receive_now(quick)
    frames = await receive_now(slow)
    assert frames[0].key
    assert frames[-1].dts_90k == 49 * 3600
    assert slow.statistics.dropped_frames == 50 - len(frames) > 0
    assert hub.statistics.dropped_frames_total == slow.statistics.dropped_frames
    assert len(received) == 50
    assert quick.statistics.dropped_frames == 0


async def test_a_lagging_reader_in_one_endless_gop_waits_for_the_next_key_frame() -> None:
    hub = Hub(HubLimits(max_lag_s=1.0))
    slow = hub.reader("slow")
    for number in range(60):
        write(hub, [video(number * 3600, key=number == 0)])
    write(hub, gop(60, 2))
    assert [frame.dts_90k // 3600 for frame in await receive_now(slow)] == [60, 61]
    assert slow.statistics.dropped_frames >= 26


async def test_bytes_bound_what_a_reader_may_have_unread() -> None:
    hub = Hub(HubLimits(max_lag_bytes=10_000))
    hub.reader("stopped")
    for start in range(0, 500, 5):
        write(hub, gop(start, size=1_000))
    assert hub.statistics.buffered_bytes <= 10_000 + 64 * 1_000


async def test_what_is_unread_counts_with_what_frames_cost_beside_their_payload() -> None:
    hub = Hub(HubLimits(max_lag_bytes=40 * (FRAME_BYTES + 20)))
    reader = hub.reader("stopped")
    for number in range(41):
        assert hub.statistics.buffered_bytes == number * (FRAME_BYTES + 20)
        assert reader.statistics.dropped_frames == 0
        write(hub, [video(number * 3600, key=number == 0, size=20)])
    assert reader.statistics.dropped_frames == 41


async def test_a_reader_that_never_reads_its_cached_gop_is_bounded_as_well() -> None:
    hub = Hub(HubLimits(max_lag_s=1.0))
    write(hub, gop(0, 50))
    hub.reader("never")
    for start in range(50, 1000, 5):
        write(hub, gop(start))
    assert hub.statistics.buffered_frames < 200


async def test_a_gop_over_its_bound_is_not_kept_for_new_readers() -> None:
    hub = Hub(HubLimits(max_gop_s=2.0))
    for number in range(500):
        write(hub, [video(number * 3600, key=number == 0)])
    assert hub.statistics.buffered_frames < 64
    reader = hub.reader("new")
    write(hub, gop(500, 1))
    assert (await receive_now(reader))[0].key


async def test_a_batch_never_spans_a_change_of_the_track_set() -> None:
    hub = Hub()
    reader = hub.reader("r")
    write(hub, gop(0), (VIDEO,))
    write(hub, [*gop(5), audio(5 * 3600)], TRACKS)
    first = await receive_now(reader)
    assert (len(first), reader.tracks) == (5, (VIDEO,))
    second = await receive_now(reader)
    assert (len(second), reader.tracks) == (6, TRACKS)


async def test_closing_delivers_what_is_unread_and_then_the_reason() -> None:
    hub = Hub()
    reader = hub.reader("r")
    write(hub, gop(0))
    hub.close()
    assert len(await reader.receive()) == 5
    with pytest.raises(HubEnded):
        await reader.receive()
    with pytest.raises(HubEnded):
        hub.reader("too late")
    with pytest.raises(HubEnded):
        hub.writer()


async def test_closing_wakes_a_waiting_reader_with_the_reason_of_the_fault() -> None:
    hub = Hub()
    task = asyncio.get_running_loop().create_task(hub.reader("r").receive())
    await asyncio.sleep(0)
    hub.close(HubBroken("the input failed for good"))
    with pytest.raises(HubBroken, match="failed for good"):
        await task


async def test_a_closed_reader_ends_and_frees_its_place() -> None:
    hub = Hub()
    with hub.reader("r") as reader:
        assert hub.statistics.readers == 1
    assert hub.statistics.readers == 0
    with pytest.raises(HubBroken, match="closed"):
        await reader.receive()


async def test_flows_count_per_track_and_forget_tracks_that_went_away() -> None:
    hub = Hub()
    write(hub, [video(0, key=True, size=70), audio(0), audio(1920)])
    assert hub.flows[VIDEO.id].payload_bytes == 70
    assert hub.flows[AUDIO.id].frames == 2
    write(hub, gop(1, 1), (VIDEO,))
    assert set(hub.flows) == {VIDEO.id}


async def test_capacity_shows_the_most_loaded_reader() -> None:
    hub = Hub(HubLimits(max_lag_s=4.0))
    hub.reader("idle")
    write(hub, gop(0, 51))
    assert hub.capacity_used == pytest.approx(0.5)


async def test_the_first_reason_stays_and_who_writes_on_is_told_it() -> None:
    hub = Hub()
    assert hub.closed is None
    writer = hub.writer()
    hub.close(HubBroken("the input failed for good"))
    hub.close()
    assert str(hub.closed) == "the input failed for good"
    with writer, pytest.raises(HubBroken, match="failed for good"):
        writer.write(gop(0), TRACKS, now_ns=1)


async def test_of_two_changes_of_the_track_set_without_a_frame_between_readers_see_the_last() -> None:
    hub = Hub()
    reader = hub.reader("r")
    write(hub, gop(0), (VIDEO,))
    write(hub, [], (AUDIO,))
    write(hub, [*gop(5), audio(5 * 3600)], TRACKS)
    assert len(await receive_now(reader)) == 5
    assert len(await receive_now(reader)) == 6
    assert reader.tracks == TRACKS
