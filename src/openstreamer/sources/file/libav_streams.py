"""Packets of one libav stream → frames, in the child process that reads with libav."""

from collections.abc import Callable
from typing import Any

from openstreamer.media import av1, h264, h265, nal, vp9
from openstreamer.media.aac import AacConfig, parse_adts_header
from openstreamer.media.aac_sbr import SbrProbe, sbr_probe
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import AudioConfig, CodecConfig, Track, VideoConfig
from openstreamer.media.vp9 import Vp9Config
from openstreamer.sources.file.display_order import DisplayOrder

_RANDOM_ACCESS: dict[str, Callable[[bytes], bool]] = {
    "h264": h264.is_random_access,
    "hevc": h265.is_random_access,
    "av1": av1.is_random_access,
    "vp9": vp9.is_random_access,
}
_AUDIO_CODECS = frozenset(("aac", "opus", "mp1", "mp2", "mp3", "ac3", "eac3"))
_ADTS_SYNC = 0xFFF0
_CONFIGURATION_BYTES = 1  # the first byte of avcC and hvcC: configurationVersion; Annex B begins with 0


class StreamFrames:
    """Makes the frames of one stream; ``track`` is the newest one, ``None`` until it is known.

    ``order`` gives pictures their times where the container does not.
    """

    def __init__(
        self, codec: str, extradata: bytes, track_id: int, language: str, order: DisplayOrder | None = None
    ) -> None:
        self.track: Track | None = None
        self.complaint = ""  # why the last packet made no frame
        self._order = order
        self.is_video = codec in _RANDOM_ACCESS
        self._codec = codec
        self._track_id = track_id
        self._language = language
        self._last_dts_90k: int | None = None
        self._found_random_access = False
        self._decodable = False
        self._head = b""
        self._annex_b = codec in ("h264", "hevc") and extradata[:1] != bytes((_CONFIGURATION_BYTES,))
        self._nal_length_size = _nal_length_size(codec, extradata) if not self._annex_b else 4
        self._extradata_config = _configuration(codec, extradata, self._annex_b)
        self._sbr_probe: SbrProbe | None = None  # while AAC may be HE-AAC
        self._aac: AacConfig | None = None  # as the container or ADTS says it
        if isinstance(self._extradata_config, AacConfig):
            self._follow_aac(self._extradata_config)
        elif self._extradata_config is not None and codec != "vp9":
            self._know(self._extradata_config)

    def frame(self, pts_90k: int, dts_90k: int, key: bool, payload: bytes) -> list[Frame]:
        """The frames that go out with a packet: none when it cannot be decoded by whoever starts here.

        Raises :class:`MediaError` when the packet is damaged.
        """
        if self._last_dts_90k is not None:
            dts_90k = max(dts_90k, self._last_dts_90k)
        self._last_dts_90k = dts_90k
        if not self.is_video:
            return self._audio(dts_90k, payload)
        frame = self._video(max(pts_90k, dts_90k), dts_90k, key, payload)
        if frame is None:
            return []
        return [frame] if self._order is None else self._order.add(frame)

    def settle(self) -> list[Frame]:
        """Nothing more is waited for: the frames that were to show whether there is SBR, or in which order
        pictures are shown."""
        if self._order is not None:
            return self._order.end()
        probe, self._sbr_probe = self._sbr_probe, None
        if probe is None:
            return []
        config, held = probe.decide()
        self._know(config)
        assert self.track is not None
        return [Frame(self.track, pts_90k, pts_90k, False, payload) for payload, pts_90k in held]

    def _video(self, pts_90k: int, dts_90k: int, key: bool, payload: bytes) -> Frame | None:
        if self._annex_b:
            payload = nal.to_length_prefixed(nal.split_annex_b(payload))
        elif self._nal_length_size != 4:
            payload = nal.change_nal_length_size(payload, self._nal_length_size)
        elif self._codec == "av1":
            payload = av1.drop_temporal_delimiters(payload)
        found = bool(payload) and _RANDOM_ACCESS[self._codec](payload)
        self._found_random_access |= found
        key = found or (key and not self._found_random_access)
        if key:
            known = self.track.config if self.track is not None else self._extradata_config
            config = (
                known.with_parameter_sets_from(payload)
                if isinstance(known, VideoConfig)
                else _configuration_in(self._codec, payload)
            )
            self._decodable = config is not None
            if config is not None:
                self._know(config)
        if self.track is None or not self._decodable or not payload:
            return None
        return Frame(self.track, pts_90k, dts_90k, key, payload)

    def _audio(self, pts_90k: int, payload: bytes) -> list[Frame]:
        if self._codec == "aac":
            payload = self._without_adts(payload)
        elif self._codec != "opus" and payload[:7] != self._head:
            self._know(_audio_configuration_in(self._codec, payload))
            self._head = payload[:7]
        if payload and self._sbr_probe is not None:
            return self.settle() if self._sbr_probe.add(payload, pts_90k) else []
        if self.track is None or not payload:
            return []
        return [Frame(self.track, pts_90k, pts_90k, False, payload)]

    def _without_adts(self, payload: bytes) -> bytes:
        if self._extradata_config is not None:
            return payload
        if int.from_bytes(payload[:2], "big") & 0xFFF6 != _ADTS_SYNC:
            raise MediaError("AAC without a decoder configuration")
        header = parse_adts_header(payload)
        self._follow_aac(AacConfig.from_adts(payload))
        return payload[header.header_bytes : header.frame_bytes]

    def _follow_aac(self, config: AacConfig) -> None:
        if config == self._aac:
            return
        self._aac = config
        self._sbr_probe = sbr_probe(config)
        if self._sbr_probe is None:
            self._know(config)

    def _know(self, config: CodecConfig) -> None:
        if self.track is None or self.track.config != config:
            self.track = Track(self._track_id, config, self._language)


def stream_frames(stream: Any, track_id: int, order: DisplayOrder | None) -> StreamFrames | None:
    """What makes the frames of a libav stream; ``None`` when its codec cannot be carried.

    Raises :class:`MediaError` when its decoder configuration is malformed.
    """
    codec = codec_of(stream)
    if codec not in _RANDOM_ACCESS and codec not in _AUDIO_CODECS:
        return None
    language = str(stream.metadata.get("language", "und")) or "und"
    extradata = bytes(stream.codec_context.extradata or b"")
    return StreamFrames(codec, extradata, track_id, language, order if codec in _RANDOM_ACCESS else None)


def codec_of(stream: Any) -> str:
    """The name of the codec, not of the decoder that libav would use for it."""
    context = stream.codec_context
    name = str(context.codec.canonical_name) if context is not None else "an unknown codec"
    return {"mp3float": "mp3", "libdav1d": "av1", "libopus": "opus"}.get(name, name)


def _nal_length_size(codec: str, extradata: bytes) -> int:
    if codec == "h264":
        return h264.avcc_nal_length_size(extradata)
    return h265.hvcc_nal_length_size(extradata) if codec == "hevc" else 4


def _configuration(codec: str, extradata: bytes, annex_b: bool) -> CodecConfig | None:
    """What libav's extradata says of the decoder's configuration, if anything."""
    if not extradata:
        return None
    match codec:
        case "h264" | "hevc" if annex_b:
            return _configuration_in(codec, nal.to_length_prefixed(nal.split_annex_b(extradata)))
        case "h264":
            return H264Config.from_avcc(extradata)
        case "hevc":
            return H265Config.from_hvcc(extradata) if len(extradata) > 23 else None
        case "av1":
            return Av1Config.from_key_frame(extradata[4:]) if extradata[0] == 0x81 else None
        case "aac":
            return AacConfig(extradata)
        case "opus":
            return OpusConfig.from_opus_head(extradata)
        case _:
            return None


def _configuration_in(codec: str, payload: bytes) -> VideoConfig | None:
    """The configuration that a key frame carries itself."""
    match codec:
        case "h264":
            return H264Config.from_key_frame(payload)
        case "hevc":
            return H265Config.from_key_frame(payload)
        case "av1":
            return Av1Config.from_key_frame(payload)
        case _:
            return Vp9Config.from_key_frame(payload)


def _audio_configuration_in(codec: str, payload: bytes) -> AudioConfig:
    match codec:
        case "ac3":
            return Ac3Config.from_sync_frame(payload)
        case "eac3":
            return Eac3Config.from_sync_frame(payload)
        case _:
            return Mp3Config.from_frame_header(payload)
