"""The durable configuration: what operators declared, and nothing that happens at run time.

Every change is one transaction: it takes the writers' lock, is validated against what is stored then, and is
on the disk before the call returns. Two changes of one record follow each other, so none is lost.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Self

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from openstreamer.config.base import check_document
from openstreamer.config.codes import (
    validate_hook_id,
    validate_policy_code,
    validate_stream_code,
    validate_template_code,
)
from openstreamer.config.merge import merge, without_read_only
from openstreamer.config.models import GlobalConfig, Stream, Template
from openstreamer.config.secrets import unmask
from openstreamer.media.errors import ConfigError, StoreError
from openstreamer.store import integrity, schema
from openstreamer.store.collection import Change, Collection
from openstreamer.store.database import (
    Location,
    create_engine,
    locate,
    prepare_directory,
    translated,
    use_write_ahead_log,
    verify_integrity,
)
from openstreamer.store.exchange import GLOBAL_KEY, export_document, import_document, settings_of
from openstreamer.store.full_disk import Sharing, connected
from openstreamer.store.migrate import upgrade
from openstreamer.store.records import (
    HookRecord,
    ImportResult,
    PolicyRecord,
    Record,
    Spec,
    StreamRecord,
    TemplateRecord,
    UserRecord,
)
from openstreamer.store.tables import Tables
from openstreamer.store.users import read_users, remove_user, require_user, write_user

MAX_DATABASE_BYTES = 4 << 30

Patch = Mapping[str, Any]
Check = Callable[[AsyncConnection, Spec], Awaitable[None]]
SettingsCheck = Callable[[GlobalConfig, GlobalConfig], Awaitable[None]]
"""Raises ConfigError when the second may not follow the first, for a reason outside the configuration."""


async def _accept_settings(_before: GlobalConfig, _wanted: GlobalConfig) -> None:
    """Of whoever does not serve with them."""


class Store:
    """The configuration in its database; made by :meth:`open`.

    Methods raise ConfigError (what was given cannot be; ``field`` names it), Conflict (it contradicts what is
    stored) or StoreError (the database fails).
    """

    def __init__(
        self,
        location: Location,
        now: Callable[[], datetime],
        max_bytes: int,
        check_settings: SettingsCheck,
    ) -> None:
        self._sharing = Sharing()
        self._engine = create_engine(location, max_bytes=max_bytes, sharing=self._sharing)
        self._max_bytes = max_bytes
        self._check_settings = check_settings
        self._location = location
        self._now = now
        self._write_lock = asyncio.Lock()  # waiting here is fair; waiting for SQLite's lock is polling
        self._tables = Tables.new()
        self.is_new = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url_or_path: str | os.PathLike[str],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        max_bytes: int = MAX_DATABASE_BYTES,
        check_settings: SettingsCheck = _accept_settings,
    ) -> AsyncIterator[Self]:
        """Open, and migrate if need be, the database at a path or URL; ``is_new`` says that it was empty.

        ``check_settings`` may refuse a global configuration before it is stored. On a full disk a store that
        exists opens too (``has_room`` says so); what it refuses then are changes.
        """
        location = locate(url_or_path)
        if location.path is not None:
            with translated(location):
                prepare_directory(location.path)
        store = cls(location, now, max_bytes, check_settings)
        try:
            await store._prepare_even_on_a_full_disk()
            yield store
        finally:
            await store._engine.dispose()

    @property
    def has_room(self) -> bool:
        """False since the store was opened on a full disk. Until there is room, others are locked out."""
        return not self._sharing.alone

    @property
    def shown_location(self) -> str:
        """The path or URL of the database, without a password."""
        return self._location.shown

    @property
    def invalid_records(self) -> dict[str, str]:
        """Stored records that this version refuses (``stream news`` → why); they are kept as they are."""
        return {
            f"{table.noun} {key}": reason
            for table in self._tables.all()
            for key, reason in table.invalid.items()
        }

    @property
    def invalid_streams(self) -> dict[str, str]:
        """Why :meth:`list_streams` left streams out, by code."""
        return self._tables.streams.invalid

    async def damaged_records(self) -> dict[str, str]:
        """Stored records whose row cannot be read (``stream news`` → why); an export has them not."""
        async with self._reading() as connection:
            return await self._damaged(connection)

    async def ping(self) -> None:
        """Raise StoreError when the database cannot be read."""
        async with self._reading() as connection:
            await connection.execute(select(schema.revision_counter.c.value))

    # Streams

    async def list_streams(self) -> list[StreamRecord]:
        """All streams by code."""
        return await self._list(self._tables.streams)

    async def get_stream(self, code: str) -> StreamRecord | None:
        """One stream as stored."""
        return await self._get(self._tables.streams, code)

    async def put_stream(
        self, code: str, patch: Patch, *, if_match: int | None = None
    ) -> tuple[StreamRecord, bool]:
        """Create a stream or merge ``patch`` into it; returns the record and whether it was created.

        A patch that changes nothing leaves the revision as it is.
        """
        validate_stream_code(code)
        return await self._put(self._tables.streams, code, patch, if_match, self._check_stream)

    async def delete_stream(self, code: str, *, if_match: int | None = None) -> bool:
        """Remove a stream; False when there is none."""
        return await self._delete(self._tables.streams, code, if_match)

    # Templates

    async def list_templates(self) -> list[TemplateRecord]:
        """All templates by code."""
        return await self._list(self._tables.templates)

    async def get_template(self, code: str) -> TemplateRecord | None:
        """One template."""
        return await self._get(self._tables.templates, code)

    async def put_template(
        self, code: str, patch: Patch, *, if_match: int | None = None
    ) -> tuple[TemplateRecord, bool]:
        """Create or merge; every stream that uses the template must stay valid (PREFIX_OVERLAP, fields)."""
        validate_template_code(code)
        return await self._put(self._tables.templates, code, patch, if_match, self._check_template)

    async def delete_template(self, code: str, *, if_match: int | None = None) -> bool:
        """Remove a template; raises Conflict TEMPLATE_IN_USE with the streams."""
        return await self._delete(self._tables.templates, code, if_match, integrity.require_unused_template)

    # Policies

    async def list_policies(self) -> list[PolicyRecord]:
        """All policies by code."""
        return await self._list(self._tables.policies)

    async def get_policy(self, code: str) -> PolicyRecord | None:
        """One policy."""
        return await self._get(self._tables.policies, code)

    async def put_policy(
        self, code: str, patch: Patch, *, if_match: int | None = None
    ) -> tuple[PolicyRecord, bool]:
        """Create or merge."""
        validate_policy_code(code)
        return await self._put(self._tables.policies, code, patch, if_match, _accept)

    async def delete_policy(self, code: str, *, if_match: int | None = None) -> bool:
        """Remove a policy; raises Conflict POLICY_IN_USE with the streams and templates."""
        return await self._delete(self._tables.policies, code, if_match, integrity.require_unused_policy)

    # Hooks

    async def list_hooks(self) -> list[HookRecord]:
        """All hooks by id."""
        return await self._list(self._tables.hooks)

    async def get_hook(self, hook_id: str) -> HookRecord | None:
        """One hook."""
        return await self._get(self._tables.hooks, hook_id)

    async def put_hook(
        self, hook_id: str, patch: Patch, *, if_match: int | None = None
    ) -> tuple[HookRecord, bool]:
        """Create or merge; the caller chooses the id of a new hook."""
        validate_hook_id(hook_id)
        return await self._put(self._tables.hooks, hook_id, patch, if_match, _accept)

    async def delete_hook(self, hook_id: str, *, if_match: int | None = None) -> bool:
        """Remove a hook."""
        return await self._delete(self._tables.hooks, hook_id, if_match)

    # Global configuration

    async def global_config(self) -> GlobalConfig:
        """The global configuration; what was never set has its default."""
        record = await self.global_config_record()
        return GlobalConfig() if record is None else record.spec

    async def global_config_record(self) -> Record[GlobalConfig] | None:
        """The same with its revision; None while nothing was ever set."""
        return await self._get(self._tables.global_config, GLOBAL_KEY)

    async def merge_global_config(self, patch: Patch, *, if_match: int | None = None) -> GlobalConfig:
        """Merge ``patch`` (null clears) and return the result."""
        table = self._tables.global_config
        record, _created = await self._put(table, GLOBAL_KEY, patch, if_match, self._check_global_config)
        return record.spec

    # Users of the admin API

    async def list_users(self) -> list[UserRecord]:
        """All users by name."""
        async with self._reading() as connection:
            return await read_users(connection)

    async def put_user(self, name: str, password_hash: str, role: Literal["read", "write"]) -> UserRecord:
        """Add a user or replace password and role."""
        require_user(name, password_hash, role)
        async with self._changing() as change:
            return await write_user(change, name, password_hash, role)

    async def delete_user(self, name: str) -> bool:
        """Remove a user; False when there is none."""
        async with self._changing() as change:
            return await remove_user(change, name)

    # The whole configuration

    async def export_yaml(self, *, secrets: bool = False) -> str:
        """Everything as one YAML document in a fixed order; secrets are masked unless asked for.

        Records whose row is damaged are named in comments at its top.
        """
        async with self._reading() as connection:
            document = await export_document(connection, self._tables, secrets=secrets)
            left_out = await self._damaged(connection)
        from openstreamer.store.yaml_text import dump_yaml  # 3 MB that a server without YAML does without

        remarks = "".join(f"# left out: {_one_line(f'{name}, {why}')}\n" for name, why in left_out.items())
        return remarks + await asyncio.to_thread(dump_yaml, document)

    async def import_yaml(self, text: str) -> ImportResult:
        """Replace the configuration by ``text``, all of it or nothing.

        Each kind of record that the document names is replaced whole; a kind it does not name stays, and so
        does a damaged record that it does not name. Masks keep the stored secrets. Raises ConfigError with
        the place in the document.
        """
        from openstreamer.store.yaml_reader import read_yaml

        return await self.import_document(await read_yaml(text))

    async def import_document(self, document: Mapping[str, Any]) -> ImportResult:
        """As :meth:`import_yaml`, of what :func:`read_yaml` made of it."""
        async with self._changing() as change:
            result = await import_document(change, self._tables, document, self._check_settings)
            if not result:
                await change.connection.rollback()
        return result

    # Implementation

    async def _prepare_even_on_a_full_disk(self) -> None:
        try:
            await self._prepare()
        except StoreError as err:
            if err.code != "STORE_FULL" or self._location.path is None:
                raise
            await self._engine.dispose()
            self._sharing = Sharing(alone=True)
            self._engine = create_engine(self._location, max_bytes=self._max_bytes, sharing=self._sharing)
            await self._prepare()

    async def _prepare(self) -> None:
        with translated(self._location):
            async with self._engine.connect() as connection:
                if self._location.path is not None:
                    await connection.run_sync(verify_integrity)
                    await connection.rollback()
                    await connection.run_sync(use_write_ahead_log)
                    await connection.rollback()
            async with self._engine.begin() as connection:
                self.is_new = await connection.run_sync(upgrade)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with translated(self._location):
            async with connected(self._engine, self._sharing, self._location.path) as connection:
                yield connection

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Change]:
        counter = schema.revision_counter
        raised = update(counter).values(value=counter.c.value + 1).returning(counter.c.value)
        async with self._write_lock:
            with translated(self._location):
                async with (
                    connected(self._engine, self._sharing, self._location.path) as connection,
                    connection.begin(),
                ):
                    revision = (await connection.execute(raised)).scalar_one()
                    yield Change(connection, revision, self._now())

    async def _damaged(self, connection: AsyncConnection) -> dict[str, str]:
        return {
            f"{table.noun} {key}": reason
            for table in self._tables.all()
            for key, reason in (await table.damaged(connection)).items()
        }

    async def _list(self, table: Collection[Spec]) -> list[Record[Spec]]:
        async with self._reading() as connection:
            return await table.all(connection)

    async def _get(self, table: Collection[Spec], key: str) -> Record[Spec] | None:
        async with self._reading() as connection:
            return await table.get(connection, key)

    async def _put(
        self, table: Collection[Spec], key: str, patch: Patch, if_match: int | None, check: Check[Spec]
    ) -> tuple[Record[Spec], bool]:
        check_document(patch)
        async with self._changing() as change:
            stored = await table.document(change.connection, key)
            before, revision, created_at = stored if stored is not None else ({}, None, None)
            table.require_revision(key, revision, if_match)
            changes = without_read_only(patch)
            table.require_known(changes, before)
            document = merge(before, unmask(changes, before))
            _require_key(document, table, key)
            spec = table.parse(document)
            await check(change.connection, spec)
            if stored is not None and spec.document() == before:
                record = await table.get(change.connection, key)
                assert record is not None
                await change.connection.rollback()
                return record, False
            return await table.write(change, key, spec, created_at), stored is None

    async def _delete(
        self,
        table: Collection[Spec],
        key: str,
        if_match: int | None,
        require_unused: integrity.RequireUnused | None = None,
    ) -> bool:
        async with self._changing() as change:
            if require_unused is not None:
                await require_unused(change.connection, self._tables, key)
            deleted = await table.delete(change, key, if_match=if_match)
            if not deleted:
                await change.connection.rollback()
        if deleted:
            table.forget(key)
        return deleted

    async def _check_stream(self, connection: AsyncConnection, stream: Stream) -> None:
        await integrity.check_stream(connection, self._tables, stream)

    async def _check_global_config(self, connection: AsyncConnection, wanted: GlobalConfig) -> None:
        stored = await self._tables.global_config.document(connection, GLOBAL_KEY)
        await self._check_settings(settings_of(stored[0] if stored is not None else {}), wanted)

    async def _check_template(self, connection: AsyncConnection, template: Template) -> None:
        await integrity.check_template(connection, self._tables, template)


def _one_line(text: str) -> str:
    return " ".join(text.split())


async def _accept(_connection: AsyncConnection, _spec: object) -> None:
    """For records that depend on no other."""


def _require_key(document: dict[str, Any], table: Collection[Spec], key: str) -> None:
    """The record's own name stands in the document too; the global configuration has none."""
    if table.key == "name":
        return
    if document.setdefault(table.key, key) != key:
        message = f"{table.key}: cannot be changed from {key!r}; create another {table.noun} instead"
        raise ConfigError(message, field=table.key)
