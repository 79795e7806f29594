"""How a partial document changes a stored one."""

from collections.abc import Mapping
from typing import Any

# What the server adds to a record it returns; a client that sends a record back may leave them in.
READ_ONLY_FIELDS = frozenset({"created_at", "updated_at", "revision", "runtime", "source"})


def merge(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``stored`` with ``patch`` laid over it: RFC 7396, JSON merge patch.

    Objects merge member by member, null clears, everything else (lists too) replaces whole. Neither argument
    is changed, and the result shares no mutable part with them.
    """
    merged = {key: _copied(value) for key, value in stored.items() if key not in patch}
    for key, value in patch.items():
        if isinstance(value, Mapping):
            before = stored.get(key)
            merged[key] = merge(before if isinstance(before, Mapping) else {}, value)
        elif value is not None:
            merged[key] = _copied(value)
    return merged


def without_read_only(patch: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a client may change it: without the fields that only the server writes."""
    return {key: value for key, value in patch.items() if key not in READ_ONLY_FIELDS}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(member) for member in value]
    return value
