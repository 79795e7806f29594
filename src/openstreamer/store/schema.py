"""The tables. A record is a JSON document with a revision; only what is searched for has its own columns."""

from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Dialect, Integer, MetaData, String, Table
from sqlalchemy.types import TypeDecorator

# The last migration, and every one there has been, oldest first: a database that names another was written
# by a newer version. Kept here so that an up-to-date database opens without loading Alembic.
REVISIONS: tuple[str, ...] = ("0001",)
HEAD = REVISIONS[-1]


@dataclass(frozen=True, slots=True)
class Damaged:
    """Stands for a value that cannot be read; the row keeps it as it is."""

    reason: str


_Read = Callable[[Any], Any]


class StoredDocument(TypeDecorator[Any]):
    """A JSON object, or :class:`Damaged`: one bad row must not fail the query that reads all of them."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> _Read:
        """Reads a document."""
        read = super().result_processor(dialect, coltype)

        def read_document(stored: Any) -> Any:
            try:
                text = stored.decode() if isinstance(stored, bytes) else stored
                document = text if read is None else read(text)
            except UnicodeDecodeError:
                return Damaged("the document is not UTF-8 text")
            except (ValueError, TypeError, RecursionError) as err:
                return Damaged(f"the document is not JSON{_place(err)}")
            return document if isinstance(document, dict) else Damaged("the document is not a JSON object")

        return read_document


class StoredTime(TypeDecorator[Any]):
    """A time with its zone, or :class:`Damaged`."""

    impl = DateTime
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> _Read | None:
        """Reads a time."""
        read = super().result_processor(dialect, coltype)
        if read is None:
            return None

        def read_time(stored: Any) -> Any:
            try:
                return read(stored)
            except (ValueError, TypeError):
                return Damaged("is not a time")

        return read_time


def _place(err: Exception) -> str:
    return f" ({err.msg} at character {err.pos})" if isinstance(err, JSONDecodeError) else ""


metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_name)s"},
)


def _documents(name: str, key: str) -> Table:
    return Table(
        name,
        metadata,
        Column(key, String(128), primary_key=True),
        Column("document", StoredDocument, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("created_at", StoredTime(timezone=True), nullable=False),
        Column("updated_at", StoredTime(timezone=True), nullable=False),
    )


streams = _documents("streams", "code")
templates = _documents("templates", "code")
policies = _documents("policies", "code")
hooks = _documents("hooks", "id")
global_config = _documents("global_config", "name")  # one row, named "global"

users = Table(
    "users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("password_hash", String(512), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", StoredTime(timezone=True), nullable=False),
    Column("updated_at", StoredTime(timezone=True), nullable=False),
)

# One row. Raising it is the first statement of every change, which also makes it the lock of all writers.
revision_counter = Table(
    "revision_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)
