"""One node as metrics and the configuration page see it: its listeners and its streams."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from openstreamer.config.addresses import parse_address
from openstreamer.control.metrics import IngestCounts, ListenerCounts, MetricsSnapshot, StreamCounts
from openstreamer.control.ports import Ports
from openstreamer.store.breath import breathe
from openstreamer.stream.histogram import HistogramReading
from openstreamer.stream.manager import StreamManager
from openstreamer.stream.pipeline import StreamPipeline
from openstreamer.stream.status import StreamRuntime


class ListenerStatistics(Protocol):
    """What every listener counts."""

    @property
    def open_connections(self) -> int: ...
    @property
    def accepted(self) -> int: ...
    @property
    def refused(self) -> Mapping[str, int]: ...
    @property
    def protocol_errors(self) -> int: ...
    @property
    def received_bytes(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...


class Listener(Protocol):
    """A port that is open."""

    @property
    def bound(self) -> str: ...
    @property
    def statistics(self) -> ListenerStatistics: ...


class NodeView:
    """Reads the manager and the listeners; the composition root enters the listeners as they come up."""

    def __init__(self, manager: StreamManager, publish_to_hub_latency_s: HistogramReading) -> None:
        self.http: Listener | None = None
        self.rtmp: Listener | None = None
        self.rtmps: Listener | None = None
        self.is_tls = False
        self._manager = manager
        self._publish_to_hub_latency_s = publish_to_hub_latency_s

    def _listeners(self) -> Iterator[tuple[str, Listener]]:
        for name, listener in (("http", self.http), ("rtmp", self.rtmp), ("rtmps", self.rtmps)):
            if listener is not None:
                yield name, listener

    def bound_addresses(self) -> dict[str, str]:
        """``{"http": "127.0.0.1:8080", "rtmp": …}``, of what listens."""
        return {name: listener.bound for name, listener in self._listeners()}

    def ports(self) -> Ports:
        """The bound addresses as the API shows them."""
        bound = self.bound_addresses()
        return Ports(
            http_addr=bound.get("http", ""),
            rtmp_port=parse_address(bound["rtmp"]).port if "rtmp" in bound else None,
        )

    async def snapshot(self) -> MetricsSnapshot:
        """Everything that metrics tell of streams and listeners, as it is now."""
        running = dict(self._manager.pipelines())
        streams = []
        for count, code in enumerate(self._manager.codes(), 1):
            await breathe(count)
            runtime = self._manager.runtime(code)
            if runtime is not None:
                streams.append(_stream_counts(code, runtime, running.get(code)))
        return MetricsSnapshot(
            streams=streams,
            listeners=[_listener_counts(name, listener) for name, listener in self._listeners()],
            reconciler_last_run_unix_s=self._manager.last_reconcile_unix_s,
            publish_to_hub_latency_s=self._publish_to_hub_latency_s,
            media_memory_max_bytes=self._manager.memory.max_bytes,
            media_memory_full=self._manager.memory.limit_bytes is not None,
        )


def _listener_counts(name: str, listener: Listener) -> ListenerCounts:
    seen = listener.statistics
    return ListenerCounts(
        name=name,
        open_connections=seen.open_connections,
        accepted=seen.accepted,
        refused=seen.refused,
        protocol_errors=seen.protocol_errors,
        received_bytes=seen.received_bytes,
        sent_bytes=seen.sent_bytes,
    )


def _stream_counts(code: str, runtime: StreamRuntime, pipeline: StreamPipeline | None) -> StreamCounts:
    started = runtime.started_at.timestamp() if runtime.started_at is not None else None
    if pipeline is None:
        return StreamCounts(code, runtime.status, started_at_unix_s=started)
    hub, presentation, disk = pipeline.hub, pipeline.presentation, pipeline.disk
    buffered = hub.statistics
    return StreamCounts(
        code,
        runtime.status,
        started_at_unix_s=started,
        ingest=[
            IngestCounts(
                protocol,
                counts.received_bytes,
                counts.received_packets,
                counts.lost_packets,
                counts.dropped_frames,
                counts.malformed,
            )
            for protocol, counts in pipeline.ingest_totals().items()
        ],
        ingest_errors=dict(pipeline.totals.failures),
        buffer_drops=buffered.dropped_frames_total,
        buffer_capacity_used=hub.capacity_used,
        buffer_subscribers=buffered.readers,
        segments={("hls", "track_0"): presentation.segments_total} if presentation is not None else {},
        segment_writes_s={"hls": pipeline.segment_writes_s} if disk is not None else {},
        write_failures={"hls": disk.statistics.failures} if disk is not None else {},
        memory_bytes=buffered.buffered_bytes + (presentation.memory_bytes if presentation is not None else 0),
    )
