"""The bounds of damage."""

import pytest

from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.wire.flv.damage import DamageLimits, DamageRun

REASON = MediaError("cut off")


def test_bounds_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="least_units is 5, most_units 4"):
        DamageLimits(least_units=5, most_units=4)


def test_a_publisher_that_begins_its_times_anew_is_given_the_whole_wait_again() -> None:
    run = DamageRun(DamageLimits(wait_ms=1000, least_units=2))
    for now_ms in (90_000, 10, 900, 1009):
        run.add("media", now_ms, REASON)
    with pytest.raises(SourceRejected, match="damaged: 5 of them"):
        run.add("media", 1010, REASON)


def test_a_run_goes_on_until_something_is_usable_or_long_nothing_came() -> None:
    run = DamageRun(DamageLimits(wait_ms=1000))
    assert not run.goes_on(0)
    run.add("media", 0, REASON)
    assert run.goes_on(999)
    assert not run.goes_on(1000)
    run.reset()
    assert not run.goes_on(0)
