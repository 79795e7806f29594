"""A transport stream of ffmpeg and its damaged twins (``tests/fixtures/capture.py``)."""

import pytest

from openstreamer.media.errors import SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts import MpegTsDemuxer
from tests.support.captured_units import FIXTURES, listed, units_of

NAME = "mpegts/ffmpeg_h264_aac"


def read(demuxer: MpegTsDemuxer, twin: str = "", *, piece_bytes: int = 1316) -> list[Frame]:
    data = (FIXTURES / f"{NAME}{twin}.ts").read_bytes()
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]
    return [frame for piece in pieces for frame in demuxer.receive_data(piece)]


@pytest.mark.parametrize("piece_bytes", [1, 188, 1000, 1316, 1 << 20])
def test_a_stream_is_what_libav_reads_in_it(piece_bytes: int) -> None:
    demuxer = MpegTsDemuxer()
    frames = read(demuxer, piece_bytes=piece_bytes) + demuxer.receive_eof()
    for kind, count in (("video", 20), ("audio", 39)):
        assert units_of(frames, kind) == listed(NAME, kind)
        assert len(listed(NAME, kind)) == count
    statistics = demuxer.statistics
    assert statistics.packets == 75
    assert statistics.lost_packets == statistics.malformed == statistics.dropped_frames == 0


def test_a_stream_that_is_cut_off_gives_its_whole_pictures_and_counts_the_cut_one() -> None:
    demuxer = MpegTsDemuxer()
    frames = read(demuxer, "_truncated") + demuxer.receive_eof()
    assert units_of(frames, "video") == listed(NAME, "video")[:11]
    assert units_of(frames, "audio") == listed(NAME, "audio")[:1]
    statistics = demuxer.statistics
    # It is so short that nothing went out before its end.
    assert (statistics.packets, statistics.before_start_frames, statistics.dropped_frames) == (37, 1, 0)


def test_a_stream_whose_program_map_is_damaged_is_refused_in_words() -> None:
    demuxer = MpegTsDemuxer()
    assert read(demuxer, "_invalid") == []
    with pytest.raises(SourceRejected, match="only programs without a PMT"):
        demuxer.receive_eof()
    assert demuxer.statistics.malformed == 8
