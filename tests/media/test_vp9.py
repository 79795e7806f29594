import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import vp9
from openstreamer.media.errors import MediaError
from openstreamer.media.vp9 import Vp9Config
from openstreamer.media.vui import Colour
from tests.media.bitstreams import Bits, assert_total, assert_truncations_refused
from tests.media.conftest import Encoded

VPX = bytes.fromhex("01000000000b820202020000")  # libvpx, 320x180 at 30 Hz
INTER_FRAME = b"\x86\x00"

configs = st.builds(
    Vp9Config,
    profile=st.integers(0, 3),
    level=st.integers(0, 62),
    bit_depth=st.sampled_from([8, 10, 12]),
    chroma_subsampling=st.integers(0, 3),
    colour=st.builds(Colour, *[st.integers(0, 255)] * 3, st.booleans()),
)


def _key_frame(profile: int, width: int, height: int, depth: int = 8, subsampling: int = 1) -> bytes:
    bits = Bits().u(2, 2).u(1, profile & 1).u(1, profile >> 1)
    if profile == 3:
        bits.u(1, 0)
    bits.u(1, 0).u(1, 0).u(1, 1).u(1, 0).u(24, 0x498342)
    if profile >= 2:
        bits.u(1, depth == 12)
    bits.u(3, 2).u(1, 0)
    if profile in (1, 3):
        bits.u(1, subsampling < 3).u(1, subsampling < 2).u(1, 0)
    return bits.u(16, width - 1).u(16, height - 1).u(1, 0).padded()


def test_vpcc_that_ffmpeg_wrote_comes_back_byte_for_byte() -> None:
    config = Vp9Config.from_vpcc(VPX, 320, 180)
    assert config.vpcc() == VPX
    assert config.codec_string == "vp09.00.11.08"
    assert (config.width, config.height) == (320, 180)


@given(configs)
def test_vpcc_round_trip(config: Vp9Config) -> None:
    assert Vp9Config.from_vpcc(config.vpcc()) == config


def test_truncated_records_and_headers_are_refused() -> None:
    assert_truncations_refused(Vp9Config.from_vpcc, VPX)
    assert_truncations_refused(Vp9Config.from_key_frame, _key_frame(3, 320, 180), 2)


@given(st.binary(max_size=40))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(Vp9Config.from_vpcc, data)
    assert_total(Vp9Config.from_vpcc, b"\x01\x00\x00\x00" + data)
    assert_total(Vp9Config.from_key_frame, data)
    assert_total(Vp9Config.from_key_frame, b"\x82\x49\x83\x42" + data)
    assert_total(Vp9Config().with_parameter_sets_from, data)
    assert_total(vp9.is_random_access, data)


def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded]) -> None:
    track = encoded["vp9"]
    config = Vp9Config.from_key_frame(track.samples[0])
    assert (config.width, config.height) == (track.probe["width"], track.probe["height"])
    assert [vp9.is_random_access(sample) for sample in track.samples] == track.keys
    assert track.keys.count(True) > 1


@given(st.integers(0, 3), st.integers(1, 16_384), st.integers(1, 16_384))
def test_profile_and_size_of_a_key_frame_are_read(profile: int, width: int, height: int) -> None:
    depth = 12 if profile >= 2 else 8
    config = Vp9Config.from_key_frame(_key_frame(profile, width, height, depth))
    assert (config.profile, config.width, config.height, config.bit_depth) == (profile, width, height, depth)
    assert config.colour == Colour(1, 1, 1, False)


@pytest.mark.parametrize("size", [(65_536, 1), (1, 65_536)])
def test_a_size_that_no_level_allows_is_refused(size: tuple[int, int]) -> None:
    """MP4 has 16 bits for a side: 65536 would not fit."""
    with pytest.raises(MediaError, match="exceeds every level"):
        Vp9Config.from_key_frame(_key_frame(0, *size))


@pytest.mark.parametrize("subsampling", [1, 2, 3])
def test_chroma_subsampling_of_profile_1(subsampling: int) -> None:
    frame = _key_frame(1, 320, 180, subsampling=subsampling)
    assert Vp9Config.from_key_frame(frame).chroma_subsampling == subsampling


def test_rgb_is_full_range_without_subsampling() -> None:
    bits = Bits().u(2, 2).u(2, 2).u(4, 2).u(24, 0x498342).u(3, 7).u(1, 0).u(16, 99).u(16, 49).u(1, 0)
    config = Vp9Config.from_key_frame(bits.padded())
    assert (config.chroma_subsampling, config.colour) == (3, Colour(1, 13, 0, True))
    assert (config.width, config.height) == (100, 50)


@pytest.mark.parametrize(("size", "level"), [((640, 360), 21), ((1920, 1080), 40), ((3840, 2160), 50)])
def test_the_least_level_for_the_size_is_assumed(size: tuple[int, int], level: int) -> None:
    assert Vp9Config.from_key_frame(_key_frame(0, *size)).level == level


def test_an_inter_frame_has_no_configuration() -> None:
    assert not vp9.is_random_access(INTER_FRAME)
    with pytest.raises(MediaError, match="no key frame"):
        Vp9Config.from_key_frame(INTER_FRAME + bytes(20))


def test_showing_an_existing_frame_is_no_random_access_point() -> None:
    assert not vp9.is_random_access(b"\x88")


def test_a_key_frame_fills_in_the_size_and_keeps_what_vpcc_says() -> None:
    config = Vp9Config.from_vpcc(VPX)
    frame = _key_frame(0, 320, 180)
    sized = config.with_parameter_sets_from(frame)
    assert (sized.width, sized.height, sized.colour, sized.level) == (320, 180, config.colour, 11)
    assert sized.with_parameter_sets_from(frame) is sized
    assert sized.with_parameter_sets_from(INTER_FRAME) is sized
    assert sized.with_parameter_sets_from(_key_frame(0, 640, 360)).level == 21


def test_a_key_frame_of_another_profile_replaces_everything() -> None:
    changed = Vp9Config.from_vpcc(VPX, 320, 180).with_parameter_sets_from(_key_frame(2, 320, 180, 10))
    assert (changed.profile, changed.bit_depth) == (2, 10)


def test_values_that_do_not_exist_are_refused() -> None:
    with pytest.raises(MediaError):
        Vp9Config(bit_depth=9)
    with pytest.raises(MediaError):
        Vp9Config.from_vpcc(VPX[:10] + b"\x00\x01\x00")
