"""What must hold for every decoder configuration that a parser let through."""

from fractions import Fraction

from openstreamer.media.errors import MediaError
from openstreamer.media.track import AudioConfig, CodecConfig, Track
from openstreamer.wire.mp4.init import init_segment
from openstreamer.wire.pipe_tracks import parse_tracks, serialise_tracks

LONGEST_SIDE = 65_536
LONGEST_PAYLOAD_SAMPLES = 64 * 1536


def check_configuration(config: CodecConfig) -> None:
    """Every property answers sensibly, and the configuration can be written to MP4 and to the pipe."""
    track = Track(1, config)
    assert config.codec_string.isascii()
    assert hash(config) == hash(config)
    if isinstance(config, AudioConfig):
        assert 1 <= config.channels <= 255
        assert config.sample_rate > 0
        assert config.timescale > 0
        assert config.samples_per_frame > 0
        assert Fraction(config.frame_duration) > 0
    else:
        _check_video(config.width, config.height, config.frame_rate, config.sample_aspect_ratio)
    assert init_segment(track)
    assert parse_tracks(serialise_tracks((track,))) == (track,)


def _check_video(
    width: int, height: int, frame_rate: Fraction | None, sample_aspect_ratio: tuple[int, int]
) -> None:
    assert 0 <= width <= LONGEST_SIDE
    assert 0 <= height <= LONGEST_SIDE
    assert frame_rate is None or 0 < frame_rate <= 1000
    assert min(sample_aspect_ratio) > 0


def samples_or_none(config: AudioConfig, payload: bytes) -> int | None:
    """How long a frame says it is; ``None`` when it is malformed."""
    try:
        samples = config.samples_in(payload)
    except MediaError:
        return None
    assert 0 < samples <= LONGEST_PAYLOAD_SAMPLES
    return samples
