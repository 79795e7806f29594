"""Opus."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class OpusConfig:
    """The identification header of an Opus track."""

    codec: ClassVar[str] = "opus"
    channels: int = 2
    pre_skip: int = 312
    input_sample_rate: int = 48_000
    output_gain: int = 0
    mapping_family: int = 0
    mapping: bytes = b""
