"""H.264."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class H264Config:
    """The parameter sets of an H.264 track."""

    codec: ClassVar[str] = "h264"
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
