"""A publisher built on libav, as a process: sends a file as it is, in real time, by Enhanced RTMP.

python -m tests.support.remux_publisher FILE rtmp://host/live/code
"""

import sys
import time

import av


def publish(path: str, url: str) -> None:
    """Send all of ``path``, paced by its decoding times."""
    av.logging.set_level(av.logging.ERROR)
    with av.open(path) as source, av.open(url, "w", format="flv") as output:
        streams = {stream: output.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        began_s = time.monotonic()
        for packet in source.demux():
            if packet.dts is None or packet.time_base is None:
                continue
            time.sleep(max(0.0, began_s + float(packet.dts * packet.time_base) - time.monotonic()))
            packet.stream = streams[packet.stream]
            output.mux(packet)


if __name__ == "__main__":
    publish(sys.argv[1], sys.argv[2])
