"""The frames of one or two playlists, put on one clock and given out when they are due. Pure: time comes in.

A discontinuity starts a new clock. The renditions of a presentation have their discontinuities in common, so
that one offset, chosen when the first of them gets there, keeps picture and sound together.
"""

from collections import deque

from openstreamer.media.frame import Frame, held_bytes
from openstreamer.sources.hls.follow import Period
from openstreamer.sources.pacing import JUMP_90K, Pacer
from openstreamer.sources.ticks import TICK_S

BATCH_S = 3 * TICK_S  # frames due within this go together: eight wake-ups a second
TURN_90K = 1 << 33  # one turn of the clock of MPEG-TS and packed audio
HALF_TURN_90K = TURN_90K >> 1
LONGEST_STEP_90K = 45_000  # what one frame may claim as its duration
DEFAULT_STEP_90K = {True: 3600, False: 1920}  # of a picture at 25 fps, of 1024 samples at 48 kHz
HOLE_SLACK_90K = 90_000  # by which durations in a playlist may be wrong
LOOKED_AT = 64  # frames, for the first one of each track

_Clock = tuple[Period, int]  # a period, and how often the time of a rendition fell inside it


class _Queue:
    """The frames of one rendition that wait: those on the common clock, and runs of those that come after a
    discontinuity, whose offset is chosen when it is their turn."""

    __slots__ = (
        "falls",
        "hole_90k",
        "last_90k",
        "marks",
        "period",
        "placed",
        "put",
        "runs",
        "shift_90k",
        "taken",
    )

    def __init__(self) -> None:
        self.placed: deque[Frame] = deque()
        self.runs: deque[tuple[Period, list[Frame]]] = deque()
        self.period: Period | None = None  # of the last frame that was placed
        self.falls = 0
        self.shift_90k = 0  # whole turns of a 33-bit clock
        self.last_90k: int | None = None  # container time of the last frame that was placed
        self.hole_90k = 0  # what is missing, until frames from behind it are placed
        self.put = 0  # frames, ever
        self.taken = 0
        self.marks: deque[int] = deque()  # the value of ``put`` at the end of each segment that waits


class FrameMerger:
    """Queues per rendition in; frames in time order, due now, out."""

    def __init__(self, renditions: int, pacer: Pacer | None = None) -> None:
        self.pacer = pacer or Pacer()
        self.dropped_frames = 0
        self.queued_bytes = 0  # of memory
        self._queues = [_Queue() for _ in range(renditions)]
        self._offsets: dict[_Clock, int] = {}
        self._references: dict[_Clock, int] = {}  # container time of the first frame of a clock
        self._first_period: Period | None = None
        self._start_out: int | None = None  # where the first rendition began
        self._last_out: dict[int, int] = {}  # by track
        self._end_out: dict[int, int] = {}

    # ------------------------------------------------------------------ in

    def put(self, rendition: int, period: Period, frames: list[Frame]) -> None:
        """Queue frames in the order of their container."""
        if not frames:
            return
        queue = self._queues[rendition]
        queue.put += len(frames)
        self.queued_bytes += held_bytes(frames)
        if queue.runs:
            last_period, last = queue.runs[-1]
            if last_period == period:
                last += frames
            else:
                queue.runs.append((period, list(frames)))
        elif queue.period == period:
            self._place_all(queue, period, frames)
        else:
            queue.runs.append((period, list(frames)))

    def hole(self, rendition: int, hole_90k: int) -> None:
        """About ``hole_90k`` are missing between the frames put so far and those to come: that is time that
        passes without frames. Across a discontinuity the clock that follows begins so much later."""
        self._queues[rendition].hole_90k = hole_90k

    def segment_ends(self, rendition: int) -> None:
        """The frames put so far are whole segments."""
        self._queues[rendition].marks.append(self._queues[rendition].put)

    def segments_ahead(self, rendition: int) -> int:
        """How many whole segments wait, the one that is being given out included."""
        queue = self._queues[rendition]
        while queue.marks and queue.marks[0] <= queue.taken:
            queue.marks.popleft()
        return len(queue.marks)

    def ahead_s(self, rendition: int) -> float | None:
        """How much media waits; None across a discontinuity."""
        queue = self._queues[rendition]
        if queue.runs or not queue.placed:
            return None
        return (queue.placed[-1].dts_90k - queue.placed[0].dts_90k) / 90_000

    # ------------------------------------------------------------------ out

    def has_frames(self, rendition: int) -> bool:
        """Whether anything of it waits."""
        queue = self._queues[rendition]
        return bool(queue.placed or queue.runs)

    def __bool__(self) -> bool:
        return any(queue.placed or queue.runs for queue in self._queues)

    def begin(self, burst_s: float, now_s: float) -> None:
        """Start giving out with the first frame of the first rendition; ``burst_s`` of media go at once. What
        other renditions have from before that moment is dropped, as it would be silence without a picture."""
        first = self._head(self._queues[0])
        if first is None:
            return
        self.pacer.start(first.dts_90k, now_s - burst_s)
        self._start_out = first.dts_90k
        for queue in self._queues[1:]:
            while (head := self._head(queue)) is not None and head.dts_90k < first.dts_90k:
                self._drop(queue, queue.placed.popleft())

    def take(self, now_s: float) -> list[Frame]:
        """The frames that are due, in the order of their decoding times."""
        queue = self._earliest()
        if queue is None or self.pacer.due_s(queue.placed[0], now_s) > now_s + BATCH_S:
            return []
        # The head is due; the limit may be a tick before it, because it is rounded.
        limit_90k = max(self.pacer.limit_90k(now_s + BATCH_S), queue.placed[0].dts_90k)
        taken: list[Frame] = []
        alone = len(self._queues) == 1
        while queue is not None and queue.placed[0].dts_90k <= limit_90k:
            placed = queue.placed
            before = len(taken)
            while placed and placed[0].dts_90k <= limit_90k:
                taken.append(placed.popleft())
                if not alone:
                    break
            queue.taken += len(taken) - before
            queue = self._earliest()
        self.queued_bytes -= held_bytes(taken)
        self.pacer.passed(max(frame.dts_90k for frame in taken[-LOOKED_AT:]))
        return taken

    def wait_s(self, now_s: float) -> float | None:
        """How long until the next frame is due; None when there is none."""
        queue = self._earliest()
        return None if queue is None else max(0.0, self.pacer.due_s(queue.placed[0], now_s) - now_s)

    def _earliest(self) -> _Queue | None:
        """The rendition whose frame comes next; its ``placed`` is not empty."""
        found: _Queue | None = None
        for queue in self._queues:
            head = self._head(queue)
            if head is not None and (found is None or head.dts_90k < found.placed[0].dts_90k):
                found = queue
        return found

    def _head(self, queue: _Queue) -> Frame | None:
        while not queue.placed and queue.runs:
            period, frames = queue.runs.popleft()
            self._place_all(queue, period, frames)
        return queue.placed[0] if queue.placed else None

    def _drop(self, queue: _Queue, frame: Frame) -> None:
        self.queued_bytes -= frame.held_bytes
        self.dropped_frames += 1
        queue.taken += 1

    # ------------------------------------------------------------------ the common clock

    def _place_all(self, queue: _Queue, period: Period, frames: list[Frame]) -> None:
        """Put frames of one period on the common clock."""
        joins = queue.period == period or self._enter(queue, period)
        for index, frame in enumerate(frames):
            if joins and self._place(queue, frame, frames, index):
                queue.placed.append(frame)
            else:
                self._drop(queue, frame)

    def _enter(self, queue: _Queue, period: Period) -> bool:
        """A period begins in a rendition; False when it has no place on the common clock."""
        if queue.period is None and not self._join(period):
            return False
        queue.period = period
        queue.falls = 0
        queue.shift_90k = 0
        queue.last_90k = self._references.get((period, 0))
        return True

    def _place(self, queue: _Queue, frame: Frame, frames: list[Frame], index: int) -> bool:
        """Put a frame, ``frames[index]``, on the common clock; False when it is sound from a moment that has
        passed."""
        raw = frame.dts_90k + queue.shift_90k
        before = queue.last_90k
        if before is not None and not -HALF_TURN_90K < raw - before < HALF_TURN_90K:
            raw = self._unturned(queue, raw, before)
        offset = self._offset(queue, raw, frames, index)
        dts = raw + offset
        last = self._last_out.get(frame.track.id)
        if last is not None and dts < last - JUMP_90K:
            queue.falls += 1  # the clock fell without a word: the encoder began anew
            offset = self._offset(queue, raw, frames, index)
            dts = raw + offset
        if queue.hole_90k and last is not None and dts > last + JUMP_90K:
            self._step(queue, dts, dts - last)
        queue.last_90k = raw
        pts = frame.pts_90k - frame.dts_90k + dts
        if last is None and self._start_out is not None and dts < self._start_out:
            return False
        if last is not None and dts < last:
            if not frame.track.is_video:
                return False
            dts = last
            pts = max(pts, dts)
        self._note(frame, dts, last)
        frame.dts_90k, frame.pts_90k = dts, pts
        return True

    def _step(self, queue: _Queue, dts_90k: int, step_90k: int) -> None:
        """The clock of a rendition with a hole steps: over the hole, if it is not by more than that."""
        if step_90k <= queue.hole_90k + HOLE_SLACK_90K:
            self.pacer.hole_until(dts_90k)
        queue.hole_90k = 0

    def _join(self, period: Period) -> bool:
        """A rendition begins. What it has from before the first discontinuity that the others know of has no
        place; and when it counts discontinuities otherwise, it is on their clock all the same."""
        if self._first_period is None:
            self._first_period = period
        elif period < self._first_period:
            return False
        elif (period, 0) not in self._offsets:
            self._offsets[period, 0] = self._offsets[self._first_period, 0]
            self._references[period, 0] = self._references[self._first_period, 0]
        return True

    @staticmethod
    def _unturned(queue: _Queue, raw_90k: int, last_90k: int) -> int:
        """Container time without the turns of a 33-bit clock that another demuxer did not see."""
        turns = (raw_90k - last_90k + HALF_TURN_90K) // TURN_90K
        queue.shift_90k -= turns * TURN_90K
        return raw_90k - turns * TURN_90K

    def _note(self, frame: Frame, dts_90k: int, last_90k: int | None) -> None:
        track = frame.track.id
        step_90k = dts_90k - last_90k if last_90k is not None else 0
        if not 0 < step_90k <= LONGEST_STEP_90K:
            step_90k = DEFAULT_STEP_90K[frame.track.is_video]
        self._last_out[track] = dts_90k
        self._end_out[track] = dts_90k + step_90k

    def _offset(self, queue: _Queue, raw_90k: int, frames: list[Frame], index: int) -> int:
        assert queue.period is not None
        clock = (queue.period, queue.falls)
        offset = self._offsets.get(clock)
        if offset is None:
            offset = self._first_offset(raw_90k, frames, index) + (queue.hole_90k if self._end_out else 0)
            self._forget_old()
            self._offsets[clock] = offset
            self._references[clock] = raw_90k
        return offset

    def _first_offset(self, raw_90k: int, frames: list[Frame], index: int) -> int:
        """No track may begin before it ended on the clock before; the one that is latest decides."""
        if not self._end_out:
            return 0
        correction = raw_90k - frames[index].dts_90k
        firsts: dict[int, int] = {}
        for frame in frames[index : index + LOOKED_AT]:
            firsts.setdefault(frame.track.id, frame.dts_90k + correction)
        gaps = [self._end_out[track] - first for track, first in firsts.items() if track in self._end_out]
        return max(gaps, default=max(self._end_out.values()) - raw_90k)

    def _forget_old(self) -> None:
        """Clocks that no rendition can come back to: all but the newest few."""
        while len(self._offsets) >= 8:
            oldest = next(iter(self._offsets))
            del self._offsets[oldest]
            self._references.pop(oldest, None)
