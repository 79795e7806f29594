"""What of the settings is followed without a restart."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from structlog.testing import capture_logs

from openstreamer.access.proxies import TrustedProxies
from openstreamer.config.models import GlobalConfig
from openstreamer.hot_settings import HotSettings
from openstreamer.listen.http.listener import HttpListener
from openstreamer.listen.http.media import MediaApp
from openstreamer.listen.http.tls import Certificate
from openstreamer.stream.wiring import SourceOpener
from tests.support.certificates import make_certificate


class Nothing:
    def presentation(self, code: str) -> None:
        return None

    def playback_policy(self, code: str) -> None:
        return None


def config(**server: Any) -> GlobalConfig:
    return GlobalConfig.model_validate({"server": server})


def tls(paths: tuple[Path, Path]) -> dict[str, dict[str, str]]:
    return {"tls": {"cert": str(paths[0]), "key": str(paths[1])}}


@asynccontextmanager
async def secured(paths: tuple[Path, Path]) -> AsyncIterator[tuple[HotSettings, int]]:
    certificate = Certificate(str(paths[0]), str(paths[1]))
    app = MediaApp(Nothing())
    hot = HotSettings(config(**tls(paths)), app, certificate, SourceOpener(), TrustedProxies())
    listener = HttpListener(app, "127.0.0.1", 0, ssl_context=certificate.context(()))
    async with listener:
        yield hot, int(listener.bound.rpartition(":")[2])


async def presented(port: int) -> str:
    """The certificate that a new connection is shown."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))


def as_pem(path: Path) -> str:
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(path.read_text()))


async def test_another_certificate_is_presented_to_the_next_connection(tmp_path: Path) -> None:
    old, new = make_certificate(tmp_path, "old"), make_certificate(tmp_path, "new")
    async with secured(old) as (hot, port):
        assert await presented(port) == as_pem(old[0])
        hot.follow(config(**tls(new)))
        assert await presented(port) == as_pem(new[0])


async def test_a_certificate_that_is_renewed_in_place_is_noticed(tmp_path: Path) -> None:
    served, new = make_certificate(tmp_path, "served"), make_certificate(tmp_path, "new")
    settings = config(**tls(served))
    async with secured(served) as (hot, port):
        os.replace(new[0], served[0])
        os.replace(new[1], served[1])
        renewed = as_pem(served[0])
        hot.follow(settings)
        assert await presented(port) == renewed


async def test_a_renewal_that_cannot_be_served_leaves_the_old_one_and_is_told_once(tmp_path: Path) -> None:
    served, other = make_certificate(tmp_path, "served"), make_certificate(tmp_path, "other")
    settings = config(**tls(served))
    async with secured(served) as (hot, port):
        before = as_pem(served[0])
        os.replace(other[0], served[0])  # its key is still on the way
        with capture_logs() as logs:
            hot.follow(settings)
            hot.follow(settings)
        assert [entry["event"] for entry in logs] == ["certificate_kept"]
        assert "does not belong to" in logs[0]["error"]
        assert await presented(port) == before
        os.replace(other[1], served[1])
        hot.follow(settings)
        assert await presented(port) == as_pem(served[0])


async def test_media_follows_the_origins_that_are_allowed() -> None:
    app = MediaApp(Nothing())
    hot = HotSettings(config(), app, None, SourceOpener(), TrustedProxies())
    async with (
        HttpListener(app, "127.0.0.1", 0) as listener,
        httpx.AsyncClient(
            base_url=f"http://{listener.bound}", headers={"origin": "https://a.example"}
        ) as client,
    ):
        allowed = "access-control-allow-origin"
        assert (await client.get("/news/index.m3u8")).headers[allowed] == "*"
        hot.follow(config(cors={"enabled": True, "allowed_origins": ["https://b.example"]}))
        assert allowed not in (await client.get("/news/index.m3u8")).headers
        hot.follow(config(cors={"enabled": True, "allowed_origins": ["https://a.example"]}))
        assert (await client.get("/news/index.m3u8")).headers[allowed] == "https://a.example"
        hot.follow(config())
        assert (await client.get("/news/index.m3u8")).headers[allowed] == "*"


async def test_the_origins_that_were_stored_hold_from_the_start() -> None:
    app = MediaApp(Nothing())
    HotSettings(
        config(cors={"enabled": True, "allowed_origins": ["https://b.example"]}),
        app,
        None,
        SourceOpener(),
        TrustedProxies(),
    )
    async with HttpListener(app, "127.0.0.1", 0) as listener, httpx.AsyncClient() as client:
        answer = await client.get(
            f"http://{listener.bound}/x/index.m3u8", headers={"origin": "https://a.example"}
        )
    assert "access-control-allow-origin" not in answer.headers


def test_inputs_follow_whether_private_addresses_are_allowed() -> None:
    opener = SourceOpener()
    hot = HotSettings(config(), MediaApp(Nothing()), None, opener, TrustedProxies())
    hot.follow(GlobalConfig.model_validate({"ingestor": {"allow_private_addresses": False}}))
    assert not opener.ingestor.allow_private_addresses


def test_trusted_proxies_follow() -> None:
    proxies = TrustedProxies()
    hot = HotSettings(
        config(trusted_proxies=["192.0.2.1"]), MediaApp(Nothing()), None, SourceOpener(), proxies
    )
    assert proxies.covers("192.0.2.1")
    hot.follow(config(trusted_proxies=["10.0.0.0/8"]))
    assert proxies.covers("10.1.2.3")
    assert not proxies.covers("192.0.2.1")
