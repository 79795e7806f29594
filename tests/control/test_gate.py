"""Who gets in through HTTP: the loopback rule, users, roles, pages of other origins, CORS, limits."""

import json

import bcrypt
import httpx
import pytest
from structlog.testing import capture_logs

from openstreamer.listen.http.listener import HttpListener
from openstreamer.media.errors import StoreError
from tests.control.conftest import Node
from tests.support.http import curl

QUICK_HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
ADMIN_PATHS = [
    "/streams",
    "/streams/news",
    "/config",
    "/config/defaults",
    "/config/yaml",
    "/templates",
    "/metrics",
    "/swagger/",
    "/docs",
    "/openapi.json",
    "/swagger/doc.json",
    "/no/such/thing",
]
OPEN_PATHS = ["/healthz", "/readyz"]


async def add_user(node: Node, name: str = "ops", role: str = "write") -> None:
    users = [{"username": name, "password_hash": QUICK_HASH, "role": role}]
    response = await (await node.client()).post("/config", json={"auth": {"api": {"users": users}}})
    assert response.status_code == 200, response.text


def code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


@pytest.mark.parametrize("path", ADMIN_PATHS)
async def test_without_users_everything_admin_is_for_this_machine_only(node: Node, path: str) -> None:
    stranger = await node.client("192.0.2.1")
    response = await stranger.get(path)
    assert (response.status_code, code(response)) == (403, "LOOPBACK_ONLY")
    assert "openstreamer user add" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", OPEN_PATHS)
async def test_probes_are_open_to_everybody(node: Node, path: str) -> None:
    assert (await (await node.client("192.0.2.1", "tv.example")).get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/play/region/news", "/assets/x.js", "/favicon.ico"])
async def test_pages_are_open_to_everybody_and_say_when_they_are_not_built(node: Node, path: str) -> None:
    response = await (await node.client("192.0.2.1")).get(path)
    assert response.status_code in (404, 503)
    assert response.headers["content-type"].startswith("text/plain")


async def test_a_proxy_on_this_machine_does_not_open_the_api(node: Node) -> None:
    client = await node.client()
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        response = await client.get("/streams", headers={name: "127.0.0.1"})
        assert (response.status_code, code(response)) == (403, "LOOPBACK_ONLY")


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        ("Accept: */*", ""),
        *(
            (f"{name}: 127.0.0.1", "LOOPBACK_ONLY")
            for name in ("X-Forwarded", "Client-IP", "CDN-Loop", "cf-ray")
        ),
        *((f"Host: {host}", "HOST_NOT_ALLOWED") for host in ("192.0.2.2:18081", "[::]", "evil.example")),
        *((f"Host: {host}", "") for host in ("localhost", "127.0.0.2", "[::1]:80")),
    ],
)
async def test_the_rule_is_the_same_in_every_version_of_http(
    node: Node, version: str, header: str, refusal: str
) -> None:
    async with HttpListener(node.app, "127.0.0.1", 0) as listener:
        url = f"http://{listener.bound}/streams"
        status, body = await curl(version, "-H", header, "-w", "\n%{http_code}", url)
    assert status == 0
    answer, _, http_status = body.decode().rpartition("\n")
    assert http_status == ("403" if refusal else "200")
    assert json.loads(answer).get("error", {}).get("code", "") == refusal


async def test_a_rebound_name_does_not_open_the_api(node: Node) -> None:
    response = await (await node.client(host="evil.example")).get("/streams")
    assert (response.status_code, code(response)) == (403, "HOST_NOT_ALLOWED")


async def test_a_page_of_another_origin_changes_nothing(node: Node) -> None:
    client = await node.client(headers={"origin": "http://evil.example"})
    response = await client.post("/streams/news", json={})
    assert (response.status_code, code(response)) == (403, "CROSS_ORIGIN")
    assert await node.store.get_stream("news") is None


@pytest.mark.parametrize("path", ADMIN_PATHS)
async def test_once_a_user_exists_everybody_logs_in(node: Node, path: str) -> None:
    await add_user(node)
    for peer in ("127.0.0.1", "192.0.2.1"):
        response = await (await node.client(peer)).get(path)
        assert (response.status_code, code(response)) == (401, "UNAUTHORIZED")
        assert response.headers["www-authenticate"] == 'Basic realm="Openstreamer", charset="UTF-8"'


async def test_a_user_gets_in_from_anywhere_through_anything(node: Node) -> None:
    await add_user(node)
    proxied = await node.client("192.0.2.1", "tv.example", auth=("ops", "right"))
    assert (await proxied.get("/streams", headers={"x-forwarded-for": "203.0.113.9"})).status_code == 200
    bearer = await node.client("192.0.2.1", headers={"authorization": "Bearer ops.right"})
    assert (await bearer.post("/streams/news", json={})).status_code == 201


async def test_a_wrong_password_gets_401_and_too_many_get_429(node: Node) -> None:
    await add_user(node)
    wrong = await node.client("192.0.2.1", auth=("ops", "wrong"))
    statuses = [(await wrong.get("/streams")).status_code for _ in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    assert int((await wrong.get("/streams")).headers["retry-after"]) >= 1
    elsewhere = await node.client("198.51.100.1", auth=("ops", "right"))
    assert (await elsewhere.get("/streams")).status_code == 200


async def test_a_reader_reads_and_changes_nothing(node: Node) -> None:
    await add_user(node, role="read")
    reader = await node.client(auth=("ops", "right"))
    assert (await reader.get("/streams")).status_code == 200
    assert (await reader.head("/streams")).status_code == 200
    for method, path in (
        ("POST", "/streams/x"),
        ("PUT", "/streams/x"),
        ("DELETE", "/streams/x"),
        ("POST", "/config"),
    ):
        response = await reader.request(method, path, json={})
        assert (response.status_code, code(response)) == (403, "FORBIDDEN")


async def test_users_of_the_command_line_count_too(node: Node) -> None:
    await node.store.put_user("cli", QUICK_HASH, "write")
    client = await node.client("192.0.2.1", auth=("cli", "right"))
    assert (await client.get("/streams")).status_code == 200


async def test_auth_switched_off_falls_back_to_this_machine_only(node: Node) -> None:
    await add_user(node)
    ops = await node.client("192.0.2.1", auth=("ops", "right"))
    assert (await ops.post("/config", json={"auth": {"api": {"enabled": False}}})).status_code == 200
    assert code(await ops.get("/streams")) == "LOOPBACK_ONLY"
    assert (await (await node.client()).get("/streams")).status_code == 200


async def test_the_audit_log_names_the_user_and_the_address_behind_trusted_proxies(node: Node) -> None:
    await add_user(node)
    ops = await node.client("10.1.1.1", auth=("ops", "right"))
    await ops.post("/config", json={"server": {"trusted_proxies": ["10.0.0.0/8"]}})
    with capture_logs() as logs:
        await ops.post("/streams/news", json={}, headers={"x-forwarded-for": "127.0.0.1, 203.0.113.9"})
    entry = next(entry for entry in logs if entry["event"] == "admin_change")
    assert (entry["user"], entry["address"]) == ("ops", "203.0.113.9")
    assert "right" not in str(logs)


async def test_cors_is_off_until_it_is_configured(node: Node) -> None:
    response = await (await node.client()).get("/streams", headers={"origin": "https://console.example"})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


async def test_a_configured_origin_may_use_the_api_and_read_its_refusals(node: Node) -> None:
    await add_user(node)
    ops = await node.client("192.0.2.1", auth=("ops", "right"), headers={"origin": "https://console.example"})
    cors = {
        "enabled": True,
        "allowed_origins": ["https://console.example"],
        "allow_credentials": True,
        "max_age": 60,
    }
    local = await node.client(auth=("ops", "right"))
    assert (await local.post("/config", json={"server": {"cors": cors}})).status_code == 200
    made = await ops.post("/streams/news", json={})
    assert made.status_code == 201
    assert made.headers["access-control-allow-origin"] == "https://console.example"
    assert made.headers["access-control-allow-credentials"] == "true"
    assert "etag" in made.headers["access-control-expose-headers"]
    nobody = await node.client("192.0.2.1", headers={"origin": "https://console.example"})
    refused = await nobody.get("/streams")
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://console.example"
    preflight = await nobody.options("/streams/news", headers={"access-control-request-method": "DELETE"})
    assert preflight.status_code == 204
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["access-control-max-age"] == "60"
    other = {"origin": "https://evil.example", "access-control-request-method": "DELETE"}
    assert (await nobody.options("/streams/news", headers=other)).status_code == 403


async def test_a_cors_wildcard_never_comes_with_credentials(node: Node) -> None:
    client = await node.client()
    cors = {"enabled": True, "allowed_origins": ["*"], "allow_credentials": True}
    await client.post("/config", json={"server": {"cors": cors}})
    response = await client.get("/streams", headers={"origin": "https://any.example"})
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


async def test_a_store_that_fails_lets_nobody_in(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(node.store, "global_config", broken)
    with capture_logs() as logs:
        response = await (await node.client()).get("/streams")
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert [(entry["event"], entry["error"]) for entry in logs] == [("request_failed", "the disk is gone")]


async def test_a_store_that_fails_in_a_handler_is_logged_once(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(node.store, "list_streams", broken)
    with capture_logs() as logs:
        response = await (await node.client()).get("/streams")
    assert response.status_code == 503
    assert [entry["event"] for entry in logs] == ["request_failed"]


async def test_refusals_of_clients_do_not_fill_the_log(node: Node) -> None:
    node.streams.last_reconcile_ns = None
    with capture_logs() as logs:
        await (await node.client("192.0.2.1")).get("/streams")
        await (await node.client()).get("/readyz")
    assert logs == []


async def test_readiness_needs_the_store_and_a_reconciler_that_runs(
    node: Node, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await api.get("/readyz")).json() == {"status": "ready"}
    ran_ns = node.streams.last_reconcile_ns
    assert ran_ns is not None
    node.streams.last_reconcile_ns = None
    assert code(await api.get("/readyz")) == "NOT_READY"
    node.streams.last_reconcile_ns = ran_ns - 61_000_000_000
    assert (await api.get("/readyz")).status_code == 503
    node.streams.last_reconcile_ns = ran_ns

    async def broken() -> None:
        raise StoreError("/var/lib/secret/place is gone")

    monkeypatch.setattr(node.store, "ping", broken)
    response = await api.get("/readyz")
    assert response.status_code == 503
    assert "secret" not in response.text


async def test_a_bug_is_logged_once_and_not_shown(
    node: Node, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(code: str) -> None:
        raise ZeroDivisionError("inner detail")

    await node.store.put_stream("news", {})
    monkeypatch.setattr(node.streams, "runtime", bug)
    with capture_logs() as logs:
        response = await api.get("/streams/news")
    assert (response.status_code, code(response)) == (500, "INTERNAL")
    assert "inner detail" not in response.text
    assert [entry["event"] for entry in logs] == ["request_failed"]


async def test_every_api_answer_forbids_caching_and_sniffing(api: httpx.AsyncClient) -> None:
    for path in ("/streams", "/config", "/healthz", "/none"):
        headers = (await api.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


async def test_requests_are_measured_by_route_and_never_by_path(node: Node, api: httpx.AsyncClient) -> None:
    for number in range(20):
        await api.get(f"/streams/s{number}")
        await api.get(f"/nothing/{number}")
    keys = set(node.app.durations.series)
    assert keys == {("/streams/{code}", "GET", 404), ("unmatched", "GET", 404)}
    text = (await api.get("/metrics")).text
    labels = '{method="GET",route="/streams/{code}",status="404"}'
    assert f"open_streamer_http_request_duration_seconds_count{labels} 20" in text


async def test_websockets_are_refused(node: Node) -> None:
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    await node.app({"type": "websocket", "path": "/streams"}, receive, send)  # type: ignore[arg-type]
    assert sent == ["websocket.close"]


async def test_a_client_that_leaves_is_no_fault(node: Node) -> None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        raise ConnectionResetError("the client is gone")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "http_version": "1.1",
        "scheme": "http",
        "path": "/streams",
        "raw_path": b"/streams",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    with capture_logs() as logs:
        await node.app(scope, receive, send)  # type: ignore[arg-type]
    assert logs == []
