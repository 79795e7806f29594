"""H.265."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class H265Config:
    """The parameter sets of an H.265 track."""

    codec: ClassVar[str] = "h265"
    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]

    @property
    def width(self) -> int:
        return 0

    @property
    def height(self) -> int:
        return 0

    @property
    def frame_rate(self) -> Fraction | None:
        return None
