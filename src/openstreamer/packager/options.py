"""What an operator and the stream's supervisor may choose about packaging."""

from dataclasses import dataclass
from typing import Final

MIN_WINDOW_SEGMENTS: Final = 6  # Apple's authoring rules ask for at least six segments in a live playlist
MSN_EPOCH_UNIX_S: Final = 1_704_067_200  # 2024-01-01
MSN_PER_S: Final = 3  # more than segments of the shortest target, 0.5 s, pass; and below 2^31 until 2046


@dataclass(frozen=True, slots=True)
class PackagerOptions:
    """Targets and bounds of one stream's packaging.

    - ``segment_target_s``: a segment ends at the first key frame that is at least this far from its start.
    - ``part_target_s``: what a part shall last at most; the real PART-TARGET is a whole number of frames.
    - ``window_segments``: how many complete segments the playlists list (at least six).
    - ``history_segments`` (``live_history``): how many more stay fetchable after they slid out, beyond
      ``grace_segments``. rfc8216bis section 6.2.2 would keep a segment for a whole playlist's duration after
      it left; at a 12-segment window that doubles the memory of every stream, and players join at most
      three target durations from the end. Three more segments cover a player that was about to fetch the
      oldest one; ``live_history`` buys the rest where it matters.
    - ``part_hold_back_parts``: how far from the live edge low-latency players stay. Section 4.4.3.8 asks for
      three parts at least; a fourth lets them bear a hiccup of one part more.
    - ``max_part_frames``, ``max_part_bytes``, ``max_segment_bytes``, ``max_window_bytes``: of one track.
      Times bound no memory: a source may send all its frames for the same instant. A window over its bound
      loses its oldest segments.
    - ``first_segment_target_s``: the first segment of a presentation may end sooner, so that the first
      picture does not wait for a whole segment.
    """

    segment_target_s: float = 2.0
    part_target_s: float = 0.334  # ten frames of 29.97 fps last 0.33367 s
    window_segments: int = 12
    history_segments: int = 0
    grace_segments: int = 3
    first_segment_target_s: float = 1.0
    part_hold_back_parts: float = 4.0
    max_waiters: int = 20_000
    max_part_frames: int = 1024
    max_part_bytes: int = 8 << 20
    max_segment_bytes: int = 128 << 20  # ten seconds between key frames at 100 Mbit/s
    max_window_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        if not 0.5 <= self.segment_target_s <= 60:
            raise ValueError(f"segment_target_s is {self.segment_target_s}, not within 0.5 and 60")
        if not 0.1 <= self.part_target_s <= self.segment_target_s:
            raise ValueError(f"part_target_s is {self.part_target_s}, not within 0.1 and the segment target")
        if self.window_segments < MIN_WINDOW_SEGMENTS:
            raise ValueError(f"window_segments is {self.window_segments}, below {MIN_WINDOW_SEGMENTS}")
        if self.history_segments < 0 or self.grace_segments < 1:
            raise ValueError("history_segments is negative, or grace_segments below 1")

    @property
    def retained_segments(self) -> int:
        """How many complete segments are kept in all."""
        return self.window_segments + self.history_segments + self.grace_segments


def first_media_sequence(unix_s: float) -> int:
    """A media sequence number to begin with that is above all numbers used before a restart.

    The numbers pass with time, at a rate that depends on no setting and that segments do not reach, not even
    those cut short by publishers that reconnect every second. So numbers never fall when the segment target
    was changed meanwhile, and a restarted server never reuses the name of a cached segment.
    """
    return max(0, int((unix_s - MSN_EPOCH_UNIX_S) * MSN_PER_S))
