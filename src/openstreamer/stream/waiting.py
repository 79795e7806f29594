"""Until when the media of one pulled source are waited for: for the first of them, and then for the next.

Pure: time is a parameter, in seconds of any clock.
"""

from typing import Final

from openstreamer.sources.base import FirstFrameWait, Source, patience_of
from openstreamer.stream.liveness import FIRST_FRAME_DEADLINE_S

SILENCE_CHECKS: Final = 16  # the deadline is moved this often per window: re-arming it per frame would cost
_LEAST_S: Final = 0.1  # waiting on for less than that is not worth a timer


class Waiting:
    """For the media of ``source``, which was connected at ``now_s``."""

    def __init__(self, source: Source, now_s: float) -> None:
        self._source = source
        least_s = max(FIRST_FRAME_DEADLINE_S, patience_of(source))
        self._first = FirstFrameWait(now_s, source.statistics.received_bytes, least_s=least_s)
        self._silence_s: float | None = None  # how long nothing may come, once frames came
        self._told_again_at_s = 0.0

    def came(self, now_s: float, usual_s: float) -> tuple[float, float]:
        """Frames came, of media that may be silent for ``usual_s``: when to tell so again, and until when to
        wait for that."""
        self._silence_s = max(usual_s, patience_of(self._source))
        self._told_again_at_s = now_s + self._silence_s / SILENCE_CHECKS
        return self._told_again_at_s, self._told_again_at_s + self._silence_s

    def longer_until_s(self, now_s: float) -> float | None:
        """Asked when the time is over: until when to wait on, ``None``: it was long enough."""
        if self._silence_s is None:
            return self._first.next_look_s(now_s, self._source.statistics.received_bytes)
        self._silence_s = max(self._silence_s, patience_of(self._source))
        until_s = self._told_again_at_s + self._silence_s
        return until_s if until_s > now_s + _LEAST_S else None

    @property
    def in_vain(self) -> str:
        """What to say of a source that was waited for long enough."""
        if self._silence_s is not None:
            return f"silent for {self._silence_s:g} s"
        came = "no key frame" if self._source.statistics.received_bytes else "no media"
        return f"{came} within {self._first.limit_s:g} s"
