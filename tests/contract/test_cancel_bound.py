"""The suite's one bound of time: it must catch a source that takes its time to go."""

import asyncio

import pytest

from tests.contract.source_suite import cancel
from tests.support.virtual_time import VirtualTimeLoop, run_virtual


async def leaving_after(seconds: float) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(("takes_s", "passes"), [(0.0, True), (0.19, True), (1.0, False)])
def test_a_source_may_take_200_ms_to_be_cancelled(takes_s: float, passes: bool) -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        task = loop.create_task(leaving_after(takes_s))
        await asyncio.sleep(0)
        if passes:
            await cancel(task)
        else:
            with pytest.raises(AssertionError, match=r"cancelling took 1\.000 s"):
                await cancel(task)

    run_virtual(scenario)
