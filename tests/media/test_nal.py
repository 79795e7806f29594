import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import nal
from openstreamer.media.errors import MediaError
from tests.media.bitstreams import assert_total, lengths

# a NAL unit: no start code inside (escaping sees to that) and no zero byte at its end
nal_units = st.binary(min_size=1, max_size=20).map(lambda b: b.replace(b"\0", b"\1") + b"\x80")


@given(st.lists(st.tuples(nal_units, st.sampled_from([b"\0\0\1", b"\0\0\0\1"]), st.integers(0, 3))))
def test_annex_b_is_split_at_both_start_codes_without_trailing_zeros(
    parts: list[tuple[bytes, bytes, int]],
) -> None:
    stream = b"".join(code + unit + bytes(zeros) for unit, code, zeros in parts)
    assert nal.split_annex_b(stream) == [unit for unit, _, _ in parts]


def test_bytes_before_the_first_start_code_are_no_nal_unit() -> None:
    assert nal.split_annex_b(b"junk\0\0\1\x65\x80") == [b"\x65\x80"]
    assert nal.split_annex_b(b"junk") == []
    assert nal.split_annex_b(b"") == []


def test_a_flood_of_start_codes_is_refused() -> None:
    nal.split_annex_b(b"\0\0\1\x65" * nal.NALS_PER_ACCESS_UNIT_MAX)
    with pytest.raises(MediaError, match="NAL units"):
        nal.split_annex_b(b"\0\0\1\x65" * (nal.NALS_PER_ACCESS_UNIT_MAX + 1))


@given(st.lists(nal_units), st.sampled_from([1, 2, 4]))
def test_length_prefixes_of_every_size_become_four_bytes(units: list[bytes], size: int) -> None:
    foreign = b"".join(len(unit).to_bytes(size, "big") + unit for unit in units)
    payload = nal.change_nal_length_size(foreign, size)
    assert payload == nal.to_length_prefixed(units) == lengths(*units)
    assert list(nal.iter_length_prefixed(payload)) == units


@given(st.lists(nal_units))
def test_length_prefixed_and_annex_b_are_the_same_units(units: list[bytes]) -> None:
    assert nal.split_annex_b(nal.to_annex_b(lengths(*units))) == units


def test_four_byte_lengths_are_passed_on_without_a_copy() -> None:
    payload = lengths(b"\x65\x80")
    assert nal.change_nal_length_size(payload, 4) is payload


def test_empty_nal_units_are_left_out() -> None:
    assert list(nal.iter_length_prefixed(lengths(b"", b"\x65", b""))) == [b"\x65"]


@pytest.mark.parametrize("payload", [b"\0", b"\0\0\0", b"\0\0\0\2\x65", b"\xff\xff\xff\xff\x65"])
def test_a_length_beyond_the_access_unit_is_refused(payload: bytes) -> None:
    with pytest.raises(MediaError, match="behind its access unit"):
        list(nal.iter_length_prefixed(payload))


@given(st.binary(max_size=60), st.sampled_from([1, 2, 4]))
def test_any_bytes_as_an_access_unit_raise_nothing_else(data: bytes, size: int) -> None:
    assert_total(lambda d: nal.change_nal_length_size(d, size), data)
    assert_total(nal.to_annex_b, data)
    assert_total(nal.split_annex_b, data)


def test_replacing_keeps_the_order_and_appends_new_ids() -> None:
    assert nal.replace_parameter_sets((b"a1", b"b1"), (b"c1", b"a2"), lambda s: s[0]) == (b"a2", b"b1", b"c1")


def test_putting_first_keeps_the_last_of_each_new_id() -> None:
    put = nal.put_parameter_sets_first((b"a1", b"b1"), (b"b2", b"b3"), lambda s: s[0])
    assert put == (b"b3", b"a1")
