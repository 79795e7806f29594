"""Migrations give the schema of the tables, from wherever a database stands."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text

from openstreamer.media.errors import StoreError
from openstreamer.store import migrate
from openstreamer.store.schema import HEAD, REVISIONS, metadata
from openstreamer.store.store import Store


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return create_engine(f"sqlite:///{tmp_path / 'db'}")


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


def test_the_listed_revisions_are_the_migrations_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    walked = [revision.revision for revision in script.walk_revisions()]
    assert tuple(reversed(walked)) == REVISIONS
    assert script.get_heads() == [HEAD]


def test_an_empty_database_becomes_the_schema_of_the_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        assert migrate.upgrade(connection)
        assert migrate.current_revision(connection) == HEAD
        assert _differences(connection) == []
        assert connection.scalar(text("SELECT value FROM revision_counter")) == 0
    engine.dispose()


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_earlier_revision_becomes_the_schema_of_the_tables(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        migrate.upgrade(connection, revision)
        assert not migrate.upgrade(connection)
        assert _differences(connection) == []
    engine.dispose()


def _everything(connection: Connection) -> dict[str, object]:
    """Columns, keys and rows of all tables."""
    found = inspect(connection)
    return {
        table: (
            [{**column, "type": str(column["type"])} for column in found.get_columns(table)],
            found.get_pk_constraint(table),
            found.get_indexes(table),
            [tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}"))],
        )
        for table in found.get_table_names()
    }


def test_an_empty_database_is_made_as_the_migrations_would_make_it(tmp_path: Path) -> None:
    made = []
    for name, make in (("once", migrate.upgrade), ("stepwise", lambda c: migrate._run_alembic(c, "head"))):
        engine = create_engine(f"sqlite:///{tmp_path / name}")
        with engine.begin() as connection:
            make(connection)
            made.append(_everything(connection))
        engine.dispose()
    assert made[0] == made[1]


def test_the_comparison_notices_a_missing_column(engine: Engine) -> None:
    with engine.begin() as connection:
        migrate.upgrade(connection)
        connection.execute(text("ALTER TABLE users DROP COLUMN role"))
        assert _differences(connection)
    engine.dispose()


def test_a_failing_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "openstreamer.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("CREATE TABLE policies (x INTEGER)"))  # in the way of the first migration
    engine.dispose()

    async def open_store() -> None:
        async with Store.open(path):
            raise AssertionError("it must not open")

    with pytest.raises(StoreError, match="policies"):
        asyncio.run(open_store())
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        tables = set(connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")))
    engine.dispose()
    assert tables == {"alembic_version", "policies"}
