"""AMF0: what is encoded is decoded, and nothing hostile gets through."""

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import LocalProtocolError, RemoteProtocolError
from openstreamer.wire.amf0 import (
    MAX_DEPTH,
    UNDEFINED,
    AmfDate,
    AmfValue,
    EcmaArray,
    decode,
    encode,
    number_or_none,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = texts.filter(bool)
leaves = (
    st.floats(allow_nan=False)
    | st.booleans()
    | texts
    | st.none()
    | st.just(UNDEFINED)
    | st.builds(AmfDate, st.floats(allow_nan=False), st.integers(-720, 720))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names, inner, max_size=4)
        | st.dictionaries(names, inner, max_size=4).map(EcmaArray)
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4))
def test_decoding_gives_what_was_encoded(items: list[AmfValue]) -> None:
    decoded = decode(encode(*items))
    assert decoded == items
    assert [type(item) for item in decoded] == [type(item) for item in items]


@given(st.lists(values, min_size=1, max_size=3), st.data())
def test_a_truncated_message_is_an_error_or_fewer_values(items: list[AmfValue], data: st.DataObject) -> None:
    encoded = encode(*items)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with contextlib.suppress(RemoteProtocolError):
        assert len(decode(encoded[:cut])) <= len(items)


@given(st.binary(max_size=200))
def test_random_bytes_give_values_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(data)


def test_a_long_string_takes_the_long_form() -> None:
    text = "é" * 40_000
    assert encode(text)[0] == 0x0C
    assert decode(encode(text)) == [text]


def test_connect_as_ffmpeg_sends_it_is_understood() -> None:
    captured = bytes.fromhex(
        "0200 07 636f6e6e656374 003ff0000000000000 03 0003 617070 02 0004 6c697665 0004 74797065 02 000a"
        "6e6f6e70726976617465 000009".replace(" ", "")
    )
    assert decode(captured) == ["connect", 1.0, {"app": "live", "type": "nonprivate"}]


def test_the_count_of_an_ecma_array_is_only_a_hint() -> None:
    encoded = b"\x08\xff\xff\xff\xff" + b"\x00\x01a\x05" + b"\x00\x00\x09"
    assert decode(encoded) == [EcmaArray(a=None)]


def test_a_missing_last_end_marker_is_forgiven() -> None:
    assert decode(encode(EcmaArray(width=1280.0))[:-3]) == [{"width": 1280.0}]


def test_a_typed_object_loses_its_class_name() -> None:
    assert decode(b"\x10\x00\x03abc" + b"\x00\x01x\x05" + b"\x00\x00\x09") == [{"x": None}]


def test_text_that_is_not_utf8_does_not_end_a_stream() -> None:
    assert decode(b"\x02\x00\x04Caf\xe9") == ["Caf\ufffd"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x07\x00\x00", "references"),
        (b"\x11\x0d\x01", "AMF3"),
        (b"\x04", "movie clip"),
        (b"\x0e", "record set"),
        (b"\x09", "never began"),
        (b"\x77", "unknown type"),
        (b"\x00\x00", "truncated"),
        (b"\x0a\xff\xff\xff\xff\x05", "shorter message"),
        (b"\x0a\x00\x00\x00\x01" * (MAX_DEPTH + 2) + b"\x05", "deeper"),
        (b"\x03\x00\x01a" * (MAX_DEPTH + 2), "deeper"),
        (b"\x05" * 5000, "too many values"),
    ],
)
def test_hostile_values_are_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said):
        decode(data)


def test_what_cannot_be_encoded_is_our_error() -> None:
    nested: AmfValue = None
    for _ in range(MAX_DEPTH + 2):
        nested = [nested]
    with pytest.raises(LocalProtocolError, match="deeper"):
        encode(nested)
    with pytest.raises(LocalProtocolError, match="property name"):
        encode({"": 1.0})


def test_only_finite_numbers_are_numbers() -> None:
    assert number_or_none(3) == 3.0
    for value in (True, None, "3", math.nan, math.inf, [3.0]):
        assert number_or_none(value) is None
