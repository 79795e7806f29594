"""A full disk under the store: changes are refused with words, nothing is lost, and streams go on."""

import os
from pathlib import Path

import httpx
import pytest

from tests.support.hls_playlist import parse
from tests.support.server import Server, ffmpeg_publish, peer, running_server, until
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

BIG = "words " * 300


def post(server: Server, code: str) -> httpx.Response:
    document = {"description": BIG, "inputs": [{"url": "publish://", "priority": 0}]}
    return httpx.post(server.url(f"/streams/{code}"), json=document, timeout=30)


def test_a_full_disk_refuses_changes_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, running_server(disk.path, "--no-demo") as server:
        server.put_stream("news", name="Before")
        with peer(*ffmpeg_publish(server.publish_url("news")), log=tmp_path / "ffmpeg.log"):
            server.wait_for_status("news", "active")
            disk.fill(server.pid)
            stored = 0
            while (refused := post(server, f"more-{stored}")).status_code == 201:
                stored += 1  # SQLite may have some pages of its own left
                assert stored < 100
            assert refused.status_code in (503, 507), refused.text
            error = refused.json()["error"]
            assert error["code"].startswith("STORE_")
            assert error["message"]
            codes = {record["code"] for record in server.get("/streams").json()["data"]}
            assert codes == {"news", *(f"more-{number}" for number in range(stored))}
            before = parse(server.get("/news/video.m3u8").text).segments[-1].msn
            until(
                lambda: parse(server.get("/news/video.m3u8").text).segments[-1].msn > before + 1,
                "the stream goes on",
            )
            assert server.runtime("news")["status"] == "active"
            disk.empty(server.pid)
            until(lambda: post(server, "after").status_code in (200, 201), "changes are stored again")
        codes |= {"after"}
        server.kill()
        server.start()
        records = {record["code"]: record for record in server.get("/streams").json()["data"]}
        assert set(records) == codes
        assert records["news"]["name"] == "Before"


def test_a_server_starts_on_a_full_disk_and_goes_on_the_air(tmp_path: Path) -> None:
    data_dir = tmp_path / "server"
    with small_disk(data_dir / "store") as disk, running_server(data_dir, "--no-demo") as server:
        server.put_stream("bars", inputs=[{"url": "test://"}])
        server.stop()
        disk.fill(os.getpid())  # the server inherits its limits
        try:
            server.start()
            server.wait_for_status("bars", "active")
            assert post(server, "more").json()["error"]["code"].startswith("STORE_")
            assert [record["code"] for record in server.get("/streams").json()["data"]] == ["bars"]
            disk.empty(server.pid)
            until(lambda: post(server, "after").status_code in (200, 201), "changes are stored again")
        finally:
            disk.empty(os.getpid())
