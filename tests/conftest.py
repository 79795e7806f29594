"""Settings that hold for every test."""

import gc

import pytest
from hypothesis import settings

# An example may take as long as a loaded machine makes it take: no assertion is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of collected tests stay until the end: no garbage collection need look at them again. One
    took 0.2 s with them, and the tests that look for leftovers ask for many."""
    gc.collect()
    gc.freeze()
