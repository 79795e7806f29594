"""The packager of one rendition: the frames of its video and audio become segments with the same numbers.

Pure: time comes with the frames. Rules:

- Video decides where segments begin: at the first key frame at or after the target, at the first key frame
  of a new source, and where a decoder configuration or the set of tracks changes. Without key frames it is at
  an intra refresh, or by time; such a segment is not called independent. A change of configuration is a new
  *generation*: exactly one discontinuity, at the same media sequence number in all playlists.
- Audio follows, see :mod:`openstreamer.packager.sound`. While video is silent it waits ``SILENCE_90K`` and
  then goes on alone, cut by time.
- A track that fell silent does not hold the other up: the segment is closed with what it has, and one for
  which nothing came is a gap in the playlist (EXT-X-GAP). Video comes back with a key frame.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track, TrackKind
from openstreamer.packager.cadence import SILENCE_90K, VideoPace
from openstreamer.packager.key_frames import KeyFrames
from openstreamer.packager.openings import Openings, same_media
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import Generation, PackagerEvent, SegmentReady
from openstreamer.packager.sound import Sound, half_frame_90k
from openstreamer.packager.target import TargetDuration
from openstreamer.packager.track import AudioPackager, TrackPackager, VideoPackager
from openstreamer.packager.window import LEAST_LISTED_TARGETS

START_WITHOUT_VIDEO_90K: Final = 2 * SILENCE_90K  # how long the first key frame is waited for


class LivePackager:
    """Frames of one rendition in, parts and segments of its tracks out.

    ``first_msn`` and ``discontinuity_sequence`` are the numbers to begin with; see
    :func:`openstreamer.packager.options.first_media_sequence`.
    """

    def __init__(self, options: PackagerOptions, first_msn: int, discontinuity_sequence: int = 0) -> None:
        self.options = options
        self.video: VideoPackager | None = None
        self._dropped_frames = 0
        self._events: list[PackagerEvent] = []
        self._openings = Openings(options, first_msn, discontinuity_sequence)
        self._target = TargetDuration(options.segment_target_s, self._openings.early_90k)
        # What the source announces now.
        self._tracks: tuple[Track, ...] | None = None
        self._video_track: Track | None = None
        self._audio_track: Track | None = None
        self._video_flows = False  # its frames can be decoded: there was a key frame
        self._video_silent = False  # audio went on without it
        self._key_frames = KeyFrames()
        self._video_now_90k: int | None = None
        self._video_pace = VideoPace()
        self._sound = Sound(options, self._openings, self._events)

    # -- what can be seen ----------------------------------------------------------------------------

    @property
    def audio(self) -> AudioPackager | None:
        return self._sound.packager

    @property
    def dropped_frames(self) -> int:
        """Frames that are in no part, but for those that the tracks' packagers dropped."""
        return self._dropped_frames + self._sound.dropped_frames

    @property
    def generation(self) -> Generation | None:
        """What the present source consists of; None before the first frames."""
        return self._openings.generation

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
    def refreshes(self) -> bool:
        """Whether the encoder renews its picture bit by bit now (intra refresh) instead of by key frames."""
        return self._key_frames.refreshes

    @property
    def target_duration_s(self) -> int:
        """TARGETDURATION of all playlists."""
        return self._target.seconds

    @property
    def numbers_after(self) -> tuple[int, int]:
        """The media sequence number and the discontinuity sequence that another packager begins with when
        it goes on where this one stops: above all that was announced, and at a discontinuity."""
        return self._openings.next_msn, self._openings.discontinuity_sequence + 1

    @property
    def part_target_s(self) -> float | None:
        """PART-TARGET of all playlists; None before the first frames."""
        return self.generation.part_target_s if self.generation is not None else None

    @property
    def due_90k(self) -> int:
        """Nothing becomes ready before a frame of this decode time, a key frame or one of another source is
        pushed, so that it is enough to push the frames before it together with it. 0: any frame may be it."""
        if self._openings.learning or self._video_silent or self._sound.is_pending:
            return 0
        return min((track.part_due_90k for track in self.tracks), default=0)

    def adopt(self, options: PackagerOptions) -> None:
        """Go on with other options: lengths of segments and windows, from the next cut on. Numbers, media
        and who follows them stay. Bounds of what tracks hold are not changed by it."""
        self.options = options
        self._openings.adopt(options)
        self._sound.adopt(options)
        self._target.adopt(options.segment_target_s, self._openings.early_90k)
        self._list_enough()
        for track in self.tracks:
            track.window.adopt(options)

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
        if frames[-1].epoch != self._openings.newest_epoch:
            self._openings.anchor(frames, now_wall_ms)
        self._openings.observe(frames[-1], now_wall_ms)
        if self._video_track is None:
            self._push_audio_only(frames)
        else:
            self._push(frames, self._video_track.id, self._audio_track.id if self._audio_track else None)
        return self._take_events()

    def flush(self) -> list[PackagerEvent]:
        """The source ended: publish what is held back. The next frames begin a new segment."""
        opening = self._openings.current
        if opening is None:
            return []
        self._sound.release(None)
        self._sound.apply_cuts()
        ends = [track.end_90k for track in self.tracks if track.segment is not None]
        until_90k = max(opening.pts_90k, *ends)
        for track in self.tracks:
            if track.segment is not None:
                track.end(until_90k)
        self._openings.current = None
        self._video_flows = self._video_silent = False
        self._video_now_90k = None
        self._sound.waiting.clear()
        return self._take_events()

    def _take_events(self) -> list[PackagerEvent]:
        if not self._events:
            return []
        events = list(self._events)
        self._events.clear()
        for event in events:
            if isinstance(event, SegmentReady):
                self._target.segment_ready(event.segment.duration_s)
                self._list_enough()
        return events

    def _list_enough(self) -> None:
        for track in self.tracks:
            track.window.least_listed_s = LEAST_LISTED_TARGETS * self._target.seconds

    def _select(self, tracks: tuple[Track, ...]) -> None:
        """One video and one audio track: the first of each."""
        self._tracks = tracks
        self._video_track = next((track for track in tracks if track.is_video), None)
        self._audio_track = next((track for track in tracks if track.kind is TrackKind.AUDIO), None)
        if self._video_track is None:
            self._sound.release(None)

    # -- video leads ---------------------------------------------------------------------------------

    def _push(self, frames: Sequence[Frame], video_id: int, audio_id: int | None) -> None:
        sound = self._sound
        for frame in frames:
            track_id = frame.track.id
            if track_id == video_id:
                self._take_video(frame)
            elif track_id == audio_id:
                if frame.track is not sound.newest_track:
                    self._sound_changes(frame)
                sound.arrive(frame)
            else:
                self._dropped_frames += 1
        if sound.waiting or sound.is_pending:
            self._advance_audio()

    def _take_video(self, frame: Frame) -> None:
        self._video_pace.picture(frame.dts_90k)
        if frame.key:
            self._key_frames.key_frame(again=self._continues(frame))
            self._target.key_frame(frame, self._openings.current)
            if self._begins_segment(frame):
                self._cut_at_video(frame)
        elif not self._video_flows or not self._decodable(frame):
            self._dropped_frames += 1
            return
        video = self.video
        assert video is not None
        if self._openings.learning:
            self._learn_from_video(video, frame.dts_90k)
        video.add(frame)
        self._video_now_90k = frame.dts_90k

    def _continues(self, frame: Frame) -> bool:
        """Whether the picture before this one came from the same source."""
        opening = self._openings.current
        return self._video_flows and opening is not None and frame.epoch == opening.epoch

    def _decodable(self, frame: Frame) -> bool:
        """Whether a frame that is no key frame belongs to what is being packaged. An endless segment is
        cut here, since memory must be bounded; and one of an encoder that renews its picture bit by bit."""
        assert self.video is not None
        track = frame.track
        if track is not self.video.track:
            if not same_media(track, self.video.track):
                self._video_flows = False  # its key frame is missing
                return False
            self.video.track = track
        if self._is_endless(frame):
            self._key_frames.missing()
            self._cut_at_video(frame)
        elif self._is_due(frame) and self._key_frames.begins_segment(frame):
            self._cut_at_video(frame)
        return True

    def _is_due(self, frame: Frame) -> bool:
        """Whether the present segment is long enough to end at this picture."""
        return self._openings.is_due(frame.pts_90k, self._openings.early_90k)

    def _is_endless(self, frame: Frame) -> bool:
        """Whether the present segment has become too long, or too large while its clock stands still."""
        opening = self._openings.current
        if opening is None or self.video is None or self.video.segment is None:
            return False
        size_bytes = self.video.segment.size_bytes
        long = frame.pts_90k - opening.pts_90k > self._key_frames.longest_segment_90k
        return long or size_bytes >= self.options.max_segment_bytes

    def _begins_segment(self, frame: Frame) -> bool:
        """Whether a segment begins at this key frame."""
        growing = self._openings.current
        if growing is None or not self._continues(frame) or self._is_due(frame) or self._is_endless(frame):
            return True
        if self._target.ends_early(growing, frame.pts_90k):
            return True
        return self._openings.changes(frame.track, self._audio_beside(frame))

    def _cut_at_video(self, frame: Frame) -> None:
        if self._video_silent:
            self._video_silent = False
            self._go_on_without_video(frame.pts_90k)
        if self.video is not None and self._openings.learning:
            self._learn_from_video(self.video, frame.dts_90k, last=True)
        growing = self._openings.current
        if growing is not None:
            self._target.video_ends(growing, frame.pts_90k)
            self._list_enough()
        opening = self._openings.open(frame.pts_90k, frame.epoch, frame.track, self._audio_beside(frame))
        if self.video is None:
            self.video = VideoPackager(self.options, self._events)
        elif self.video.segment is not None:
            self.video.end(frame.pts_90k, frame.dts_90k)
        self.video.begin(opening)
        self._video_flows = True
        self._sound.cut(opening)

    def _audio_beside(self, frame: Frame) -> Track | None:
        """The audio track that goes with a video frame: of the audio that waits, if it is of the same
        epoch; else what the source announces, if that is about this epoch; else what there was."""
        waiting = self._sound.waiting
        if waiting and waiting[-1].epoch == frame.epoch:
            return waiting[-1].track
        if frame.epoch == self._openings.newest_epoch or self.generation is None:
            return self._audio_track
        return self.generation.audio

    def _learn_from_video(self, video: VideoPackager, dts_90k: int, *, last: bool = False) -> None:
        """Before a frame is added, since it may have to begin the second part."""
        distance = dts_90k - video.last_decode_90k
        if video.collects and distance > 0 and self._openings.learn_distance(distance, last=last):
            self._retarget()

    def _retarget(self) -> None:
        generation = self.generation
        assert generation is not None
        assert generation.part_target_s is not None
        self._target.parts_of(generation.part_target_s)
        for track in self.tracks:
            track.retarget(generation)
            track.window.forget_lines()

    def _sound_changes(self, frame: Frame) -> None:
        """Sound of another configuration right behind the start of a segment belongs to it, as far as nothing
        was published that says otherwise: sources announce what they read last, and where a picture and its
        sound begin together, the picture may come first. What is left over of the old sound is dropped. Any
        other change of the sound has to wait for the next key frame."""
        opening = self._openings.current
        growing = self.video.segment if self.video is not None else None
        if opening is None or growing is None or frame.epoch != opening.epoch:
            return
        if same_media(frame.track, opening.generation.audio) or not self._sound.may_change_at(opening):
            return
        if opening.discontinuity or not growing.parts:
            changed = growing.opening = self._openings.amend(frame.track)
            self._sound.change_at(changed)

    # -- audio follows, or goes on alone -------------------------------------------------------------

    def _advance_audio(self) -> None:
        waiting = self._sound.waiting
        now = self._video_now_90k
        if now is None:
            if not self._starts_without_video():
                return
            now = self._video_now_90k = waiting[0].pts_90k
        if waiting and waiting[-1].pts_90k - now > self._video_pace.patience_90k:
            self._video_silent = True
            self._go_on_without_video(waiting[-1].pts_90k - SILENCE_90K)
        else:
            self._sound.follow(now)

    def _starts_without_video(self) -> bool:
        """Whether the first key frame was waited for long enough. Until then all audio waits with it."""
        waiting = self._sound.waiting
        return bool(waiting) and waiting[-1].pts_90k - waiting[0].pts_90k > START_WITHOUT_VIDEO_90K

    def _go_on_without_video(self, until_90k: int) -> None:
        """Video is silent: audio is packaged up to ``until_90k`` and cut by time."""
        self._sound.apply_cuts()
        waiting = self._sound.waiting
        while waiting and waiting[0].pts_90k <= until_90k:
            frame = waiting.popleft()
            if self._openings.is_due(frame.pts_90k, half_frame_90k(frame.track)):
                self._cut_at_audio(frame, self._video_track)
            self._take_audio(frame)

    def _push_audio_only(self, frames: Sequence[Frame]) -> None:
        audio_id = self._audio_track.id if self._audio_track is not None else None
        self._video_now_90k = None
        for frame in frames:
            if frame.track.id != audio_id:
                self._dropped_frames += 1
                continue
            if self._audio_begins_segment(frame):
                self._cut_at_audio(frame, None)
            self._take_audio(frame)

    def _audio_begins_segment(self, frame: Frame) -> bool:
        """Whether audio alone begins a segment at this frame: the one nearest to the target."""
        openings = self._openings
        if openings.current is None or frame.epoch != openings.current.epoch:
            return True
        due = openings.is_due(frame.pts_90k, half_frame_90k(frame.track))
        return due or openings.changes(None, frame.track)

    def _cut_at_audio(self, frame: Frame, video: Track | None) -> None:
        self._sound.apply_cuts()
        opening = self._openings.open(frame.pts_90k, frame.epoch, video, frame.track)
        self._video_flows = False
        if self.video is None and video is not None:
            self.video = VideoPackager(self.options, self._events)
        if self.video is not None:
            if self.video.segment is not None:
                self.video.end(opening.pts_90k)
            self.video.begin(opening)
            if video is None and not self.video.window.has_media:
                self.video = None
        self._sound.begin(opening, frame.pts_90k)

    def _take_audio(self, frame: Frame) -> None:
        if self._sound.take(frame) and self._openings.learning and not self._video_flows:
            self._learn_from_audio(frame)

    def _learn_from_audio(self, frame: Frame) -> None:
        config = frame.track.audio
        if self._openings.learn_duration(Fraction(config.samples_per_frame, config.timescale)):
            self._retarget()

    def track(self, kind: TrackKind) -> TrackPackager | None:
        """The packager of a kind of track, if there is one."""
        return self.video if kind is TrackKind.VIDEO else self.audio
