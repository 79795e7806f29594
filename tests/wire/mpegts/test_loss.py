"""Lost, doubled and damaged packets: what is whole comes out, nothing else does."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts import MpegTsDemuxer
from tests.support.clips import clip
from tests.support.media import VIDEO, audio
from tests.support.mpegts import changed, demuxed, facts, muxed, packets, picture, pid_of

VIDEO_PID, AUDIO_PID = 0x100, 0x101
WRAP = 1 << 33


def stream(count: int = 40, size: int = 2000) -> list[Frame]:
    frames: list[Frame] = []
    for n in range(count):
        frames += [picture(n * 3600, key=n % 10 == 0, size=size), audio(n * 1920, size=300)]
    return frames


def without(data: bytes, lost: set[int]) -> bytes:
    return changed(data, lambda number, packet: b"" if number in lost else packet)


def nth_of(data: bytes, pid: int, n: int) -> int:
    return [number for number, packet in enumerate(packets(data)) if pid_of(packet) == pid][n]


@settings(max_examples=40)
@given(
    st.sampled_from([0.001, 0.01, 0.1]),
    st.integers(0, 10_000),
    st.sampled_from(["aac", "mp3", "ac3", "opus"]),
)
def test_every_frame_that_comes_out_of_a_lossy_stream_was_sent(rate: float, seed: int, codec: str) -> None:
    data = muxed(clip("h264-bframes", codec))
    sent = set(facts(demuxed(data)[0]))
    dice = random.Random(seed)
    lost = {number for number in range(8, len(packets(data))) if dice.random() < rate}
    found, demuxer = demuxed(without(data, lost))
    assert set(facts(found)) <= sent
    if found and not lost:
        assert set(facts(found)) == sent
    assert demuxer.statistics.lost_packets <= 16 * len(lost)


def test_one_lost_packet_costs_one_picture() -> None:
    data = muxed(stream())
    found, demuxer = demuxed(without(data, {nth_of(data, VIDEO_PID, 200)}))
    assert demuxer.statistics.lost_packets == 1
    assert demuxer.statistics.dropped_frames == 1
    assert len([frame for frame in found if frame.track.is_video]) == 39


@pytest.mark.parametrize("n", [0, 1, 11])
def test_a_lost_packet_of_any_place_in_a_picture_costs_that_picture_only(n: int) -> None:
    data = muxed(stream())
    per_picture = len([1 for packet in packets(data) if pid_of(packet) == VIDEO_PID]) // 40
    lost = nth_of(data, VIDEO_PID, 22 * per_picture + min(n, per_picture - 1))
    found, _ = demuxed(without(data, {lost}))
    missing = set(facts(demuxed(data)[0], 0)) - set(facts(found, 0))
    assert [each[2] // 3600 for each in missing] == [22]


def test_a_lost_audio_packet_costs_the_frames_in_it() -> None:
    data = muxed([audio(n * 1920, size=300) for n in range(60)], together=1)
    found, demuxer = demuxed(without(data, {nth_of(data, 0x100, 61)}))
    assert len(found) == 59
    assert demuxer.statistics.lost_packets == 1


def test_whole_audio_frames_in_front_of_a_loss_come_out() -> None:
    data = muxed([audio(n * 1920, size=300) for n in range(12)], together=6)
    found, _ = demuxed(without(data, {nth_of(data, 0x100, 5)}))
    assert [frame.dts_90k // 1920 for frame in found] == [0, 1, 6, 7, 8, 9, 10, 11]


def test_a_packet_that_comes_twice_counts_once() -> None:
    data = muxed(stream())
    doubled = changed(data, lambda _, packet: packet * 2)
    found, demuxer = demuxed(doubled)
    assert facts(found) == facts(demuxed(data)[0])
    assert demuxer.statistics.lost_packets == 0
    assert demuxer.statistics.duplicate_packets > 100


def test_sixteen_lost_packets_less_one_are_no_duplicate() -> None:
    data = muxed([picture(n * 3600, key=n % 10 == 0, size=6000) for n in range(20)])
    first = nth_of(data, VIDEO_PID, 300)
    lost = {nth_of(data, VIDEO_PID, 300 + n) for n in range(15)}
    assert first in lost
    found, demuxer = demuxed(without(data, lost))
    assert demuxer.statistics.lost_packets == 15
    assert len(found) == 19


def test_a_transport_error_costs_its_packet() -> None:
    data = muxed(stream())
    bad = nth_of(data, VIDEO_PID, 200)
    found, demuxer = demuxed(
        changed(data, lambda n, p: p[:1] + bytes((p[1] | 0x80,)) + p[2:] if n == bad else p)
    )
    assert demuxer.statistics.malformed == 1
    assert len([frame for frame in found if frame.track.is_video]) == 39


def test_a_counter_that_jumps_as_announced_loses_nothing() -> None:
    first, second = muxed(stream(10)), muxed([moved(frame, 10 * 3600) for frame in stream(10)])
    marked, seen = [], set()
    for packet in packets(second):
        pid = pid_of(packet)
        if pid in (VIDEO_PID, AUDIO_PID) and pid not in seen and packet[3] & 0x20:
            seen.add(pid)
            packet = packet[:5] + bytes((packet[5] | 0x80,)) + packet[6:]
        marked.append(packet)
    found, demuxer = demuxed(first + b"".join(marked))
    _, unmarked = demuxed(first + second)
    assert demuxer.statistics.lost_packets < unmarked.statistics.lost_packets
    assert demuxer.statistics.dropped_frames == 0
    assert len([frame for frame in found if frame.track.is_video]) == 20


def moved(frame: Frame, by_90k: int) -> Frame:
    return Frame(frame.track, frame.pts_90k + by_90k, frame.dts_90k + by_90k, frame.key, frame.payload)


def test_scrambled_packets_in_between_are_left_out() -> None:
    data = muxed(stream())
    some = {nth_of(data, VIDEO_PID, 200), nth_of(data, VIDEO_PID, 201)}
    found, demuxer = demuxed(
        changed(data, lambda n, p: p[:3] + bytes((p[3] | 0xC0,)) + p[4:] if n in some else p)
    )
    assert demuxer.statistics.scrambled_packets == 2
    assert set(facts(found)) < set(facts(demuxed(data)[0]))


def test_an_adaptation_field_beyond_its_packet_is_malformed() -> None:
    data = muxed(stream())
    bad = nth_of(data, VIDEO_PID, 200)
    _, demuxer = demuxed(
        changed(data, lambda n, p: p[:3] + bytes((p[3] | 0x30, 200)) + p[5:] if n == bad else p)
    )
    assert demuxer.statistics.malformed == 1


# ---------------------------------------------------------------------- times


@pytest.mark.parametrize("start", [WRAP - 20 * 3600, WRAP - 1, WRAP, 3 * WRAP - 5000])
def test_times_go_on_over_the_wrap_with_their_offset(start: int) -> None:
    sent = [moved(frame, start) for frame in stream()]
    found, _ = demuxed(muxed(sent))
    base = start % WRAP - start
    assert len(found) == len(sent)
    assert sorted(frame.dts_90k - base for frame in found) == sorted(frame.dts_90k for frame in sent)


def test_a_source_that_begins_anew_goes_on_where_it_was() -> None:
    first, second = stream(30), stream(30)
    found, _ = demuxed(muxed([moved(frame, 100 * 90_000) for frame in first] + second))
    for track in (0, 1):
        times = [frame.dts_90k for frame in found if frame.track.id == track]
        assert times == sorted(times)
    videos = [frame for frame in found if frame.track.is_video]
    assert len(videos) == 60
    steps = {b.dts_90k - a.dts_90k for a, b in pairwise(videos[32:])}
    assert steps == {3600}


def test_a_jump_forward_is_left_as_it_is() -> None:
    found, _ = demuxed(muxed(stream(20) + [moved(frame, 20 * 90_000) for frame in stream(20)]))
    assert max(frame.dts_90k for frame in found) == 20 * 90_000 + 19 * 3600


def test_a_small_step_back_is_held() -> None:
    frames = [picture(n * 3600, key=n == 0) for n in range(12)]
    frames.append(picture(10 * 3600, key=False))
    found, _ = demuxed(muxed(frames))
    assert [frame.dts_90k for frame in found][-2:] == [11 * 3600, 11 * 3600]


def test_reordered_pictures_keep_both_times() -> None:
    frames = [picture(n * 3600, key=n == 0, pts_90k=n * 3600 + 7200) for n in range(12)]
    found, _ = demuxed(muxed(frames))
    assert [(frame.pts_90k, frame.dts_90k) for frame in found] == [
        (frame.pts_90k, frame.dts_90k) for frame in frames
    ]


def test_the_demuxer_stays_usable_after_garbage_in_the_middle() -> None:
    data = muxed(stream())
    cut = 188 * 300
    found, demuxer = demuxed(data[:cut] + b"\x00garbage" * 1000 + data[cut:])
    assert demuxer.statistics.resyncs == 1
    assert set(facts(found)) <= set(facts(demuxed(data)[0]))
    assert len(found) >= len(stream()) - 2


def test_tracks_stay_the_same_object_while_nothing_changes() -> None:
    demuxer, seen = MpegTsDemuxer(), set()
    data = muxed(stream())
    for at in range(0, len(data), 1316):
        demuxer.receive_data(data[at : at + 1316])
        if demuxer.tracks and demuxer.tracks[0].codec == VIDEO.codec and len(demuxer.tracks) == 2:
            seen.add(id(demuxer.tracks))
    assert len(seen) == 1
