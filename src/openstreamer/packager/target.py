"""TARGETDURATION: above the longest segment to come, from the distance of key frames in the first one.

rfc8216bis section 6.2.1: it must not change. Section 4.4.3.1: EXTINF rounded to the nearest integer must not
exceed it. A first segment may be short, and a segment ends at the first key frame at its target: with key
frames 1.5 s apart and a target of 2 s the first segment lasts 1.5 s, and all after it last 3 s. Where an
encoder puts key frames at scene changes as well, a segment ends early rather than late.
"""

import math
from collections import deque
from typing import Final

from openstreamer.media.frame import Frame
from openstreamer.packager.segment import Opening

_ROUNDING_S: Final = 0.005  # timestamps rounded to milliseconds, over a few key frames
# The next key frame is expected within the longest distance of this time: the one that the encoder keeps
# while no scene changes, which many changes in a row hide.
_REMEMBERED_90K: Final = 60 * 90_000


class TargetDuration:
    """The value of one presentation, ``seconds``. It grows when a segment of video ends whose key frames are
    too far apart for it, and then far enough for all of that distance; it never shrinks.

    ``segment_target_s`` is how long segments shall be; a key frame ``early_90k`` before is at the target.
    """

    def __init__(self, segment_target_s: float, early_90k: int) -> None:
        self.seconds = 1
        self._usual_distance_s = 0.0  # of key frames, in the last complete segment of video
        self.adopt(segment_target_s, early_90k)
        self._last_key_90k: int | None = None
        self._distance_90k = 0  # the longest of key frames in the growing segment
        # Key frames by PTS and their distance to the one before, as far as none after it was as long.
        self._distances_90k: deque[tuple[int, int]] = deque()

    def adopt(self, segment_target_s: float, early_90k: int) -> None:
        """Segments shall have another length from now on. Longer ones make the value grow before the first
        of them does; shorter ones leave it as it is, since it must not change."""
        self._least_s = segment_target_s - early_90k / 90_000 + _ROUNDING_S
        self._certain = False  # the distance of key frames has been seen
        self.seconds = max(self.seconds, math.ceil(segment_target_s), _rounded(self._longest_s))

    @property
    def _longest_s(self) -> float:
        """How long segments become: the first multiple of the key frames' distance at the target."""
        distance_s = self._usual_distance_s
        return math.ceil(self._least_s / distance_s) * distance_s if distance_s else 0.0

    def key_frame(self, frame: Frame, growing: Opening | None) -> None:
        """A key frame comes, which may end the segment that grows."""
        before, self._last_key_90k = self._last_key_90k, frame.pts_90k
        if growing is None or before is None or before < growing.pts_90k or frame.epoch != growing.epoch:
            self._distance_90k = 0
        else:
            self._distance_90k = max(self._distance_90k, frame.pts_90k - before)
            self._remember(frame.pts_90k, frame.pts_90k - before)

    def _remember(self, key_90k: int, distance_90k: int) -> None:
        distances = self._distances_90k
        while distances and distances[-1][1] <= distance_90k:
            distances.pop()
        while distances and distances[0][0] < key_90k - _REMEMBERED_90K:
            distances.popleft()
        distances.append((key_90k, distance_90k))

    def ends_early(self, growing: Opening, key_90k: int) -> bool:
        """Whether the growing segment of video has to end at a key frame before its target: until the next
        one it could become too long."""
        if not self._certain:
            return False
        distance_90k = self._distances_90k[0][1] if self._distances_90k else 0
        longest_90k = key_90k + distance_90k - growing.pts_90k
        return _rounded(longest_90k / 90_000 + _slack_s(growing)) > self.seconds

    def video_ends(self, growing: Opening, until_90k: int) -> None:
        """The growing segment of video ends: no playlist has it yet. A distance of key frames that is a
        little irregular (a lost picture) changes nothing unless a segment becomes too long by it."""
        distance_s, self._distance_90k = self._distance_90k / 90_000, 0
        if distance_s <= 0:
            return
        self._usual_distance_s = distance_s
        duration_s = (until_90k - growing.pts_90k) / 90_000
        if self._certain and _rounded(duration_s) <= self.seconds:
            return
        self._certain = True
        self.seconds = max(self.seconds, _rounded(self._longest_s + _slack_s(growing)))

    def parts_of(self, part_target_s: float) -> None:
        """PART-TARGET became known: less than one picture in two seconds makes it long."""
        self.seconds = max(self.seconds, math.ceil(part_target_s))

    def segment_ready(self, duration_s: float) -> None:
        """Whatever a complete segment lasts, the value is not below it."""
        self.seconds = max(self.seconds, _rounded(duration_s))


def _rounded(duration_s: float) -> int:
    return int(duration_s + 0.5)


def _slack_s(opening: Opening) -> float:
    """By how much a segment may last longer than from key frame to key frame: audio is cut at its nearest
    frame, so its segment may be longer than video's by half of one at each end."""
    audio = opening.generation.audio
    audio_s = audio.audio.samples_per_frame / audio.audio.timescale if audio is not None else 0.0
    return max(_ROUNDING_S, audio_s)
