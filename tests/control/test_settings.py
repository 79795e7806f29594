"""``/config``, its defaults and its YAML form."""

from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest
from ruamel.yaml import YAML
from structlog.testing import capture_logs

from openstreamer.config.defaults import defaults_document
from tests.control.conftest import Node
from tests.support.certificates import make_certificate

PUBLISH = [{"url": "publish://", "priority": 0}]


async def test_config_has_the_shape_of_the_contract(api: httpx.AsyncClient) -> None:
    body = (await api.get("/config")).json()
    assert set(body) == {
        "hw_accels",
        "video_codecs",
        "audio_codecs",
        "output_protocols",
        "stream_statuses",
        "watermark_types",
        "watermark_positions",
        "ports",
        "global_config",
        "notices",
        "restart_required",
        "version",
    }
    assert body["ports"] == {
        "http_addr": "127.0.0.1:8080",
        "rtmp_port": 1935,
        "rtsp_port": None,
        "srt_port": None,
    }
    assert set(body["version"]) == {"version", "commit", "built_at"}
    assert body["stream_statuses"] == ["idle", "active", "degraded", "stopped"]
    assert body["global_config"] == {}


async def test_the_defaults_are_those_of_the_contract(api: httpx.AsyncClient) -> None:
    assert (await api.get("/config/defaults")).json() == defaults_document()


async def test_a_change_merges_reaches_the_streams_and_null_clears(
    api: httpx.AsyncClient, node: Node
) -> None:
    await node.store.put_stream("news", {"inputs": PUBLISH})
    response = await api.post(
        "/config", json={"publisher": {"hls": {"live_window": 20}}, "log": {"level": "debug"}}
    )
    assert response.status_code == 200
    assert set(response.json()) == {"global_config", "notices", "ports", "restart_required"}
    assert "news" in node.streams.running
    cleared = (await api.post("/config", json={"log": None})).json()["global_config"]
    assert cleared == {"publisher": {"hls": {"live_window": 20}}}
    assert (await api.get("/config")).json()["global_config"] == cleared


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"nonsense": {}}, "nonsense"),
        ({"server": {"trusted_proxies": ["here"]}}, "server.trusted_proxies"),
        ({"auth": {"api": {"users": [{"username": "a", "password_hash": "plain"}]}}}, "password_hash"),
        ({"publisher": {"hls": {"dir": "hls"}}}, "publisher.hls.dir"),
        ({"publisher": {"hls": {"dir": "/proc/hls"}}}, "publisher.hls.dir"),
        ({"publisher": {"dash": {"dir": "../x"}}}, "publisher.dash.dir"),
        ({"server": {"tls": {"cert": "c.pem", "key": "/k.pem"}}}, "server.tls.cert"),
        ({"server": {"tls": {"cert": "/none.pem", "key": "/none.pem"}}}, "server.tls.cert"),
        ({"manager": {"input_packet_timeout_sec": -1}}, "manager.input_packet_timeout_sec"),
    ],
)
async def test_settings_that_cannot_be_name_their_field(
    api: httpx.AsyncClient, patch: dict[str, Any], field: str
) -> None:
    response = await api.post("/config", json=patch)
    assert response.status_code == 400
    assert field in response.json()["error"]["message"]
    assert (await api.get("/config")).json()["global_config"] == {}


async def test_the_key_of_another_certificate_is_refused_before_it_is_stored(
    api: httpx.AsyncClient, tmp_path: Path
) -> None:
    (cert, key), (_, other) = make_certificate(tmp_path), make_certificate(tmp_path, "other")
    refused = await api.post("/config", json={"server": {"tls": {"cert": str(cert), "key": str(other)}}})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "server.tls.key")
    taken = await api.post("/config", json={"server": {"tls": {"cert": str(cert), "key": str(key)}}})
    assert taken.status_code == 200
    assert taken.json()["restart_required"] == ["server.tls"]
    key.unlink()  # what is stored already does not stand in the way of other changes
    assert (await api.post("/config", json={"log": {"level": "debug"}})).status_code == 200


async def test_a_document_with_a_bad_certificate_changes_nothing(api: httpx.AsyncClient, node: Node) -> None:
    text = "global_config: {server: {tls: {cert: /none.pem, key: /none.pem}}}\nstreams: [{code: news}]\n"
    refused = await api.put("/config/yaml", content=text.encode())
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "global_config.server.tls.cert")
    assert await node.store.list_streams() == []
    assert (await node.store.global_config()).server.tls.cert == ""


async def test_what_is_not_served_as_written_is_said_in_every_answer(api: httpx.AsyncClient) -> None:
    patch = {"publisher": {"hls": {"live_window": 3}}, "listeners": {"rtmp": {"port": 1936}}}
    answers = [await api.post("/config", json=patch), await api.get("/config")]
    text = "global_config: {publisher: {dash: {live_window: 2}}}\n"
    answers.append(await api.put("/config/yaml", content=text.encode()))
    notices = [answer.json()["notices"] for answer in answers]
    assert [len(each) for each in notices] == [1, 1, 1]
    assert notices[0][0].startswith("publisher.hls.live_window: 3 is served as 6")
    assert notices[2][0].startswith("publisher.dash.live_window: 2")
    waiting = [answer.json()["restart_required"] for answer in answers]
    assert waiting == [["listeners.rtmp"], ["listeners.rtmp"], []]


async def test_a_change_for_an_old_revision_is_412(api: httpx.AsyncClient) -> None:
    await api.post("/config", json={"log": {"level": "debug"}})
    tag = (await api.get("/config")).headers["etag"]
    await api.post("/config", json={"log": {"level": "info"}}, headers={"if-match": tag})
    stale = await api.post("/config", json={"log": {"level": "warn"}}, headers={"if-match": tag})
    assert stale.status_code == 412


async def test_password_hashes_are_masked_and_kept_by_their_mask(api: httpx.AsyncClient, node: Node) -> None:
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    users = [{"username": "ops", "password_hash": hashed, "role": "write"}]
    assert hashed not in (await api.post("/config", json={"auth": {"api": {"users": users}}})).text
    ops = await node.client(auth=("ops", "right"))
    shown = (await ops.get("/config")).json()["global_config"]
    assert (await ops.post("/config", json=shown)).status_code == 200
    assert (await node.store.global_config()).auth.api.users[0].password_hash == hashed


async def test_yaml_goes_out_masked_and_comes_back_in_one_transaction(
    api: httpx.AsyncClient, node: Node
) -> None:
    await node.store.put_stream("news", {"inputs": PUBLISH, "stream_key": "topsecret"})
    exported = await api.get("/config/yaml")
    assert exported.headers["content-type"].startswith("application/yaml")
    assert "topsecret" not in exported.text
    document = YAML(typ="safe").load(exported.text)
    assert [stream["code"] for stream in document["streams"]] == ["news"]
    edited = exported.text.replace("- code: news", "- code: extra\n  name: Extra\n- code: news")
    response = await api.put("/config/yaml", content=edited.encode())
    assert response.status_code == 200, response.text
    assert response.json()["data"]["streams"] == {"created": ["extra"], "updated": [], "deleted": []}
    assert set(node.streams.running) == {"extra", "news"}
    record = await node.store.get_stream("news")
    assert record is not None
    assert record.spec.stream_key == "topsecret"


async def test_a_configuration_of_thousands_of_streams_fits_and_one_without_end_does_not(
    api: httpx.AsyncClient,
) -> None:
    filler = b"# " + b"x" * (2 << 20) + b"\n"
    assert (await api.put("/config/yaml", content=filler + b"streams: []\n")).status_code == 200
    refused = await api.put("/config/yaml", content=filler * 5)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize(
    "text", ["streams: [{code: a b}]", "streams: {", "streams: 5", "nonsense: 1", "- a", "\t"]
)
async def test_yaml_that_cannot_be_changes_nothing(api: httpx.AsyncClient, node: Node, text: str) -> None:
    await node.store.put_stream("news", {"inputs": PUBLISH})
    response = await api.put("/config/yaml", content=text.encode())
    assert response.status_code == 400, response.text
    assert await node.store.get_stream("news") is not None


async def test_changes_of_settings_are_audited(api: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await api.post("/config", json={"log": {"level": "debug"}})
    entry = next(entry for entry in logs if entry["event"] == "admin_change")
    assert (entry["action"], entry["fields"]) == ("config.changed", ["log.level"])
