"""When sources look at what has come, or is due: all at the same moments.

What costs is waking up, more than what there is to do then: twenty streams that are each read as they please
wake a server a thousand times a second, twenty that are read at the same moments 25 times. So nothing here
waits for its own time, but for the next tick. Pure: time is a parameter, in seconds of the loop's clock.
"""

from typing import Final

TICK_MS: Final = 40  # what a live source is late by at most: a picture at 25/s, an eighth of a part
TICK_S: Final = TICK_MS / 1000
_ROUNDING_MS: Final = 0.001  # of clocks that count whole milliseconds, in binary fractions of a second


def next_tick_s(now_s: float) -> float:
    """The first tick after ``now_s``."""
    return (round(now_s * 1000) // TICK_MS + 1) * TICK_MS / 1000


def tick_before_s(due_s: float, now_s: float) -> float:
    """The last tick up to ``due_s``; ``due_s`` itself where there is none after ``now_s``."""
    tick_s = int(due_s * 1000 + _ROUNDING_MS) // TICK_MS * TICK_MS / 1000
    return tick_s if tick_s > now_s else due_s
