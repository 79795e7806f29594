"""The global configuration (CONTRACT 5): what holds for the whole server and is kept in the store."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from openstreamer.config import defaults
from openstreamer.config.addresses import parse_address
from openstreamer.config.base import ZERO_IS_UNSET, ConfigModel, Name, Number, Seconds, Text, refuse
from openstreamer.config.networks import check_networks
from openstreamer.media.errors import ConfigError

_Port = Annotated[int, Field(ge=0, le=65_535), ZERO_IS_UNSET]
_Names = Annotated[tuple[Name, ...], Field(strict=False, max_length=256)]
# bcrypt ($2a$ $2b$ $2y$) as htpasswd writes it, argon2id in the encoding of its reference implementation
_PASSWORD_HASH = re.compile(
    r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}|\$argon2id\$[A-Za-z0-9$=,+/]{20,400}", re.ASCII
)
_USERNAME = re.compile(r"[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,63}", re.ASCII)

Role = Literal["read", "write"]


def _absolute(path: str) -> str:
    """A relative path would mean another place with every directory that the server is started from."""
    if path and not path.startswith("/"):
        raise refuse(f"must be an absolute path, not {path!r}")
    return path


_AbsolutePath = Annotated[Text, AfterValidator(_absolute)]


class Cors(ConfigModel):
    """Cross-origin rules of the HTTP port."""

    enabled: bool = False
    allowed_origins: _Names = ()
    allowed_methods: _Names = ()
    allowed_headers: _Names = ()
    exposed_headers: _Names = ()
    allow_credentials: bool = False
    max_age: Seconds = 0


class Tls(ConfigModel):
    """PEM files. Both or neither."""

    cert: _AbsolutePath = ""
    key: _AbsolutePath = ""


class Server(ConfigModel):
    """The HTTP port. ``http_addr`` as in Go: ``:8080`` is every address."""

    http_addr: str = f"{defaults.LISTEN_HOST}:{defaults.HTTP_PORT}"
    cors: Cors = Cors()
    trusted_proxies: _Names = ()
    tls: Tls = Tls()

    @field_validator("http_addr")
    @classmethod
    def _address(cls, value: str) -> str:
        try:
            parse_address(value)
        except ConfigError as err:
            raise refuse(str(err)) from err
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_networks(value)

    @field_validator("tls")
    @classmethod
    def _pair(cls, value: Tls) -> Tls:
        if bool(value.cert) != bool(value.key):
            raise refuse("needs both cert and key")
        return value


class ApiUser(ConfigModel):
    """A user of the admin API; the hash is argon2id or bcrypt (``htpasswd -nbB``)."""

    username: str
    password_hash: str = Field(repr=False)
    role: Role = "read"

    @field_validator("username")
    @classmethod
    def _name(cls, value: str) -> str:
        return check_username(value)

    @field_validator("password_hash")
    @classmethod
    def _hash(cls, value: str) -> str:
        return check_password_hash(value)


class ApiAuth(ConfigModel):
    """``enabled`` unset: on as soon as a user exists."""

    enabled: bool | None = None
    users: Annotated[tuple[ApiUser, ...], Field(strict=False, max_length=1000)] = ()

    @field_validator("users")
    @classmethod
    def _unique(cls, value: tuple[ApiUser, ...]) -> tuple[ApiUser, ...]:
        if len({user.username for user in value}) != len(value):
            raise refuse("holds the same username twice")
        return value


class Auth(ConfigModel):
    """Who may use the admin API."""

    api: ApiAuth = ApiAuth()


class Buffer(ConfigModel):
    """``capacity`` is kept for clients of the Go server; hubs are bounded in time and bytes."""

    capacity: Annotated[int, Field(ge=0, le=1_000_000), ZERO_IS_UNSET] = defaults.BUFFER_CAPACITY


class Manager(ConfigModel):
    """Failover."""

    input_packet_timeout_sec: Annotated[Number, Field(ge=0.1, le=3600), ZERO_IS_UNSET] = (
        defaults.INPUT_PACKET_TIMEOUT_S
    )


class LiveSegments(ConfigModel):
    """Live playlists. With ``dir`` the segments are written there as well as kept in memory."""

    dir: _AbsolutePath = ""
    live_segment_sec: Annotated[Number, Field(ge=0.5, le=30), ZERO_IS_UNSET] = defaults.LIVE_SEGMENT_S
    live_window: Annotated[int, Field(ge=0, le=1000), ZERO_IS_UNSET] = defaults.LIVE_WINDOW
    live_history: int = Field(default=defaults.LIVE_HISTORY, ge=0, le=100_000)
    live_ephemeral: bool = defaults.LIVE_EPHEMERAL


class Publisher(ConfigModel):
    """Delivery over HTTP."""

    hls: LiveSegments = LiveSegments()
    dash: LiveSegments = LiveSegments()


class RtmpListener(ConfigModel):
    """The RTMP port, and the one of RTMPS, which is open when ``server.tls`` is configured."""

    enabled: bool = True
    listen_host: Name = defaults.LISTEN_HOST
    port: _Port = defaults.RTMP_PORT
    tls_port: _Port = defaults.RTMPS_PORT


class RtspListener(ConfigModel):
    """The RTSP port."""

    enabled: bool = True
    listen_host: Name = defaults.LISTEN_HOST
    port: _Port = defaults.RTSP_PORT
    transport: Literal["tcp", "udp"] = "tcp"


class SrtListener(ConfigModel):
    """The SRT port."""

    enabled: bool = True
    listen_host: Name = defaults.LISTEN_HOST
    port: _Port = defaults.SRT_PORT
    latency_ms: Annotated[int, Field(ge=0, le=60_000), ZERO_IS_UNSET] = defaults.SRT_LATENCY_MS


class Listeners(ConfigModel):
    """Ports for encoders and players."""

    rtmp: RtmpListener = RtmpListener()
    rtsp: RtspListener = RtspListener()
    srt: SrtListener = SrtListener()


class Ingestor(ConfigModel):
    """Pulled inputs."""

    hls_max_segment_buffer: Annotated[int, Field(ge=0, le=1000), ZERO_IS_UNSET] = (
        defaults.HLS_MAX_SEGMENT_BUFFER
    )
    allow_private_addresses: bool = True  # whether inputs may name loopback and private networks (ours)


class Hooks(ConfigModel):
    """Delivery of events; a hook's own value wins."""

    worker_count: Annotated[int, Field(ge=0, le=256), ZERO_IS_UNSET] = defaults.HOOK_WORKER_COUNT
    batch_max_items: Annotated[int, Field(ge=0, le=10_000), ZERO_IS_UNSET] = defaults.HOOK_BATCH_MAX_ITEMS
    batch_flush_interval_sec: Annotated[int, Field(ge=0, le=3600), ZERO_IS_UNSET] = (
        defaults.HOOK_BATCH_FLUSH_INTERVAL_S
    )
    batch_max_queue_items: Annotated[int, Field(ge=0, le=1_000_000), ZERO_IS_UNSET] = (
        defaults.HOOK_BATCH_MAX_QUEUE_ITEMS
    )
    file_root_dir: Text = ""


class Sessions(ConfigModel):
    """Viewer sessions. ``max_lifetime_sec`` 0: no cap."""

    enabled: bool = True
    idle_timeout_sec: Annotated[Seconds, ZERO_IS_UNSET] = defaults.SESSION_IDLE_TIMEOUT_S
    max_lifetime_sec: Seconds = 0
    geoip_db_path: Text = ""


class Watermarks(ConfigModel):
    """The library of overlay pictures; an empty ``dir`` is a directory of the server's own."""

    dir: Text = ""


class Log(ConfigModel):
    """``trace`` is taken as ``debug``."""

    level: Literal["trace", "debug", "info", "warn", "error"] = "info"
    format: Literal["text", "json"] = "text"


class GlobalConfig(ConfigModel):
    """Everything that is not a stream, template, policy or hook."""

    server: Server = Server()
    auth: Auth = Auth()
    buffer: Buffer = Buffer()
    manager: Manager = Manager()
    publisher: Publisher = Publisher()
    listeners: Listeners = Listeners()
    ingestor: Ingestor = Ingestor()
    hooks: Hooks = Hooks()
    sessions: Sessions = Sessions()
    watermarks: Watermarks = Watermarks()
    log: Log = Log()


def check_username(value: str) -> str:
    """Return ``value`` or refuse it: letters, digits and ``._@-``, no colon (RFC 7617, section 2)."""
    if not _USERNAME.fullmatch(value):
        raise refuse("must be 1 to 64 characters of letters, digits and . _ @ -")
    return value


def check_password_hash(value: str) -> str:
    """Return ``value`` or refuse it: an argon2id or bcrypt hash, never a password."""
    if not _PASSWORD_HASH.fullmatch(value):
        raise refuse("must be an argon2id or bcrypt hash, not a password")
    return value
