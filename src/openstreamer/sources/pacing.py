"""When frames that came faster than real time are due: files, and segments that arrive in bursts.

Pure: time is a parameter, in seconds of any monotonic clock. Deadlines are computed from one anchor, so that
nothing drifts, however late each single release was.
"""

import math
from collections import deque

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.frame import Frame

BATCH_S = 0.04  # frames due within this go together: one wake-up per picture at 25 fps, fewer above
JUMP_90K = 2 * TICKS_PER_SECOND  # a step over 2 s is a restarted clock or a hole, as for the timeline
LATE_S = 1.0  # who is later than this does not catch up in a burst, but goes on from now
STEER_OVER_S = 30.0  # a wrong distance from the live edge is put right over this time
MAX_STEER = 0.03  # of the rate: players and the packager do not notice
LIVE_LEAD_S = 3.0  # that a live stream may be ahead of real time: servers begin with a GOP or two at once
PUSHED_S = 60.0  # since a server was held back last, until it counts as one that keeps time by itself


class Pacer:
    """Says when each frame is due, in the order in which frames are given.

    The first frame is due at once, unless ``start`` said otherwise. A time that jumps by more than 2 s goes
    on where the frame before was due. A consumer that comes late by more than ``late_s`` loses that time for
    good. ``speed`` is how many seconds of media go in a second, ``lead_s`` how far ahead of real time a clock
    may go on that jumped while its consumer was waiting for frames.
    """

    __slots__ = (
        "_anchor_90k",
        "_anchor_s",
        "_caught_up",
        "_hole_ends_90k",
        "_last_90k",
        "_late_s",
        "_lead_s",
        "_newest_90k",
        "_normal_ticks_per_s",
        "_ticks_per_s",
    )

    def __init__(self, *, late_s: float = LATE_S, speed: float = 1.0, lead_s: float = 0.0) -> None:
        self._late_s = late_s
        self._lead_s = lead_s
        self._hole_ends_90k: set[int] = set()
        self._anchor_90k: int | None = None
        self._anchor_s = 0.0
        self._ticks_per_s = self._normal_ticks_per_s = TICKS_PER_SECOND * speed
        self._newest_90k = 0
        self._last_90k: dict[int, int] = {}
        self._caught_up = True

    @property
    def rate(self) -> float:
        """1, or a little more or less while ``steer`` corrects."""
        return self._ticks_per_s / self._normal_ticks_per_s

    def start(self, dts_90k: int, due_s: float) -> None:
        """Let ``dts_90k`` be due at ``due_s``. When that is in the past, everything due until now goes at
        once: a live source begins with a key frame before the place where it wants to be."""
        self._anchor(dts_90k, due_s)
        self._caught_up = False

    def steer(self, ahead_s: float, target_s: float, now_s: float) -> None:
        """Go a little faster or slower: ``ahead_s`` of media wait, ``target_s`` should."""
        if self._anchor_90k is None:
            return
        self._anchor_90k += round((now_s - self._anchor_s) * self._ticks_per_s)
        self._anchor_s = now_s
        correction = (ahead_s - target_s) / STEER_OVER_S
        self._ticks_per_s = self._normal_ticks_per_s * (1.0 + max(-MAX_STEER, min(MAX_STEER, correction)))

    def due_s(self, frame: Frame, now_s: float) -> float:
        """When ``frame`` is due; in the past when it is late. Asking again for the same frame is fine."""
        dts = frame.dts_90k
        last = self._last_90k.get(frame.track.id, dts)
        self._last_90k[frame.track.id] = dts
        if self._anchor_90k is None:
            self._anchor(dts, now_s)
        elif dts < last - JUMP_90K or (dts > self._newest_90k + JUMP_90K and dts not in self._hole_ends_90k):
            self._anchor(dts, max(now_s - self._lead_s, self._due_s(self._newest_90k)))
        if dts < self._newest_90k:
            return self._due_s(dts)
        self.passed(dts)
        due_s = self._due_s(dts)
        if due_s >= now_s:
            self._caught_up = True
        elif self._caught_up and due_s < now_s - self._late_s:
            self._anchor(dts, now_s)
            due_s = now_s
        return due_s

    def limit_90k(self, until_s: float) -> int:
        """What is due at ``until_s``: for many frames at once, after ``due_s`` of the first of them. Tell the
        newest one with ``passed``."""
        assert self._anchor_90k is not None
        return self._anchor_90k + int((until_s - self._anchor_s) * self._ticks_per_s)

    def hole_until(self, dts_90k: int) -> None:
        """The frame at ``dts_90k`` follows a hole: its clock did not jump, and it is due at its time."""
        self._hole_ends_90k.add(dts_90k)

    def passed(self, dts_90k: int) -> None:
        """Frames up to this one were given out without ``due_s``."""
        self._newest_90k = max(self._newest_90k, dts_90k)
        if self._hole_ends_90k:
            self._hole_ends_90k = {each for each in self._hole_ends_90k if each > self._newest_90k}

    def take(self, queue: deque[Frame], now_s: float, batch_s: float = BATCH_S) -> list[Frame]:
        """Take the frames from the head of ``queue`` that are due within ``batch_s``."""
        taken: list[Frame] = []
        until_s = now_s + batch_s
        while queue and self.due_s(queue[0], now_s) <= until_s:
            taken.append(queue.popleft())
        return taken

    def wait_s(self, queue: deque[Frame], now_s: float) -> float:
        """How long the head of ``queue``, which may not be empty, has to wait."""
        return max(0.0, self.due_s(queue[0], now_s) - now_s)

    def _anchor(self, dts_90k: int, due_s: float) -> None:
        self._anchor_90k = self._newest_90k = dts_90k
        self._anchor_s = due_s

    def _due_s(self, dts_90k: int) -> float:
        assert self._anchor_90k is not None
        return self._anchor_s + (dts_90k - self._anchor_90k) / self._ticks_per_s


class LivePacer(Pacer):
    """Lets live media through as it comes, and holds back what gets ``LIVE_LEAD_S`` ahead of real time.

    What the network held up comes late and all at once, and is let through: live media does not wait for
    itself.
    """

    __slots__ = ("_pushed_s",)

    def __init__(self) -> None:
        super().__init__(late_s=math.inf, lead_s=LIVE_LEAD_S)
        self._pushed_s = -math.inf

    def start(self, dts_90k: int, due_s: float) -> None:
        """The first frame came at ``due_s``; so much more as live media may be ahead goes at once."""
        super().start(dts_90k, due_s - self._lead_s)

    def pushed(self, now_s: float) -> None:
        """The server sends more than is taken: it keeps no time, and none of its clock's is followed."""
        self._pushed_s = now_s

    def follow(self, queue: deque[Frame], now_s: float) -> None:
        """``queue`` is what had to wait. A clock that is a little fast, as every second one is, uses up its
        lead in the end: it is followed, instead of being kept waiting ever longer."""
        waits_s = 0.0
        if queue and now_s - self._pushed_s >= PUSHED_S:
            waits_s = self.wait_s(queue, now_s)
        if waits_s or self.rate != 1.0:
            self.steer(waits_s, 0.0, now_s)
