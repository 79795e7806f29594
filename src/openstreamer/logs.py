"""Logging: structured events on stderr, one line each; JSON for machines or a console for people."""

import logging
import sys
from contextlib import suppress
from typing import Any

import structlog


class SteadyLogger(structlog.PrintLogger):
    """Loses a line that cannot be written. A full disk or a closed pipe behind the log is no reason for a
    stream to stop, or for a change that was stored to be answered with an error."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}


def configure(level: str = "info", style: str = "console") -> None:
    """Set the process's log level (``debug info warn error``) and style (``json`` or ``console``)."""
    renderer: Any
    if style == "json":
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level, 20)),
        logger_factory=lambda *_: SteadyLogger(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module: only what somebody must act on.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
