"""The packager of one rendition: the frames of its video and audio become segments with the same numbers.

Pure: time comes with the frames. Rules:

- Video decides where segments begin: at the first key frame at or after the target, at the first key frame
  of a new source, and where a decoder configuration or the set of tracks changes. The last is a new
  *generation*: exactly one discontinuity, at the same media sequence number in all playlists.
- Audio follows: its segment ends at the frame nearest to video's cut. For that, audio waits until video has
  come as far; while video is silent it waits ``SILENCE_90K`` and then goes on alone, cut by time.
- A track that fell silent does not hold the other up. Sound that is ``SILENCE_90K`` behind is replaced by
  coded silence, since browsers stop the picture where no sound is buffered; sound that then turns out to be
  late, not silent, is waited for longer from there on. Where the codec allows no silence, and for video, the
  segment is closed with what it has, and one for which nothing came is a gap in the playlist (EXT-X-GAP).
  Video comes back with a key frame.
"""

from collections import deque
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager import cadence
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import Generation, Opening, PackagerEvent, SegmentReady
from openstreamer.packager.track import AudioPackager, TrackPackager, VideoPackager

SILENCE_90K: Final = 2 * 90_000  # a track this far behind the other one is silent, not late
START_WITHOUT_VIDEO_90K: Final = 2 * SILENCE_90K  # how long the first key frame is waited for
LATEST_AUDIO_90K: Final = 10 * 90_000  # audio that arrives later than this beside video is not waited for
LONGEST_SEGMENT_90K: Final = 60 * 90_000  # without a key frame a segment is cut here: memory is bounded
MAX_WAITING_AUDIO_FRAMES: Final = 2048  # 40 s of AAC; the oldest is dropped
_EARLY = 0.05  # of the segment target: a key frame this little before it is at it
_DELTAS_TO_LEARN = 3


class LivePackager:
    """Frames of one rendition in, parts and segments of its tracks out.

    ``first_msn`` and ``discontinuity_sequence`` are the numbers to begin with; see
    :func:`openstreamer.packager.options.first_media_sequence`.
    """

    def __init__(self, options: PackagerOptions, first_msn: int, discontinuity_sequence: int = 0) -> None:
        self.options = options
        self.video: VideoPackager | None = None
        self.audio: AudioPackager | None = None
        self.generation: Generation | None = None
        self.target_duration_s = max(1, round(options.segment_target_s + 0.49))
        self.dropped_frames = 0
        self._events: list[PackagerEvent] = []
        self._next_msn = first_msn
        self._discontinuity_sequence = discontinuity_sequence
        # The present segment is due to end this long after its start; the first one may be short.
        first_target_s = min(options.first_segment_target_s, options.segment_target_s)
        self._due_90k = round(first_target_s * 90_000)
        self._early_90k = round(options.segment_target_s * _EARLY * 90_000)
        # What the source announces now.
        self._tracks: tuple[Track, ...] | None = None
        self._video_track: Track | None = None
        self._audio_track: Track | None = None
        self._newest_epoch = -1
        # Wall clock of the present epoch: Unix milliseconds = offset + pts / 90.
        self._clock_offset_ms: int | None = None
        # The segment that grows.
        self._opening: Opening | None = None
        self._video_flows = False  # its frames can be decoded: there was a key frame
        self._video_silent = False  # audio went on without it
        self._video_now_90k: int | None = None
        self._deltas: list[int] | None = None  # while PART-TARGET of the generation is being learned
        self._patience_90k = SILENCE_90K  # how far behind video audio may be before it counts as silent
        self._audio_silent = False
        # Audio that waits for video to come as far, and cuts that audio has not come to.
        self._waiting: deque[Frame] = deque()
        self._cuts: deque[Opening] = deque()

    # -- what can be seen ----------------------------------------------------------------------------

    @property
    def tracks(self) -> list[TrackPackager]:
        """The packagers of the tracks there are, video first."""
        return [track for track in (self.video, self.audio) if track is not None]

    @property
    def playing(self) -> list[TrackPackager]:
        """Of these, what a player can start with: at least one complete segment, and not gaps alone."""
        return [track for track in self.tracks if track.window.closed and track.window.has_media]

    @property
    def settled(self) -> bool:
        """Whether every track of the present generation has shown itself: a complete segment, or a gap."""
        generation = self.generation
        if generation is None or generation.part_target_s is None:
            return False
        expected = [
            self.track(track.kind) for track in (generation.video, generation.audio) if track is not None
        ]
        return all(track is not None and track.window.closed for track in expected)

    @property
    def part_target_s(self) -> float | None:
        """PART-TARGET of all playlists; None before the first frames."""
        return self.generation.part_target_s if self.generation is not None else None

    # -- input ---------------------------------------------------------------------------------------

    def push(
        self, frames: Sequence[Frame], tracks: tuple[Track, ...], now_wall_ms: int
    ) -> list[PackagerEvent]:
        """Take frames in decoding order; ``tracks`` is all that their source has, ``now_wall_ms`` the Unix
        time at which the newest of them arrived. Returns what became ready."""
        if not frames:
            return []
        if tracks is not self._tracks:
            self._select(tracks)
        if frames[-1].epoch != self._newest_epoch:
            self._anchor(frames, now_wall_ms)
        if self._video_track is None:
            self._push_audio_only(frames)
        else:
            self._push(frames, self._video_track.id, self._audio_track.id if self._audio_track else None)
        return self._take_events()

    def flush(self) -> list[PackagerEvent]:
        """The source ended: publish what is held back. The next frames begin a new segment."""
        opening = self._opening
        if opening is None:
            return []
        self._release_audio(None)
        self._apply_cuts()
        until_90k = opening.pts_90k if self._video_now_90k is None else self._video_now_90k
        for track in (self.video, self.audio):
            if track is not None and track.segment is not None:
                track.end(until_90k)
        self._opening = None
        self._video_flows = False
        self._waiting.clear()
        return self._take_events()

    def _take_events(self) -> list[PackagerEvent]:
        events = list(self._events)
        self._events.clear()
        for event in events:
            if isinstance(event, SegmentReady):
                # EXTINF rounded to an integer must not exceed it (section 4.4.3.1); it never shrinks.
                self.target_duration_s = max(self.target_duration_s, int(event.segment.duration_s + 0.5))
        return events

    def _select(self, tracks: tuple[Track, ...]) -> None:
        """One video and one audio track: the first of each."""
        self._tracks = tracks
        self._video_track = next((track for track in tracks if track.is_video), None)
        self._audio_track = next((track for track in tracks if track.kind is TrackKind.AUDIO), None)
        if self._video_track is None:
            self._release_audio(None)

    def _anchor(self, frames: Sequence[Frame], now_wall_ms: int) -> None:
        """A new epoch: its media time is tied to the wall clock anew. PROGRAM-DATE-TIME never falls."""
        epoch = self._newest_epoch = frames[-1].epoch
        newest_90k = max(frame.pts_90k for frame in frames if frame.epoch == epoch)
        offset_ms = now_wall_ms - newest_90k // 90
        known = self._clock_offset_ms
        self._clock_offset_ms = offset_ms if known is None else max(known, offset_ms)

    # -- video leads ---------------------------------------------------------------------------------

    def _push(self, frames: Sequence[Frame], video_id: int, audio_id: int | None) -> None:
        waiting = self._waiting
        for frame in frames:
            track_id = frame.track.id
            if track_id == video_id:
                self._take_video(frame)
            elif track_id == audio_id:
                waiting.append(frame)
                self._audio_silent = False
            else:
                self.dropped_frames += 1
        if len(waiting) > MAX_WAITING_AUDIO_FRAMES:
            self._drop_waiting(len(waiting) - MAX_WAITING_AUDIO_FRAMES)
        if waiting or self._cuts or self._audio_silent:
            self._advance_audio()

    def _take_video(self, frame: Frame) -> None:
        if frame.key:
            if self._begins_segment(frame):
                self._cut_at_video(frame)
        elif not self._video_flows or not self._decodable(frame):
            self.dropped_frames += 1
            return
        video = self.video
        assert video is not None
        if self._deltas is not None:
            self._learn_from_video(video, frame.dts_90k)
        video.add(frame)
        self._video_now_90k = frame.dts_90k

    def _decodable(self, frame: Frame) -> bool:
        """Whether a frame that is no key frame belongs to what is being packaged. An endless segment is
        cut here, since memory must be bounded."""
        assert self.video is not None
        track = frame.track
        if track is not self.video.track:
            if not _same(track, self.video.track):
                self._video_flows = False  # its key frame is missing
                return False
            self.video.track = track
        opening = self._opening
        if opening is not None and frame.pts_90k - opening.pts_90k > LONGEST_SEGMENT_90K:
            self._cut_at_video(frame)
        return True

    def _begins_segment(self, frame: Frame) -> bool:
        opening = self._opening
        if opening is None or not self._video_flows or frame.epoch != opening.epoch:
            return True
        if frame.pts_90k - opening.pts_90k >= self._due_90k - self._early_90k:
            return True
        return self._changes(frame.track, self._audio_beside(frame))

    def _cut_at_video(self, frame: Frame) -> None:
        if self._video_silent:
            self._video_silent = False
            self._go_on_without_video(frame.pts_90k)
        opening = self._open(frame.pts_90k, frame.epoch, frame.track, self._audio_beside(frame))
        if self.video is None:
            self.video = VideoPackager(self.options, self._events)
        elif self.video.segment is not None:
            self.video.end(frame.pts_90k, frame.dts_90k)
        self.video.begin(opening)
        self._video_flows = True
        self._cuts.append(opening)

    def _audio_beside(self, frame: Frame) -> Track | None:
        """The audio track that goes with a video frame: of the audio that waits, if it is of the same
        epoch; else what the source announces, if that is about this epoch; else what there was."""
        if self._waiting and self._waiting[-1].epoch == frame.epoch:
            return self._waiting[-1].track
        if frame.epoch == self._newest_epoch or self.generation is None:
            return self._audio_track
        return self.generation.audio

    # -- generations and openings --------------------------------------------------------------------

    def _changes(self, video: Track | None, audio: Track | None) -> bool:
        known = self.generation
        if known is None:
            return True
        return not (_same(video, known.video) and _same(audio, known.audio))

    def _open(self, pts_90k: int, epoch: int, video: Track | None, audio: Track | None) -> Opening:
        """Decide on the next segment."""
        known, before = self.generation, self._opening
        discontinuity = known is not None and self._changes(video, audio)
        self._discontinuity_sequence += discontinuity
        if known is None or discontinuity or before is None or before.epoch != epoch:
            # PART-TARGET is learned anew, and the old one kept if the new frames allow; see _learned.
            self.generation = Generation(video, audio, self.part_target_s)
            self._deltas = []
        assert self.generation is not None
        assert self._clock_offset_ms is not None
        opening = Opening(
            msn=self._next_msn,
            pts_90k=pts_90k,
            epoch=epoch,
            generation=self.generation,
            discontinuity=discontinuity,
            discontinuity_sequence=self._discontinuity_sequence,
            program_date_time_ms=self._clock_offset_ms + pts_90k // 90,
        )
        if before is not None:
            self._due_90k = round(self.options.segment_target_s * 90_000)
        self._next_msn += 1
        self._opening = opening
        return opening

    def _learn_from_video(self, video: VideoPackager, dts_90k: int) -> None:
        """Collect the first distances of a generation's frames until PART-TARGET is known. Before the frame
        is added, since it may have to begin the second part."""
        deltas = self._deltas
        assert deltas is not None
        assert self.generation is not None
        assert self.generation.video is not None
        distance = dts_90k - video.last_decode_90k
        if not video.collects or distance <= 0:
            return
        deltas.append(distance)
        next_end_s = (sum(deltas) + deltas[-1]) / 90_000
        if len(deltas) < _DELTAS_TO_LEARN and next_end_s <= self.options.part_target_s:
            return
        rate = self.generation.video.video.frame_rate
        frame_duration_s = cadence.frame_duration_s(deltas, rate)
        self.generation.frame_rate = 1 / frame_duration_s
        self._learned(frame_duration_s)

    def _learned(self, frame_duration_s: Fraction) -> None:
        generation = self.generation
        assert generation is not None
        self._deltas = None
        known = generation.part_target_s
        if known is None or not cadence.fits(known, frame_duration_s):
            generation.part_target_s = cadence.part_target_s(frame_duration_s, self.options.part_target_s)
            for track in (self.video, self.audio):
                if track is not None:
                    track.retarget(generation)

    # -- audio follows -------------------------------------------------------------------------------

    def _advance_audio(self) -> None:
        waiting = self._waiting
        if waiting:
            newest = waiting[-1].pts_90k
            if self._video_now_90k is None:
                self._video_now_90k = waiting[0].pts_90k + START_WITHOUT_VIDEO_90K - SILENCE_90K
            if newest - self._video_now_90k > SILENCE_90K:
                self._video_silent = True
                self._go_on_without_video(newest - SILENCE_90K)
            else:
                self._release_audio(self._video_now_90k)
        else:
            self._fill_with_silence()
        if self._cuts:
            self._force_cuts()

    def _fill_with_silence(self) -> None:
        """Nothing of the audio waits: when it is too far behind, coded silence takes its place."""
        audio, now = self.audio, self._video_now_90k
        if audio is None or audio.segment is None or now is None or self._opening is None:
            return
        if self._has_audio and not self._audio_silent and now - audio.end_90k <= self._patience_90k:
            return
        self._audio_silent = True
        while (end_90k := audio.end_90k) < now:
            frame = audio.silence()
            if frame is None:
                return
            self._take_audio(frame)
            if audio.end_90k <= end_90k:
                return

    @property
    def _has_audio(self) -> bool:
        """Whether the present source has audio. If it has none and the one before had, viewers go on with
        silence: their players have a buffer for sound, and the next source may fill it again."""
        return self.generation is not None and self.generation.audio is not None

    def _force_cuts(self) -> None:
        """Audio that is silent, or is not there any more, does not hold the playlist up."""
        now = self._video_now_90k
        if self._cuts[-1].generation.audio is None:
            self._apply_cuts()
        while self._cuts and now is not None and now - self._cuts[0].pts_90k > self._patience_90k:
            self._apply_cut(self._cuts.popleft())

    def _release_audio(self, until_90k: int | None) -> None:
        """Package the audio that video has caught up with."""
        waiting = self._waiting
        while waiting:
            frame = waiting[0]
            if until_90k is not None and (frame.pts_90k > until_90k or self._is_early(frame)):
                return
            waiting.popleft()
            self._take_audio(frame)

    def _is_early(self, frame: Frame) -> bool:
        """Whether a frame has a configuration that only a coming segment can carry."""
        track = frame.track
        audio = self.audio
        if audio is not None and _same(track, audio.track):
            return False
        if any(_same(track, cut.generation.audio) for cut in self._cuts):
            return False
        return self.generation is None or frame.epoch >= self._segment_epoch(audio)

    def _segment_epoch(self, audio: AudioPackager | None) -> int:
        segment = audio.segment if audio is not None else None
        return segment.opening.epoch if segment is not None else -1

    def _take_audio(self, frame: Frame) -> None:
        cuts = self._cuts
        if cuts:
            half_90k = self._half_frame_90k(frame.track)
            while cuts and frame.pts_90k + half_90k >= cuts[0].pts_90k:
                self._apply_cut(cuts.popleft(), frame.pts_90k)
        audio = self.audio
        if audio is None or audio.segment is None or not _same(frame.track, audio.track):
            self.dropped_frames += 1
            return
        if frame.pts_90k < audio.silence_until_90k:
            self._be_patient(frame)
        audio.add(frame)
        if self._deltas is not None and self.generation is not None and not self._video_flows:
            self._learn_from_audio(frame)

    def _be_patient(self, frame: Frame) -> None:
        """What was taken for silent is only late."""
        if self._video_now_90k is not None:
            late_90k = self._video_now_90k - frame.pts_90k + SILENCE_90K // 2
            self._patience_90k = min(max(self._patience_90k, late_90k), LATEST_AUDIO_90K)

    def _half_frame_90k(self, track: Track) -> int:
        config = track.audio
        return config.samples_per_frame * 45_000 // config.timescale

    def _apply_cuts(self) -> None:
        while self._cuts:
            self._apply_cut(self._cuts.popleft())

    def _apply_cut(self, opening: Opening, next_90k: int | None = None) -> None:
        """Audio's segment ends, and the one of ``opening`` begins; ``next_90k`` is its first frame's time."""
        audio = self.audio
        if audio is None:
            if opening.generation.audio is None:
                return
            audio = self.audio = AudioPackager(self.options, self._events)
        elif audio.segment is not None:
            audio.end(opening.pts_90k, next_90k)
        audio.begin(opening)
        if opening.generation.audio is None and not audio.window.has_media:
            self.audio = None

    def _drop_waiting(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()
        self.dropped_frames += count

    # -- audio alone ---------------------------------------------------------------------------------

    def _go_on_without_video(self, until_90k: int) -> None:
        """Video is silent: audio is packaged up to ``until_90k`` and cut by time."""
        self._apply_cuts()
        waiting = self._waiting
        while waiting and waiting[0].pts_90k <= until_90k:
            frame = waiting.popleft()
            if self._is_due(frame):
                self._cut_at_audio(frame, self._video_track)
            self._take_audio(frame)

    def _push_audio_only(self, frames: Sequence[Frame]) -> None:
        audio_id = self._audio_track.id if self._audio_track is not None else None
        for frame in frames:
            if frame.track.id != audio_id:
                self.dropped_frames += 1
                continue
            if self._audio_begins_segment(frame):
                self._cut_at_audio(frame, None)
            self._take_audio(frame)

    def _audio_begins_segment(self, frame: Frame) -> bool:
        opening = self._opening
        if opening is None or frame.epoch != opening.epoch:
            return True
        return self._is_due(frame) or self._changes(None, frame.track)

    def _is_due(self, frame: Frame) -> bool:
        """Whether an audio frame is the one nearest to where a segment of the target's length ends."""
        opening = self._opening
        half_90k = self._half_frame_90k(frame.track)
        return opening is None or frame.pts_90k + half_90k >= opening.pts_90k + self._due_90k

    def _cut_at_audio(self, frame: Frame, video: Track | None) -> None:
        self._apply_cuts()
        opening = self._open(frame.pts_90k, frame.epoch, video, frame.track)
        self._video_flows = False
        if self.video is None and video is not None:
            self.video = VideoPackager(self.options, self._events)
        if self.video is not None:
            if self.video.segment is not None:
                self.video.end(opening.pts_90k)
            self.video.begin(opening)
            if video is None and not self.video.window.has_media:
                self.video = None
        self._apply_cut(opening, frame.pts_90k)

    def _learn_from_audio(self, frame: Frame) -> None:
        config = frame.track.audio
        self._learned(Fraction(config.samples_per_frame, config.timescale))

    def track(self, kind: TrackKind) -> TrackPackager | None:
        """The packager of a kind of track, if there is one."""
        return self.video if kind is TrackKind.VIDEO else self.audio


def _same(one: Track | None, other: Track | None) -> bool:
    """Whether two tracks need the same initialisation segment; the number a source gave them is no matter."""
    if one is other:
        return True
    return (
        one is not None
        and other is not None
        and one.config == other.config
        and one.language == other.language
    )
