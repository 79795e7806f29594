"""What the multiplexer writes reads back the same, and keeps the cadences that receivers rely on."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.aac import AacConfig
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.nal import iter_length_prefixed, to_length_prefixed
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import Track
from openstreamer.wire.mpegts import MpegTsDemuxer, MpegTsMuxer, MuxOptions
from openstreamer.wire.mpegts.tables import PAT_PID
from tests.support.clips import clip
from tests.support.media import AUDIO, PPS, SPS, VIDEO, audio
from tests.support.mpegts import by_track, demuxed, facts, muxed, packets, picture, pid_of
from tests.support.tracks import TRACKS, X264_HIGH_PPS, X264_HIGH_SPS

PMT_PID, VIDEO_PID = 0x1000, 0x100


def pcr_of(packet: bytes) -> int | None:
    """The clock of a packet in 90 kHz."""
    if not packet[3] & 0x20 or not packet[4] or not packet[5] & 0x10:
        return None
    return int.from_bytes(packet[6:11], "big") >> 7


def in_band(frame: Frame) -> bytes:
    """A payload as it comes back: a key frame has its parameter sets in it."""
    return b"".join(iter_length_prefixed(frame.payload))


@pytest.mark.parametrize("video", ["h264", "h264-bframes", "h265", "av1"])
@pytest.mark.parametrize("audio_codec", ["aac", "mp3", "ac3", "eac3", "opus"])
def test_every_codec_reads_back(video: str, audio_codec: str) -> None:
    frames = list(clip(video, audio_codec, frames=20))
    first_90k = next(frame.dts_90k for frame in frames if frame.track.is_video)
    frames = [frame for frame in frames if frame.dts_90k >= first_90k]
    found, demuxer = demuxed(muxed(frames))
    assert [each[1:4] for each in by_track(found)] == [each[1:4] for each in by_track(frames)]
    assert facts(found, 1) == facts(frames, 1)
    for sent, came in zip(frames_of(frames, 0), frames_of(found, 0), strict=True):
        assert came.payload == sent.payload if video == "av1" else in_band(came).endswith(in_band(sent))
    assert [track.codec for track in demuxer.tracks] == [video.partition("-")[0], audio_codec]


def frames_of(frames: list[Frame], track_id: int) -> list[Frame]:
    return [frame for frame in frames if frame.track.id == track_id]


def test_av1_reads_back_octet_by_octet() -> None:
    frames = list(clip("av1", None))
    found, _ = demuxed(muxed(frames))
    assert facts(found) == facts(frames)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 3), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 9),
    st.integers(0, 1 << 34),
)
def test_access_units_of_any_size_read_back(
    pictures: list[tuple[int, int, bool]], together: int, start_90k: int
) -> None:
    frames: list[Frame] = []
    for n, (size, reorder, key) in enumerate(pictures):
        at = start_90k + n * 3600
        frames.append(
            picture(at, key=key or n == 0, size=10 + size, pts_90k=at + reorder * 3600, track=VIDEO_0)
        )
        frames.append(audio(at, size=1 + size % 700, track=AUDIO_1))
    found, _ = demuxed(muxed(frames, together=together))
    shift = start_90k - (start_90k & (1 << 33) - 1)
    assert [(each[1] + shift, each[2] + shift, *each[3:]) for each in by_track(found)] == [
        each[1:] for each in by_track(frames)
    ]


VIDEO_0, AUDIO_1 = Track(0, VIDEO.config), Track(1, AUDIO.config)


def test_ffmpeg_reads_it_without_a_warning(tmp_path: Path) -> None:
    for number, (video, sound) in enumerate([("h264-bframes", "aac"), ("h265", "ac3"), ("h264", "opus")]):
        path = tmp_path / f"{number}.ts"
        frames = clip(video, sound)
        path.write_bytes(muxed(frames))
        command = [
            "ffmpeg",
            "-v",
            "warning",
            "-xerror",
            "-nostdin",
            "-i",
            str(path),
            "-map",
            "0",
            "-f",
            "null",
            "-",
        ]
        result = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert (result.returncode, result.stderr) == (0, b"")


# ---------------------------------------------------------------------- cadences


def long_stream(seconds: int = 4, fps: int = 25) -> list[Frame]:
    step = 90_000 // fps
    frames: list[Frame] = []
    for n in range(seconds * fps):
        frames.append(picture(n * step, key=n % (2 * fps) == 0, size=3000))
        frames += [audio(at) for at in range(-(-n * step // 1920) * 1920, (n + 1) * step, 1920)]
    return frames


def test_the_clock_comes_every_40_ms_on_the_pid_of_the_video() -> None:
    for fps in (25, 24, 50, 10):  # between slow pictures it comes with the sound
        muxer = MpegTsMuxer([VIDEO, AUDIO])
        clocks: list[int] = []
        for frame in long_stream(fps=fps):
            for packet in packets(muxer.mux([frame])):
                pcr = pcr_of(packet)
                if pcr is not None:
                    assert pid_of(packet) == VIDEO_PID
                    clocks.append(pcr)
        rising = [clock for clock in clocks if clock < 1 << 32]
        assert max(b - a for a, b in pairwise(rising)) <= 3600 + 1920
        assert rising == sorted(rising)


def test_the_clock_is_behind_decoding_times() -> None:
    muxer = MpegTsMuxer([VIDEO], MuxOptions(pcr_lead_ms=500))
    clocks = [pcr_of(packet) for packet in packets(muxer.mux([picture(90_000, key=True)]))]
    assert [clock for clock in clocks if clock is not None] == [45_000]


def test_sound_alone_has_the_clock_on_its_own_pid() -> None:
    muxer = MpegTsMuxer([AUDIO])
    stream = b"".join(muxer.mux([audio(n * 1920, key=True)]) for n in range(100))
    clocks = [packet for packet in packets(stream) if pcr_of(packet) is not None]
    assert len(clocks) == 100
    assert {pid_of(packet) for packet in clocks} == {VIDEO_PID}


def test_tables_come_every_100_ms_and_in_front_of_key_frames() -> None:
    muxer = MpegTsMuxer([VIDEO, AUDIO])
    last_90k = -(1 << 40)
    for frame in long_stream():
        data = packets(muxer.mux([frame]))
        if pid_of(data[0]) == PAT_PID:
            assert pid_of(data[1]) == PMT_PID
            last_90k = frame.dts_90k
        assert frame.dts_90k - last_90k < 9000 + 3600
        assert last_90k == frame.dts_90k or not (frame.key and frame.track.is_video)


def test_counters_go_on_without_a_gap() -> None:
    muxer = MpegTsMuxer([VIDEO, AUDIO])
    counters: dict[int, int] = {}
    without_payload = 0
    for frame in long_stream(fps=10):
        for packet in packets(muxer.mux([frame])):
            pid, cc = pid_of(packet), packet[3] & 15
            if packet[3] & 0x10:
                assert cc == (counters.get(pid, cc - 1 & 15) + 1) & 15
            else:
                assert cc == counters[pid]
                without_payload += 1
            counters[pid] = cc
    assert without_payload > 0


def test_a_clock_that_jumps_says_so() -> None:
    muxer = MpegTsMuxer([VIDEO])
    flags = []
    for at in (0, 3600, 90_000 * 60, 90_000 * 60 + 3600, 0):
        (first,) = [
            packet for packet in packets(muxer.mux([picture(at, key=False)])) if pid_of(packet) == VIDEO_PID
        ]
        flags.append(first[5] & 0x80 > 0)
    assert flags == [False, False, True, False, True]


def test_key_frames_are_random_access_points() -> None:
    muxer = MpegTsMuxer([VIDEO])
    key = packets(muxer.mux([picture(0, key=True)]))[2]
    other = packets(muxer.mux([picture(3600, key=False)]))[0]
    assert (key[5] & 0x40, other[5] & 0x40) == (0x40, 0)


# ---------------------------------------------------------------------- changes, bounds


def test_a_track_of_another_kind_gives_a_new_version_of_the_pmt() -> None:
    muxer = MpegTsMuxer([VIDEO, AUDIO])
    first = muxer.mux([picture(0, key=True), audio(0)])
    opus = Track(AUDIO.id, OpusConfig())
    second = muxer.mux([Frame(opus, 1920, 1920, False, b"\x78opus")])
    third = muxer.mux([Frame(Track(9, AUDIO.config, "fra"), 3840, 3840, False, b"more")])
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(first + second + third)
    assert demuxer.program is not None
    assert [(each.description, each.language) for each in demuxer.program.streams] == [
        ("h264", "und"),
        ("opus", "und"),
        ("aac", "fra"),
    ]


def test_new_parameter_sets_keep_the_tables() -> None:
    muxer = MpegTsMuxer([VIDEO])
    before = muxer.tables()
    other = Track(VIDEO.id, H264Config((X264_HIGH_SPS,), (X264_HIGH_PPS,)))
    muxer.mux([picture(0, key=False, track=other)])
    assert [packet[4:] for packet in packets(muxer.tables())] == [packet[4:] for packet in packets(before)]


def test_a_key_frame_gets_its_parameter_sets_and_each_picture_one_delimiter() -> None:
    nal = b"\x65\x88abc"
    bare = Frame(VIDEO, 0, 0, True, to_length_prefixed([b"\x09\x10", nal]))
    data = MpegTsMuxer([VIDEO]).mux([bare, picture(3600, key=False)])
    joined = b"".join(packet[4 + (packet[4] + 1 if packet[3] & 0x20 else 0) :] for packet in packets(data))
    code = b"\x00\x00\x00\x01"
    assert code + b"\x09\xf0" + code + SPS + code + PPS + code + nal in joined
    assert joined.count(code + b"\x09") == 2


@pytest.mark.parametrize("track", [track for track in TRACKS if track.codec == "vp9"])
def test_a_codec_without_a_carriage_is_refused(track: Track) -> None:
    with pytest.raises(MediaError, match="no carriage for VP9"):
        MpegTsMuxer([track])


def test_aac_that_adts_cannot_say_is_refused() -> None:
    eld = AacConfig(bytes.fromhex("17800bb81000"))
    with pytest.raises(MediaError, match="ADTS cannot say"):
        MpegTsMuxer([Track(0, eld)])


def test_audio_that_no_pes_packet_takes_is_refused() -> None:
    track = Track(0, OpusConfig())
    with pytest.raises(MediaError, match="does not fit"):
        MpegTsMuxer([track]).mux([Frame(track, 0, 0, True, b"\x78" + bytes(70_000))])


def test_audio_of_unknown_length_ends_its_pes_packet() -> None:
    track = Track(0, OpusConfig())
    muxer = MpegTsMuxer([track])
    data = muxer.mux([Frame(track, n * 1800, n * 1800, True, b"\x7b\x3f") for n in range(3)])
    assert sum(packet[1] & 0x40 > 0 and pid_of(packet) == VIDEO_PID for packet in packets(data)) == 3


def test_a_muxer_without_tracks_has_tables_without_streams() -> None:
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(MpegTsMuxer([]).tables() * 5)
    (program,) = demuxer.programs
    assert program.streams == ()


def test_many_tracks_have_a_pmt_over_several_packets() -> None:
    tracks = [VIDEO, *(Track(10 + n, AUDIO.config, "deu") for n in range(20))]
    muxer = MpegTsMuxer(tracks)
    demuxer = MpegTsDemuxer()
    demuxer.receive_data(muxer.tables() * 2)
    assert demuxer.program is not None
    assert len(demuxer.program.streams) == 21
