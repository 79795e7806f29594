"""The admin API over the real stream manager: what is declared runs, what is removed is gone."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import httpx
import pytest

from openstreamer.control.app import ControlApp
from openstreamer.control.node import NodeView
from openstreamer.store.store import Store
from openstreamer.stream.histogram import Histogram
from openstreamer.stream.manager import StreamManager
from openstreamer.stream.pipeline import StreamPipeline
from openstreamer.stream.wiring import SourceOpener

PUBLISH = {"inputs": [{"url": "publish://", "priority": 0}]}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with AsyncExitStack() as stack:
        latency = Histogram((0.01,))
        store = await stack.enter_async_context(Store.open(tmp_path / "openstreamer.db"))
        manager = await stack.enter_async_context(
            StreamManager(
                store,
                lambda desired: StreamPipeline(desired.spec, desired.settings, SourceOpener().open, latency),
            )
        )
        node = NodeView(manager, latency)
        app = await stack.enter_async_context(
            ControlApp(store=store, streams=manager, server=node, metrics=node)
        )
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 40_000))
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://localhost")
        )


async def test_a_declared_stream_waits_for_its_publisher_at_once(api: httpx.AsyncClient) -> None:
    made = await api.post("/streams/region/news", json=PUBLISH)
    runtime = made.json()["data"]["runtime"]
    assert (made.status_code, runtime["status"]) == (201, "idle")
    assert runtime["reasons"] == ["waiting for a publisher"]
    assert (await api.get("/streams?status=idle")).json()["total"] == 1


async def test_a_disabled_stream_stops_and_cannot_be_restarted(api: httpx.AsyncClient) -> None:
    await api.post("/streams/news", json=PUBLISH)
    stopped = await api.post("/streams/news", json={"disabled": True})
    assert stopped.json()["data"]["runtime"]["status"] == "stopped"
    assert (await api.post("/streams/news/restart")).json()["error"]["code"] == "STREAM_DISABLED"
    started = await api.post("/streams/news", json={"disabled": None})
    assert started.json()["data"]["runtime"]["status"] == "idle"
    assert (await api.post("/streams/news/restart")).status_code == 200


async def test_inputs_inherited_from_a_template_start_and_follow_it(api: httpx.AsyncClient) -> None:
    await api.post("/templates/live", json=PUBLISH)
    made = await api.post("/streams/news", json={"template": "live"})
    assert made.json()["data"]["runtime"]["status"] == "idle"
    assert "inputs" not in made.json()["data"]


async def test_a_damaged_template_leaves_its_streams_as_they_were(
    api: httpx.AsyncClient, tmp_path: Path
) -> None:
    await api.post("/templates/live", json=PUBLISH)
    await api.post("/streams/news", json={"template": "live"})
    with closing(sqlite3.connect(tmp_path / "openstreamer.db")) as connection:
        connection.execute("UPDATE templates SET document = '{bad', revision = 1000")
        connection.commit()
    assert (await api.post("/templates/other", json={})).status_code == 201  # every stream is looked at again
    runtime = (await api.get("/streams/news")).json()["data"]["runtime"]
    assert (runtime["status"], runtime["reasons"]) == ("idle", ["waiting for a publisher"])
    await api.post("/streams/sport", json={})
    with closing(sqlite3.connect(tmp_path / "openstreamer.db")) as connection:
        connection.execute(
            'UPDATE streams SET code = \'late\', document = \'{"code":"late","template":"live"}\''
            " WHERE code = 'sport'"
        )
        connection.commit()
    await api.post("/templates/other", json={"name": "again"})
    late = (await api.get("/streams")).json()["data"][0]
    assert (late["code"], late["runtime"]["status"]) == ("late", "stopped")
    assert "the stored template 'live' is invalid: damaged" in late["runtime"]["reasons"][0]
    assert (await api.get("/templates")).json()["total"] == 1
    assert (await api.get("/templates/live")).json()["error"]["code"] == "STORED_INVALID"
    assert (await api.post("/templates/live", json=PUBLISH)).status_code == 200
    assert (await api.get("/templates")).json()["total"] == 2


async def test_a_removed_stream_is_gone_from_list_runtime_and_metrics(api: httpx.AsyncClient) -> None:
    await api.post("/streams/news", json=PUBLISH)
    assert 'stream_code="news"' in (await api.get("/metrics")).text
    assert (await api.delete("/streams/news")).status_code == 204
    assert (await api.get("/streams")).json() == {"data": [], "total": 0}
    assert 'stream_code="news"' not in (await api.get("/metrics")).text


async def test_an_import_starts_what_it_brings_and_stops_what_it_drops(api: httpx.AsyncClient) -> None:
    await api.post("/streams/old", json=PUBLISH)
    document = "streams:\n- code: new\n  inputs:\n  - url: publish://\n    priority: 0\n"
    response = await api.put("/config/yaml", content=document.encode())
    assert response.status_code == 200, response.text
    listed = (await api.get("/streams")).json()["data"]
    assert [(stream["code"], stream["runtime"]["status"]) for stream in listed] == [("new", "idle")]
    metrics = (await api.get("/metrics")).text
    assert 'stream_code="new"' in metrics
    assert 'stream_code="old"' not in metrics


async def test_a_stream_that_writes_files_has_the_metrics_of_writing(
    api: httpx.AsyncClient, tmp_path: Path
) -> None:
    settings = {"publisher": {"hls": {"dir": str(tmp_path / "live")}}}
    assert (await api.post("/config", json=settings)).status_code == 200
    await api.post("/streams/news", json=PUBLISH)
    metrics = (await api.get("/metrics")).text
    name = "open_streamer_publisher_segment_write_duration_seconds"
    assert f'{name}_count{{format="hls",stream_code="news"}} 0.0' in metrics
    assert 'publisher_write_errors_total{format="hls",stream_code="news"} 0.0' in metrics
