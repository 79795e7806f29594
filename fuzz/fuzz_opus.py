"""Opus: the first byte chooses between OpusHead, dOps and packets."""

from collections.abc import Iterator

from fuzz.configurations import check_configuration, samples_or_none
from fuzz.target import FuzzTarget
from openstreamer.media.errors import MediaError
from openstreamer.media.opus import OpusConfig

SURROUND = OpusConfig(channels=6, mapping_family=1, mapping=bytes.fromhex("0402000401020305"))


def run(data: bytes) -> None:
    body = data[1:]
    match data[:1]:
        case b"h":
            config = OpusConfig.from_opus_head(body)
            check_configuration(config)
            assert OpusConfig.from_opus_head(config.opus_head()) == config
        case b"d":
            config = OpusConfig.from_dops(body)
            check_configuration(config)
            assert OpusConfig.from_dops(config.dops()) == config
        case _:
            samples_or_none(OpusConfig(), body)


def seeds() -> Iterator[bytes]:
    for config in (OpusConfig(), SURROUND):
        yield b"h" + config.opus_head()
        yield b"d" + config.dops()
    for toc in ("fc00", "08", "4b05", "fbbf"):
        yield b"p" + bytes.fromhex(toc)


TARGET = FuzzTarget("opus", run, (MediaError,), seeds)
