"""Frames on their way out of a source, in batches that have one set of tracks each."""

from collections.abc import Iterable

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track


class FrameBatches:
    """What a parser made and ``receive`` has not returned yet.

    A parser reads on over a change of tracks; ``receive`` may not, because ``tracks`` must go with what it
    returned last. The owner bounds how much is put in.
    """

    __slots__ = ("_announced", "_follows", "_frames", "_tracks")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._tracks: tuple[Track, ...] = ()
        self._announced: tuple[Track, ...] = ()  # by the parser, for the newest frame
        self._follows = False  # whether the tracks of the queued frames may differ from _tracks

    def __bool__(self) -> bool:
        return bool(self._frames)

    @property
    def queued(self) -> list[Frame]:
        """The frames that wait, oldest first; to be read only."""
        return self._frames

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Those of the frames that ``take`` returned last; before that, those announced."""
        return self._tracks or self._announced

    def put(self, frames: Iterable[Frame], announced: tuple[Track, ...]) -> None:
        """Queue ``frames``; ``announced`` are all tracks that the parser knows after these frames: the same
        object as before says that nothing changed."""
        self._frames += frames
        if announced is not self._announced:
            self._announced = announced
            self._follows = True

    def take(self) -> list[Frame]:
        """The oldest frames, up to the first change of a track; empty when there are none."""
        frames, self._frames = self._frames, []
        if self._follows and frames:
            count = self._follow(frames)
            frames, self._frames = frames[:count], frames[count:]
            self._follows = bool(self._frames) or self._tracks != self._announced
        return frames

    def clear(self) -> None:
        """Forget what waits."""
        self._frames.clear()

    def _follow(self, frames: list[Frame]) -> int:
        """Set ``tracks`` to those of the first frames, and return how many frames have these."""
        present: dict[int, Track] = {}
        count = 0
        for frame in frames:
            if present.setdefault(frame.track.id, frame.track) is not frame.track:
                break
            count += 1
        before = {track.id: track for track in self._tracks}
        self._tracks = tuple(
            present.get(track.id) or before.get(track.id, track) for track in self._announced
        )
        return count
