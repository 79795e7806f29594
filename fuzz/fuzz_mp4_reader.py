"""Fragmented MP4 as a stream, and the sample table of a whole file: frames keep the promises of a source.

The first byte says how the rest is read: as a stream in pieces of that size, or (0) as a ``moov``.
"""

from collections.abc import Iterator

from tests.support.media import AUDIO, VIDEO, video
from tests.support.tracks import TRACKS

from fuzz.fuzz_flv import check
from fuzz.target import FuzzTarget, pieces_of
from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.boxes import box, full_box
from openstreamer.wire.mp4.fragment import DELTA_SAMPLE, KEY_SAMPLE, audio_fragment, video_fragment
from openstreamer.wire.mp4.init import init_segment
from openstreamer.wire.mp4.movie_frames import MovieFrames, OpeningLimits
from openstreamer.wire.mp4.reader import Fmp4Demuxer, Fmp4Limits
from openstreamer.wire.mp4.sample_table import Mp4Index

OPENING = OpeningLimits(max_held_frames=8, max_held_bytes=2000)
LIMITS = Fmp4Limits(max_moov_bytes=4096, max_moof_bytes=4096, max_sample_bytes=4096, opening=OPENING)
WALKED_SAMPLES = 300  # a table of a few bytes may promise billions


def run(data: bytes) -> None:
    if not data:
        return
    if data[0]:
        check(streamed(data[1:], data[0]))
    else:
        check(indexed(data[1:]))


def streamed(data: bytes, piece_bytes: int) -> list[Frame]:
    """The frames of a stream, up to where it is refused."""
    demuxer = Fmp4Demuxer(LIMITS)
    frames: list[Frame] = []
    try:
        for piece in pieces_of(data, piece_bytes):
            frames += demuxer.receive_data(piece)
            assert demuxer.buffered_bytes <= 3 * 4096 + piece_bytes
        frames += demuxer.receive_eof()
    except (SourceRejected, RemoteProtocolError):
        pass
    return frames


def indexed(moov: bytes) -> list[Frame]:
    """The frames of a file that is nothing but a moov and zeros."""
    movie_frames = MovieFrames(DemuxStatistics(), OPENING)
    frames: list[Frame] = []
    try:
        index = Mp4Index(moov, 1 << 20)
        movie_frames.use(index.played)
        samples = index.samples(movie_frames.is_selected, movie_frames.decode_time_90k)
        for _, sample in zip(range(WALKED_SAMPLES), samples, strict=False):
            frames += movie_frames.sample(sample, bytes(min(sample.size, 64)))
    except (SourceRejected, RemoteProtocolError):
        pass
    return frames + movie_frames.end()


def seeds() -> Iterator[bytes]:
    for track in TRACKS:
        yield b"\xff" + init_segment(track)
    pictures = [video(0, key=number == 0, size=40).payload for number in range(3)]
    table = [
        value
        for number, payload in enumerate(pictures)
        for value in (3600, len(payload), DELTA_SAMPLE if number else KEY_SAMPLE, 3600 * (number % 2))
    ]
    stream = init_segment(VIDEO) + box(b"emsg", bytes(9)) + video_fragment(1, 90_000, table, pictures)
    yield b"\x07" + stream + video_fragment(2, 1 << 40, table, pictures)
    yield b"\x40" + init_segment(AUDIO) + audio_fragment(1, 0, [1024, 3, 1024, 2], [b"abc", b"de"])
    yield b"\0" + _whole_file()


def _whole_file() -> bytes:
    """The moov of two samples in one chunk."""
    moov = init_segment(VIDEO)
    moov = moov[moov.index(b"moov") + 4 :]
    empty = moov[moov.index(b"stts") - 4 : moov.index(b"mvex") - 4]
    row = (1).to_bytes(4, "big")
    tables = (
        full_box(b"stts", 0, 0, row, row, row),
        full_box(b"stsc", 0, 0, row, row, row, row),
        full_box(b"stsz", 0, 0, bytes(4), row, row),
        full_box(b"stco", 0, 0, row, row),
    )
    return moov.replace(empty, b"".join(tables))


TARGET = FuzzTarget("mp4_reader", run, (), seeds)
