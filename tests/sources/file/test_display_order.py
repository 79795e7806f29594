"""Containers without presentation times: pictures get the times that the same bitstream has elsewhere."""

import itertools
import subprocess
from pathlib import Path

import pytest

from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.track import Track
from openstreamer.sources.file.display_order import DEPTH_MAX, DisplayOrder
from tests.corpus.reading import read

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=160x96:rate={rate}:duration=4")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-g", "40", "-b_strategy", "0")
X265 = ("-c:v", "libx265", "-preset", "superfast", "-x265-params", "log-level=none:pools=1:keyint=30")
ENCODINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "h264-pyramid": ("25", (*X264, "-bf", "7", "-refs", "5", "-x264-params", "b-pyramid=normal:open-gop=1")),
    "h264-ntsc": ("30000/1001", (*X264, "-bf", "3")),
    "h264-without-b-frames": ("25", (*X264, "-bf", "0")),
    "h264-fields-in-frames": ("25", (*X264, "-bf", "2", "-x264-params", "interlaced=1")),
    "h265": ("25", (*X265, "-bf", "4")),
    "h265-open-gop": ("50", (*X265, "-bf", "3", "-tag:v", "hvc1")),
}


def made(directory: Path, *arguments: str) -> Path:
    path = directory / arguments[-1]
    command = ("ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments[:-1], str(path))
    subprocess.run(command, check=True, timeout=60)
    return path


def times(frames: list[Frame]) -> list[tuple[int, int, bool]]:
    """Of pictures, from the first that is shown on."""
    first_90k = min(frame.pts_90k for frame in frames)
    return [(frame.pts_90k - first_90k, frame.dts_90k - first_90k, frame.key) for frame in frames]


@pytest.mark.parametrize("name", ENCODINGS)
def test_times_are_those_of_the_same_pictures_in_mp4(tmp_path: Path, name: str) -> None:
    rate, arguments = ENCODINGS[name]
    given = made(tmp_path, *(each.format(rate=rate) for each in PICTURE), *arguments, "a.mp4")
    expected = read(given)
    assert expected.refusal is None
    raw = "a.h264" if name.startswith("h264") else "a.hevc"
    for bare in (("a.avi",), (raw,)) if raw == "a.h264" else ((raw,),):
        path = made(tmp_path, "-i", str(given), "-c", "copy", *bare)
        found = read(path)
        assert found.refusal is None
        ours, theirs = times(found.frames), times(expected.frames)
        assert [pts for pts, _, _ in ours] == pytest.approx([pts for pts, _, _ in theirs], abs=1)
        assert [key for _, _, key in ours] == [key for _, _, key in theirs]
        decoded = [dts for _, dts, _ in ours]
        assert decoded == sorted(decoded)
        assert all(pts >= dts for pts, dts, _ in ours)
        assert min(pts - dts for pts, dts, _ in ours) == min(pts - dts for pts, dts, _ in theirs)


def pictures(tmp_path: Path, *arguments: str) -> list[Frame]:
    source = (each.format(rate="25") for each in PICTURE)
    return read(made(tmp_path, *source, *X264, *arguments, "a.mp4")).frames


def reordered(frames: list[Frame], order: DisplayOrder) -> list[Frame]:
    out: list[Frame] = []
    for number, frame in enumerate(frames):
        frame = Frame(frame.track, number * 3600, number * 3600, frame.key, frame.payload)
        out += order.add(frame)
    return out + order.end()


def without_declared_order(track: Track) -> Track:
    """The same parameter sets as if the stream did not say how far pictures are reordered."""
    config = H264Config(track.video.sps, track.video.pps)  # type: ignore[union-attr]
    object.__setattr__(config.info, "reorder_frames", None)
    return Track(track.id, config)


class TestDisplayOrder:
    def test_reordering_that_is_not_declared_is_measured(self, tmp_path: Path) -> None:
        frames = pictures(tmp_path, "-bf", "3")
        expected = times(frames)
        track = without_declared_order(frames[0].track)
        for frame in frames:
            frame.track = track
        assert times(reordered(frames, DisplayOrder(counted=False))) == expected

    def test_what_is_held_is_bounded(self, tmp_path: Path) -> None:
        order = DisplayOrder(counted=True)
        held = 0
        for frame in pictures(tmp_path, "-bf", "16", "-refs", "1"):
            held += 1 - len(order.add(frame))
            assert held <= 2 * DEPTH_MAX

    def test_a_damaged_picture_is_told_and_the_next_ones_are_timed(self, tmp_path: Path) -> None:
        frames = pictures(tmp_path, "-bf", "2")
        order = DisplayOrder(counted=True)
        out = order.add(frames[0])
        with pytest.raises(MediaError):
            order.add(Frame(frames[0].track, 0, 0, False, b"\x00\x00\x00\x02\x09\xf0"))
        for frame in frames[1:]:
            out += order.add(frame)
        shown = sorted(frame.pts_90k for frame in out + order.end())
        assert {b - a for a, b in itertools.pairwise(shown)} == {3600}

    def test_an_order_that_is_not_read_is_refused_in_words(self, tmp_path: Path) -> None:
        frame = pictures(tmp_path, "-bf", "2")[0]
        object.__setattr__(frame.track.video.info, "order_bits", 0)  # type: ignore[union-attr]
        with pytest.raises(SourceRejected, match="B-frames cannot be put in order"):
            DisplayOrder(counted=True).add(frame)
