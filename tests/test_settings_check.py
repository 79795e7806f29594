"""What a configuration names on this machine is tried before the configuration is stored."""

from pathlib import Path

import pytest

from openstreamer.config.models import GlobalConfig
from openstreamer.media.errors import ConfigError
from openstreamer.settings_check import check_settings


def writing_to(directory: Path | str) -> GlobalConfig:
    return GlobalConfig.model_validate({"publisher": {"hls": {"dir": str(directory)}}})


async def test_a_directory_that_can_be_written_to_is_made_and_left_empty(tmp_path: Path) -> None:
    await check_settings(GlobalConfig(), writing_to(tmp_path / "live" / "hls"))
    assert list((tmp_path / "live" / "hls").iterdir()) == []


async def test_a_directory_below_a_file_is_refused_by_its_field(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(
        ConfigError, match=r"publisher\.hls\.dir: .*/file/hls cannot be written to: Not a dir"
    ) as refused:
        await check_settings(GlobalConfig(), writing_to(tmp_path / "file" / "hls"))
    assert refused.value.field == "publisher.hls.dir"


async def test_a_directory_where_nothing_can_be_made_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be written to"):
        await check_settings(GlobalConfig(), writing_to("/proc/hls"))


async def test_what_was_named_before_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    known = writing_to(tmp_path / "file" / "hls")
    await check_settings(known, known)
