"""What all configuration models share: strict JSON types, what "unset" means, errors that name the field.

Unset is the same as null, an empty string and an empty list, at every depth (CONTRACT 3): such values are
dropped before validation, so that ``model_fields_set`` holds exactly what the operator said. Clients of the
Go server also send ``0`` and ``false`` where they mean "the default"; fields marked :data:`ZERO_IS_UNSET`
follow them.
"""

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from openstreamer.media.errors import ConfigError

MAX_TEXT_CHARS = 4096  # of any single string in a document
MAX_DOCUMENT_DEPTH = 32  # the deepest legal document has 6 levels
MAX_DOCUMENT_NODES = 200_000  # a YAML configuration of several thousand streams

ZERO_IS_UNSET: Final = "zero-is-unset"

_IDENTITIES: Final = ("code", "id")  # written first, for the eye
_UNION_TAGS: Final = ("float", "str")  # pydantic puts the member of a union into the place of an error

# A float that is whole is written as an integer, because typed clients of the Go server expect one.
Number = Annotated[
    float, PlainSerializer(lambda value: int(value) if float(value).is_integer() else value, when_used="json")
]
Name = Annotated[str, Field(max_length=256)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
Seconds = Annotated[int, Field(ge=0, le=10 * 365 * 86_400)]


class ConfigModel(BaseModel):
    """A part of the configuration: immutable, strict about JSON types, unknown fields refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        str_max_length=MAX_TEXT_CHARS,
        hide_input_in_errors=True,  # the input may be a secret, and errors are logged
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if not cls._is_unset(key, value)}

    @classmethod
    def _is_unset(cls, key: object, value: object) -> bool:
        field = _fields_by_key(cls).get(key)
        if field is None:
            return False  # an unknown field is reported even when it is empty
        if value is None or value == "" or (isinstance(value, (list, tuple)) and not value):
            return True
        if ZERO_IS_UNSET not in field.metadata or not isinstance(value, int | float):
            return False
        return not value and isinstance(value, bool) == (field.annotation is bool)

    def document(self) -> dict[str, Any]:
        """Exactly what the operator said, as a JSON document."""
        document = self.model_dump(mode="json", exclude_unset=True, by_alias=True)
        return {key: document[key] for key in sorted(document, key=lambda key: key not in _IDENTITIES)}


@functools.cache
def _fields_by_key(model: type[BaseModel]) -> dict[object, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


Model = TypeVar("Model", bound=BaseModel)


def parse(model: type[Model], document: Mapping[str, Any], *, at: str = "") -> Model:
    """Validate ``document``, or raise a :class:`ConfigError` whose field is the first wrong one.

    ``at`` is where the document itself lies, for example ``streams[3]``.
    """
    check_document(document, at=at)
    try:
        return model.model_validate(document)
    except ValidationError as err:
        raise _config_error(err, at) from err


def require_known(
    model: type[BaseModel], patch: Mapping[str, Any], stored: Mapping[str, Any], *, at: str = ""
) -> None:
    """Refuse a null for a field that ``model`` has not. Merging drops nulls, so that validation of the result
    would not see it. What is ``stored`` may be cleared: a newer version may have written it.
    """
    fields = _fields_by_key(model)
    for key, value in patch.items():
        field = fields.get(key)
        if field is None and value is None and key not in stored:
            path = join(at, key)
            raise ConfigError(f"{path}: is not a known field", field=path)
        if field is not None and isinstance(value, Mapping):
            before = stored.get(key)
            for part in _models_in(field.annotation):
                require_known(part, value, before if isinstance(before, Mapping) else {}, at=join(at, key))


def _models_in(annotation: Any) -> list[type[ConfigModel]]:
    """The model of a field, which may be optional."""
    members = (annotation, *get_args(annotation))
    return [each for each in members if isinstance(each, type) and issubclass(each, ConfigModel)]


def refuse(message: str) -> PydanticCustomError:
    """The error a validator raises; :func:`parse` puts the field's name before it."""
    return PydanticCustomError("config", "{reason}", {"reason": message})


def check_document(document: object, *, at: str = "") -> None:
    """Refuse what no configuration may hold: deep nesting, masses of nodes, NUL characters, NaN."""
    pending: list[tuple[object, str, int]] = [(document, at, 0)]
    nodes = 0
    while pending:
        value, path, depth = pending.pop()
        nodes += 1
        if depth > MAX_DOCUMENT_DEPTH or nodes > MAX_DOCUMENT_NODES:
            raise ConfigError(f"{path or 'the document'}: too deep or too large", field=path)
        _check_scalar(value, path)
        pending.extend((child, join(path, key), depth + 1) for key, child in children(value))


def children(value: object) -> list[tuple[str | int, object]]:
    """The members of a JSON object or array with their keys, nothing for a scalar."""
    if isinstance(value, Mapping):
        return [(str(key), child) for key, child in value.items()]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    return []


def join(path: str, key: str | int) -> str:
    """``inputs`` and 0 → ``inputs[0]``; ``inputs[0]`` and ``url`` → ``inputs[0].url``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{path}: may not contain a NUL character", field=path)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}: must be a finite number", field=path)


_PLAIN_WORDS: Final[dict[str, str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "string_unicode": "is not valid Unicode",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def _config_error(err: ValidationError, at: str) -> ConfigError:
    errors = err.errors(include_url=False)
    first = errors[0]
    path = at
    for key in (each for each in first["loc"] if each not in _UNION_TAGS):
        path = join(path, key)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    reason = _plain_words(first)
    return ConfigError(f"{path}: {reason}{more}" if path else f"{reason}{more}", field=path)


def _plain_words(error: ErrorDetails) -> str:
    known = _PLAIN_WORDS.get(error["type"])
    if known is not None:
        return known
    message = error["msg"]
    return message.replace("Input should be", "must be").replace("String should have", "must have")
