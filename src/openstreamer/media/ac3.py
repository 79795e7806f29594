"""AC-3 and E-AC-3."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Ac3Config:
    """What an AC-3 track's sync frames say."""

    codec: ClassVar[str] = "ac3"
    sample_rate: int


@dataclass(frozen=True, slots=True)
class Eac3Config:
    """What an E-AC-3 track's sync frames say."""

    codec: ClassVar[str] = "eac3"
    sample_rate: int
