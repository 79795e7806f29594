"""How late the event loop runs what is due: the first number to look at when something stutters."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from openstreamer.stream.histogram import Histogram

PROBE_INTERVAL_S = 0.25  # four wake-ups a second see every stall above that and cost nothing measurable
LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """Sleeps and measures by how much it overslept. ``run`` is a task of whoever composes the server."""

    def __init__(
        self,
        *,
        clock_s: Callable[[], float] = time.monotonic,  # uvloop's own clock counts whole milliseconds
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.histogram = Histogram(LAG_BOUNDS_S)
        self._clock_s = clock_s
        self._sleep = sleep

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            asked_s = self._clock_s()
            await self._sleep(PROBE_INTERVAL_S)
            self.histogram.observe(max(0.0, self._clock_s() - asked_s - PROBE_INTERVAL_S))
