"""Packets are found at any distance, at any offset, and again after garbage."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.mpegts.packets import DISTANCES, PacketFinder


def packet(number: int) -> bytes:
    return b"\x47\x01\x00" + bytes((0x10 | number & 15,)) + bytes((number & 0x3F,)) * 184


def found(
    data: bytes, *, piece_bytes: int = 10_000, garbage: int = 1 << 20
) -> tuple[list[int], PacketFinder]:
    """The numbers of the packets that are found, and the finder."""
    finder = PacketFinder(garbage)
    numbers: list[int] = []
    for at in range(0, len(data), piece_bytes):
        feed(finder, data[at : at + piece_bytes], numbers)
    feed(finder, b"", numbers, at_end=True)
    return numbers, finder


def feed(finder: PacketFinder, data: bytes, numbers: list[int], *, at_end: bool = False) -> None:
    whole = None if at_end else finder.whole(data)
    if whole is not None:
        if read(finder, whole, numbers):
            finder.consumed()
            return
        data = b""
    for run in finder.runs(data, at_end=at_end):
        read(finder, run, numbers)


def read(finder: PacketFinder, run: object, numbers: list[int]) -> bool:
    for head, body in run:  # type: ignore[attr-defined]
        if head & 0xFF != 0x47:
            finder.lost_sync(run)  # type: ignore[arg-type]
            return False
        numbers.append(body[0])
    return True


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("piece_bytes", [1, 100, 188, 1316, 100_000])
def test_packets_are_found_at_every_distance(distance: int, piece_bytes: int) -> None:
    gap = bytes(range(1, distance - 188 + 1))
    data = b"".join(packet(number) + gap for number in range(12))
    assert found(data, piece_bytes=piece_bytes)[0] == list(range(12))


def test_time_stamps_in_front_of_packets_are_no_packets() -> None:
    data = b"".join(b"\x12\x34\x56\x78" + packet(number) for number in range(12))
    assert found(data)[0] == list(range(12))


def test_the_last_packet_needs_no_gap_behind_it() -> None:
    data = (packet(1) + bytes(16)) * 6 + packet(2)
    assert found(data)[0] == [1] * 6 + [2]


@given(st.binary(max_size=400), st.binary(max_size=2000), st.integers(1, 700))
def test_packets_are_found_again_after_garbage_wherever_it_stands(
    before: bytes, between: bytes, piece_bytes: int
) -> None:
    before, between = before.replace(b"\x47", b"\x48"), between.replace(b"\x47", b"\x48")
    first = b"".join(packet(number) for number in range(8))
    second = b"".join(packet(number) for number in range(8, 16))
    numbers, finder = found(before + first + between + second, piece_bytes=piece_bytes)
    assert numbers == list(range(16))
    assert finder.found


@given(st.binary(max_size=3000), st.lists(st.integers(1, 900), max_size=20))
def test_any_split_finds_the_same_packets(garbage: bytes, cuts: list[int]) -> None:
    data = garbage + b"".join(packet(number) for number in range(7)) + garbage[::-1] + packet(9) * 6
    expected = found(data)[0]
    finder, numbers, at = PacketFinder(1 << 20), list[int](), 0
    for cut in cuts:
        feed(finder, data[at : at + cut], numbers)
        at += cut
    feed(finder, data[at:], numbers)
    feed(finder, b"", numbers, at_end=True)
    assert numbers == expected


def test_one_damaged_sync_byte_costs_one_packet() -> None:
    data = b"".join(packet(number) if number != 5 else b"\x00" + packet(number)[1:] for number in range(20))
    numbers, finder = found(data)
    assert numbers == [number for number in range(20) if number != 5]
    assert finder.resyncs == 1


def test_a_lone_sync_byte_in_garbage_is_not_believed() -> None:
    garbage = (b"\x47" + bytes(187)) * 2 + bytes(400)
    assert found(garbage + packet(1) * 8)[0] == [1] * 8


def test_garbage_without_end_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="no packets in"):
        found(bytes(5000), garbage=2000)


def test_memory_views_are_read_and_not_kept() -> None:
    finder, numbers = PacketFinder(1000), list[int]()
    buffer = bytearray(packet(3) * 6 + packet(4)[:100])
    feed(finder, memoryview(buffer), numbers)  # type: ignore[arg-type]
    buffer[:] = b""  # raises when a view of it is still held
    feed(finder, packet(4)[100:], numbers)
    assert numbers == [3] * 6 + [4]


ERROR_IN_A_CYCLE = """
import gc
from openstreamer.wire.mpegts.packets import PacketFinder

def read(data, whole):
    finder = PacketFinder(1 << 20)
    for run in finder.runs(data):
        if not whole:
            next(run)
            raise ValueError
        list(run)
    next(finder.whole(data))
    raise ValueError

for whole in (False, True):
    for kind in (bytes, memoryview):
        try:
            read(kind((b"G" + bytes(187)) * 8), whole)
        except ValueError as err:
            cycle = [err]
            cycle.append(cycle)
        del cycle
        gc.collect()
"""


def test_an_error_in_a_reference_cycle_does_not_crash_the_interpreter() -> None:
    """CPython 3.11 fails to collect a memoryview that the iterator over packets still exports."""
    done = subprocess.run(
        [sys.executable, "-c", ERROR_IN_A_CYCLE], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
