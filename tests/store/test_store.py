"""Records: created, merged, listed, removed; revisions; rules between records."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from openstreamer.config.secrets import MASK
from openstreamer.media.errors import ConfigError, StoreError
from openstreamer.store.errors import Conflict
from openstreamer.store.store import Store
from tests.config.test_models import COMPLETE_STREAM
from tests.store.conftest import StoreFactory

_HASH = "$2b$12$" + "a" * 53
_PUBLISH = {"inputs": [{"url": "publish://"}]}


async def test_a_new_store_is_empty_and_says_so(store: Store) -> None:
    assert store.is_new
    assert await store.list_streams() == []
    assert await store.get_stream("news") is None
    assert (await store.global_config()).document() == {}
    await store.ping()


async def test_a_stream_is_created_and_then_merged(store: Store) -> None:
    created, is_created = await store.put_stream("news", {"name": "News", "tags": ["a"], **_PUBLISH})
    assert is_created
    merged, is_created = await store.put_stream("news", {"tags": None, "protocols": {"hls": True}})
    assert not is_created
    assert merged.spec.name == "News"
    assert merged.spec.tags == ()
    assert merged.revision > created.revision
    assert merged.created_at == created.created_at == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert merged.updated_at == datetime(2026, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert await store.get_stream("news") == merged
    assert await store.list_streams() == [merged]


async def test_every_field_survives_a_restart(open_store: StoreFactory) -> None:
    document = {key: value for key, value in COMPLETE_STREAM.items() if key != "template"}
    async with open_store() as first:
        written, _ = await first.put_stream("region/news", document)
    async with open_store() as second:
        assert not second.is_new
        read = await second.get_stream("region/news")
    assert read == written
    assert read is not None
    assert read.spec.document() == document


async def test_only_what_the_operator_said_is_stored(store: Store) -> None:
    record, _ = await store.put_stream("news", {"name": "", "tags": [], "runtime": {"status": "active"}})
    assert record.spec.document() == {"code": "news"}


async def test_a_patch_that_changes_nothing_keeps_the_revision(store: Store) -> None:
    first, _ = await store.put_stream("news", {"name": "x", "stream_key": "key-1"})
    same, created = await store.put_stream("news", {"name": "x", "stream_key": MASK, "tags": []})
    assert (same, created) == (first, False)
    other, _ = await store.put_stream("other", {})
    assert other.revision == first.revision + 1


async def test_a_refused_patch_changes_nothing(store: Store) -> None:
    before, _ = await store.put_stream("news", {"name": "x"})
    with pytest.raises(ConfigError) as refused:
        await store.put_stream("news", {"name": "y", "inputs": [{"url": "nonsense"}]})
    assert refused.value.field == "inputs[0].url"
    assert await store.get_stream("news") == before
    after, _ = await store.put_stream("news", {"name": "z"})
    assert after.revision == before.revision + 1


@pytest.mark.parametrize("code", ["", "streams", "a b", "news/mpegts"])
async def test_an_impossible_code_is_refused(store: Store, code: str) -> None:
    with pytest.raises(ConfigError):
        await store.put_stream(code, {})


async def test_the_code_of_a_record_cannot_be_changed(store: Store) -> None:
    record, _ = await store.put_stream("news", {"code": "news"})
    with pytest.raises(ConfigError, match="cannot be changed"):
        await store.put_stream("news", {"code": "other"})
    assert record.spec.code == "news"


async def test_a_record_at_another_revision_is_not_overwritten(store: Store) -> None:
    first, _ = await store.put_stream("news", {"name": "1"})
    second, _ = await store.put_stream("news", {"name": "2"}, if_match=first.revision)
    for stale in (
        store.put_stream("news", {"name": "3"}, if_match=first.revision),
        store.delete_stream("news", if_match=first.revision),
        store.put_stream("absent", {}, if_match=1),
        store.delete_stream("absent", if_match=1),
    ):
        with pytest.raises(Conflict) as conflict:
            await stale
        assert conflict.value.code == "REVISION_CONFLICT"
    assert await store.list_streams() == [second]
    assert await store.delete_stream("news", if_match=second.revision)


async def test_a_deleted_stream_is_gone_and_its_revision_is_not_used_again(store: Store) -> None:
    first, _ = await store.put_stream("news", {"name": "old"})
    assert await store.delete_stream("news")
    assert not await store.delete_stream("news")
    assert await store.get_stream("news") is None
    assert await store.list_streams() == []
    again, created = await store.put_stream("news", {})
    assert created
    assert again.revision > first.revision
    assert again.spec.name == ""


async def test_concurrent_changes_of_one_stream_lose_nothing(store: Store) -> None:
    fields = ["name", "description", "stream_key", "playback_policy"]
    await asyncio.gather(*(store.put_stream("news", {field: f"value-{field}"}) for field in fields))
    record = await store.get_stream("news")
    assert record is not None
    assert record.spec.document() == {"code": "news", **{field: f"value-{field}" for field in fields}}


async def test_concurrent_changes_through_two_connections_lose_nothing(open_store: StoreFactory) -> None:
    async with open_store() as one, open_store() as other:
        puts = [
            (one if index % 2 else other).put_stream(
                "news", {"inputs": None, "tags": None, "name": f"n{index}"}
            )
            for index in range(10)
        ]
        records = [record for record, _ in await asyncio.gather(*puts)]
        assert len({record.revision for record in records}) == 10
        newest = max(records, key=lambda record: record.revision)
        assert await one.get_stream("news") == await other.get_stream("news") == newest


async def test_of_two_clients_with_one_revision_only_one_wins(store: Store) -> None:
    first, _ = await store.put_stream("news", {})
    results = await asyncio.gather(
        *(store.put_stream("news", {"name": f"n{i}"}, if_match=first.revision) for i in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Conflict) for result in results) == 4


async def test_a_change_by_another_process_is_seen(open_store: StoreFactory) -> None:
    async with open_store() as one, open_store() as other:
        await one.put_stream("a", {"name": "1"})
        assert [r.spec.name for r in await other.list_streams()] == ["1"]
        await one.put_stream("a", {"name": "2"})
        await one.put_stream("b", {})
        assert [r.spec.name for r in await other.list_streams()] == ["2", ""]
        await one.delete_stream("a")
        assert [r.spec.code for r in await other.list_streams()] == ["b"]
        assert await other.get_stream("a") is None


async def test_streams_are_listed_by_code(store: Store) -> None:
    for code in ("b", "a/x", "C", "a"):
        await store.put_stream(code, {})
    assert [record.spec.code for record in await store.list_streams()] == ["C", "a", "a/x", "b"]


async def test_secrets_written_back_masked_are_kept(store: Store) -> None:
    secret: dict[str, Any] = {
        "stream_key": "K",
        "inputs": [{"url": "rtmp://u:P@h/a/b", "headers": {"Cookie": "C"}}],
        "push": [{"url": "rtmp://yt/live/K"}],
    }
    stored, _ = await store.put_stream("news", secret)
    await store.put_stream(
        "news",
        {
            "name": "x",
            "stream_key": MASK,
            "inputs": [{"url": f"rtmp://u:{MASK}@h/a/b", "headers": {"Cookie": MASK}}],
            "push": [{"url": f"rtmp://yt/live/{MASK}"}],
        },
    )
    after = await store.get_stream("news")
    assert after is not None
    assert after.spec.stream_key == "K"
    assert after.spec.inputs[0].headers == {"Cookie": "C"}
    assert after.spec.push == stored.spec.push


# Templates


async def test_a_stream_needs_its_template_to_exist(store: Store) -> None:
    with pytest.raises(ConfigError) as refused:
        await store.put_stream("news", {"template": "hd"})
    assert refused.value.code == "TEMPLATE_NOT_FOUND"
    await store.put_template("hd", _PUBLISH)
    record, _ = await store.put_stream("news", {"template": "hd"})
    assert record.spec.inputs == ()


async def test_a_stream_is_validated_together_with_its_template(store: Store) -> None:
    await store.put_template("t", {"inputs": [{"url": "copy://news"}]})
    with pytest.raises(ConfigError, match="its own source"):
        await store.put_stream("news", {"template": "t"})
    await store.put_template("t", _PUBLISH)
    await store.put_stream("news", {"template": "t"})
    with pytest.raises(ConfigError, match="stream 'news'"):
        await store.put_template("t", {"inputs": [{"url": "copy://news"}]})


async def test_a_template_in_use_is_kept(store: Store) -> None:
    await store.put_template("hd", {})
    await store.put_stream("b", {"template": "hd"})
    await store.put_stream("a", {"template": "hd"})
    with pytest.raises(Conflict) as conflict:
        await store.delete_template("hd")
    assert conflict.value.code == "TEMPLATE_IN_USE"
    assert conflict.value.details == {"streams": ["a", "b"]}
    await store.put_stream("a", {"template": None})
    await store.delete_stream("b")
    assert await store.delete_template("hd")
    assert await store.get_template("hd") is None


async def test_prefixes_of_two_templates_may_not_overlap(store: Store) -> None:
    await store.put_template("one", {"prefixes": ["live", "a/b"]})
    await store.put_template("two", {"prefixes": ["livestream"]})
    with pytest.raises(Conflict) as conflict:
        await store.put_template("two", {"prefixes": ["x", "a/b/c"]})
    assert conflict.value.code == "PREFIX_OVERLAP"
    assert conflict.value.details == {"conflicting_with": "one", "overlaps": ["a/b/c", "a/b"]}
    await store.put_template("one", {"prefixes": ["live", "live/sub"]})  # overlapping itself is harmless
    assert [r.spec.prefixes for r in await store.list_templates()] == [("live", "live/sub"), ("livestream",)]


# Policies, hooks, global configuration, users


async def test_a_policy_in_use_is_kept(store: Store) -> None:
    await store.put_policy("members", {"require_token": True, "token_secret": "s"})
    await store.put_policy("members", {"token_secret": MASK, "allow_ips": ["10.0.0.0/8"]})
    await store.put_stream("news", {"playback_policy": "members"})
    await store.put_template("hd", {"playback_policy": "members"})
    with pytest.raises(Conflict) as conflict:
        await store.delete_policy("members")
    assert conflict.value.code == "POLICY_IN_USE"
    assert conflict.value.details == {"streams": ["news"], "templates": ["hd"]}
    policies = await store.list_policies()
    assert [policy.spec.token_secret for policy in policies] == ["s"]
    assert await store.get_policy("members") == policies[0]


async def test_a_hook_is_stored_under_its_id(store: Store) -> None:
    record, created = await store.put_hook("h-1", {"target": "https://h/x?key=K", "secret": "S"})
    assert created
    assert record.spec.id == "h-1"
    await store.put_hook("h-1", {"target": f"https://h/x?key={MASK}", "enabled": True})
    hook = await store.get_hook("h-1")
    assert hook is not None
    assert (hook.spec.target, hook.spec.secret, hook.spec.enabled) == ("https://h/x?key=K", "S", True)
    assert await store.list_hooks() == [hook]
    assert await store.delete_hook("h-1")
    assert await store.list_hooks() == []


async def test_the_global_configuration_is_merged(store: Store) -> None:
    await store.merge_global_config({"publisher": {"hls": {"live_window": 6, "dir": "/x"}}})
    merged = await store.merge_global_config({"publisher": {"hls": {"dir": None}}, "log": {"level": "debug"}})
    assert merged.document() == {"publisher": {"hls": {"live_window": 6}}, "log": {"level": "debug"}}
    assert await store.global_config() == merged
    with pytest.raises(ConfigError):
        await store.merge_global_config({"publisher": {"hls": {"live_window": -1}}})
    record = await store.global_config_record()
    assert record is not None
    assert record.spec == merged


async def test_users_are_added_changed_and_removed(store: Store) -> None:
    first = await store.put_user("ann", _HASH, "read")
    await store.put_user("bob", _HASH, "write")
    changed = await store.put_user("ann", _HASH, "write")
    assert (changed.role, changed.created_at) == ("write", first.created_at)
    assert [(user.name, user.role) for user in await store.list_users()] == [
        ("ann", "write"),
        ("bob", "write"),
    ]
    assert _HASH not in repr(changed)
    assert await store.delete_user("ann")
    assert not await store.delete_user("ann")
    assert [user.name for user in await store.list_users()] == ["bob"]


@pytest.mark.parametrize(
    ("name", "password_hash", "role"),
    [("", _HASH, "read"), ("a:b", _HASH, "read"), ("a", "hunter22", "read"), ("a", _HASH, "admin")],
)
async def test_a_user_that_cannot_be_is_refused(
    store: Store, name: str, password_hash: str, role: Any
) -> None:
    with pytest.raises(ConfigError) as refused:
        await store.put_user(name, password_hash, role)
    assert "hunter22" not in str(refused.value)
    assert await store.list_users() == []


async def test_a_stored_record_that_is_no_longer_valid_is_kept_and_named(
    open_store: StoreFactory, location: str
) -> None:
    async with open_store() as writer:
        await writer.put_stream("good", {})
        await writer.put_stream("old", {"name": "x"})
        await _spoil(writer, "old")
        assert [record.spec.code for record in await writer.list_streams()] == ["good"]
        assert writer.invalid_records == {"stream old": "retired: is not a known field"}
        with pytest.raises(StoreError, match="retired"):
            await writer.get_stream("old")
        # It can be mended through the same door.
        mended, created = await writer.put_stream("old", {"retired": None})
        assert not created
        assert mended.spec.name == "x"
        assert [record.spec.code for record in await writer.list_streams()] == ["good", "old"]
        assert writer.invalid_records == {}


async def _spoil(store: Store, code: str) -> None:
    """Write, as a version with other fields would, a document that this one refuses."""
    from sqlalchemy import update

    from openstreamer.store import schema

    async with store._changing() as change:
        query = update(schema.streams).where(schema.streams.c.code == code)
        document = {"code": code, "name": "x", "retired": 1}
        await change.connection.execute(query.values(document=document, revision=change.revision))
