"""The admin API over a real store in a temporary directory, asked through ASGI."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from openstreamer.control.app import ControlApp
from openstreamer.settings_check import check_settings
from openstreamer.store.store import Store
from tests.control.fakes import FixedServer, FixedSettings, MemoryStreams


class Node:
    """One server: its parts, and clients that come from wherever a test wants."""

    def __init__(self, store: Store, streams: MemoryStreams, app: ControlApp, stack: AsyncExitStack) -> None:
        self.store = store
        self.streams = streams
        self.app = app
        self._stack = stack

    async def client(
        self, peer: str = "127.0.0.1", host: str = "localhost:8080", **options: Any
    ) -> httpx.AsyncClient:
        """A client at ``peer`` that calls the server ``host``."""
        transport = httpx.ASGITransport(self.app, client=(peer, 40_000), raise_app_exceptions=True)
        client = httpx.AsyncClient(transport=transport, base_url=f"http://{host}", **options)
        return await self._stack.enter_async_context(client)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            Store.open(tmp_path / "data" / "openstreamer.db", check_settings=check_settings)
        )
        streams = MemoryStreams(store)
        app = ControlApp(
            store=store,
            streams=streams,
            server=FixedServer(),
            metrics=streams,
            settings=FixedSettings(),
            pages_directory=tmp_path / "dist",
        )
        await stack.enter_async_context(app)
        yield Node(store, streams, app, stack)


@pytest.fixture
async def api(node: Node) -> httpx.AsyncClient:
    """A client on this machine."""
    return await node.client()
