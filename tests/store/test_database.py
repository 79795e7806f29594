"""What can be wrong with the database file: said clearly, and nothing is lost."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openstreamer.media.errors import StoreError
from openstreamer.store.database import locate, prepare_directory
from openstreamer.store.store import Store

_NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "openstreamer.db"


async def _refusal(path: Path) -> StoreError:
    with pytest.raises(StoreError) as refused:
        async with Store.open(path):
            raise AssertionError("it must not open")
    assert str(path) in str(refused.value)
    return refused.value


async def _fill(path: Path) -> None:
    async with Store.open(path) as store:
        for index in range(40):
            await store.put_stream(f"s/{index}", {"description": "x" * 2000})


def _contents(path: Path) -> bytes:
    return path.read_bytes()


def _replace(path: Path, contents: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(contents)


def _remove(path: Path) -> None:
    path.unlink()


def _exists(path: Path) -> bool:
    return path.exists()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_directory_and_files_are_private(path: Path) -> None:
    old_mask = os.umask(0)
    try:
        async with Store.open(path) as store:
            await store.put_stream("news", {})
            files = list(path.parent.iterdir())
            assert {file.name for file in files} >= {"openstreamer.db", "openstreamer.db-wal"}
            assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_that_others_may_read_is_closed_to_them(path: Path) -> None:
    await _fill(path)
    os.chmod(path, 0o644)
    async with Store.open(path):
        assert _mode(path) == 0o600


async def test_the_log_is_written_ahead_and_flushed_at_every_commit(path: Path) -> None:
    async with Store.open(path) as store, store._reading() as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar() == value


async def test_a_file_that_is_no_database_is_left_as_it_is(path: Path) -> None:
    _replace(path, b"my holiday photos " * 1000)
    before = _contents(path)
    refused = await _refusal(path)
    assert refused.code == "STORE_CORRUPT"
    assert "untouched" in str(refused)
    assert _contents(path) == before


async def test_a_damaged_database_is_left_as_it_is(path: Path) -> None:
    await _fill(path)
    damaged = bytearray(_contents(path))
    damaged[8192:24576] = b"\xff" * 16384
    _replace(path, damaged)
    refused = await _refusal(path)
    assert refused.code == "STORE_CORRUPT"
    assert _contents(path) == bytes(damaged)


async def test_a_truncated_database_is_left_as_it_is(path: Path) -> None:
    await _fill(path)
    truncated = _contents(path)[:20000]
    _replace(path, truncated)
    assert (await _refusal(path)).code == "STORE_CORRUPT"
    assert _contents(path) == truncated


async def test_a_database_that_was_emptied_is_no_new_store(path: Path) -> None:
    await _fill(path)
    _replace(path, b"")
    refused = await _refusal(path)
    assert refused.code == "STORE_LOST"
    assert "is empty" in str(refused)
    assert "openstreamer import" in str(refused)
    assert _contents(path) == b""


async def test_a_database_that_is_gone_from_beside_its_log_is_no_new_store(path: Path) -> None:
    log = path.with_name("openstreamer.db-wal")
    async with Store.open(path) as store:
        await store.put_stream("news", {})
        before = _contents(log)
    _remove(path)
    _replace(log, before)
    refused = await _refusal(path)
    assert refused.code == "STORE_LOST"
    assert "openstreamer.db-wal of it is still there" in str(refused)
    assert _contents(log) == before
    assert not _exists(path)


async def test_a_first_start_that_is_cut_short_is_made_up_for(path: Path) -> None:
    prepare_directory(path)
    assert _contents(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    async with Store.open(path) as store:
        assert store.is_new


async def test_where_there_are_no_hard_links_a_store_is_made_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    await _fill(path)
    assert _mode(path) == 0o600


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    await _fill(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = _contents(path)
    with pytest.raises(StoreError, match="newer version") as refused:
        async with Store.open(path):
            raise AssertionError("it must not open")
    assert refused.value.code == "STORE_TOO_NEW"
    assert _contents(path) == before


async def test_a_database_of_another_program_is_refused(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (x)")
        connection.commit()
    with pytest.raises(StoreError, match="not made by openstreamer") as refused:
        async with Store.open(path):
            raise AssertionError("it must not open")
    assert refused.value.code == "STORE_FOREIGN"


async def test_a_full_database_refuses_the_change_and_keeps_what_it_has(path: Path) -> None:
    async with Store.open(path, max_bytes=64 * 4096) as store:
        kept, _ = await store.put_stream("news", {"name": "kept"})
        with pytest.raises(StoreError, match="no space") as refused:
            await store.put_stream("big", {"tags": [f"{i:0256}" for i in range(60)], "push": [
                {"url": f"rtmp://h/a/{i}", "comment": "x" * 4096} for i in range(60)]})  # fmt: skip
        assert refused.value.code == "STORE_FULL"
        assert await store.list_streams() == [kept]
        after, _ = await store.put_stream("news", {"name": "still works"})
        assert after.revision == kept.revision + 1


async def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = await _refusal(tmp_path / "file" / "openstreamer.db")
    assert refused.code == "STORE_UNWRITABLE"


@pytest.fixture
def unprivileged() -> Iterator[None]:
    """Without the power of root over permissions, for as long as the test runs."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory(tmp_path: Path) -> Path:
    """A directory that any user reaches."""
    directory = tmp_path
    while stat.S_IMODE(directory.stat().st_mode) & 0o055 != 0o055:
        directory.chmod(0o755)
        directory = directory.parent
    return tmp_path


async def test_a_directory_that_may_not_be_written_is_named(open_directory: Path, unprivileged: None) -> None:
    refused = await _refusal(open_directory / "data" / "openstreamer.db")
    assert refused.code == "STORE_UNWRITABLE"
    assert "Permission denied" in str(refused)


async def test_a_store_in_use_can_be_read_and_changed_by_another(path: Path) -> None:
    async with Store.open(path) as server, Store.open(path) as tool:
        await server.put_stream("a", {})
        await tool.put_stream("b", {})
        assert [record.spec.code for record in await server.list_streams()] == ["a", "b"]


async def test_a_lock_held_too_long_by_another_process_is_named(path: Path) -> None:
    async with Store.open(path) as store:
        async with store._reading() as connection:
            await connection.exec_driver_sql("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked") as refused:
                await store.put_stream("news", {})
            assert refused.value.code == "STORE_BUSY"
            other.execute("ROLLBACK")
        await store.put_stream("news", {})


@pytest.mark.parametrize("url", ["mysql://h/x", "sqlite://", "sqlite:///:memory:", "://", "nonsense://x"])
def test_a_url_of_no_supported_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError) as refused:
        locate(url)
    assert refused.value.code == "STORE_URL"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_a_postgresql_url_is_understood_and_shown_without_its_password(scheme: str) -> None:
    location = locate(f"{scheme}://user:hunter22@db:5432/os")
    assert location.url == "postgresql+asyncpg://user:hunter22@db:5432/os"
    assert "hunter22" not in location.shown
    assert "db:5432/os" in location.shown


def test_an_sqlite_url_is_a_path(tmp_path: Path) -> None:
    assert locate(f"sqlite:///{tmp_path}/x.db").path == tmp_path / "x.db"


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreError) as refused:
        async with Store.open("postgresql://user:hunter22@127.0.0.1:1/os"):
            raise AssertionError("it must not open")
    assert refused.value.code == "STORE_UNREACHABLE"
    assert "hunter22" not in str(refused.value)
