"""The API's shapes for its OpenAPI document. Handlers encode by themselves; tests hold both together.

Requests are described by the configuration models with every field optional and nullable: a change names
what it changes, and null clears.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from openstreamer.config.models import GlobalConfig, Stream, Template
from openstreamer.control.front import is_open
from openstreamer.control.operations import REF_PREFIX, refusal
from openstreamer.store.records import ImportResult
from openstreamer.stream.status import StreamRuntime

REF_TEMPLATE = REF_PREFIX + "{model}"
PATCHED_MODELS: dict[str, type[BaseModel]] = {
    "StreamPatch": Stream,
    "TemplatePatch": Template,
    "GlobalConfigPatch": GlobalConfig,
}


class ErrorDetail(BaseModel):
    """What is wrong: `field` is the dotted path of a setting."""

    code: str = Field(examples=["INVALID_CONFIG"])
    message: str
    field: str | None = None


class ErrorBody(BaseModel):
    """Every refusal. Some conflicts add fields, such as `streams` of `TEMPLATE_IN_USE`."""

    model_config = ConfigDict(extra="allow")

    error: ErrorDetail


class StreamShown(BaseModel):
    """The stored record (overrides only, never merged with its template), and what is observed."""

    model_config = ConfigDict(extra="allow")

    code: str
    source: str = Field(examples=["config", "runtime"])
    revision: int
    created_at: datetime
    updated_at: datetime
    runtime: StreamRuntime


class StreamBody(BaseModel):
    """One stream."""

    data: StreamShown


class InvalidStream(BaseModel):
    """A stream whose stored record cannot be used; it is kept as it is until it is overwritten or deleted."""

    code: str
    reason: str


class StreamListBody(BaseModel):
    """Streams."""

    data: list[StreamShown]
    total: int
    invalid: list[InvalidStream] | None = None


class TemplateShown(BaseModel):
    """The stored template."""

    model_config = ConfigDict(extra="allow")

    code: str
    revision: int
    created_at: datetime
    updated_at: datetime


class TemplateBody(BaseModel):
    """One template."""

    data: TemplateShown


class TemplateListBody(BaseModel):
    """Templates."""

    data: list[TemplateShown]
    total: int


class ActionShown(BaseModel):
    """What was done."""

    status: str = Field(examples=["restarted"])


class ActionBody(BaseModel):
    """The answer of an action."""

    data: ActionShown


class ProbeBody(BaseModel):
    """The answer of a probe."""

    status: str = Field(examples=["ok"])


class PortsShown(BaseModel):
    """Bound addresses; null is a protocol that is not listened for."""

    http_addr: str
    rtsp_port: int | None
    rtmp_port: int | None
    srt_port: int | None


class VersionShown(BaseModel):
    """What is running."""

    version: str
    commit: str
    built_at: str


class ConfigBody(BaseModel):
    """Abilities, ports, version, configuration."""

    hw_accels: list[str]
    video_codecs: list[str]
    audio_codecs: list[str]
    output_protocols: list[str]
    stream_statuses: list[str]
    watermark_types: list[str]
    watermark_positions: list[str]
    ports: PortsShown
    global_config: dict[str, Any]
    notices: list[str]
    restart_required: list[str]
    version: VersionShown


class DefaultsBody(BaseModel):
    """The values that unset fields take, by section."""

    model_config = ConfigDict(extra="allow")


class ConfigChangedBody(BaseModel):
    """The global configuration after a change."""

    global_config: dict[str, Any]
    ports: PortsShown
    notices: list[str]
    restart_required: list[str] = Field(examples=[["listeners.rtmp"]])


class ImportBody(BaseModel):
    """What an import changed; what it left equal is not listed."""

    data: ImportResult
    notices: list[str]
    restart_required: list[str]


SHOWN_MODELS: tuple[type[BaseModel], ...] = (
    ActionBody,
    ConfigBody,
    ConfigChangedBody,
    DefaultsBody,
    ErrorBody,
    ImportBody,
    ProbeBody,
    StreamBody,
    StreamListBody,
    TemplateBody,
    TemplateListBody,
)


def complete(document: dict[str, Any]) -> None:
    """Add to what the framework wrote: components, ways to log in, and the refusals of the gate, which are
    possible everywhere behind it. Malformed requests are 400 here, never 422."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            if is_open(path):
                operation["security"] = []
            else:
                for status in (400, 401, 403, 429, 503):
                    responses.setdefault(str(status), refusal(status))
    document["components"] = {
        "schemas": {**_patched_components(), **_shown_components()},
        "securitySchemes": {
            "basic": {"type": "http", "scheme": "basic"},
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "<user name>.<password>"},
        },
    }
    document["security"] = [{}, {"basic": []}, {"bearer": []}]


def _shown_components() -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in SHOWN_MODELS], ref_template=REF_TEMPLATE
    )
    return dict(definitions["$defs"])


def _patched_components() -> dict[str, Any]:
    """The schemas of what a change may say, by component name."""
    _, definitions = models_json_schema(
        [(model, "validation") for model in PATCHED_MODELS.values()], ref_template=REF_TEMPLATE
    )
    components: dict[str, Any] = dict(definitions["$defs"])
    for name, model in PATCHED_MODELS.items():
        schema = components.pop(model.__name__)
        properties = {field: _nullable(inner) for field, inner in schema["properties"].items()}
        components[name] = {**_without(schema, ("required",)), "title": name, "properties": properties}
    return components


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if any(option.get("type") == "null" for option in schema.get("anyOf", ())):
        return schema
    return {"anyOf": [schema, {"type": "null"}]}


def _without(schema: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    dropped = set(keys)
    return {key: value for key, value in schema.items() if key not in dropped}
