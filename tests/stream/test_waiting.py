"""How long a pulled source is waited for, by what it sends and by what it asks for."""

import pytest

from openstreamer.sources.base import KEY_FRAME_DEADLINE_S
from openstreamer.stream.liveness import FIRST_FRAME_DEADLINE_S
from openstreamer.stream.waiting import SILENCE_CHECKS, Waiting
from tests.support.sources import ScriptedSource


class PatientSource(ScriptedSource):
    """One that asks for patience."""

    def __init__(self, patience_s: float) -> None:
        super().__init__([])
        self.patience_s = patience_s


def waited_s(source: ScriptedSource, bytes_per_look: int) -> float:
    """For a first frame that never comes."""
    waiting, now_s = Waiting(source, 100.0), 100.0
    while (until_s := waiting.longer_until_s(now_s)) is not None:
        now_s = until_s
        source.statistics.received_bytes += bytes_per_look
    return now_s - 100.0


def test_nothing_is_waited_for_five_seconds_and_media_without_a_key_frame_for_twelve() -> None:
    assert waited_s(ScriptedSource([]), 0) == pytest.approx(FIRST_FRAME_DEADLINE_S)
    assert waited_s(ScriptedSource([]), 188) == pytest.approx(KEY_FRAME_DEADLINE_S)


def test_who_asks_for_more_patience_has_it() -> None:
    assert waited_s(PatientSource(18.0), 0) == pytest.approx(18.0)


def test_what_is_said_of_one_that_was_waited_for_in_vain() -> None:
    silent, sending = ScriptedSource([]), ScriptedSource([])
    waiting = Waiting(silent, 0.0)
    assert waiting.in_vain == "no media within 5 s"
    waiting.came(0.0, 2.0)
    assert waiting.in_vain == "silent for 2 s"
    waiting = Waiting(sending, 0.0)
    sending.statistics.received_bytes = 188
    waiting.longer_until_s(11.0)
    assert waiting.in_vain == "no key frame within 12 s"


def test_silence_is_counted_from_the_last_time_that_frames_were_told() -> None:
    waiting = Waiting(ScriptedSource([]), 0.0)
    tell_at_s, until_s = waiting.came(10.0, 2.0)
    assert tell_at_s == 10.0 + 2.0 / SILENCE_CHECKS
    assert until_s == tell_at_s + 2.0
    assert waiting.longer_until_s(until_s) is None


def test_patience_that_a_source_asks_for_in_its_silence_is_granted_once_it_is_over() -> None:
    source = PatientSource(0.0)
    waiting = Waiting(source, 0.0)
    tell_at_s, until_s = waiting.came(10.0, 2.0)
    source.patience_s = 9.0
    assert waiting.longer_until_s(until_s) == tell_at_s + 9.0
    assert waiting.longer_until_s(tell_at_s + 9.0) is None
    assert waiting.in_vain == "silent for 9 s"
