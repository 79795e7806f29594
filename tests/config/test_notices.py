"""What is said about settings that are not served as they are written, or not yet."""

from typing import Any

import pytest

from openstreamer.config.defaults import MIN_LIVE_WINDOW
from openstreamer.config.models import GlobalConfig
from openstreamer.config.notices import raised_windows, waiting_for_restart
from openstreamer.packager.options import MIN_WINDOW_SEGMENTS


def config(**sections: Any) -> GlobalConfig:
    return GlobalConfig.model_validate(sections)


def test_a_window_that_is_too_short_to_play_well_is_told_with_what_is_served() -> None:
    (notice,) = raised_windows(config(publisher={"hls": {"live_window": 3}}))
    assert notice.startswith("publisher.hls.live_window: 3 is served as 6")


@pytest.mark.parametrize("window", [0, None, 6, 100])
def test_the_default_and_long_windows_need_no_word(window: int | None) -> None:
    assert raised_windows(config(publisher={"hls": {"live_window": window}})) == []


def test_what_is_told_is_what_the_packager_does() -> None:
    assert MIN_LIVE_WINDOW == MIN_WINDOW_SEGMENTS


@pytest.mark.parametrize(
    ("sections", "waiting"),
    [
        ({"server": {"http_addr": ":9000"}}, ["server.http_addr"]),
        ({"listeners": {"rtmp": {"port": 1936}}}, ["listeners.rtmp"]),
        ({"log": {"level": "debug"}}, ["log"]),
        ({"server": {"tls": {"cert": "/a", "key": "/b"}}}, ["server.tls"]),
        ({"server": {"cors": {"enabled": True}}, "publisher": {"hls": {"live_window": 7}}}, []),
        ({"listeners": {"rtmp": {"port": 1935}}}, []),  # the default, in words
    ],
)
def test_only_what_is_read_at_the_start_waits_for_one(sections: dict[str, Any], waiting: list[str]) -> None:
    assert waiting_for_restart(GlobalConfig(), config(**sections)) == waiting


def test_another_certificate_needs_no_restart() -> None:
    before = config(server={"tls": {"cert": "/a", "key": "/b"}})
    assert waiting_for_restart(before, config(server={"tls": {"cert": "/c", "key": "/d"}})) == []
