"""Tracks: what a stream consists of, as immutable values."""

import enum
from dataclasses import dataclass, field
from typing import TypeAlias

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.vp9 import Vp9Config

VideoConfig: TypeAlias = H264Config | H265Config | Av1Config | Vp9Config
AudioConfig: TypeAlias = AacConfig | OpusConfig | Mp3Config | Ac3Config | Eac3Config
CodecConfig: TypeAlias = VideoConfig | AudioConfig

# For isinstance: building a union at each call costs twenty times the check.
_VIDEO_CONFIGS = (H264Config, H265Config, Av1Config, Vp9Config)
_AUDIO_CONFIGS = (AacConfig, OpusConfig, Mp3Config, Ac3Config, Eac3Config)


class TrackKind(enum.Enum):
    """What a track carries."""

    VIDEO = "video"
    AUDIO = "audio"
    DATA = "data"


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream. A change of its decoder configuration is a new ``Track``.

    ``id`` is stable over such a change and unique within a stream; ``config`` holds the parameter sets
    and what they say; ``language`` is a BCP 47 tag.
    """

    id: int
    config: CodecConfig
    language: str = "und"
    kind: TrackKind = field(init=False, compare=False)
    is_video: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        is_video = isinstance(self.config, _VIDEO_CONFIGS)
        object.__setattr__(self, "is_video", is_video)
        object.__setattr__(self, "kind", TrackKind.VIDEO if is_video else TrackKind.AUDIO)

    @property
    def video(self) -> VideoConfig:
        """The decoder configuration, of a track that is known to be video."""
        config = self.config
        assert isinstance(config, _VIDEO_CONFIGS)
        return config

    @property
    def audio(self) -> AudioConfig:
        """The decoder configuration, of a track that is known to be audio."""
        config = self.config
        assert isinstance(config, _AUDIO_CONFIGS)
        return config

    @property
    def codec(self) -> str:
        """The codec's name as the API spells it: ``h264``, ``aac`` …"""
        return self.config.codec
