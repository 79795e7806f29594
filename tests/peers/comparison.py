"""What was recorded against what was sent, access unit by access unit."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import md5
from itertools import pairwise

from tests.corpus.truth import TICKS_PER_SECOND, Unit, Units

SKEW_MS = 40.0
_STEP_BACK_UNITS = 2  # in decoding order there is none at all; further back is another pass


@dataclass(frozen=True)
class TrackResult:
    """One track. ``sent`` counts from the first unit on the air to the last that the peer sent; ``equal``
    those that came out unchanged, in their place. ``duration_ms`` is how much longer they took than the
    original's. ``shifts``: for each unit its time in the original, and how much later it was served, in s."""

    sent: int
    served: int
    equal: int
    begins_s: float
    duration_ms: float
    shifts: tuple[tuple[float, float], ...] = field(repr=False)

    def problems(self, kind: str, frame_ms: float) -> list[str]:
        """What is not as it must be, in words."""
        found = []
        if abs(self.sent - self.served) > 1:
            found.append(f"{kind}: {self.served} units of {self.sent}")
        if self.equal != self.served:
            found.append(f"{kind}: only {self.equal} units of {self.served} are the encoder's, in its order")
        if abs(self.duration_ms) > frame_ms:
            found.append(f"{kind}: {self.duration_ms:+.1f} ms longer than the original")
        return found


@dataclass(frozen=True)
class Comparison:
    """All tracks, and the worst distance between sound and picture, relative to the original's."""

    tracks: dict[str, TrackResult]
    skew_ms: float
    problems: list[str]


def compare(original: Units, recorded: Units, tail_s: float = 0.0) -> Comparison:
    """Compare each track of the original with what was recorded of it. The peer need not have sent the last
    ``tail_s``."""
    tracks: dict[str, TrackResult] = {}
    problems: list[str] = []
    for kind in ("video", "audio"):
        sent, served = getattr(original, kind), getattr(recorded, kind)
        if not sent:
            continue
        result = compare_track(sent, served, tail_s)
        if result is None:
            problems.append(f"{kind}: nothing of the original was served ({len(served)} units)")
            continue
        tracks[kind] = result
        problems += result.problems(kind, _frame_ms(sent))
    skew_ms = _skew_ms(tracks["video"], tracks["audio"]) if len(tracks) == 2 else 0.0
    if skew_ms >= SKEW_MS:
        problems.append(f"sound and picture are {skew_ms:.1f} ms apart")
    return Comparison(tracks, skew_ms, problems)


def compare_track(sent: Sequence[Unit], served: Sequence[Unit], tail_s: float = 0.0) -> TrackResult | None:
    """None when no unit of the original was served. A second pass over it is left out."""
    places = {_digest(unit): place for place, unit in enumerate(sent)}
    found = [places.get(_digest(unit)) for unit in served]
    start = next((place for place in found if place is not None), None)
    if start is None:
        return None
    found = found[: _end_of_pass(found, len(sent) - 1)]
    served = served[: len(found)]
    pairs = [(sent[place], unit) for place, unit in zip(found, served, strict=True) if place is not None]
    in_place = sum(
        there == here + 1 for here, there in pairwise(place for place in found if place is not None)
    )
    first, last = pairs[0], pairs[-1]
    sure_90k = max(unit.pts_90k for unit in sent) - round(tail_s * TICKS_PER_SECOND)
    sure = [place for place, unit in enumerate(sent) if unit.pts_90k <= sure_90k]
    sent_to = max(sure[-1], *(place for place in found if place is not None))
    longer = (last[1].pts_90k - first[1].pts_90k) - (last[0].pts_90k - first[0].pts_90k)
    return TrackResult(
        sent=sent_to + 1 - start,
        served=len(served),
        equal=in_place + 1,
        begins_s=float((sent[start].pts_90k - sent[0].pts_90k) / TICKS_PER_SECOND),
        duration_ms=float(longer / TICKS_PER_SECOND * 1000),
        shifts=tuple(
            (
                float(there.pts_90k / TICKS_PER_SECOND),
                float((unit.pts_90k - there.pts_90k) / TICKS_PER_SECOND),
            )
            for there, unit in pairs
        ),
    )


def _end_of_pass(places: Sequence[int | None], last: int) -> int:
    """Where the original ends: at its last unit, or before a step back, which a source takes that ended
    without it and is opened again."""
    newest = -1
    for number, place in enumerate(places):
        if place is None:
            continue
        if place == last:
            return number + 1
        if place < newest - _STEP_BACK_UNITS:
            return number
        newest = max(newest, place)
    return len(places)


def _digest(unit: Unit) -> bytes:
    return md5(b"".join(unit.content), usedforsecurity=False).digest()


def _frame_ms(units: Sequence[Unit]) -> float:
    span_90k = max(unit.pts_90k for unit in units) - min(unit.pts_90k for unit in units)
    return float(span_90k / (len(units) - 1) / TICKS_PER_SECOND * 1000)


def _skew_ms(video: TrackResult, audio: TrackResult) -> float:
    """The worst difference between a frame of sound and the picture shown with it."""
    pictures = sorted(video.shifts)
    times = [at_s for at_s, _ in pictures]
    differences = (
        abs(later_s - pictures[max(bisect_right(times, at_s) - 1, 0)][1]) for at_s, later_s in audio.shifts
    )
    return max(differences) * 1000
