"""How fast the media of an input may enter its stream: in real time, after a burst.

An encoder that does not pace itself (``ffmpeg`` without ``-re``) sends an hour in seconds. A live window
would slide past its viewers before they could fetch anything. What comes early waits; nothing more is read
from the source meanwhile, so that a publisher is slowed down by TCP. Pure: time is a parameter.
"""

from typing import Final

# A source may be that much ahead of real time: what it kept while its network was away, a playlist's segments
# that come whole, the GOP that an upstream server begins with. It is less than half of a default window.
BURST_S: Final = 10.0
# No honest encoder's clock runs 2 % fast, and the players follow at up to 5 %.
FASTEST_PERCENT: Final = 102

_NS_PER_TICK_NUMERATOR: Final = 100_000 * 100  # 90 kHz to nanoseconds, at FASTEST_PERCENT of real time
_NS_PER_TICK_DENOMINATOR: Final = 9 * FASTEST_PERCENT


class Pace:
    """A token bucket in media time: it holds ``burst_s``, and fills at 1.02 times real time.

    It outlives the sources of an input: reconnecting gains no second burst.
    """

    __slots__ = ("_burst_ns", "_zero_ns")

    def __init__(self, burst_s: float = BURST_S) -> None:
        if burst_s < 0:
            raise ValueError(f"burst_s is {burst_s}, below 0")
        self._burst_ns = int(burst_s * 1e9)
        self._zero_ns: int | None = None  # when the frame of time 0 would have been on time

    def due_ns(self, dts_90k: int, now_ns: int) -> int:
        """When a frame of stream time ``dts_90k`` may enter, on the clock of ``now_ns``. A source that is
        behind its last frames' time begins anew from here: it has its whole burst again."""
        since_zero_ns = dts_90k * _NS_PER_TICK_NUMERATOR // _NS_PER_TICK_DENOMINATOR
        if self._zero_ns is None or self._zero_ns + since_zero_ns < now_ns:
            self._zero_ns = now_ns - since_zero_ns
        return self._zero_ns + since_zero_ns - self._burst_ns
