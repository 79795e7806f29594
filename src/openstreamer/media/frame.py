"""The packet that flows through the whole server."""

from collections.abc import Collection
from typing import Final

from openstreamer.media.track import Track

# What a frame takes in memory beside its payload: the object, its two times, the header of the bytes, the
# rounding of the allocator, a place in a queue. Measured with CPython 3.11 on Linux by the resident size in
# /proc/self/statm, before and after a list of 200,000 frames with N bytes of their own was made: each took N
# and 224 to 241 bytes, for N from 10 to 3000. Sound can have frames of 20 bytes: a queue that counts payload
# only would hold thirteen times its bound.
FRAME_BYTES: Final = 256


class Frame:
    """One coded access unit: the same from every source, into every sink, over every pipe.

    - ``pts_90k``, ``dts_90k``: presentation and decoding time in 1/90000 s, never wrapping; continuous per
      stream once the timeline has mapped them (a source delivers its own origin).
    - ``key``: a random access point; true only for video, or for audio when there is no video.
    - ``payload``: H.264 and H.265 as NAL units with 4-byte lengths, without access unit delimiters needed;
      AAC without ADTS; AV1 as low-overhead OBUs without temporal delimiters; other codecs as one
      codec frame.
    - ``epoch``: one higher whenever the source changed or restarted.

    A frame is written once by whoever makes it and never changed after it entered a hub. It is not frozen
    because building one is on the hottest path of the server.
    """

    __slots__ = ("dts_90k", "epoch", "key", "payload", "pts_90k", "track")

    def __init__(
        self, track: Track, pts_90k: int, dts_90k: int, key: bool, payload: bytes, epoch: int = 0
    ) -> None:
        self.track = track
        self.pts_90k = pts_90k
        self.dts_90k = dts_90k
        self.key = key
        self.payload = payload
        self.epoch = epoch

    @property
    def held_bytes(self) -> int:
        """What the frame takes in memory while it waits somewhere."""
        return FRAME_BYTES + len(self.payload)

    def __repr__(self) -> str:
        mark = "K" if self.key else "-"
        return (
            f"<Frame {self.track.codec}#{self.track.id} {mark} pts={self.pts_90k} dts={self.dts_90k} "
            f"{len(self.payload)} B epoch={self.epoch}>"
        )


def held_bytes(frames: Collection[Frame]) -> int:
    """What ``frames`` take in memory while they wait somewhere: bounds of queues count this."""
    return FRAME_BYTES * len(frames) + sum([len(frame.payload) for frame in frames])
