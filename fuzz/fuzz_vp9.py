"""VP9: the first byte chooses between vpcC and frames."""

from collections.abc import Iterator

from fuzz.configurations import check_configuration
from fuzz.target import FuzzTarget
from openstreamer.media import vp9
from openstreamer.media.errors import MediaError
from openstreamer.media.vp9 import Vp9Config

KEY_FRAMES = ("824983420004f0000880", "824983424004f00008800001", "a24983420c027f01df10")


def run(data: bytes) -> None:
    body = data[1:]
    if data[:1] == b"c":
        config = Vp9Config.from_vpcc(body, 1280, 720)
        check_configuration(config)
        assert Vp9Config.from_vpcc(config.vpcc(), 1280, 720) == config
        return
    vp9.is_random_access(body)
    config = Vp9Config().with_parameter_sets_from(body)
    check_configuration(config)
    assert config.with_parameter_sets_from(body) is config
    check_configuration(Vp9Config.from_key_frame(body))


def seeds() -> Iterator[bytes]:
    yield b"c" + Vp9Config(profile=2, bit_depth=10, level=41).vpcc()
    for text in KEY_FRAMES:
        yield b"f" + bytes.fromhex(text)
    yield b"f\x86\x00\x40"


TARGET = FuzzTarget("vp9", run, (MediaError,), seeds)
