"""Waiting for something that no event announces: a bounded look again and again."""

import asyncio
from collections.abc import Callable

LOOK_EVERY_S = 0.005


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Return True as soon as ``condition`` holds, False when it does not within ``within_s``."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while True:
        if condition():
            return True
        if loop.time() >= deadline_s:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
