"""Decoded pictures and sound of the test card, by libav."""

from typing import Any

import av

from openstreamer.media.aac import AacConfig
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config

TIMECODE_CELLS = 50
TIMECODE_BITS = 48


def decode_video(frames: list[Frame]) -> list[av.VideoFrame]:
    """The pictures of H.264 frames."""
    config = frames[0].track.config
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(config, H264Config)
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = config.avcc()
    pictures: list[av.VideoFrame] = []
    for frame in frames:
        packet: Any = av.Packet(frame.payload)
        packet.pts = frame.pts_90k
        pictures += decoder.decode(packet)
    return pictures + decoder.decode(None)


def decode_audio(frames: list[Frame]) -> list[float]:
    """All samples of the left channel of AAC frames."""
    config = frames[0].track.config
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(config, AacConfig)
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = config.audio_specific_config
    samples: list[float] = []
    for frame in frames:
        for decoded in decoder.decode(av.Packet(frame.payload)):
            samples += memoryview(bytes(decoded.planes[0])).cast("f").tolist()[: decoded.samples]
    return samples


def luma(picture: av.VideoFrame, x: int, y: int) -> int:
    """One luma sample."""
    plane = picture.planes[0]
    return bytes(plane)[y * plane.line_size + x]


def read_timecode(picture: av.VideoFrame) -> int:
    """The Unix time in milliseconds that the test card wrote into its lowest rows, cell by cell."""
    cell = min(16, picture.width // TIMECODE_CELLS // 2 * 2)
    middle = cell // 2
    y = picture.height - cell + middle
    bits = [luma(picture, index * cell + middle, y) > 128 for index in range(TIMECODE_CELLS)]
    assert bits[:2] == [True, False], "there is no time code"
    return sum(bit << (TIMECODE_BITS - 1 - index) for index, bit in enumerate(bits[2:]))
