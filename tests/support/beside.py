"""Work that goes on beside a test, and has an owner: no error of it gets lost."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Task[T]"]:
    """Run ``work`` while the block runs, and cancel what is left of it then. Raises what it ended with."""
    task = asyncio.get_running_loop().create_task(work, name="test/beside")
    try:
        yield task
    finally:
        await end((task,))


async def end(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel what still runs, wait for all, and raise the errors that there were."""
    listed = list(tasks)
    for task in listed:
        task.cancel()
    results = await asyncio.gather(*listed, return_exceptions=True)
    errors = [result for result in results if isinstance(result, Exception)]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup("work beside the test failed", errors)
