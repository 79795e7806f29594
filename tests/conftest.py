"""Settings that hold for every test."""

import gc

import pytest
import structlog
from hypothesis import settings

# An example may take as long as a loaded machine makes it take: no assertion is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


PLAIN_LOGS = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
    structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
]


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """What is logged is shown with a failed test. Tracebacks in structlog's default form, with frames and all
    local values, take seconds to draw each."""
    structlog.configure(processors=PLAIN_LOGS)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of collected tests stay until the end: no garbage collection need look at them again. One
    took 0.2 s with them, and the tests that look for leftovers ask for many."""
    gc.collect()
    gc.freeze()
