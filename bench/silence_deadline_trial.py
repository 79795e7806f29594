"""What a silence deadline costs per batch of frames: a timeout around each receive, or one that is moved.

python bench/silence_deadline_trial.py
"""

import asyncio
import time

import uvloop

BATCHES = 200_000
BATCHES_PER_STREAM_SECOND = 77  # 30 pictures and 47 AAC frames, each arriving alone


async def around_each() -> None:
    """``asyncio.timeout`` entered and left for every batch."""
    for _ in range(BATCHES):
        async with asyncio.timeout(2.0):
            await asyncio.sleep(0)


async def moved_each() -> None:
    """One timeout, moved for every batch."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(2.0) as deadline:
        for _ in range(BATCHES):
            await asyncio.sleep(0)
            deadline.reschedule(loop.time() + 2.0)


async def moved_sometimes() -> None:
    """One timeout, moved when an eighth of a second has passed: what the ingest does."""
    loop = asyncio.get_running_loop()
    recheck_at_s = 0.0
    async with asyncio.timeout(2.0) as deadline:
        for _ in range(BATCHES):
            await asyncio.sleep(0)
            now_s = loop.time()
            if now_s >= recheck_at_s:
                recheck_at_s = now_s + 0.125
                deadline.reschedule(recheck_at_s + 2.0)


async def nothing() -> None:
    """The loop alone."""
    for _ in range(BATCHES):
        await asyncio.sleep(0)


def main() -> None:
    """Print microseconds per batch, and milliseconds per stream-second over the bare loop."""
    spent_us = {}
    for trial in (nothing, around_each, moved_each, moved_sometimes):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            began_s = time.process_time()
            runner.run(trial())
            spent_us[trial.__name__] = (time.process_time() - began_s) / BATCHES * 1e6
    base_us = spent_us["nothing"]
    for name, each_us in spent_us.items():
        per_second_ms = (each_us - base_us) * BATCHES_PER_STREAM_SECOND / 1000
        print(f"{name:16} {each_us:6.2f} µs per batch  {per_second_ms:6.3f} ms per stream-second")


if __name__ == "__main__":
    main()
