"""H.264: the first byte chooses between avcC, parameter sets and access units."""

from collections.abc import Iterator

from tests.support.media import PPS, SPS
from tests.support.tracks import X264_HIGH_PPS, X264_HIGH_SPS

from fuzz.configurations import check_configuration
from fuzz.target import FuzzTarget
from openstreamer.media import h264
from openstreamer.media.errors import MediaError
from openstreamer.media.h264 import H264Config

KNOWN = H264Config((SPS,), (PPS,))


def run(data: bytes) -> None:
    body = data[1:]
    match data[:1]:
        case b"a":
            h264.avcc_nal_length_size(body)
            config = H264Config.from_avcc(body)
            check_configuration(config)
            assert H264Config.from_avcc(config.avcc()) == config
        case b"s":
            check_configuration(H264Config((body,), (PPS,)))
        case _:
            h264.is_random_access(body)
            config = KNOWN.with_parameter_sets_from(body)
            check_configuration(config)
            assert config.with_parameter_sets_from(body) is config, "the same sets once more are no change"


def seeds() -> Iterator[bytes]:
    high = H264Config((X264_HIGH_SPS,), (X264_HIGH_PPS,))
    yield b"a" + KNOWN.avcc()
    yield b"a" + high.avcc()
    yield b"s" + SPS
    yield b"s" + X264_HIGH_SPS
    idr, delta = b"\x65\x88\x84\0\x10", b"\x41\x9a\x02"
    recovery = bytes.fromhex("060601c480")
    for nals in (
        (SPS, PPS, idr),
        (X264_HIGH_SPS, PPS, PPS, idr),
        (b"\x09\xf0", delta),
        (recovery, idr[:1] + idr),
    ):
        yield b"u" + h264.to_length_prefixed(nals)


TARGET = FuzzTarget("h264", run, (MediaError,), seeds)
