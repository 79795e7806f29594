"""Annex B and length-prefixed access units: one becomes the other and nothing is lost."""

from collections.abc import Iterator

from fuzz.target import FuzzTarget
from openstreamer.media import nal
from openstreamer.media.bits import remove_emulation_prevention
from openstreamer.media.errors import MediaError


def run(data: bytes) -> None:
    nals = nal.split_annex_b(data)
    assert all(item and item[-1] for item in nals)
    payload = nal.to_length_prefixed(nals)
    assert list(nal.iter_length_prefixed(payload)) == nals
    assert nal.split_annex_b(nal.to_annex_b(payload)) == nals
    assert len(remove_emulation_prevention(data)) <= len(data)
    for size in (1, 2, 4):
        changed = nal.change_nal_length_size(data, size)
        assert list(nal.iter_length_prefixed(changed)) == list(nal.iter_length_prefixed(data, size))


def seeds() -> Iterator[bytes]:
    yield b"\0\0\0\1\x67abc\0\0\1\x68de\0\0\0\0\1\x65fgh\0\0"
    yield b"\0\0\0\4abcd\0\0\0\2ef"
    yield b"\0\2ab\0\3cde"
    yield b"\2ab\3cde\0\0\3\1"


TARGET = FuzzTarget("nal", run, (MediaError,), seeds)
