"""The tables. A record is a JSON document with a revision; only what is searched for has its own columns."""

from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, MetaData, String, Table

# The last migration, and every one there has been, oldest first: a database that names another was written
# by a newer version. Kept here so that an up-to-date database opens without loading Alembic.
REVISIONS: tuple[str, ...] = ("0001",)
HEAD = REVISIONS[-1]

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(table_name)s_%(column_0_name)s"},
)


def _documents(name: str, key: str) -> Table:
    return Table(
        name,
        metadata,
        Column(key, String(128), primary_key=True),
        Column("document", JSON, nullable=False),
        Column("revision", BigInteger, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False),
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
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)

# One row. Raising it is the first statement of every change, which also makes it the lock of all writers.
revision_counter = Table(
    "revision_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)
