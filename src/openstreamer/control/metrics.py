"""``GET /metrics``: Prometheus text made from one snapshot, under the names of the contract's section 6.

Nothing is registered and nothing is remembered here. Each scrape asks for a snapshot of what exists, so the
series of a removed stream are gone with the stream.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from openstreamer.control.durations import RequestDurations
from openstreamer.stream.histogram import HistogramReading
from openstreamer.stream.status import StreamStatus

PREFIX = "open_streamer_"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What arrived over one protocol, since the stream was built."""

    protocol: str
    received_bytes: int = 0
    received_packets: int = 0
    lost_packets: int = 0
    dropped_frames: int = 0
    malformed: int = 0


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """One stream at the instant of the scrape.

    ``segments`` counts by (format, profile), for example ``("hls", "video")``; ``segment_writes_s`` and
    ``write_failures``, by format, are of those outputs that write files. ``buffer_capacity_used`` is the
    fullest reader's share of its bound, 0 to 1.
    """

    code: str
    status: str
    started_at_unix_s: float | None = None
    ingest: Sequence[IngestCounts] = ()
    ingest_errors: Mapping[str, int] = field(default_factory=dict)
    buffer_drops: int = 0
    buffer_capacity_used: float = 0.0
    buffer_subscribers: int = 0
    segments: Mapping[tuple[str, str], int] = field(default_factory=dict)
    segment_writes_s: Mapping[str, HistogramReading] = field(default_factory=dict)
    write_failures: Mapping[str, int] = field(default_factory=dict)
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ListenerCounts:
    """One listener (``rtmp``, ``http``). ``refused`` counts by reason."""

    name: str
    open_connections: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    protocol_errors: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """Everything of one scrape that lives outside the control package."""

    streams: Sequence[StreamCounts] = ()
    listeners: Sequence[ListenerCounts] = ()
    reconciler_last_run_unix_s: float | None = None
    publish_to_hub_latency_s: HistogramReading | None = None
    media_memory_max_bytes: int = 0
    media_memory_full: bool = False


class MetricsSource(Protocol):
    """Where snapshots come from. Taken on the event loop, which runs other work meanwhile; read on another
    thread."""

    async def snapshot(self) -> MetricsSnapshot: ...


class MetricsPage:
    """Renders a scrape. The text is made on another thread: a thousand streams are ten thousand lines."""

    def __init__(
        self,
        source: MetricsSource,
        durations: RequestDurations,
        loop_lag: HistogramReading | None = None,
    ) -> None:
        self._source = source
        self._durations = durations
        self._loop_lag = loop_lag

    async def render(self) -> bytes:
        """The page, in Prometheus text format 0.0.4."""
        snapshot = await self._source.snapshot()
        families = [*_request_families(self._durations), *_loop_families(self._loop_lag)]
        return await asyncio.to_thread(_text, snapshot, families)


class _Fixed(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _text(snapshot: MetricsSnapshot, families: list[Metric]) -> bytes:
    process = ProcessCollector(namespace=PREFIX.rstrip("_"), registry=None)
    return generate_latest(_Fixed([*_stream_families(snapshot), *families, *process.collect()]))


def _counter(name: str, help_text: str, labels: Sequence[str] = ()) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, help_text, labels=labels)


def _gauge(name: str, help_text: str, labels: Sequence[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, help_text, labels=labels)


def _stream_families(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    yield from _ingest_families(snapshot.streams)
    yield from _state_families(snapshot)
    yield from _buffer_families(snapshot.streams)
    yield from _output_families(snapshot.streams)
    yield from _listener_families(snapshot.listeners)
    if snapshot.publish_to_hub_latency_s is not None:
        yield _histogram(
            "publish_to_hub_latency_seconds",
            "From a frame's last byte off the socket to the frame in the hub",
            snapshot.publish_to_hub_latency_s,
        )


def _ingest_families(streams: Sequence[StreamCounts]) -> Iterator[Metric]:
    labels = ("stream_code", "protocol")
    received_bytes = _counter("ingestor_bytes_total", "Bytes received from inputs", labels)
    packets = _counter("ingestor_packets_total", "Packets or frames received from inputs", labels)
    lost = _counter("ingestor_lost_packets_total", "Packets that inputs lost on the way", labels)
    dropped = _counter(
        "ingestor_dropped_frames_total", "Frames of inputs that could not be passed on", labels
    )
    malformed = _counter("ingestor_malformed_total", "Units of inputs that could not be understood", labels)
    errors = _counter("ingestor_errors_total", "Failures of inputs by reason", ("stream_code", "reason"))
    for stream in streams:
        for ingest in stream.ingest:
            values = (stream.code, ingest.protocol)
            received_bytes.add_metric(values, ingest.received_bytes)
            packets.add_metric(values, ingest.received_packets)
            lost.add_metric(values, ingest.lost_packets)
            dropped.add_metric(values, ingest.dropped_frames)
            malformed.add_metric(values, ingest.malformed)
        for reason, count in stream.ingest_errors.items():
            errors.add_metric((stream.code, reason), count)
    yield from (received_bytes, packets, lost, dropped, malformed, errors)


def _state_families(snapshot: MetricsSnapshot) -> Iterator[Metric]:
    by_status = _gauge("streams_total", "Streams by status", ("status",))
    counts = {status.value: 0 for status in StreamStatus}
    started = _gauge("stream_start_time_seconds", "Unix time at which the stream started", ("stream_code",))
    memory = _gauge("stream_memory_bytes", "Media that the stream keeps in memory", ("stream_code",))
    for stream in snapshot.streams:
        counts[stream.status] = counts.get(stream.status, 0) + 1
        memory.add_metric((stream.code,), stream.memory_bytes)
        if stream.started_at_unix_s is not None:
            started.add_metric((stream.code,), stream.started_at_unix_s)
    for status, count in counts.items():
        by_status.add_metric((status,), count)
    yield from (by_status, started, memory)
    most = _gauge("media_memory_max_bytes", "Media that all streams together may keep in memory")
    most.add_metric((), snapshot.media_memory_max_bytes)
    full = _gauge("media_memory_full", "1 while live windows are cut short to stay within that")
    full.add_metric((), snapshot.media_memory_full)
    yield from (most, full)
    if snapshot.reconciler_last_run_unix_s is not None:
        last_run = _gauge("reconciler_last_run_seconds", "Unix time of the reconciler's last run")
        last_run.add_metric((), snapshot.reconciler_last_run_unix_s)
        yield last_run


def _buffer_families(streams: Sequence[StreamCounts]) -> Iterator[Metric]:
    drops = _counter("buffer_drops_total", "Frames that slow readers lost", ("stream_code",))
    used = _gauge("buffer_capacity_used", "The fullest reader's share of its bound", ("stream_code",))
    readers = _gauge("buffer_subscribers", "Readers of the stream's hub", ("stream_code",))
    for stream in streams:
        drops.add_metric((stream.code,), stream.buffer_drops)
        used.add_metric((stream.code,), stream.buffer_capacity_used)
        readers.add_metric((stream.code,), stream.buffer_subscribers)
    yield from (drops, used, readers)


def _output_families(streams: Sequence[StreamCounts]) -> Iterator[Metric]:
    segments = _counter(
        "publisher_segments_total", "Segments that were completed", ("stream_code", "format", "profile")
    )
    for stream in streams:
        for (form, profile), count in stream.segments.items():
            segments.add_metric((stream.code, form, profile), count)
    labels = ("stream_code", "format")
    failures = _counter("publisher_write_errors_total", "Times that writing live files failed", labels)
    writes = HistogramMetricFamily(
        PREFIX + "publisher_segment_write_duration_seconds", "Writing one segment's file", labels=labels
    )
    for stream in streams:
        for form, reading in stream.segment_writes_s.items():
            writes.add_metric((stream.code, form), _buckets(reading), reading.total)
        for form, count in stream.write_failures.items():
            failures.add_metric((stream.code, form), count)
    yield from (segments, writes, failures)


def _listener_families(listeners: Sequence[ListenerCounts]) -> Iterator[Metric]:
    labels = ("listener",)
    connections = _gauge("listener_connections", "Open connections", labels)
    accepted = _counter("listener_accepted_total", "Connections that were accepted", labels)
    refused = _counter("listener_refused_total", "Connections refused by reason", ("listener", "reason"))
    errors = _counter("listener_protocol_errors_total", "Connections closed for malformed input", labels)
    received = _counter("listener_received_bytes_total", "Bytes received", labels)
    sent = _counter("listener_sent_bytes_total", "Bytes sent", labels)
    for listener in listeners:
        name = (listener.name,)
        connections.add_metric(name, listener.open_connections)
        accepted.add_metric(name, listener.accepted)
        errors.add_metric(name, listener.protocol_errors)
        received.add_metric(name, listener.received_bytes)
        sent.add_metric(name, listener.sent_bytes)
        for reason, count in listener.refused.items():
            refused.add_metric((listener.name, reason), count)
    yield from (connections, accepted, refused, errors, received, sent)


def _request_families(durations: RequestDurations) -> Iterator[Metric]:
    family = HistogramMetricFamily(
        PREFIX + "http_request_duration_seconds",
        "From the request's head to the end of its response",
        labels=("route", "method", "status"),
    )
    for (route, method, status), histogram in durations.series.items():
        family.add_metric((route, method, str(status)), _buckets(histogram), histogram.total)
    yield family


def _loop_families(loop_lag: HistogramReading | None) -> Iterator[Metric]:
    tasks = _gauge("tasks", "Tasks of the event loop")
    tasks.add_metric((), len(asyncio.all_tasks()))
    yield tasks
    if loop_lag is not None:
        yield _histogram("event_loop_lag_seconds", "How late the event loop ran what was due", loop_lag)


def _histogram(name: str, help_text: str, reading: HistogramReading) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, help_text, labels=())
    family.add_metric((), _buckets(reading), reading.total)
    return family


def _buckets(reading: HistogramReading) -> list[tuple[str, float]]:
    below = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, reading.bounds), "+Inf"), reading.counts, strict=True):
        below += count
        buckets.append((bound, below))
    return buckets
