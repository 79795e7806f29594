"""AMF3 inside AMF0: what peers encode is read, and nothing hostile gets through."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.amf0 import MAX_DEPTH, UNDEFINED, AmfDate, AmfValue, EcmaArray, decode, encode
from tests.support.amf3 import Amf3Writer, switched, u29

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = texts.filter(bool)
leaves = (
    st.floats(allow_nan=False)
    | st.integers(-(1 << 28), (1 << 28) - 1)
    | st.booleans()
    | texts
    | st.none()
    | st.just(UNDEFINED)
    | st.builds(AmfDate, st.floats(allow_nan=False))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(names, inner, max_size=4)
        | st.dictionaries(names, inner, min_size=1, max_size=4).map(EcmaArray)
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4))
def test_what_a_peer_encodes_is_read(items: list[AmfValue]) -> None:
    decoded = decode(switched(*items))
    assert decoded == items
    assert encode(*decoded) == encode(*items), "of the same types"


@given(st.lists(values, min_size=1, max_size=3), st.data())
def test_a_truncated_message_is_an_error_or_fewer_values(items: list[AmfValue], data: st.DataObject) -> None:
    encoded = switched(*items)
    with contextlib.suppress(RemoteProtocolError):
        assert len(decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])) <= len(items)


@given(st.binary(max_size=200))
def test_random_bytes_give_values_or_a_protocol_error(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decode(b"\x11\x09" + data)


@pytest.mark.parametrize(
    "value", [0, 0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF, 0x200000, 0xFFFFFFF, -1, -(1 << 28)]
)
def test_integers_have_29_bits_and_a_sign(value: int) -> None:
    assert decode(switched(value)) == [value]


def test_amf0_goes_on_behind_a_value_in_amf3() -> None:
    command = encode("connect", 1.0) + switched({"app": "live", "fpad": False}) + encode(None, "key")
    assert decode(command) == ["connect", 1.0, {"app": "live", "fpad": False}, None, "key"]


def test_xml_and_bytes_are_passed_over_as_far_as_they_go() -> None:
    assert decode(b"\x11\x07\x07<a>" + b"\x11\x0b\x07<b>" + b"\x11\x0c\x05\xff\xfe" + b"\x05") == [
        "<a>",
        "<b>",
        UNDEFINED,
        None,
    ]


def test_an_array_with_names_and_numbers_has_both() -> None:
    assert decode(b"\x11\x09\x05\x03a\x04\x01\x01\x04\x07\x04\x08") == [EcmaArray({"a": 1, "0": 7, "1": 8})]


def test_a_reference_is_what_it_refers_to() -> None:
    shared = b"\x09\x03\x01\x04\x07"
    assert decode(b"\x11\x09\x07\x01" + shared + b"\x09\x02" + b"\x09\x02") == [[[7], [7], [7]]]
    assert decode(b"\x11" + shared + b"\x11\x09\x00") == [[7], [7]], "tables are those of the message"


def doubling(levels: int) -> bytes:
    """Arrays that hold the one before them twice: 2 to the power of ``levels`` values in few bytes."""
    message = b"\x11\x09\x01\x01"
    for level in range(levels):
        message += b"\x11\x09\x05\x01" + (b"\x09" + u29(level << 1)) * 2
    return message


def test_references_count_as_what_they_refer_to() -> None:
    assert len(decode(doubling(8))) == 9
    with pytest.raises(RemoteProtocolError, match="too many values"):
        decode(doubling(14))
    with pytest.raises(RemoteProtocolError, match="nested deeper"):
        decode(doubling(MAX_DEPTH + 2), max_values=1 << 30)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "truncated"),
        (b"\x05\x00", "truncated"),
        (b"\x04\xff\xff\xff", "truncated"),
        (b"\x06\x02", "a reference to string 1, of 0"),
        (b"\x09\x02", "a reference to object 1, of 0"),
        (b"\x0a\x05", "a reference to class 1, of 0"),
        (b"\x09\x03\x01\x09\x00", "contains itself"),
        (b"\x0a\x07\x09flex", "'flex' encode themselves"),
        (b"\x09" + u29(1 << 28 | 1) + b"\x01", "in a shorter message"),
        (b"\x0a" + u29(1 << 28 | 3) + b"\x01", "in a shorter message"),
        (b"\x0c" + u29(1 << 28 | 1), "truncated"),
        (b"\x0d\x01\x00", "vectors"),
        (b"\x11\x01\x00", "dictionaries"),
        (b"\x77", "unknown type"),
        (b"\x09\x03\x01" * (MAX_DEPTH + 2) + b"\x01", "deeper"),
        (b"\x09" + u29(5000 << 1 | 1) + b"\x01" + b"\x01" * 5000, "too many values"),
    ],
)
def test_hostile_values_are_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"AMF3: .*{said}"):
        decode(b"\x11" + data)


def test_both_encodings_share_one_budget() -> None:
    half = Amf3Writer().encode([None] * 60)
    with pytest.raises(RemoteProtocolError, match="too many values"):
        decode(b"\x05" * 60 + b"\x11" + half, max_values=100)
    with pytest.raises(RemoteProtocolError, match="too many values"):
        decode(b"\x11" + half + b"\x05" * 60, max_values=100)
