"""AAC: the first byte chooses between AudioSpecificConfig, ADTS, and raw frames that may hide SBR."""

from collections.abc import Iterator

from fuzz.configurations import check_configuration
from fuzz.target import FuzzTarget
from openstreamer.media import aac
from openstreamer.media.aac import AacConfig
from openstreamer.media.aac_sbr import has_sbr_extension, with_implicit_sbr
from openstreamer.media.errors import MediaError

LC = AacConfig(bytes.fromhex("1190"))


def run(data: bytes) -> None:
    body = data[1:]
    match data[:1]:
        case b"c":
            config = AacConfig(body)
            check_configuration(config)
            check_configuration(with_implicit_sbr(config, [b"\xc6\xd0\x00\x00\x00\x00\x0e"]))
            _check_adts(config)
        case b"s":
            has_sbr_extension(body)
            check_configuration(with_implicit_sbr(LC, [body]))
        case _:
            check_configuration(AacConfig.from_adts(body))
            frames, used = aac.take_adts(body)
            assert used == sum(header.frame_bytes for header, _ in frames) <= len(body)


def _check_adts(config: AacConfig) -> None:
    header = aac.parse_adts_header(aac.adts_header(config, 100))
    assert header.frame_bytes == 107


def seeds() -> Iterator[bytes]:
    for text in ("1190", "1210", "2b920800", "119056e500", "eb098800", "f8e85000", "11b0", "1188040000"):
        yield b"c" + bytes.fromhex(text)
    frame = aac.adts_header(LC, 5) + b"hello"
    yield b"a" + frame * 3
    yield b"a" + bytes.fromhex("fff150000ebffc") + bytes(110)
    yield b"s" + bytes.fromhex("210049900219002380")
    yield b"s" + bytes.fromhex("0140220c6d400000000e")


TARGET = FuzzTarget("aac", run, (MediaError,), seeds)
