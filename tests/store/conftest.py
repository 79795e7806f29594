"""A store of its own for each test: SQLite always, PostgreSQL too when a server is named.

``OPENSTREAMER_TEST_POSTGRESQL=postgresql://user@host/database`` runs every test of the store there as well;
each test works in a schema that is emptied before.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from openstreamer.store.store import Store

_POSTGRESQL = os.environ.get("OPENSTREAMER_TEST_POSTGRESQL")

StoreFactory = Callable[..., AbstractAsyncContextManager[Store]]


class SteppingClock:
    """One second later at every reading, so that times can be told apart."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture(params=["sqlite", *(["postgresql"] if _POSTGRESQL else [])])
async def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database is."""
    if request.param == "sqlite":
        return str(tmp_path / "data" / "openstreamer.db")
    assert _POSTGRESQL is not None
    connection = await asyncpg.connect(_POSTGRESQL)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    return _POSTGRESQL


@pytest.fixture
def open_store(location: str) -> StoreFactory:
    """Opens the test's database, as often as wanted."""

    def opened(**options: Any) -> AbstractAsyncContextManager[Store]:
        return Store.open(location, now=SteppingClock(), **options)

    return opened


@pytest.fixture
async def store(open_store: StoreFactory) -> AsyncIterator[Store]:
    """An open, empty store."""
    async with open_store() as opened:
        yield opened
