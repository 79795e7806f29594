"""The API's shapes for its OpenAPI document. Handlers encode by themselves; tests hold both together.

Requests are described by the configuration models with every field optional and nullable: a change names
what it changes, and null clears.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from openstreamer.config.models import GlobalConfig, Stream, Template
from openstreamer.control.front import is_open
from openstreamer.store.records import ImportResult
from openstreamer.stream.status import StreamRuntime

REF_TEMPLATE = "#/components/schemas/{model}"
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


class StreamListBody(BaseModel):
    """Streams."""

    data: list[StreamShown]
    total: int


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
    version: VersionShown


class ConfigChangedBody(BaseModel):
    """The global configuration after a change."""

    global_config: dict[str, Any]
    ports: PortsShown


class ImportBody(BaseModel):
    """What an import changed; what it left equal is not listed."""

    data: ImportResult


_REASONS = {
    400: "Malformed, or a setting that cannot be; the message names the field",
    401: "Log in with Basic or Bearer",
    403: "Not from there, not from that page, or not with that role",
    404: "No such thing",
    405: "No such method here",
    409: "In conflict with something else",
    412: "It was changed meanwhile: the revision of If-Match is not the stored one",
    413: "The body is larger than 1 MiB",
    429: "Too many failed logins",
    503: "The store does not answer, or the server is not ready",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI responses."""
    return {status: {"model": ErrorBody, "description": _REASONS[status]} for status in statuses}


def json_body(component: str) -> dict[str, Any]:
    """A request body that is an object of ``component``."""
    schema = {"$ref": REF_TEMPLATE.format(model=component)}
    return {"requestBody": {"required": False, "content": {"application/json": {"schema": schema}}}}


def yaml_body(content_type: str) -> dict[str, Any]:
    """A request body that is a YAML mapping."""
    return {"requestBody": {"required": True, "content": {content_type: {"schema": {"type": "object"}}}}}


def complete_responses(paths: Mapping[str, Any]) -> None:
    """Correct what the framework wrote: refusals of the gate are possible everywhere behind it, and malformed
    requests are 400 here, never 422."""
    error = {"application/json": {"schema": {"$ref": REF_TEMPLATE.format(model="ErrorBody")}}}
    for path, operations in paths.items():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            if not is_open(path):
                for status in (400, 401, 403, 429, 503):
                    responses.setdefault(str(status), {"description": _REASONS[status], "content": error})


def patch_components() -> dict[str, Any]:
    """The schemas of what a change may say, by component name."""
    models = [(model, "validation") for model in PATCHED_MODELS.values()]
    _, definitions = models_json_schema(models, ref_template=REF_TEMPLATE)  # type: ignore[arg-type]
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
