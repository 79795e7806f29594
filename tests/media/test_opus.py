from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.media import opus
from openstreamer.media.errors import MediaError
from openstreamer.media.opus import OpusConfig
from tests.media.bitstreams import assert_total, assert_truncations_refused
from tests.media.conftest import Encoded


@st.composite
def configs(draw: st.DrawFn) -> OpusConfig:
    family = draw(st.sampled_from([0, 1, 255]))
    channels = draw(st.integers(1, 255 if family else 2))
    mapping = b""
    if family:
        streams = draw(st.integers(1, 128))
        coupled = draw(st.integers(0, min(streams, 127)))
        mapping = bytes((streams, coupled)) + draw(st.binary(min_size=channels, max_size=channels))
    return OpusConfig(
        channels=channels,
        pre_skip=draw(st.integers(0, 65_535)),
        input_sample_rate=draw(st.integers(0, 192_000)),
        output_gain=draw(st.integers(-32_768, 32_767)),
        mapping_family=family,
        mapping=mapping,
    )


@given(configs())
def test_opus_head_and_dops_round_trips(config: OpusConfig) -> None:
    assert OpusConfig.from_opus_head(config.opus_head()) == config
    assert OpusConfig.from_dops(config.dops()) == config


@pytest.mark.parametrize("name", ["opus", "opus_surround"])
def test_encoder_output_agrees_with_ffprobe(encoded: dict[str, Encoded], name: str) -> None:
    track = encoded[name]
    config = OpusConfig.from_opus_head(track.extradata)
    assert config.channels == track.probe["channels"]
    assert config.sample_rate == config.timescale == int(track.probe["sample_rate"])
    assert config.opus_head() == track.extradata
    assert [config.samples_in(sample) for sample in track.samples] == [960] * len(track.samples)


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\x00", 480),  # SILK 10 ms
        (b"\x08", 960),
        (b"\x10", 1920),
        (b"\x18", 2880),
        (b"\x60", 480),  # hybrid 10 ms
        (b"\x7c", 960),
        (b"\x80", 120),  # CELT 2.5 ms
        (b"\xfc", 960),
        (b"\xfd", 1920),  # two frames of equal size
        (b"\xfe", 1920),  # two frames
        (b"\xff\x03", 2880),  # three frames
        (b"\x83\x30", 5760),  # 48 frames of 2.5 ms: 120 ms
        (b"\x1b\x02", 5760),
        (b"\x1b\xc2", 5760),  # with padding, of variable size
    ],
)
def test_packet_durations(packet: bytes, samples: int) -> None:
    assert opus.packet_samples(packet) == samples


@pytest.mark.parametrize("packet", [b"", b"\xff", b"\xff\x00", b"\x83\x31", b"\x1b\x03"])
def test_packets_without_a_frame_or_over_120_ms_are_refused(packet: bytes) -> None:
    with pytest.raises(MediaError):
        opus.packet_samples(packet)


@pytest.mark.parametrize(
    "changes",
    [
        lambda: OpusConfig(channels=0),
        lambda: OpusConfig(channels=3),
        lambda: OpusConfig(mapping=b"\x01\x00\x00"),
        lambda: OpusConfig(channels=3, mapping_family=1, mapping=b"\x02\x01\x00\x01"),
        lambda: OpusConfig(channels=1, mapping_family=1, mapping=b"\x00\x00\x00"),
        lambda: OpusConfig(channels=1, mapping_family=1, mapping=b"\x01\x02\x00"),
        lambda: OpusConfig(channels=1, mapping_family=1, mapping=b"\xff\x01\x00"),
    ],
)
def test_impossible_channel_mappings_are_refused(changes: Callable[[], OpusConfig]) -> None:
    with pytest.raises(MediaError):
        changes()


def test_unknown_versions_are_refused() -> None:
    head = bytearray(OpusConfig().opus_head())
    head[8] = 15
    OpusConfig.from_opus_head(bytes(head))  # minor versions are compatible (RFC 7845 section 5.1)
    head[8] = 16
    with pytest.raises(MediaError, match="version 16"):
        OpusConfig.from_opus_head(bytes(head))
    with pytest.raises(MediaError, match="version 1"):
        OpusConfig.from_dops(b"\x01" + OpusConfig().dops()[1:])


def test_truncated_records_are_refused() -> None:
    surround = OpusConfig(channels=6, mapping_family=1, mapping=b"\x04\x02\x00\x04\x01\x02\x03\x05")
    for config in (OpusConfig(), surround):
        assert_truncations_refused(OpusConfig.from_opus_head, config.opus_head())
        assert_truncations_refused(OpusConfig.from_dops, config.dops())


@given(st.binary(max_size=40))
def test_any_bytes_raise_nothing_else(data: bytes) -> None:
    assert_total(OpusConfig.from_opus_head, data)
    assert_total(OpusConfig.from_opus_head, b"OpusHead" + data)
    assert_total(OpusConfig.from_dops, data)
    assert_total(opus.packet_samples, data)
