"""VP9."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Vp9Config:
    """The parameter sets of an VP9 track."""

    codec: ClassVar[str] = "vp9"
    profile: int = 0
    level: int = 10

    @property
    def width(self) -> int:
        return 0

    @property
    def height(self) -> int:
        return 0

    @property
    def frame_rate(self) -> Fraction | None:
        return None
