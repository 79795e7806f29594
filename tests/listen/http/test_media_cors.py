"""Which pages of other origins may read media."""

from typing import Any

import pytest

from openstreamer.config.global_config import Cors
from openstreamer.listen.http.media_cors import MediaCors

PAGE = b"https://player.example"


def answer(origin: bytes | None = PAGE, *, preflight: bool = False, **settings: Any) -> dict[str, str]:
    rules = MediaCors(Cors.model_validate(settings))
    scope: dict[str, Any] = {"headers": [(b"host", b"x")] + ([(b"origin", origin)] if origin else [])}
    headers = rules.preflight(scope) if preflight else rules.headers(scope)
    return {name.decode(): value.decode() for name, value in headers}


def test_every_page_may_play_until_the_operator_says_otherwise() -> None:
    for origin in (PAGE, None):
        assert answer(origin)["access-control-allow-origin"] == "*"
        assert "vary" not in answer(origin)  # one answer for all keeps caches useful
    assert answer(enabled=False, allowed_origins=["https://a.example"])["access-control-allow-origin"] == "*"


def test_once_enabled_only_listed_origins_are_named() -> None:
    listed = {"enabled": True, "allowed_origins": ["https://player.example"]}
    assert answer(**listed)["access-control-allow-origin"] == "https://player.example"
    for other in (b"https://evil.example", b"null", b"https://player.example.evil.example", None):
        assert answer(other, **listed) == {"vary": "origin"}
    assert answer(**listed)["vary"] == "origin"


def test_enabled_without_origins_allows_none() -> None:
    assert "access-control-allow-origin" not in answer(enabled=True)


@pytest.mark.parametrize("origins", [["*"], ["*", "https://player.example"]])
def test_a_wildcard_never_comes_with_credentials(origins: list[str]) -> None:
    headers = answer(enabled=True, allowed_origins=origins, allow_credentials=True)
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers


def test_credentials_are_for_listed_origins() -> None:
    settings = {"enabled": True, "allowed_origins": ["https://player.example"], "allow_credentials": True}
    assert answer(**settings)["access-control-allow-credentials"] == "true"
    assert "access-control-allow-credentials" not in answer(b"https://evil.example", **settings)


def test_a_preflight_follows_the_settings() -> None:
    assert answer(preflight=True)["access-control-max-age"] == "86400"
    headers = answer(
        preflight=True,
        enabled=True,
        allowed_origins=["*"],
        allowed_headers=["range"],
        max_age=5,
        exposed_headers=["x-extra"],
    )
    assert headers["access-control-allow-headers"] == "range"
    assert headers["access-control-max-age"] == "5"
    assert "content-range" in headers["access-control-expose-headers"]
    assert "x-extra" in headers["access-control-expose-headers"]
    assert headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
