"""Files → one FLV file, by the libav that PyAV has: it writes Enhanced FLV, which older ones do not.

python -m tests.corpus.remux INPUT… OUTPUT
"""

import contextlib
import sys

import av


def remux(inputs: list[str], output: str) -> None:
    """Put the first stream of every input into ``output``, in the order of decoding."""
    av.logging.set_level(av.logging.ERROR)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(av.open(path)) for path in inputs]
        target = stack.enter_context(av.open(output, "w", format="flv"))
        packets = []
        for source in sources:
            stream = target.add_stream_from_template(source.streams[0], opaque=True)
            for packet in source.demux(source.streams[0]):
                if packet.dts is None or packet.time_base is None:
                    continue
                at_s = packet.dts * packet.time_base
                packet.stream = stream
                packets.append((at_s, packet))
        for _, packet in sorted(packets, key=lambda each: each[0]):
            target.mux(packet)


if __name__ == "__main__":
    remux(sys.argv[1:-1], sys.argv[-1])
