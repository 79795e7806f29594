"""Five minutes of playlists, in virtual time: what a strict player sees of a long day, a part at a time."""

from collections.abc import Iterator
from fractions import Fraction

from tests.support.hls_checker import HlsChecker
from tests.support.made_streams import MadeStream
from tests.support.media import OTHER_VIDEO
from tests.support.watching import FIRST_MSN, Watched

MINUTES_5_S = 300
NTSC = Fraction(30_000, 1001)


def day(start: MadeStream) -> Iterator[MadeStream]:
    """One encoder after the other: restarted, away for a while, replaced by a different one, and back."""
    yield (first := start)
    yield (again := first.after(seconds=37.3))
    yield (away := again.after(start_90k=again.end_90k + 20 * 90_000, seconds=50))
    yield (other := away.after(video=OTHER_VIDEO, fps=Fraction(25), gop=50, seconds=61))
    yield (quiet := other.after(audio_silent=(12, 19), seconds=45))
    yield quiet.after(video=start.video, fps=start.fps, gop=start.gop, seconds=46.7)


def test_five_minutes_of_one_encoder_keep_every_rule() -> None:
    watched = Watched().run(MadeStream(seconds=MINUTES_5_S, fps=NTSC, gop=60, reorder=2, stamps_ms=True))
    watched.checker.finish()
    assert watched.checker.problems == []
    assert watched.checker.playlists_checked > 2 * MINUTES_5_S
    assert watched.video[-1].msn >= FIRST_MSN + 148
    assert watched.text("video.m3u8").count("#EXT-X-DISCONTINUITY\n") == 0


def test_five_minutes_of_changing_encoders_keep_every_rule() -> None:
    checker = HlsChecker(continuous=False, tracks_may_stall=True)
    watched = Watched(checker)
    lasted_s = 0.0
    for stream in day(MadeStream(seconds=60, fps=NTSC, gop=60, stamps_ms=True)):
        watched.run(stream).flush()
        lasted_s += stream.seconds
    checker.finish()
    assert lasted_s == MINUTES_5_S
    assert checker.problems == []
    changes = [segment.msn for segment in watched.video if segment.opening.discontinuity]
    assert len(changes) == 2
    assert changes == [segment.msn for segment in watched.audio if segment.opening.discontinuity]
    assert [segment.msn for segment in watched.video] == [segment.msn for segment in watched.audio]
