"""What one RTMP connection may cost."""

from dataclasses import dataclass

MAX_CHUNK_BYTES = 0xFFFFFF  # 5.4.1: a message has at most 16 777 215 bytes, so larger chunks are the same

# FFmpeg and other encoders copy what the server announces. Measured on the development machine, 3.3 Mbit/s:
# 4.6 ms of CPU per stream-second at 128 bytes, 1.9 at 4096, 1.6 at 60000: one chunk per message is cheapest.
DEFAULT_CHUNK_BYTES = 60_000


@dataclass(frozen=True, slots=True)
class RtmpLimits:
    """Bounds of one connection. Whoever exceeds one is disconnected with a ``RemoteProtocolError``."""

    max_video_bytes: int = 8 << 20  # a 4K key frame at 100 Mbit/s has about 3 MB
    max_audio_bytes: int = 64 << 10  # the largest coded frame, E-AC-3 with all its substreams, has 32 kB
    max_data_bytes: int = 256 << 10
    max_command_bytes: int = 64 << 10
    max_buffered_bytes: int = 12 << 20  # in unfinished messages of all chunk streams together
    max_chunk_streams: int = 64  # encoders use about six
    max_empty_messages: int = 2000  # without a body, beyond one per 64 bytes of all that came
    max_answers: int = 100  # to pings and bandwidths, beyond one per kilobyte of all that came
    max_message_streams: int = 8
    max_pending_calls: int = 32  # commands of ours that wait for their answer
