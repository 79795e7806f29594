"""What an operator should know of settings that are taken, and mean something else than they seem to."""

from typing import Final

from openstreamer.config import defaults
from openstreamer.config.global_config import GlobalConfig

# Settings that are read once, when the server starts: everything they hold ports or processes with.
READ_AT_START: Final = (
    "server.http_addr",
    "listeners.rtmp",
    "listeners.rtsp",
    "listeners.srt",
    "log",
)


def raised_windows(config: GlobalConfig) -> list[str]:
    """One sentence per playlist window that is served longer than it is set.

    The Go server allows any length, and its configurations are taken as they are; players need six segments
    to start without stalling (Apple's authoring specification 1.34 asks for as many).
    """
    least = defaults.MIN_LIVE_WINDOW
    return [
        f"publisher.{name}.live_window: {section.live_window} is served as {least}, the least that plays well"
        for name, section in (("hls", config.publisher.hls), ("dash", config.publisher.dash))
        if section.live_window < least
    ]


def waiting_for_restart(started_with: GlobalConfig, wanted: GlobalConfig) -> list[str]:
    """The settings of ``wanted`` that a server which was started with others does not follow yet."""
    waiting = [path for path in READ_AT_START if _at(started_with, path) != _at(wanted, path)]
    # Another certificate is taken up at once; that there is one decides what the ports speak.
    if bool(started_with.server.tls.cert) != bool(wanted.server.tls.cert):
        waiting.append("server.tls")
    return waiting


def _at(config: GlobalConfig, path: str) -> object:
    value: object = config
    for name in path.split("."):
        value = getattr(value, name)
    return value
