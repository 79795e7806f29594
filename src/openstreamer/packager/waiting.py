"""Waiting for the next part, in bounded numbers."""

import asyncio
from collections.abc import Callable

from openstreamer.packager.errors import NotReady


class WaitingRoom:
    """Requests that wait until something is there. All are woken by one call per change and look again.

    ``max_waiters`` bounds how many may wait; the next one is told so at once.
    """

    def __init__(self, max_waiters: int) -> None:
        self._max_waiters = max_waiters
        self._futures: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return len(self._futures)

    def wake(self) -> None:
        """Something changed."""
        if not self._futures:
            return
        futures, self._futures = self._futures, set()
        for future in futures:
            if not future.done():
                future.set_result(None)

    async def until(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Wait until ``condition`` holds; raises :class:`NotReady` after ``limit_s``."""
        if condition():
            return
        loop = asyncio.get_running_loop()
        end_s = loop.time() + limit_s
        while True:
            if len(self._futures) >= self._max_waiters:
                raise NotReady("too many requests are waiting for this stream")
            future: asyncio.Future[None] = loop.create_future()
            self._futures.add(future)
            # Not asyncio.timeout: a request gets its task when it begins to wait, which is here.
            timer = loop.call_at(end_s, _expire, future)
            try:
                await future
            finally:
                timer.cancel()
                self._futures.discard(future)
            if condition():
                return


def _expire(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_exception(NotReady("what was asked for did not appear in time; ask again"))
