"""The limit of open files."""

import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from openstreamer import open_files
from openstreamer.config.addresses import Address
from openstreamer.config.models import GlobalConfig
from openstreamer.config.settings import ServeSettings
from openstreamer.listen.rtmp.limits import RtmpListenerLimits

RTMP = RtmpListenerLimits().max_connections


@pytest.mark.parametrize(
    ("stored", "rtmp_listeners"),
    [
        ({}, 1),
        ({"listeners": {"rtmp": {"enabled": False}}}, 0),
        ({"server": {"tls": {"cert": "/c.pem", "key": "/k.pem"}}}, 2),
    ],
)
def test_every_listener_can_have_all_its_connections(stored: dict[str, Any], rtmp_listeners: int) -> None:
    config = GlobalConfig.model_validate(stored)
    needed = open_files.needed(ServeSettings(http_connections=100), config)
    assert needed == 100 + rtmp_listeners * RTMP + open_files.OTHER_FILES


def test_the_share_of_one_address_follows_the_total_unless_it_is_set() -> None:
    limits = open_files.http_limits(ServeSettings(http_connections=80))
    assert (limits.max_connections, limits.max_connections_per_address) == (80, 10)
    assert (limits.max_requests_in_flight, limits.max_requests_in_flight_per_address) == (160, 40)
    assert open_files.http_limits(ServeSettings(http_connections=1)).max_connections_per_address == 1
    chosen = ServeSettings(http=Address("127.0.0.1", 0), http_connections_per_address=3000)
    assert open_files.http_limits(chosen).max_connections_per_address == 3000


def limits_of_a_process(soft: int, hard: int, wanted: int) -> str:
    """What a process with these limits has once it asked for ``wanted``, and what it logged."""

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    setup: Callable[[], None] = lower
    script = (
        "import resource; from openstreamer.open_files import raise_limit, allowed;"
        f"raise_limit({wanted}); print(resource.getrlimit(resource.RLIMIT_NOFILE), allowed())"
    )
    command = (sys.executable, "-c", script)
    return subprocess.run(command, preexec_fn=setup, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("wanted", "soft"),
    [(300, 300), (100, 200)],
)
def test_the_soft_limit_is_raised_and_never_lowered(wanted: int, soft: int) -> None:
    assert limits_of_a_process(200, 400, wanted) == f"({soft}, 400) 400\n"


def test_a_hard_limit_that_is_too_low_is_logged() -> None:
    logged, _, limits = limits_of_a_process(200, 400, 500).strip().rpartition("\n")
    assert limits == "(400, 400) 400"
    assert "open_files_limited" in logged
    assert "500" in logged


def test_without_a_hard_limit_everything_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)
    assert open_files.allowed() is None
    open_files.raise_limit(1 << 40)
