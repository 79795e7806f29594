"""Packed audio: every frame with its exact time, however the bytes come."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.aac import AacConfig, adts_header
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.clock import rescale
from openstreamer.media.errors import OpenstreamerError, RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.track import CodecConfig
from openstreamer.wire.packed_audio import (
    PackedAudioDemuxer,
    PackedAudioLimits,
    looks_like_packed_audio,
)
from tests.support.container_files import demux, make, read_by_libav
from tests.support.media import AUDIO

FILES: dict[str, tuple[str, tuple[str, ...], type[CodecConfig]]] = {
    "aac": (".aac", ("-c:a", "aac"), AacConfig),
    "mp3": (".mp3", ("-c:a", "libmp3lame", "-b:a", "64k"), Mp3Config),
    "mp3-bare": (".mp3", ("-c:a", "libmp3lame", "-write_xing", "0", "-id3v2_version", "0"), Mp3Config),
    "mp2": (".mp2", ("-c:a", "mp2"), Mp3Config),
    "ac3": (".ac3", ("-c:a", "ac3"), Ac3Config),
    "eac3": (".eac3", ("-c:a", "eac3"), Eac3Config),
}
CONFIG = AUDIO.config
assert isinstance(CONFIG, AacConfig)


def adts(*payloads: bytes) -> bytes:
    assert isinstance(CONFIG, AacConfig)
    return b"".join(adts_header(CONFIG, len(payload)) + payload for payload in payloads)


def id3(time_90k: int | None, *, extra: bytes = b"", footer: bool = False) -> bytes:
    """An ID3 tag with, perhaps, the time of a segment."""
    private = b"com.apple.streaming.transportStreamTimestamp\0" + (time_90k or 0).to_bytes(8, "big")
    frame = b"PRIV" + len(private).to_bytes(4, "big") + b"\0\0" + private if time_90k is not None else b""
    content = extra + frame
    size = bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0))
    header = b"\x04\0" + (b"\x10" if footer else b"\0") + size
    return b"ID3" + header + content + (b"3DI" + header if footer else b"")


SOUNDS = tuple(bytes([number + 1] * 20) for number in range(12))


def times(frames: list[Frame]) -> list[int]:
    return [frame.pts_90k for frame in frames]


class TestFilesOfFfmpeg:
    @pytest.mark.parametrize("name", FILES)
    def test_the_frames_are_those_that_libav_reads(self, name: str) -> None:
        suffix, arguments, kind = FILES[name]
        data = make(suffix, *arguments, video=False)
        demuxer = PackedAudioDemuxer()

        frames = demux(demuxer, data, 999)

        expected = [unit.payload for unit in read_by_libav(data, suffix)]
        if name == "aac":
            expected = [payload[7:] for payload in expected]
        assert [frame.payload for frame in frames] == expected
        (track,) = demuxer.tracks
        assert isinstance(track.config, kind)
        audio = track.audio
        assert times(frames) == [
            rescale(number * audio.samples_per_frame, audio.sample_rate, 90_000)
            for number in range(len(frames))
        ]
        assert all(frame.key and frame.track is track for frame in frames)
        assert not demuxer.statistics.malformed

    def test_a_sample_rate_that_90_khz_does_not_divide_is_exact(self) -> None:
        data = make(".aac", "-c:a", "aac", video=False, hz=44_100)
        assert times(demux(PackedAudioDemuxer(), data))[:4] == [0, 2090, 4180, 6269]


class TestTimestamps:
    def test_a_segment_begins_when_its_tag_says(self) -> None:
        frames = demux(PackedAudioDemuxer(), id3(900_000) + adts(*SOUNDS[:3]))
        assert times(frames) == [900_000, 901_920, 903_840]

    def test_other_frames_and_a_footer_do_not_matter(self) -> None:
        title = b"TIT2\0\0\0\x04\0\0\0abc"
        frames = demux(PackedAudioDemuxer(), id3(7, extra=title, footer=True) + adts(*SOUNDS[:2]))
        assert times(frames) == [7, 1927]

    def test_a_segment_that_fits_continues_by_samples(self) -> None:
        data = id3(1000) + adts(*SOUNDS[:2]) + id3(1000 + 2 * 1920 + 90) + adts(*SOUNDS[2:4])
        assert times(demux(PackedAudioDemuxer(), data)) == [1000, 2920, 4840, 6760]

    def test_a_gap_is_kept(self) -> None:
        data = id3(0) + adts(*SOUNDS[:2]) + id3(90_000) + adts(*SOUNDS[2:4])
        assert times(demux(PackedAudioDemuxer(), data)) == [0, 1920, 90_000, 91_920]

    def test_a_step_back_does_not_fall(self) -> None:
        data = id3(90_000) + adts(*SOUNDS[:2]) + id3(0) + adts(*SOUNDS[2:4])
        assert times(demux(PackedAudioDemuxer(), data)) == [90_000, 91_920, 91_920, 91_920]

    def test_33_bits_are_unwrapped(self) -> None:
        near = (1 << 33) - 1920
        data = id3(near) + adts(*SOUNDS[:1]) + id3(0) + adts(*SOUNDS[1:2])
        assert times(demux(PackedAudioDemuxer(), data)) == [near, 1 << 33]

    def test_a_tag_without_time_changes_nothing(self) -> None:
        data = id3(500) + adts(SOUNDS[0]) + id3(None, extra=bytes(30)) + adts(SOUNDS[1])
        assert times(demux(PackedAudioDemuxer(), data)) == [500, 2420]


class TestConfiguration:
    def test_a_change_of_channels_is_a_new_track(self) -> None:
        mono = AacConfig(bytes.fromhex("1188"))
        data = adts(SOUNDS[0]) + adts_header(mono, 20) + SOUNDS[1]
        frames = demux(PackedAudioDemuxer(), data)
        assert [frame.track.audio.channels for frame in frames] == [2, 1]
        assert {frame.track.id for frame in frames} == {1}
        assert times(frames) == [0, 1920]

    def test_sbr_that_nothing_announces_is_found(self) -> None:
        """The last element of each frame is a fill element with SBR data (ISO/IEC 14496-3, 4.4.2.7)."""
        config = AacConfig(bytes.fromhex("1310"))  # 24 kHz stereo
        # fill element, count 2, EXT_SBR_DATA, padding; end element; alignment
        bits = "00000000" + "110" + "0010" + "1101" + "0" * 12 + "111"
        bits += "0" * (-len(bits) % 8)
        payload = int(bits, 2).to_bytes(len(bits) // 8, "big")
        data = b"".join(adts_header(config, len(payload)) + payload for _ in range(9))
        demuxer = PackedAudioDemuxer()
        frames = demux(demuxer, data, 11)
        assert len(frames) == 9
        assert {frame.track.audio.codec_string for frame in frames} == {"mp4a.40.5"}
        assert demuxer.tracks[0].audio.sample_rate == 48_000
        assert times(frames)[:3] == [0, 3840, 7680]

    def test_a_change_while_sbr_is_looked_for_keeps_the_order(self) -> None:
        low = AacConfig(bytes.fromhex("1310"))
        data = adts_header(low, 20) + SOUNDS[0] + adts(SOUNDS[1])
        frames = demux(PackedAudioDemuxer(), data)
        assert [frame.payload for frame in frames] == list(SOUNDS[:2])


class TestDamage:
    def test_junk_is_passed_over_and_counted(self) -> None:
        demuxer = PackedAudioDemuxer()
        data = b"\xff\xfa junk" + adts(*SOUNDS[:3]) + b"\xff\x0b junk " * 5 + adts(*SOUNDS[3:6])
        frames = demux(demuxer, data)
        assert [frame.payload for frame in frames] == list(SOUNDS[:6])
        assert demuxer.statistics.malformed == 2

    def test_junk_without_end_is_refused(self) -> None:
        demuxer = PackedAudioDemuxer(PackedAudioLimits(max_junk_bytes=1000))
        with pytest.raises(RemoteProtocolError, match="no audio frame within 1"):
            demux(demuxer, bytes(2000))
        with pytest.raises(RemoteProtocolError):
            demuxer.receive_data(adts(*SOUNDS))

    def test_a_huge_tag_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match="an ID3 tag of"):
            demux(PackedAudioDemuxer(), b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + bytes(100))

    def test_the_old_tag_at_the_end_of_a_file_is_no_sound(self) -> None:
        demuxer = PackedAudioDemuxer()
        frames = demux(demuxer, adts(*SOUNDS[:3]) + b"TAG" + bytes(125))
        assert len(frames) == 3
        assert not demuxer.statistics.malformed

    def test_a_frame_that_is_cut_off_is_left_out(self) -> None:
        assert len(demux(PackedAudioDemuxer(), adts(*SOUNDS[:3])[:-1])) == 2

    @pytest.mark.parametrize("size", range(1, 12))
    def test_a_tag_that_is_cut_off_is_left_out(self, size: int) -> None:
        assert len(demux(PackedAudioDemuxer(), adts(*SOUNDS[:3]) + id3(0)[:size])) == 3

    @pytest.mark.parametrize("junk", [b"\xff\0", b"\xff\xff", b"\x0b", b"ID", b"\xff\xf1\x50\x80\0\x1f\xfc"])
    def test_a_flood_of_beginnings_costs_no_more_than_its_length(self, junk: bytes) -> None:
        """A search to the end at each of them would take minutes, and the suite's timeout."""
        demuxer = PackedAudioDemuxer(PackedAudioLimits(max_junk_bytes=1 << 21))
        demux(demuxer, junk * ((1 << 18) // len(junk)), 1 << 18)

    def test_what_is_kept_is_bounded(self) -> None:
        demuxer = PackedAudioDemuxer()
        for _ in range(50):
            demuxer.receive_data(adts(*SOUNDS) * 40)
            assert demuxer.buffered_bytes < 100


def everything(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], str]:
    demuxer = PackedAudioDemuxer(PackedAudioLimits(max_junk_bytes=30))
    frames: list[Frame] = []
    error = ""
    try:
        for piece in pieces:
            frames += demuxer.receive_data(piece)
        frames += demuxer.receive_eof()
    except OpenstreamerError as err:
        error = type(err).__name__
    return [(frame.pts_90k, frame.payload) for frame in frames], error


@given(
    st.lists(
        st.sampled_from(
            [adts(SOUNDS[0]), adts(*SOUNDS), id3(5000), id3(None), b"\xff\xf1\x50\xff", b"TA", b"I"]
        ),
        max_size=8,
    ),
    st.lists(st.integers(0, 900), max_size=10),
)
@settings(max_examples=150, deadline=None)
def test_any_split_gives_the_same(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert everything(pieces) == everything([data])


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"ID3\x04", True),
        (b"\xff\xf1\x50\x80", True),
        (b"\xff\xfb\x90\x64", True),
        (b"\x0b\x77\0\0\0\0", True),
        (b"\x47\x40\0\x10", False),
        (b"\xff", False),
        (b"", False),
    ],
)
def test_it_is_recognised_by_its_first_bytes(head: bytes, *, expected: bool) -> None:
    assert looks_like_packed_audio(head) is expected
