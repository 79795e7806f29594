"""A deadline for silence that counts only while somebody listens.

A process that was stopped (a paused virtual machine, a busy one) finds its timers due and the data of its
peers waiting in the sockets, and event loops run the timers first: every stream would be given up at once.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

LISTEN_S: Final = 0.1  # the loop has read every socket several times within that


class SilenceDeadline:
    """Raises TimeoutError out of the block it is entered for, like :func:`asyncio.timeout`, but never without
    having listened for the last ``LISTEN_S`` before that. ``after_s`` counts from entering; ``None``: never.

    ``extend`` is asked when it is due: until when to wait instead; ``None``: it is over.
    """

    def __init__(self, after_s: float | None, extend: Callable[[], float | None] = lambda: None) -> None:
        self._after_s = after_s
        self._extend = extend
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._handle: asyncio.TimerHandle | None = None
        self._at_s = 0.0

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self.reschedule(None if self._after_s is None else self._loop.time() + self._after_s)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.reschedule(None)
        await self._timeout.__aexit__(exc_type, exc, tb)

    def reschedule(self, at_s: float | None) -> None:
        """Move it to this time of the loop; ``None``: there is none."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if at_s is not None:
            self._at_s = at_s
            self._handle = self._loop.call_at(at_s - LISTEN_S, self._listen)

    def _listen(self) -> None:
        self._handle = self._loop.call_at(max(self._at_s, self._loop.time() + LISTEN_S), self._expire)

    def _expire(self) -> None:
        at_s = self._extend()
        if at_s is None:
            self._timeout.reschedule(self._loop.time())
        else:
            self.reschedule(at_s)
