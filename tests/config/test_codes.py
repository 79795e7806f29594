"""Names an operator may give."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.config.codes import (
    RESERVED_NAMES,
    normalise_prefix,
    prefix_matches,
    prefixes_overlap,
    validate_stream_code,
    validate_template_code,
)
from openstreamer.media.errors import ConfigError

_SEGMENT = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
_PATH = st.lists(_SEGMENT, min_size=1, max_size=5).map("/".join)


@pytest.mark.parametrize("code", ["news", "region/north/news", "live/foo", "A_b-9", "mpegts", "x" * 128])
def test_a_code_of_segments_is_accepted(code: str) -> None:
    assert validate_stream_code(code) == code


@pytest.mark.parametrize(
    "code",
    ["", "/news", "news/", "a//b", "a b", "ä", "a.b", "..", "a/../b", "a\n", "a\0", "x" * 129, "%2e"],
)
def test_a_code_outside_the_alphabet_is_refused(code: str) -> None:
    with pytest.raises(ConfigError) as refused:
        validate_stream_code(code)
    assert refused.value.code == "INVALID_CODE"


@pytest.mark.parametrize("name", [name for name in RESERVED_NAMES if "." not in name])
def test_a_code_may_not_begin_with_an_admin_name(name: str) -> None:
    for code in (name, f"{name}/news"):
        with pytest.raises(ConfigError, match="may not begin with"):
            validate_stream_code(code)
    assert validate_stream_code(f"news/x{name}") == f"news/x{name}"


@pytest.mark.parametrize(
    "code", ["news/mpegts", "news/track_1", "a/track_12/b", "news/restart", "news/switch", "a/sessions"]
)
def test_a_code_may_not_look_like_the_media_or_action_url_of_another(code: str) -> None:
    with pytest.raises(ConfigError, match="media and admin URLs"):
        validate_stream_code(code)


def test_a_template_code_has_no_slash() -> None:
    assert validate_template_code("sports-hd") == "sports-hd"
    with pytest.raises(ConfigError):
        validate_template_code("sports/hd")


@pytest.mark.parametrize(("given_prefix", "stored"), [("live", "live"), ("live/", "live"), (" a/b/ ", "a/b")])
def test_a_prefix_loses_its_trailing_slash(given_prefix: str, stored: str) -> None:
    assert normalise_prefix(given_prefix) == stored


@pytest.mark.parametrize("prefix", ["", "/", "/live", "a//b", "live//", "streams", "a b"])
def test_a_prefix_that_cannot_be_is_refused_with_the_contract_code(prefix: str) -> None:
    with pytest.raises(ConfigError) as refused:
        normalise_prefix(prefix)
    assert refused.value.code == "INVALID_PREFIX"


def test_a_prefix_matches_whole_segments_only() -> None:
    assert prefix_matches("live", "live/foo")
    assert prefix_matches("live", "live")
    assert not prefix_matches("live", "livestream/foo")


@given(_PATH, _PATH, _PATH)
def test_two_prefixes_that_match_one_path_overlap(one: str, other: str, path: str) -> None:
    if prefix_matches(one, path) and prefix_matches(other, path):
        assert prefixes_overlap(one, other)
    assert prefixes_overlap(one, other) == prefixes_overlap(other, one)


@given(st.text(max_size=140))
def test_any_text_is_a_code_of_the_alphabet_or_a_typed_refusal(text: str) -> None:
    try:
        validate_stream_code(text)
    except ConfigError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", text)
