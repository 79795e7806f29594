"""Whole files: the same access units as libav reads, tables of every form, and none that lies."""

import struct
from array import array
from pathlib import Path

import pytest

from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.box_reader import Box, children
from openstreamer.wire.mp4.boxes import box, full_box
from openstreamer.wire.mp4.init import init_segment
from openstreamer.wire.mp4.movie import StoredSample
from openstreamer.wire.mp4.movie_frames import MovieFrames
from openstreamer.wire.mp4.sample_table import Mp4Index
from tests.support.container_files import B_FRAMES, X264, make, of_kind, read_by_libav, run_ffmpeg, units_of
from tests.support.media import VIDEO

AAC = ("-c:a", "aac", "-b:a", "64k")
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "h264-aac": (".mp4", (*X264, *AAC)),
    "faststart": (".mp4", (*X264, *AAC, "-movflags", "+faststart")),
    "b-frames": (".mp4", (*B_FRAMES, *AAC)),
    "no-edit-list": (".mp4", (*B_FRAMES, *AAC, "-use_editlist", "0")),
    "quicktime": (".mov", (*B_FRAMES, *AAC)),
    "h265-ac3": (
        ".mp4",
        (
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "bframes=2:log-level=none",
            "-c:a",
            "ac3",
        ),
    ),
    "vp9-opus": (
        ".mp4",
        ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    ),
    "av1-eac3": (".mp4", ("-c:v", "libsvtav1", "-preset", "12", "-c:a", "eac3")),
    "mp3": (".mp4", (*X264, "-c:a", "libmp3lame")),
    "open-gop": (".mp4", (*B_FRAMES, "-x264-params", "open-gop=1", *AAC)),
}


def moov_of(data: bytes) -> bytes:
    (found,) = (each for each in children(data, 0, len(data), "file") if each.kind == b"moov")
    return data[found.start : found.end]


def read(data: bytes) -> tuple[list[Frame], MovieFrames]:
    """All frames of a file in memory."""
    index = Mp4Index(moov_of(data), len(data))
    movie_frames = MovieFrames(DemuxStatistics())
    movie_frames.use(index.played)
    frames: list[Frame] = []
    for sample in index.samples(movie_frames.is_selected, movie_frames.decode_time_90k):
        frames += movie_frames.sample(sample, data[sample.offset : sample.offset + sample.size])
    return frames + movie_frames.end(), movie_frames


class TestFilesOfFfmpeg:
    @pytest.mark.parametrize("name", FILES)
    def test_the_access_units_are_those_that_libav_reads(self, name: str) -> None:
        suffix, arguments = FILES[name]
        data = make(suffix, *arguments)

        frames, movie_frames = read(data)

        units, expected = units_of(frames), read_by_libav(data, suffix)
        first_90k = units[0].dts_90k
        assert of_kind(units, "video") == of_kind(expected, "video")
        assert [(unit.pts_90k, unit.payload) for unit in of_kind(units, "audio")] == [
            (unit.pts_90k, unit.payload) for unit in of_kind(expected, "audio") if unit.dts_90k >= first_90k
        ]
        assert len(of_kind(units, "audio")) > 50
        times = [frame.dts_90k for frame in frames]
        assert times == sorted(times)
        assert not movie_frames.statistics.malformed

    def test_an_empty_edit_delays_its_track(self, tmp_path: Path) -> None:
        path = tmp_path / "delayed.mp4"
        run_ffmpeg(
            *("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=25:duration=2", "-itsoffset", "0.5"),
            *("-f", "lavfi", "-i", "sine=duration=1", "-map", "0:v", "-map", "1:a", *X264, *AAC, str(path)),
        )
        data = path.read_bytes()
        frames, _ = read(data)
        sound = of_kind(units_of(frames), "audio")
        assert 42_000 < sound[0].pts_90k < 45_000  # half a second less the priming, in whole milliseconds
        expected = of_kind(read_by_libav(data, ".mp4"), "audio")
        assert [unit.payload for unit in sound] == [unit.payload for unit in expected]
        # libav counts the delay in samples, and is off by a tick
        assert all(abs(mine.pts_90k - its.pts_90k) <= 1 for mine, its in zip(sound, expected, strict=True))

    def test_negative_composition_offsets_move_decoding_not_presentation(self) -> None:
        data = make(".mp4", *B_FRAMES, *AAC, "-movflags", "+negative_cts_offsets")
        frames, _ = read(data)
        units = of_kind(units_of(frames), "video")
        assert min(unit.pts_90k for unit in units) == 0
        assert all(unit.pts_90k >= unit.dts_90k for unit in units)


class TestTracks:
    def test_a_track_without_samples_is_not_played(self) -> None:
        index = Mp4Index(moov_of(init_segment(VIDEO)), 1000)
        assert index.movie.tracks
        assert index.played.tracks == ()
        with pytest.raises(SourceRejected, match="neither video nor audio"):
            MovieFrames(DemuxStatistics()).use(index.played)


def moov_with(*table: bytes) -> bytes:
    """A moov of one video track whose sample table is this, and its description."""
    data = moov_of(init_segment(VIDEO))
    path: list[Box] = []
    at, end = 0, len(data)
    for kind in (b"trak", b"mdia", b"minf", b"stbl"):
        path.append(next(each for each in children(data, at, end, "moov") if each.kind == kind))
        at, end = path[-1].start, path[-1].end
    stsd = next(each for each in children(data, at, end, "stbl") if each.kind == b"stsd")
    content = data[stsd.start - 8 : stsd.end] + b"".join(table)
    for parent in reversed(path):
        content = box(parent.kind, data[parent.start : path_child_start(path, parent)] + content)
    mvhd = next(each for each in children(data, 0, len(data), "moov") if each.kind == b"mvhd")
    return data[mvhd.start - 8 : mvhd.end] + content


def path_child_start(path: list[Box], parent: Box) -> int:
    """Where the next box of the path begins inside ``parent``; what is in front of it is kept."""
    at = path.index(parent)
    return path[at + 1].start - 8 if at + 1 < len(path) else parent.start


def rows(kind: bytes, *values: int, columns: int, signed: bool = False) -> bytes:
    code = "i" if signed else "I"
    return full_box(
        kind, 1 if signed else 0, 0, struct.pack(f">I{len(values)}{code}", len(values) // columns, *values)
    )


STTS = rows(b"stts", 2, 3600, 0, 9, 2, 1800, columns=2)
STSC = rows(b"stsc", 1, 3, 1, 2, 1, 1, columns=3)
STCO = rows(b"stco", 100, 900, columns=1)
STSZ = full_box(b"stsz", 0, 0, struct.pack(">II4I", 0, 4, 10, 20, 30, 40))


def samples(*table: bytes, file_bytes: int = 10_000) -> list[StoredSample]:
    index = Mp4Index(moov_with(*table), file_bytes)
    return list(index.samples(lambda _: True, lambda sample: sample.time))


class TestTables:
    def test_runs_and_chunks_place_every_sample(self) -> None:
        ctts = rows(b"ctts", 1, 500, 3, -500, columns=2, signed=True)
        stss = rows(b"stss", 1, 3, columns=1)
        assert samples(STTS, STSC, STCO, STSZ, ctts, stss) == [
            StoredSample(100, 10, 1, 1, -500, 1000, True),
            StoredSample(110, 20, 1, 1, 3100, 0, False),
            StoredSample(130, 30, 1, 1, 6700, 0, True),
            StoredSample(900, 40, 1, 1, 8500, 0, False),
        ]

    @pytest.mark.parametrize(("bits", "packed"), [(4, b"\x12\x30"), (8, b"\1\2\3"), (16, b"\0\1\0\2\0\3")])
    def test_compact_sizes(self, bits: int, packed: bytes) -> None:
        stz2 = full_box(b"stz2", 0, 0, bytes(3), bytes([bits]), struct.pack(">I", 3), packed)
        assert [sample.size for sample in samples(STTS, STSC, STCO, stz2)] == [1, 2, 3]

    def test_a_constant_size(self) -> None:
        stsz = full_box(b"stsz", 0, 0, struct.pack(">II", 7, 4))
        assert [sample.offset for sample in samples(STTS, STSC, STCO, stsz)] == [100, 107, 114, 900]

    def test_offsets_of_64_bits(self) -> None:
        co64 = full_box(b"co64", 0, 0, struct.pack(">IQQ", 2, 1 << 40, 1 << 41))
        offsets = [sample.offset for sample in samples(STTS, STSC, co64, STSZ)]
        assert offsets == [1 << 40, (1 << 40) + 10, (1 << 40) + 30, 1 << 41]

    def test_tables_that_end_early_go_on_as_they_ended(self) -> None:
        stts = rows(b"stts", 1, 1000, columns=2)
        ctts = rows(b"ctts", 1, 50, columns=2)
        found = samples(stts, STSC, STCO, STSZ, ctts)
        assert [(sample.time, sample.composition_offset) for sample in found] == [
            (0, 50),
            (1000, 0),
            (2000, 0),
            (3000, 0),
        ]

    def test_chunks_that_are_missing_end_the_track(self) -> None:
        assert len(samples(STTS, STSC, rows(b"stco", 100, columns=1), STSZ)) == 3


REFUSED = {
    "a count beyond its box": (
        full_box(b"stsz", 0, 0, struct.pack(">II", 0, 0xFFFFFFFF)),
        "'stsz' is too short",
    ),
    "more samples than bytes": (
        full_box(b"stsz", 0, 0, struct.pack(">II", 1, 0xFFFFFFFF)),
        "4294967295 samples",
    ),
    "no sizes": (b"", "has no sizes"),
    "odd sizes": (full_box(b"stz2", 0, 0, b"\0\0\0\5", bytes(4)), "sizes of 5 bits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_sizes_that_lie_are_refused(name: str) -> None:
    table, words = REFUSED[name]
    with pytest.raises(RemoteProtocolError, match=words):
        samples(STTS, STSC, STCO, table)


@pytest.mark.parametrize("kind", [b"stts", b"stsc", b"stco", b"ctts", b"stss", b"co64"])
def test_a_table_that_is_longer_than_its_box_is_refused(kind: bytes) -> None:
    others = [each for each in (STTS, STSC, STCO) if each[4:8] != kind]
    with pytest.raises(RemoteProtocolError, match="too short"):
        samples(*others, STSZ, full_box(kind, 0, 0, b"\xff\xff\xff\xff", bytes(40)))


def test_chunks_without_samples_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="a chunk without samples"):
        samples(STTS, rows(b"stsc", 1, 0, 1, columns=3), STCO, STSZ)


def test_samples_without_a_place_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="does not say where"):
        samples(STTS, STCO, STSZ)


def test_every_truncation_of_a_moov_is_refused_or_read() -> None:
    moov = moov_of(make(".mp4", *B_FRAMES, *AAC, seconds="0.2"))
    for size in range(len(moov)):
        try:
            index = Mp4Index(moov[:size], 1 << 20)
        except (RemoteProtocolError, SourceRejected):
            continue
        assert index.sample_count < 100


def test_hours_take_few_bytes_per_sample() -> None:
    count = 1_000_000
    stsz = full_box(b"stsz", 0, 0, struct.pack(">II", 0, count), array("I", [0x01000000]) * count)
    index = Mp4Index(moov_with(STTS, rows(b"stsc", 1, count, 1, columns=3), STCO, stsz), 1 << 30)
    assert index.sample_count == count
    walked = index.samples(lambda _: True, lambda sample: sample.time)
    assert next(walked).size == 1
