"""The audio of a rendition, which follows its video.

Its segment ends at the frame nearest to video's cut; for that, audio waits until video has come as far. Sound
that is ``SILENCE_90K`` behind is replaced by coded silence, since browsers stop the picture where no sound is
buffered; sound that then turns out to be late, not silent, is waited for longer from there on. Where the
codec allows no silence, the segment is closed with what it has.
"""

from collections import deque
from typing import Final

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.packager.cadence import SILENCE_90K
from openstreamer.packager.openings import Openings, same_media
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import Opening, PackagerEvent
from openstreamer.packager.track import AudioPackager

LATEST_AUDIO_90K: Final = 10 * 90_000  # audio that arrives later than this beside video is not waited for
MAX_WAITING_AUDIO_FRAMES: Final = 2048  # 40 s of AAC; the oldest is dropped


class Sound:
    """``waiting`` are the frames that video has not come to. ``packager`` is None while there is no audio."""

    def __init__(self, options: PackagerOptions, openings: Openings, events: list[PackagerEvent]) -> None:
        self.packager: AudioPackager | None = None
        self.waiting: deque[Frame] = deque()
        self.newest_track: Track | None = None  # of the newest frame
        self.dropped_frames = 0
        self._options = options
        self._openings = openings
        self._events = events
        self._cuts: deque[Opening] = deque()  # that audio has not come to
        self._patience_90k = SILENCE_90K  # how far behind video audio may be before it counts as silent
        self._silent = False

    @property
    def is_pending(self) -> bool:
        """Whether audio owes a cut or sound: video's progress alone may make something ready."""
        return bool(self._cuts) or self._silent

    def adopt(self, options: PackagerOptions) -> None:
        """Other options, for audio that begins from now on."""
        self._options = options

    def arrive(self, frame: Frame) -> None:
        """A frame came; it waits."""
        self.waiting.append(frame)
        self.newest_track = frame.track
        self._silent = False
        if len(self.waiting) > MAX_WAITING_AUDIO_FRAMES:
            self.waiting.popleft()
            self.dropped_frames += 1

    def cut(self, opening: Opening) -> None:
        """Video begins a segment; so does audio, once it comes there."""
        self._cuts.append(opening)

    def may_change_at(self, opening: Opening) -> bool:
        """Whether nothing is known of the sound of ``opening``, the newest segment, but that it goes on as it
        was before."""
        audio = self.packager
        if audio is None:
            return True
        if self._cuts:
            return same_media(opening.generation.audio, audio.track)
        segment = audio.segment
        if segment is None or segment.parts:
            return False
        return segment.init is not None and segment.init.number < opening.msn

    def change_at(self, opening: Opening) -> None:
        """The newest segment begins with other sound than was decided."""
        if self._cuts:
            self._cuts[-1] = opening
        elif self.packager is not None:
            self.packager.begin_again(opening)
        else:
            self._cuts.append(opening)

    def follow(self, now_90k: int) -> None:
        """Video has come to ``now_90k``."""
        if self.waiting:
            self.release(now_90k)
            if self.waiting and self._is_early(self.waiting[0]):
                self._fill_with_silence(now_90k)
        elif self._falls_silent(now_90k):
            self._silent = True
            self._fill_with_silence(now_90k)
        if self._cuts:
            self._force_cuts(now_90k)

    def _falls_silent(self, now_90k: int) -> bool:
        """Whether audio of which nothing waits is too far behind to be waited for."""
        audio = self.packager
        if audio is None or audio.segment is None:
            return False
        return not self._is_expected or self._silent or now_90k - audio.end_90k > self._patience_90k

    def _fill_with_silence(self, now_90k: int) -> None:
        """Coded silence takes the place of what does not come, or cannot be carried before the next cut."""
        audio = self.packager
        if audio is None or audio.segment is None:
            return
        while (end_90k := audio.end_90k) < now_90k:
            frame = audio.silence()
            if frame is None:
                return
            self.take(frame)
            if audio.end_90k <= end_90k:
                return

    @property
    def _is_expected(self) -> bool:
        """Whether the present source has audio. If it has none and the one before had, viewers go on with
        silence: their players have a buffer for sound, and the next source may fill it again."""
        generation = self._openings.generation
        return generation is not None and generation.audio is not None

    def _force_cuts(self, now_90k: int) -> None:
        """Audio that is silent, or is not there any more, does not hold the playlist up."""
        if self._cuts[-1].generation.audio is None:
            self.apply_cuts()
        while self._cuts and now_90k - self._cuts[0].pts_90k > self._patience_90k:
            self.begin(self._cuts.popleft())

    def release(self, until_90k: int | None) -> None:
        """Package the audio that video has caught up with; all that waits, without ``until_90k``."""
        waiting = self.waiting
        while waiting:
            frame = waiting[0]
            if until_90k is not None:
                if frame.pts_90k > until_90k or self._is_early(frame):
                    return
                self._be_patient(frame, until_90k)
            waiting.popleft()
            self.take(frame)

    def _is_early(self, frame: Frame) -> bool:
        """Whether a frame has a configuration that only a coming segment can carry."""
        track = frame.track
        audio = self.packager
        if audio is not None and same_media(track, audio.track):
            return False
        if any(same_media(track, cut.generation.audio) for cut in self._cuts):
            return False
        growing = audio.segment if audio is not None else None
        return growing is None or frame.epoch >= growing.opening.epoch

    def _be_patient(self, frame: Frame, now_90k: int) -> None:
        """A frame whose place silence took: what was taken for silent is only late."""
        audio = self.packager
        if audio is None or not same_media(frame.track, audio.track):
            return
        if frame.pts_90k < audio.silence_until_90k:
            late_90k = now_90k - frame.pts_90k + SILENCE_90K // 2
            self._patience_90k = min(max(self._patience_90k, late_90k), LATEST_AUDIO_90K)

    def take(self, frame: Frame) -> bool:
        """Package a frame; False when no segment can carry it."""
        cuts = self._cuts
        if cuts:
            half_90k = half_frame_90k(frame.track)
            while cuts and frame.pts_90k + half_90k >= cuts[0].pts_90k:
                self.begin(cuts.popleft(), frame.pts_90k)
        audio = self.packager
        if audio is None or audio.segment is None or not same_media(frame.track, audio.track):
            self.dropped_frames += 1
            return False
        audio.add(frame)
        return True

    def apply_cuts(self) -> None:
        """Audio begins every segment that video has begun."""
        while self._cuts:
            self.begin(self._cuts.popleft())

    def begin(self, opening: Opening, next_90k: int | None = None) -> None:
        """Audio's segment ends, and the one of ``opening`` begins; ``next_90k`` is its first frame's time."""
        audio = self.packager
        if audio is None:
            if opening.generation.audio is None:
                return
            audio = self.packager = AudioPackager(self._options, self._events)
        elif audio.segment is not None:
            audio.end(opening.pts_90k, next_90k)
        audio.begin(opening)
        if opening.generation.audio is None and not audio.window.has_media:
            self.packager = None


def half_frame_90k(track: Track) -> int:
    """Half of what a frame of audio lasts."""
    config = track.audio
    return config.samples_per_frame * 45_000 // config.timescale
