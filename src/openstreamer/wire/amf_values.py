"""What AMF0 and AMF3 values become."""

import enum
from dataclasses import dataclass
from typing import TypeAlias

MAX_DEPTH = 16  # Enhanced RTMP's deepest object, colorInfo in onMetaData, is four levels deep
MAX_VALUES = 4096  # values in one message: onMetaData of a file with a long keyframe index has hundreds


class Undefined(enum.Enum):
    """The AMF value ``undefined``, distinct from ``null`` (which is ``None``)."""

    UNDEFINED = "undefined"


UNDEFINED = Undefined.UNDEFINED


@dataclass(frozen=True, slots=True)
class AmfDate:
    """A point in time: milliseconds since the Unix epoch, UTC. The zone is reserved and zero (AMF0, 2.13)."""

    unix_ms: float
    zone: int = 0


class EcmaArray(dict[str, "AmfValue"]):
    """An associative array (AMF0, 2.10); a plain ``dict`` is an anonymous object (2.5)."""


AmfValue: TypeAlias = (
    float | int | bool | str | AmfDate | Undefined | list["AmfValue"] | dict[str, "AmfValue"] | None
)
