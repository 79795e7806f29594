"""Tracks and frames for tests: real decoder configurations, payloads of no meaning."""

from openstreamer.media.aac import AacConfig
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.track import Track

# x264 baseline, 1280x720 at 25 fps
SPS = bytes.fromhex("6742c01fda014016ec0440000003004000000ca3c60ca8")
PPS = bytes.fromhex("68ce0fc8")
AAC_48K_STEREO = bytes.fromhex("1190")

VIDEO = Track(1, H264Config((SPS,), (PPS,)))
AUDIO = Track(2, AacConfig(AAC_48K_STEREO))
# The same with other configurations.
OTHER_VIDEO = Track(1, H264Config((SPS,), (PPS + b"\x80",)))
AUDIO_44K = Track(2, AacConfig(bytes.fromhex("1210")))


def video(
    dts_90k: int, *, key: bool, size: int = 100, pts_90k: int | None = None, track: Track = VIDEO
) -> Frame:
    """An H.264 frame: one IDR or non-IDR slice NAL unit of ``size`` bytes in all."""
    nal = bytes([0x65 if key else 0x41]) + bytes(size - 5)
    payload = len(nal).to_bytes(4, "big") + nal
    return Frame(track, dts_90k if pts_90k is None else pts_90k, dts_90k, key, payload)


def audio(pts_90k: int, *, key: bool = False, size: int = 20, track: Track = AUDIO) -> Frame:
    """An AAC frame of 1024 samples."""
    return Frame(track, pts_90k, pts_90k, key, bytes(size))
