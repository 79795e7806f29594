"""MP3."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Mp3Config:
    """What the frame headers of an MPEG audio track say."""

    codec: ClassVar[str] = "mp3"
    sample_rate: int
    channels: int
    layer: int = 3
