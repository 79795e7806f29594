"""Decoding times for pictures that have presentation times only (ISO/IEC 13818-1 section 2.7.5)."""

from heapq import heappush, heappushpop

from openstreamer.media.clock import TICKS_PER_SECOND

_DEPTH_MAX = 16  # pictures a decoder may have to reorder, in H.264 and in H.265
_JUMP_90K = TICKS_PER_SECOND  # more between two pictures is another clock
_PICTURE_90K = TICKS_PER_SECOND // 50  # until the stream says how long one lasts


class DecodingTimes:
    """Finds out what a multiplexer should have written.

    When pictures are reordered by at most ``n``, the picture number ``i`` in decoding order must be decoded
    when the picture number ``i - n`` in order of presentation is shown. Where ``n`` is declared too small or
    not at all, it grows with every picture that is late; the decoding times of those are behind their
    presentation.
    """

    __slots__ = ("_depth", "_last_90k", "_last_pts_90k", "_later", "_picture_90k")

    def __init__(self) -> None:
        self._depth = 0
        self._picture_90k = _PICTURE_90K
        self._later: list[int] = []  # a heap: presentation times that no picture was decoded at yet
        self._last_90k = 0
        self._last_pts_90k: int | None = None

    def expect(self, depth: int, picture_90k: int) -> None:
        """By how many pictures they may be reordered, and how long one lasts (0: not known)."""
        self._picture_90k = picture_90k or _PICTURE_90K
        if depth > self._depth:
            self._depth = min(depth, _DEPTH_MAX)
            self._last_pts_90k = None

    def of(self, pts_90k: int) -> int:
        """The decoding time of the next picture in decoding order; they do not fall but after a jump."""
        last_pts_90k, self._last_pts_90k = self._last_pts_90k, pts_90k
        if last_pts_90k is None or abs(pts_90k - last_pts_90k) > _JUMP_90K:
            self._later = [pts_90k - number * self._picture_90k for number in range(self._depth, 0, -1)]
            self._last_90k = heappushpop(self._later, pts_90k)
        elif pts_90k < self._last_90k and self._depth < _DEPTH_MAX:
            self._depth += 1
            heappush(self._later, pts_90k)
        else:
            self._last_90k = max(self._last_90k, heappushpop(self._later, pts_90k))
        return self._last_90k
