"""Delivery directives: what is refused says what is wrong with it."""

import pytest

from openstreamer.packager.directives import Directives
from openstreamer.packager.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9" * 26, "_HLS_msn is too large: more than 15 digits"),
        ("1" + "0" * 5000, "_HLS_msn is too large: more than 15 digits"),
        ("", "_HLS_msn is not a decimal number"),
        ("-1", "_HLS_msn is not a decimal number"),
        ("٣", "_HLS_msn is not a decimal number"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        Directives.parse({"_HLS_msn": text})


@pytest.mark.parametrize(("text", "msn"), [("0", 0), ("9" * 15, 10**15 - 1), ("0" * 5000 + "7", 7)])
def test_a_number_is_taken_however_it_is_padded(text: str, msn: int) -> None:
    assert Directives.parse({"_HLS_msn": text}).msn == msn
