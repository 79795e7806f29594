"""The fixtures are a sine of 700 Hz, as HE-AAC at a constant 32 kbit/s: 24 kHz core, 16 frames."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import aac
from openstreamer.media.aac import AacConfig
from openstreamer.media.aac_sbr import (
    FRAMES_LOOKED_AT,
    has_sbr_extension,
    sbr_probe,
    with_explicit_sbr,
    with_implicit_sbr,
)
from tests.media.bitstreams import Bits
from tests.media.conftest import Encoded

FIXTURES = Path(__file__).parent.parent / "fixtures" / "aac"
LC_24K_STEREO = AacConfig(bytes.fromhex("1310"))


@pytest.mark.parametrize(("name", "channels"), [("he_aac", 2), ("he_aac_v2", 1)])
def test_he_aac_that_nothing_announces_is_not_signalled_as_lc(name: str, channels: int) -> None:
    stream = (FIXTURES / f"{name}.adts").read_bytes()
    payloads = [payload for _, payload in aac.split_adts(stream)]
    assert all(has_sbr_extension(payload) for payload in payloads)
    announced = AacConfig.from_adts(stream)
    assert announced.codec_string == "mp4a.40.2"
    config = with_implicit_sbr(announced, payloads[:FRAMES_LOOKED_AT])
    assert config.codec_string == "mp4a.40.5"
    assert (config.sample_rate, config.timescale, config.channels) == (48_000, 24_000, channels)


def test_lc_stays_lc(encoded: dict[str, Encoded]) -> None:
    payloads = encoded["aac"].samples
    assert with_implicit_sbr(LC_24K_STEREO, payloads) is LC_24K_STEREO


def test_without_frames_nothing_is_concluded() -> None:
    assert with_implicit_sbr(LC_24K_STEREO, []) is LC_24K_STEREO


def test_a_config_that_says_something_about_sbr_is_believed() -> None:
    sbr = [_block(_fill(13, 20))] * 8
    assert with_implicit_sbr(LC_24K_STEREO, sbr) == with_explicit_sbr(LC_24K_STEREO)
    for asc in ("2b118800", "131056e500"):
        config = AacConfig(bytes.fromhex(asc))
        assert with_implicit_sbr(config, sbr) is config


def test_half_of_the_frames_decide() -> None:
    with_sbr, without = _block(_fill(13, 20)), _block(Bits().u(8, 0x55))
    assert with_implicit_sbr(LC_24K_STEREO, [with_sbr, without]).info.sbr
    assert not with_implicit_sbr(LC_24K_STEREO, [with_sbr, without, without]).info.sbr


def _fill(extension: int, count: int, byte: int = 0x5A) -> Bits:
    bits = Bits().u(3, 6).u(4, min(count, 15))
    if count >= 15:
        bits.u(8, count - 14)
    if count:
        bits.u(4, extension).u(4, 0)
    for _ in range(count - 1):
        bits.u(8, byte)
    return bits


def _block(*elements: Bits) -> bytes:
    bits = Bits().u(13, 0x1234 & 0x1FFF)  # some audio
    for element in elements:
        bits.text += element.text
    return bits.u(3, 7).padded()


@given(
    st.sampled_from([13, 14]), st.integers(1, 269), st.lists(st.integers(0, 269), max_size=4), st.booleans()
)
def test_sbr_of_every_size_is_found_behind_any_padding(
    extension: int, count: int, padding: list[int], zeros: bool
) -> None:
    fillers = [_fill(0, size, 0) if zeros else _fill(1, size, 0xA5) for size in padding]
    assert has_sbr_extension(_block(_fill(extension, count), *fillers))


@given(st.integers(1, 269))
def test_padding_alone_is_no_sbr(count: int) -> None:
    assert not has_sbr_extension(_block(_fill(1, count, 0xA5)))
    assert not has_sbr_extension(_block(_fill(0, count, 0)))


@pytest.mark.parametrize("extension", [2, 11, 12, 15])
def test_other_extensions_are_no_sbr(extension: int) -> None:
    assert not has_sbr_extension(_block(_fill(extension, 20)))


@pytest.mark.parametrize("payload", [b"", b"\x00", bytes(100), b"\xff\x00", b"\x40"])
def test_a_block_without_an_end_has_none(payload: bytes) -> None:
    assert not has_sbr_extension(payload)


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(payload: bytes) -> None:
    assert has_sbr_extension(payload) in (True, False)


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 12_345])
@pytest.mark.parametrize("frame_length_flag", [0, 1])
def test_explicit_signalling_doubles_the_rate_and_keeps_the_rest(rate: int, frame_length_flag: int) -> None:
    bits = Bits().u(5, 2)
    if rate in aac.SAMPLE_RATES_HZ:
        bits.u(4, aac.SAMPLE_RATES_HZ.index(rate))
    else:
        bits.u(4, 15).u(24, rate)
    core = AacConfig(bits.u(4, 2).u(1, frame_length_flag).u(2, 0).padded())
    config = with_explicit_sbr(core)
    assert (config.sample_rate, config.timescale) == (2 * rate, rate)
    assert (config.channels, config.samples_per_frame) == (2, core.samples_per_frame)
    assert config.codec_string == "mp4a.40.5"


def test_a_probe_gives_back_what_it_held() -> None:
    probe = sbr_probe(LC_24K_STEREO)
    assert probe is not None
    sbr = _block(_fill(13, 20))
    assert [probe.add(sbr, number) for number in range(FRAMES_LOOKED_AT)] == [False] * (
        FRAMES_LOOKED_AT - 1
    ) + [True]
    assert probe.decide() == (
        with_explicit_sbr(LC_24K_STEREO),
        [(sbr, number) for number in range(FRAMES_LOOKED_AT)],
    )


@pytest.mark.parametrize("asc", ["1190", "2b118800", "131056e500"])
def test_nothing_is_held_where_the_configuration_leaves_nothing_open(asc: str) -> None:
    assert sbr_probe(AacConfig(bytes.fromhex(asc))) is None
