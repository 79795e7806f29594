"""The table of users of the admin API."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic_core import PydanticCustomError
from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openstreamer.config.global_config import check_password_hash, check_username
from openstreamer.media.errors import ConfigError, StoreError
from openstreamer.store import schema
from openstreamer.store.collection import Change, as_utc
from openstreamer.store.records import UserRecord

_users = schema.users


async def read_users(connection: AsyncConnection) -> list[UserRecord]:
    """All users by name."""
    rows = await connection.execute(select(_users).order_by(_users.c.name))
    return [UserRecord(*_readable(row), _time(row.created_at), _time(row.updated_at)) for row in rows]


def _readable(row: Row[Any]) -> tuple[str, str, Literal["read", "write"]]:
    """Nobody is let in while a user cannot be read: without its last one the API would be open."""
    name, password_hash, role = row.name, row.password_hash, row.role
    if isinstance(name, bytes) or isinstance(password_hash, bytes) or role not in ("read", "write"):
        raise StoreError("a stored user is damaged; remove it or add it anew", code="STORED_INVALID")
    return name, password_hash, role


def _time(stored: datetime | schema.Damaged) -> datetime:
    """Times of users are shown only; a damaged one must not lock out everybody."""
    return datetime.fromtimestamp(0, UTC) if isinstance(stored, schema.Damaged) else as_utc(stored)


async def write_user(
    change: Change, name: str, password_hash: str, role: Literal["read", "write"]
) -> UserRecord:
    """Add a user or replace password and role."""
    created_at: datetime | schema.Damaged | None = await change.connection.scalar(
        select(_users.c.created_at).where(_users.c.name == name)
    )
    values: dict[str, Any] = {"password_hash": password_hash, "role": role, "updated_at": change.now}
    if isinstance(created_at, schema.Damaged):
        created_at = values["created_at"] = change.now
    if created_at is None:
        values |= {"name": name, "created_at": change.now}
        await change.connection.execute(insert(_users).values(values))
    else:
        await change.connection.execute(update(_users).where(_users.c.name == name).values(values))
    return UserRecord(name, password_hash, role, as_utc(created_at or change.now), change.now)


async def remove_user(change: Change, name: str) -> bool:
    """Remove a user; False when there is none."""
    result = await change.connection.execute(delete(_users).where(_users.c.name == name))
    return result.rowcount > 0


def require_user(name: str, password_hash: str, role: str) -> None:
    """Raise ConfigError when a user cannot be stored like this."""
    try:
        check_username(name)
    except PydanticCustomError as err:
        raise ConfigError(f"username: {err.message()}", field="username") from err
    try:
        check_password_hash(password_hash)
    except PydanticCustomError as err:
        raise ConfigError(f"password_hash: {err.message()}", field="password_hash") from err
    if role not in ("read", "write"):
        raise ConfigError("role: must be read or write", field="role")
