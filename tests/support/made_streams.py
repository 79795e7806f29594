"""Made-up streams for tests of the packager: real decoder configurations, payloads of no meaning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from tests.support.media import AUDIO, VIDEO

START_90K = 1_795_500_000 * 90_000  # the stream's clock is anchored at Unix time


@dataclass(frozen=True)
class MadeStream:
    """What a source sends. ``None`` for a track leaves it out."""

    seconds: float = 10
    fps: Fraction = Fraction(30)
    gop: int = 30  # the most pictures from a key frame to the next one
    scene_cuts: frozenset[int] = frozenset()  # pictures that are key frames for what they show
    reorder: int = 0  # frames by which a key frame is presented later than decoded
    start_90k: int = START_90K
    epoch: int = 1
    video: Track | None = VIDEO
    audio: Track | None = AUDIO
    stamps_ms: bool = False  # timestamps rounded to milliseconds, as RTMP has them
    video_silent: tuple[float, float] = (0, 0)
    audio_silent: tuple[float, float] = (0, 0)
    audio_late_s: float = 0  # audio arrives this much after video of the same time
    tracks: tuple[Track, ...] = field(init=False)

    def __post_init__(self) -> None:
        tracks = tuple(track for track in (self.video, self.audio) if track is not None)
        object.__setattr__(self, "tracks", tracks)

    @property
    def end_90k(self) -> int:
        return self.start_90k + round(self.seconds * 90_000)

    def after(self, **changes: object) -> "MadeStream":
        """A source that takes over where this one ends, in a new epoch."""
        return replace(self, **{"start_90k": self.end_90k, "epoch": self.epoch + 1, **changes})  # type: ignore[arg-type]

    def frames(self) -> list[Frame]:
        """All frames in the order in which they arrive."""
        timed = [*self._video(), *self._audio()]
        timed.sort(key=lambda entry: entry[0])
        return [frame for _, frame in timed]

    def _at(self, seconds: Fraction) -> int:
        ticks = round(seconds * 90_000)
        return self.start_90k + (round(ticks / 90) * 90 if self.stamps_ms else ticks)

    def _video(self) -> Iterator[tuple[float, Frame]]:
        if self.video is None:
            return
        last_key = -self.gop
        for index in range(round(self.seconds * self.fps)):
            key = index - last_key >= self.gop or index in self.scene_cuts
            last_key = index if key else last_key
            at_s = index / self.fps
            if self.video_silent[0] <= at_s < self.video_silent[1]:
                continue
            pts = self._at((index + self.reorder) / self.fps)
            nal = bytes([0x65 if key else 0x41]) + bytes(895 if key else 95)
            payload = len(nal).to_bytes(4, "big") + nal
            yield float(at_s), Frame(self.video, pts, self._at(at_s), key, payload, self.epoch)

    def _audio(self) -> Iterator[tuple[float, Frame]]:
        if self.audio is None:
            return
        config = self.audio.audio
        step_s = Fraction(config.samples_per_frame, config.timescale)
        offset_s = self.reorder / self.fps
        for index in range(round(self.seconds / step_s)):
            at_s = index * step_s
            if self.audio_silent[0] <= at_s < self.audio_silent[1]:
                continue
            pts = self._at(at_s + offset_s)
            frame = Frame(self.audio, pts, pts, self.video is None, bytes(20), self.epoch)
            yield float(at_s) + self.audio_late_s, frame


def batches(frames: Sequence[Frame], size: int = 3) -> Iterator[Sequence[Frame]]:
    """``frames`` a few at a time, as a hub's reader gets them."""
    for start in range(0, len(frames), size):
        yield frames[start : start + size]
