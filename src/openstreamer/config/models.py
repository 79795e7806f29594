"""What an operator declares: streams, templates, policies, hooks (CONTRACT 3).

Every field that is not set has the value the server uses in its place; ``document()`` of a model still gives
exactly what was said. Fields of features that are not built yet are accepted and checked;
:mod:`openstreamer.config.support` says which.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from openstreamer.config import defaults
from openstreamer.config.base import ZERO_IS_UNSET, ConfigModel, Name, Number, Seconds, Text, refuse
from openstreamer.config.codes import (
    MAX_CODE_CHARS,
    normalise_prefix,
    validate_hook_id,
    validate_policy_code,
    validate_stream_code,
    validate_template_code,
)
from openstreamer.config.global_config import GlobalConfig
from openstreamer.config.networks import check_networks
from openstreamer.config.transcoding import Thumbnail, Transcoder, Watermark
from openstreamer.config.urls import InputUrl, is_publish, parse_input_url, redact_push_url, redact_url
from openstreamer.media.errors import ConfigError

__all__ = [
    "Dvr",
    "GlobalConfig",
    "Hook",
    "Input",
    "InputNet",
    "Policy",
    "Protocols",
    "Push",
    "Stream",
    "StreamCodes",
    "StreamProfile",
    "Template",
    "Thumbnail",
    "Transcoder",
    "Watermark",
]

MAX_INPUTS = 32
MAX_PUSHES = 64
MAX_TAGS = 64
MAX_PREFIXES = 64
MAX_RULES = 10_000  # addresses, countries or user agents in one list of a policy

_Key = Annotated[str, Field(max_length=512, repr=False)]
_Pairs = Annotated[dict[Annotated[str, Field(min_length=1, max_length=256)], Text], Field(max_length=64)]
_SecretPairs = Annotated[_Pairs, Field(repr=False)]
_Checked = TypeVar("_Checked")
_PUSH_SCHEMES = ("rtmp", "rtmps", "srt")


class InputNet(ConfigModel):
    """How an input connects. ``timeout_sec`` 0 takes the protocol's default."""

    timeout_sec: Number = Field(default=0, ge=0, le=3600)
    insecure_tls: bool = False


class Input(ConfigModel):
    """One ingest source; the lowest ``priority`` that works is on the air."""

    url: str
    priority: int = Field(default=0, ge=0, lt=MAX_INPUTS)
    headers: _SecretPairs = Field(default={})
    params: _SecretPairs = Field(default={})
    net: InputNet = InputNet()
    program: int = Field(default=0, ge=0, le=65_535)
    pids: Annotated[
        tuple[Annotated[int, Field(ge=0, le=8191)], ...], Field(strict=False, max_length=256)
    ] = ()

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        _reworded(parse_input_url, value)
        return value.strip()

    @field_validator("headers")
    @classmethod
    def _headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, content in value.items():
            if not name.isascii() or any(c in name for c in " \r\n:") or "\r" in content or "\n" in content:
                raise refuse("must map header names to single-line values")
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((n, redact_url(v) if n == "url" else v) for n, v in super().__repr_args__())

    @property
    def parsed_url(self) -> InputUrl:
        """What ``url`` means."""
        return parse_input_url(self.url)


class Protocols(ConfigModel):
    """Which protocols a stream is delivered over. A set object replaces whole: what it omits is off."""

    hls: bool = False
    dash: bool = False
    rtmp: bool = False
    rtsp: bool = False
    srt: bool = False
    mpegts: bool = False
    webrtc: bool = False


EVERY_PROTOCOL = Protocols(hls=True, dash=True, rtmp=True, rtsp=True, srt=True, mpegts=True, webrtc=True)


class Push(ConfigModel):
    """An outgoing destination. ``limit``: reconnects before it is given up, 0 for ever."""

    url: str
    enabled: bool = False
    comment: Text = ""
    timeout_sec: Annotated[Seconds, ZERO_IS_UNSET] = defaults.PUSH_TIMEOUT_S
    retry_timeout_sec: Annotated[Seconds, ZERO_IS_UNSET] = defaults.PUSH_RETRY_TIMEOUT_S
    limit: int = Field(default=0, ge=0, le=1_000_000)

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        url = value.strip()
        try:
            split = urlsplit(url)
            reachable = bool(split.hostname) and split.port != 0
        except ValueError as err:
            raise refuse("is not a valid URL") from err
        if split.scheme not in _PUSH_SCHEMES or not reachable:
            raise refuse("must be rtmp://, rtmps:// or srt:// with a host")
        return url

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        return ((n, redact_push_url(v) if n == "url" else v) for n, v in super().__repr_args__())


class Dvr(ConfigModel):
    """The archive of one stream. ``retention_sec`` and ``max_size_gb`` 0 keep everything."""

    enabled: bool = False
    retention_sec: Seconds = 0
    segment_duration: Annotated[int, Field(ge=0, le=60), ZERO_IS_UNSET] = defaults.DVR_SEGMENT_S
    max_size_gb: Number = Field(default=0, ge=0, le=10_000_000)
    storage_path: str = ""
    profiles: Literal["best", "all"] = "best"

    @field_validator("storage_path")
    @classmethod
    def _contained(cls, value: str) -> str:
        if ".." in value.split("/"):
            raise refuse("may not contain ..")
        return value


class StreamProfile(ConfigModel):
    """What streams and templates have in common: everything that is inherited."""

    name: Name = ""
    description: Text = ""
    tags: Annotated[tuple[Name, ...], Field(strict=False, max_length=MAX_TAGS)] = ()
    stream_key: _Key = ""
    playback_policy: str | None = None
    inputs: Annotated[tuple[Input, ...], Field(strict=False, max_length=MAX_INPUTS)] = ()
    protocols: Protocols | None = None
    push: Annotated[tuple[Push, ...], Field(strict=False, max_length=MAX_PUSHES)] = ()
    dvr: Dvr | None = None
    thumbnail: Thumbnail | None = None
    transcoder: Transcoder | None = None
    watermark: Watermark | None = None
    failover: Literal["cold", "hot"] = "cold"

    @field_validator("playback_policy")
    @classmethod
    def _policy(cls, value: str | None) -> str | None:
        return value if value is None else _reworded(validate_policy_code, value)

    @field_validator("inputs")
    @classmethod
    def _priorities(cls, value: tuple[Input, ...]) -> tuple[Input, ...]:
        if not any("priority" in each.model_fields_set for each in value):
            return tuple(each.model_copy(update={"priority": i}) for i, each in enumerate(value))
        if sorted(each.priority for each in value) != list(range(len(value))):
            raise refuse(f"priorities must be unique and 0 to {max(len(value) - 1, 0)}")
        return value

    @property
    def inputs_by_priority(self) -> tuple[Input, ...]:
        """The inputs, best first."""
        return tuple(sorted(self.inputs, key=lambda each: each.priority))

    @property
    def delivered(self) -> Protocols:
        """The protocols to deliver; a stream that says nothing is delivered over all of them."""
        return EVERY_PROTOCOL if self.protocols is None else self.protocols

    @property
    def accepts_publish(self) -> bool:
        """Whether an encoder may connect to one of the inputs."""
        return any(is_publish(each.url) for each in self.inputs)


class Stream(StreamProfile):
    """One stream. As stored it holds its own settings only; see :func:`config.resolve.resolve`."""

    code: str
    disabled: Annotated[bool, ZERO_IS_UNSET] = False
    template: str | None = None

    @field_validator("code")
    @classmethod
    def _code(cls, value: str) -> str:
        return _reworded(validate_stream_code, value)

    @field_validator("template")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        return value if value is None else _reworded(validate_template_code, value)


class Template(StreamProfile):
    """Settings shared by streams, and the prefixes under which publishing makes a runtime stream."""

    code: str
    prefixes: Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_PREFIXES)] = ()

    @field_validator("code")
    @classmethod
    def _code(cls, value: str) -> str:
        return _reworded(validate_template_code, value)

    @field_validator("prefixes")
    @classmethod
    def _prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        prefixes = tuple(_reworded(normalise_prefix, each) for each in value)
        if len(set(prefixes)) != len(prefixes):
            raise refuse("holds the same prefix twice")
        return prefixes


class Policy(ConfigModel):
    """Who may play. Order: deny lists, allow lists, token (CONTRACT 3)."""

    code: str
    name: Name = ""
    description: Text = ""
    require_token: Annotated[bool, ZERO_IS_UNSET] = False
    token_secret: _Key = ""
    allow_ips: Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    deny_ips: Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    allow_countries: Annotated[tuple[str, ...], Field(strict=False, max_length=300)] = ()
    deny_countries: Annotated[tuple[str, ...], Field(strict=False, max_length=300)] = ()
    allow_user_agents: Annotated[tuple[Name, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    deny_user_agents: Annotated[tuple[Name, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    allowed_domains: Annotated[tuple[Name, ...], Field(strict=False, max_length=MAX_RULES)] = ()

    @field_validator("code")
    @classmethod
    def _code(cls, value: str) -> str:
        return _reworded(validate_policy_code, value)

    @field_validator("allow_ips", "deny_ips")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_networks(value)

    @field_validator("allow_countries", "deny_countries")
    @classmethod
    def _countries(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        codes = tuple(each.strip().upper() for each in value)
        if not all(len(code) == 2 and code.isascii() and code.isalpha() for code in codes):
            raise refuse("must hold two-letter country codes (ISO 3166-1)")
        return codes

    @model_validator(mode="after")
    def _secret(self) -> "Policy":
        if self.require_token and not self.token_secret:
            raise refuse("require_token needs a token_secret")
        return self


class StreamCodes(ConfigModel):
    """Which streams a hook hears of; ``only`` wins over ``except``."""

    only: Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_RULES)] = ()
    except_: Annotated[tuple[str, ...], Field(strict=False, max_length=MAX_RULES, alias="except")] = ()

    @field_validator("only", "except_")
    @classmethod
    def _codes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not 0 < len(each) <= MAX_CODE_CHARS for each in value):
            raise refuse("must hold stream codes")
        return value


class Hook(ConfigModel):
    """A receiver of events. ``None`` in a batch field takes the global value."""

    id: str
    name: Name = ""
    type: Literal["http", "file"] = "http"
    target: Annotated[str, Field(max_length=2048, repr=False)]
    enabled: Annotated[bool, ZERO_IS_UNSET] = False
    secret: _Key = ""
    event_types: Annotated[tuple[Name, ...], Field(strict=False, max_length=128)] = ()
    stream_codes: StreamCodes = StreamCodes()
    metadata: _Pairs = Field(default={})
    max_retries: Annotated[int, Field(ge=0, le=100), ZERO_IS_UNSET] = defaults.HOOK_MAX_RETRIES
    timeout_sec: Annotated[int, Field(ge=0, le=300), ZERO_IS_UNSET] = defaults.HOOK_TIMEOUT_S
    batch_max_items: Annotated[int | None, Field(ge=0, le=10_000), ZERO_IS_UNSET] = None
    batch_flush_interval_sec: Annotated[int | None, Field(ge=0, le=3600), ZERO_IS_UNSET] = None
    batch_max_queue_items: Annotated[int | None, Field(ge=0, le=1_000_000), ZERO_IS_UNSET] = None

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        return _reworded(validate_hook_id, value)

    @model_validator(mode="after")
    def _target(self) -> "Hook":
        if self.type == "http" and not self.target.startswith(("http://", "https://")):
            raise refuse("target must be an http:// or https:// URL")
        if self.type == "file" and ".." in self.target.split("/"):
            raise refuse("target may not contain ..")
        return self


def _reworded(check: Callable[[str], _Checked], value: str) -> _Checked:
    """Run a check that raises ConfigError inside a pydantic validator, which knows the field's place."""
    try:
        return check(value)
    except ConfigError as err:
        raise refuse(str(err)) from err
