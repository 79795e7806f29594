"""What the control plane needs of the rest: it reads snapshots and sends commands, and carries no media."""

from dataclasses import dataclass
from typing import Protocol

from openstreamer import __version__
from openstreamer.config.global_config import GlobalConfig
from openstreamer.stream.status import StreamRuntime


class StreamControl(Protocol):
    """The streams of this node."""

    @property
    def last_reconcile_ns(self) -> int | None:
        """When the reconciler last ran through, on the monotonic clock; ``None``: not yet."""
        ...

    async def apply(self, code: str) -> None:
        """The record of ``code`` changed in the store, or is gone."""
        ...

    async def apply_all(self) -> None:
        """A template or the global configuration changed."""
        ...

    async def restart(self, code: str) -> None:
        """Stop and rebuild; raises with code ``STREAM_NOT_FOUND`` or ``STREAM_DISABLED``."""
        ...

    def runtime(self, code: str) -> StreamRuntime | None: ...

    def runtime_codes(self) -> list[str]:
        """Streams that exist at run time only."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The bound addresses; ``None`` is a protocol that this server does not listen for."""

    http_addr: str
    rtmp_port: int | None = None
    rtsp_port: int | None = None
    srt_port: int | None = None


class ServerView(Protocol):
    """The listeners as they are bound now."""

    def ports(self) -> Ports: ...


class RunningSettings(Protocol):
    """What of the global configuration is in force."""

    def follow(self, config: GlobalConfig) -> None:
        """The global configuration changed to ``config``."""
        ...

    def waiting_for_restart(self, config: GlobalConfig) -> list[str]:
        """The settings of ``config`` that come into force when the server is started again."""
        ...


class StillSettings:
    """Nothing that runs depends on the settings."""

    def follow(self, config: GlobalConfig) -> None:
        """Nothing to do."""

    def waiting_for_restart(self, config: GlobalConfig) -> list[str]:
        """None."""
        return []


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What is running; ``commit`` and ``built_at`` are empty where nobody knows."""

    version: str = __version__
    commit: str = ""
    built_at: str = ""
