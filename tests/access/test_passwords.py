"""Hashes that this server makes and hashes that it accepts."""

import bcrypt
import pytest

from openstreamer.access import passwords
from openstreamer.access.passwords import MAX_PASSWORD_BYTES, hash_password, verify_password

QUICK_BCRYPT = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def test_a_new_hash_is_argon2id_and_matches_its_password_only() -> None:
    made = hash_password("secret")
    assert made.startswith("$argon2id$")
    assert verify_password("secret", made)
    assert not verify_password("Secret", made)


def test_bcrypt_hashes_of_the_go_server_match() -> None:
    assert verify_password("secret", QUICK_BCRYPT)
    assert verify_password("secret", QUICK_BCRYPT.replace("$2b$", "$2a$"))
    assert not verify_password("other", QUICK_BCRYPT)


@pytest.mark.parametrize(
    "broken", ["", "secret", "$argon2id$nonsense", "$2b$", "$2b$xx$abc", "$2b$31$" + "a" * 53, "$1$salt$hash"]
)
def test_a_hash_of_an_unknown_or_broken_kind_matches_nothing(broken: str) -> None:
    assert not verify_password("secret", broken)


@pytest.mark.parametrize(
    ("bound", "limit"),
    [("MAX_ARGON2_MEMORY_KIB", 65_535), ("MAX_ARGON2_TIME_COST", 2), ("MAX_BCRYPT_COST", 3)],
)
def test_a_hash_that_costs_more_than_the_bound_is_not_computed(
    monkeypatch: pytest.MonkeyPatch, bound: str, limit: int
) -> None:
    hashed = QUICK_BCRYPT if "BCRYPT" in bound else hash_password("secret")
    assert verify_password("secret", hashed)
    monkeypatch.setattr(passwords, bound, limit)
    assert not verify_password("secret", hashed)


def test_a_password_of_a_megabyte_is_refused_before_any_work() -> None:
    long = "x" * (MAX_PASSWORD_BYTES + 1)
    assert not verify_password(long, hash_password(long))


def test_a_password_beyond_bcrypts_72_bytes_is_no_error() -> None:
    assert not verify_password("x" * 100, QUICK_BCRYPT)
