"""Options that change while a stream is packaged: other segments, the same presentation."""

from dataclasses import replace

import pytest

from openstreamer.media.track import Track
from openstreamer.packager.options import PackagerOptions
from tests.support.hls_checker import HlsChecker
from tests.support.hls_playlist import parse
from tests.support.made_streams import MadeStream
from tests.support.media import VIDEO
from tests.support.mp4_reader import samples
from tests.support.watching import Watched


def changed(checker: HlsChecker, video: Track | None, before_s: float, after_s: float) -> Watched:
    """A stream of 80 s whose segments get another length in the middle of one of them."""
    watched = Watched(checker, PackagerOptions(segment_target_s=before_s))
    first = MadeStream(seconds=40.3, video=video)
    watched.run(first)
    watched.presentation.adopt(PackagerOptions(segment_target_s=after_s))
    watched.run(replace(first, start_90k=first.end_90k, seconds=40.0, gop=30))
    checker.finish()
    return watched


@pytest.mark.parametrize("video", [VIDEO, None], ids=["video and sound", "sound alone"])
@pytest.mark.parametrize(("before_s", "after_s"), [(2, 6), (6, 2), (2, 0.5), (1.5, 4.5)])
def test_segments_get_another_length_without_a_break(
    video: Track | None, before_s: float, after_s: float
) -> None:
    checker = HlsChecker(target_may_grow=after_s > before_s)
    watched = changed(checker, video, before_s, after_s)
    assert checker.problems == []
    tracks = [watched.video, watched.audio] if video is not None else [watched.audio]
    for segments in tracks:
        assert [segment.msn for segment in segments] == [segments[0].msn + n for n in range(len(segments))]
        assert not any(segment.gap or segment.opening.discontinuity for segment in segments)
        assert len([sample for s in segments for sample in samples(b"".join(s.chunks))]) == sum(
            len(samples(part.data)) for segment in segments for part in segment.parts
        )
        longest_s = max(segment.duration_s for segment in segments[-4:])
        assert longest_s == pytest.approx(max(after_s, 1.0) if video else after_s, abs=0.55)


def test_the_target_duration_grows_at_the_change_and_only_then() -> None:
    packager = changed(HlsChecker(target_may_grow=True), VIDEO, 2, 6).presentation.packager
    assert packager.target_duration_s == 6
    packager.adopt(PackagerOptions(segment_target_s=7.5))
    assert packager.target_duration_s == 8  # key frames come every second
    packager.adopt(PackagerOptions(segment_target_s=1))
    assert packager.target_duration_s == 8


def test_a_longer_window_does_not_list_again_what_was_gone() -> None:
    checker = HlsChecker()
    watched = Watched(checker, PackagerOptions(window_segments=8))
    first = MadeStream(seconds=40)
    watched.run(first)
    oldest = parse(watched.text("video.m3u8")).media_sequence
    for segments in (8, 14, 6):
        watched.presentation.adopt(PackagerOptions(window_segments=segments))
        assert parse(watched.text("video.m3u8")).media_sequence >= oldest
    watched.presentation.adopt(PackagerOptions(window_segments=14))
    watched.run(replace(first, start_90k=first.end_90k))
    assert checker.problems == []
    assert len(parse(watched.text("video.m3u8")).segments) == 14


def test_a_shorter_window_lets_go_of_the_rest_at_once() -> None:
    watched = Watched(options=PackagerOptions(window_segments=12)).run(MadeStream(seconds=40))
    held_bytes = watched.presentation.memory_bytes
    watched.presentation.adopt(PackagerOptions(window_segments=6))
    assert watched.presentation.memory_bytes < held_bytes * 2 / 3
    assert len(parse(watched.text("video.m3u8")).segments) == 6
