"""An encoder built on libav, as a process: publishes codecs that need Enhanced RTMP, in real time.

python -m tests.support.libav_publisher rtmp://host/live/code libsvtav1 libopus
"""

import math
import sys
import time
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

WIDTH, HEIGHT, FPS, RATE = 640, 360, 25, 48_000
GOP = 25
OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency", "sc_threshold": "0"},
    "libx265": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:log-level=none",
    },
    "libsvtav1": {"preset": "12", "svtav1-params": f"keyint={GOP}:pred-struct=1"},
}


def picture(number: int) -> VideoFrame:
    """A grey ramp with a white bar that moves."""
    frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
    line = bytearray(40 + 140 * x // WIDTH for x in range(WIDTH))
    left = number * 8 % (WIDTH - 40)
    line[left : left + 40] = bytes([235]) * 40
    frame.planes[0].update(bytes(line) * HEIGHT)
    for plane in frame.planes[1:]:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, FPS)
    return frame


def sound(number: int, samples: int) -> AudioFrame:
    """A part of a 440 Hz tone."""
    first = number * samples
    tone = (round(8000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(first, first + samples))
    frame = AudioFrame(format="s16", layout="stereo", samples=samples)
    frame.planes[0].update(b"".join(value.to_bytes(2, "little", signed=True) * 2 for value in tone))
    frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
    return frame


def publish(url: str, video_codec: str, audio_codec: str, seconds: float = 600) -> None:
    """Encode and send until it is ended, or the peer ends it."""
    with av.open(url, "w", format="flv", options={"flvflags": "no_duration_filesize"}) as output:
        video = output.add_stream(video_codec, rate=FPS, options=OPTIONS[video_codec])
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt, video.gop_size = WIDTH, HEIGHT, "yuv420p", GOP
        if video_codec != "libsvtav1":  # its low-delay mode takes no bit rate here
            video.bit_rate = 600_000
        audio = output.add_stream(audio_codec, rate=RATE, layout="stereo")
        assert isinstance(audio, AudioStream)
        began_s = time.monotonic()
        audio_number, audio_samples = 0, 960
        for number in range(int(seconds * FPS)):
            time.sleep(max(0.0, began_s + number / FPS - time.monotonic()))
            for packet in video.encode(picture(number)):
                output.mux(packet)
            while audio_number * audio_samples * FPS <= number * RATE:
                for packet in audio.encode(sound(audio_number, audio_samples)):
                    output.mux(packet)
                audio_number += 1


if __name__ == "__main__":
    publish(*sys.argv[1:4])
