"""Tasks with names and owners. The only place that creates bare tasks.

``spawn`` gives a task to an owner who must await or cancel it; ``supervise`` keeps a component alive with a
jittered, exponential backoff; ``cancel_and_wait`` ends tasks and keeps their errors from getting lost.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from openstreamer.media.errors import OpenstreamerError

logger = structlog.get_logger(__name__)

CANCEL_DEADLINE_S = 5.0  # a task that ignores its cancellation for this long is a bug, and is reported


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between attempts: doubling from ``first_s`` to ``most_s``, ±``jitter`` of each."""

    first_s: float = 1.0
    most_s: float = 30.0
    jitter: float = 0.2

    def wait_s(self, attempt: int) -> float:
        """The wait before attempt ``attempt`` (0 is the first retry)."""
        base_s = min(self.most_s, self.first_s * 2.0 ** min(attempt, 16))
        return base_s * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - spreads retries only


def spawn(coroutine: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
    """Start a named task. The caller owns it: it awaits or cancels it."""
    return asyncio.get_running_loop().create_task(coroutine, name=name)


async def supervise(
    name: str,
    factory: Callable[[], Awaitable[None]],
    backoff: Backoff,
    *,
    on_failure: Callable[[Exception], None] | None = None,
) -> None:
    """Run ``factory`` for ever: when it fails, wait and run it again; when it returns, return.

    A failure takes down nothing but this component. ``on_failure`` records it for whoever observes.
    """
    attempt = 0
    loop = asyncio.get_running_loop()
    while True:
        started_s = loop.time()
        try:
            await factory()
        except Exception as err:
            if on_failure is not None:
                on_failure(err)
            expected = isinstance(err, OpenstreamerError)
            logger.warning("component_failed", task=name, error=str(err), exc_info=not expected)
        else:
            return
        if loop.time() - started_s > backoff.most_s:
            attempt = 0
        await asyncio.sleep(backoff.wait_s(attempt))
        attempt += 1


async def cancel_and_wait(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel ``tasks`` and wait, bounded, until they are done; their errors are logged."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if not pending:
        return
    done, late = await asyncio.wait(pending, timeout=CANCEL_DEADLINE_S)
    for task in late:
        logger.error("task_ignores_cancellation", task=task.get_name())
    for task in done:
        if not task.cancelled() and (err := task.exception()) is not None:
            logger.warning("task_failed_while_stopping", task=task.get_name(), error=str(err))
