"""The whole configuration out as YAML and in again: exact, complete, all or nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from openstreamer.config.secrets import MASK
from openstreamer.media.errors import ConfigError
from openstreamer.store.errors import Conflict
from openstreamer.store.records import KindChanges
from openstreamer.store.store import Store
from openstreamer.store.yaml_reader import INLINE_CHARS, read_yaml
from openstreamer.store.yaml_text import dump_yaml, load_yaml
from tests.config.test_models import COMPLETE_STREAM
from tests.store.conftest import StoreFactory

_HASH = "$2b$12$" + "a" * 53


async def _fill(store: Store) -> None:
    await store.put_template("hd", {"inputs": [{"url": "publish://"}], "prefixes": ["live"]})
    await store.put_policy("members", {"require_token": True, "token_secret": "s3cr3t"})
    await store.put_stream("region/news", {**COMPLETE_STREAM, "stream_key": "s3cr3t"})
    await store.put_stream(
        "demo", {"name": "yes", "description": "multi\nline: #x", "inputs": [{"url": "test://"}]}
    )
    await store.put_hook("h", {"target": "https://h/x?token=s3cr3t", "secret": "s3cr3t"})
    await store.merge_global_config({"log": {"level": "debug"}})
    await store.put_user("ann", _HASH, "write")


async def test_an_export_imported_elsewhere_gives_the_same_export(
    store: Store, open_store: StoreFactory
) -> None:
    await _fill(store)
    text = await store.export_yaml(secrets=True)
    assert text == await store.export_yaml(secrets=True)
    for record in await store.list_streams():
        await store.delete_stream(record.spec.code)
    await store.import_yaml("{templates: [], policies: [], hooks: [], users: [], global_config: {}}")
    assert "hd" not in await store.export_yaml(secrets=True)
    result = await store.import_yaml(text)
    assert result.streams.created == ("demo", "region/news")
    assert result.templates.created == ("hd",)
    assert result.users.created == ("ann",)
    assert result.global_config
    assert await store.export_yaml(secrets=True) == text


async def test_hundreds_of_records_are_made_changed_and_removed_at_once(store: Store) -> None:
    def document(count: int, name: str) -> str:
        return json.dumps({"streams": [{"code": f"s{n:03}", "name": name} for n in range(count)]})

    codes = tuple(f"s{n:03}" for n in range(250))
    assert (await store.import_yaml(document(250, "one"))).streams == KindChanges(created=codes)
    made = await store.list_streams()
    assert [(record.spec.code, record.spec.name) for record in made] == [(code, "one") for code in codes]
    await store.put_stream("s001", {"name": "two"})
    changes = (await store.import_yaml(document(240, "two"))).streams
    assert changes.updated == tuple(code for code in codes[:240] if code != "s001")
    assert changes.deleted == codes[240:]
    changed = await store.list_streams()
    assert {record.spec.name for record in changed} == {"two"}
    assert [record.created_at for record in changed] == [record.created_at for record in made[:240]]
    assert all(new.revision > old.revision for new, old in zip(changed, made, strict=False))


async def test_importing_the_same_again_changes_nothing(store: Store) -> None:
    await _fill(store)
    before = await store.list_streams()
    for secrets in (True, False):
        assert not await store.import_yaml(await store.export_yaml(secrets=secrets))
    assert await store.list_streams() == before


async def test_a_masked_export_shows_no_secret(store: Store) -> None:
    await _fill(store)
    text = await store.export_yaml()
    assert "s3cr3t" not in text
    assert _HASH not in text
    assert MASK in text


async def test_an_import_changes_only_what_differs(store: Store) -> None:
    await _fill(store)
    before = {record.spec.code: record for record in await store.list_streams()}
    document = load_yaml(await store.export_yaml())
    document["streams"][0]["name"] = "Demo"
    document["streams"].append({"code": "new"})
    result = await store.import_yaml(dump_yaml(document))
    assert result.streams == KindChanges(created=("new",), updated=("demo",))
    assert not result.templates
    assert not result.global_config
    after = {record.spec.code: record for record in await store.list_streams()}
    assert after["region/news"] == before["region/news"]
    assert after["demo"].created_at == before["demo"].created_at
    assert after["demo"].spec.name == "Demo"
    assert after["demo"].revision == after["new"].revision > before["region/news"].revision


async def test_a_kind_the_document_does_not_name_stays(store: Store) -> None:
    await _fill(store)
    result = await store.import_yaml("streams: []")
    assert result.streams.deleted == ("demo", "region/news")
    assert [record.spec.code for record in await store.list_templates()] == ["hd"]
    assert [user.name for user in await store.list_users()] == ["ann"]


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("streams: [{code: ok}, {code: bad, inputs: [{url: x}]}]", "streams[1].inputs[0].url", "no scheme"),
        ("streams: [{code: ok}, {code: ok}]", "streams[1]", "twice"),
        ("streams: [{name: x}]", "streams[0].code", "required"),
        ("streams: [{code: a, template: none}]", "template", "does not exist"),
        ("templates: [{code: t, inputs: [{url: 'copy://a'}]}]\nstreams: [{code: a, template: t}]",
         "inputs[0].url", "its own source"),
        ("streams: {code: a}", "streams", "must be a list"),
        ("streams: [a]", "streams[0]", "must be an object"),
        ("stream: []", "stream", "is not a section"),
        ("global_config: []", "global_config", "must be an object"),
        ("global_config: {log: {level: loud}}", "global_config.log.level", "must be"),
        ("users: [{username: a, password_hash: plain}]", "users[0].password_hash", "hash"),
        (f"users: [{{username: a, password_hash: '{MASK}'}}]", "users[0].password_hash", "mask"),
        (f"streams: [{{code: a, stream_key: '{MASK}'}}]", "streams[0].stream_key", "mask"),
        ("hooks: [{id: h}]", "hooks[0].target", "required"),
    ],
)  # fmt: skip
async def test_a_wrong_document_changes_nothing_and_names_the_place(
    store: Store, text: str, field: str, reason: str
) -> None:
    await _fill(store)
    before = await store.export_yaml(secrets=True)
    with pytest.raises(ConfigError) as refused:
        await store.import_yaml(text)
    assert refused.value.field == field
    assert reason in str(refused.value)
    assert await store.export_yaml(secrets=True) == before


async def test_overlapping_prefixes_in_a_document_are_refused(store: Store) -> None:
    with pytest.raises(Conflict) as conflict:
        await store.import_yaml("templates: [{code: a, prefixes: [x]}, {code: b, prefixes: [x/y]}]")
    assert conflict.value.code == "PREFIX_OVERLAP"
    assert await store.list_templates() == []


async def test_removing_a_template_that_a_kept_stream_uses_is_refused(store: Store) -> None:
    await _fill(store)
    with pytest.raises(ConfigError, match="does not exist"):
        await store.import_yaml("templates: []")


_BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nstreams: [*b, *b]"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (_BOMB, "aliases"),
        ("", "must be a mapping"),
        ("- a", "must be a mapping"),
        ("a: [", "line"),
        ("a: 1\na: 2", "duplicate"),
        ("a: !!python/object/apply:os.system [x]", "tags"),
        ("a: !!str x", "tags"),
        ("a: &x 1", "anchors"),
        ("? [a]\n: b", "key must be a word"),
        ("a: 1\n---\na: 2", "one document"),
        ("\x01", "not YAML"),
        ("[" * 20000, "nested too deeply"),
        ("- " * 100, "nested too deeply"),
    ],
)
def test_what_is_not_plain_yaml_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_yaml(text)
    assert refused.value.code == "INVALID_YAML"
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "value", ["yes", "1.0", "0x1", "null", "~", "", " x ", "a: b", "# c", "é\u2028", "a\nb\n"]
)
def test_any_text_survives_yaml(value: str) -> None:
    document: dict[str, Any] = {"z": value, "a": [value, {"k": value}], value: [[value], [], {}]}
    assert load_yaml(dump_yaml(document)) == document
    assert list(load_yaml(dump_yaml(document)))[:2] == ["z", "a"]


_DOCUMENTS = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**18), 10**18)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=8,
    ),
    min_size=1,
)


@given(_DOCUMENTS)
def test_any_document_survives_yaml(document: dict[str, Any]) -> None:
    assert load_yaml(dump_yaml(document)) == document


@given(_DOCUMENTS)
def test_another_reader_of_yaml_understands_what_is_written(document: dict[str, Any]) -> None:
    assert YAML(typ="safe", pure=True).load(dump_yaml(document)) == document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("012", 12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("True", True),
        ("'true'", "true"),
        ('"1"', "1"),
        ("1:30", "1:30"),
        ("a b", "a b"),
        ("|\n  x\n  y\n", "x\ny\n"),
        ("[1, a]", [1, "a"]),
        ("{b: 1}", {"b": 1}),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    assert load_yaml(f"a: {text}") == {"a": value}


async def test_a_large_document_is_read_in_a_child_with_the_same_result() -> None:
    document = {"streams": [{"code": f"s/{i}", "description": "x" * 200} for i in range(200)]}
    text = dump_yaml(document)
    assert len(text) > INLINE_CHARS
    assert await read_yaml(text) == document
    with pytest.raises(ConfigError, match="line 402: anchors"):
        await read_yaml(text + "x: &a 1\n")
