"""Rows that cannot be read: named, kept, and no harm to the others."""

from pathlib import Path

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from openstreamer.config.secrets import MASK
from openstreamer.media.errors import ConfigError, StoreError
from openstreamer.store.store import Store

DAMAGES = {
    "document = '{bad'": "the document is not JSON",
    "document = '[1]'": "the document is not a JSON object",
    "document = 'null'": "the document is not a JSON object",
    "document = '7'": "the document is not a JSON object",
    f"document = '{'[' * 100_000}'": "the document is not JSON",
    f"document = '{{\"a\": {'1' * 5_000}}}'": "the document is not JSON",
    "document = CAST(x'7bff7d' AS TEXT)": "the document is not UTF-8 text",
    "document = x'7bff7d'": "the document is not UTF-8 text",
    "created_at = 'garbage'": "created_at is not a time",
    "updated_at = CAST(x'ff' AS TEXT)": "updated_at is not a time",
    "revision = 'garbage'": "its revision is not a number",
}
_SHORT = [f"{damage[:30]}-{number}" for number, damage in enumerate(DAMAGES)]
damages = pytest.mark.parametrize(("damage", "reason"), DAMAGES.items(), ids=_SHORT)


async def execute(path: Path, *statements: str) -> None:
    """Change the database behind the server's back."""
    async with Store.open(path) as store, store._changing() as change:
        for statement in statements:
            await change.connection.execute(text(statement.replace(":", "\\:")))


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database with the streams bad and good."""
    location = tmp_path / "data" / "openstreamer.db"
    async with Store.open(location) as store:
        for code in ("bad", "good"):
            await store.put_stream(code, {"name": code, "stream_key": "s3cr3t-key"})
    return location


def codes(records: object) -> list[str]:
    assert isinstance(records, list)
    return [record.spec.code for record in records]


@damages
async def test_a_damaged_row_is_named_once_and_the_others_are_listed(
    path: Path, damage: str, reason: str
) -> None:
    await execute(path, f"UPDATE streams SET {damage} WHERE code = 'bad'")
    async with Store.open(path) as store:
        with capture_logs() as logs:
            assert codes(await store.list_streams()) == ["good"]
            assert codes(await store.list_streams()) == ["good"]
            with pytest.raises(StoreError, match=f"'bad' is invalid: damaged: {reason}") as refused:
                await store.get_stream("bad")
        assert refused.value.code == "STORED_INVALID"
        (log,) = [entry for entry in logs if entry["event"] == "stored record is invalid"]
        assert log["key"] == "bad"
        assert reason in log["reason"]
        assert list(store.invalid_streams) == ["bad"]
        assert list(await store.damaged_records()) == ["stream bad"]


@damages
async def test_a_damaged_row_is_kept_until_it_is_overwritten_or_deleted(
    path: Path, damage: str, reason: str
) -> None:
    await execute(path, f"UPDATE streams SET {damage} WHERE code = 'bad'")
    row = text("SELECT hex(document), created_at FROM streams WHERE code = 'bad'").columns()
    async with Store.open(path) as store:
        async with store._reading() as connection:
            before = (await connection.execute(row)).one()
        await store.put_stream("good", {"name": "changed"})
        await store.import_yaml("streams: [{code: good, name: imported}]")
        exported = await store.export_yaml(secrets=True)
        assert exported.startswith(f"# left out: stream bad, {reason}")
        assert "code: bad" not in exported
        async with store._reading() as connection:
            assert (await connection.execute(row)).one() == before
        mended, created = await store.put_stream("bad", {"name": "mended"})
        assert not created
        assert mended == await store.get_stream("bad")
        assert codes(await store.list_streams()) == ["bad", "good"]
        assert await store.damaged_records() == {}
    await execute(path, f"UPDATE streams SET {damage} WHERE code = 'bad'")
    async with Store.open(path) as store:
        assert await store.delete_stream("bad")
        assert await store.get_stream("bad") is None


@damages
async def test_an_import_overwrites_the_damaged_row_that_it_names(
    path: Path, damage: str, reason: str
) -> None:
    await execute(path, f"UPDATE streams SET {damage} WHERE code = 'bad'")
    async with Store.open(path) as store:
        await store.import_yaml("streams: [{code: bad, name: back}, {code: good}]")
        record = await store.get_stream("bad")
        assert record is not None
        assert record.spec.name == "back"
        assert store.invalid_streams == {}


async def test_a_mask_does_not_stand_for_a_secret_that_cannot_be_read(path: Path) -> None:
    await execute(path, "UPDATE streams SET document = '{bad' WHERE code = 'bad'")
    async with Store.open(path) as store:
        with pytest.raises(ConfigError, match="stream_key"):
            await store.put_stream("bad", {"stream_key": MASK})


async def test_a_name_that_is_no_text_is_named_and_harms_no_other(path: Path) -> None:
    await execute(path, "UPDATE streams SET code = CAST(x'62ff' AS TEXT) WHERE code = 'bad'")
    async with Store.open(path) as store:
        with capture_logs() as logs:
            for _ in range(2):
                assert codes(await store.list_streams()) == ["good"]
        assert [entry["key"] for entry in logs] == ["b\\xff"]
        assert store.invalid_streams == {"b\\xff": "damaged: its name is not UTF-8 text"}
        assert "# left out: stream b\\xff" in await store.export_yaml()
        await store.import_yaml("streams: [{code: new}]")
        assert codes(await store.list_streams()) == ["new"]


async def test_damaged_settings_are_named(path: Path) -> None:
    async with Store.open(path) as store:
        await store.merge_global_config({"log": {"level": "info"}})
    await execute(path, "UPDATE global_config SET document = '{bad'")
    async with Store.open(path) as store:
        with pytest.raises(StoreError, match="global configuration 'global' is invalid: damaged"):
            await store.global_config()
        assert codes(await store.list_streams()) == ["bad", "good"]


async def test_a_damaged_time_of_a_user_locks_nobody_out(path: Path) -> None:
    async with Store.open(path) as store:
        await store.put_user("ann", "$2b$12$" + "a" * 53, "write")
    await execute(path, "UPDATE users SET created_at = 'garbage'")
    async with Store.open(path) as store:
        assert [user.name for user in await store.list_users()] == ["ann"]
        changed = await store.put_user("ann", "$2b$12$" + "b" * 53, "read")
        assert await store.list_users() == [changed]


async def test_a_user_who_cannot_be_read_opens_no_door(path: Path) -> None:
    async with Store.open(path) as store:
        await store.put_user("ann", "$2b$12$" + "a" * 53, "write")
    await execute(path, "UPDATE users SET role = 'garbage'")
    async with Store.open(path) as store:
        with pytest.raises(StoreError, match="a stored user is damaged"):
            await store.list_users()
        assert await store.delete_user("ann")
        assert await store.list_users() == []
