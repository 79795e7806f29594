from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import ac3
from openstreamer.media.ac3 import Ac3Config, Eac3Config, Eac3Substream
from openstreamer.media.errors import MediaError
from tests.media.bitstreams import Bits, assert_total, assert_truncations_refused
from tests.media.conftest import Encoded

ac3_configs = st.builds(
    Ac3Config,
    rate_code=st.integers(0, 2),
    bsid=st.integers(0, 10),
    bsmod=st.integers(0, 7),
    acmod=st.integers(0, 7),
    lfe_on=st.booleans(),
    bit_rate_code=st.integers(0, 18),
)


@st.composite
def substreams(draw: st.DrawFn, rate_code: int) -> Eac3Substream:
    dependents = draw(st.integers(0, 8))
    return Eac3Substream(
        rate_code,
        bsid=16,
        bsmod=draw(st.integers(0, 7)),
        acmod=draw(st.integers(0, 7)),
        lfe_on=draw(st.booleans()),
        dependents=dependents,
        channel_locations=draw(st.integers(0, 511)) if dependents else 0,
    )


@st.composite
def eac3_configs(draw: st.DrawFn) -> Eac3Config:
    rate_code = draw(st.integers(0, 2))
    programs = draw(st.lists(substreams(rate_code), min_size=1, max_size=8))
    return Eac3Config(tuple(programs), (48_000, 44_100, 32_000)[rate_code], draw(st.integers(0, 8191)))


def _ac3_frame(size_code: int = 20, acmod: int = 7, lfe_on: bool = True, rate_code: int = 0) -> bytes:
    bits = Bits().u(16, 0x0B77).u(16, 0).u(2, rate_code).u(6, size_code).u(5, 8).u(3, 0).u(3, acmod)
    bits.u(2 * bool(acmod & 1 and acmod != 1), 0).u(2 * bool(acmod & 4), 0).u(2 * (acmod == 2), 0)
    return bits.u(1, lfe_on).padded()


def _eac3_frame(
    stream_type: int = 0,
    substream: int = 0,
    blocks_code: int = 3,
    acmod: int = 7,
    lfe_on: bool = True,
    channel_map: int | None = None,
    size: int = 64,
    half_rate: bool = False,
) -> bytes:
    bits = Bits().u(16, 0x0B77).u(2, stream_type).u(3, substream).u(11, size // 2 - 1)
    bits.u(2, 3 if half_rate else 0).u(2, 0 if half_rate else blocks_code)
    bits.u(3, acmod).u(1, lfe_on).u(5, 16)
    for _ in range(2 if acmod == 0 else 1):
        bits.u(5, 27).u(1, 1).u(8, 0x55)
    if stream_type == 1:
        bits.u(1, channel_map is not None)
        if channel_map is not None:
            bits.u(16, channel_map)
    return bits.padded().ljust(size, b"\0")


@given(ac3_configs)
def test_dac3_round_trip(config: Ac3Config) -> None:
    again = Ac3Config.from_dac3(config.dac3())
    assert again == config
    assert again.dac3() == config.dac3()


@given(eac3_configs())
def test_dec3_round_trip(config: Eac3Config) -> None:
    again = Eac3Config.from_dec3(config.dec3())
    assert again == config
    assert again.dec3() == config.dec3()


def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded]) -> None:
    ac3_track, eac3_track = encoded["ac3"], encoded["eac3"]
    for track, config in (
        (ac3_track, Ac3Config.from_sync_frame(ac3_track.samples[0])),
        (eac3_track, Eac3Config.from_sync_frame(eac3_track.samples[0])),
    ):
        assert config.channels == track.probe["channels"] == 6
        assert config.sample_rate == config.timescale == int(track.probe["sample_rate"])
        assert config.samples_in(track.samples[0]) == config.samples_per_frame == 1536
        assert config.frame_duration == Fraction(1536, 48_000)
        stream = b"".join(track.samples)
        assert ac3.take_frames(stream) == (track.samples, len(stream))
    assert ac3.is_eac3(eac3_track.samples[0])
    assert not ac3.is_eac3(ac3_track.samples[0])


def test_records_that_ffmpeg_wrote() -> None:
    assert Ac3Config.from_dac3(bytes.fromhex("103de0")).channels == 6
    stereo = Eac3Config.from_dec3(bytes.fromhex("0600200400"))
    assert (stereo.channels, stereo.bit_rate_kbps, stereo.sample_rate) == (2, 192, 48_000)
    assert stereo.dec3().hex() == "0600200400"


@pytest.mark.parametrize(
    ("acmod", "channels"), [(0, 2), (1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (6, 4), (7, 5)]
)
def test_the_lfe_flag_is_found_behind_the_mix_levels_of_every_mode(acmod: int, channels: int) -> None:
    assert Ac3Config.from_sync_frame(_ac3_frame(acmod=acmod, lfe_on=True)).channels == channels + 1
    assert Ac3Config.from_sync_frame(_ac3_frame(acmod=acmod, lfe_on=False)).channels == channels


@pytest.mark.parametrize(
    ("rate_code", "size_code", "size"),
    [(0, 0, 128), (0, 37, 2560), (1, 0, 138), (1, 1, 140), (1, 36, 2786), (1, 37, 2788), (2, 20, 1152)],
)
def test_ac3_frame_sizes_of_table_4_13(rate_code: int, size_code: int, size: int) -> None:
    header = ac3.parse_ac3_header(_ac3_frame(size_code=size_code, rate_code=rate_code))
    assert header.frame_bytes == size


def test_half_rate_ac3() -> None:
    assert Ac3Config(0, 9, 0, 2, False, 10).sample_rate == 24_000


def test_a_change_of_bit_rate_is_no_change_of_configuration() -> None:
    small, large = (Ac3Config.from_sync_frame(_ac3_frame(size_code=code)) for code in (20, 24))
    assert small == large
    assert small.dac3() != large.dac3()
    assert Eac3Config.from_sync_frame(_eac3_frame(size=64)) == Eac3Config.from_sync_frame(
        _eac3_frame(size=80)
    )


def test_dependent_substreams_add_their_channels() -> None:
    pair = 1 << 9  # Lrs/Rrs
    unit = _eac3_frame() + _eac3_frame(stream_type=1, acmod=6, lfe_on=False, channel_map=0b11 << 11 | pair)
    config = Eac3Config.from_sync_frame(unit)
    assert config.substreams == (Eac3Substream(0, 16, 0, 7, True, 1, 0b10),)
    assert config.channels == 8
    assert Eac3Config.from_dec3(config.dec3()).channels == 8
    assert config.samples_in(unit) == 1536


def test_a_second_lfe_is_the_last_channel_location() -> None:
    unit = _eac3_frame() + _eac3_frame(stream_type=1, channel_map=0b10)
    assert Eac3Config.from_sync_frame(unit).substreams[0].channel_locations == 1 << 8


def test_independent_programs_are_listed_and_the_first_one_is_counted() -> None:
    unit = _eac3_frame() + _eac3_frame(substream=1, acmod=1, lfe_on=False)
    config = Eac3Config.from_sync_frame(unit + unit)
    assert [program.acmod for program in config.substreams] == [7, 1]
    assert config.channels == 6
    assert config.samples_in(unit) == 1536


def test_a_payload_without_the_first_program_has_no_duration() -> None:
    config = Eac3Config.from_sync_frame(_eac3_frame())
    with pytest.raises(MediaError, match="first substream"):
        config.samples_in(_eac3_frame(substream=1))


def test_a_payload_of_endless_small_frames_is_refused() -> None:
    config = Eac3Config.from_sync_frame(_eac3_frame())
    with pytest.raises(MediaError, match="more than 64 sync frames"):
        config.samples_in(b"".join(b"\x0b\x77\x00\x02\x34\x80" for _ in range(100_000)))


@pytest.mark.parametrize(("blocks_code", "samples"), [(0, 256), (1, 512), (2, 768), (3, 1536)])
def test_samples_follow_the_number_of_blocks(blocks_code: int, samples: int) -> None:
    frame = _eac3_frame(blocks_code=blocks_code)
    config = Eac3Config.from_sync_frame(frame)
    assert config.samples_in(frame) == samples
    assert config.samples_in(frame * 2) == 2 * samples


def test_half_rate_eac3_has_six_blocks() -> None:
    frame = _eac3_frame(half_rate=True)
    config = Eac3Config.from_sync_frame(frame)
    assert (config.sample_rate, config.samples_in(frame)) == (24_000, 1536)


def test_dual_mono_has_two_dialogue_levels() -> None:
    unit = _eac3_frame(acmod=0, lfe_on=False) + _eac3_frame(stream_type=1, acmod=0, channel_map=1 << 8)
    assert Eac3Config.from_sync_frame(unit).substreams[0].channel_locations == 0b100


def test_access_units_keep_their_substreams_together() -> None:
    unit = _eac3_frame() + _eac3_frame(stream_type=1) + _eac3_frame(substream=1)
    stream = unit * 3
    assert ac3.take_frames(stream) == ([unit] * 3, len(stream))
    assert ac3.take_frames(stream[:-10])[1] == len(stream) - 64


def test_a_dependent_substream_cannot_come_first() -> None:
    with pytest.raises(MediaError, match="dependent"):
        Eac3Config.from_sync_frame(_eac3_frame(stream_type=1))


def test_more_dependent_substreams_than_dec3_can_count_are_refused() -> None:
    dependent = _eac3_frame(stream_type=1)
    Eac3Config.from_sync_frame(_eac3_frame() + 15 * dependent)
    with pytest.raises(MediaError, match="16 dependent"):
        Eac3Config.from_sync_frame(_eac3_frame() + 16 * dependent)


def test_the_two_codecs_are_not_taken_for_each_other() -> None:
    with pytest.raises(MediaError, match="not AC-3"):
        Ac3Config.from_sync_frame(_eac3_frame())
    with pytest.raises(MediaError, match="not E-AC-3"):
        Eac3Config.from_sync_frame(_ac3_frame().ljust(64, b"\0"))


@pytest.mark.parametrize("frame", [_ac3_frame(size_code=38), _ac3_frame(rate_code=3), b"\x0b\x78" + bytes(8)])
def test_reserved_values_of_ac3_are_refused(frame: bytes) -> None:
    with pytest.raises(MediaError):
        Ac3Config.from_sync_frame(frame)


@pytest.mark.parametrize("frame", [_eac3_frame(stream_type=3), b"\x0b\x77\x00\x1f\xf0" + bytes(30)])
def test_reserved_values_of_eac3_are_refused(frame: bytes) -> None:
    with pytest.raises(MediaError):
        Eac3Config.from_sync_frame(frame)


def test_truncated_records_and_headers_are_refused() -> None:
    assert_truncations_refused(Ac3Config.from_dac3, Ac3Config(0, 8, 0, 7, True, 15).dac3())
    assert_truncations_refused(Ac3Config.from_sync_frame, _ac3_frame())
    dec3 = Eac3Config((Eac3Substream(0, 16, 0, 7, True, 1, 2),), 48_000, 640).dec3()
    assert_truncations_refused(Eac3Config.from_dec3, dec3)
    for size in range(7):
        with pytest.raises(MediaError):
            Eac3Config.from_sync_frame(_eac3_frame()[:size])


@given(st.binary(max_size=60))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    for prefix in (b"", b"\x0b\x77"):
        assert_total(Ac3Config.from_sync_frame, prefix + data)
        assert_total(Eac3Config.from_sync_frame, prefix + data)
        assert_total(ac3.take_frames, prefix + data)
        assert_total(Eac3Config((Eac3Substream(0, 16, 0, 2, False),), 48_000, 1).samples_in, prefix + data)
    assert_total(Ac3Config.from_dac3, data)
    assert_total(Eac3Config.from_dec3, data)
