"""A preload hint names the part that comes next, however the frames arrive (rfc8216bis section 6.2.6)."""

import re
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openstreamer.media.frame import Frame
from openstreamer.media.track import TrackKind
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.playlist import Terms, low_latency_playlist
from openstreamer.packager.presentation import Presentation
from openstreamer.packager.segment import PackagerEvent, PartReady
from tests.support.made_streams import START_90K, MadeStream
from tests.support.watching import Watched

Hints = dict[TrackKind, tuple[int, int]]

_HINT = re.compile(r'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(\w+)_(\d+)\.(\d+)\.m4s')

streams = st.builds(
    MadeStream,
    seconds=st.floats(4, 12),
    fps=st.sampled_from((Fraction(25), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(5))),
    gop=st.integers(2, 90) | st.sampled_from((8, 10, 40, 48, 60)),  # the latter end with a full part
    scene_cuts=st.frozensets(st.integers(0, 300), max_size=8),
    stamps_ms=st.booleans(),
    audio_late_s=st.sampled_from((0, 0, 0.2, 1.5)),
    audio_silent=st.sampled_from(((0, 0), (3, 4), (2, 7))),
    video_silent=st.sampled_from(((0, 0), (3, 3.4), (3, 4.5))),
)
# Frames per arrival: one by one, a source that is late, a burst after it.
arrivals = st.lists(st.sampled_from((1, 1, 2, 3, 30, 150, 600)), min_size=1, max_size=40)


def hints(presentation: Presentation) -> Hints:
    """What the playlists hint at now: segment and part, of each track."""
    packager = presentation.packager
    found = {}
    for track in packager.playing:
        if packager.part_target_s is None:
            continue
        terms = Terms(packager.target_duration_s, packager.part_target_s, 3 * packager.part_target_s)
        hint = _HINT.search(low_latency_playlist(track.window, terms, (), delta=False))
        if hint is not None:
            found[TrackKind(hint[1])] = (int(hint[2]), int(hint[3]))
    return found


def first_parts(events: list[PackagerEvent]) -> Hints:
    """The first new part of each track."""
    found: Hints = {}
    for event in events:
        if isinstance(event, PartReady):
            found.setdefault(event.kind, (event.segment.msn, event.part.index))
    return found


def assert_came(presentation: Presentation, hinted: Hints, came: Hints) -> None:
    """What was hinted at came first, or its segment is a gap: the track fell silent, which nobody knew."""
    gaps = {
        (track.kind, segment.msn)
        for track in presentation.packager.playing
        for segment in track.window.closed
        if segment.gap
    }
    for kind in came.keys() & hinted.keys():
        assert came[kind] == hinted[kind] or (kind, hinted[kind][0]) in gaps


@settings(max_examples=60, deadline=None)
@example([MadeStream(gop=60)], [1], False)
@example([MadeStream(gop=60, audio_late_s=0.2)], [1, 150], True)
@given(st.lists(streams, min_size=1, max_size=2), arrivals, st.booleans())
def test_the_hinted_part_is_the_next_one(made: list[MadeStream], sizes: list[int], ends: bool) -> None:
    presentation = Presentation(PackagerOptions(), 100, clock_ns=lambda: 0)
    waiting: list[Frame] = []
    sequence = [made[0], *(made[0].after(fps=other.fps, gop=other.gop) for other in made[1:])]
    pushes = 0
    for stream in sequence:
        for frame in stream.frames():
            waiting.append(frame)
            if len(waiting) < sizes[pushes % len(sizes)]:
                continue
            pushes += 1
            hinted = hints(presentation)
            came = first_parts(presentation.push(waiting, stream.tracks, frame.pts_90k // 90))
            waiting = []
            assert_came(presentation, hinted, came)
        if ends:
            hinted = hints(presentation)
            came = first_parts(presentation.flush())
            assert_came(presentation, hinted, came)


@pytest.mark.parametrize("pause_s", [0.5, 5, 7, 9, 15])
def test_a_player_that_paused_finds_no_fault_with_the_hint_before(pause_s: float) -> None:
    """It saw the fourth part of a segment last. 7 s later that segment lists no parts any more."""
    stream = MadeStream(seconds=20 + pause_s, gop=60)
    watched = Watched(blind=True)
    begins_90k = START_90K + round(17.4 * 90_000)
    pause_90k = range(begins_90k, begins_90k + round(pause_s * 90_000))
    for frame in stream.frames():
        news = watched.presentation.push([frame], stream.tracks, frame.pts_90k // 90)
        if news and frame.dts_90k not in pause_90k and watched.presentation.packager.settled:
            for name in ("video.m3u8", "audio.m3u8"):
                watched.checker.feed(name, frame.dts_90k / 90_000, watched.text(name))

    assert not watched.checker.problems
    assert watched.checker.playlists_checked > 100
