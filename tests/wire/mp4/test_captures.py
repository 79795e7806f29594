"""MP4 files of ffmpeg, whole and in fragments, and their damaged twins (``tests/fixtures/capture.py``)."""

import pytest

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.box_reader import children
from openstreamer.wire.mp4.movie_frames import MovieFrames
from openstreamer.wire.mp4.reader import Fmp4Demuxer
from openstreamer.wire.mp4.sample_table import Mp4Index
from tests.support.captured_units import FIXTURES, listed, units_of

WHOLE, FRAGMENTS = "mp4/ffmpeg_h264_aac", "mp4/ffmpeg_h264_aac_fragmented"


def data_of(name: str) -> bytes:
    return (FIXTURES / f"{name}.mp4").read_bytes()


def read_fragments(demuxer: Fmp4Demuxer, name: str, *, piece_bytes: int = 1 << 20) -> list[Frame]:
    data = data_of(name)
    pieces = [data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)]
    return [frame for piece in pieces for frame in demuxer.receive_data(piece)]


def read_whole(name: str) -> list[Frame]:
    data = data_of(name)
    moov = next(box for box in children(data, 0, len(data), "file") if box.kind == b"moov")
    index = Mp4Index(data[moov.start : moov.end], len(data))
    movie_frames = MovieFrames(DemuxStatistics())
    movie_frames.use(index.played)
    frames: list[Frame] = []
    for sample in index.samples(movie_frames.is_selected, movie_frames.decode_time_90k):
        frames += movie_frames.sample(sample, data[sample.offset : sample.offset + sample.size])
    return frames + movie_frames.end()


@pytest.mark.parametrize("piece_bytes", [1, 1000, 1 << 20])
def test_fragments_are_what_libav_reads_in_them(piece_bytes: int) -> None:
    demuxer = Fmp4Demuxer()
    frames = read_fragments(demuxer, FRAGMENTS, piece_bytes=piece_bytes) + demuxer.receive_eof()
    for kind, count in (("video", 20), ("audio", 39)):
        assert units_of(frames, kind) == listed(FRAGMENTS, kind)
        assert len(listed(FRAGMENTS, kind)) == count
    assert demuxer.statistics == DemuxStatistics(packets=2, started=True)


def test_a_whole_file_is_what_libav_reads_in_it() -> None:
    frames = read_whole(WHOLE)
    for kind, count in (("video", 20), ("audio", 39)):
        assert units_of(frames, kind) == listed(WHOLE, kind)
        assert len(listed(WHOLE, kind)) == count


def test_a_fragment_that_is_cut_off_gives_its_whole_samples() -> None:
    demuxer = Fmp4Demuxer()
    frames = read_fragments(demuxer, f"{FRAGMENTS}_truncated")
    assert demuxer.is_inside_box
    frames += demuxer.receive_eof()
    for kind, count in (("video", 10), ("audio", 16)):
        assert units_of(frames, kind) == listed(FRAGMENTS, kind)[:count]


def test_tables_that_are_cut_off_are_refused_in_words() -> None:
    with pytest.raises(RemoteProtocolError, match=r"MP4: file: the box 'moov' is [0-9]+ bytes too long"):
        read_whole(f"{WHOLE}_truncated")


def test_a_box_that_is_longer_than_the_one_around_it_is_refused_in_words() -> None:
    demuxer = Fmp4Demuxer()
    with pytest.raises(RemoteProtocolError, match=r"MP4: traf: the box 'trun' is [0-9]+ bytes too long"):
        read_fragments(demuxer, f"{FRAGMENTS}_invalid")
    with pytest.raises(RemoteProtocolError, match=r"MP4: stbl: the box 'stsz' is [0-9]+ bytes too long"):
        read_whole(f"{WHOLE}_invalid")
