"""Adobe's login, one refusal after the other."""

import base64
import hashlib

import pytest

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.rtmp.login import login_query, wants_login

FIRST = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
SECOND = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=a&salt=S=&challenge=C=="


def digest(text: str) -> str:
    return base64.b64encode(hashlib.md5(text.encode()).digest()).decode()


@pytest.mark.parametrize(
    ("description", "wanted"),
    [
        (FIRST, True),
        (SECOND, True),
        ("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed&opaque=x", False),
        ("[ AccessManager.Reject ] : [ authmod=llnw ] : ", False),
        ("no such application", False),
    ],
)
def test_which_refusals_ask_for_it(description: str, wanted: bool) -> None:
    assert wants_login(description) is wanted


def test_first_the_user_is_named() -> None:
    assert login_query(FIRST, "a&b", "secret", "01234567") == "?authmod=adobe&user=a%26b"


def test_then_the_challenge_is_answered() -> None:
    response = digest(digest("aS=secret") + "C==" + "01234567")
    query = login_query(SECOND, "a", "secret", "01234567")
    assert query == f"?authmod=adobe&user=a&challenge=01234567&response={response}"


def test_an_opaque_value_takes_the_place_of_the_challenge_and_goes_back() -> None:
    response = digest(digest("aS=secret") + "O" + "01234567")
    query = login_query(f"{SECOND}&opaque=O", "a", "secret", "01234567")
    assert query == f"?authmod=adobe&user=a&challenge=01234567&response={response}&opaque=O"


def test_a_question_without_salt_is_none() -> None:
    with pytest.raises(RemoteProtocolError, match="salt"):
        login_query("[ authmod=adobe ] : ?reason=needauth&user=a", "a", "secret", "01234567")
