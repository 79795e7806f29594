import subprocess

import pytest

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import AudioConfig, Track
from openstreamer.packager.silence import silent_frame
from openstreamer.wire.mp4.fragment import audio_fragment
from openstreamer.wire.mp4.init import init_segment
from tests.support.clips import clip

FRAMES = 6


def aac(channel_configuration: int, *, rate_index: int = 3, object_type: int = 2) -> AacConfig:
    value = object_type << 11 | rate_index << 7 | channel_configuration << 3
    return AacConfig(value.to_bytes(2, "big"))


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        *[(aac(configuration), count) for configuration, count in enumerate((1, 2, 3, 4, 5, 6, 8), 1)],
        (aac(2, rate_index=4), 2),
        (AacConfig(bytes.fromhex("2b098800")), 1),
        (OpusConfig(channels=1), 1),
        (OpusConfig(channels=2), 2),
    ],
)
def test_a_decoder_hears_silence_of_the_right_length(config: AudioConfig, channels: int) -> None:
    payload = silent_frame(config)
    assert payload is not None
    samples = config.samples_in(payload)
    data = init_segment(Track(1, config))
    data += audio_fragment(1, 0, [samples, len(payload)] * FRAMES, [payload] * FRAMES)

    command = ["ffmpeg", "-v", "error", "-xerror", "-f", "mp4", "-i", "-", "-f", "s16le"]
    command += [
        "-ac",
        str(channels),
        "-",
    ]  # ffmpeg makes stereo of mono HE-AAC, which might have parametric stereo
    sound = subprocess.run(command, input=data, capture_output=True, timeout=20, check=True)
    assert not sound.stderr
    assert not any(sound.stdout)
    decoded_s = len(sound.stdout) / 2 / channels / config.sample_rate
    assert decoded_s == pytest.approx(FRAMES * samples / config.timescale, abs=0.025)


@pytest.mark.parametrize(
    "config",
    [
        aac(1, object_type=1),
        OpusConfig(6, mapping_family=1, mapping=b"\x04\x02\x00\x04\x01\x02\x03\x05"),
    ],
)
def test_what_cannot_be_written_by_hand_is_left_out(config: AudioConfig) -> None:
    assert silent_frame(config) is None


def test_codecs_that_need_an_encoder_are_left_out() -> None:
    ac3 = clip(video=None, audio="ac3")[0].track.audio
    assert isinstance(ac3, Ac3Config)
    assert silent_frame(ac3) is None
