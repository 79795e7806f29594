"""YAML in and out, without what makes YAML dangerous: tags, aliases, duplicate keys, endless size."""

import io
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from openstreamer.config.base import MAX_DOCUMENT_DEPTH
from openstreamer.media.errors import ConfigError

MAX_YAML_CHARS: Final = 8 << 20  # some thousands of streams


def dump_yaml(document: dict[str, Any]) -> str:
    """``document`` as block-style YAML 1.2 in its own order."""
    stream = io.StringIO()
    yaml = YAML(typ="rt", pure=True)  # the round-trip writer keeps the order and writes blocks
    yaml.width = 4096  # a URL stays on its line
    yaml.dump(document, stream)
    return stream.getvalue()


def load_yaml(text: str) -> dict[str, Any]:
    """The mapping that ``text`` holds, or :class:`ConfigError` (code ``INVALID_YAML``) with the line."""
    if len(text) > MAX_YAML_CHARS:
        raise _invalid(f"the document has {len(text)} characters, at most {MAX_YAML_CHARS} are read")
    try:
        _check_events(text)
        document = _reader().load(text)
    except MarkedYAMLError as err:
        line = f"line {err.problem_mark.line + 1}: " if err.problem_mark is not None else ""
        raise _invalid(f"{line}{err.problem or 'is not YAML'}") from err
    except (YAMLError, ValueError, RecursionError) as err:
        raise _invalid(
            f"is not YAML: {str(err).splitlines()[0] if str(err) else type(err).__name__}"
        ) from err
    if not isinstance(document, dict):
        raise _invalid("the document must be a mapping with streams:, templates: and so on")
    return document


def _check_events(text: str) -> None:
    """Refuse, before anything is built, what grows when it is built or takes quadratic time to read."""
    depth = 0
    for event in _reader().parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise _invalid(f"line {line}: anchors and aliases are not used in a configuration")
        if isinstance(event, SequenceStartEvent | MappingStartEvent):
            depth += 1
            if depth > MAX_DOCUMENT_DEPTH:
                raise _invalid(f"line {line}: nested too deeply")
        elif isinstance(event, SequenceEndEvent | MappingEndEvent):
            depth -= 1


def _reader() -> YAML:
    return YAML(typ="safe", pure=True)


def _invalid(message: str) -> ConfigError:
    return ConfigError(message, code="INVALID_YAML")
