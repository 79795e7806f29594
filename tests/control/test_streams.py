"""``/streams`` as the contract has it."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from sqlalchemy import literal_column, update
from structlog.testing import capture_logs

from openstreamer.store import schema
from openstreamer.store.breath import BREATH_RECORDS
from tests.control.conftest import Node

PUBLISH = [{"url": "publish://", "priority": 0}]


async def make(api: httpx.AsyncClient, code: str = "news", **fields: Any) -> httpx.Response:
    response = await api.post(f"/streams/{code}", json={"inputs": PUBLISH, **fields})
    assert response.status_code == 201, response.text
    return response


def error(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body["error"]) >= {"code", "message"}
    return str(body["error"]["code"])


async def test_creating_answers_201_with_the_record_and_its_runtime(api: httpx.AsyncClient) -> None:
    data = (await make(api, name="News")).json()["data"]
    assert data["code"] == "news"
    assert data["name"] == "News"
    assert data["inputs"] == PUBLISH
    assert data["source"] == "config"
    assert data["runtime"]["status"] == "idle"
    assert data["runtime"]["reasons"] == ["waiting for a publisher"]
    assert data["created_at"].endswith("Z")
    assert data["created_at"] == data["updated_at"]


async def test_what_was_not_said_is_not_in_the_record(api: httpx.AsyncClient) -> None:
    data = (await make(api)).json()["data"]
    assert set(data) == {"code", "inputs", "source", "runtime", "revision", "created_at", "updated_at"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_change_merges_and_null_clears(api: httpx.AsyncClient, method: str) -> None:
    await make(api, name="News", description="old")
    response = await api.request(method, "/streams/news", json={"description": "new", "name": None})
    assert response.status_code == 200
    data = response.json()["data"]
    assert data["description"] == "new"
    assert "name" not in data
    assert data["inputs"] == PUBLISH


async def test_put_creates_as_post_does(api: httpx.AsyncClient) -> None:
    assert (await api.put("/streams/news", json={})).status_code == 201


async def test_codes_may_hold_slashes(api: httpx.AsyncClient, node: Node) -> None:
    await make(api, "region/north/news")
    assert (await api.get("/streams/region/north/news")).json()["data"]["code"] == "region/north/news"
    assert (await api.get("/streams/region%2Fnorth%2Fnews")).status_code == 200
    assert (await api.post("/streams/region/north/news/restart")).status_code == 200
    assert node.streams.restarts == ["region/north/news"]
    assert (await api.delete("/streams/region/north/news")).status_code == 204


async def test_a_stream_may_be_called_like_an_action(api: httpx.AsyncClient, node: Node) -> None:
    await make(api, "restart")
    assert (await api.post("/streams/restart/restart")).status_code == 200
    assert node.streams.restarts == ["restart"]


async def test_the_list_has_every_stream_and_filters_by_observed_status(api: httpx.AsyncClient) -> None:
    await make(api, "a")
    await make(api, "b", disabled=True)
    everything = (await api.get("/streams")).json()
    assert [stream["code"] for stream in everything["data"]] == ["a", "b"]
    assert everything["total"] == 2
    stopped = (await api.get("/streams?status=stopped")).json()
    assert [stream["code"] for stream in stopped["data"]] == ["b"]
    assert stopped["total"] == 1
    assert (await api.get("/streams?status=active")).json() == {"data": [], "total": 0}
    assert error(await api.get("/streams?status=running"), 400) == "INVALID_QUERY"


async def test_the_list_shows_a_change_and_forgets_what_was_deleted(api: httpx.AsyncClient) -> None:
    await make(api, "a")
    await make(api, "b")
    await api.get("/streams")
    await api.post("/streams/a", json={"name": "changed"})
    await api.delete("/streams/b")
    listed = (await api.get("/streams")).json()
    assert [(stream["code"], stream.get("name")) for stream in listed["data"]] == [("a", "changed")]


async def test_a_stream_made_anew_under_an_old_code_is_not_shown_as_the_old_one(
    api: httpx.AsyncClient,
) -> None:
    await make(api, name="first")
    await api.get("/streams/news")
    await api.delete("/streams/news")
    await make(api, name="second")
    assert (await api.get("/streams/news")).json()["data"]["name"] == "second"


async def test_a_stored_stream_that_does_not_run_yet_says_so(api: httpx.AsyncClient, node: Node) -> None:
    await node.store.put_stream("boot", {"inputs": PUBLISH})
    runtime = (await api.get("/streams/boot")).json()["data"]["runtime"]
    assert runtime["status"] == "stopped"
    assert runtime["reasons"]


async def test_unknown_streams_are_404_everywhere(api: httpx.AsyncClient) -> None:
    assert error(await api.get("/streams/none"), 404) == "STREAM_NOT_FOUND"
    assert error(await api.delete("/streams/none"), 404) == "STREAM_NOT_FOUND"
    assert error(await api.post("/streams/none/restart"), 404) == "STREAM_NOT_FOUND"


async def test_deleting_stops_the_stream_before_it_answers(api: httpx.AsyncClient, node: Node) -> None:
    await make(api)
    assert "news" in node.streams.running
    response = await api.delete("/streams/news")
    assert (response.status_code, response.content) == (204, b"")
    assert "news" not in node.streams.running
    assert await node.store.get_stream("news") is None


async def test_restarting_a_disabled_stream_is_refused(api: httpx.AsyncClient, node: Node) -> None:
    await make(api, disabled=True)
    assert error(await api.post("/streams/news/restart"), 400) == "STREAM_DISABLED"
    assert node.streams.restarts == []


async def test_restart_answers_what_was_done(api: httpx.AsyncClient) -> None:
    await make(api)
    assert (await api.post("/streams/news/restart")).json() == {"data": {"status": "restarted"}}


async def test_a_stream_that_cannot_start_is_stored_all_the_same(api: httpx.AsyncClient, node: Node) -> None:
    node.streams.failing = True
    await make(api)
    assert (await node.store.get_stream("news")) is not None


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"nonsense": 1}, "nonsense"),
        ({"inputs": [{"url": "gopher://x", "priority": 0}]}, "inputs[0].url"),
        ({"inputs": [{"url": "publish://", "priority": 3}]}, "inputs"),
        ({"dvr": {"retention_sec": "long"}}, "dvr.retention_sec"),
        ({"name": 5}, "name"),
        ({"transcoder": {"video": {"profiles": [{"width": 3}]}}}, "transcoder.video.profiles[0].width"),
    ],
)
async def test_what_cannot_be_is_400_and_names_the_field(
    api: httpx.AsyncClient, node: Node, patch: dict[str, Any], field: str
) -> None:
    response = await api.post("/streams/news", json=patch)
    error(response, 400)
    assert field in response.json()["error"]["message"]
    assert response.json()["error"]["field"] == field
    assert await node.store.get_stream("news") is None


@pytest.mark.parametrize("code", ["a b", "a//b", "config", "x" * 129, "näws", "a/mpegts"])
async def test_codes_that_cannot_be_are_refused(api: httpx.AsyncClient, code: str) -> None:
    assert error(await api.put(f"/streams/{code}", json={}), 400) == "INVALID_CODE"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b'"text"',
        b"\xff\xfe",
        b'{"name": NaN}',
        b'{"name": "\\ud800"}',
        b'{"name": "\\u0000"}',
        b'{"uptime": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
)
async def test_malformed_bodies_are_400(api: httpx.AsyncClient, body: bytes) -> None:
    error(await api.post("/streams/news", content=body), 400)


async def test_an_empty_body_is_an_empty_change(api: httpx.AsyncClient) -> None:
    await make(api)
    assert (await api.post("/streams/news")).status_code == 200


async def test_bodies_above_a_mebibyte_are_413_whatever_their_length_header_says(
    api: httpx.AsyncClient,
) -> None:
    big = json.dumps({"description": "x" * (1 << 20)}).encode()
    assert error(await api.post("/streams/news", content=big), 413) == "BODY_TOO_LARGE"

    async def chunks() -> Any:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    assert error(await api.post("/streams/news", content=chunks()), 413) == "BODY_TOO_LARGE"


async def test_a_long_list_lets_other_work_run_meanwhile(api: httpx.AsyncClient, node: Node) -> None:
    codes = [f"s{number}" for number in range(320)]
    await node.store.import_yaml(json.dumps({"streams": [{"code": code} for code in codes]}))
    observed, ended = [0], asyncio.Event()

    async def other_work() -> None:
        while not ended.is_set():
            await asyncio.sleep(0)
            observed.append(node.streams.observed)

    async with asyncio.TaskGroup() as group:
        group.create_task(other_work())
        assert (await api.get("/streams")).json()["total"] == 320
        ended.set()
    assert observed[-1] >= 320
    assert max(after - before for before, after in pairwise(observed)) <= BREATH_RECORDS


async def test_methods_that_are_not_are_405_with_those_that_are(api: httpx.AsyncClient) -> None:
    response = await api.patch("/streams/news", json={})
    assert error(response, 405) == "METHOD_NOT_ALLOWED"
    assert response.headers["allow"] == "DELETE, GET, HEAD, POST, PUT"


async def test_secrets_are_masked_and_a_mask_that_comes_back_keeps_them(
    api: httpx.AsyncClient, node: Node
) -> None:
    inputs = [{"url": "rtmp://u:hunter2@origin.example/live/x?key=sesame", "priority": 0}]
    response = await make(api, stream_key="topsecret", inputs=inputs)
    for text in (response.text, (await api.get("/streams")).text):
        assert not any(secret in text for secret in ("topsecret", "hunter2", "sesame"))
    shown = (await api.get("/streams/news")).json()["data"]
    assert (await api.post("/streams/news", json={**shown, "name": "kept"})).status_code == 200
    record = await node.store.get_stream("news")
    assert record is not None
    assert record.spec.stream_key == "topsecret"
    assert record.spec.inputs[0].url == inputs[0]["url"]
    assert record.spec.name == "kept"


async def test_a_change_for_an_old_revision_is_412_and_changes_nothing(api: httpx.AsyncClient) -> None:
    tag = (await make(api, name="one")).headers["etag"]
    newer = await api.post("/streams/news", json={"name": "two"}, headers={"if-match": tag})
    assert newer.status_code == 200
    assert newer.headers["etag"] != tag
    assert newer.headers["etag"] == f'"{newer.json()["data"]["revision"]}"'
    stale = await api.post("/streams/news", json={"name": "three"}, headers={"if-match": tag})
    assert error(stale, 412) == "REVISION_CONFLICT"
    assert error(await api.delete("/streams/news", headers={"if-match": tag}), 412) == "REVISION_CONFLICT"
    assert (await api.get("/streams/news")).json()["data"]["name"] == "two"
    fresh = newer.headers["etag"]
    assert (await api.delete("/streams/news", headers={"if-match": fresh})).status_code == 204


async def test_if_match_any_needs_something_that_exists(api: httpx.AsyncClient) -> None:
    any_revision = {"if-match": "*"}
    assert error(await api.post("/streams/news", json={}, headers=any_revision), 412) == "REVISION_CONFLICT"
    await make(api)
    assert (await api.post("/streams/news", json={}, headers=any_revision)).status_code == 200
    bad = {"if-match": '"abc"'}
    assert error(await api.post("/streams/news", json={}, headers=bad), 400) == "INVALID_IF_MATCH"


async def test_if_none_match_any_creates_and_never_overwrites(api: httpx.AsyncClient) -> None:
    new_only = {"if-none-match": "*"}
    assert (await api.post("/streams/news", json={"name": "a"}, headers=new_only)).status_code == 201
    for method in ("POST", "PUT"):
        taken = await api.request(method, "/streams/news", json={"name": "b"}, headers=new_only)
        assert error(taken, 412) == "REVISION_CONFLICT"
    assert (await api.get("/streams/news")).json()["data"]["name"] == "a"
    for bad in ({"if-none-match": '"7"'}, {**new_only, "if-match": "*"}):
        assert error(await api.post("/streams/other", json={}, headers=bad), 400) == "INVALID_IF_MATCH"


async def test_of_two_who_create_at_once_one_wins(api: httpx.AsyncClient) -> None:
    new_only = {"if-none-match": "*"}
    answers = await asyncio.gather(*(api.post("/streams/news", json={}, headers=new_only) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 412, 412, 412, 412]


async def test_a_number_without_end_is_refused_in_our_words(api: httpx.AsyncClient) -> None:
    refused = await api.post("/streams/news", content='{"name": ' + "9" * 5_000 + "}")
    assert error(refused, 400) == "INVALID_BODY"
    assert refused.json()["error"]["message"] == ("the body is not JSON: a number has more than 100 digits")


async def _damage(node: Node, code: str) -> None:
    async with node.store._changing() as change:
        query = update(schema.streams).where(schema.streams.c.code == code)
        damaged = literal_column("'{bad'")
        await change.connection.execute(query.values(document=damaged, revision=change.revision))


async def test_a_damaged_record_is_named_and_the_others_are_served(
    api: httpx.AsyncClient, node: Node
) -> None:
    for code in ("bad", "good"):
        await make(api, code)
    await _damage(node, "bad")
    listed = (await api.get("/streams")).json()
    assert [stream["code"] for stream in listed["data"]] == ["good"]
    assert listed["total"] == 1
    (invalid,) = listed["invalid"]
    assert invalid["code"] == "bad"
    assert invalid["reason"].startswith("damaged: the document is not JSON")
    refused = await api.get("/streams/bad")
    assert error(refused, 503) == "STORED_INVALID"
    assert "'bad' is invalid: damaged" in refused.json()["error"]["message"]
    assert error(await api.post("/streams/bad/restart"), 503) == "STORED_INVALID"
    assert (await api.get("/streams/good")).status_code == 200
    assert (await api.post("/streams/good", json={"name": "x"})).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"if-match": "*"}])
async def test_a_damaged_record_is_overwritten_or_deleted(
    api: httpx.AsyncClient, node: Node, headers: dict[str, str]
) -> None:
    await make(api)
    await _damage(node, "news")
    new_only = {"if-none-match": "*"}
    assert error(await api.post("/streams/news", json={}, headers=new_only), 412) == "REVISION_CONFLICT"
    mended = await api.post("/streams/news", json={"name": "mended"}, headers=headers)
    assert (mended.status_code, mended.json()["data"]["name"]) == (200, "mended")
    assert "invalid" not in (await api.get("/streams")).json()
    await _damage(node, "news")
    assert (await api.delete("/streams/news", headers=headers)).status_code == 204
    assert (await api.get("/streams")).json() == {"data": [], "total": 0}


async def test_concurrent_changes_of_different_fields_both_hold(api: httpx.AsyncClient) -> None:
    await make(api)
    patches = [{"name": "n"}, {"description": "d"}, {"tags": ["t"]}, {"failover": "hot"}]
    await asyncio.gather(*(api.post("/streams/news", json=patch) for patch in patches))
    data = (await api.get("/streams/news")).json()["data"]
    assert (data["name"], data["description"], data["tags"], data["failover"]) == ("n", "d", ["t"], "hot")


async def test_head_is_get_without_a_body(api: httpx.AsyncClient) -> None:
    await make(api)
    response = await api.head("/streams/news")
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["etag"]


async def test_changes_are_audited_by_field_names_without_values(api: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await make(api, stream_key="topsecret", dvr={"enabled": True})
        await api.delete("/streams/news")
    created, deleted = (entry for entry in logs if entry["event"] == "admin_change")
    assert created["action"] == "stream.created"
    assert created["target"] == "news"
    assert created["user"] == "local"
    assert created["address"] == "127.0.0.1"
    assert created["fields"] == ["dvr.enabled", "inputs", "stream_key"]
    assert deleted["action"] == "stream.deleted"
    assert "topsecret" not in str(logs)


async def test_a_long_list_is_complete_and_in_order(api: httpx.AsyncClient, node: Node) -> None:
    for number in range(200):
        await node.store.put_stream(f"s{number:04}", {"inputs": PUBLISH})
    listed = (await api.get("/streams")).json()
    assert listed["total"] == 200
    codes = [stream["code"] for stream in listed["data"]]
    assert codes == sorted(codes)


@pytest.mark.parametrize(
    ("patch", "field"),
    [({"nosuch": None}, "nosuch"), ({"dvr": {"nosuch": None}}, "dvr.nosuch"), ({"nosuch": ""}, "nosuch")],
)
async def test_a_null_does_not_make_a_field_known(
    api: httpx.AsyncClient, patch: dict[str, object], field: str
) -> None:
    refused = await api.post("/streams/typo", json=patch)
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
    assert (await api.get("/streams/typo")).status_code == 404
    assert (await api.post("/streams/typo", json={"dvr": {"enabled": None}, "name": None})).status_code == 201
