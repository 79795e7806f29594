"""What the store returns."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

from openstreamer.config.base import ConfigModel
from openstreamer.config.models import Hook, Policy, Stream, Template

Spec = TypeVar("Spec", bound=ConfigModel)


@dataclass(frozen=True, slots=True)
class Record(Generic[Spec]):
    """A stored document: ``spec`` holds its own settings only, never merged with a template.

    ``revision`` is unique over the whole store and rises with every change. Times are UTC.
    """

    spec: Spec
    revision: int
    created_at: datetime
    updated_at: datetime


StreamRecord = Record[Stream]
TemplateRecord = Record[Template]
PolicyRecord = Record[Policy]
HookRecord = Record[Hook]


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user of the admin API."""

    name: str
    password_hash: str = field(repr=False)
    role: Literal["read", "write"]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class KindChanges:
    """What an import did to one kind of record."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.created or self.updated or self.deleted)


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import changed; what it left equal is not listed."""

    streams: KindChanges = KindChanges()
    templates: KindChanges = KindChanges()
    policies: KindChanges = KindChanges()
    hooks: KindChanges = KindChanges()
    users: KindChanges = KindChanges()
    global_config: bool = False

    def __bool__(self) -> bool:
        kinds = (self.streams, self.templates, self.policies, self.hooks, self.users)
        return self.global_config or any(kinds)
