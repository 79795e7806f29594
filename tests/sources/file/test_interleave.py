"""Long runs of one track are merged into decoding order, within bounds."""

from openstreamer.media.frame import FRAME_BYTES, Frame
from openstreamer.sources.file.interleave import Interleaver
from tests.support.media import audio, video


def times(frames: list[Frame]) -> list[tuple[str, int]]:
    return [("v" if frame.track.is_video else "a", frame.dts_90k) for frame in frames]


def test_fragments_of_one_track_after_the_other_are_merged() -> None:
    pictures = [video(number * 3600, key=True) for number in range(3)]
    sounds = [audio(number * 2000) for number in range(5)]
    interleaver = Interleaver()
    assert interleaver.put(pictures, 2) == []
    out = interleaver.put(sounds, 2)
    assert times(out) == [("v", 0), ("a", 0), ("a", 2000), ("v", 3600), ("a", 4000), ("a", 6000), ("v", 7200)]
    assert times(interleaver.end()) == [("a", 8000)]
    assert interleaver.held_bytes == 0


def test_one_track_waits_for_nobody() -> None:
    assert len(Interleaver().put([audio(0), audio(2000)], 1)) == 2


def test_a_track_that_stays_behind_holds_up_so_long_only() -> None:
    interleaver = Interleaver(max_span_90k=10_000)
    out = interleaver.put([video(number * 3600, key=True) for number in range(6)], 2)
    assert times(out) == [("v", 0), ("v", 3600), ("v", 7200)]


def test_what_waits_is_bounded_in_bytes() -> None:
    interleaver = Interleaver(max_held_bytes=10 * FRAME_BYTES)
    waiting = 0
    for number in range(100):
        waiting += 1 - len(interleaver.put([video(number, key=True, size=20)], 2))
        assert interleaver.held_bytes == waiting * (FRAME_BYTES + 20) <= 10 * FRAME_BYTES


def test_after_the_end_another_pass_begins() -> None:
    interleaver = Interleaver()
    interleaver.put([video(90_000, key=True), audio(90_000)], 2)
    interleaver.end()
    assert interleaver.put([video(0, key=True)], 2) == []
    assert times(interleaver.put([audio(0)], 2)) == [("v", 0)]
