"""End-to-end tests run the real server with real peers over loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server, running_server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "/e2e/" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own for each test, without the demo stream."""
    with running_server(tmp_path, "--no-demo") as running:
        yield running


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a module; each uses streams of its own."""
    with running_server(tmp_path_factory.mktemp("shared"), "--no-demo") as running:
        yield running
