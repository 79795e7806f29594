"""RFC 7396, and its properties."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.config.merge import merge, without_read_only

_SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)
_KEYS = st.sampled_from(["a", "b", "c"])
_DOCUMENTS = st.dictionaries(
    _KEYS, st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_KEYS, inner))
)


@pytest.mark.parametrize(
    ("stored", "patch", "merged"),
    [  # from RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_it_is_json_merge_patch(stored: Any, patch: Any, merged: Any) -> None:
    assert merge(stored, patch) == merged


@given(_DOCUMENTS, _DOCUMENTS)
def test_merging_twice_is_merging_once(stored: dict[str, Any], patch: dict[str, Any]) -> None:
    once = merge(stored, patch)
    assert merge(once, patch) == once


@given(_DOCUMENTS, _DOCUMENTS)
def test_the_arguments_are_left_alone_and_not_shared(stored: dict[str, Any], patch: dict[str, Any]) -> None:
    stored_before, patch_before = copy.deepcopy(stored), copy.deepcopy(patch)
    merged = merge(stored, patch)
    _scribble(merged)
    assert (stored, patch) == (stored_before, patch_before)


@given(_DOCUMENTS, _DOCUMENTS)
def test_what_the_patch_does_not_name_stays(stored: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge(stored, patch)
    for key in stored.keys() - patch.keys():
        assert merged[key] == stored[key]
    for key in merged.keys() & patch.keys():
        assert patch[key] is not None


def test_what_the_server_adds_to_an_answer_is_dropped_from_a_patch() -> None:
    answer = {
        "name": "x",
        "runtime": {},
        "source": "config",
        "created_at": "",
        "updated_at": "",
        "revision": 3,
    }
    assert without_read_only(answer) == {"name": "x"}


def _scribble(value: Any) -> None:
    if isinstance(value, dict):
        for member in value.values():
            _scribble(member)
        value["scribbled"] = True
    elif isinstance(value, list):
        for member in value:
            _scribble(member)
        value.append("scribbled")
