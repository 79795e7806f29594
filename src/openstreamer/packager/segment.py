"""What packaging produces: initialisation segments, parts, segments; and the events that announce them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from openstreamer.media.track import Track, TrackKind


@dataclass(frozen=True, slots=True)
class Init:
    """An initialisation segment. ``number`` is the media sequence number it came into use with, so that
    names are never reused, over restarts of the server included."""

    kind: TrackKind
    number: int
    track: Track
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.kind.value}_init_{self.number}.mp4"


@dataclass(frozen=True, slots=True)
class Part:
    """A partial segment: one CMAF chunk, and how long it really lasts."""

    index: int
    duration_s: float
    independent: bool
    data: bytes


@dataclass(slots=True)
class Generation:
    """A period of one source and one set of decoder configurations.

    ``part_target_s`` and ``frame_rate`` (of video) are learned from the first frames and then fixed.
    """

    video: Track | None
    audio: Track | None
    part_target_s: float | None
    frame_rate: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a segment begins, decided once and applied to every track."""

    msn: int
    pts_90k: int
    epoch: int
    generation: Generation
    discontinuity: bool
    discontinuity_sequence: int
    program_date_time_ms: int


class Segment:
    """One media segment of one track; it grows by parts until it is closed. Its bytes are its parts'.

    ``start_pts_90k`` and ``end_pts_90k`` are its place on the stream's clock; ``gap`` says that nothing
    arrived for it. Times in ``duration_s`` are exact in the track's own timescale.
    """

    __slots__ = (
        "closed",
        "duration_s",
        "gap",
        "independent",
        "init",
        "kind",
        "lines",
        "lines_with_parts",
        "opening",
        "parts",
        "size_bytes",
        "start_pts_90k",
    )

    def __init__(self, kind: TrackKind, opening: Opening, init: Init | None) -> None:
        self.kind = kind
        self.opening = opening
        self.init = init
        self.parts: list[Part] = []
        self.closed = False
        self.gap = False
        self.independent = True
        self.duration_s = 0.0
        self.start_pts_90k = opening.pts_90k
        self.size_bytes = 0
        # The playlist's lines of a closed segment, rendered once.
        self.lines: str | None = None
        self.lines_with_parts: str | None = None

    @property
    def msn(self) -> int:
        return self.opening.msn

    @property
    def chunks(self) -> tuple[bytes, ...]:
        """The segment's bytes, as its parts: no second copy."""
        return tuple(part.data for part in self.parts)

    @property
    def program_date_time_ms(self) -> int:
        """Wall-clock time of its first sample."""
        return self.opening.program_date_time_ms + (self.start_pts_90k - self.opening.pts_90k) // 90

    @property
    def parts_duration_s(self) -> float:
        return sum(part.duration_s for part in self.parts)

    def __repr__(self) -> str:
        state = "gap" if self.gap else "closed" if self.closed else "open"
        return f"<Segment {self.msn} {state} {len(self.parts)} parts {self.duration_s:.3f} s>"


@dataclass(frozen=True, slots=True)
class PartReady:
    """A part can be fetched."""

    kind: TrackKind
    segment: Segment
    part: Part


@dataclass(frozen=True, slots=True)
class SegmentReady:
    """A segment is complete; it will not change any more."""

    kind: TrackKind
    segment: Segment


PackagerEvent: TypeAlias = PartReady | SegmentReady
