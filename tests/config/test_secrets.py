"""Masked on read; the mask written back keeps the secret; no secret survives masking."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.config.secrets import MASK, mask, unmask
from openstreamer.media.errors import ConfigError

_SECRET = "s3cr3t"
_HASH = "$2b$12$" + "a" * 53

_STREAM: dict[str, Any] = {
    "code": "news",
    "stream_key": _SECRET,
    "inputs": [
        {
            "url": f"https://u:{_SECRET}@cdn/a.m3u8?token={_SECRET}",
            "priority": 0,
            "headers": {"Authorization": f"Bearer {_SECRET}", "X-Anything": _SECRET, "User-Agent": "tv"},
            "params": {"passphrase": _SECRET, "latency": "120"},
        },
        {"url": "publish://", "priority": 1},
    ],
    "push": [{"url": f"rtmp://youtube/live2/{_SECRET}", "enabled": True}],
}
_OTHERS: list[dict[str, Any]] = [
    {"code": "p", "require_token": True, "token_secret": _SECRET},
    {"id": "h", "target": f"https://u:{_SECRET}@hooks/x?key={_SECRET}", "secret": _SECRET},
    {"auth": {"api": {"users": [{"username": "a", "password_hash": _HASH, "role": "read"}]}}},
]


@pytest.mark.parametrize("document", [_STREAM, *_OTHERS])
def test_no_secret_survives_masking_and_all_come_back(document: dict[str, Any]) -> None:
    shown = mask(document)
    assert _SECRET not in json.dumps(shown)
    assert _HASH not in json.dumps(shown)
    assert MASK in json.dumps(shown)
    assert unmask(shown, document) == document


def test_what_is_no_secret_stays_readable() -> None:
    shown = mask(_STREAM)
    assert shown["inputs"][0]["url"] == f"https://u:{MASK}@cdn/a.m3u8?token={MASK}"
    assert shown["inputs"][0]["headers"]["User-Agent"] == "tv"
    assert shown["inputs"][1]["url"] == "publish://"
    assert mask({"stream_key": ""}) == {"stream_key": ""}


def test_every_value_of_the_params_is_masked_whatever_its_name() -> None:
    params = mask(_STREAM)["inputs"][0]["params"]
    assert params == {"passphrase": MASK, "latency": MASK}


def test_a_new_secret_replaces_the_stored_one() -> None:
    assert unmask({"stream_key": "new"}, _STREAM) == {"stream_key": "new"}
    assert unmask({"stream_key": None}, _STREAM) == {"stream_key": None}


def test_inputs_that_were_reordered_keep_their_own_secrets() -> None:
    stored = {
        "inputs": [
            {"url": "rtmp://u:one@a/x/y", "headers": {"Cookie": "one"}},
            {"url": "rtmp://u:two@b/x/y", "headers": {"Cookie": "two"}},
        ]
    }
    shown = mask(stored)
    shown["inputs"].reverse()
    assert unmask(shown, stored)["inputs"] == stored["inputs"][::-1]


def test_two_inputs_that_look_alike_keep_their_places() -> None:
    stored = {"inputs": [{"url": "rtmp://u:one@a/x/y"}, {"url": "rtmp://u:two@a/x/y"}]}
    assert unmask(mask(stored), stored) == stored


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"stream_key": MASK}, "stream_key"),
        ({"inputs": [{"url": f"rtmp://u:{MASK}@h/a/b"}]}, "inputs[0].url"),
        ({"inputs": [{"url": "rtmp://new/a/b", "headers": {"Cookie": MASK}}]}, "inputs[0].headers.Cookie"),
        ({"push": [{"url": f"rtmp://h/live/{MASK}"}]}, "push[0].url"),
    ],
)
def test_a_mask_without_a_stored_secret_is_refused_with_its_field(patch: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        unmask(patch, None)
    assert refused.value.field == field
    assert refused.value.code == "MASKED_SECRET"


@pytest.mark.parametrize("url", ["https://evil/a.m3u8", f"https://u:{MASK}@evil/a.m3u8?token={MASK}"])
def test_secrets_do_not_follow_an_input_to_another_host(url: str) -> None:
    patch = {"inputs": [{"url": url, "headers": {"Authorization": MASK}}]}
    with pytest.raises(ConfigError):
        unmask(patch, _STREAM)


@given(st.text(min_size=1).filter(lambda text: text != MASK))
def test_a_plain_secret_field_goes_out_masked_and_comes_back(secret: str) -> None:
    stored = {"stream_key": secret, "inputs": [{"url": "srt://h:1", "headers": {"X": secret}}]}
    assert mask(stored) == {"stream_key": MASK, "inputs": [{"url": "srt://h:1", "headers": {"X": MASK}}]}
    assert unmask(mask(stored), stored) == stored


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.just(MASK),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["url", "headers", "push", "inputs", "secret", "x"]), inner)
        ),
    ).filter(lambda value: isinstance(value, dict))
)
def test_a_document_of_any_shape_is_masked_and_unmasked_without_a_crash(document: Any) -> None:
    try:
        unmask(mask(document), document)
    except ConfigError:
        return
