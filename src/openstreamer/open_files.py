"""How many files the process may have open, of which every connection is one."""

import resource
from typing import Final

import structlog

from openstreamer.config.models import GlobalConfig
from openstreamer.config.settings import ServeSettings
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.listen.rtmp.limits import RtmpListenerLimits

logger = structlog.get_logger(__name__)

OTHER_FILES: Final = 1024  # store, log, live files, inputs that are pulled, pipes of children


def http_limits(settings: ServeSettings) -> HttpLimits:
    """The bounds that the settings ask for."""
    return HttpLimits.of_connections(settings.http_connections, settings.http_connections_per_address)


def needed(settings: ServeSettings, config: GlobalConfig) -> int:
    """Open files when every listener has as many connections as it may."""
    rtmp_listeners = [settings.rtmp_address(config), settings.rtmps_address(config)]
    rtmp = sum(address is not None for address in rtmp_listeners) * RtmpListenerLimits().max_connections
    return http_limits(settings).max_connections + rtmp + OTHER_FILES


def allowed() -> int | None:
    """What the limit can be raised to by the process itself; None when there is no limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def raise_limit(wanted: int) -> None:
    """Allow this process ``wanted`` open files, or as many as it may allow itself, and then say so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = allowed()
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if most is None else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if most is not None and most < wanted:
        logger.warning("open_files_limited", limit=soft, needed=wanted)
