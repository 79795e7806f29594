"""``/templates``."""

import httpx

from tests.control.conftest import Node

PUBLISH = [{"url": "publish://", "priority": 0}]


async def test_a_template_is_made_changed_listed_and_removed(api: httpx.AsyncClient) -> None:
    made = await api.post("/templates/sport", json={"inputs": PUBLISH, "prefixes": ["live/sport"]})
    assert made.status_code == 201
    assert made.json()["data"]["prefixes"] == ["live/sport"]
    changed = await api.put("/templates/sport", json={"name": "Sport"})
    assert (changed.status_code, changed.json()["data"]["name"]) == (200, "Sport")
    listed = (await api.get("/templates")).json()
    assert (listed["total"], listed["data"][0]["code"]) == (1, "sport")
    assert (await api.get("/templates/sport")).json()["data"]["name"] == "Sport"
    assert (await api.delete("/templates/sport")).status_code == 204
    assert (await api.get("/templates/sport")).status_code == 404
    assert (await api.delete("/templates/sport")).status_code == 404


async def test_a_change_reaches_the_streams_that_inherit(api: httpx.AsyncClient, node: Node) -> None:
    await api.post("/templates/sport", json={"inputs": PUBLISH})
    await api.post("/streams/news", json={"template": "sport"})
    node.streams.running.clear()
    await api.post("/templates/sport", json={"name": "Sport"})
    assert "news" in node.streams.running


async def test_a_template_in_use_is_not_removed_and_says_by_whom(api: httpx.AsyncClient) -> None:
    await api.post("/templates/sport", json={"inputs": PUBLISH})
    await api.post("/streams/news", json={"template": "sport"})
    response = await api.delete("/templates/sport")
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "TEMPLATE_IN_USE"
    assert response.json()["streams"] == ["news"]


async def test_overlapping_prefixes_are_a_conflict_that_names_the_other(api: httpx.AsyncClient) -> None:
    await api.post("/templates/a", json={"prefixes": ["live"]})
    response = await api.post("/templates/b", json={"prefixes": ["live/sport"]})
    assert response.status_code == 409
    body = response.json()
    assert body["error"]["code"] == "PREFIX_OVERLAP"
    assert body["conflicting_with"] == "a"
    assert "live" in body["overlaps"]


async def test_a_prefix_that_cannot_be_is_400(api: httpx.AsyncClient) -> None:
    response = await api.post("/templates/a", json={"prefixes": ["li ve"]})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "INVALID_PREFIX"


async def test_a_change_for_an_old_revision_is_412(api: httpx.AsyncClient) -> None:
    tag = (await api.post("/templates/a", json={"name": "1"})).headers["etag"]
    await api.post("/templates/a", json={"name": "2"}, headers={"if-match": tag})
    assert (await api.post("/templates/a", json={"name": "3"}, headers={"if-match": tag})).status_code == 412
    assert (await api.delete("/templates/a", headers={"if-match": tag})).status_code == 412


async def test_if_none_match_any_never_overwrites_a_template(api: httpx.AsyncClient) -> None:
    new_only = {"if-none-match": "*"}
    assert (await api.post("/templates/a", json={}, headers=new_only)).status_code == 201
    assert (await api.post("/templates/a", json={}, headers=new_only)).status_code == 412
