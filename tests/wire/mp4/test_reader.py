"""Fragmented MP4: the same access units as libav reads, however the bytes come; refusals in words."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.aac import AacConfig
from openstreamer.media.errors import OpenstreamerError, RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config, to_length_prefixed
from openstreamer.wire.mp4.boxes import box
from openstreamer.wire.mp4.fragment import DELTA_SAMPLE, KEY_SAMPLE, audio_fragment, video_fragment
from openstreamer.wire.mp4.init import init_segment
from openstreamer.wire.mp4.movie_frames import OpeningLimits
from openstreamer.wire.mp4.reader import Fmp4Demuxer, Fmp4Limits
from tests.support.container_files import (
    B_FRAMES,
    FRAGMENTS,
    X264,
    demux,
    make,
    of_kind,
    read_by_libav,
    units_of,
)
from tests.support.media import AUDIO, VIDEO, video
from tests.support.tracks import TRACKS

AAC = ("-c:a", "aac", "-b:a", "64k")
DELAYED = ("-movflags", "+delay_moov")  # ffmpeg describes AC-3 when it has seen some
FILES: dict[str, tuple[str, ...]] = {
    "h264-aac": (*X264, *AAC, *FRAGMENTS),
    "b-frames": (*B_FRAMES, *AAC, *FRAGMENTS),
    "edit-list": (*B_FRAMES, *AAC, "-movflags", "+frag_keyframe+delay_moov+default_base_moof"),
    "base-data-offset": (*X264, *AAC, "-movflags", "+frag_keyframe+empty_moov"),
    "omit-tfhd-offset": (*X264, *AAC, "-movflags", "+frag_keyframe+empty_moov+omit_tfhd_offset"),
    "per-frame": (*X264, *AAC, "-movflags", "+frag_every_frame+empty_moov+default_base_moof"),
    "separate-moof": (*X264, *AAC, "-movflags", "+frag_keyframe+empty_moov+separate_moof+default_base_moof"),
    "sidx": (*X264, *AAC, "-movflags", "+dash+frag_keyframe+global_sidx", "-frag_duration", "500000"),
    "h265-hev1": (
        *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=15:log-level=none"),
        *("-tag:v", "hev1", "-c:a", "ac3", *FRAGMENTS, *DELAYED),
    ),
    "vp9-opus": (
        "-c:v",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-c:a",
        "libopus",
        *FRAGMENTS,
    ),
    "av1-eac3": ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "eac3", *FRAGMENTS, *DELAYED),
    "mp3": (*X264, "-c:a", "libmp3lame", *FRAGMENTS),
}
AUDIO_INIT = init_segment(AUDIO)
INIT = init_segment(VIDEO)


def slices(count: int, *, size: int = 100) -> list[bytes]:
    return [video(0, key=number == 0, size=size).payload for number in range(count)]


def video_part(time_90k: int, payloads: list[bytes], number: int = 1) -> bytes:
    table: list[int] = []
    for index, payload in enumerate(payloads):
        table += [3600, len(payload), DELTA_SAMPLE if index else KEY_SAMPLE, 0]
    return video_fragment(number, time_90k, table, payloads)


def full_box(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def fragment_of_one(tfhd_flags: int, tfhd_fields: bytes) -> bytes:
    """A moof with one sample whose data begins with the content of the mdat behind it."""
    tfhd = full_box(b"tfhd", 0, tfhd_flags, b"\0\0\0\1", tfhd_fields)
    size = 8 + 8 + len(tfhd) + 20
    trun = full_box(b"trun", 0, 1, struct.pack(">Ii", 1, size + 8))
    return box(b"moof", box(b"traf", tfhd, trun))


def of_track(track_id: int, fragment: bytes) -> bytes:
    """A fragment of ours, which always has track 1, as one of another track."""
    return fragment.replace(b"tfhd\0\2\0\x20\0\0\0\1", b"tfhd\0\2\0\x20\0\0\0" + bytes((track_id,)))


class TestFilesOfFfmpeg:
    @pytest.mark.parametrize("name", FILES)
    def test_the_access_units_are_those_that_libav_reads(self, name: str) -> None:
        data = make(".mp4", *FILES[name])
        demuxer = Fmp4Demuxer()

        units = units_of(demux(demuxer, data))

        expected = read_by_libav(data, ".mp4")
        assert of_kind(units, "video") == of_kind(expected, "video")
        first_90k = of_kind(units, "video")[0].dts_90k
        sound = [unit for unit in of_kind(expected, "audio") if unit.dts_90k >= first_90k]
        assert [(unit.pts_90k, unit.payload) for unit in of_kind(units, "audio")] == [
            (unit.pts_90k, unit.payload) for unit in sound
        ]
        assert len(sound) > 50
        assert [track.is_video for track in demuxer.tracks] == [True, False]
        assert not demuxer.statistics.malformed

    def test_negative_composition_offsets_move_decoding_not_presentation(self) -> None:
        """libav moves presentation instead, by one picture, and with it sound against picture."""
        data = make(".mp4", *B_FRAMES, *AAC, "-movflags", "+cmaf+frag_keyframe")
        units = of_kind(units_of(demux(Fmp4Demuxer(), data)), "video")
        expected = of_kind(read_by_libav(data, ".mp4"), "video")
        assert [(unit.pts_90k + 3600, unit.dts_90k + 3600, unit.payload) for unit in units] == [
            (unit.pts_90k, unit.dts_90k, unit.payload) for unit in expected
        ]
        assert min(unit.pts_90k for unit in units) == 0
        assert all(unit.pts_90k >= unit.dts_90k for unit in units)

    @pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60"])
    def test_times_are_exact_to_the_nearest_tick(self, rate: str) -> None:
        data = make(".mp4", *X264, *AAC, *FRAGMENTS, rate=rate, hz=44_100)
        assert of_kind(units_of(demux(Fmp4Demuxer(), data)), "video") == of_kind(
            read_by_libav(data, ".mp4"), "video"
        )

    def test_sound_alone_is_random_access_everywhere(self) -> None:
        data = make(".mp4", *AAC, *FRAGMENTS, video=False)
        frames = demux(Fmp4Demuxer(), data)
        assert all(frame.key for frame in frames)
        assert [frame.payload for frame in frames] == [unit.payload for unit in read_by_libav(data, ".mp4")]

    @pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
    def test_pieces_of_any_size_give_the_same(self, piece_bytes: int) -> None:
        data = make(".mp4", *FILES["b-frames"], seconds="0.5")
        assert units_of(demux(Fmp4Demuxer(), data, piece_bytes)) == units_of(demux(Fmp4Demuxer(), data))


def everything(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], str]:
    """The frames of ``pieces``, and the words of the error that ended them."""
    demuxer = Fmp4Demuxer()
    frames: list[Frame] = []
    try:
        for piece in pieces:
            frames += demuxer.receive_data(piece)
        frames += demuxer.receive_eof()
    except OpenstreamerError as err:
        return [(frame.dts_90k, frame.payload) for frame in frames], str(err)
    return [(frame.dts_90k, frame.payload) for frame in frames], ""


STREAM = INIT + video_part(0, slices(3)) + box(b"emsg", bytes(30)) + video_part(10_800, slices(2))


@given(
    st.lists(st.integers(0, len(STREAM)), max_size=12),
    st.sampled_from([b"", b"\0\0\0\1moof", b"\0\0\0\4free"]),
)
@settings(max_examples=60, deadline=None)
def test_any_split_gives_the_same_frames_and_the_same_error(cuts: list[int], tail: bytes) -> None:
    data = STREAM + tail
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert everything(pieces) == everything([data])


def test_a_picture_that_is_decoded_too_early_is_shown_when_it_says() -> None:
    first, spliced = slices(3), slices(2)
    later = video_fragment(2, 3600, [3600, 100, KEY_SAMPLE, 10_800, 3600, 100, DELTA_SAMPLE, 0], spliced)
    frames = demux(Fmp4Demuxer(), INIT + video_part(0, first) + later)
    assert [frame.dts_90k for frame in frames] == [0, 3600, 7200, 7200, 7200]
    assert [frame.pts_90k for frame in frames] == [0, 3600, 7200, 14_400, 7200]


class TestTracks:
    @pytest.mark.parametrize("track", TRACKS, ids=lambda track: track.codec)
    def test_what_our_writer_describes_is_understood(self, track: object) -> None:
        demuxer = Fmp4Demuxer()
        demuxer.receive_data(init_segment(track))  # type: ignore[arg-type]
        config = track.config  # type: ignore[attr-defined]
        if config.codec in ("mp3", "eac3"):
            assert demuxer.tracks == ()  # its frames say it
        else:
            assert [found.config for found in demuxer.tracks] == [config]

    def test_a_repeated_moov_changes_nothing(self) -> None:
        demuxer = Fmp4Demuxer()
        before = demuxer.receive_data(INIT + video_part(0, slices(2)))
        tracks = demuxer.tracks
        after = demuxer.receive_data(INIT + video_part(7200, slices(2)))
        assert demuxer.tracks is tracks
        assert {frame.track for frame in before + after} == {tracks[0]}
        assert all(frame.track is tracks[0] for frame in after)

    def test_a_new_moov_in_mid_stream_changes_the_track_at_its_key_frame(self) -> None:
        changed = make(".mp4", *X264, *FRAGMENTS, "-s", "128x96", audio=False, seconds="0.2")
        demuxer = Fmp4Demuxer()
        demuxer.receive_data(INIT + video_part(0, slices(2)))
        (old,) = demuxer.tracks
        frames = demux(demuxer, changed)
        (new,) = demuxer.tracks
        assert new.id == old.id
        assert frames[0].key
        assert {frame.track for frame in frames} == {new}
        assert isinstance(new.config, H264Config)
        assert new.config.width == 128

    def test_the_language_is_kept(self) -> None:
        data = make(".mp4", *AAC, *FRAGMENTS, "-metadata:s:a:0", "language=deu", video=False, seconds="0.2")
        demuxer = Fmp4Demuxer()
        demux(demuxer, data)
        assert [track.language for track in demuxer.tracks] == ["deu"]

    def test_all_sound_is_carried(self) -> None:
        two = ("-map", "0:v", "-map", "1:a", "-map", "1:a", *X264, *AAC, *FRAGMENTS)
        data = make(".mp4", *two, seconds="0.5", hz=44_100)
        demuxer = Fmp4Demuxer()
        frames = demux(demuxer, data)
        assert [track.id for track in demuxer.tracks] == [0, 1, 2]
        assert not demuxer.statistics.malformed
        for track in demuxer.tracks[1:]:
            times = [frame.dts_90k for frame in frames if frame.track is track]
            assert times == sorted(set(times))
            assert len(times) > 20

    def test_of_two_pictures_the_first_is_carried(self) -> None:
        data = make(".mp4", "-map", "0:v", "-map", "0:v", *X264, *FRAGMENTS, audio=False, seconds="0.2")
        assert len(demux(Fmp4Demuxer(), data)) == 5


class TestNalUnits:
    def test_lengths_of_two_bytes_are_made_four(self) -> None:
        nal = b"\x65" + bytes(50)
        config = VIDEO.config
        assert isinstance(config, H264Config)
        record = config.avcc()
        init = INIT.replace(record, record[:4] + b"\xfd" + record[5:])
        sample = len(nal).to_bytes(2, "big") + nal
        (frame,) = Fmp4Demuxer().receive_data(init + video_part(0, [sample]))
        assert frame.payload == len(nal).to_bytes(4, "big") + nal

    def test_a_damaged_key_frame_is_counted_and_left_out(self) -> None:
        demuxer = Fmp4Demuxer()
        broken = to_length_prefixed([b"\x67\xff", b"\x65" + bytes(20)])
        frames = demuxer.receive_data(INIT + video_part(0, [slices(1)[0], broken]))
        assert [frame.dts_90k for frame in frames] == [0]
        assert demuxer.statistics.malformed == demuxer.statistics.dropped_frames == 1

    def test_nothing_comes_before_a_key_frame(self) -> None:
        demuxer = Fmp4Demuxer()
        payloads = [video(0, key=False).payload, *slices(2)]
        table = [value for payload in payloads for value in (3600, len(payload), DELTA_SAMPLE, 0)]
        frames = demuxer.receive_data(INIT + video_fragment(1, 0, table, payloads))
        assert [frame.key for frame in frames] == [True, False]
        assert (demuxer.statistics.before_start_frames, demuxer.statistics.dropped_frames) == (1, 0)


class TestTimes:
    def test_64_bit_times_pass_unchanged(self) -> None:
        far_90k = 1_795_507_634 * 90_000
        (frame,) = Fmp4Demuxer().receive_data(INIT + video_part(far_90k, slices(1)))
        assert frame.dts_90k == far_90k

    def test_without_tfdt_time_goes_on(self) -> None:
        part = video_part(0, slices(2)).replace(b"tfdt", b"free")
        frames = Fmp4Demuxer().receive_data(INIT + part + part)
        assert [frame.dts_90k for frame in frames] == [0, 3600, 7200, 10_800]

    def test_a_clock_that_begins_anew_goes_on_rising(self) -> None:
        frames = Fmp4Demuxer().receive_data(
            INIT + video_part(900_000, slices(2)) + video_part(0, slices(3)) + video_part(10_800, slices(1))
        )
        times = [frame.dts_90k - 900_000 for frame in frames]
        assert times == [0, 3600, 5400, 9000, 12_600, 16_200]

    def test_a_time_beyond_all_bounds_is_refused(self) -> None:
        with pytest.raises(RemoteProtocolError, match="a decoding time of"):
            Fmp4Demuxer().receive_data(INIT + video_part(1 << 63, slices(1)))


class TestSegments:
    def test_base_data_offsets_count_from_the_segment(self) -> None:
        data = make(".mp4", *FILES["base-data-offset"])
        start = data.index(b"moof") - 4
        init, rest = data[:start], data[start:]
        moved = rest.replace(struct.pack(">Q", start), bytes(8), 1)  # of the video track's tfhd
        demuxer = Fmp4Demuxer()
        demuxer.receive_data(init)
        demuxer.begin_segment()
        frames = demuxer.receive_data(moved[: moved.index(b"moof", 8) - 4])
        assert of_kind(units_of(frames), "video")[0] == of_kind(read_by_libav(data, ".mp4"), "video")[0]

    def test_what_a_segment_promised_is_not_looked_for_in_the_next(self) -> None:
        demuxer = Fmp4Demuxer()
        part = video_part(0, slices(1))
        demuxer.receive_data(INIT)
        demuxer.begin_segment()
        demuxer.receive_data(part[: part.index(b"mdat") - 4])
        demuxer.begin_segment()
        assert demuxer.receive_data(box(b"mdat", bytes(1000))) == []
        assert demuxer.statistics.dropped_frames == 1

    def test_a_segment_that_was_cut_off_does_not_harm_the_next(self) -> None:
        demuxer = Fmp4Demuxer()
        demuxer.receive_data(INIT)
        demuxer.begin_segment()
        frames = demuxer.receive_data(video_part(0, slices(3))[:-50])
        assert demuxer.is_inside_box
        demuxer.begin_segment()
        frames += demuxer.receive_data(video_part(10_800, slices(2)))
        assert [frame.dts_90k for frame in frames] == [0, 3600, 10_800, 14_400]
        assert demuxer.statistics.dropped_frames == 1
        assert not demuxer.is_inside_box


class TestOpening:
    def test_sound_from_before_the_picture_is_left_out_even_when_it_comes_later(self) -> None:
        init, *_ = self.both().split(b"moof")
        demuxer = Fmp4Demuxer()
        demuxer.receive_data(init[:-4])
        picture = video_part(12_800, slices(2))  # in a timescale of 12800: a second
        sound = audio_fragment(1, 0, [1024, 10] * 100, [bytes([1] * 10)] * 100)
        frames = demuxer.receive_data(picture + of_track(2, sound))
        assert frames[0].dts_90k == 90_000
        heard = [frame.dts_90k for frame in frames if not frame.track.is_video]
        assert heard[0] == 47 * 1920
        assert len(heard) == 53
        assert (demuxer.statistics.before_start_frames, demuxer.statistics.dropped_frames) == (47, 0)

    def both(self) -> bytes:
        return make(
            ".mp4", *X264, *AAC, "-movflags", "+frag_keyframe+empty_moov+separate_moof+default_base_moof"
        )

    def test_sound_waits_for_the_picture_and_is_bounded(self) -> None:
        limits = Fmp4Limits(opening=OpeningLimits(max_held_frames=8))
        init, *_ = self.both().split(b"moof")
        demuxer = Fmp4Demuxer(limits)
        demuxer.receive_data(init[:-4])
        sound = audio_fragment(1, 0, [1024, 10] * 100, [bytes([1] * 10)] * 100)
        assert demuxer.receive_data(of_track(2, sound)) == []
        assert (demuxer.statistics.before_start_frames, demuxer.statistics.dropped_frames) == (96, 0)
        assert len(demuxer.receive_eof()) == 4

    def test_tracks_are_complete_with_the_first_frames(self) -> None:
        data = make(".mp4", *FILES["mp3"])
        demuxer = Fmp4Demuxer()
        for start in range(0, len(data), 500):
            if demuxer.receive_data(data[start : start + 500]):
                break
        assert [track.codec for track in demuxer.tracks] == ["h264", "mp3"]


REFUSED = {
    "encrypted": (INIT.replace(b"avc1", b"encv", 1), SourceRejected, "video: it is encrypted"),
    "unknown codec": (INIT.replace(b"avc1", b"mp4v"), SourceRejected, r"MPEG-4 part 2 \(mp4v\) is not"),
    "unknown sound": (AUDIO_INIT.replace(b"mp4a", b"lpcm"), SourceRejected, "audio: PCM"),
    "no configuration": (INIT.replace(b"avcC", b"free"), SourceRejected, "has no avcC box"),
    "a handler of neither": (INIT.replace(b"vide", b"text"), SourceRejected, "neither video nor audio"),
    "no fragments": (INIT.replace(b"mvex", b"free"), SourceRejected, "not in fragments"),
    "no moov": (video_part(0, slices(1)), RemoteProtocolError, "before the moov"),
    "not MP4": (b"\x00\x00\x01\x00\x00\x00\x00\x00" + bytes(100), RemoteProtocolError, "not an MP4 file"),
    "a box smaller than its header": (b"\0\0\0\7free", RemoteProtocolError, "'free' of 7 bytes"),
    "a large box smaller than its header": (
        b"\0\0\0\1free" + bytes(8),
        RemoteProtocolError,
        "'free' of 0 bytes",
    ),
    "an endless moov": (b"\0\0\0\0moov", RemoteProtocolError, "a moov box of more than"),
    "a huge moof": (INIT + b"\x7f\0\0\0moof", RemoteProtocolError, "a moof box of more than"),
    "a child larger than its parent": (
        INIT.replace(b"\0\0\0\x20trex", b"\0\0\1\x20trex"),
        RemoteProtocolError,
        "'trex' is 256 bytes too long",
    ),
    "no timescale": (
        INIT.replace(b"mdhd" + bytes(12) + struct.pack(">I", 90_000), b"mdhd" + bytes(16)),
        RemoteProtocolError,
        "timescale in 'mdhd' is 0",
    ),
    "a run of billions": (
        INIT
        + box(
            b"moof", box(b"traf", full_box(b"tfhd", 0, 0, b"\0\0\0\1"), full_box(b"trun", 0, 0, b"\xff" * 4))
        ),
        RemoteProtocolError,
        "more than 65536 samples",
    ),
    "a sample of gigabytes": (
        INIT + fragment_of_one(0x020010, b"\x40\0\0\0") + b"\0\0\0\0mdat" + bytes(8),
        RemoteProtocolError,
        "a sample of 1073741824 bytes",
    ),
    "an unknown sample entry": (
        INIT + fragment_of_one(0x020012, b"\0\0\0\7\0\0\0\1") + box(b"mdat", b"x"),
        RemoteProtocolError,
        "sample entry 7 of 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_words(name: str) -> None:
    data, error, words = REFUSED[name]
    demuxer = Fmp4Demuxer()
    with pytest.raises(error, match=words):
        demuxer.receive_data(data)
    with pytest.raises(error, match=words):  # and stays so
        demuxer.receive_data(b"")


def test_boxes_without_media_are_not_kept() -> None:
    demuxer = Fmp4Demuxer()
    demuxer.receive_data(INIT + struct.pack(">I4sQ", 1, b"free", 1 << 40))
    for _ in range(8):
        demuxer.receive_data(bytes(1 << 20))
        assert demuxer.buffered_bytes == 0


def test_data_that_no_sample_needs_is_not_kept() -> None:
    demuxer = Fmp4Demuxer()
    demuxer.receive_data(INIT + struct.pack(">I4s", 0, b"mdat"))
    demuxer.receive_data(bytes(1 << 20))
    assert demuxer.buffered_bytes == 0


def test_every_truncation_ends_without_an_error_of_its_own() -> None:
    whole = [payload for _, payload in everything([STREAM])[0]]
    for size in range(len(STREAM)):
        frames, error = everything([STREAM[:size]])
        assert error == ""
        assert [payload for _, payload in frames] == whole[: len(frames)]


def test_an_init_of_aac_gives_its_configuration() -> None:
    demuxer = Fmp4Demuxer()
    demuxer.receive_data(AUDIO_INIT)
    (track,) = demuxer.tracks
    assert isinstance(track.config, AacConfig)
    assert track.config.audio_specific_config == AUDIO.audio.audio_specific_config  # type: ignore[union-attr]
