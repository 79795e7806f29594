"""When frames may leave: once every track is known, or did not show up in time, from a key frame on."""

from collections import deque
from collections.abc import Sequence

from openstreamer.media.clock import TICKS_PER_MS
from openstreamer.media.errors import SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.stream import ElementaryStream
from openstreamer.wire.mpegts.times import ProgramClock


class TrackGate:
    """Holds frames back until the tracks of the program are complete.

    Sound without a picture is not passed on while video packets come: it begins at the first key frame.
    """

    __slots__ = ("_clock", "_held", "_held_bytes", "_limits", "_statistics", "_streams", "flowing", "tracks")

    def __init__(self, limits: MpegTsLimits, clock: ProgramClock, statistics: MpegTsStatistics) -> None:
        self._limits = limits
        self._clock = clock
        self._statistics = statistics
        self._held: deque[Frame] = deque()
        self._held_bytes = 0
        self._streams: Sequence[ElementaryStream] = ()  # that ``tracks`` are of
        self.flowing = False
        self.tracks: tuple[Track, ...] = ()

    def pass_on(self, frames: list[Frame], streams: Sequence[ElementaryStream]) -> list[Frame]:
        """``frames`` that just came from ``streams``, with those that waited, if they may go."""
        if self.flowing:
            if streams is not self._streams or not self._knows(frames):
                self._update(streams)
            if not (self.tracks and self.tracks[0].is_video):
                for frame in frames:
                    frame.key = True  # without video, every audio frame is a random access point
            return frames
        self._update(streams)
        self._held.extend(frames)
        self._held_bytes += sum(len(frame.payload) for frame in frames)
        self._reject_in_vain(streams)
        if not self._held:
            return []
        if all(stream.track is not None for stream in streams):
            return self.release()
        if not self._has_waited_enough():
            return []
        for stream in streams:
            if stream.is_video and stream.clear and stream.track is None:
                self._drop_held()
                return []
        return self.release()

    def _reject_in_vain(self, streams: Sequence[ElementaryStream]) -> None:
        """Raise :class:`SourceRejected` when video comes that nobody can decode: it must not become a stream
        with sound only, and no error."""
        waited_ms = self._clock.passed_90k // TICKS_PER_MS
        if self.flowing or waited_ms < self._limits.configuration_wait_ms:
            return
        for stream in streams:
            if stream.is_video and stream.clear and stream.track is None:
                raise SourceRejected(
                    f"MPEG-TS: {stream.info.description} on PID {stream.info.pid} without a key frame that "
                    f"has its parameter sets for {waited_ms} ms"
                )

    def release(self) -> list[Frame]:
        """What is held, with the tracks there are; frames of a stream that left the program are dropped.

        Raises :class:`SourceRejected` when the picture is scrambled: sound alone must not become a stream.
        """
        ids = {track.id for track in self.tracks}
        held = [frame for frame in self._held if frame.track.id in ids]
        self._statistics.drop(len(self._held) - len(held))
        self._held.clear()
        self._held_bytes = 0
        if not held:
            return []
        for stream in () if self.flowing else self._streams:
            if stream.is_video and stream.scrambled and not stream.clear:
                info = stream.info
                raise SourceRejected(f"MPEG-TS: {info.description} on PID {info.pid} is scrambled")
        self.flowing = True
        frames = self._from_the_picture_on(held)
        self._statistics.started = True
        return frames

    def _from_the_picture_on(self, held: list[Frame]) -> list[Frame]:
        if not self.tracks[0].is_video:
            for frame in held:
                frame.key = True
            return held
        start_90k = next((frame.dts_90k for frame in held if frame.track.is_video), 0)
        frames = [frame for frame in held if frame.track.is_video or frame.dts_90k >= start_90k]
        self._statistics.drop(len(held) - len(frames))
        # Whatever joins at the key frame shall have the sound that goes with it, whichever came first.
        frames.sort(key=lambda frame: frame.dts_90k)
        return frames

    def _knows(self, frames: list[Frame]) -> bool:
        """Whether all ``frames`` are of tracks that are known."""
        before: Track | None = None
        for frame in frames:
            track = frame.track
            if track is not before:
                if all(known is not track for known in self.tracks):
                    return False
                before = track
        return True

    def _update(self, streams: Sequence[ElementaryStream]) -> None:
        """Note the tracks; one whose stream was replaced stays until the new one is known."""
        self._streams = streams
        old = {track.id: track for track in self.tracks}
        tracks = []
        for stream in streams:
            track = stream.track or old.get(stream.codec.track_id)
            if track is not None:
                tracks.append(track)
        if len(tracks) != len(self.tracks) or any(
            a is not b for a, b in zip(tracks, self.tracks, strict=True)
        ):
            self.tracks = tuple(tracks)

    def _has_waited_enough(self) -> bool:
        limits = self._limits
        return (
            self._clock.passed_90k >= limits.track_wait_ms * TICKS_PER_MS
            or len(self._held) >= limits.max_held_frames
            or self._held_bytes >= limits.max_held_bytes
        )

    def _drop_held(self) -> None:
        """Drop sound that is older than a picture whose packets are still coming."""
        held, limits = self._held, self._limits
        oldest_90k = self._clock.last_90k - limits.track_wait_ms * TICKS_PER_MS
        crowded = len(held) >= limits.max_held_frames or self._held_bytes >= limits.max_held_bytes
        while held and (crowded or held[0].dts_90k < oldest_90k):
            self._held_bytes -= len(held.popleft().payload)
            self._statistics.drop()
