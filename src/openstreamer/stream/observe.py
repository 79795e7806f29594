"""From a running pipeline to what is said about it. Everything is read at the moment of asking."""

import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from openstreamer.config.support import unsupported
from openstreamer.config.urls import redact_url
from openstreamer.hub import Hub, TrackFlow
from openstreamer.media.track import Track
from openstreamer.sources.base import left_out_of
from openstreamer.stream.ingest import Ingest
from openstreamer.stream.status import (
    ErrorEntry,
    InputRuntime,
    InputStatus,
    MediaRuntime,
    Observation,
    StreamRuntime,
    StreamStatus,
    TrackRuntime,
    judge,
    key_frames_missing,
)

if TYPE_CHECKING:
    from openstreamer.stream.pipeline import StreamPipeline

OUTPUT_WINDOW_NS = 3_000_000_000  # nine parts: an output that made none of them stands still
OUTPUT_PARTS_WAITED = 2.5  # a part of a slow camera lasts as long as its picture
METER_SAMPLES = 6  # one a second: rates are means over about five seconds
STANDSTILL_NS = METER_SAMPLES * 1_000_000_000  # what was before it is no part of a mean after it


class FlowMeter:
    """Bitrates and frame rates per track, from samples of the hub's counters taken about once a second."""

    def __init__(self) -> None:
        # Each: when, and of every track its payload bytes and frames.
        self._samples: deque[tuple[int, dict[int, tuple[int, int]]]] = deque(maxlen=METER_SAMPLES)

    def sample(self, hub: Hub, now_ns: int) -> None:
        """Remember the counters as they are now."""
        if all(_is_silent(flow, now_ns, STANDSTILL_NS) for flow in hub.flows.values()):
            self._samples.clear()
        counted = {track_id: (flow.payload_bytes, flow.frames) for track_id, flow in hub.flows.items()}
        self._samples.append((now_ns, counted))

    def kbps(self, track_id: int) -> int:
        """The mean bitrate of a track over the samples kept; 0 until there are two."""
        moved_bytes, _, elapsed_ns = self._moved(track_id)
        return max(0, moved_bytes * 8_000_000 // elapsed_ns) if elapsed_ns else 0

    def frame_rate(self, track_id: int) -> float | None:
        """Its frames per second over the samples kept; ``None`` when nothing moved."""
        _, frames, elapsed_ns = self._moved(track_id)
        return round(frames * 1e9 / elapsed_ns, 1) if elapsed_ns and frames > 0 else None

    def _moved(self, track_id: int) -> tuple[int, int, int]:
        """Bytes, frames and nanoseconds between the first and the last sample."""
        if len(self._samples) < 2:
            return 0, 0, 0
        (first_ns, first), (last_ns, last) = self._samples[0], self._samples[-1]
        before, after = first.get(track_id, (0, 0)), last.get(track_id, (0, 0))
        return after[0] - before[0], after[1] - before[1], last_ns - first_ns


def _is_silent(flow: TrackFlow, now_ns: int, window_ns: int) -> bool:
    return flow.last_frame_ns is None or now_ns - flow.last_frame_ns > window_ns


def _flowing_kbps(track: Track, pipeline: "StreamPipeline", now_ns: int) -> int:
    """The bitrate of a track while it flows: a mean over the last seconds outlives an input that is gone."""
    ingest, flow = pipeline.ingest, pipeline.hub.flows.get(track.id)
    if ingest is None or not ingest.delivers or flow is None:
        return 0
    return 0 if _is_silent(flow, now_ns, int(ingest.silence_limit_s * 1e9)) else pipeline.meter.kbps(track.id)


def _unix_time(at_ns: int | None, now_ns: int) -> datetime | None:
    """The wall-clock time of a monotonic instant."""
    if at_ns is None:
        return None
    return datetime.fromtimestamp(time.time() - (now_ns - at_ns) / 1e9, UTC)


def track_runtime(track: Track, bitrate_kbps: int) -> TrackRuntime:
    """A track as the API shows it."""
    shown = TrackRuntime(
        kind=track.kind.value,
        codec=track.codec,
        codec_string=track.config.codec_string,
        bitrate_kbps=bitrate_kbps,
    )
    if track.is_video:
        video = track.video
        shown.width, shown.height = video.width, video.height
        shown.frame_rate = round(float(video.frame_rate), 3) if video.frame_rate else None
    else:
        shown.sample_rate, shown.channels = track.audio.sample_rate, track.audio.channels
    return shown


def _missing_key_frames(pipeline: "StreamPipeline", ingest: Ingest) -> list[str]:
    """That viewers who start see nothing for long: who watches already sees no difference."""
    video = next((track for track in pipeline.hub.tracks if track.is_video), None)
    if video is None or ingest.source is None:
        return []
    presentation = pipeline.presentation
    refreshes = presentation is not None and presentation.packager.refreshes
    words = key_frames_missing(pipeline.timeline.key_distance_s(video.id), refreshes=refreshes)
    return [words] if words is not None else []


def observe(pipeline: "StreamPipeline") -> Observation:
    """What can be seen of the stream now."""
    ingest, hub = pipeline.ingest, pipeline.hub
    seen = Observation(wanted=True, unsupported=unsupported(pipeline.spec))
    seen.track_frame_ns = {f"{track.kind.value}": hub.flows[track.id].last_frame_ns for track in hub.tracks}
    if ingest is None:
        seen.input_problem = "no input is configured"
    else:
        seen.waits_for_publisher = ingest.waits_for_publisher
        seen.input_problem = ingest.problem
        seen.damage = ingest.damage
        known = [said for said in seen.unsupported if said.startswith(f"input {ingest.priority}: ")]
        if known:  # it is the problem: one cause, one reason
            seen.input_problem = known[0]
            seen.unsupported.remove(known[0])
        seen.outputs_impaired += _missing_key_frames(pipeline, ingest)
        if (left_out := left_out_of(ingest.source)) is not None:
            seen.outputs_impaired.append(f"a track is left out: {left_out}")
    presentation = pipeline.presentation
    if presentation is not None:
        seen.output_progress_ns["hls"] = presentation.last_part_at_ns
        part_s = presentation.packager.part_target_s or 0.0
        seen.output_window_ns["hls"] = int(OUTPUT_PARTS_WAITED * part_s * 1e9)
    if pipeline.disk is not None and pipeline.disk.disk_error is not None:
        seen.outputs_impaired.append(f"HLS on disk: {pipeline.disk.disk_error}")
    if pipeline.window_is_cut:
        seen.outputs_impaired.append("the live window is cut short: the node's media memory is full")
    seen.dead_components = pipeline.dead_components()
    return seen


def _input_track(track: Track, pipeline: "StreamPipeline", now_ns: int) -> TrackRuntime:
    """A track of the input; where its configuration says no frame rate, the measured one."""
    shown = track_runtime(track, _flowing_kbps(track, pipeline, now_ns))
    if track.is_video and shown.frame_rate is None and shown.bitrate_kbps:
        shown.frame_rate = pipeline.meter.frame_rate(track.id)
    return shown


def input_runtime(ingest: Ingest, pipeline: "StreamPipeline", now_ns: int) -> InputRuntime:
    """The one input as the API shows it."""
    source, hub = ingest.source, pipeline.hub
    newest_ns = max((flow.last_frame_ns or 0 for flow in hub.flows.values()), default=0) or None
    shown = InputRuntime(
        input_priority=ingest.priority,
        url=redact_url(ingest.url),
        last_packet_at=_unix_time(newest_ns, now_ns),
        last_frame_age_sec=None if newest_ns is None else round((now_ns - newest_ns) / 1e9, 3),
        errors=[ErrorEntry(message=failure.message, at=failure.at) for failure in reversed(ingest.failures)],
    )
    if source is None:
        shown.status = InputStatus.IDLE if ingest.waits_for_publisher else InputStatus.DEGRADED
        return shown
    statistics = source.statistics
    total = statistics.received_packets + statistics.lost_packets
    shown.protocol = source.protocol
    shown.peer = ingest.peer
    shown.held_back = ingest.held_back
    shown.packet_loss = round(statistics.lost_packets / total, 5) if total else 0.0
    shown.dropped_frames, shown.reconnects = statistics.dropped_frames, statistics.reconnects
    shown.tracks = [_input_track(track, pipeline, now_ns) for track in source.tracks]
    shown.bitrate_kbps = sum(track.bitrate_kbps for track in shown.tracks)
    silent = newest_ns is None or now_ns - newest_ns > ingest.silence_limit_s * 1e9
    fresh = ingest.delivers and not silent  # what is new in the hub may be of the source before
    shown.status = InputStatus.ACTIVE if fresh else InputStatus.DEGRADED
    return shown


def _standing_by(pipeline: "StreamPipeline", running: int) -> list[InputRuntime]:
    """The inputs that were not tried: another one runs."""
    others = [each for each in pipeline.spec.inputs_by_priority if each.priority != running]
    return [InputRuntime(input_priority=each.priority, url=redact_url(each.url)) for each in others]


def stream_runtime(pipeline: "StreamPipeline", now_ns: int) -> StreamRuntime:
    """The whole stream as the API shows it."""
    ingest = pipeline.ingest
    silence_s = ingest.silence_limit_s if ingest is not None else pipeline.settings.silence_s
    status, reasons = judge(
        observe(pipeline),
        now_ns,
        input_window_ns=int(silence_s * 1e9),
        output_window_ns=OUTPUT_WINDOW_NS,
    )
    runtime = StreamRuntime(status=status, reasons=reasons)
    if ingest is not None:
        runtime.inputs = [input_runtime(ingest, pipeline, now_ns), *_standing_by(pipeline, ingest.priority)]
        runtime.pipeline_active = runtime.inputs[0].status is InputStatus.ACTIVE
        if runtime.pipeline_active:
            runtime.active_input_priority = ingest.priority
        runtime.exhausted = status is StreamStatus.DEGRADED and ingest.problem is not None
    tracks = [track_runtime(track, _flowing_kbps(track, pipeline, now_ns)) for track in pipeline.hub.tracks]
    total_kbps = sum(track.bitrate_kbps for track in tracks)
    runtime.media = MediaRuntime(
        input_bitrate_kbps=total_kbps,
        output_bitrate_kbps=total_kbps if pipeline.presentation is not None else 0,
        inputs=tracks,
        outputs=tracks if pipeline.presentation is not None else [],
    )
    return runtime
