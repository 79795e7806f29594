"""How long an input may bring nothing before it counts as silent.

``manager.input_packet_timeout_sec`` for usual media. A camera of one picture in four seconds would be silent
between any two of its pictures: what comes that seldom is waited for as long as two pictures and a half, so
that a late one, or a lost one, changes no status. How seldom is seen at the second picture, which is given as
long as the first one had. The slowest track decides for all of its source: multiplexers send in the order of
decoding times, so that the sound of such a camera comes in bursts, with its pictures.
"""

from collections.abc import Iterable
from typing import Final

FIRST_FRAME_DEADLINE_S: Final = 5.0  # two long GOPs: a source that yields nothing is no source (DESIGN 5)
STEPS_WAITED: Final = 2.5


def silence_limit_s(base_s: float, usual_steps_s: Iterable[float | None]) -> float:
    """After how many seconds without a frame a track of a source is silent, whose tracks have these usual
    distances of frames; ``None``: not known after a single frame."""
    return max([base_s, *(_track_limit_s(step_s) for step_s in usual_steps_s)])


def _track_limit_s(step_s: float | None) -> float:
    return FIRST_FRAME_DEADLINE_S if step_s is None else STEPS_WAITED * step_s
