"""The one continuous clock of a stream, whatever its sources do.

Sources deliver unwrapped 90 kHz timestamps of their own origin. The timeline adds one offset to all tracks of
a source, so that its audio/video offset stays, and chooses that offset anew whenever a source begins or its
clock jumps, so that the new frames continue where the old ones ended. Pure: no clock, no IO.
"""

from openstreamer.media.clock import FrameGrid, SampleClock
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track

JUMP_90K = 2 * 90_000  # a step over 2 s is a restarted clock, not a late frame (DESIGN 5)
SLOWEST_PACE_90K = 5 * 90_000  # unless a camera takes a picture that seldom; the packager's longest frame
APART_90K = 20 * 90_000  # tracks that begin farther apart are not on one clock, whatever their source says
DEFAULT_VIDEO_STEP_90K = 3_600  # 25 fps, until the first real step is known
LATEST_PICTURE_90K = 20 * 90_000  # after its decoding: 16 reordered pictures of a slow camera
LONGEST_VIDEO_STEP_90K = 45_000  # what one frame may claim as its duration at the end of a source


class _TrackClock:
    """What the timeline remembers of one track."""

    __slots__ = (
        "end_out",
        "grid",
        "key_out",
        "key_step",
        "last_in",
        "last_out",
        "offset",
        "pace_before",
        "pace_in",
        "samples",
        "step",
        "track",
    )

    def __init__(self, track: Track, offset: int) -> None:
        self.track = track
        self.offset = offset
        self.last_in: int | None = None  # None: no frame in this epoch yet
        self.last_out: int | None = None
        self.end_out = 0
        self.step = DEFAULT_VIDEO_STEP_90K
        # The newest two distances of frames in this epoch, on the source's clock; 0: none yet.
        self.pace_in = self.pace_before = 0
        # Of video, in this epoch: the newest key frame on the stream's clock, its distance to the one before.
        self.key_out: int | None = None
        self.key_step = 0
        self.grid: FrameGrid | None = None
        self.samples: SampleClock | None = None
        self.describe(track)

    def describe(self, track: Track) -> None:
        """Take over the frame rate or sample rate of a new decoder configuration."""
        self.track = track
        if track.is_video:
            self.grid = FrameGrid(track.video.frame_rate)
        else:
            self.samples = SampleClock(track.audio.timescale)

    def begin_epoch(self) -> None:
        """What comes next is on another clock, and may have another pace."""
        self.last_in = None
        self.pace_in = self.pace_before = 0
        self.key_out = None
        self.key_step = 0

    def key_frame(self, dts_out: int) -> None:
        """A picture at this time is a key frame."""
        if self.key_out is not None:
            self.key_step = dts_out - self.key_out
        self.key_out = dts_out

    def keeps_pace(self, step_90k: int) -> bool:
        """Whether a step that is long enough for a jump is only that of a slow camera: about as long as the
        one before it, or the first one there is."""
        if not self.track.is_video or not 0 < step_90k <= SLOWEST_PACE_90K:
            return False
        return not self.pace_in or 4 * step_90k <= 5 * self.pace_in


class Timeline:
    """Maps the frames of successive sources to one rising clock.

    ``start_90k`` is where the first frame lands: the stream's supervisor anchors it at Unix time, so that
    media time keeps rising over restarts of the server.
    """

    def __init__(self, start_90k: int) -> None:
        self.epoch = 0
        self.jumps = 0
        self.dropped_frames = 0
        self._end = start_90k
        self._offset: int | None = None
        self._tracks: dict[int, _TrackClock] = {}

    @property
    def end_90k(self) -> int:
        """Where the newest frame of all tracks ends."""
        return self._end

    def begin_epoch(self) -> int:
        """A source begins, or begins again: its first frame continues where the last one ended."""
        self.epoch += 1
        self._offset = None
        for clock in self._tracks.values():
            clock.begin_epoch()
        return self.epoch

    def usual_step_s(self, track_id: int) -> float | None:
        """How far apart the frames of a track of the present source are: the lesser of the last two
        distances, since one alone may be a pause. ``None`` after a single frame, 0 before it."""
        clock = self._tracks.get(track_id)
        if clock is None or clock.last_in is None:
            return 0.0
        if not clock.pace_in:
            return None
        return min(clock.pace_in, clock.pace_before or clock.pace_in) / 90_000

    def key_distance_s(self, track_id: int) -> float:
        """How far apart key frames of a video track are: the present source's last two, or what passed since
        its last one if that is longer."""
        clock = self._tracks.get(track_id)
        if clock is None or clock.key_out is None or clock.last_out is None:
            return 0.0
        return max(clock.key_step, clock.last_out - clock.key_out) / 90_000

    def map(self, frames: list[Frame]) -> list[Frame]:
        """Give ``frames`` stream time and epoch, in place. Frames that would repeat time already covered
        (audio that overlaps the end of the previous source) and malformed audio are left out of the returned
        list."""
        return [frame for frame in frames if self._place(frame)]

    def _place(self, frame: Frame) -> bool:
        clock = self._clock_of(frame)
        dts_in = frame.dts_90k
        last_in = clock.last_in
        if last_in is None:
            clock.offset = self._anchor(dts_in)
            if not -APART_90K <= dts_in + clock.offset - self._end <= APART_90K:
                self._jump(clock, dts_in)
        else:
            step = dts_in - last_in
            if clock.offset != self._offset:
                self._follow(clock, dts_in)
            elif not -JUMP_90K <= step <= JUMP_90K and not clock.keeps_pace(step):
                self._jump(clock, dts_in)
            if 0 < step <= SLOWEST_PACE_90K:
                clock.pace_before, clock.pace_in = clock.pace_in, step
        clock.last_in = dts_in
        placed = self._place_video if frame.track.is_video else self._place_audio
        if not placed(clock, frame, clock.offset):
            self.dropped_frames += 1
            return False
        frame.epoch = self.epoch
        if clock.end_out > self._end:
            self._end = clock.end_out
        return True

    def _clock_of(self, frame: Frame) -> _TrackClock:
        clock = self._tracks.get(frame.track.id)
        if clock is None:
            clock = self._tracks[frame.track.id] = _TrackClock(frame.track, 0)
        elif clock.track is not frame.track:
            clock.describe(frame.track)
        return clock

    def _anchor(self, dts_in: int) -> int:
        """The offset of this epoch; the epoch's first frame decides it."""
        if self._offset is None:
            self._offset = self._end - dts_in
        return self._offset

    def _jump(self, clock: _TrackClock, dts_in: int) -> None:
        """The source's clock jumped on this track: the source is anchored anew."""
        self.epoch += 1
        self.jumps += 1
        self._offset = clock.offset = self._end - dts_in

    def _follow(self, clock: _TrackClock, dts_in: int) -> None:
        """Another track jumped before. This one keeps its old offset for frames from before the jump, and
        takes the new one with the first frame that it brings closer to where the track should go on."""
        assert self._offset is not None
        expected = clock.end_out
        if abs(dts_in + self._offset - expected) < abs(dts_in + clock.offset - expected):
            if dts_in + self._offset - self._end > SLOWEST_PACE_90K:
                self._jump(clock, dts_in)  # nearer, and still far ahead of all the rest: it jumped by itself
            clock.offset = self._offset
        elif abs(dts_in + clock.offset - expected) > JUMP_90K:
            self._jump(clock, dts_in)

    def _place_video(self, clock: _TrackClock, frame: Frame, offset: int) -> bool:
        assert clock.grid is not None
        pts, dts = clock.grid.snap(frame.pts_90k + offset, frame.dts_90k + offset)
        last = clock.last_out
        if last is not None:
            if dts <= last:  # a repeated or disordered stamp: a coded frame cannot be left out, so it moves
                dts = last + 1
            elif dts - last <= LONGEST_VIDEO_STEP_90K:
                clock.step = dts - last
        frame.dts_90k = dts
        frame.pts_90k = pts if -LATEST_PICTURE_90K <= pts - dts <= LATEST_PICTURE_90K else dts
        clock.last_out = dts
        clock.end_out = dts + clock.step
        if frame.key:
            clock.key_frame(dts)
        return True

    def _place_audio(self, clock: _TrackClock, frame: Frame, offset: int) -> bool:
        dts = frame.dts_90k + offset
        config = frame.track.audio
        try:
            samples = config.samples_in(frame.payload)
        except MediaError:  # malformed: nobody can say how long it lasts
            return False
        assert clock.samples is not None
        duration = samples * 90_000 // config.timescale
        if clock.last_out is not None and dts < clock.end_out - duration // 2:
            return False
        dts = clock.samples.stamp(dts, samples)
        frame.dts_90k = frame.pts_90k = dts
        clock.last_out = dts
        clock.end_out = dts + duration
        return True
