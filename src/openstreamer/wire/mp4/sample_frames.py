"""Samples of one track → frames: payloads in the form that ``Frame`` wants, key frames, configurations."""

from openstreamer.media import av1, h264, h265, nal, vp9
from openstreamer.media.aac_sbr import SbrProbe, sbr_probe
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.track import CodecConfig, Track, VideoConfig
from openstreamer.media.vp9 import Vp9Config
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.sample_entry_reader import SampleEntry, SampleFormat

MAX_UNCONFIGURED_SAMPLES = 1_500  # a minute of video of which nobody knows the decoder configuration

_RANDOM_ACCESS = {
    SampleFormat.H264: h264.is_random_access,
    SampleFormat.H265: h265.is_random_access,
    SampleFormat.AV1: av1.is_random_access,
    SampleFormat.VP9: vp9.is_random_access,
}
# Where codecs without a decoder configuration in the sample entry say it in each frame, check sums left out.
_AUDIO_HEADERS = {
    SampleFormat.MP3: slice(0, 4),
    SampleFormat.AC3: slice(4, 7),
    SampleFormat.EAC3: slice(2, 6),
}


class SampleFrames:
    """Makes the frames of one track; ``track`` is the newest one, ``None`` until it is known.

    ``select`` chooses the sample entry; whatever is not passed on is counted in ``statistics``.
    """

    __slots__ = (
        "_config",
        "_decodable",
        "_early",
        "_entry",
        "_found_random_access",
        "_head",
        "_language",
        "_probe",
        "_track_id",
        "_unconfigured",
        "statistics",
        "track",
    )

    def __init__(self, track_id: int, language: str, entry: SampleEntry, statistics: DemuxStatistics) -> None:
        self.statistics = statistics
        self.track: Track | None = None
        self._track_id = track_id
        self._language = language
        self._found_random_access = False
        self._unconfigured = 0
        self._head = b""
        self._entry = entry
        self._config: CodecConfig | None = None
        self._probe: SbrProbe | None = None  # while AAC may be HE-AAC
        self._early: list[Frame] = []  # held back, and ready now
        self._decodable = False
        self._take_over(entry)

    def select(self, entry: SampleEntry) -> None:
        """What follows is described by ``entry``."""
        if entry is not self._entry:
            self._take_over(entry)

    def video(self, pts_90k: int, dts_90k: int, sync: bool, payload: bytes) -> Frame | None:
        """The frame of a video sample; ``None`` when whoever starts here cannot decode it."""
        try:
            return self._video(pts_90k, dts_90k, sync, payload)
        except MediaError:
            self.statistics.malformed += 1
            self.statistics.dropped_frames += 1
            return None

    def audio(self, pts_90k: int, payload: bytes) -> list[Frame]:
        """The frames that go out with an audio sample: none while the decoder's configuration is unknown."""
        if self._probe is not None or self._early:
            return self._audio_while_unsure(pts_90k, payload)
        if self._entry.format in _AUDIO_HEADERS:
            self._configure_from_audio(payload)
        track = self.track
        if track is None or self._config is None:
            self.statistics.drop()
            return []
        return [Frame(track, pts_90k, pts_90k, False, payload)]

    def settle(self) -> list[Frame]:
        """Nothing more is waited for: what was held back, with the configuration that it shows."""
        self._decide()
        frames, self._early = self._early, []
        return frames

    def _audio_while_unsure(self, pts_90k: int, payload: bytes) -> list[Frame]:
        if self._probe is None:  # another sample entry came
            return self.settle() + self.audio(pts_90k, payload)
        return self.settle() if self._probe.add(payload, pts_90k) else []

    def _decide(self) -> None:
        probe, self._probe = self._probe, None
        if probe is None:
            return
        config, held = probe.decide()
        self._know(config)
        assert self.track is not None
        self._early += [Frame(self.track, pts_90k, pts_90k, False, payload) for payload, pts_90k in held]

    def _take_over(self, entry: SampleEntry) -> None:
        self._entry = entry
        self._decodable = False
        self._head = b""
        self._decide()
        self._config = entry.config
        self._probe = sbr_probe(entry.config)
        if self._probe is not None:
            return  # the first frames will tell the rest
        if entry.config is not None and not (isinstance(entry.config, Vp9Config) and not entry.width):
            self._know(entry.config)

    def _know(self, config: CodecConfig) -> None:
        self._config = config
        if self.track is None or self.track.config != config:
            self.track = Track(self._track_id, config, self._language)

    def _video(self, pts_90k: int, dts_90k: int, sync: bool, payload: bytes) -> Frame | None:
        entry = self._entry
        sample_format = entry.format
        assert sample_format is not None
        if entry.nal_length_size != 4:
            payload = nal.change_nal_length_size(payload, entry.nal_length_size)
        elif sample_format is SampleFormat.AV1:
            payload = av1.drop_temporal_delimiters(payload)
        key = _RANDOM_ACCESS[sample_format](payload)
        if key:
            self._found_random_access = True
        elif sync and not self._found_random_access:
            key = True  # the table is believed only while the bit stream shows no key frames of its own
        if key:
            self._configure_from_video(sample_format, payload)
        track = self.track
        if track is None or not self._decodable:
            self._drop_undecodable()
            return None
        return Frame(track, pts_90k, dts_90k, key, payload)

    def _configure_from_video(self, sample_format: SampleFormat, payload: bytes) -> None:
        config = self._config
        if isinstance(config, VideoConfig):
            config = config.with_parameter_sets_from(payload)
        else:
            config = _video_configuration_in(sample_format, payload)
        if config is not None:
            self._know(config)
        self._decodable = config is not None

    def _drop_undecodable(self) -> None:
        self.statistics.drop()
        if self._config is not None:
            return
        self._unconfigured += 1
        if self._unconfigured > MAX_UNCONFIGURED_SAMPLES:
            assert self._entry.format is not None
            name = self._entry.format.name
            raise SourceRejected(
                f"MP4 video: {name} without its decoder configuration for {self._unconfigured} samples"
            )

    def _configure_from_audio(self, payload: bytes) -> None:
        sample_format = self._entry.format
        assert sample_format is not None
        head = payload[_AUDIO_HEADERS[sample_format]]
        if head == self._head:
            return
        try:
            self._know(_audio_configuration_in(sample_format, payload))
        except MediaError:
            self.statistics.malformed += 1  # a damaged frame: the next one may be fine
            return
        self._head = head


def _video_configuration_in(sample_format: SampleFormat, payload: bytes) -> VideoConfig | None:
    """The configuration that a key frame carries itself (avc3, hev1, AV1 and VP9)."""
    match sample_format:
        case SampleFormat.H264:
            return H264Config.from_key_frame(payload)
        case SampleFormat.H265:
            return H265Config.from_key_frame(payload)
        case SampleFormat.AV1:
            return Av1Config.from_key_frame(payload)
        case _:
            return Vp9Config.from_key_frame(payload)


def _audio_configuration_in(sample_format: SampleFormat, payload: bytes) -> CodecConfig:
    match sample_format:
        case SampleFormat.MP3:
            return Mp3Config.from_frame_header(payload)
        case SampleFormat.AC3:
            return Ac3Config.from_sync_frame(payload)
        case _:
            return Eac3Config.from_sync_frame(payload)
