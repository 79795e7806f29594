"""Secrets in configuration documents: masked when read, kept when the mask is written back.

One walk serves every kind of record, because a secret is known by the name of its field: ``stream_key``,
``token_secret``, ``secret``, ``password_hash``, the values of ``headers`` and ``params``, and what lies
inside a ``url`` or ``target``.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from openstreamer.config.base import join
from openstreamer.config.urls import (
    MASK,
    has_mask,
    redact_push_url,
    redact_url,
    unmask_url,
)
from openstreamer.media.errors import ConfigError

__all__ = ["MASK", "mask", "unmask"]

_SECRET_FIELDS: Final = frozenset({"stream_key", "token_secret", "secret", "password_hash"})
_URL_FIELDS: Final = frozenset({"url", "target"})
# Header values are secret unless the header is known to be harmless: keys travel under any name.
_PLAIN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "cache-control", "connection", "host", "icy-metadata",
     "origin", "range", "user-agent"}
)  # fmt: skip
_ANY: Final[Mapping[str, Any]] = {}


def mask(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a record's document that shows no secret."""
    return {key: _masked(key, value) for key, value in document.items()}


def unmask(patch: Mapping[str, Any], stored: Mapping[str, Any] | None, *, at: str = "") -> dict[str, Any]:
    """``patch`` with every mask replaced by what ``stored`` (the unmasked document) holds at its place.

    Raises :class:`ConfigError` that names the field when there is nothing to put back, or when the secret
    would be sent to another host than it was given for.
    """
    return _unmasked_object(patch, stored or _ANY, at, push=False)


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, str):
        if key in _SECRET_FIELDS and value:
            return MASK
        return redact_url(value) if key in _URL_FIELDS else value
    if isinstance(value, Mapping):
        if key == "headers":
            return {n: _shown(v, secret=n.lower() not in _PLAIN_HEADERS) for n, v in value.items()}
        if key == "params":
            return {n: _shown(v, secret=True) for n, v in value.items()}
        return mask(value)
    if isinstance(value, list):
        return [_masked_push(entry) if key == "push" else _masked("", entry) for entry in value]
    return value


def _masked_push(entry: Any) -> Any:
    masked = _masked("", entry)
    if isinstance(entry, Mapping) and isinstance(entry.get("url"), str):
        masked["url"] = redact_push_url(entry["url"])
    return masked


def _shown(value: Any, *, secret: bool) -> Any:
    return MASK if secret and value else value


def _unmasked_object(
    patch: Mapping[str, Any], stored: Mapping[str, Any], at: str, *, push: bool
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in patch.items():
        before, path = stored.get(key), join(at, key)
        if isinstance(value, str):
            result[key] = _unmasked_text(key, value, before, path, push=push)
        elif isinstance(value, Mapping):
            inner = before if isinstance(before, Mapping) else _ANY
            result[key] = _unmasked_object(value, inner, path, push=push)
        elif isinstance(value, list):
            result[key] = _unmasked_list(value, before, path, push=key == "push")
        else:
            result[key] = value
    return result


def _unmasked_text(key: str, value: str, before: Any, path: str, *, push: bool) -> str:
    stored = before if isinstance(before, str) else None
    if key in _URL_FIELDS:
        try:
            return unmask_url(value, stored, push=push)
        except ConfigError as err:
            raise ConfigError(f"{path}: {err}", field=path, code="MASKED_SECRET") from err
    if value != MASK:
        return value
    if not stored:
        message = f"{path}: is the mask of a secret, but none is stored: give the secret itself"
        raise ConfigError(message, field=path, code="MASKED_SECRET")
    return stored


def _unmasked_list(entries: list[Any], before: Any, at: str, *, push: bool) -> list[Any]:
    stored = [entry for entry in before if isinstance(entry, Mapping)] if isinstance(before, list) else []
    result = []
    for index, entry in enumerate(entries):
        path = join(at, index)
        if not isinstance(entry, Mapping):
            result.append(entry)
            continue
        counterpart = _take_counterpart(entry, stored, index, push=push)
        result.append(_unmasked_object(entry, counterpart, path, push=push))
    return result


def _take_counterpart(
    entry: Mapping[str, Any], stored: list[Mapping[str, Any]], index: int, *, push: bool
) -> Mapping[str, Any]:
    """The stored entry that ``entry`` is an edit of; lists may have been reordered, so its address decides.

    An entry whose address is new has no counterpart: its headers and keys belong to another host.
    """
    for same in (_same_shown_url(push=push), _same_host, _same_username):
        candidates = [each for each in stored if same(entry, each)]
        if candidates:
            at_index = stored[index] if index < len(stored) else None
            return at_index if at_index is not None and at_index in candidates else candidates[0]
    return _ANY


def _same_shown_url(*, push: bool) -> Callable[[Mapping[str, Any], Mapping[str, Any]], bool]:
    redact = redact_push_url if push else redact_url

    def same(entry: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
        url, before = entry.get("url"), stored.get("url")
        return isinstance(url, str) and isinstance(before, str) and url in (before, redact(before))

    return same


def _same_host(entry: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    url, before = entry.get("url"), stored.get("url")
    if not isinstance(url, str) or not isinstance(before, str):
        return False
    return _origin(url) == _origin(before)


def _same_username(entry: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Users of the API are a list as well, known by their names."""
    return "username" in entry and entry.get("username") == stored.get("username")


def _origin(url: str) -> str:
    scheme, _, rest = redact_url(url).partition("://")
    authority = rest.partition("/")[0].partition("?")[0].rpartition("@")[2]
    return f"{scheme}://{authority}".lower() if not has_mask(authority) else url
