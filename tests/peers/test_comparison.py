"""What the comparison of a recording with its original must notice."""

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.corpus.truth import Unit, Units
from tests.peers.comparison import compare

PICTURES = tuple(Unit(Fraction(n * 3600), None, n % 25 == 0, (b"picture %d" % n,)) for n in range(100))
SOUND = tuple(Unit(Fraction(n * 1920), None, False, (b"sound %d" % n,)) for n in range(187))
ORIGINAL = Units(PICTURES, SOUND)


def later(units: Sequence[Unit], by_90k: int) -> tuple[Unit, ...]:
    return tuple(replace(unit, pts_90k=unit.pts_90k + by_90k) for unit in units)


def served(video: Sequence[Unit] = PICTURES, audio: Sequence[Unit] = SOUND) -> Units:
    return Units(later(video, 777_777), later(audio, 777_777))


def test_what_is_as_it_was_at_another_time_is_as_it_must_be() -> None:
    comparison = compare(ORIGINAL, served())
    assert comparison.problems == []
    assert (comparison.skew_ms, comparison.tracks["video"].equal, comparison.tracks["audio"].equal) == (
        0,
        100,
        187,
    )


def test_it_may_begin_late_and_what_comes_after_its_end_is_not_looked_at() -> None:
    again = later(PICTURES[:30], 100 * 3600)
    comparison = compare(ORIGINAL, served((*PICTURES[50:], *again), SOUND[94:]))
    assert comparison.problems == []
    assert (comparison.tracks["video"].sent, comparison.tracks["video"].begins_s) == (50, 2.0)


def test_an_end_that_is_shown_again_counts_once() -> None:
    repeated = (*PICTURES[:98], *later(PICTURES[90:98], 30 * 3600))
    comparison = compare(ORIGINAL, served(repeated, SOUND), tail_s=0.1)
    assert (comparison.tracks["video"].served, comparison.tracks["video"].duration_ms) == (98, 0.0)


DAMAGED = (*PICTURES[:40], replace(PICTURES[40], content=(b"other",)), *PICTURES[41:])
SWAPPED = (*PICTURES[:40], PICTURES[41], PICTURES[40], *PICTURES[42:])


@pytest.mark.parametrize(
    ("video", "audio", "words"),
    [
        (PICTURES[:98], SOUND, "video: 98 units of 100"),
        ((*PICTURES[:40], *PICTURES[41:]), SOUND, "video: only 98 units of 99"),
        (DAMAGED, SOUND, "video: only 98 units of 100"),
        (SWAPPED, SOUND, "video: only 97 units of 100"),
        ((*PICTURES[:50], *later(PICTURES[50:], 4000)), SOUND, r"video: \+44.4 ms longer"),
        (PICTURES, later(SOUND, 3700), "sound and picture are 41.1 ms apart"),
        (PICTURES, (), "audio: nothing of the original"),
    ],
)
def test_what_is_lost_altered_moved_or_apart_is_said(
    video: Sequence[Unit], audio: Sequence[Unit], words: str
) -> None:
    assert re.search(words, " ".join(compare(ORIGINAL, served(video, audio)).problems))


def test_a_peer_that_keeps_its_last_packets_is_measured_over_the_others() -> None:
    short = served(PICTURES[:90], SOUND[:169])
    assert compare(ORIGINAL, short, tail_s=0.5).problems == []
    assert compare(ORIGINAL, short, tail_s=0.2).problems != []
