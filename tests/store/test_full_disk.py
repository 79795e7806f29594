"""A disk without room: what is stored can be read, and changes are taken once there is some."""

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from openstreamer.media.errors import StoreError
from openstreamer.store.full_disk import free_bytes, lacks_room, room_wanted
from openstreamer.store.store import Store
from tests.support.small_disk import SmallDisk, small_disk

BIG = {"description": "words " * 600}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as small:
        yield small
        small.empty(os.getpid())


@pytest.fixture
def path(disk: SmallDisk) -> Path:
    return disk.path / "openstreamer.db"


async def test_a_store_on_a_full_disk_opens_and_is_read(disk: SmallDisk, path: Path) -> None:
    async with Store.open(path) as store:
        kept, _ = await store.put_stream("news", {"name": "kept"})
    disk.fill(os.getpid())
    async with Store.open(path) as store:
        assert not store.is_new
        assert not store.has_room
        assert await store.list_streams() == [kept]
        assert "news" in await store.export_yaml()
        with pytest.raises(StoreError) as refused:
            await store.put_stream("news", BIG)
        assert refused.value.code.startswith("STORE_")
        assert await store.list_streams() == [kept]


async def test_what_was_not_written_back_yet_is_read_too(disk: SmallDisk, path: Path) -> None:
    async with Store.open(path) as store:
        kept, _ = await store.put_stream("news", {"name": "in the log only"})
        copies = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-wal")}
    for name, contents in copies.items():  # as after a SIGKILL
        path.with_name(name).write_bytes(contents)
    disk.fill(os.getpid())
    async with Store.open(path) as store:
        assert not store.has_room
        assert await store.list_streams() == [kept]


async def test_once_there_is_room_changes_are_stored_and_others_are_let_in(
    disk: SmallDisk, path: Path
) -> None:
    async with Store.open(path) as store:
        await store.put_stream("news", {})
    disk.fill(os.getpid())
    async with Store.open(path) as store:
        with pytest.raises(StoreError):
            await store.put_stream("news", BIG)
        with closing(sqlite3.connect(path, timeout=0)) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("SELECT * FROM streams")
        disk.empty(os.getpid())
        await store.put_stream("news", BIG)
        assert store.has_room
        async with Store.open(path) as second:
            await second.put_stream("more", {})
        assert [record.spec.code for record in await store.list_streams()] == ["more", "news"]


async def test_reading_lets_others_in_as_well(disk: SmallDisk, path: Path) -> None:
    async with Store.open(path) as store:
        await store.put_stream("news", {})
    disk.fill(os.getpid())
    async with Store.open(path) as store:
        disk.empty(os.getpid())
        await store.ping()
        assert store.has_room
        with closing(sqlite3.connect(path, timeout=0)) as other:
            assert other.execute("SELECT code FROM streams").fetchall() == [("news",)]


async def test_who_finds_too_little_room_stays_alone_and_reads_on(
    disk: SmallDisk, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Store.open(path) as store:
        kept, _ = await store.put_stream("news", {})
    disk.fill(os.getpid())
    async with Store.open(path) as store:
        monkeypatch.setattr("openstreamer.store.full_disk.ENOUGH_BYTES", 0)  # gone as soon as it was seen
        for _ in range(3):
            assert await store.list_streams() == [kept]
            assert not store.has_room
        monkeypatch.undo()
        disk.empty(os.getpid())
        await store.put_stream("more", {})
        assert store.has_room


async def test_a_new_store_on_a_full_disk_is_refused_with_the_reason(disk: SmallDisk, path: Path) -> None:
    disk.fill(os.getpid())
    with pytest.raises(StoreError) as refused:
        async with Store.open(path):
            raise AssertionError("it must not open")
    assert refused.value.code.startswith("STORE_")
    assert str(path) in str(refused.value)


def test_the_operator_is_told_how_much_is_free_and_what_to_do(tmp_path: Path) -> None:
    said = room_wanted(tmp_path / "x.db")
    assert re.search(r"no space for .*x\.db \(\d+ KiB are free on its disk\).*Make room", said)


@pytest.mark.parametrize("number", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE])
def test_a_full_disk_is_recognised_in_both_words_of_sqlite(tmp_path: Path, number: int) -> None:
    failure = sqlite3.OperationalError("disk I/O error")
    failure.sqlite_errorcode = number
    assert lacks_room(failure, tmp_path / "x.db")


def test_the_free_space_is_that_of_the_directory_which_will_hold_it(tmp_path: Path) -> None:
    there = free_bytes(tmp_path / "data")
    assert there is not None
    assert there > 0
    assert free_bytes(tmp_path / "not" / "made" / "yet") is not None


def test_other_trouble_with_a_disk_is_not_taken_for_a_lack_of_room(tmp_path: Path) -> None:
    assert not lacks_room(sqlite3.OperationalError("disk I/O error"), tmp_path / "x.db")
    assert not lacks_room(None, tmp_path / "x.db")
