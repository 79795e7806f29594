"""The samples of a movie → frames that keep the promises of :class:`openstreamer.wire.demuxer.Demuxer`.

Shared by the two ways to read a file: fragments as they come, and the sample table of a whole file.
"""

from collections import deque
from dataclasses import dataclass, replace
from operator import is_not

from openstreamer.media.clock import TICKS_PER_SECOND, rescale
from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.movie import Movie, MovieTrack, StoredSample
from openstreamer.wire.mp4.sample_entry_reader import SampleEntry
from openstreamer.wire.mp4.sample_frames import SampleFrames

VIDEO_TRACK_ID = 0
FIRST_AUDIO_TRACK_ID = 1
MAX_AUDIO_TRACKS = 16  # languages of one film

_LARGEST_STEP_BACK_90K = TICKS_PER_SECOND  # more is a clock that began anew, and its times are moved to go on
_RESTART_STEP_90K = 1_800  # what is put between the last old and the first new time: 20 ms
_UNSURE_90K = TICKS_PER_SECOND  # of media, for sound that may be HE-AAC and does not come
_LAST_TIME_90K = 1 << 62  # three million years; beyond it times do not fit where frames are stored


@dataclass(frozen=True, slots=True)
class OpeningLimits:
    """How much is held back until all tracks are known and video begins."""

    max_held_frames: int = 4_096  # a minute of sound: fragments of audio may come before those of video
    max_held_bytes: int = 16 << 20


class _Selected:
    """A track that is carried."""

    __slots__ = ("entry", "frames", "last_dts_90k", "movie_track", "offset_90k", "started", "track_id")

    def __init__(self, track_id: int, movie_track: MovieTrack, statistics: DemuxStatistics) -> None:
        self.track_id = track_id
        self.movie_track = movie_track
        self.frames = SampleFrames(track_id, movie_track.language, _first_entry(movie_track), statistics)
        self.entry = 0  # in use; 0: not said yet
        self.last_dts_90k: int | None = None
        self.offset_90k = 0
        self.started = False  # behind the beginning of video

    def follow(self, movie_track: MovieTrack) -> None:
        """A new ``moov`` describes the track, perhaps with the same words."""
        entries = self.movie_track.entries
        if movie_track.entries == entries:
            self.movie_track = replace(movie_track, entries=entries)
            return
        self.movie_track = movie_track
        self.entry = 0
        self.frames.select(_first_entry(movie_track))

    def select_entry(self, index: int) -> None:
        """What follows is described by the sample entry ``index``, counted from 1."""
        entries = self.movie_track.entries
        if not 1 <= index <= len(entries):
            raise RemoteProtocolError(f"MP4: sample entry {index} of {len(entries)}")
        if refusal := entries[index - 1].refusal:
            raise SourceRejected(refusal)
        self.frames.select(entries[index - 1])
        self.entry = index


class MovieFrames:
    """Feed ``use`` with every movie and ``sample`` with its samples.

    The first video track and all audio tracks are carried. Nothing comes out before all of them are known
    and video has begun; sound from before the picture is left out.
    """

    def __init__(self, statistics: DemuxStatistics, limits: OpeningLimits | None = None) -> None:
        self.statistics = statistics
        self._limits = limits or OpeningLimits()
        self._selected: dict[int, _Selected] = {}
        self._tracks: tuple[Track, ...] = ()
        self._held: deque[Frame] = deque()
        self._held_bytes = 0
        self._flowing = False
        self._start_90k: int | None = None  # of video
        self._with_video = False
        self._restart_offset_90k = 0
        self.left_out: str | None = None  # in words: sound that is not carried, beside a picture

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first."""
        return self._tracks

    def use(self, movie: Movie) -> None:
        """What follows belongs to ``movie``. Tracks that are described as before go on undisturbed.

        Raises:
            SourceRejected: its video cannot be carried, or there is none and its audio cannot.
        """
        video, refusal = _choose(movie, is_video=True)
        if refusal:
            raise SourceRejected(refusal)
        audio, refusal = _choose(movie, is_video=False)
        if not video and not audio:
            raise SourceRejected(refusal or "MP4: there is neither video nor audio in it")
        self.left_out = refusal or None
        chosen = dict(enumerate(audio[:MAX_AUDIO_TRACKS], FIRST_AUDIO_TRACK_ID))
        if video:
            chosen = {VIDEO_TRACK_ID: video[0]} | chosen
        unread = sum(bool(track.refusal) for track in movie.tracks)
        self.statistics.unknown_streams += unread
        before = {each.track_id: each for each in self._selected.values()}
        self._selected = {
            track.id: self._select(track_id, track, before.get(track_id))
            for track_id, track in chosen.items()
        }
        self._with_video = VIDEO_TRACK_ID in chosen
        self._note_tracks()

    def is_selected(self, track_id: int) -> bool:
        """Whether samples of this track are wanted."""
        return track_id in self._selected

    def decode_time_90k(self, sample: StoredSample) -> int:
        """When a sample of a selected track is decoded, after the beginning of the movie."""
        movie_track = self._selected[sample.track_id].movie_track
        time = sample.time - movie_track.media_time
        return rescale(time, movie_track.timescale_hz, TICKS_PER_SECOND) + movie_track.delay_90k

    def sample(self, sample: StoredSample, payload: bytes) -> list[Frame]:
        """The frames that go out with a sample of a selected track.

        Raises:
            SourceRejected: its sample entry cannot be carried.
            RemoteProtocolError: its sample entry does not exist, or its time is beyond all bounds.
        """
        selected = self._selected[sample.track_id]
        if selected.entry != sample.entry:
            selected.select_entry(sample.entry)
        if not payload:
            return []
        movie_track = selected.movie_track
        hz = movie_track.timescale_hz
        time = sample.time - movie_track.media_time
        delay_90k = movie_track.delay_90k
        dts_90k = rescale(time, hz, TICKS_PER_SECOND) + delay_90k
        if not -_LAST_TIME_90K < dts_90k < _LAST_TIME_90K:
            raise RemoteProtocolError(f"MP4: a decoding time of {dts_90k // TICKS_PER_SECOND} s")
        frames = selected.frames
        known = frames.track
        if movie_track.is_video:
            pts_90k = dts_90k
            if offset := sample.composition_offset:
                pts_90k = rescale(time + offset, hz, TICKS_PER_SECOND) + delay_90k
            placed_90k = dts_90k + self._forward(selected, dts_90k)
            shown_90k = pts_90k + selected.offset_90k
            if placed_90k != dts_90k + selected.offset_90k:  # only its decoding was too early
                shown_90k = max(shown_90k, placed_90k)
            frame = frames.video(shown_90k, placed_90k, sample.sync, payload)
            made = [] if frame is None else [frame]
        else:
            moved_90k = self._forward(selected, dts_90k)
            made = frames.audio(dts_90k + moved_90k, payload)
        if frames.track is not known:
            self._note_tracks()
        out = self._deliver_all(selected, made)
        if not self._flowing and self._held and self._held[-1].dts_90k - self._held[0].dts_90k > _UNSURE_90K:
            out += self._settle()
        return out

    def end(self) -> list[Frame]:
        """Nothing follows: what is held is released with the tracks there are."""
        frames = self._settle()
        return frames if self._flowing else frames + self._release()

    def _settle(self) -> list[Frame]:
        """Wait no longer for frames that tell what their track is, where the sample entry says enough."""
        out: list[Frame] = []
        for selected in self._selected.values():
            made = selected.frames.settle()
            self._note_tracks()
            out += self._deliver_all(selected, made)
        return out

    def _deliver_all(self, selected: _Selected, made: list[Frame]) -> list[Frame]:
        if len(made) == 1:  # nearly always
            return self._deliver(selected, made[0])
        return [ready for frame in made for ready in self._deliver(selected, frame)]

    def _select(self, track_id: int, movie_track: MovieTrack, before: _Selected | None) -> _Selected:
        if before is None:
            return _Selected(track_id, movie_track, self.statistics)
        before.follow(movie_track)
        return before

    def _note_tracks(self) -> None:
        tracks = (each.frames.track for each in self._selected.values())
        found = tuple(track for track in tracks if track is not None)
        if len(found) != len(self._tracks) or any(map(is_not, found, self._tracks)):
            self._tracks = found

    def _forward(self, selected: _Selected, dts_90k: int) -> int:
        """How far to move a sample so that DTS do not fall in its track.

        A small step back is held at the last time. A large one is a clock that began anew: all tracks are
        moved by the same amount, each when it steps back itself.
        """
        last_90k = selected.last_dts_90k
        moved_90k = selected.offset_90k
        if last_90k is not None and dts_90k + moved_90k < last_90k:
            if last_90k - dts_90k - moved_90k <= _LARGEST_STEP_BACK_90K:
                selected.last_dts_90k = last_90k
                return last_90k - dts_90k
            if dts_90k + self._restart_offset_90k < last_90k - _LARGEST_STEP_BACK_90K:
                self._restart_offset_90k = last_90k + _RESTART_STEP_90K - dts_90k
            selected.offset_90k = self._restart_offset_90k
            moved_90k = max(selected.offset_90k, last_90k - dts_90k)
        selected.last_dts_90k = dts_90k + moved_90k
        return moved_90k

    def _deliver(self, selected: _Selected, frame: Frame) -> list[Frame]:
        if self._flowing:
            if not self._with_video:
                frame.key = True  # without video, every audio frame is a random access point
            elif not selected.started and not frame.track.is_video:
                if self._start_90k is not None and frame.dts_90k < self._start_90k:
                    self.statistics.before_start_frames += 1
                    return []
                selected.started = True
            return [frame]
        if frame.track.is_video and self._start_90k is None:
            self._start_90k = frame.dts_90k
        self._held.append(frame)
        self._held_bytes += len(frame.payload)
        return self._release() if self._is_ready() else []

    def _is_ready(self) -> bool:
        known = len(self._tracks) == len(self._selected)
        begun = self._start_90k is not None or not self._with_video
        if known and begun:
            return True
        limits = self._limits
        if len(self._held) < limits.max_held_frames and self._held_bytes < limits.max_held_bytes:
            return False
        if not begun:  # sound without end and no picture: it would be left out anyway
            self.statistics.drop(len(self._held))
            self._held.clear()
            self._held_bytes = 0
        return begun

    def _release(self) -> list[Frame]:
        held, self._held, self._held_bytes = self._held, deque(), 0
        self._flowing = True
        frames = self._from_the_picture_on(held)
        self.statistics.started = True
        return frames

    def _from_the_picture_on(self, held: deque[Frame]) -> list[Frame]:
        start_90k = self._start_90k
        if start_90k is None:
            self._with_video = False
            self._tracks = tuple(track for track in self._tracks if not track.is_video)
            for frame in held:
                frame.key = True
            return list(held)
        frames = [frame for frame in held if frame.track.is_video or frame.dts_90k >= start_90k]
        self.statistics.drop(len(held) - len(frames))
        return frames


def _first_entry(movie_track: MovieTrack) -> SampleEntry:
    return next(entry for entry in movie_track.entries if not entry.refusal)


def _choose(movie: Movie, *, is_video: bool) -> tuple[list[MovieTrack], str]:
    """The tracks of this kind that can be carried, the enabled ones first: writers disable further languages.
    If there are some of the kind and none can be carried, why.
    """
    tracks = [track for track in movie.tracks if track.is_video is is_video]
    readable = [track for track in tracks if not track.refusal]
    refusal = tracks[0].refusal if tracks and not readable else ""
    return sorted(readable, key=lambda track: not track.enabled), refusal
