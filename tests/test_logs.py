"""Logging: lines that people and machines read, and that never get in the way."""

import errno
import io
import json
import os
from collections.abc import Iterator

import pytest
import structlog

from openstreamer import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.reset_defaults()


class FullDisk(io.StringIO):
    """A file on a disk without space."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", FullDisk())
    logs.configure("info", "json")
    logger = structlog.get_logger("test")
    for say in (logger.info, logger.warning, logger.error, logger.exception):
        say("something_happened", stream="news")


def test_events_are_one_json_object_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logs.configure("info", "json")
    logger = structlog.get_logger("test")
    logger.info("something_happened", stream="news")
    logger.debug("not_shown")
    (line,) = written.getvalue().splitlines()
    said = json.loads(line)
    assert (said["event"], said["level"], said["stream"]) == ("something_happened", "info", "news")
