"""The ``runtime`` of a stream: the API's shape, and the one function that decides the status.

Nothing here is remembered: a status is computed from observations whenever somebody asks.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, Field

RARE_KEY_FRAMES_S: Final = 20.0  # between two: ten are usual enough; who starts to watch waits for the next


class StreamStatus(StrEnum):
    """What a stream is, seen from outside."""

    IDLE = "idle"
    ACTIVE = "active"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class InputStatus(StrEnum):
    """What one input is."""

    IDLE = "idle"
    ACTIVE = "active"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class ErrorEntry(BaseModel):
    """One remembered failure."""

    message: str
    at: datetime


class TrackRuntime(BaseModel):
    """One elementary stream as it is now."""

    kind: str
    codec: str
    codec_string: str = ""
    bitrate_kbps: int = 0
    width: int | None = None
    height: int | None = None
    frame_rate: float | None = None
    sample_rate: int | None = None
    channels: int | None = None


class InputRuntime(BaseModel):
    """One input as it is now."""

    input_priority: int
    url: str = ""
    status: InputStatus = InputStatus.IDLE
    protocol: str = ""
    peer: str = ""
    last_packet_at: datetime | None = None
    last_frame_age_sec: float | None = None
    bitrate_kbps: int = 0
    packet_loss: float = Field(
        default=0.0, description="The share of all packets that did not come, since the input was opened."
    )
    dropped_frames: int = 0
    reconnects: int = Field(default=0, description="Connections that were lost and made again at once.")
    held_back: bool = Field(
        default=False, description="The source sends faster than real time; its media enters in real time."
    )
    tracks: list[TrackRuntime] = Field(default_factory=list)
    errors: list[ErrorEntry] = Field(default_factory=list)


class SwitchEntry(BaseModel):
    """One change of the active input. In JSON ``from_priority`` is ``from``."""

    model_config = {"populate_by_name": True}

    at: datetime
    from_priority: int | None = Field(default=None, alias="from")
    to_priority: int | None = Field(default=None, alias="to")
    reason: str
    detail: str = ""


class MediaRuntime(BaseModel):
    """What flows in and out."""

    input_bitrate_kbps: int = 0
    output_bitrate_kbps: int = 0
    inputs: list[TrackRuntime] = Field(default_factory=list)
    outputs: list[TrackRuntime] = Field(default_factory=list)


class PublisherRuntime(BaseModel):
    """Pushes to other platforms."""

    pushes: list[dict[str, object]] = Field(default_factory=list)


class StreamRuntime(BaseModel):
    """The ``runtime`` object of the API (contract, section 3)."""

    status: StreamStatus
    pipeline_active: bool = False
    exhausted: bool = False
    active_input_priority: int | None = None
    override_input_priority: int | None = None
    started_at: datetime | None = None
    uptime_sec: int = 0
    inputs: list[InputRuntime] = Field(default_factory=list)
    switches: list[SwitchEntry] = Field(default_factory=list)
    media: MediaRuntime = Field(default_factory=MediaRuntime)
    publisher: PublisherRuntime = Field(default_factory=PublisherRuntime)
    reasons: list[str] = Field(default_factory=list)


@dataclass(slots=True)
class Observation:
    """What can be seen of one stream at one instant; times are monotonic nanoseconds, ``None``: never.

    ``track_frame_ns`` and ``output_progress_ns`` hold the time of the newest frame per selected track and of
    the newest product per enabled output; ``output_window_ns`` how old that may be where it is more than
    usual. ``damage`` says what else comes when no frames do.
    """

    wanted: bool
    start_failure: str | None = None
    waits_for_publisher: bool = False
    input_problem: str | None = None
    damage: str | None = None
    track_frame_ns: dict[str, int | None] = field(default_factory=dict)
    output_progress_ns: dict[str, int | None] = field(default_factory=dict)
    output_window_ns: dict[str, int] = field(default_factory=dict)
    dead_components: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    outputs_impaired: list[str] = field(default_factory=list)


def _stale(seen_ns: int | None, now_ns: int, window_ns: int) -> bool:
    return seen_ns is None or now_ns - seen_ns > window_ns


def _silence(what: str, seen_ns: int | None, now_ns: int) -> str:
    if seen_ns is None:
        return f"{what}: nothing yet"
    return f"{what}: nothing for {(now_ns - seen_ns) / 1e9:.1f} s"


def key_frames_missing(distance_s: float, *, refreshes: bool) -> str | None:
    """What to tell an operator whose encoder sends key frames too seldom: what viewers see, and the remedy.
    ``distance_s`` lies between the last two, or behind the last; ``refreshes``: by intra refresh instead."""
    if distance_s <= RARE_KEY_FRAMES_S:
        return None
    if refreshes:
        return (
            f"the encoder sends intra refreshes instead of key frames, none for {distance_s:.0f} s: browsers"
            " that start now show no picture (VLC and ffmpeg do). On the encoder, switch intra refresh off"
            " and set the key frame interval to 2 s"
        )
    return (
        f"no key frame for {distance_s:.0f} s: players that start show no picture until the next one."
        " On the encoder, set the key frame interval (GOP) to 2 s and switch intra refresh off"
    )


def judge(
    seen: Observation, now_ns: int, *, input_window_ns: int, output_window_ns: int
) -> tuple[StreamStatus, list[str]]:
    """The status of a stream and, unless it is active, why in plain words.

    ``active`` needs a fresh frame of every track and fresh progress of every output; there is no flag that
    could claim it.
    """
    if not seen.wanted:
        return StreamStatus.STOPPED, ["the stream is disabled"]
    if seen.start_failure is not None:
        return StreamStatus.STOPPED, [seen.start_failure]
    silent = [
        _silence(f"no {track} frames from the input", at_ns, now_ns)
        for track, at_ns in seen.track_frame_ns.items()
        if _stale(at_ns, now_ns, input_window_ns)
    ]
    flowing = bool(seen.track_frame_ns) and len(silent) < len(seen.track_frame_ns)
    if seen.waits_for_publisher:
        why = [seen.input_problem] if seen.input_problem else []
        return StreamStatus.IDLE, ["waiting for a publisher", *why, *seen.unsupported]
    reasons = [seen.input_problem] if seen.input_problem else []
    if seen.damage is not None and not flowing:
        reasons.append(f"the input sends {seen.damage}")
    if not seen.track_frame_ns and not reasons:
        reasons.append("starting: no frame from the input yet")
    reasons += silent
    if flowing:  # without input an output cannot progress: one cause, one reason
        reasons += [
            _silence(f"output {output} makes no progress", at_ns, now_ns)
            for output, at_ns in seen.output_progress_ns.items()
            if _stale(at_ns, now_ns, max(output_window_ns, seen.output_window_ns.get(output, 0)))
        ]
    reasons += [f"{component} is being restarted" for component in seen.dead_components]
    reasons += seen.outputs_impaired + seen.unsupported
    return (StreamStatus.DEGRADED if reasons else StreamStatus.ACTIVE), reasons
