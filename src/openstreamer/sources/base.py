"""The contract of every source.

A source is an async context manager. Entering it connects (and may raise); ``receive`` returns the next
frames; leaving it closes everything it opened. It knows no hub and no stream.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self, runtime_checkable

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.demuxer import ListedProgram

KEY_FRAME_DEADLINE_S: Final = 12.0  # for the key frame of media that comes: GOPs of 10 s are in use
QUIET_S: Final = 2.0  # without a byte, media comes no more
LOOK_S: Final = 0.5  # between two looks at what was received
_EARLY_S: Final = 0.001  # timers may come too early by the resolution of the clock


@dataclass(slots=True)
class SourceStatistics:
    """What a source counted since it was opened."""

    received_bytes: int = 0
    received_packets: int = 0
    lost_packets: int = 0
    dropped_frames: int = 0
    reconnects: int = 0  # connections after the first one, made without ending the source
    malformed: int = 0  # what could not be understood; where that is a frame, it is dropped, too

    def __add__(self, other: "SourceStatistics") -> "SourceStatistics":
        return SourceStatistics(
            self.received_bytes + other.received_bytes,
            self.received_packets + other.received_packets,
            self.lost_packets + other.lost_packets,
            self.dropped_frames + other.dropped_frames,
            self.reconnects + other.reconnects,
            self.malformed + other.malformed,
        )


class Source(Protocol):
    """Where frames come from.

    Promises, checked by the contract suite for every source:

    - the first frame of every video track is a key frame, and its ``track.config`` has all parameter sets;
    - ``tracks`` is complete when the first frames are returned, so that a consumer need not guess whether
      audio is still to come; a later change is a new ``Track`` object with the same ``id``, and ``receive``
      returns no frames of both in one list: ``tracks`` always goes with what was returned last;
    - timestamps are in 90 kHz of the source's own origin, already unwrapped; DTS do not fall per track;
    - ``receive`` never returns an empty list, and raises a :class:`SourceError` subclass when there is no
      more: ``SourceEnded``, ``SourceUnreachable``, ``SourceRejected``, ``SourceStalled``;
    - cancelling it returns within 200 ms; whatever it buffers is bounded.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    async def receive(self) -> list[Frame]:
        """The next frames in decoding order, at least one."""
        ...

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far; complete once ``receive`` has returned."""
        ...

    @property
    def protocol(self) -> str:
        """The metric label of this source: ``rtmp``, ``srt``, ``test`` …"""
        ...

    @property
    def statistics(self) -> SourceStatistics: ...

    @property
    def arrived_ns(self) -> int | None:
        """When the oldest frame of the last batch came off the network (monotonic), where that is known."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A source that may say nothing for longer than others without being dead: one that pulls segments."""

    @property
    def patience_s(self) -> float:
        """How long; it may change while the source is open."""
        ...


@runtime_checkable
class Programmed(Protocol):
    """A source of a container that may hold several programs."""

    @property
    def programs(self) -> tuple[ListedProgram, ...]:
        """All of them as far as they are known, read or not; also after the source failed."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A source that may go on without a part of what it is sent."""

    @property
    def left_out(self) -> str | None:
        """What that is and why, in words."""
        ...


def left_out_of(source: object) -> str | None:
    """What ``source``, or a reader inside of one, goes on without."""
    return source.left_out if isinstance(source, Selective) else None


def programs_of(source: Source) -> tuple[ListedProgram, ...]:
    """The programs that ``source`` knows of."""
    return source.programs if isinstance(source, Programmed) else ()


def patience_of(source: Source) -> float:
    """How long ``source`` asks to be waited for, in seconds; 0 for sources that do not ask."""
    return source.patience_s if isinstance(source, Patient) else 0.0


class FirstFrameWait:
    """How long a source is waited for that is connected and has not yielded a frame: ``least_s`` in any case,
    and for as long as bytes come, ``most_s`` at the most.

    One that sends media and only lacks a key frame is worth more than a new connection, which would wait for
    the same key frame again. Pure: time is a parameter.
    """

    def __init__(
        self, now_s: float, received_bytes: int, *, least_s: float, most_s: float = KEY_FRAME_DEADLINE_S
    ) -> None:
        self._begun_s = now_s
        self._received_bytes = received_bytes
        self._least_s = least_s
        self._most_s = max(least_s, most_s)
        self.limit_s = least_s
        """How long in total, by what is known so far."""

    @property
    def extended(self) -> bool:
        """Whether bytes came, so that it is waited for longer."""
        return self.limit_s > self._least_s

    def next_look_s(self, now_s: float, received_bytes: int) -> float | None:
        """When to look again, given what was received until now; ``None``: it was waited long enough."""
        if received_bytes > self._received_bytes:
            self._received_bytes = received_bytes
            self.limit_s = min(self._most_s, max(self._least_s, now_s - self._begun_s + QUIET_S))
        over_s = self._begun_s + self.limit_s
        return None if now_s + _EARLY_S >= over_s else min(over_s, now_s + LOOK_S)
