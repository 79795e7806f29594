"""Long loops on the event loop let other work run: media is late by a whole loop otherwise."""

import asyncio
from typing import Final

BREATH_RECORDS: Final = 16  # each is validated, observed or encoded in 0.05 to 0.2 ms


async def breathe(count: int) -> None:
    """Let other work run after every few records; ``count`` is how many were done."""
    if count % BREATH_RECORDS == 0:
        await asyncio.sleep(0)
