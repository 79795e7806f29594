"""One clock over connections: what makes a reconnect inside a source no more than a short gap.

Pure: time is a parameter. After a reconnect the peer's clock usually went on, and its server may send again
what it sent already; or it is another clock, and goes on here where the old one would be now.
"""

from typing import Final

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track

WRAP_90K: Final = 1 << 33  # a new demuxer does not know how often the clock of a transport stream wrapped
MOST_GAP_90K: Final = 15 * TICKS_PER_SECOND  # a clock that is further on than a long GOP is another one
MOST_REPEAT_90K: Final = 21 * TICKS_PER_SECOND  # what servers keep for new clients: one or two GOPs
REPEAT_S: Final = 1.0  # a repetition arrives in a burst; one that lasts longer is another clock
MOST_HELD_BYTES: Final = 8 << 20  # of memory, for what may be a repetition
_STEP_90K: Final = 1800  # 20 ms, between the last frame and the first of another clock that came at once


class Continuity:
    """Maps the frames of one connection after the other."""

    def __init__(self) -> None:
        self._last_90k: dict[int, int] = {}
        self._known: dict[int, Track] = {}
        self._newest_90k = 0
        self._newest_at_s = 0.0
        self._offset_90k = 0
        self._begun = False
        self._aligned = True
        self._moved = False  # whether frames have to be looked at one by one
        self._repeating: set[int] = set()  # tracks whose frames came already
        self._repeating_until_s = 0.0
        self._needs_key = False
        self._aligned_at_s: float | None = None  # where another clock begins whose first frames are held
        self._held: list[Frame] = []  # what looks like a repetition, as long as all of it does
        self._held_bytes = 0
        self._holds = False

    def reconnected(self) -> None:
        """The next frames are of a new connection and its new demuxer."""
        self._aligned = not self._begun
        self._moved = self._begun
        self._needs_key = False
        self._repeating.clear()
        self._hold(self._begun)

    def map(self, frames: list[Frame], now_s: float) -> list[Frame]:
        """``frames`` on one clock, without what came already; the frames are changed."""
        if not frames:
            return frames
        if not self._aligned:
            self._align(frames[0].dts_90k, now_s)
        if self._repeating and now_s > self._repeating_until_s and self._repeats(frames):
            frames = self._find_another_clock(frames)
        if self._moved:
            frames = [frame for frame in frames if self._keep(frame, now_s)]
            if not frames:
                return frames
        last_90k = self._last_90k
        for frame in frames:
            last_90k[frame.track.id] = frame.dts_90k
        self._newest_90k = max(self._newest_90k, frames[-1].dts_90k) if self._begun else frames[-1].dts_90k
        self._newest_at_s = now_s
        self._begun = True
        return frames

    def tracks(self, tracks: tuple[Track, ...]) -> tuple[Track, ...]:
        """``tracks`` with the objects of before where nothing changed."""
        return tuple(self._same(track) for track in tracks)

    def _same(self, track: Track) -> Track:
        known = self._known.get(track.id)
        if known is not None and (known is track or known == track):
            return known
        self._known[track.id] = track
        return track

    def _repeats(self, frames: list[Frame]) -> bool:
        return any(
            frame.track.id in self._repeating
            and frame.dts_90k + self._offset_90k <= self._last_90k[frame.track.id]
            for frame in frames
        )

    def _find_another_clock(self, frames: list[Frame]) -> list[Frame]:
        """What looked like a repetition was none: all of it, from its first key frame on, is to be mapped."""
        self._repeating.clear()
        self._needs_key = True
        if not any(frame.key for frame in self._held):
            self._aligned_at_s = None
        frames = self._held + frames
        self._hold(False)
        return frames

    def _hold(self, whether: bool) -> None:
        self._holds = whether
        self._held = []
        self._held_bytes = 0

    def _put_aside(self, frame: Frame) -> None:
        if self._holds:
            self._held.append(frame)
            self._held_bytes += frame.held_bytes
            if self._held_bytes > MOST_HELD_BYTES:
                self._hold(False)

    def _align(self, first_90k: int, now_s: float) -> None:
        self._aligned = True
        self._aligned_at_s = now_s
        wraps = round((self._newest_90k - first_90k - self._offset_90k) / WRAP_90K)
        offset_90k = self._offset_90k + wraps * WRAP_90K
        ahead_90k = first_90k + offset_90k - self._newest_90k
        if -MOST_REPEAT_90K <= ahead_90k <= MOST_GAP_90K:
            self._offset_90k = offset_90k
            self._repeating = set(self._last_90k)
            self._repeating_until_s = now_s + REPEAT_S
        else:
            self._begin_anew(first_90k, now_s)

    def _begin_anew(self, first_90k: int, now_s: float) -> None:
        passed_90k = max(_STEP_90K, round((now_s - self._newest_at_s) * TICKS_PER_SECOND))
        self._offset_90k = self._newest_90k + passed_90k - first_90k

    def _keep(self, frame: Frame, now_s: float) -> bool:
        """Move ``frame``; false for one that came already, or that must wait for a key frame."""
        track = frame.track = self._same(frame.track)
        if self._needs_key:
            if not frame.key:
                return False
            self._needs_key = False
            self._begin_anew(frame.dts_90k, now_s if self._aligned_at_s is None else self._aligned_at_s)
        dts_90k = frame.dts_90k + self._offset_90k
        last_90k = self._last_90k.get(track.id)
        if track.id in self._repeating:
            if last_90k is not None and dts_90k <= last_90k:
                self._put_aside(frame)
                return False
            self._repeating.discard(track.id)
            self._hold(False)
        frame.dts_90k = dts_90k if last_90k is None else max(dts_90k, last_90k)
        frame.pts_90k += self._offset_90k
        self._last_90k[track.id] = frame.dts_90k
        return True
