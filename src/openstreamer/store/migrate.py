"""Brings a database to the schema of this version, in one transaction, or refuses it."""

from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    text,
)

from openstreamer.media.errors import StoreError
from openstreamer.store import schema
from openstreamer.store.schema import HEAD, REVISIONS

_MIGRATIONS = Path(__file__).parent / "migrations"
_version = Table(  # as Alembic makes it
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def current_revision(connection: Connection) -> str | None:
    """The schema revision of the database, None when it is empty.

    Raises StoreError for a database that another program, or a newer version of this one, has written.
    """
    tables = inspect(connection).get_table_names()
    if "alembic_version" not in tables:
        if tables:
            raise StoreError(
                f"the database holds the table {tables[0]!r} but was not made by openstreamer",
                code="STORE_FOREIGN",
            )
        return None
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is not None and revision not in REVISIONS:
        raise StoreError(
            f"the database has schema {revision}, written by a newer version; this one knows up to {HEAD}. "
            "Run the newer version again, or restore a backup from before the upgrade",
            code="STORE_TOO_NEW",
        )
    return None if revision is None else str(revision)


def upgrade(connection: Connection, to: str = "head") -> bool:
    """Run the missing migrations; returns whether the database was empty before."""
    current = current_revision(connection)
    if current is None and to == "head" and not inspect(connection).get_table_names():
        _create(connection)
    elif current != HEAD:
        _run_alembic(connection, to)
    return current is None


def _create(connection: Connection) -> None:
    """What all migrations together would make of an empty database, without loading Alembic: that takes as
    long as half of the server's start, and 10 MB for as long as it runs."""
    schema.metadata.create_all(connection, checkfirst=False)
    _version.create(connection)
    connection.execute(insert(schema.revision_counter).values(id=1, value=0))
    connection.execute(insert(_version).values(version_num=HEAD))


def _run_alembic(connection: Connection, to: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, to)
