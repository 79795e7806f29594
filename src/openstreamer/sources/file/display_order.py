"""Presentation times for pictures of which a container stores the decoding order and nothing else.

AVI counts pictures, and a bare elementary stream not even that. The pictures say themselves in which order
they are shown (:mod:`openstreamer.media.picture_order`); at the pace of the container, the one that is shown
as number ``k`` has the time of number ``k``, and is decoded as many pictures earlier as they are reordered.
"""

from collections import deque
from fractions import Fraction
from heapq import heappop, heappush

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h265 import H265Config
from openstreamer.media.picture_order import PictureOrder, Place

DEPTH_MAX = 16  # pictures a decoder may have to reorder, in H.264 and in H.265
MEASURED_PICTURES = 48  # looked at where the stream does not say how far they are reordered
USUAL_FRAME_RATE = 25  # of streams that do not say
USUAL_PICTURE_90K = TICKS_PER_SECOND // USUAL_FRAME_RATE


class _Waiting:
    """A picture whose presentation time is not known yet."""

    __slots__ = ("frame", "number", "shown")

    def __init__(self, frame: Frame, number: int) -> None:
        self.frame = frame
        self.number = number  # in decoding order
        self.shown: int | None = None  # its number in the order of presentation


class DisplayOrder:
    """Feed ``add`` with the pictures in decoding order; they come out in that order, with their times.

    ``counted``: the container has no times at all, and pictures follow each other at the declared rate.
    Holds at most ``MEASURED_PICTURES``.
    """

    def __init__(self, *, counted: bool) -> None:
        self._counted = counted
        self._order = PictureOrder()
        self._number = 0  # of the next picture in decoding order
        self._shown = 0  # and in the order of presentation
        self._depth: int | None = None  # by how many pictures they are reordered, once it is known
        self._ahead = DEPTH_MAX  # so many pictures are looked at before the first in order is sure
        self._by_place: list[tuple[Place, int, _Waiting]] = []  # a heap
        self._waiting: deque[_Waiting] = deque()
        self._times_90k: dict[int, int] = {}  # of the container, by number in decoding order
        self._counted_90k = Fraction(0)
        self._last_dts_90k: int | None = None

    def add(self, frame: Frame) -> list[Frame]:
        """The frames whose times are known with this one.

        Raises:
            MediaError: the picture is damaged.
            SourceRejected: its order is said in a way that is not read.
        """
        waiting = _Waiting(frame, self._number)
        heappush(self._by_place, (self._place(frame), self._number, waiting))
        self._times_90k[self._number] = self._time_90k(frame)
        self._waiting.append(waiting)
        self._number += 1
        if self._depth is None and len(self._waiting) < MEASURED_PICTURES:
            return []
        return self._release(self._ahead)

    def end(self) -> list[Frame]:
        """There is no more: the frames that are left."""
        return self._release(0)

    def _place(self, frame: Frame) -> Place:
        config = frame.track.config
        if not isinstance(config, H264Config | H265Config):  # AV1 and VP9 are stored as they are shown
            self._depth = self._ahead = 0
            return 0, self._number
        reorder_frames = config.info.reorder_frames
        if reorder_frames is not None:
            self._depth = self._ahead = max(self._depth or 0, min(reorder_frames, DEPTH_MAX))
        if not self._depth and reorder_frames == 0:
            return 0, self._number
        return self._order.place(frame.payload, config)

    def _time_90k(self, frame: Frame) -> int:
        if not self._counted:
            return frame.dts_90k
        time_90k = round(self._counted_90k)
        self._counted_90k += Fraction(TICKS_PER_SECOND) / (frame.track.video.frame_rate or USUAL_FRAME_RATE)
        return time_90k

    def _release(self, ahead: int) -> list[Frame]:
        while len(self._by_place) > ahead:
            heappop(self._by_place)[2].shown = self._shown
            self._shown += 1
        if self._depth is None:
            late = (each.number - each.shown for each in self._waiting if each.shown is not None)
            self._depth = max(late, default=0)
        frames = []
        while self._waiting and self._waiting[0].shown is not None:
            frames.append(self._timed(self._waiting.popleft()))
        return frames

    def _timed(self, waiting: _Waiting) -> Frame:
        """Shown when the container has its picture of that number; decoded early enough for that."""
        assert waiting.shown is not None
        frame, times_90k, number = waiting.frame, self._times_90k, waiting.number
        early = number - (self._depth or 0)
        if early >= 0:
            dts_90k = times_90k[early]
        else:
            picture_90k = times_90k.get(1, times_90k[0] + USUAL_PICTURE_90K) - times_90k[0]
            dts_90k = times_90k[0] + early * picture_90k
        if self._last_dts_90k is not None:
            dts_90k = max(dts_90k, self._last_dts_90k)
        self._last_dts_90k = frame.dts_90k = dts_90k
        frame.pts_90k = max(times_90k[waiting.shown], dts_90k)
        times_90k.pop(number - DEPTH_MAX, None)
        return frame
