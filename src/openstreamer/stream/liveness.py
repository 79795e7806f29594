"""How long a track may bring nothing before it counts as silent.

``manager.input_packet_timeout_sec`` for usual media. A camera of one picture in four seconds would be silent
between any two of its pictures: what comes that seldom is waited for as long as two pictures and a half, so
that a late one, or a lost one, changes no status. How seldom is seen at the second picture, which is given as
long as the first one had.
"""

from collections.abc import Iterable
from typing import Final

FIRST_FRAME_DEADLINE_S: Final = 5.0  # two long GOPs: a source that yields nothing is no source (DESIGN 5)
STEPS_WAITED: Final = 2.5


def silence_limit_s(base_s: float, usual_steps_s: Iterable[float | None]) -> float:
    """After how many seconds without any frame the tracks with these usual distances of frames are silent;
    ``None``: not known after a single frame. The track that brings the most decides."""
    limits_s = [_track_limit_s(base_s, step_s) for step_s in usual_steps_s]
    return min(limits_s, default=base_s)


def _track_limit_s(base_s: float, step_s: float | None) -> float:
    return max(base_s, FIRST_FRAME_DEADLINE_S if step_s is None else STEPS_WAITED * step_s)
