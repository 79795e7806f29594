"""The OpenAPI document, and the API held against it with generated requests."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from openstreamer.control.app import ControlApp
from openstreamer.store.store import Store
from tests.control.fakes import FixedServer, MemoryStreams

EXAMPLES_PER_OPERATION = 25
# Not "negative data is refused": the API takes null and empty values for unset, as the Go server does.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Served:
    """The API with a store of its own on a loop of its own, for tests without one."""

    def __init__(self, runner: asyncio.Runner, directory: Path) -> None:
        self._runner = runner
        self._stack = AsyncExitStack()
        runner.run(self._start(directory))

    async def _start(self, directory: Path) -> None:
        store = await self._stack.enter_async_context(Store.open(directory / "openstreamer.db"))
        streams = MemoryStreams(store)
        self.app = ControlApp(store=store, streams=streams, server=FixedServer(), metrics=streams)
        await self._stack.enter_async_context(self.app)
        transport = httpx.ASGITransport(self.app, client=("127.0.0.1", 40_000))
        self._client = await self._stack.enter_async_context(httpx.AsyncClient(transport=transport))

    def send(self, **request: Any) -> httpx.Response:
        return self._runner.run(self._client.request(**request))

    def close(self) -> None:
        self._runner.run(self._stack.aclose())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with asyncio.Runner() as runner:
        made = Served(runner, tmp_path_factory.mktemp("openapi"))
        yield made
        made.close()


OPERATIONS = [
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/streams"),
    ("GET", "/streams/{code}"),
    ("POST", "/streams/{code}"),
    ("PUT", "/streams/{code}"),
    ("DELETE", "/streams/{code}"),
    ("POST", "/streams/{code}/restart"),
    ("GET", "/templates"),
    ("GET", "/templates/{code}"),
    ("POST", "/templates/{code}"),
    ("PUT", "/templates/{code}"),
    ("DELETE", "/templates/{code}"),
    ("GET", "/config"),
    ("POST", "/config"),
    ("GET", "/config/defaults"),
    ("GET", "/config/yaml"),
    ("PUT", "/config/yaml"),
]


def test_the_document_has_these_operations_and_no_others(served: Served) -> None:
    paths = served.app.openapi()["paths"]
    documented = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert documented == set(OPERATIONS)


def test_every_reference_of_the_document_leads_somewhere(served: Served) -> None:
    document = served.app.openapi()
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))) <= known


def test_it_is_served_where_the_contract_has_it(served: Served) -> None:
    for path in ("/openapi.json", "/swagger/doc.json"):
        response = served.send(method="GET", url=f"http://localhost{path}")
        assert response.json() == served.app.openapi()


def has_body(method: str, path: str) -> bool:
    return method in ("POST", "PUT") and not path.endswith("/restart")


CASES = [(GenerationMode.POSITIVE, *operation) for operation in OPERATIONS]
CASES += [(GenerationMode.NEGATIVE, method, path) for method, path in OPERATIONS if has_body(method, path)]


@pytest.mark.parametrize(("mode", "method", "path"), CASES)
def test_generated_requests_get_documented_answers_and_never_a_fault(
    served: Served, mode: GenerationMode, method: str, path: str
) -> None:
    operation = schemathesis.openapi.from_dict(served.app.openapi())[path][method]

    @settings(
        max_examples=EXAMPLES_PER_OPERATION,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        kwargs = case.as_transport_kwargs(base_url="http://localhost:8080")
        kwargs.pop("cookies", None)
        if not isinstance(kwargs.get("data"), dict):
            kwargs["content"] = kwargs.pop("data", None)
        response = served.send(**kwargs)
        case.validate_response(response, checks=CHECKS)

    run()
