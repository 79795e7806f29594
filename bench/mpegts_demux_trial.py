"""What demultiplexing costs, by the size of the reads: the clip of the bench as ffmpeg writes it to MPEG-TS.

Run ``python -m bench.mpegts_demux_trial``.
"""

import subprocess
import time
from collections.abc import Callable
from functools import partial

from bench.clip import cached_clip
from openstreamer.media.frame import Frame
from openstreamer.wire.mpegts import MpegTsDemuxer, MpegTsMuxer

READ_SIZES = (1316, 7 * 1316, 64 * 1024)  # a datagram, what waits in a socket after 25 ms, a full read
ROUNDS = 7


def transport_stream() -> bytes:
    """The clip in MPEG-TS."""
    command = ["ffmpeg", "-loglevel", "error", "-i", str(cached_clip()), "-c", "copy", "-f", "mpegts", "-"]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout


def demux(data: bytes, read_bytes: int) -> tuple[list[Frame], MpegTsDemuxer]:
    """All frames of ``data``, in reads of one size."""
    demuxer, frames = MpegTsDemuxer(), list[Frame]()
    for start in range(0, len(data), read_bytes):
        frames += demuxer.receive_data(data[start : start + read_bytes])
    return frames + demuxer.receive_eof(), demuxer


def mux(frames: list[Frame], demuxer: MpegTsDemuxer) -> None:
    """Write ``frames`` again, three at a time as a hub's reader gets them."""
    muxer = MpegTsMuxer(demuxer.tracks)
    for start in range(0, len(frames), 3):
        muxer.mux(frames[start : start + 3])


def demux_costs_us() -> dict[int, list[float]]:
    """CPU time per packet in each round, by the size of the reads."""
    data = transport_stream()
    packets = demux(data, READ_SIZES[0])[1].statistics.packets
    return {
        size: [_timed(partial(demux, data, size)) / packets * 1e6 for _ in range(ROUNDS)]
        for size in READ_SIZES
    }


def main() -> None:
    """Print CPU time per packet and per stream-second, the best of some rounds."""
    data = transport_stream()
    frames, demuxer = demux(data, READ_SIZES[0])
    seconds = (frames[-1].dts_90k - frames[0].dts_90k) / 90_000
    packets = demuxer.statistics.packets
    print(f"{packets} packets, {len(data) * 8 / seconds / 1e6:.2f} Mbit/s, {len(frames)} frames")
    for read_bytes in READ_SIZES:
        best_s = min(_timed(partial(demux, data, read_bytes)) for _ in range(ROUNDS))
        cost = (
            f"{best_s / packets * 1e6:.2f} µs per packet, {best_s / seconds * 1e3:.2f} ms per stream-second"
        )
        print(f"demux, reads of {read_bytes:6} B: {cost}")
    best_s = min(_timed(partial(mux, frames, demuxer)) for _ in range(ROUNDS))
    print(f"mux: {best_s / seconds * 1e3:.2f} ms per stream-second")


def _timed(work: Callable[[], object]) -> float:
    began_s = time.process_time()
    work()
    return time.process_time() - began_s


if __name__ == "__main__":
    main()
