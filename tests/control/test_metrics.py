"""The metrics page against the names of the contract."""

from prometheus_client.parser import text_string_to_metric_families

from openstreamer.control.durations import RequestDurations
from openstreamer.control.metrics import (
    IngestCounts,
    ListenerCounts,
    MetricsPage,
    MetricsSnapshot,
    StreamCounts,
)
from openstreamer.stream.histogram import Histogram

WRITES = Histogram((0.01, 0.1))
WRITES.observe(0.02)
WRITES.observe(0.5)

NEWS = StreamCounts(
    code="region/news",
    status="active",
    started_at_unix_s=1_700_000_000,
    ingest=[
        IngestCounts(
            "rtmp", received_bytes=1000, received_packets=10, lost_packets=1, dropped_frames=11, malformed=12
        )
    ],
    ingest_errors={"timeout": 2},
    buffer_drops=3,
    buffer_capacity_used=0.25,
    buffer_subscribers=4,
    segments={("hls", "video"): 5},
    segment_writes_s={"hls": WRITES},
    write_failures={"hls": 13},
    memory_bytes=600,
)
HTTP = ListenerCounts("http", open_connections=7, accepted=8, refused={"too_many": 9}, protocol_errors=10)

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Source:
    """Holds what the next scrape sees."""

    def __init__(self, now: MetricsSnapshot) -> None:
        self.now = now

    async def snapshot(self) -> MetricsSnapshot:
        return self.now


async def scrape(page: MetricsPage) -> Series:
    text = (await page.render()).decode()
    return {
        (sample.name.removeprefix("open_streamer_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def labels(**values: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


async def test_a_stream_shows_under_the_names_of_the_contract() -> None:
    source = Source(MetricsSnapshot(streams=[NEWS], reconciler_last_run_unix_s=1_700_000_100))
    seen = await scrape(MetricsPage(source, RequestDurations()))
    of_stream = labels(stream_code="region/news")
    of_input = labels(stream_code="region/news", protocol="rtmp")
    assert seen["ingestor_bytes_total", of_input] == 1000
    assert seen["ingestor_packets_total", of_input] == 10
    assert seen["ingestor_errors_total", labels(stream_code="region/news", reason="timeout")] == 2
    assert seen["stream_start_time_seconds", of_stream] == 1_700_000_000
    assert seen["reconciler_last_run_seconds", ()] == 1_700_000_100
    assert seen["buffer_drops_total", of_stream] == 3
    assert seen["buffer_capacity_used", of_stream] == 0.25
    assert seen["buffer_subscribers", of_stream] == 4
    segments = labels(stream_code="region/news", format="hls", profile="video")
    assert seen["publisher_segments_total", segments] == 5
    assert seen["ingestor_dropped_frames_total", of_input] == 11
    assert seen["ingestor_malformed_total", of_input] == 12


async def test_writing_files_is_timed_and_its_failures_are_counted() -> None:
    seen = await scrape(MetricsPage(Source(MetricsSnapshot(streams=[NEWS])), RequestDurations()))
    of_output = {"stream_code": "region/news", "format": "hls"}
    assert seen["publisher_write_errors_total", labels(**of_output)] == 13
    name = "publisher_segment_write_duration_seconds"
    assert seen[f"{name}_count", labels(**of_output)] == 2
    assert seen[f"{name}_sum", labels(**of_output)] == 0.52
    assert seen[f"{name}_bucket", labels(**of_output, le="0.1")] == 1


async def test_the_bound_of_all_media_and_whether_it_cuts_windows_are_shown() -> None:
    source = Source(MetricsSnapshot(media_memory_max_bytes=1000, media_memory_full=True))
    seen = await scrape(MetricsPage(source, RequestDurations()))
    assert seen["media_memory_max_bytes", ()] == 1000
    assert seen["media_memory_full", ()] == 1


async def test_streams_are_counted_by_every_status_also_by_those_that_none_has() -> None:
    seen = await scrape(MetricsPage(Source(MetricsSnapshot(streams=[NEWS])), RequestDurations()))
    counts = {key[1][0][1]: value for key, value in seen.items() if key[0] == "streams_total"}
    assert counts == {"idle": 0, "active": 1, "degraded": 0, "stopped": 0}


async def test_the_series_of_a_removed_stream_are_gone() -> None:
    source = Source(MetricsSnapshot(streams=[NEWS]))
    page = MetricsPage(source, RequestDurations())
    assert any("region/news" in str(key) for key in await scrape(page))
    source.now = MetricsSnapshot()
    assert not any("region/news" in str(key) for key in await scrape(page))


async def test_listeners_show_connections_and_refusals_by_reason() -> None:
    seen = await scrape(MetricsPage(Source(MetricsSnapshot(listeners=[HTTP])), RequestDurations()))
    assert seen["listener_connections", labels(listener="http")] == 7
    assert seen["listener_accepted_total", labels(listener="http")] == 8
    assert seen["listener_refused_total", labels(listener="http", reason="too_many")] == 9
    assert seen["listener_protocol_errors_total", labels(listener="http")] == 10


async def test_histograms_are_cumulative_and_complete() -> None:
    latency, lag, durations = Histogram((0.1, 1.0)), Histogram((0.1,)), RequestDurations()
    for value in (0.05, 0.5, 5.0):
        latency.observe(value)
    lag.observe(0.01)
    durations.observe("/streams/{code}", "GET", 200, 0.002)
    source = Source(MetricsSnapshot(publish_to_hub_latency_s=latency))
    seen = await scrape(MetricsPage(source, durations, lag))
    name = "publish_to_hub_latency_seconds"
    assert [seen[f"{name}_bucket", labels(le=le)] for le in ("0.1", "1.0", "+Inf")] == [1, 2, 3]
    assert seen[f"{name}_count", ()] == 3
    assert seen[f"{name}_sum", ()] == 5.55
    assert seen["event_loop_lag_seconds_count", ()] == 1
    route = labels(route="/streams/{code}", method="GET", status="200")
    assert seen["http_request_duration_seconds_count", route] == 1


async def test_the_process_and_its_tasks_are_seen() -> None:
    seen = await scrape(MetricsPage(Source(MetricsSnapshot()), RequestDurations()))
    assert seen["process_resident_memory_bytes", ()] > 1_000_000
    assert seen["process_open_fds", ()] > 0
    assert seen["tasks", ()] >= 1
