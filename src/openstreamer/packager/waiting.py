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
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    await self._change()
                    if condition():
                        return
        except TimeoutError:
            raise NotReady("what was asked for did not appear in time; ask again") from None

    async def _change(self) -> None:
        if len(self._futures) >= self._max_waiters:
            raise NotReady("too many requests are waiting for this stream")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            await future
        finally:
            self._futures.discard(future)
