"""Runs in a child process: opens each encoder once and prints a JSON object of name → "" or why not.

libav never runs in the server or the command line itself; see DESIGN 3.
"""

import json
import sys
from fractions import Fraction
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.video.codeccontext import VideoCodecContext

PROBED_ENCODERS: Final = ("libx264", "libx265", "libsvtav1", "aac", "libopus")


def probe(name: str) -> str:
    """Open the encoder as the server would; the empty string when it works."""
    try:
        context = av.CodecContext.create(name, "w")
        if isinstance(context, VideoCodecContext):
            context.width, context.height, context.pix_fmt = 320, 180, "yuv420p"
            context.framerate = Fraction(25)
        elif isinstance(context, AudioCodecContext):
            context.sample_rate, context.layout = 48_000, "stereo"
            context.format = "flt" if name == "libopus" else "fltp"
        context.open()
    except (av.FFmpegError, ValueError) as err:
        return str(err) or type(err).__name__
    return ""


if __name__ == "__main__":
    av.logging.set_level(av.logging.PANIC)
    sys.stdout.write(json.dumps({name: probe(name) for name in sys.argv[1:]}))
