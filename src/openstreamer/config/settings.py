"""Bootstrap settings: what must be known before the store can be opened.

From the strongest to the weakest: command line, ``OPENSTREAMER_*`` environment, ``config.yaml``, defaults.
The addresses of the listeners may stand here as well, and then win over the stored global configuration.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from openstreamer.config.addresses import Address, parse_address
from openstreamer.config.base import ConfigModel, parse, refuse
from openstreamer.config.defaults import HTTP_PORT, LISTEN_HOST, RTMP_PORT
from openstreamer.config.models import GlobalConfig
from openstreamer.media.errors import ConfigError

DEFAULT_CONFIG_FILE: Final = "config.yaml"  # read when it is there
DEFAULT_DATA_DIR: Final = "data"
DATABASE_FILE: Final = "openstreamer.db"
MAX_CONFIG_FILE_BYTES: Final = 1 << 20
MAX_CONNECTIONS: Final = 1_000_000  # more than a process can open files on any Linux as it comes
ENVIRONMENT_PREFIX: Final = "OPENSTREAMER_"

_MOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

LogLevel = Literal["debug", "info", "warn", "error"]
LogFormat = Literal["text", "json"]


class _BootstrapDocument(ConfigModel):
    """The fields of ``config.yaml``, and of the environment in upper case."""

    data_dir: str | None = None
    database_url: str | None = None
    http: str | None = None
    rtmp: str | None = None
    log_level: LogLevel | None = None
    log_format: LogFormat | None = None
    # Numbers are text in the environment.
    media_memory_max_bytes: int | None = Field(default=None, ge=1, strict=False)
    http_connections: int | None = Field(default=None, ge=1, le=MAX_CONNECTIONS, strict=False)
    http_connections_per_address: int | None = Field(default=None, ge=1, le=MAX_CONNECTIONS, strict=False)
    file_roots: dict[str, str] | None = None

    @field_validator("file_roots", mode="before")
    @classmethod
    def _roots(cls, value: Any) -> Any:
        """A mapping, or ``name=directory`` separated by commas; each name once."""
        if isinstance(value, str):
            value = [part for part in value.split(",") if part.strip()]
        if isinstance(value, list):
            pairs = [str(part).strip().partition("=") for part in value]
            value = {name: directory for name, _, directory in pairs}
            if len(value) < len(pairs):
                raise refuse("names a mount twice")
        if isinstance(value, dict):
            for name, directory in value.items():
                if not (isinstance(name, str) and _MOUNT.fullmatch(name) and directory):
                    raise refuse("is written as name=/directory; names are letters, digits, _ and -")
        return value

    @field_validator("http", "rtmp")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(parse_address(value))
        except ConfigError as err:
            raise refuse(str(err)) from err


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How the server is started. ``None`` in an address or log field: the stored configuration decides; as
    ``media_memory_max_bytes``, which all streams together may hold: the machine decides; as the most HTTP
    connections: the defaults of the listener hold."""

    data_dir: Path = Path(DEFAULT_DATA_DIR)
    database_url: str | None = field(default=None, repr=False)
    http: Address | None = None
    rtmp: Address | None = None
    log_level: LogLevel | None = None
    log_format: LogFormat | None = None
    media_memory_max_bytes: int | None = None
    http_connections: int | None = None
    http_connections_per_address: int | None = None
    demo: bool = True
    ready_file: Path | None = None
    config_file: Path | None = None
    file_roots: Mapping[str, Path] = field(default_factory=dict)  # by mount: where files may be read

    @property
    def store_location(self) -> str:
        """What :meth:`Store.open` takes: the database URL, or the file in the data directory."""
        return self.database_url or str(self.data_dir / DATABASE_FILE)

    def http_address(self, stored: GlobalConfig) -> Address:
        """Where HTTP listens: as started, else as stored, else the default."""
        if self.http is not None:
            return self.http
        return parse_address(stored.server.http_addr)

    def rtmp_address(self, stored: GlobalConfig) -> Address | None:
        """Where RTMP listens, None when it is switched off in the stored configuration."""
        if self.rtmp is not None:
            return self.rtmp
        listener = stored.listeners.rtmp
        return Address(listener.listen_host, listener.port) if listener.enabled else None

    def rtmps_address(self, stored: GlobalConfig) -> Address | None:
        """Where RTMPS listens, None without TLS or RTMP: on the host of RTMP and a port of its own, a free
        one when RTMP was told to find one and nobody named another."""
        rtmp = self.rtmp_address(stored)
        if rtmp is None or not stored.server.tls.cert:
            return None
        listener = stored.listeners.rtmp
        is_free = rtmp.port == 0 and "tls_port" not in listener.model_fields_set
        return Address(rtmp.host, 0 if is_free else listener.tls_port)


DEFAULT_HTTP: Final = Address(LISTEN_HOST, HTTP_PORT)
DEFAULT_RTMP: Final = Address(LISTEN_HOST, RTMP_PORT)


def load_settings(
    *,
    config_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    data_dir: Path | None = None,
    http: str | None = None,
    rtmp: str | None = None,
    demo: bool = True,
    ready_file: Path | None = None,
    file_roots: Sequence[str] | None = None,
    http_connections: int | None = None,
    http_connections_per_address: int | None = None,
) -> ServeSettings:
    """Settings from all places; the arguments are the command line's, None where it is silent.

    Raises ConfigError that names the file, variable or option (the last with code ``INVALID_OPTION``).
    """
    environment = os.environ if environ is None else environ
    path = config_file or _configured_file(environment)
    flags = {
        "data_dir": None if data_dir is None else str(data_dir),
        "http": http,
        "rtmp": rtmp,
        "file_roots": list(file_roots) if file_roots else None,
        "http_connections": http_connections,
        "http_connections_per_address": http_connections_per_address,
    }
    options = {f"--{key}": value for key, value in flags.items()}
    settings = ServeSettings(config_file=path, demo=demo, ready_file=ready_file)
    _overlay(settings, options, "")  # a mistyped option is reported before a mistake in a file
    if path is not None:
        settings = _overlay(settings, _read_file(path), str(path))
    settings = _overlay(settings, _from_environment(environment), "the environment")
    return _overlay(settings, options, "")


def _configured_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(f"{ENVIRONMENT_PREFIX}CONFIG")
    if named:
        return Path(named)
    default = Path(DEFAULT_CONFIG_FILE)
    return default if default.is_file() else None


def _read_file(path: Path) -> dict[str, Any]:
    # Most starts have no file and need no YAML reader (0.1 s).
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_CONFIG_FILE_BYTES + 1)
        document = YAML(typ="safe", pure=True).load(text) if len(text) <= MAX_CONFIG_FILE_BYTES else text
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}", field=str(path)) from err
    except (YAMLError, ValueError, RecursionError) as err:
        mark = getattr(err, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise ConfigError(f"{path}: is not YAML{where}", field=str(path)) from err
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must map names to values, such as data_dir: /srv/data", field=str(path))
    return document


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    names = {f"{ENVIRONMENT_PREFIX}{name.upper()}": name for name in _BootstrapDocument.model_fields}
    return {names[variable]: value for variable, value in environment.items() if variable in names}


def unknown_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """One sentence per variable that is named like one of ours and is none; it says which may be meant."""
    environment = os.environ if environ is None else environ
    known = [f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in ("config", *_BootstrapDocument.model_fields)]
    warnings = []
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            nearest = get_close_matches(name, known, n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            warnings.append(f"the environment variable {name} is not known and was ignored{meant}")
    return warnings


def _overlay(settings: ServeSettings, values: Mapping[str, Any], origin: str) -> ServeSettings:
    document = {str(key).removeprefix("--"): value for key, value in values.items()}
    try:
        said = parse(_BootstrapDocument, document)
    except ConfigError as err:
        if not origin:
            raise ConfigError(f"--{err}", field=err.field, code="INVALID_OPTION") from err
        raise ConfigError(f"{origin}: {err}", field=err.field) from err
    changes: dict[str, Any] = said.model_dump(exclude_unset=True)
    if said.data_dir is not None:
        changes["data_dir"] = Path(said.data_dir)
    if said.file_roots is not None:
        changes["file_roots"] = {name: Path(path).absolute() for name, path in said.file_roots.items()}
    for name in ("http", "rtmp"):
        if changes.get(name) is not None:
            changes[name] = parse_address(changes[name])
    return replace(settings, **changes)
