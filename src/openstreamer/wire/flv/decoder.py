"""FLV tag bodies → frames: what makes an RTMP publisher a source.

Keeps the promises of :class:`openstreamer.sources.base.Source`: frames come out once the tracks that the
publisher announced are known (or did not show up in time), video begins with a key frame that has its
parameter sets, timestamps are unwrapped and do not fall.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from openstreamer.media.aac_sbr import SbrProbe, sbr_probe
from openstreamer.media.clock import Unwrapper, ms_to_90k
from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import AudioConfig, Track, VideoConfig
from openstreamer.wire.amf0 import UNDEFINED, AmfValue
from openstreamer.wire.flv.configurations import (
    audio_configuration,
    audio_configuration_in,
    is_random_access,
    video_configuration,
    video_configuration_in,
    video_payload,
)
from openstreamer.wire.flv.damage import DamageLimits, DamageRun
from openstreamer.wire.flv.tags import FlvCodec, MediaTag, TagKind, audio_tags, video_tags

VIDEO_TRACK_ID = 0
AUDIO_TRACK_ID = 1

_LARGEST_STEP_BACK_MS = 1000  # more is a publisher that began anew, and its times are moved to go on
_RESTART_STEP_MS = 20  # what is put between the last old and the first new time


@dataclass(frozen=True, slots=True)
class FlvLimits:
    """How long and how much is held back until the tracks are known, and what damage is borne."""

    announced_wait_ms: int = 1000  # of media time, for announced sound that does not come
    # Of media time, for the configuration of video that comes, and for video that was announced: servers that
    # are joined inside a GOP send no video, nor its sequence header, before the next key frame. The usual
    # longest GOP has 250 pictures: 10.4 s at 24 per second.
    configuration_wait_ms: int = 11_500
    max_held_frames: int = 512
    max_held_bytes: int = 8 << 20
    damage: DamageLimits = field(default_factory=DamageLimits)


@dataclass(slots=True)
class FlvStatistics:
    """What a decoder did not pass on."""

    without_configuration: int = 0  # sound, and video key frames, before their sequence header
    # Video and audio before the first video key frame: no loss, but where a stream was joined.
    before_key_frame: int = 0
    undecodable: int = 0  # video between a change of its configuration and the next key frame
    not_carried: int = 0  # sound of a codec that is left out, beside a picture
    other_tracks: int = 0  # frames of further tracks of Enhanced RTMP multitrack
    malformed: int = 0

    @property
    def dropped_frames(self) -> int:
        """What is missing in the middle, or is not carried at all."""
        counted = self.without_configuration + self.undecodable + self.not_carried
        return counted + self.other_tracks + self.malformed


class _TrackState:
    """One of the two tracks, before and after it is known."""

    __slots__ = (
        "announced",
        "codec",
        "held_ms",
        "kept_id",
        "last_dts_ms",
        "offset_ms",
        "seen",
        "stepped_back_ms",
        "track",
    )

    def __init__(self) -> None:
        self.announced: bool | None = None  # by onMetaData; None: not said
        self.seen = False
        self.kept_id = -1
        self.codec: FlvCodec | None = None
        self.track: Track | None = None
        self.last_dts_ms: int | None = None
        self.offset_ms = 0
        self.held_ms = 0  # by how much the last DTS was raised because it fell
        self.stepped_back_ms: int | None = None  # where a publisher that may have begun anew is

    def awaited(self) -> bool:
        """Whether this track may still have to come before frames go out."""
        return self.track is None and (self.seen or self.announced is not False)


class FlvDecoder:
    """Feed :meth:`metadata`, :meth:`video` and :meth:`audio`; each call returns the frames it releases.

    Raises from each of them:
        SourceRejected: a codec or configuration that cannot be carried, or media of which nothing can be
            used; the message names it.
    """

    def __init__(self, limits: FlvLimits | None = None) -> None:
        self.statistics = FlvStatistics()
        self._limits = limits or FlvLimits()
        self._video = _TrackState()
        self._audio = _TrackState()
        self._video_config: VideoConfig | None = None
        self._video_header = b""  # the last sequence header, to tell its repetition from a change
        self._video_decodable = False  # a key frame followed the last change of configuration
        self._video_damage = DamageRun(self._limits.damage)
        self._audio_damage = DamageRun(self._limits.damage)
        self._unconfigured_since_ms: int | None = None
        self._nal_length_size = 4
        self._found_random_access = False
        self._audio_said: AudioConfig | None = None  # which may be less than what it is
        self._left_out: SourceRejected | None = None  # why sound came that is not carried
        self._sbr_probe: SbrProbe | None = None  # while AAC may be HE-AAC
        self._audio_head = b""  # of the last frame whose header was read for its configuration
        self._unwrapper = Unwrapper(32)
        self._restart_offset_ms = 0
        self._tracks: tuple[Track, ...] = ()
        self._first_ms: int | None = None
        self._last_ms = 0
        self._flowing = False
        self._held: deque[Frame] = deque()
        self._held_bytes = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first: the same object for as long as they are the same."""
        return self._tracks

    @property
    def left_out(self) -> str | None:
        """In words, what is not carried although the rest is: sound of a codec of which there is no other."""
        return str(self._left_out) if self._left_out is not None and self._audio.track is None else None

    @property
    def flowing(self) -> bool:
        """Whether frames go out as they come in."""
        return self._flowing

    def metadata(self, values: Mapping[str, AmfValue]) -> list[Frame]:
        """Learn from ``onMetaData`` which tracks to wait for."""
        self._video.announced = _says(values, ("videocodecid", "width", "videodatarate", "framerate"))
        self._audio.announced = _says(values, ("audiocodecid", "audiosamplerate", "audiodatarate"))
        if not self._video.announced and not self._audio.announced:
            self._video.announced = self._audio.announced = None  # says nothing about tracks at all
        return self._release_when_ready()

    def video(self, timestamp_ms: int, payload: bytes) -> list[Frame]:
        """Feed the body of a video tag."""
        try:
            tags = video_tags(payload)
        except MediaError as err:
            self._damaged_video(timestamp_ms, err)
            return []
        if len(tags) == 1 and tags[0].track_id == self._video.kept_id:  # nearly always
            return self._video_tag(timestamp_ms, tags[0])
        frames: list[Frame] = []
        for tag in tags:
            if self._is_kept(self._video, tag):
                frames += self._video_tag(timestamp_ms, tag)
        return frames

    def audio(self, timestamp_ms: int, payload: bytes) -> list[Frame]:
        """Feed the body of an audio tag."""
        try:
            tags = audio_tags(payload)
        except SourceRejected as err:
            return self._leave_out_audio(timestamp_ms, err)
        except MediaError as err:
            self._damaged_audio(self._audio.codec, timestamp_ms, err)
            return []
        if len(tags) == 1 and tags[0].track_id == self._audio.kept_id:
            return self._audio_tag(timestamp_ms, tags[0])
        frames: list[Frame] = []
        for tag in tags:
            if self._is_kept(self._audio, tag):
                frames += self._audio_tag(timestamp_ms, tag)
        return frames

    def end(self) -> list[Frame]:
        """The publisher is done: what was held back is released with the tracks there are."""
        if self._left_out is not None and not self._tracks:
            raise self._left_out
        frames = self._decide_sbr()
        return frames if self._flowing else frames + self._release()

    # ------------------------------------------------------------------ video

    def _video_tag(self, timestamp_ms: int, tag: MediaTag) -> list[Frame]:
        if tag.kind is TagKind.CONFIGURATION:
            self._configure_video(tag)
            return []
        if tag.kind is TagKind.END or not tag.body:
            return []
        dts_ms = self._dts_ms(self._video, timestamp_ms)
        try:
            frame = self._video_frame(dts_ms, tag)
        except MediaError as err:
            self._damaged_video(timestamp_ms, err)
            frame = None
        if frame is not None:
            if self._video_damage:
                self._video_damage.reset()
            return self._deliver(frame)
        self._reject_video_without_configuration(dts_ms)
        return self._release_when_ready()

    def _configure_video(self, tag: MediaTag) -> None:
        if tag.body == self._video_header and tag.codec is self._video.codec:
            return
        try:
            self._video_config, self._nal_length_size = video_configuration(tag.codec, tag.body)
        except MediaError as err:
            raise SourceRejected(f"RTMP video: the sequence header is malformed: {err}") from err
        self._video.codec = tag.codec
        self._video_header = tag.body
        self._video_decodable = False

    def _video_frame(self, dts_ms: int, tag: MediaTag) -> Frame | None:
        """The frame, or ``None`` when it cannot be decoded by whoever starts here."""
        state = self._video
        codec = tag.codec
        if codec is not state.codec:  # without any sequence header, which only some codecs can do without
            state.codec = codec
            self._video_config, self._nal_length_size = None, 4
            self._video_decodable = False
        payload = tag.body
        if codec is FlvCodec.AV1 or self._nal_length_size != 4:
            payload = video_payload(codec, payload, self._nal_length_size)
            if not payload:
                raise MediaError("FLV: an access unit of delimiters only")
        key = is_random_access(codec, payload)
        if key:
            self._found_random_access = True
        elif tag.key and not self._found_random_access:
            key = True  # the flag is believed only while the bit stream shows no key frames of its own
        if key:
            self._video_config = config = video_configuration_in(codec, self._video_config, payload)
            self._video_decodable = config is not None
            if config is not None and (state.track is None or state.track.config != config):
                self._know(state, Track(VIDEO_TRACK_ID, config))
        track = state.track
        if track is None or not self._video_decodable:
            if track is not None:
                self.statistics.undecodable += 1
            elif key:
                self.statistics.without_configuration += 1
            else:
                self.statistics.before_key_frame += 1
            return None
        dts_90k = ms_to_90k(dts_ms)
        pts_90k = dts_90k + ms_to_90k(tag.composition_ms)
        if state.held_ms:  # only its decoding was too early
            pts_90k = max(pts_90k - ms_to_90k(state.held_ms), dts_90k)
        return Frame(track, pts_90k, dts_90k, key, payload)

    def _reject_video_without_configuration(self, dts_ms: int) -> None:
        """Video that nobody can decode must not become a stream with sound only, and no error."""
        if self._video_config is not None:
            self._unconfigured_since_ms = None
            return
        if self._unconfigured_since_ms is None:
            self._unconfigured_since_ms = dts_ms
        waited_ms = dts_ms - self._unconfigured_since_ms
        if waited_ms > self._limits.configuration_wait_ms:
            name = self._video.codec.name if self._video.codec else "?"
            raise SourceRejected(f"RTMP video: {name} without its decoder configuration for {waited_ms} ms")

    def _damaged_video(self, timestamp_ms: int, reason: MediaError) -> None:
        """Refuse what has no usable picture, also beside good sound: it must not become a stream with sound
        only, and no error."""
        self.statistics.malformed += 1
        self._video_damage.add(f"{_shown(self._video.codec)} access units", timestamp_ms, reason)

    # ------------------------------------------------------------------ audio

    def _audio_tag(self, timestamp_ms: int, tag: MediaTag) -> list[Frame]:
        if tag.kind is TagKind.CONFIGURATION:
            try:
                config = audio_configuration(tag.codec, tag.body)
            except MediaError as err:
                raise SourceRejected(f"RTMP audio: the sequence header is malformed: {err}") from err
            return self._configure_audio(tag.codec, config) + self._release_when_ready()
        if tag.kind is TagKind.END or not tag.body:
            return []
        dts_90k = ms_to_90k(self._dts_ms(self._audio, timestamp_ms))
        if self._sbr_probe is not None:
            if tag.codec is not self._audio.codec:
                return self._decide_sbr() + self._audio_tag(timestamp_ms, tag)
            enough = self._sbr_probe.add(tag.body, dts_90k)
            return self._decide_sbr() if enough else self._release_when_ready()
        if tag.codec not in _WITH_SEQUENCE_HEADER:
            self._configure_from_frame(timestamp_ms, tag)
        track = self._audio.track
        if track is None or tag.codec is not self._audio.codec:
            self.statistics.without_configuration += 1
            return [] if self._flowing else self._release_when_ready()
        if self._audio_damage:
            self._audio_damage.reset()
        return self._deliver(Frame(track, dts_90k, dts_90k, self._video.track is None, tag.body))

    def _configure_audio(self, codec: FlvCodec, config: AudioConfig | None) -> list[Frame]:
        """Follow what the publisher says; returns what waited for a decision about what it said before."""
        state = self._audio
        if config is None or (codec is state.codec and config == self._audio_said):
            return []
        frames = self._decide_sbr()
        state.codec = codec
        self._audio_said = config
        self._sbr_probe = sbr_probe(config)
        if self._sbr_probe is None and (state.track is None or state.track.config != config):
            self._know(state, Track(AUDIO_TRACK_ID, config))
        return frames

    def _decide_sbr(self) -> list[Frame]:
        """Tell HE-AAC from AAC-LC by the frames that wait, and pass these on."""
        probe, self._sbr_probe = self._sbr_probe, None
        if probe is None:
            return []
        config, held = probe.decide()
        state = self._audio
        if state.track is None or state.track.config != config:
            self._know(state, Track(AUDIO_TRACK_ID, config))
        assert state.track is not None
        alone = self._video.track is None
        frames: list[Frame] = []
        for payload, dts_90k in held:
            frames += self._deliver(Frame(state.track, dts_90k, dts_90k, alone, payload))
        return frames

    def _damaged_audio(self, codec: FlvCodec | None, timestamp_ms: int, reason: MediaError) -> None:
        """Refuse sound of which nothing can be used, unless there is a picture: a stream goes on without."""
        self.statistics.malformed += 1
        if not self._video.seen:
            self._audio_damage.add(f"{_shown(codec)} frames", timestamp_ms, reason)

    def _configure_from_frame(self, timestamp_ms: int, tag: MediaTag) -> None:
        head = tag.body[_HEADER_BYTES[tag.codec]]
        if head == self._audio_head:
            return
        try:
            self._configure_audio(tag.codec, audio_configuration_in(tag.codec, tag.body))
        except MediaError as err:
            self._damaged_audio(tag.codec, timestamp_ms, err)  # the next one may be fine
            return
        self._audio_head = head

    def _leave_out_audio(self, timestamp_ms: int, reason: SourceRejected) -> list[Frame]:
        """Go on with the picture alone. Without one in sight, there is nothing to go on with."""
        self._left_out = reason
        self.statistics.not_carried += 1
        if self._audio.track is None:
            self._audio.announced = False
        self._dts_ms(self._audio, timestamp_ms)
        if self._video.track is None and not self._picture_may_come():
            raise reason
        return self._release_when_ready()

    def _picture_may_come(self) -> bool:
        if self._picture_comes():
            return True
        return self._video.announced is None and self._waited_ms < self._limits.announced_wait_ms

    # ------------------------------------------------------------------ both

    def _know(self, state: _TrackState, track: Track) -> None:
        state.track = track
        self._tracks = tuple(s.track for s in (self._video, self._audio) if s.track is not None)

    def _is_kept(self, state: _TrackState, tag: MediaTag) -> bool:
        """Of multitrack the track that came first is kept (track 0, as publishers are advised)."""
        state.seen = True
        if state.kept_id < 0:
            state.kept_id = tag.track_id
        if tag.track_id == state.kept_id:
            return True
        if tag.kind is TagKind.FRAME:
            self.statistics.other_tracks += 1
        return False

    def _dts_ms(self, state: _TrackState, timestamp_ms: int) -> int:
        """Unwrapped, and never below the track's last one."""
        full_ms = self._unwrapper.unwrap(timestamp_ms)
        dts_ms = full_ms + state.offset_ms
        last_ms = state.last_dts_ms
        if last_ms is not None and dts_ms < last_ms:
            dts_ms = self._after_step_back(state, full_ms, last_ms)
            state.held_ms = dts_ms - full_ms - state.offset_ms
        elif state.stepped_back_ms is not None or state.held_ms:
            state.stepped_back_ms = None
            state.held_ms = 0
        state.last_dts_ms = self._last_ms = dts_ms
        if self._first_ms is None:
            self._first_ms = dts_ms
        return dts_ms

    def _after_step_back(self, state: _TrackState, full_ms: int, last_ms: int) -> int:
        """A small step back is held at the last time. After a large one that goes on, the publisher has
        begun anew: all its times are moved by the same amount, each track when it steps back itself."""
        if last_ms - full_ms - state.offset_ms <= _LARGEST_STEP_BACK_MS:
            return last_ms
        if state.stepped_back_ms is None or full_ms < state.stepped_back_ms:
            state.stepped_back_ms = full_ms
            return last_ms
        if full_ms + self._restart_offset_ms < last_ms - _LARGEST_STEP_BACK_MS:
            self._restart_offset_ms = last_ms + _RESTART_STEP_MS - full_ms
        state.stepped_back_ms = None
        state.offset_ms = self._restart_offset_ms
        return max(full_ms + state.offset_ms, last_ms)

    def _deliver(self, frame: Frame) -> list[Frame]:
        if self._flowing:
            return [frame]
        self._held.append(frame)
        self._held_bytes += len(frame.payload)
        return self._release_when_ready()

    def _release_when_ready(self) -> list[Frame]:
        if self._flowing or not self._held:
            return []
        if not self._video.awaited() and not self._audio.awaited():
            return self._release()
        if not self._has_waited_enough():
            return []
        if self._video.track is None and self._picture_comes():
            self._drop_held()  # sound only, until the picture begins: it goes at the key frame anyway
            return []
        return self._release()

    def _picture_comes(self) -> bool:
        """Whether there is, or was said to be, video that has not had its first key frame yet."""
        if self._video.seen or self._video_damage.goes_on(self._last_ms):
            return True
        return self._video.announced is True and self._waited_ms < self._limits.configuration_wait_ms

    @property
    def _waited_ms(self) -> int:
        return self._last_ms - (self._first_ms or 0)

    def _has_waited_enough(self) -> bool:
        limits = self._limits
        return (
            self._waited_ms >= limits.announced_wait_ms
            or len(self._held) >= limits.max_held_frames
            or self._held_bytes >= limits.max_held_bytes
        )

    def _drop_held(self) -> None:
        self.statistics.before_key_frame += len(self._held)
        self._held.clear()
        self._held_bytes = 0

    def _release(self) -> list[Frame]:
        held = self._held
        self._held = deque()
        self._held_bytes = 0
        self._flowing = True
        if self._video.track is None:
            for frame in held:
                frame.key = True  # without video, every audio frame is a random access point
            return list(held)
        start_90k = next((frame.dts_90k for frame in held if frame.track.is_video), 0)
        frames = [frame for frame in held if frame.track.is_video or frame.dts_90k >= start_90k]
        self.statistics.before_key_frame += len(held) - len(frames)
        for frame in frames:
            frame.key = frame.key and frame.track.is_video
        return frames


# Where codecs without sequence headers keep what their configuration is made of, check sums excluded.
_WITH_SEQUENCE_HEADER = (FlvCodec.AAC, FlvCodec.OPUS)  # a tuple: found by identity, without a hash
_HEADER_BYTES = {FlvCodec.MP3: slice(0, 4), FlvCodec.AC3: slice(4, 7), FlvCodec.EAC3: slice(2, 6)}


def _says(values: Mapping[str, AmfValue], names: tuple[str, ...]) -> bool:
    return any(values.get(name) not in (None, UNDEFINED, "", 0.0) for name in names)


def _shown(codec: FlvCodec | None) -> str:
    """A codec's name as people write it."""
    return codec.name.replace("H26", "H.26") if codec is not None else "media"
