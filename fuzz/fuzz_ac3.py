"""AC-3 and E-AC-3: the first byte chooses between dac3, dec3 and sync frames."""

from collections.abc import Iterator

from fuzz.configurations import check_configuration, samples_or_none
from fuzz.target import FuzzTarget
from openstreamer.media import ac3
from openstreamer.media.ac3 import Ac3Config, Eac3Config, Eac3Substream
from openstreamer.media.errors import MediaError

SURROUND = Eac3Config((Eac3Substream(0, 16, 0, 7, True, 1, 2),), 48_000, 640)


def run(data: bytes) -> None:
    body = data[1:]
    match data[:1]:
        case b"d":
            config = Ac3Config.from_dac3(body)
            check_configuration(config)
            assert Ac3Config.from_dac3(config.dac3()) == config
        case b"e":
            enhanced = Eac3Config.from_dec3(body)
            check_configuration(enhanced)
            assert Eac3Config.from_dec3(enhanced.dec3()) == enhanced
        case _:
            _check_frames(body)


def _check_frames(data: bytes) -> None:
    config = Eac3Config.from_sync_frame(data) if ac3.is_eac3(data) else Ac3Config.from_sync_frame(data)
    check_configuration(config)
    samples_or_none(config, data)
    frames, used = ac3.take_frames(data)
    assert used == sum(map(len, frames)) <= len(data)


def seeds() -> Iterator[bytes]:
    yield b"d" + Ac3Config(0, 8, 0, 7, True, bit_rate_code=15).dac3()
    yield b"e" + SURROUND.dec3()
    yield b"f" + bytes.fromhex("0b77aaaa004043e0") + bytes(120)
    independent = bytes.fromhex("0b77001f3486ff00") + bytes(56)
    dependent = bytes.fromhex("0b77401f3486ff8000") + bytes(55)
    yield b"f" + independent + dependent + independent


TARGET = FuzzTarget("ac3", run, (MediaError,), seeds)
