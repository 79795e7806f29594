"""An FLV file of ffmpeg and its damaged twins (``tests/fixtures/capture.py``)."""

import pytest

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.wire.flv import FlvDemuxer
from tests.support.captured_units import FIXTURES, listed, units_of

NAME = "flv/ffmpeg_h264_aac"
TAGS_KEPT = 20  # in the twins: metadata, two configurations, 7 pictures and 10 of sound


def read(demuxer: FlvDemuxer, twin: str = "", *, piece_bytes: int = 1 << 20) -> list[Frame]:
    data = (FIXTURES / f"{NAME}{twin}.flv").read_bytes()
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]
    return [frame for piece in pieces for frame in demuxer.receive_data(piece)]


@pytest.mark.parametrize("piece_bytes", [1, 11, 1 << 20])
def test_a_file_is_what_libav_reads_in_it(piece_bytes: int) -> None:
    demuxer = FlvDemuxer()
    frames = read(demuxer, piece_bytes=piece_bytes) + demuxer.receive_eof()
    for kind, count in (("video", 20), ("audio", 39)):
        assert units_of(frames, kind) == listed(NAME, kind)
        assert len(listed(NAME, kind)) == count
    assert demuxer.statistics.packets == 63
    assert demuxer.statistics.malformed == demuxer.statistics.dropped_frames == 0


def test_a_file_that_is_cut_off_gives_its_whole_tags() -> None:
    demuxer = FlvDemuxer()
    frames = read(demuxer, "_truncated")
    assert demuxer.is_inside_tag
    frames += demuxer.receive_eof()
    for kind, count in (("video", 7), ("audio", 10)):
        assert units_of(frames, kind) == listed(NAME, kind)[:count]
    assert demuxer.statistics.packets == TAGS_KEPT


def test_a_tag_of_no_known_type_ends_the_file_after_the_frames_before_it() -> None:
    demuxer = FlvDemuxer()
    frames = read(demuxer, "_invalid")
    with pytest.raises(RemoteProtocolError, match="FLV: no tag stands here: type 11"):
        demuxer.receive_data(b"")
    for kind, count in (("video", 7), ("audio", 10)):
        assert units_of(frames, kind) == listed(NAME, kind)[:count]
    assert demuxer.statistics.packets == TAGS_KEPT
