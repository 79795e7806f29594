"""What two readers of the same media must agree on."""

from collections.abc import Sequence
from fractions import Fraction

from tests.corpus.truth import Unit, Units

TOLERANCE_90K = 1


def assert_same_media(ours: Units, theirs: Units, *, moved_90k: Fraction = Fraction(0)) -> None:
    """Every access unit, its times and key flags; sound of before the first picture may be missing.

    ``moved_90k`` is how much later all of ``ours`` is.
    """
    assert_same_units(ours.video, theirs.video, moved_90k)
    heard = theirs.audio
    if ours.video:
        start_90k = (ours.video[0].dts_90k or 0) - moved_90k
        left_out = len(heard) - len(ours.audio)
        assert all(unit.pts_90k < start_90k + TOLERANCE_90K for unit in heard[: max(left_out, 0)])
        assert sum(unit.pts_90k >= start_90k + TOLERANCE_90K for unit in heard) <= len(ours.audio)
        heard = heard[max(left_out, 0) :]
    assert_same_units(ours.audio, heard, moved_90k, keys=not ours.video)


def assert_same_units(
    ours: Sequence[Unit], theirs: Sequence[Unit], moved_90k: Fraction = Fraction(0), *, keys: bool = True
) -> None:
    """The units of one track, one by one. Sound beside a picture has no key flags."""
    assert len(ours) == len(theirs)
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our.content == their.content, f"the payload of unit {number} differs"
        assert our.key is (their.key if keys else False), f"the key flag of unit {number} differs"
        for name, mine, other in (
            ("PTS", our.pts_90k, their.pts_90k),
            ("DTS", our.dts_90k, their.dts_90k),
        ):
            assert mine is not None
            if other is None:
                continue
            off = mine - moved_90k - other
            assert abs(off) <= TOLERANCE_90K, f"the {name} of unit {number} is off by {float(off)} ticks"
