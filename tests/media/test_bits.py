from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.bits import HEADER_BYTES_MAX, BitReader, BitWriter, remove_emulation_prevention
from openstreamer.media.errors import MediaError
from tests.media.bitstreams import Bits, escaped

fields = st.lists(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 2**n - 1))))


@given(fields)
def test_what_the_writer_wrote_the_reader_reads(written: list[tuple[int, int]]) -> None:
    writer = BitWriter()
    for count, value in written:
        writer.u(count, value)
    reader = BitReader(writer.to_bytes(), "test")
    assert [(count, reader.u(count)) for count, _ in written] == written
    assert reader.remaining_bits < 8


@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), max_size=20))
def test_signed_and_unsigned_exp_golomb_numbers_come_back(values: list[int]) -> None:
    bits = Bits()
    for value in values:
        bits.se(value)
        bits.ue(abs(value))
    reader = BitReader(bits.rbsp(), "test")
    assert [(reader.se(), reader.ue()) for _ in values] == [(value, abs(value)) for value in values]


@pytest.mark.parametrize(
    "read", [lambda r: r.u(9), lambda r: r.skip(9), lambda r: r.ue(), lambda r: [r.flag() for _ in range(9)]]
)
def test_reading_past_the_end_names_the_structure(read: Callable[[BitReader], object]) -> None:
    with pytest.raises(MediaError, match="the thing"):
        read(BitReader(b"\x00", "the thing"))


def test_an_exp_golomb_number_of_more_than_32_zeros_is_refused() -> None:
    assert BitReader(bytes(4) + b"\x80" + bytes(4), "test").ue() == 2**32 - 1
    with pytest.raises(MediaError, match="leading zeros"):
        BitReader(bytes(5) + b"\xff" * 8, "test").ue()


def test_an_exp_golomb_number_above_its_bound_is_refused() -> None:
    data = Bits().ue(32).rbsp()
    assert BitReader(data, "test").ue(32) == 32
    with pytest.raises(MediaError, match="at most 31"):
        BitReader(data, "test").ue(31)


def test_oversized_headers_are_refused() -> None:
    BitReader(bytes(HEADER_BYTES_MAX), "test")
    with pytest.raises(MediaError):
        BitReader(bytes(HEADER_BYTES_MAX + 1), "test")


def test_align_moves_to_the_next_byte_and_stays_on_a_boundary() -> None:
    reader = BitReader(b"\xff\x0f", "test")
    reader.u(1)
    reader.align()
    reader.align()
    assert reader.u(8) == 0x0F


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=40).map(bytes))
def test_emulation_prevention_is_undone(rbsp: bytes) -> None:
    nal = escaped(rbsp)
    assert not any(code in nal for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"))
    assert remove_emulation_prevention(nal) == rbsp
