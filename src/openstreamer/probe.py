"""What the server would ingest from a URL: watches its source for a few seconds and says what came."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from openstreamer.config.input_urls import PublishInput
from openstreamer.config.models import Input
from openstreamer.config.urls import redact_url
from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import ConfigError, SourceEnded, SourceError, SourceStalled
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import KEY_FRAME_DEADLINE_S, LOOK_S, Source, left_out_of, programs_of
from openstreamer.stream.observe import track_runtime
from openstreamer.stream.silence import SilenceDeadline
from openstreamer.stream.waiting import Waiting
from openstreamer.wire.demuxer import ListedProgram

DEFAULT_S: Final = KEY_FRAME_DEADLINE_S  # so that a long GOP is measured, too
ENOUGH_GOPS: Final = 3  # whole ones; then no more is learned by watching on
ENOUGH_MEDIA_S: Final = 3.0
USUAL_S: Final = 5.0  # enough media for one that has seen a single whole GOP
LONG_GOP_S: Final = 5.0  # a viewer waits for it, and so does every failover
_MPEG_AUDIO_LAYERS: Final = {"mp4a.40.32": "mp1", "mp4a.40.33": "mp2"}
FAR_APART_MS: Final = 500  # audio that is muxed so far from its picture delays all of it


@dataclass(slots=True)
class ProbedTrack:
    """One track as the API shows it (``stream/status.TrackRuntime``), and what only watching can tell.

    ``pid`` is that of MPEG-TS; ``gop_s`` is the shortest and longest distance between key frames;
    ``measured_frame_rate`` is that of video by its decoding times; ``reordered`` says that there are
    B-frames.
    """

    shown: dict[str, Any]
    frames: int
    pid: int | None = None
    measured_frame_rate: float | None = None
    gop_s: tuple[float, float] | None = None
    reordered: bool = False

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **self.shown,
            "pid": self.pid,
            "frames": self.frames,
            "measured_frame_rate": self.measured_frame_rate,
            "gop_sec": list(self.gop_s) if self.gop_s else None,
            "reordered": self.reordered,
        }


@dataclass(slots=True)
class ProbeReport:
    """What a URL gave. ``refusals`` are why the server would not take it; ``notes`` what deserves a look."""

    url: str
    protocol: str = ""
    connected_after_s: float | None = None
    first_frame_after_s: float | None = None
    media_s: float = 0.0
    bitrate_kbps: int = 0
    av_offset_ms: int | None = None  # first audio less first video, by presentation
    packet_loss: float = 0.0
    dropped_frames: int = 0
    tracks: list[ProbedTrack] = field(default_factory=list)
    programs: tuple[ListedProgram, ...] = ()  # of MPEG-TS
    refusals: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the server would ingest it."""
        return not self.refusals

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "url": self.url,
            "ok": self.ok,
            "protocol": self.protocol,
            "connected_after_sec": _rounded(self.connected_after_s),
            "first_frame_after_sec": _rounded(self.first_frame_after_s),
            "media_sec": _rounded(self.media_s),
            "bitrate_kbps": self.bitrate_kbps,
            "av_offset_ms": self.av_offset_ms,
            "packet_loss": self.packet_loss,
            "dropped_frames": self.dropped_frames,
            "tracks": [track.document() for track in self.tracks],
            "programs": [asdict(program) for program in self.programs],
            "refusals": self.refusals,
            "notes": self.notes,
        }


async def probe(
    chosen: Input,
    open_source: Callable[[Input], Awaitable[Source]],
    *,
    seconds: float = DEFAULT_S,
    progress: Callable[[str], None] = lambda _said: None,
) -> ProbeReport:
    """Open ``chosen`` as a stream would, and watch it for at most ``seconds`` after its first frame.

    Raises :class:`ConfigError` for an input to which nobody can connect.
    """
    if isinstance(chosen.parsed_url, PublishInput):
        raise ConfigError("publish:// waits for an encoder: there is nothing to connect to", field="url")
    report = ProbeReport(redact_url(chosen.url))
    seen = _Seen()
    try:
        source = await open_source(chosen)
        report.protocol = source.protocol
        try:
            await _watch(source, report, seen, seconds, progress)
        finally:
            report.programs = programs_of(source)
            if (left_out := left_out_of(source)) is not None:
                report.notes.append(f"a track is left out: {left_out}")
    except SourceEnded as err:
        if not seen.frames:
            report.refusals.append(f"it ended before the first frame: {err}")
    except SourceError as err:
        report.refusals.append(str(err))
    seen.tell(report)
    return report


async def _watch(
    source: Source, report: ProbeReport, seen: "_Seen", seconds: float, progress: Callable[[str], None]
) -> None:
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    progress("connecting")
    async with source:
        report.protocol = source.protocol
        report.connected_after_s = loop.time() - started_s
        progress("connected, waiting for the first key frame")
        wait = Waiting(source, loop.time())
        try:
            async with SilenceDeadline(LOOK_S, lambda: wait.longer_until_s(loop.time())):
                seen.add(await source.receive(), source.tracks)
        except TimeoutError as err:
            raise SourceStalled(f"connected, but {wait.in_vain}") from err
        report.first_frame_after_s = loop.time() - started_s
        until_s = loop.time() + seconds
        try:
            async with asyncio.timeout_at(until_s):
                while not seen.enough():
                    progress(f"watching: {seen.summary()}")
                    seen.add(await source.receive(), source.tracks)
        except TimeoutError:
            pass
        finally:
            statistics = source.statistics
            expected = statistics.received_packets + statistics.lost_packets
            report.packet_loss = round(statistics.lost_packets / expected, 5) if expected else 0.0
            report.dropped_frames = statistics.dropped_frames


class _TrackSeen:
    """What came of one track."""

    def __init__(self, frame: Frame) -> None:
        self.track = frame.track
        self.frames = 0
        self.payload_bytes = 0
        self.first_pts_90k = frame.pts_90k
        self.first_90k = self.last_90k = frame.dts_90k
        self.keys_90k: list[int] = []
        self.reordered = False
        self.changes = 0  # of the decoder configuration

    def add(self, frame: Frame) -> None:
        """Count ``frame``."""
        if frame.track != self.track:
            self.changes += 1
            self.track = frame.track
        self.frames += 1
        self.payload_bytes += len(frame.payload)
        self.first_pts_90k = min(self.first_pts_90k, frame.pts_90k)
        self.last_90k = frame.dts_90k
        self.reordered = self.reordered or frame.pts_90k != frame.dts_90k
        if frame.key and frame.track.is_video:
            self.keys_90k.append(frame.dts_90k)

    @property
    def span_s(self) -> float:
        """From the first frame to the last."""
        return (self.last_90k - self.first_90k) / TICKS_PER_SECOND

    @property
    def kbps(self) -> int:
        """Over the span, in which the last frame has no part."""
        if self.span_s <= 0:
            return 0
        return round(self.payload_bytes * (self.frames - 1) / self.frames * 8 / 1000 / self.span_s)

    def probed(self, pid: int | None) -> ProbedTrack:
        """For the report."""
        keys_90k = self.keys_90k
        gops_s = [(later - earlier) / TICKS_PER_SECOND for earlier, later in itertools.pairwise(keys_90k)]
        is_video = self.track.is_video
        rate = (self.frames - 1) / self.span_s if is_video and self.span_s > 0 else None
        return ProbedTrack(
            shown=track_runtime(self.track, self.kbps).model_dump(mode="json", exclude_none=True),
            frames=self.frames,
            pid=pid,
            measured_frame_rate=round(rate, 3) if rate is not None else None,
            gop_s=(round(min(gops_s), 3), round(max(gops_s), 3)) if gops_s else None,
            reordered=self.reordered and is_video,
        )


class _Seen:
    """What came of all tracks."""

    def __init__(self) -> None:
        self._tracks: dict[int, _TrackSeen] = {}
        self._silent: tuple[Track, ...] = ()
        self._apart_90k: list[int] = []  # how far audio is ahead of video, at the end of each batch

    @property
    def frames(self) -> int:
        """How many came."""
        return sum(each.frames for each in self._tracks.values())

    def add(self, frames: list[Frame], tracks: tuple[Track, ...]) -> None:
        """Count one batch."""
        for frame in frames:
            each = self._tracks.get(frame.track.id)
            if each is None:
                each = self._tracks[frame.track.id] = _TrackSeen(frame)
            each.add(frame)
        self._silent = tuple(track for track in tracks if track.id not in self._tracks)
        video, audio = self._first(True), self._first(False)
        if video is not None and audio is not None:
            self._apart_90k.append(audio.last_90k - video.last_90k)

    def enough(self) -> bool:
        """Whether more would teach nothing."""
        video = self._first(True)
        longest_s = max((each.span_s for each in self._tracks.values()), default=0.0)
        gops = ENOUGH_GOPS if video is None else len(video.keys_90k) - 1
        return (longest_s >= ENOUGH_MEDIA_S and gops >= ENOUGH_GOPS) or (longest_s >= USUAL_S and gops >= 1)

    def summary(self) -> str:
        """In a few words."""
        codecs = ", ".join(
            spoken_codec(each.track.codec, each.track.config.codec_string) for each in self._ordered()
        )
        return f"{codecs}, {self.frames} frames"

    def tell(self, report: ProbeReport) -> None:
        """Write down what was seen."""
        listed = (stream for program in report.programs if program.chosen for stream in program.streams)
        pids = {stream.track_id: stream.pid for stream in listed}
        for each in self._ordered():
            report.tracks.append(each.probed(pids.get(each.track.id)))
            report.bitrate_kbps += each.kbps
            report.media_s = max(report.media_s, each.span_s)
        video, audio = self._first(True), self._first(False)
        if video is not None and audio is not None:
            report.av_offset_ms = round((audio.first_pts_90k - video.first_pts_90k) * 1000 / TICKS_PER_SECOND)
        report.notes += self._notes(report)

    def _ordered(self) -> list[_TrackSeen]:
        return sorted(self._tracks.values(), key=lambda each: each.track.id)

    def _first(self, is_video: bool) -> _TrackSeen | None:
        return next((each for each in self._ordered() if each.track.is_video is is_video), None)

    def _notes(self, report: ProbeReport) -> list[str]:
        notes = [f"{_named(track)} is announced, and nothing of it came" for track in self._silent]
        video, audio = self._first(True), self._first(False)
        if self._tracks and video is None:
            notes.append("there is no video")
        if self._tracks and audio is None:
            notes.append("there is no audio")
        notes += [
            f"{_named(each.track)}: the decoder configuration changed {each.changes} times"
            for each in self._ordered()
            if each.changes
        ]
        if video is not None:
            notes += _notes_on_gops(video, report)
        if self._apart_90k:
            middle = sorted(self._apart_90k)[len(self._apart_90k) // 2] * 1000 // TICKS_PER_SECOND
            if abs(middle) > FAR_APART_MS:
                which = "ahead of" if middle > 0 else "behind"
                notes.append(f"audio is sent {abs(middle)} ms {which} its pictures")
        notes += _notes_on_programs(report.programs)
        if report.packet_loss:
            notes.append(f"{report.packet_loss:.2%} of the packets were lost")
        return notes


def _notes_on_gops(video: _TrackSeen, report: ProbeReport) -> list[str]:
    longest_s = max((t.gop_s[1] for t in report.tracks if t.gop_s), default=0.0)
    since_key_s = (video.last_90k - video.keys_90k[-1]) / TICKS_PER_SECOND if video.keys_90k else 0.0
    if max(longest_s, since_key_s) <= LONG_GOP_S:
        return []
    said = f"{longest_s:g} s" if longest_s >= since_key_s else f"more than {since_key_s:.1f} s"
    return [f"key frames are {said} apart: players start, and failover switches, only at one"]


def _notes_on_programs(programs: tuple[ListedProgram, ...]) -> list[str]:
    notes = []
    for stream in (stream for program in programs if program.chosen for stream in program.streams):
        if not stream.carried:
            notes.append(f"{stream.description} on PID {stream.pid} is not carried")
        elif stream.scrambled:
            notes.append(f"{stream.description} on PID {stream.pid} is scrambled")
    if len(programs) > 1:
        notes.append("there are several programs: the input's program chooses one (here --program)")
    return notes


def _named(track: Track) -> str:
    return f"{track.kind.value} ({spoken_codec(track.codec, track.config.codec_string)})"


def spoken_codec(codec: str, codec_string: str) -> str:
    """What people call a codec: the API has one name for all layers of MPEG audio."""
    return _MPEG_AUDIO_LAYERS.get(codec_string, codec)


def _rounded(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 3)
