"""A node in memory: streams that become what the store says, and a server with fixed ports."""

import time

from openstreamer.config.models import GlobalConfig
from openstreamer.config.notices import waiting_for_restart
from openstreamer.control.metrics import MetricsSnapshot, StreamCounts
from openstreamer.control.ports import Ports
from openstreamer.media.errors import OpenstreamerError
from openstreamer.store.store import Store
from openstreamer.stream.status import StreamRuntime, StreamStatus


class RefusalError(OpenstreamerError):
    """What a stream manager raises: an error with the API's code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class MemoryStreams:
    """Streams without media: running as soon as they are applied, gone when their record is."""

    def __init__(self, store: Store) -> None:
        self.last_reconcile_ns: int | None = time.monotonic_ns()
        self.running: dict[str, StreamRuntime] = {}
        self.restarts: list[str] = []
        self.failing = False
        self.observed = 0  # how often anybody asked for a runtime
        self._store = store

    async def apply(self, code: str) -> None:
        if self.failing:
            raise OpenstreamerError("no thread left")
        record = await self._store.get_stream(code)
        if record is None:
            self.running.pop(code, None)
        else:
            status = StreamStatus.STOPPED if record.spec.disabled else StreamStatus.IDLE
            self.running[code] = StreamRuntime(status=status, reasons=["waiting for a publisher"])

    async def apply_all(self) -> None:
        for record in await self._store.list_streams():
            await self.apply(record.spec.code)

    async def restart(self, code: str) -> None:
        if code not in self.running:
            raise RefusalError(f"stream {code} does not exist", "STREAM_NOT_FOUND")
        self.restarts.append(code)

    def runtime(self, code: str) -> StreamRuntime | None:
        self.observed += 1
        return self.running.get(code)

    def runtime_codes(self) -> list[str]:
        return []

    async def snapshot(self) -> MetricsSnapshot:
        return MetricsSnapshot(
            streams=[StreamCounts(code, runtime.status.value) for code, runtime in self.running.items()]
        )


class FixedServer:
    """Listeners that are bound where the contract has them."""

    def ports(self) -> Ports:
        return Ports("127.0.0.1:8080", rtmp_port=1935)


class FixedSettings:
    """Takes up nothing but what streams follow."""

    def follow(self, config: GlobalConfig) -> None:
        pass

    def waiting_for_restart(self, config: GlobalConfig) -> list[str]:
        return waiting_for_restart(GlobalConfig(), config)
