"""What an Authorization header says."""

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.access.credentials import MAX_AUTHORIZATION_BYTES, Credentials, parse_authorization
from openstreamer.media.errors import AccessError


def basic(text: str, scheme: bytes = b"Basic") -> bytes:
    return scheme + b" " + base64.b64encode(text.encode())


def test_no_header_means_no_credentials() -> None:
    assert parse_authorization(None) is None


def test_basic_splits_at_the_first_colon_and_reads_utf_8() -> None:
    assert parse_authorization(basic("ops:pä:ss")) == Credentials("ops", "pä:ss")


def test_the_scheme_is_case_insensitive() -> None:
    assert parse_authorization(basic("a:b", b"bAsIc")) == Credentials("a", "b")


def test_a_bearer_token_is_name_dot_password() -> None:
    assert parse_authorization(b"Bearer ops.to.ken") == Credentials("ops", "to.ken")


def test_a_password_never_shows_in_a_repr() -> None:
    assert "hunter2" not in repr(parse_authorization(basic("a:hunter2")))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic !!!!",
        basic("no-colon"),
        b"Basic " + base64.b64encode(b"\xff\xfe:x"),
        b"Bearer nodot",
        b"Bearer \xff.x",
        b"Digest username=a",
        b"Basic " + b"A" * MAX_AUTHORIZATION_BYTES,
    ],
)
def test_what_cannot_be_understood_is_refused(header: bytes) -> None:
    with pytest.raises(AccessError) as caught:
        parse_authorization(header)
    assert caught.value.code == "UNAUTHORIZED"


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda body: b"Basic " + base64.b64encode(body)))
def test_any_bytes_give_credentials_or_a_typed_refusal(header: bytes) -> None:
    with contextlib.suppress(AccessError):
        assert isinstance(parse_authorization(header), Credentials)
