"""H.265: the first byte chooses between hvcC, SPS, VPS and access units."""

from collections.abc import Iterator

from tests.support.tracks import PPS_265, SPS_265, VPS_265

from fuzz.configurations import check_configuration
from fuzz.target import FuzzTarget
from openstreamer.media import h265
from openstreamer.media.errors import MediaError
from openstreamer.media.h265 import H265Config
from openstreamer.media.nal import to_length_prefixed

KNOWN = H265Config((VPS_265,), (SPS_265,), (PPS_265,))


def run(data: bytes) -> None:
    body = data[1:]
    match data[:1]:
        case b"h":
            h265.hvcc_nal_length_size(body)
            config = H265Config.from_hvcc(body)
            check_configuration(config)
            assert H265Config.from_hvcc(config.hvcc()) == config
        case b"s":
            check_configuration(H265Config((VPS_265,), (body,), (PPS_265,)))
        case b"v":
            check_configuration(H265Config((body,), (SPS_265,), (PPS_265,)))
        case _:
            h265.is_random_access(body)
            config = KNOWN.with_parameter_sets_from(body)
            check_configuration(config)
            assert config.with_parameter_sets_from(body) is config, "the same sets once more are no change"


def seeds() -> Iterator[bytes]:
    yield b"h" + KNOWN.hvcc()
    yield b"s" + SPS_265
    yield b"v" + VPS_265
    idr, delta = b"\x26\x01\xaf\x08", b"\x02\x01\xd0"
    for nals in ((VPS_265, SPS_265, PPS_265, idr), (b"\x46\x01\x50", delta), (PPS_265, PPS_265, idr)):
        yield b"u" + to_length_prefixed(nals)


TARGET = FuzzTarget("h265", run, (MediaError,), seeds)
