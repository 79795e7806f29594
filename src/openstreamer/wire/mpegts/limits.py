"""What a demuxer waits for and holds: every bound in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MpegTsLimits:
    """Bounds of an :class:`~openstreamer.wire.mpegts.demuxer.MpegTsDemuxer`.

    Waits are media time. ``max_silent_packets`` ends them where the stream has none (no clock, no
    timestamps); where it has, ``max_silent_packets_per_ms`` grants more: a long GOP of a high bit rate.
    """

    track_wait_ms: int = 1000  # for a stream that the PMT names and that does not come
    # For the parameter sets of video that does come: the usual longest GOP is of 250 pictures, 10.4 s.
    configuration_wait_ms: int = 11_500
    max_held_frames: int = 512  # before the tracks are known
    max_held_bytes: int = 8 << 20
    max_unit_bytes: int = 8 << 20  # one PES packet of video, one access unit
    max_sound_bytes: int = (
        128 << 10
    )  # one PES packet of it: that must say its length (2.4.3.7), 64 kB at most
    max_programs: int = 64  # whose PMTs are followed
    max_streams: int = 32  # of the chosen program
    max_garbage_bytes: int = 1 << 20  # in a row, between packets
    max_silent_packets: int = 20_000  # without any frame, before the first one: 3.7 MB
    max_silent_packets_per_ms: int = 66  # 100 Mbit/s
