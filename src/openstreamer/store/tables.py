"""The collections of a store, together."""

from dataclasses import dataclass
from typing import Any

from openstreamer.config.models import GlobalConfig, Hook, Policy, Stream, Template
from openstreamer.store import schema
from openstreamer.store.collection import Collection


@dataclass(frozen=True, slots=True)
class Tables:
    """One collection for each kind of record."""

    streams: Collection[Stream]
    templates: Collection[Template]
    policies: Collection[Policy]
    hooks: Collection[Hook]
    global_config: Collection[GlobalConfig]

    @classmethod
    def new(cls) -> "Tables":
        """Collections with empty caches."""
        return cls(
            streams=Collection(schema.streams, Stream, key="code", noun="stream"),
            templates=Collection(schema.templates, Template, key="code", noun="template"),
            policies=Collection(schema.policies, Policy, key="code", noun="policy"),
            hooks=Collection(schema.hooks, Hook, key="id", noun="hook"),
            global_config=Collection(
                schema.global_config, GlobalConfig, key="name", noun="global configuration"
            ),
        )

    def all(self) -> tuple[Collection[Any], ...]:
        """Every collection."""
        return (self.streams, self.templates, self.policies, self.hooks, self.global_config)
