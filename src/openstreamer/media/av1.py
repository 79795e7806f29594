"""AV1."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Av1Config:
    """The parameter sets of an AV1 track."""

    codec: ClassVar[str] = "av1"
    sequence_header: bytes

    @property
    def width(self) -> int:
        return 0

    @property
    def height(self) -> int:
        return 0

    @property
    def frame_rate(self) -> Fraction | None:
        return None
