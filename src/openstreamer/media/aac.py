"""AAC."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class AacConfig:
    """The AudioSpecificConfig of an AAC track."""

    codec: ClassVar[str] = "aac"
    audio_specific_config: bytes
