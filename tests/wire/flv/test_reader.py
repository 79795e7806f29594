"""FLV files and HTTP-FLV: the same access units as libav reads, however the bytes come."""

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openstreamer.media.clock import ms_to_90k
from openstreamer.media.errors import OpenstreamerError, RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.wire import amf0
from openstreamer.wire.flv import FlvDemuxer, FlvEncoder
from tests.support.container_files import B_FRAMES, X264, demux, make, of_kind, read_by_libav, units_of
from tests.support.media import audio, video

AAC = ("-c:a", "aac")
HEADER = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
FILES = {
    "h264-aac": (*X264, *AAC),
    "b-frames": (*B_FRAMES, *AAC),
    "mp3": (*X264, "-c:a", "libmp3lame", "-ar", "44100"),
}


def tag(kind: int, time_ms: int, body: bytes) -> bytes:
    time = (time_ms & 0xFFFFFF).to_bytes(3, "big") + bytes([time_ms >> 24 & 0xFF])
    head = bytes([kind]) + len(body).to_bytes(3, "big") + time + bytes(3)
    return head + body + struct.pack(">I", len(head) + len(body))


def file_of(frames: list[Frame], *, metadata: dict[str, amf0.AmfValue] | None = None) -> bytes:
    encoder = FlvEncoder()
    tags = [each for frame in frames for each in encoder.encode(frame)]
    script = tag(18, 0, amf0.encode("onMetaData", metadata)) if metadata is not None else b""
    return (
        HEADER
        + script
        + b"".join(tag(9 if each.is_video else 8, each.timestamp_ms, each.payload) for each in tags)
    )


BOTH: dict[str, amf0.AmfValue] = {"videocodecid": 7.0, "audiocodecid": 10.0}
FRAMES = [
    video(0, key=True),
    audio(0),
    *(video(ms_to_90k(40 * number), key=False) for number in range(1, 5)),
    audio(ms_to_90k(21)),
]
FILE = file_of(FRAMES, metadata=BOTH)


class TestFilesOfFfmpeg:
    @pytest.mark.parametrize("name", FILES)
    def test_the_access_units_are_those_that_libav_reads(self, name: str) -> None:
        data = make(".flv", *FILES[name])
        demuxer = FlvDemuxer()

        units = units_of(demux(demuxer, data, 1000))

        expected = read_by_libav(data, ".flv")
        assert of_kind(units, "video") == of_kind(expected, "video")
        sound = of_kind(units, "audio")
        assert [(unit.pts_90k, unit.payload) for unit in sound] == [
            (unit.pts_90k, unit.payload)
            for unit in of_kind(expected, "audio")
            if unit.pts_90k >= units[0].dts_90k
        ]
        assert len(sound) > 50
        assert not demuxer.statistics.malformed
        assert demuxer.statistics.packets > len(units)

    def test_a_table_of_key_frames_in_the_metadata_is_no_obstacle(self) -> None:
        data = make(".flv", *X264, *AAC, "-flvflags", "add_keyframe_index")
        assert len(demux(FlvDemuxer(), data)) > 100


class TestMetadata:
    def test_a_file_that_announces_video_alone_waits_for_no_sound(self) -> None:
        data = file_of([video(0, key=True)], metadata={"videocodecid": 7.0, "width": 1280.0})
        assert len(FlvDemuxer().receive_data(data)) == 1

    def test_malformed_metadata_is_counted_and_ignored(self) -> None:
        demuxer = FlvDemuxer()
        data = HEADER + tag(18, 0, b"\x02\0\xffonMeta") + file_of(FRAMES)[len(HEADER) :]
        assert len(demux(demuxer, data)) == len(FRAMES)
        assert demuxer.statistics.malformed == 1


def test_times_beyond_24_bits_have_their_extension() -> None:
    far_ms = 0x01_00_00_05
    frames = FlvDemuxer().receive_data(
        HEADER
        + tag(18, 0, amf0.encode("onMetaData", {"videocodecid": 7.0}))
        + b"".join(tag(9, far_ms, each.payload) for each in FlvEncoder().encode(video(0, key=True)))
    )
    assert [frame.dts_90k for frame in frames] == [ms_to_90k(far_ms)]


def test_a_longer_header_is_passed_over() -> None:
    data = b"FLV\x01\x05\0\0\0\x0c" + bytes(3) + bytes(4) + FILE[len(HEADER) :]
    assert len(demux(FlvDemuxer(), data)) == len(FRAMES)


def test_a_second_header_in_the_middle_is_passed_over() -> None:
    again = file_of([video(ms_to_90k(1000), key=True)])
    assert len(demux(FlvDemuxer(), FILE + again, 3)) == len(FRAMES) + 1


def test_the_last_tag_needs_no_size_behind_it() -> None:
    demuxer = FlvDemuxer()
    assert len(demux(demuxer, FILE[:-4])) == len(FRAMES)
    assert not demuxer.is_inside_tag


def test_a_tag_that_is_cut_off_is_left_out_and_noticed() -> None:
    demuxer = FlvDemuxer()
    assert len(demux(demuxer, FILE[:-5])) == len(FRAMES) - 1
    assert demuxer.is_inside_tag


REFUSED = {
    "not FLV": (b"\x47\x40\0\x10", RemoteProtocolError, "not an FLV file"),
    "another version": (b"FLV\x02\x05\0\0\0\x09" + bytes(4), RemoteProtocolError, "version 2"),
    "a long header": (b"FLV\x01\x05\x7f\0\0\x09", RemoteProtocolError, "header of 2130706441 bytes"),
    "a short header": (b"FLV\x01\x05\0\0\0\x08", RemoteProtocolError, "header of 8 bytes"),
    "an unknown tag": (HEADER + b"\x0a" + bytes(10), RemoteProtocolError, "no tag stands here: type 10"),
    "a stream id": (HEADER + b"\x09" + bytes(9) + b"\x01", RemoteProtocolError, "stream 000001"),
    "an encrypted tag": (HEADER + b"\x29" + bytes(10), SourceRejected, "it is encrypted"),
    "a huge tag": (HEADER + b"\x09\xff\xff\xff" + bytes(7), RemoteProtocolError, "a tag of 16777215"),
    "a huge script": (HEADER + b"\x12\x7f\0\0" + bytes(7), RemoteProtocolError, "a tag of 8323072"),
    "an old codec": (HEADER + tag(9, 0, b"\x12" + bytes(9)), SourceRejected, "^FLV video: Sorenson"),
    "an old sound": (
        HEADER + tag(8, 0, b"\xb2") + tag(8, 1000, b"\xb2"),
        SourceRejected,
        "^FLV audio: Speex",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_words(name: str) -> None:
    data, error, words = REFUSED[name]
    demuxer = FlvDemuxer()
    with pytest.raises(error, match=words):
        demuxer.receive_data(data)
    with pytest.raises(error, match=words):  # and stays so
        demuxer.receive_eof()


def test_a_file_of_nothing_but_an_old_sound_is_refused_at_its_end() -> None:
    demuxer = FlvDemuxer()
    assert demuxer.receive_data(HEADER + tag(8, 0, b"\xb2")) == []
    with pytest.raises(SourceRejected, match=r"^FLV audio: Speex"):
        demuxer.receive_eof()


def test_frames_before_a_fault_come_out_first() -> None:
    demuxer = FlvDemuxer()
    assert len(demuxer.receive_data(FILE + bytes(11))) == len(FRAMES)
    with pytest.raises(RemoteProtocolError, match="no tag stands here"):
        demuxer.receive_data(b"")


def test_what_is_kept_is_bounded() -> None:
    demuxer = FlvDemuxer()
    demuxer.receive_data(FILE)
    for _ in range(20):
        demuxer.receive_data(FILE[len(HEADER) :] * 20)
        assert demuxer.buffered_bytes == 0


def everything(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], str]:
    demuxer = FlvDemuxer()
    frames: list[Frame] = []
    error = ""
    try:
        for piece in pieces:
            frames += demuxer.receive_data(piece)
        frames += demuxer.receive_eof()
    except OpenstreamerError as err:
        error = str(err)
    return [(frame.pts_90k, frame.payload) for frame in frames], error


@given(
    st.lists(st.integers(0, len(FILE)), max_size=12),
    st.sampled_from([b"", b"\x0b" + bytes(20), HEADER, b"FL", FILE]),
    st.integers(0, len(FILE)),
)
@settings(max_examples=100, deadline=None)
def test_any_split_gives_the_same(cuts: list[int], tail: bytes, keep: int) -> None:
    data = FILE[:keep] + tail
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert everything(pieces) == everything([data])
