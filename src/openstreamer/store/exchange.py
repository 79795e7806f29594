"""The whole configuration as one document, out and in.

::

    global_config: {…}
    templates: [{code: …}, …]
    policies:  [{code: …}, …]
    streams:   [{code: …}, …]
    hooks:     [{id: …}, …]
    users:     [{username: …, password_hash: …, role: …}, …]
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Generic

from sqlalchemy.ext.asyncio import AsyncConnection

from openstreamer.config.base import check_document, parse
from openstreamer.config.global_config import ApiUser
from openstreamer.config.merge import without_read_only
from openstreamer.config.models import GlobalConfig, Stream, Template
from openstreamer.config.secrets import mask, unmask
from openstreamer.media.errors import ConfigError
from openstreamer.store.breath import breathe
from openstreamer.store.collection import Change, Collection
from openstreamer.store.integrity import check_with_template, require_separate_prefixes
from openstreamer.store.records import ImportResult, KindChanges, Spec
from openstreamer.store.tables import Tables
from openstreamer.store.users import read_users, remove_user, write_user

GLOBAL_KEY: Final = "global"
_SECTIONS: Final = ("global_config", "templates", "policies", "streams", "hooks", "users")


async def export_document(connection: AsyncConnection, tables: Tables, *, secrets: bool) -> dict[str, Any]:
    """Everything that can be read of what is stored, records ordered by key; masked unless ``secrets``."""
    global_documents = await tables.global_config.documents(connection)
    document: dict[str, Any] = {
        "global_config": global_documents.get(GLOBAL_KEY, {}),
        "templates": list((await tables.templates.documents(connection)).values()),
        "policies": list((await tables.policies.documents(connection)).values()),
        "streams": list((await tables.streams.documents(connection)).values()),
        "hooks": list((await tables.hooks.documents(connection)).values()),
        "users": [
            {"username": user.name, "password_hash": user.password_hash, "role": user.role}
            for user in await read_users(connection)
        ],
    }
    return document if secrets else mask(document)


async def import_document(
    change: Change,
    tables: Tables,
    document: Mapping[str, Any],
    check_settings: Callable[[GlobalConfig, GlobalConfig], Awaitable[None]],
) -> ImportResult:
    """Validate all of ``document`` against all that is stored, then write what differs."""
    await asyncio.to_thread(check_document, document)
    for name in document:
        if name not in _SECTIONS:
            raise ConfigError(f"{name}: is not a section; there are {', '.join(_SECTIONS)}", field=str(name))
    connection = change.connection
    global_config = await _global_config(connection, tables, document, check_settings)
    templates = await _Section.read(connection, tables.templates, document, "templates")
    policies = await _Section.read(connection, tables.policies, document, "policies")
    streams = await _Section.read(connection, tables.streams, document, "streams")
    hooks = await _Section.read(connection, tables.hooks, document, "hooks")
    users = await _users(connection, document)
    await _check_references(connection, tables, streams, templates)
    return ImportResult(
        streams=await streams.write(change),
        templates=await templates.write(change),
        policies=await policies.write(change),
        hooks=await hooks.write(change),
        users=await _write_users(change, users),
        global_config=await _write_global(change, tables, global_config),
    )


class _Section(Generic[Spec]):
    """One kind of record in an import: what is wanted, None when the document does not name the kind."""

    def __init__(
        self, table: Collection[Spec], stored: dict[str, dict[str, Any]], wanted: dict[str, Spec] | None
    ) -> None:
        self._table = table
        self._stored = stored
        self.wanted = wanted

    @classmethod
    async def read(
        cls, connection: AsyncConnection, table: Collection[Spec], document: Mapping[str, Any], name: str
    ) -> "_Section[Spec]":
        stored = await table.documents(connection)
        if document.get(name) is None:
            return cls(table, stored, None)
        wanted: dict[str, Spec] = {}
        for index, entry in enumerate(_entries(document, name)):
            await breathe(index + 1)
            at = f"{name}[{index}]"
            key = entry.get(table.key)
            before = stored.get(key) if isinstance(key, str) else None
            spec = table.parse(unmask(without_read_only(entry), before, at=at), at=at)
            if getattr(spec, table.key) in wanted:
                raise ConfigError(f"{at}: {table.noun} {key!r} is there twice", field=at)
            wanted[getattr(spec, table.key)] = spec
        return cls(table, stored, wanted)

    async def write(self, change: Change) -> KindChanges:
        if self.wanted is None:
            return KindChanges()
        created = sorted(self.wanted.keys() - self._stored.keys())
        deleted = sorted(self._stored.keys() - self.wanted.keys())
        updated = []
        for count, key in enumerate(sorted(self.wanted.keys() & self._stored.keys()), 1):
            await breathe(count)
            if self.wanted[key].document() != self._stored[key]:
                updated.append(key)
        # A row may be in the way that is damaged, and so not among the stored; others of them are kept.
        await self._table.delete_all(change, [*deleted, *created])
        await self._table.write_all(change, {key: self.wanted[key] for key in created}, new=True)
        await self._table.write_all(change, {key: self.wanted[key] for key in updated}, new=False)
        return KindChanges(tuple(created), tuple(updated), tuple(deleted))


async def _check_references(
    connection: AsyncConnection, tables: Tables, streams: _Section[Stream], templates: _Section[Template]
) -> None:
    """The rules between records hold for what will be stored, whether the document names it or not."""
    all_templates = templates.wanted
    if all_templates is None:
        all_templates = {record.spec.code: record.spec for record in await tables.templates.all(connection)}
    all_streams = streams.wanted
    if all_streams is None:
        all_streams = {record.spec.code: record.spec for record in await tables.streams.all(connection)}
    require_separate_prefixes(all_templates.values())
    for count, stream in enumerate(all_streams.values(), 1):
        check_with_template(stream, all_templates)
        await breathe(count)


async def _global_config(
    connection: AsyncConnection,
    tables: Tables,
    document: Mapping[str, Any],
    check_settings: Callable[[GlobalConfig, GlobalConfig], Awaitable[None]],
) -> GlobalConfig | None:
    """The wanted global configuration, None when it stays as it is."""
    wanted = document.get("global_config")
    if wanted is None:
        return None
    if not isinstance(wanted, Mapping):
        raise ConfigError("global_config: must be an object", field="global_config")
    stored = (await tables.global_config.documents(connection)).get(GLOBAL_KEY, {})
    spec = parse(GlobalConfig, unmask(wanted, stored, at="global_config"), at="global_config")
    try:
        await check_settings(settings_of(stored), spec)
    except ConfigError as err:
        field = f"global_config.{err.field}" if err.field else "global_config"
        raise ConfigError(f"global_config.{err}", field=field) from err
    return None if spec.document() == stored else spec


def settings_of(document: Mapping[str, Any]) -> GlobalConfig:
    """A stored global configuration; the defaults when this version cannot read it."""
    try:
        return parse(GlobalConfig, document)
    except ConfigError:
        return GlobalConfig()


async def _write_global(change: Change, tables: Tables, spec: GlobalConfig | None) -> bool:
    if spec is None:
        return False
    stored = await tables.global_config.document(change.connection, GLOBAL_KEY)
    await tables.global_config.write(change, GLOBAL_KEY, spec, stored[2] if stored is not None else None)
    return True


async def _users(connection: AsyncConnection, document: Mapping[str, Any]) -> dict[str, ApiUser] | None:
    if document.get("users") is None:
        return None
    stored = {user.name: {"password_hash": user.password_hash} for user in await read_users(connection)}
    wanted: dict[str, ApiUser] = {}
    for index, entry in enumerate(_entries(document, "users")):
        at = f"users[{index}]"
        name = entry.get("username")
        before = stored.get(name) if isinstance(name, str) else None
        user = parse(ApiUser, unmask(entry, before, at=at), at=at)
        if user.username in wanted:
            raise ConfigError(f"{at}: user {user.username!r} is there twice", field=at)
        wanted[user.username] = user
    return wanted


async def _write_users(change: Change, wanted: dict[str, ApiUser] | None) -> KindChanges:
    if wanted is None:
        return KindChanges()
    stored = {user.name: user for user in await read_users(change.connection)}
    created = sorted(wanted.keys() - stored.keys())
    deleted = sorted(stored.keys() - wanted.keys())
    updated = [
        name
        for name in sorted(wanted.keys() & stored.keys())
        if (wanted[name].password_hash, wanted[name].role) != (stored[name].password_hash, stored[name].role)
    ]
    for name in deleted:
        await remove_user(change, name)
    for name in (*created, *updated):
        await write_user(change, name, wanted[name].password_hash, wanted[name].role)
    return KindChanges(tuple(created), tuple(updated), tuple(deleted))


def _entries(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = document[name]
    if not isinstance(entries, list):
        raise ConfigError(f"{name}: must be a list", field=name)
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise ConfigError(f"{name}[{index}]: must be an object", field=f"{name}[{index}]")
    return entries
