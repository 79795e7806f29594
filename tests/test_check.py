"""What ``openstreamer check`` finds in a store and beside it."""

import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openstreamer.check import Finding, run_checks
from openstreamer.config.addresses import Address
from openstreamer.config.settings import ServeSettings
from openstreamer.encoder_probe import PROBED_ENCODERS, probe
from openstreamer.store.store import Store


def _settings(directory: Path, **fields: Any) -> ServeSettings:
    free = {"http": Address("127.0.0.1", 0), "rtmp": Address("127.0.0.1", 0)}
    return ServeSettings(data_dir=directory, **(free | fields))


def _finding(settings: ServeSettings, subject: str) -> Finding:
    return next(finding for finding in run_checks(settings) if finding.subject == subject)


async def _fill(settings: ServeSettings, **global_config: Any) -> None:
    async with Store.open(settings.store_location) as store:
        await store.put_stream("news", {"inputs": [{"url": "publish://"}]})
        await store.put_template("hd", {})
        await store.merge_global_config(global_config)


async def test_a_store_is_counted(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    await _fill(settings)
    finding = _finding(settings, "store")
    assert finding.ok
    assert "1 streams, 1 templates, 0 policies, 0 hooks" in finding.detail


async def test_a_record_this_version_refuses_is_named(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    await _fill(settings)
    with closing(sqlite3.connect(settings.store_location)) as connection:
        connection.execute('UPDATE streams SET document = \'{"code": "news", "retired": 1}\'')
        connection.commit()
    finding = _finding(settings, "store")
    assert not finding.ok
    assert finding.detail == "streams news: retired: is not a known field"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("document = '{bad'", "damaged: the document is not JSON"),
        ("document = 7", "damaged: the document is not a JSON object"),
        (f"document = '{'[' * 100_000}'", "damaged: the document is not JSON"),
        ("document = '[]'", "damaged: the document is not a JSON object"),
        ("document = CAST(x'7bff7d' AS TEXT)", "damaged: the document is not UTF-8 text"),
        ("created_at = 'garbage'", "damaged: created_at is not a time"),
        ("updated_at = CAST(x'ff' AS TEXT)", "damaged: updated_at is not a time"),
        ("revision = 'garbage'", "damaged: its revision is not a number"),
        ("code = CAST(x'ff' AS TEXT)", "damaged: its name is not UTF-8 text"),
    ],
)
async def test_a_damaged_record_is_named(tmp_path: Path, damage: str, reason: str) -> None:
    settings = _settings(tmp_path)
    await _fill(settings)
    with closing(sqlite3.connect(settings.store_location)) as connection:
        connection.execute(f"UPDATE streams SET {damage}")
        connection.commit()
    finding = _finding(settings, "store")
    assert not finding.ok
    assert finding.detail.startswith("streams ")
    assert reason in finding.detail


def _overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


async def test_a_damaged_file_is_one_row_though_sqlite_says_it_in_two_lines(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    await _fill(settings)
    path = Path(settings.store_location)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'streams'").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    _overwrite(path, (page - 1) * page_bytes, b"\xff" * 64)
    finding = _finding(settings, "store")
    assert not finding.ok
    assert "is damaged: *** in database main *** " in finding.detail
    assert len(finding.detail.splitlines()) == 1


def _empty(path: Path) -> None:
    path.write_bytes(b"")


async def test_a_store_that_was_emptied_is_named(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    await _fill(settings)
    _empty(Path(settings.store_location))
    finding = _finding(settings, "store")
    assert not finding.ok
    assert "is empty: what it held is lost" in finding.detail


async def test_a_store_of_a_newer_version_is_named_and_not_migrated(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    await _fill(settings)
    with closing(sqlite3.connect(settings.store_location)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    finding = _finding(settings, "store")
    assert not finding.ok
    assert "newer version" in finding.detail


async def test_a_store_can_be_checked_while_the_server_uses_it(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    async with Store.open(settings.store_location) as store:
        await store.put_stream("news", {})
        finding = _finding(settings, "store")
    assert finding.ok
    assert "1 streams" in finding.detail


async def test_stored_addresses_and_tls_files_are_checked(tmp_path: Path) -> None:
    settings = _settings(tmp_path, http=None, rtmp=None)
    await _fill(
        settings,
        server={"http_addr": "256.1.1.1:80", "tls": {"cert": "/absent.pem", "key": "/absent.key"}},
        listeners={"rtmp": {"enabled": False}},
    )
    http = _finding(settings, "HTTP port")
    assert not http.ok
    assert "256.1.1.1:80" in http.detail
    assert _finding(settings, "RTMP port") == Finding("RTMP port", True, "switched off")
    tls = _finding(settings, "TLS")
    assert not tls.ok
    assert tls.detail == "server.tls.cert: cannot read /absent.pem: no such file or directory"


def test_a_data_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = _finding(_settings(tmp_path / "file" / "data"), "data directory")
    assert not finding.ok
    assert "is not a directory" in finding.detail


def test_a_limit_of_open_files_below_all_connections_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 6000))
    assert _finding(_settings(tmp_path, http_connections=800), "open files").ok
    finding = _finding(_settings(tmp_path, http_connections=900), "open files")
    assert not finding.ok
    assert "6000 may be open, 6020 are needed" in finding.detail


@pytest.mark.parametrize("name", PROBED_ENCODERS)
def test_the_encoders_of_the_wheel_open(name: str) -> None:
    assert probe(name) == ""


def test_an_encoder_that_does_not_exist_is_not_open() -> None:
    assert probe("h264_none") != ""


async def test_a_directory_that_may_not_be_entered_is_a_row_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    settings = _settings(tmp_path / "data")
    (tmp_path / "data").mkdir()
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: deny(path) if path.suffix == ".db" else real(path))
    finding = _finding(settings, "store")
    assert not finding.ok
    assert "may not be read by user" in finding.detail
    assert _finding(settings, "TLS").ok
