"""The audit log: who changed what from where. Names of fields, never their values."""

from collections.abc import Iterable, Mapping

import structlog

from openstreamer.access.admin import Principal

MOST_FIELDS = 64  # of one change; the log is for people

logger = structlog.get_logger("openstreamer.audit")


def record(principal: Principal, action: str, target: str, fields: Iterable[str] = ()) -> None:
    """Log one change that was stored. ``action`` is ``stream.created``, ``config.changed`` and the like."""
    logger.info(
        "admin_change",
        user=principal.name,
        address=principal.address,
        action=action,
        target=target,
        fields=sorted(fields),
    )


def field_names(patch: Mapping[str, object]) -> list[str]:
    """The dotted names of what a patch says, lists by their own name: ``dvr.enabled``, ``inputs``."""
    names: list[str] = []
    pending: list[tuple[str, Mapping[str, object]]] = [("", patch)]
    while pending and len(names) < MOST_FIELDS:
        prefix, document = pending.pop()
        for key, value in document.items():
            name = f"{prefix}{key}"[:128]
            if isinstance(value, Mapping) and value:
                pending.append((f"{name}.", value))
            else:
                names.append(name)
    return names[:MOST_FIELDS]
