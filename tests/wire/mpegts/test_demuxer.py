"""What the demuxer waits for, what it follows, and what it refuses."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.track import Track
from openstreamer.wire.mpegts import MpegTsDemuxer, MpegTsLimits, MpegTsMuxer
from openstreamer.wire.mpegts.table_writer import (
    StreamEntry,
    descriptor,
    pat_section,
    pmt_section,
    section_payloads,
)
from tests.hostile.transport_streams import AAC, endless_pes
from tests.support.clips import clip
from tests.support.media import AUDIO, VIDEO, audio
from tests.support.mpegts import by_track, changed, demuxed, facts, muxed, packets, pid_of
from tests.support.mpegts import picture as video
from tests.support.tracks import X264_HIGH_PPS, X264_HIGH_SPS

PMT_PID, VIDEO_PID, AUDIO_PID = 0x1000, 0x100, 0x101
MPEG2 = StreamEntry(0x200, 0x02, b"")


def tables(*streams: StreamEntry, program: int = 1, version: int = 0, cc: int = 0) -> bytes:
    return table_packets(0, pat_section(1, program, PMT_PID), cc) + pmt(
        *streams, program=program, version=version, cc=cc
    )


def pmt(*streams: StreamEntry, program: int = 1, version: int = 0, cc: int = 0, pid: int = PMT_PID) -> bytes:
    return table_packets(pid, pmt_section(program, version, VIDEO_PID, streams), cc)


def table_packets(pid: int, section: bytes, cc: int = 0) -> bytes:
    payloads = section_payloads(section)
    return b"".join(
        (0x47000010 | (n == 0) << 22 | pid << 8 | (cc + n) & 15).to_bytes(4, "big") + payload
        for n, payload in enumerate(payloads)
    )


def null_packets(count: int) -> bytes:
    return (b"\x47\x1f\xff\x10" + b"\xff" * 184) * count


def pair(seconds: float, *, start_90k: int = 0, video_track: Track = VIDEO) -> list[Frame]:
    """25 fps video with a key frame a second, and audio beside it."""
    frames: list[Frame] = []
    for number in range(round(seconds * 25)):
        at = start_90k + number * 3600
        frames.append(video(at, key=number % 25 == 0, track=video_track))
        frames += [audio(at), audio(at + 1920)] if number % 25 < 22 else [audio(at)]
    return frames


# ---------------------------------------------------------------------- frames


def test_frames_come_out_as_they_went_in() -> None:
    frames = [frame for frame in clip() if frame.dts_90k >= 1920]  # the video's first
    found, demuxer = demuxed(muxed(frames))
    assert [track.codec for track in demuxer.tracks] == ["h264", "aac"]
    assert len(found) == len(frames)
    assert facts(found, 1) == facts(frames, 1)
    assert [each[1:4] for each in facts(found, 0)] == [each[1:4] for each in facts(frames, 0)]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 3000), max_size=30))
def test_any_split_of_the_bytes_gives_the_same_frames(cuts: list[int]) -> None:
    data = muxed(clip("h264-bframes", "opus"))
    expected, _ = demuxed(data)
    demuxer, frames, at = MpegTsDemuxer(), list[Frame](), 0
    for cut in cuts:
        frames += demuxer.receive_data(memoryview(data)[at : at + cut])
        at += cut
    frames += demuxer.receive_data(data[at:])
    frames += demuxer.receive_eof()
    assert facts(frames) == facts(expected)


@pytest.mark.parametrize("gap_bytes", [16, 4])
def test_packets_with_something_between_them_give_the_same_frames(gap_bytes: int) -> None:
    data = muxed(clip())
    spread = changed(data, lambda _, packet: packet + b"\x5a" * gap_bytes)
    assert facts(demuxed(spread)[0]) == facts(demuxed(data)[0])


def test_a_picture_leaves_when_it_is_whole_once_the_multiplexer_is_known() -> None:
    frames = [video(n * 3600, key=n % 25 == 0, size=5000) for n in range(20)]
    muxer, demuxer = MpegTsMuxer([VIDEO]), MpegTsDemuxer()
    counts = [len(demuxer.receive_data(muxer.mux([frame]))) for frame in frames]
    assert sum(counts) == 20
    assert counts[-8:] == [1] * 8


def test_an_unbounded_picture_leaves_with_its_stuffing() -> None:
    frames = [video(n * 3600, key=n % 25 == 0, size=5000) for n in range(20)]
    muxer, demuxer = MpegTsMuxer([VIDEO]), MpegTsDemuxer()
    counts = [len(demuxer.receive_data(without_length(muxer.mux([frame])))) for frame in frames]
    assert sum(counts) == 20
    assert counts[-8:] == [1] * 8


def without_length(data: bytes) -> bytes:
    """The same with PES packets of length 0."""
    return data.replace(b"\x00\x00\x01\xe0" + pes_length(data), b"\x00\x00\x01\xe0\x00\x00")


def pes_length(data: bytes) -> bytes:
    at = data.find(b"\x00\x00\x01\xe0")
    return data[at + 4 : at + 6]


# ---------------------------------------------------------------------- waiting


def test_frames_wait_for_every_stream_of_the_program() -> None:
    frames = pair(1)
    muxer, demuxer = MpegTsMuxer([VIDEO, AUDIO]), MpegTsDemuxer()
    early = [frame for frame in frames if frame.track is VIDEO][:5]
    assert [demuxer.receive_data(muxer.mux([frame])) for frame in early] == [[]] * 5
    released = demuxer.receive_data(muxer.mux([audio(0), video(18_000, key=False)]))
    assert len(released) >= 5
    assert [track.codec for track in demuxer.tracks] == ["h264", "aac"]


def test_a_stream_that_never_comes_is_waited_for_only_so_long() -> None:
    data = MpegTsMuxer([VIDEO, AUDIO]).mux([video(n * 3600, key=n == 0) for n in range(60)])
    demuxer = MpegTsDemuxer(limits=MpegTsLimits(track_wait_ms=400))
    released: list[Frame] = []
    count = 0
    for packet in packets(data):
        count += pid_of(packet) == VIDEO_PID and packet[1] & 0x40 > 0
        released = demuxer.receive_data(packet * 1)
        if released:
            break
    assert 400 // 40 <= count <= 400 // 40 + 3
    assert demuxer.tracks[0].codec == "h264"


@pytest.mark.parametrize("limits", [MpegTsLimits(max_held_frames=5), MpegTsLimits(max_held_bytes=500)])
def test_what_is_held_back_is_bounded(limits: MpegTsLimits) -> None:
    muxer, demuxer = MpegTsMuxer([VIDEO, AUDIO]), MpegTsDemuxer(limits=limits)
    counts = [len(demuxer.receive_data(muxer.mux([video(n, key=True)]))) for n in range(12)]
    assert max(counts) in (4, 5)
    assert counts[-3:] == [1, 1, 1]


def test_audio_before_the_first_key_frame_is_left_out_and_no_loss() -> None:
    frames = [audio(0), audio(1920), video(5000, key=True), audio(5760), video(8600, key=False), audio(7680)]
    found, demuxer = demuxed(muxed(frames, together=1))
    assert [frame.dts_90k for frame in found if not frame.track.is_video] == [5760, 7680]
    assert (demuxer.statistics.before_start_frames, demuxer.statistics.dropped_frames) == (2, 0)


def test_sound_that_came_before_the_picture_it_belongs_to_follows_it() -> None:
    frames = [audio(7200), audio(9120), video(3600, key=True, pts_90k=7200), video(10800, key=False)]
    found, demuxer = demuxed(muxed(frames, together=1))
    assert [(frame.track.is_video, frame.dts_90k) for frame in found] == [
        (True, 3600), (False, 7200), (False, 9120), (True, 10800),
    ]  # fmt: skip
    assert demuxer.statistics.dropped_frames == 0


def test_pictures_before_the_first_key_frame_are_left_out_and_no_loss() -> None:
    frames = [video(0, key=False), video(3600, key=False), video(7200, key=True), video(10800, key=False)]
    found, demuxer = demuxed(muxed(frames))
    assert [frame.key for frame in found] == [True, False]
    assert (demuxer.statistics.before_start_frames, demuxer.statistics.dropped_frames) == (2, 0)


def test_sound_without_a_picture_yet_does_not_become_an_audio_stream() -> None:
    frames = [each for n in range(100) for each in (video(n * 3600, key=n == 80), audio(n * 3600))]
    found, _ = demuxed(muxed(frames))
    assert found[0].key
    assert found[0].dts_90k == 80 * 3600
    assert not any(frame.key for frame in found if not frame.track.is_video)


def test_without_video_every_audio_frame_is_a_key() -> None:
    found, demuxer = demuxed(muxed(clip(None, "aac")))
    assert found
    assert all(frame.key for frame in found)
    assert [track.is_video for track in demuxer.tracks] == [False]


# ---------------------------------------------------------------------- programs


def test_programs_are_told_before_any_frame() -> None:
    language = descriptor(0x0A, b"eng\x00")
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(
        tables(StreamEntry(0x101, 0x0F, language), StreamEntry(0x200, 0x82, b"")) + null_packets(5)
    )
    (program,) = demuxer.programs
    assert demuxer.program is program
    assert (program.number, program.pmt_pid, program.pcr_pid) == (1, PMT_PID, VIDEO_PID)
    assert [(each.pid, each.language) for each in program.streams] == [(0x101, "eng"), (0x200, "und")]
    assert demuxer.statistics.unknown_streams == 1


def test_sound_is_not_played_without_a_picture_of_another_codec() -> None:
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(tables(StreamEntry(0x101, 0x0F, b""), MPEG2) + null_packets(5))
    with pytest.raises(SourceRejected, match=r"MPEG-2 video .* on PID 512 is not supported"):
        demuxer.receive_eof()


def test_sound_alone_is_played_when_it_alone_is_wanted() -> None:
    demuxer = MpegTsDemuxer(pids=[0x101])
    demuxer.receive_data(tables(StreamEntry(0x101, 0x0F, b""), MPEG2) + null_packets(5))
    assert demuxer.program is not None


def two_programs(data: bytes, number: int) -> bytes:
    """``data`` as program ``number`` behind a program of its own PID with MPEG-2 video."""
    body = (
        (1).to_bytes(2, "big")
        + b"\xe0\x40"
        + number.to_bytes(2, "big")
        + (0xE000 | PMT_PID).to_bytes(2, "big")
    )
    section = pat_section(1, 1, 0x40)
    whole = rebuilt(section[:8] + body)
    first = pmt(MPEG2, program=1, pid=0x40)

    def replaced(_: int, packet: bytes) -> bytes:
        if pid_of(packet) == 0:
            return packet[:4] + section_payloads(whole)[0] + first
        if pid_of(packet) == PMT_PID:
            at = 5
            end = at + 3 + (int.from_bytes(packet[at + 1 : at + 3], "big") & 0xFFF)
            renamed = packet[at : at + 3] + number.to_bytes(2, "big") + packet[at + 5 : end - 4]
            return packet[:4] + section_payloads(rebuilt(renamed))[0]
        return packet

    return changed(data, replaced)


def rebuilt(section: bytes) -> bytes:
    """A section with its length and check sum made right."""
    from openstreamer.wire.mpegts.sections import crc32_mpeg

    length = 0xB000 | len(section) - 3 + 4
    section = section[:1] + length.to_bytes(2, "big") + section[3:]
    return section + crc32_mpeg(section).to_bytes(4, "big")


def test_the_first_program_that_can_be_carried_is_read() -> None:
    data = two_programs(muxed(pair(1)), 9)
    found, demuxer = demuxed(data)
    assert demuxer.program is not None
    assert demuxer.program.number == 9
    assert by_track(found) == by_track(demuxed(muxed(pair(1)))[0])


def test_the_wanted_program_is_read() -> None:
    data = two_programs(muxed(pair(1)), 9)
    found, _ = demuxed(data, demuxer=MpegTsDemuxer(program=9))
    assert found
    with pytest.raises(SourceRejected, match="MPEG-2 video"):
        eof(data, MpegTsDemuxer(program=1))
    with pytest.raises(SourceRejected, match="there is no program 5, only 1, 9"):
        eof(data, MpegTsDemuxer(program=5))


def eof(data: bytes, demuxer: MpegTsDemuxer) -> None:
    assert demuxer.receive_data(data) == []
    demuxer.receive_eof()


def test_only_the_wanted_pids_are_read() -> None:
    found, demuxer = demuxed(muxed(pair(1)), demuxer=MpegTsDemuxer(pids=(AUDIO_PID,)))
    assert {frame.track.codec for frame in found} == {"aac"}
    assert len(demuxer.tracks) == 1
    (program,) = demuxer.listed_programs
    assert {stream.pid: stream.track_id for stream in program.streams} == {VIDEO_PID: None, AUDIO_PID: 1}


def test_wanted_pids_that_are_not_there_are_refused_beside_those_that_are() -> None:
    with pytest.raises(SourceRejected, match=f"on PID 77, 78, only h264 on PID {VIDEO_PID}, aac on PID"):
        eof(muxed(pair(1)), MpegTsDemuxer(pids=(77, 78)))


def test_every_audio_stream_is_a_track_of_its_own() -> None:
    german, english = Track(2, AUDIO.config, "deu"), Track(3, AUDIO.config, "eng")
    frames = [video(0, key=True), video(3600, key=False)]
    frames += [audio(n * 1920, track=track) for n in range(3) for track in (german, english)]
    found, demuxer = demuxed(MpegTsMuxer([VIDEO, german, english]).mux(frames))
    assert [(track.id, track.language) for track in demuxer.tracks] == [(0, "und"), (1, "deu"), (2, "eng")]
    assert len(found) == 8


# ---------------------------------------------------------------------- changes


def test_a_new_configuration_is_a_new_track_with_the_same_id() -> None:
    other = Track(VIDEO.id, H264Config((X264_HIGH_SPS,), (X264_HIGH_PPS,)))
    first, second = pair(1), pair(1, start_90k=90_000, video_track=other)
    found, demuxer = demuxed(muxed(first + second))
    tracks = [frame.track for frame in found if frame.track.is_video]
    assert len(tracks) == 50
    assert [track.video.width for track in (tracks[24], tracks[25])] == [1280, X264_WIDTH]
    assert {track.id for track in tracks} == {0}
    assert demuxer.tracks[0] is tracks[-1]


X264_WIDTH = H264Config((X264_HIGH_SPS,), (X264_HIGH_PPS,)).width


def moved(data: bytes, add: int) -> bytes:
    """The elementary streams of ``data`` on other PIDs, and a PMT of a new version that says so."""

    def change(_: int, packet: bytes) -> bytes:
        pid = pid_of(packet)
        if pid in (VIDEO_PID, AUDIO_PID):
            return packet[:1] + ((packet[1] & 0xE0) << 8 | pid + add).to_bytes(2, "big") + packet[3:]
        if pid == PMT_PID:
            streams = StreamEntry(VIDEO_PID + add, 0x1B, b""), StreamEntry(AUDIO_PID + add, 0x0F, b"")
            section = pmt_section(1, 1, VIDEO_PID + add, streams)
            return packet[:4] + section_payloads(section)[0]
        return packet

    return changed(data, change)


def test_streams_that_move_to_other_pids_lose_no_frame() -> None:
    data = muxed(pair(1)) + moved(muxed(pair(1, start_90k=90_000)), 0x20)
    found, demuxer = demuxed(data)
    assert [each[:4] for each in by_track(found)] == [
        each[:4] for each in by_track([renumbered(frame) for frame in pair(1) + pair(1, start_90k=90_000)])
    ]
    assert {frame.track.id for frame in found} == {0, 1}
    assert len(demuxer.tracks) == 2


def renumbered(frame: Frame) -> Frame:
    track = Track(0 if frame.track.is_video else 1, frame.track.config)
    return Frame(track, frame.pts_90k, frame.dts_90k, frame.key, frame.payload)


def test_a_codec_that_changes_on_its_pid_is_followed() -> None:
    old = [frame for frame in clip("h264", "aac") if frame.dts_90k >= 1920]  # the video's first
    new = clip("h265", "ac3")
    later = 10 * 90_000
    second = [
        Frame(frame.track, frame.pts_90k + later, frame.dts_90k + later, frame.key, frame.payload)
        for frame in new
    ]
    data = muxed(old) + muxed(second)
    found, demuxer = demuxed(data)
    assert [track.codec for track in demuxer.tracks] == ["h265", "ac3"]
    assert [track.id for track in demuxer.tracks] == [0, 1]
    codecs = [frame.track.codec for frame in found]
    assert {codec: codecs.count(codec) for codec in set(codecs)} == {
        codec: sum(frame.track.codec == codec for frame in (*old, *new))
        for codec in ("h264", "aac", "h265", "ac3")
    }


def test_a_stream_that_leaves_the_program_is_no_track_any_more() -> None:
    data = muxed(pair(1)) + muxed([frame for frame in pair(1, start_90k=90_000) if frame.track.is_video])
    found, demuxer = demuxed(data)
    assert [track.codec for track in demuxer.tracks] == ["h264"]
    assert len(found) == len(pair(1)) + 25


def test_frames_that_wait_for_a_stream_are_dropped_with_their_own() -> None:
    only = muxed([frame for frame in pair(1, start_90k=90_000) if not frame.track.is_video], together=1)
    early = MpegTsMuxer([VIDEO, AUDIO]).mux([video(0, key=True), video(3600, key=False)])
    found, demuxer = demuxed(early + only)
    assert {frame.track.codec for frame in found} == {"aac"}
    assert all(frame.key for frame in found)
    assert [track.codec for track in demuxer.tracks] == ["aac"]
    assert len(demuxed(early + tables(MPEG2))[0]) == 2  # nothing follows: they are all there is


def test_a_program_that_is_replaced_is_followed() -> None:
    renamed = two_programs(muxed(pair(1, start_90k=90_000)), 9)
    found, demuxer = demuxed(muxed(pair(1)) + renamed)
    assert demuxer.program is not None
    assert demuxer.program.number == 9
    assert len([frame for frame in found if frame.track.is_video]) == 50


# ---------------------------------------------------------------------- refusals


def test_a_program_of_unknown_streams_is_refused_in_words() -> None:
    demuxer = MpegTsDemuxer(limits=MpegTsLimits(max_silent_packets=50))
    with pytest.raises(SourceRejected, match=r"MPEG-2 video \(stream type 0x02\)"):
        demuxer.receive_data(tables(MPEG2) + null_packets(100))


def clock(pid: int, time_90k: int) -> bytes:
    """A packet without payload that has a clock reference."""
    field = b"\xb7\x10" + (time_90k << 15 | 0x7E00).to_bytes(6, "big")
    return (0x47000020 | pid << 8).to_bytes(4, "big") + field.ljust(184, b"\xff")


@pytest.mark.parametrize(("known", "waited_ms"), [(True, 1000), (False, 11_520)])
def test_a_program_that_cannot_be_carried_is_refused_after_the_wait_for_tracks(
    known: bool, waited_ms: int
) -> None:
    demuxer = MpegTsDemuxer()
    demuxer.receive_data((tables(MPEG2) if known else tables(MPEG2)[:188]) + null_packets(5))
    times_ms = iter(range(0, 20_000, 40))
    with pytest.raises(SourceRejected, match="nothing that can be carried"):  # noqa: PT012 - the time it takes
        for time_ms in times_ms:
            demuxer.receive_data(
                clock(0x200, 90 * time_ms) + clock(0x201, 1 << 30) + clock(0x202, 0)[:6].ljust(188)
            )
    assert time_ms == waited_ms


def test_clear_sound_is_not_played_without_its_scrambled_picture() -> None:
    data = bytearray(muxed(pair(1)))
    for at in range(0, len(data), 188):
        pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
        data[at + 3] |= 0x80 if pid == VIDEO_PID else 0
    with pytest.raises(SourceRejected, match="h264 on PID 256 is scrambled"):
        eof(bytes(data), MpegTsDemuxer())


def test_a_scrambled_live_program_is_refused_after_the_wait_for_tracks() -> None:
    data = changed(
        muxed(pair(2)),
        lambda _, packet: (
            packet if pid_of(packet) in (0, PMT_PID) else packet[:3] + bytes((packet[3] | 0x80,)) + packet[4:]
        ),
    )
    with pytest.raises(SourceRejected, match="program 1 is scrambled"):
        MpegTsDemuxer().receive_data(data)


def test_a_scrambled_program_is_refused_in_words() -> None:
    data = changed(
        muxed(pair(1)),
        lambda _, packet: (
            packet if pid_of(packet) in (0, PMT_PID) else packet[:3] + bytes((packet[3] | 0x80,)) + packet[4:]
        ),
    )
    demuxer = MpegTsDemuxer()
    with pytest.raises(SourceRejected, match="program 1 is scrambled"):
        eof(data, demuxer)
    assert demuxer.statistics.scrambled_packets == 50


def test_scrambled_pes_packets_are_left_out_and_counted() -> None:
    data = muxed(pair(1)).replace(b"\x84\x80\x05", b"\xa4\x80\x05")
    demuxer = MpegTsDemuxer()
    with pytest.raises(SourceRejected, match="program 1 is scrambled"):
        eof(data, demuxer)


def test_video_that_never_can_be_decoded_is_refused() -> None:
    data = muxed([video(n * 3600, key=False) for n in range(100)])
    demuxer = MpegTsDemuxer(limits=MpegTsLimits(configuration_wait_ms=2000))
    with pytest.raises(SourceRejected, match="h264 on PID 256 without a key frame"):
        demuxer.receive_data(data)


def test_a_long_gop_may_be_joined_at_a_high_bit_rate() -> None:
    data = muxed([video(n * 3600, key=n == 249, size=50_000) for n in range(252)])  # 10 Mbit/s
    found, demuxer = demuxed(data, piece_bytes=1 << 16)
    assert demuxer.statistics.packets > 3 * MpegTsLimits().max_silent_packets
    assert [frame.key for frame in found] == [True, False, False]


def test_a_stream_whose_clock_stands_still_is_refused_after_so_many_packets() -> None:
    data = muxed([video(0, key=False, size=9000) for _ in range(20)])
    with pytest.raises(SourceRejected, match=r"h264: no frame in \d+ packets"):
        MpegTsDemuxer(limits=MpegTsLimits(max_silent_packets=500)).receive_data(data)


def test_a_stream_without_tables_is_refused() -> None:
    demuxer = MpegTsDemuxer(limits=MpegTsLimits(max_silent_packets=50))
    with pytest.raises(SourceRejected, match="no program table"):
        demuxer.receive_data(null_packets(100))


def test_a_program_without_its_table_is_refused() -> None:
    demuxer = MpegTsDemuxer()
    with pytest.raises(SourceRejected, match="programs without a PMT"):
        eof(tables(MPEG2)[:188] + null_packets(10), demuxer)


def test_a_program_without_frames_is_refused() -> None:
    demuxer = MpegTsDemuxer()
    with pytest.raises(SourceRejected, match=r"h264: no frame in \d+ packets"):
        eof(tables(StreamEntry(VIDEO_PID, 0x1B, b"")) + null_packets(10), demuxer)


@pytest.mark.parametrize("data", [b"", b"<html>not a stream</html>" * 10])
def test_the_end_of_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(SourceRejected, match="no packets were found"):
        eof(data, MpegTsDemuxer())


def test_something_else_without_end_is_refused() -> None:
    demuxer = MpegTsDemuxer(limits=MpegTsLimits(max_garbage_bytes=10_000))
    with pytest.raises(RemoteProtocolError, match="no packets in"):
        demuxer.receive_data(b"<html>" * 3000)


def test_opus_of_an_unknown_layout_is_an_unknown_stream() -> None:
    opus = descriptor(5, b"Opus") + descriptor(0x7F, b"\x80\x55")
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(tables(StreamEntry(0x101, 0x06, opus)) + null_packets(6))
    assert demuxer.statistics.unknown_streams == 1
    assert demuxer.tracks == ()


def test_a_hundred_thousand_pids_do_not_grow_the_demuxer() -> None:
    demuxer = MpegTsDemuxer(limits=MpegTsLimits(max_silent_packets=1 << 30))
    many = b"".join(
        (0x47400010 | (n & 0x1FFF) << 8 | n & 15).to_bytes(4, "big") + b"\x00" * 184 for n in range(0x2000)
    )
    pats = b"".join(
        table_packets(0, pat_section(1, n & 0xFFFF or 1, n & 0x1FFF), n & 15) for n in range(1, 500)
    )
    for _ in range(3):
        demuxer.receive_data(pats)
        demuxer.receive_data(many)
    assert len(demuxer.programs) <= 64
    assert len(demuxer._streams) == 0
    assert len(demuxer._table._assemblers) <= 65


def test_a_picture_that_is_decoded_too_early_is_shown_when_it_says() -> None:
    sent = [video(3600 * n, key=n == 0, pts_90k=3600 * n + 7200) for n in range(3)]
    spliced = video(3600, key=True, pts_90k=21_600)
    found, _ = demuxed(muxed(sent) + muxed([spliced]))
    first_90k = found[0].dts_90k
    assert [frame.dts_90k - first_90k for frame in found] == [0, 3600, 7200, 7200]
    assert [frame.pts_90k - first_90k for frame in found] == [7200, 10_800, 14_400, 21_600]


def test_a_pes_packet_of_sound_without_end_is_dropped_long_before_one_of_video() -> None:
    begin, follow = endless_pes(1, AAC)
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(begin + follow * 2)
    assert demuxer.statistics.malformed == 1
    assert not demuxer.tracks
