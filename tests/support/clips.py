"""Short real clips of every codec we carry, encoded at test time, as frames."""

import io
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from openstreamer.media.aac import AacConfig
from openstreamer.media.ac3 import Ac3Config, Eac3Config
from openstreamer.media.av1 import Av1Config, drop_temporal_delimiters
from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.mp3 import Mp3Config
from openstreamer.media.opus import OpusConfig
from openstreamer.media.track import CodecConfig, Track
from openstreamer.media.vp9 import Vp9Config

_X264 = {"preset": "ultrafast", "g": "15", "sc_threshold": "0"}
_VIDEO_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {**_X264, "bf": "0"}),
    "h264-bframes": ("libx264", {**_X264, "preset": "veryfast", "bf": "2", "b_strategy": "0"}),
    "h265": ("libx265", {"preset": "ultrafast", "x265-params": "keyint=15:bframes=0:log-level=none"}),
    "av1": ("libsvtav1", {"preset": "12", "svtav1-params": "keyint=15:pred-struct=1"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "15", "lag-in-frames": "0"}),
}
_AUDIO_ENCODERS = {
    "aac": "aac",
    "opus": "libopus",
    "mp3": "libmp3lame",
    "ac3": "ac3",
    "eac3": "eac3",
}


@cache
def clip(
    video: str | None = "h264",
    audio: str | None = "aac",
    *,
    frames: int = 45,
    size: tuple[int, int] = (160, 96),
) -> tuple[Frame, ...]:
    """Frames of a 30 fps clip in decoding order; the same objects every time."""
    media = io.BytesIO()
    with av.open(media, "w", format="mp4") as output:
        picture_stream = _add_video(output, video, size) if video is not None else None
        sound_stream = _add_audio(output, audio) if audio is not None else None
        if picture_stream is not None:
            _encode_video(output, picture_stream, frames, size)
        if sound_stream is not None:
            _encode_audio(output, sound_stream, frames)
    media.seek(0)
    return tuple(_read(media, video, audio))


def _add_video(output: OutputContainer, name: str, size: tuple[int, int]) -> VideoStream:
    encoder, options = _VIDEO_ENCODERS[name]
    stream = output.add_stream(encoder, rate=30, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    return stream


def _add_audio(output: OutputContainer, name: str) -> AudioStream:
    stream = output.add_stream(_AUDIO_ENCODERS[name], rate=48_000)
    stream.layout = "stereo"
    return stream


def _encode_video(output: OutputContainer, stream: VideoStream, frames: int, size: tuple[int, int]) -> None:
    for number in range(frames):
        picture = VideoFrame(*size, "yuv420p")
        for plane in picture.planes:
            row = bytes((number * 5 + column) & 0xFF for column in range(plane.line_size))
            plane.update(row * plane.height)
        picture.pts = number
        picture.time_base = Fraction(1, 30)
        output.mux(stream.encode(picture))
    output.mux(stream.encode(None))


def _encode_audio(output: OutputContainer, stream: AudioStream, frames: int) -> None:
    step = stream.codec_context.frame_size or 1152
    for pts in range(0, frames * 1600, step):
        sound = AudioFrame(stream.format.name, "stereo", step)
        for plane in sound.planes:
            plane.update(bytes(plane.buffer_size))
        sound.sample_rate, sound.pts, sound.time_base = 48_000, pts, Fraction(1, 48_000)
        output.mux(stream.encode(sound))
    output.mux(stream.encode(None))


def _read(media: io.BytesIO, video: str | None, audio: str | None) -> list[Frame]:
    tracks: dict[int, Track] = {}
    frames: list[Frame] = []
    with av.open(media) as container:
        for packet in container.demux():
            if packet.dts is None or packet.pts is None:
                continue
            payload, stream = bytes(packet), packet.stream
            is_video = stream.type == "video"
            if stream.index not in tracks:
                name = (video or "").partition("-")[0] if is_video else audio or ""
                config = _CONFIGURATIONS[name](stream.codec_context.extradata or b"", payload)
                tracks[stream.index] = Track(0 if is_video else 1, config)
            if video == "av1" and is_video:
                payload = drop_temporal_delimiters(payload)
            scale = stream.time_base * TICKS_PER_SECOND
            key = packet.is_keyframe and (is_video or video is None)
            pts_90k, dts_90k = round(packet.pts * scale), round(packet.dts * scale)
            frames.append(Frame(tracks[stream.index], pts_90k, dts_90k, key, payload))
    first_90k = min(frame.dts_90k for frame in frames)
    for frame in frames:
        frame.pts_90k -= first_90k
        frame.dts_90k -= first_90k
    frames.sort(key=lambda frame: frame.dts_90k)
    return frames


_CONFIGURATIONS: dict[str, Callable[[bytes, bytes], CodecConfig]] = {
    "h264": lambda extradata, _: H264Config.from_avcc(extradata),
    "h265": lambda extradata, _: H265Config.from_hvcc(extradata),
    # SVT-AV1 says other things in its extradata than in the stream, and the stream is right.
    "av1": lambda extradata, payload: Av1Config.from_av1c(extradata).with_parameter_sets_from(payload),
    "vp9": lambda _, payload: Vp9Config.from_key_frame(payload),
    "aac": lambda extradata, _: AacConfig(extradata),
    "opus": lambda extradata, _: OpusConfig.from_opus_head(extradata),
    "mp3": lambda _, payload: Mp3Config.from_frame_header(payload),
    "ac3": lambda _, payload: Ac3Config.from_sync_frame(payload),
    "eac3": lambda _, payload: Eac3Config.from_sync_frame(payload),
}
