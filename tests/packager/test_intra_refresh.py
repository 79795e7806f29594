"""An encoder that renews its picture bit by bit sends one key frame, its first."""

from collections.abc import Iterator
from fractions import Fraction

from openstreamer.media.frame import Frame
from tests.support.hls_checker import HlsChecker
from tests.support.made_streams import MadeStream, batches
from tests.support.watching import Watched

SEI = b"\x00\x00\x00\x06" + b"\x06\x06\x02\x04\xf1\x80"  # a recovery point, some frames before it is whole
FPS = 25


def refreshing(stream: MadeStream, every_frames: int) -> Iterator[Frame]:
    """The frames of ``stream``, of which every so many begin an intra refresh."""
    pictures = 0
    for frame in stream.frames():
        if frame.track.is_video:
            if pictures % every_frames == 0 and not frame.key:
                frame.payload = SEI + frame.payload
            pictures += 1
        yield frame


def watch(stream: MadeStream, every_frames: int, checker: HlsChecker | None = None) -> Watched:
    watched = Watched(checker, blind=checker is None)
    for batch in batches(list(refreshing(stream, every_frames))):
        newest = max(frame.pts_90k for frame in batch)
        watched.take(watched.presentation.push(batch, stream.tracks, newest // 90 + 300))
    return watched


def test_segments_begin_at_refreshes_and_are_not_called_independent() -> None:
    checker = HlsChecker()
    watched = watch(MadeStream(seconds=60, fps=Fraction(FPS), gop=100_000), 60, checker)
    checker.finish()

    assert {problem.rule for problem in checker.problems} == {"independent-segments"}
    assert [round(segment.duration_s, 1) for segment in watched.video] == [4.8, *[2.4] * 22]
    assert [segment.independent for segment in watched.video] == [True] + [False] * 22
    text = watched.text("video.m3u8")
    assert "INDEPENDENT" not in text
    assert "INDEPENDENT" in watched.text("audio.m3u8")
    assert watched.presentation.packager.refreshes


def test_refreshes_between_key_frames_are_no_cuts_where_the_key_frames_do() -> None:
    stream = MadeStream(seconds=30, fps=Fraction(FPS), gop=50)
    watched = watch(stream, 25)

    assert all(segment.independent and segment.duration_s <= 2 for segment in watched.video)
    assert not watched.presentation.packager.refreshes


def test_an_encoder_that_goes_back_to_key_frames_is_believed() -> None:
    first = MadeStream(seconds=20, fps=Fraction(FPS), gop=100_000)
    watched = watch(first, 50)
    assert watched.presentation.packager.refreshes
    watched.run(first.after(epoch=1, gop=50))

    assert not watched.presentation.packager.refreshes
    assert "#EXT-X-INDEPENDENT-SEGMENTS" not in watched.text("video.m3u8")
    watched.run(first.after(epoch=1, gop=50, seconds=30, start_90k=first.end_90k + 20 * 90_000))
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in watched.text("video.m3u8")
