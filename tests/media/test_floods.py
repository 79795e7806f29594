"""Hostile access units of megabytes: refused by a count, before their cost grows with their size.

Each was once a way to hold the event loop for seconds to minutes with one RTMP message; if it becomes one
again, the test runs into its timeout.
"""

from collections.abc import Callable

import pytest

from openstreamer.media import h264, h265
from openstreamer.media.errors import MediaError
from openstreamer.media.nal import change_nal_length_size, iter_length_prefixed
from tests.support.tracks import CONFIGS

MEBIBYTES = 8 << 20
AVC, HEVC = CONFIGS[0], CONFIGS[2]


def repeated(nal: bytes) -> bytes:
    unit = len(nal).to_bytes(4, "big") + nal
    return unit * (MEBIBYTES // len(unit))


FLOODS = {
    "empty NAL units": bytes(MEBIBYTES),
    "H.264 SPS": repeated(b"\x67"),
    "H.264 PPS": repeated(b"\x68\xce"),
    "H.264 SEI": repeated(b"\x06\x06"),
    "H.265 VPS": repeated(b"\x40\x01"),
    "H.265 SPS": repeated(b"\x42\x01"),
}
READERS: list[Callable[[bytes], object]] = [
    h264.is_random_access,
    h264.parameter_sets_in,
    AVC.with_parameter_sets_from,
    h265.is_random_access,
    h265.parameter_sets_in,
    HEVC.with_parameter_sets_from,
    lambda payload: list(iter_length_prefixed(payload)),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_small_nal_units_is_refused(flood: str) -> None:
    for reader in READERS:
        try:
            reader(FLOODS[flood])
        except MediaError as err:
            assert "more than" in str(err)  # noqa: PT017 - what is a slice to the other codec ends at once


@pytest.mark.timeout(20)
@pytest.mark.parametrize("size", [1, 2])
def test_a_flood_of_shorter_lengths_is_refused(size: int) -> None:
    with pytest.raises(MediaError, match="more than 16384 NAL units"):
        change_nal_length_size(bytes(MEBIBYTES), size)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("head", [b"\x42\x01", b"\x40\x01", b"\x67\x42\xc0\x1f"])
def test_a_huge_parameter_set_is_refused_before_it_is_unescaped(head: bytes) -> None:
    nal = head + b"\x00\x00\x03" * (MEBIBYTES // 3)
    payload = len(nal).to_bytes(4, "big") + nal
    config = AVC if head[0] == 0x67 else HEVC
    with pytest.raises(MediaError):
        config.with_parameter_sets_from(payload)


def test_many_nal_units_before_the_slice_are_no_flood() -> None:
    sei = b"\x00\x00\x00\x02\x06\x80"
    assert h264.is_random_access(sei * 500 + b"\x00\x00\x00\x02\x65\x88")
    assert list(iter_length_prefixed(sei * 16_384)) == [b"\x06\x80"] * 16_384
