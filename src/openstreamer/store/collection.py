"""One table of documents, read through a cache and written inside a change.

Validating a thousand documents costs tens of milliseconds, and the list of streams is asked for every second
by every open page. Specs are immutable and a revision is never used twice, so a parsed record stays valid as
long as its row carries the same revision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic

import structlog
from sqlalchemy import Insert, Row, Table, Update, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openstreamer.config.base import parse, require_known
from openstreamer.media.errors import ConfigError, StoreError
from openstreamer.store.breath import breathe
from openstreamer.store.errors import Conflict
from openstreamer.store.records import Record, Spec
from openstreamer.store.schema import Damaged

_READ_KEYS = 250  # documents read at once
_WRITE_RECORDS = 100  # written by one statement
ABSENT = -1  # as the revision that a change is meant for: there must be no such record yet
_NO_KEY = "its name is not UTF-8 text"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """An open transaction that holds the writers' lock, with the revision and time its records will carry."""

    connection: AsyncConnection
    revision: int
    now: datetime


class Collection(Generic[Spec]):
    """The documents of one kind, keyed by ``code`` or ``id``."""

    def __init__(self, table: Table, model: type[Spec], *, key: str, noun: str) -> None:
        self.noun = noun
        self.key = key
        self._table = table
        self._column = table.c[key]
        self._model = model
        self._cache: dict[str, Record[Spec]] = {}
        self._invalid: dict[str, tuple[int, str]] = {}

    @property
    def invalid(self) -> dict[str, str]:
        """Stored documents that this version refuses, with the reason; kept, and left out of lists."""
        return {key: reason for key, (_revision, reason) in self._invalid.items()}

    async def all(self, connection: AsyncConnection) -> list[Record[Spec]]:
        """Every valid record, ordered by key."""
        rows = await connection.execute(select(self._column, self._table.c.revision))
        revisions = {self._name(row[0], row[1]): row[1] for row in rows}
        changed = [key for key, revision in revisions.items() if not self._is_known(key, revision)]
        for start in range(0, len(changed), _READ_KEYS):
            query = select(self._table).where(self._column.in_(changed[start : start + _READ_KEYS]))
            for count, row in enumerate(await connection.execute(query), 1):
                self._remember(row)
                await breathe(count)
        for gone in (self._cache.keys() | self._invalid.keys()) - revisions.keys():
            self.forget(gone)
        return [self._cache[key] for key in sorted(self._cache)]

    async def get(self, connection: AsyncConnection, key: str) -> Record[Spec] | None:
        """The record, or None. Raises StoreError when it is stored but invalid."""
        query = select(self._table.c.revision).where(self._column == key)
        revision = await connection.scalar(query)
        if revision is None:
            self.forget(key)
            return None
        if not self._is_known(key, revision):
            row = (await connection.execute(select(self._table).where(self._column == key))).one()
            self._remember(row)
        if key in self._invalid:
            message = f"the stored {self.noun} {key!r} is invalid: {self._invalid[key][1]}"
            raise StoreError(message, code="STORED_INVALID")
        return self._cache[key]

    async def document(
        self, connection: AsyncConnection, key: str
    ) -> tuple[dict[str, Any], int, datetime | None] | None:
        """The stored document as it is, valid or not, with its revision and time of creation.

        What cannot be read of it is empty or None: what is written replaces the row whole.
        """
        row = (await connection.execute(select(self._table).where(self._column == key))).one_or_none()
        if row is None:
            return None
        document = {} if isinstance(row.document, Damaged) else dict(row.document)
        return document, row.revision, None if _damage(row) else as_utc(row.created_at)

    async def documents(self, connection: AsyncConnection) -> dict[str, dict[str, Any]]:
        """Every stored document as it is, by key; those in damaged rows are left out, see :meth:`damaged`."""
        rows = await connection.execute(select(self._table).order_by(self._column))
        return {row._mapping[self.key]: dict(row.document) for row in rows if not self._row_damage(row)}

    async def damaged(self, connection: AsyncConnection) -> dict[str, str]:
        """The rows that cannot be read, with the reason."""
        found: dict[str, str] = {}
        for row in await connection.execute(select(self._table).order_by(self._column)):
            if reason := self._row_damage(row):
                found[_shown(row._mapping[self.key])] = reason
        return found

    async def write(self, change: Change, key: str, spec: Spec, created_at: datetime | None) -> Record[Spec]:
        """Insert (``created_at`` None: in place of a damaged row, if there is one) or replace a document."""
        values: dict[str, Any] = {
            "document": spec.document(),
            "revision": change.revision,
            "updated_at": change.now,
        }
        if created_at is None:
            values |= {self.key: key, "created_at": change.now}
            await change.connection.execute(delete(self._table).where(self._column == key))
            await change.connection.execute(insert(self._table).values(values))
        else:
            query = update(self._table).where(self._column == key).values(values)
            await change.connection.execute(query)
        return Record(spec, change.revision, created_at or change.now, change.now)

    async def write_all(self, change: Change, specs: Mapping[str, Spec], *, new: bool) -> None:
        """Insert, or replace, many documents."""
        written = {"revision": change.revision, "updated_at": change.now}
        statement: Insert | Update
        if new:
            statement, written = insert(self._table), {**written, "created_at": change.now}
        else:
            statement = update(self._table).where(self._column == bindparam("key"))
            statement = statement.values({name: bindparam(name) for name in ("document", *written)})
        key = self.key if new else "key"
        rows: list[dict[str, Any]] = []
        for count, (name, spec) in enumerate(specs.items(), 1):
            rows.append({key: name, "document": spec.document(), **written})
            await breathe(count)
        for start in range(0, len(rows), _WRITE_RECORDS):
            await change.connection.execute(statement, rows[start : start + _WRITE_RECORDS])

    async def delete_all(self, change: Change, keys: Sequence[str]) -> None:
        """Remove many documents."""
        for start in range(0, len(keys), _WRITE_RECORDS):
            chosen = self._column.in_(keys[start : start + _WRITE_RECORDS])
            await change.connection.execute(delete(self._table).where(chosen))

    async def delete(self, change: Change, key: str, *, if_match: int | None = None) -> bool:
        """Remove a document; False when there is none."""
        query = select(self._table.c.revision).where(self._column == key)
        revision = await change.connection.scalar(query)
        self.require_revision(key, revision, if_match)
        if revision is None:
            return False
        await change.connection.execute(delete(self._table).where(self._column == key))
        return True

    def require_revision(self, key: str, revision: int | None, if_match: int | None) -> None:
        """Raise REVISION_CONFLICT when the client saw another revision than the stored one."""
        if if_match == ABSENT:
            if revision is not None:
                raise Conflict(f"{self.noun} {key!r} exists already", code="REVISION_CONFLICT")
            return
        if if_match is None or revision == if_match:
            return
        found = "does not exist" if revision is None else f"is at revision {revision}"
        raise Conflict(f"{self.noun} {key!r} {found}, not at {if_match}", code="REVISION_CONFLICT")

    def require_known(self, patch: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
        """Raise ConfigError when ``patch`` clears what is no field."""
        require_known(self._model, patch, stored)

    def parse(self, document: Mapping[str, Any], *, at: str = "") -> Spec:
        """Validate a document of this kind."""
        return parse(self._model, document, at=at)

    def forget(self, key: str) -> None:
        """Drop what is cached of a record."""
        self._cache.pop(key, None)
        self._invalid.pop(key, None)

    def _is_known(self, key: str, revision: int) -> bool:
        record = self._cache.get(key)
        if record is not None and record.revision == revision:
            return True
        invalid = self._invalid.get(key)
        return invalid is not None and invalid[0] == revision

    def _remember(self, row: Row[Any]) -> None:
        key: str = row._mapping[self.key]
        if self._is_known(key, row.revision):
            return
        self.forget(key)
        if reason := _damage(row):
            self._refuse(key, row.revision, f"damaged: {reason}")
            return
        try:
            spec = parse(self._model, row.document)
        except ConfigError as err:
            self._refuse(key, row.revision, str(err))
            return
        self._cache[key] = Record(spec, row.revision, as_utc(row.created_at), as_utc(row.updated_at))

    def _refuse(self, key: str, revision: int, reason: str) -> None:
        self._invalid[key] = (revision, reason)
        _log.error("stored record is invalid", kind=self.noun, key=key, reason=reason)

    def _name(self, key: str | bytes, revision: int) -> str:
        """The key of a row; one that is no text names no record that could be asked for."""
        shown = _shown(key)
        if isinstance(key, bytes) and not self._is_known(shown, revision):
            self._refuse(shown, revision, f"damaged: {_NO_KEY}")
        return shown

    def _row_damage(self, row: Row[Any]) -> str:
        return _NO_KEY if isinstance(row._mapping[self.key], bytes) else _damage(row)


def _shown(key: str | bytes) -> str:
    return key.decode(errors="backslashreplace") if isinstance(key, bytes) else key


def _damage(row: Row[Any]) -> str:
    """What of a row cannot be read; empty when all of it can."""
    if isinstance(row.document, Damaged):
        return row.document.reason
    for column in ("created_at", "updated_at"):
        value = getattr(row, column)
        if isinstance(value, Damaged):
            return f"{column} {value.reason}"
    return "" if isinstance(row.revision, int) else "its revision is not a number"


def as_utc(value: datetime) -> datetime:
    """A stored time with its zone, which SQLite drops; all are written in UTC."""
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
