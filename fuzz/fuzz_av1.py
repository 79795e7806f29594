"""AV1: the first byte chooses between av1C, sequence headers and temporal units."""

from collections.abc import Iterator

from tests.support.tracks import SVT_AV1_SEQUENCE_HEADER

from fuzz.configurations import check_configuration
from fuzz.target import FuzzTarget
from openstreamer.media import av1
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError

KNOWN = Av1Config(SVT_AV1_SEQUENCE_HEADER)


def run(data: bytes) -> None:
    body = data[1:]
    match data[:1]:
        case b"a":
            config = Av1Config.from_av1c(body)
            check_configuration(config)
            assert Av1Config.from_av1c(config.av1c()) == config
        case b"s":
            if (header := av1.sequence_header_in(body)) is not None:
                check_configuration(Av1Config(header))
        case _:
            _check_temporal_unit(body)


def _check_temporal_unit(unit: bytes) -> None:
    obus = av1.split_obus(unit)
    sized = b"".join(av1.with_size(obu) for obu in obus)
    assert len(av1.split_obus(sized)) == len(obus)
    dropped = av1.drop_temporal_delimiters(unit)
    assert av1.drop_temporal_delimiters(dropped) == dropped
    av1.is_random_access(unit)
    config = KNOWN.with_parameter_sets_from(unit)
    check_configuration(config)
    assert config.with_parameter_sets_from(unit) is config


def seeds() -> Iterator[bytes]:
    yield b"a" + KNOWN.av1c()
    yield b"s" + SVT_AV1_SEQUENCE_HEADER
    frame = bytes.fromhex("32061000000000aa")
    yield b"u" + b"\x12\x00" + SVT_AV1_SEQUENCE_HEADER + frame
    yield b"u" + frame + bytes.fromhex("3000")
    yield b"u" + av1.with_size(b"\x36\x28abc")


TARGET = FuzzTarget("av1", run, (MediaError,), seeds)
