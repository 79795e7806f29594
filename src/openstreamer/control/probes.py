"""``/healthz``, ``/readyz`` and ``/metrics``: what machines ask."""

import asyncio
import time
from collections.abc import Callable

from fastapi import APIRouter, Response

from openstreamer.control.documents import json_response
from openstreamer.control.errors import ApiError
from openstreamer.control.metrics import CONTENT_TYPE, MetricsPage
from openstreamer.control.operations import answers, answers_text
from openstreamer.control.ports import StreamControl
from openstreamer.media.errors import StoreError
from openstreamer.store.store import Store

RECONCILER_MAX_AGE_S = 60.0  # contract, section 1; it runs every 10 s
STORE_DEADLINE_S = 2.0  # a probe that waits longer is a failed probe for whoever asks


class ProbeRoutes:
    """The handlers for load balancers and monitoring."""

    def __init__(
        self,
        store: Store,
        streams: StreamControl,
        metrics: MetricsPage,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._store = store
        self._streams = streams
        self._metrics = metrics
        self._clock_ns = clock_ns

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["system"])
        router.add_api_route(
            "/healthz", self.health, methods=["GET"], summary="Liveness", **answers("ProbeBody")
        )
        router.add_api_route(
            "/readyz",
            self.ready,
            methods=["GET"],
            summary="Readiness: the store answers and the reconciler runs",
            **answers("ProbeBody", 503),
        )
        router.add_api_route(
            "/metrics",
            self.page,
            methods=["GET"],
            summary="Prometheus metrics",
            **answers_text("text/plain", "string"),
        )
        return router

    async def health(self) -> Response:
        """The event loop answers."""
        return json_response({"status": "ok"})

    async def ready(self) -> Response:
        """503 with the reason while the server should get no work."""
        last_ns = self._streams.last_reconcile_ns
        if last_ns is None:
            raise ApiError(503, "NOT_READY", "the reconciler has not run yet")
        age_s = (self._clock_ns() - last_ns) / 1e9
        if age_s > RECONCILER_MAX_AGE_S:
            raise ApiError(503, "NOT_READY", f"the reconciler last ran {age_s:.0f} s ago")
        try:
            async with asyncio.timeout(STORE_DEADLINE_S):
                await self._store.ping()
        except (StoreError, TimeoutError) as err:
            # The probe is open to everybody: paths and hosts in the error are for the log.
            raise ApiError(503, "NOT_READY", "the store does not answer") from err
        return json_response({"status": "ready"})

    async def page(self) -> Response:
        """The scrape."""
        return Response(await self._metrics.render(), headers={"content-type": CONTENT_TYPE})
