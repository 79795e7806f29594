"""YAML 1.2 in and out: the plain part of it that a configuration needs, and nothing of its dangers.

Reading refuses tags, anchors, aliases, duplicate keys and deep nesting while it reads, and resolves plain
scalars by the core schema (YAML 1.2.2, section 10.3.2): ``yes`` and ``2026-01-01`` are strings. Writing is
done here because the general writer takes 5 s for a thousand streams and turns shared objects into aliases.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from openstreamer.config.base import MAX_DOCUMENT_DEPTH
from openstreamer.media.errors import ConfigError

MAX_YAML_CHARS: Final = 8 << 20  # some thousands of streams

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]{1,20}", re.ASCII)
_PREFIXED_INTEGER = re.compile(r"0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,4})?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)

# Text that is written without quotes: nothing that any version of YAML takes for something else.
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./:@%?=&+~,; -]*(?<![: ])", re.ASCII)
_WORDS_OF_OLD_YAML: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def dump_yaml(document: dict[str, Any]) -> str:
    """A JSON document as block-style YAML in its own order; :func:`load_yaml` gives it back."""
    return "".join(f"{line}\n" for line in _lines(document, ""))


def load_yaml(text: str) -> dict[str, Any]:
    """The mapping that ``text`` holds, or :class:`ConfigError` (code ``INVALID_YAML``) with the line.

    Takes about 5 s of CPU per MB; :mod:`openstreamer.store.yaml_reader` does it out of the way.
    """
    if len(text) > MAX_YAML_CHARS:
        raise _invalid(f"the document has {len(text)} characters, at most {MAX_YAML_CHARS} are read")
    builder = _Builder()
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            builder.receive(event)
    except MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}: " if err.problem_mark is not None else ""
        raise _invalid(f"{line}{err.problem or 'is not YAML'}") from err
    except (YAMLError, ValueError) as err:
        raise _invalid(f"is not YAML: {str(err).partition(chr(10))[0]}") from err
    if not isinstance(builder.document, dict):
        raise _invalid("the document must be a mapping with streams:, templates: and so on")
    return builder.document


class _Builder:
    """Puts the events of one document together; refuses as soon as something is not wanted."""

    def __init__(self) -> None:
        self.document: Any = None
        self._documents = 0
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []  # per open container, the key that waits for its value

    def receive(self, event: Event) -> None:
        match event:
            case AliasEvent():
                raise self._refusal(event, "anchors and aliases are not used in a configuration")
            case NodeEvent():
                self._receive_node(event)
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._refusal(event, "a configuration is one document")
            case _ if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                self._open.pop()
                self._keys.pop()

    def _receive_node(self, event: NodeEvent) -> None:
        if event.anchor is not None:
            raise self._refusal(event, "anchors and aliases are not used in a configuration")
        if getattr(event, "tag", None) not in (None, "!"):
            raise self._refusal(event, "tags are not used in a configuration")
        match event:
            case ScalarEvent():
                self._receive_scalar(event)
            case SequenceStartEvent():
                self._push(event, [])
            case MappingStartEvent():
                self._push(event, {})

    def _receive_scalar(self, event: ScalarEvent) -> None:
        container = self._open[-1] if self._open else None
        if isinstance(container, dict) and self._keys[-1] is None:
            if event.value in container:
                raise self._refusal(event, f"the key {event.value[:64]!r} is there twice (a duplicate)")
            self._keys[-1] = event.value
            container[event.value] = None
        else:
            self._add(_plain_scalar(event.value) if event.style in (None, "") else event.value)

    def _push(self, event: NodeEvent, container: dict[str, Any] | list[Any]) -> None:
        if len(self._open) >= MAX_DOCUMENT_DEPTH:
            raise self._refusal(event, "nested too deeply")
        if self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None:
            raise self._refusal(event, "a key must be a word")
        self._add(container)
        self._open.append(container)
        self._keys.append(None)

    def _add(self, value: Any) -> None:
        if not self._open:
            self.document = value
            return
        container = self._open[-1]
        if isinstance(container, list):
            container.append(value)
            return
        key = self._keys[-1]
        assert key is not None
        container[key] = value
        self._keys[-1] = None

    @staticmethod
    def _refusal(event: Event, reason: str) -> ConfigError:
        return _invalid(f"line {event.start_mark.line + 1}: {reason}")


def _plain_scalar(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _PREFIXED_INTEGER.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _lines(value: dict[str, Any] | list[Any], indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, (dict, list)) and member:
                yield f"{indent}{_scalar(key)}:"
                yield from _lines(member, indent + ("" if isinstance(member, list) else "  "))
            else:
                yield f"{indent}{_scalar(key)}: {_scalar(member)}"
        return
    for member in value:
        if isinstance(member, (dict, list)) and member:
            # The first line of the member stands behind the dash.
            first, *rest = _lines(member, indent + "  ")
            yield f"{indent}- {first.removeprefix(indent + '  ')}"
            yield from rest
        else:
            yield f"{indent}- {_scalar(member)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and ": " not in value and value.lower() not in _WORDS_OF_OLD_YAML:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
    return json.dumps(value)  # numbers, true, false, null, [] and {} are the same in YAML


def _invalid(message: str) -> ConfigError:
    return ConfigError(message, code="INVALID_YAML")
