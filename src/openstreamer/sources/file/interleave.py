"""Tracks that a container stores in long runs, merged into decoding order. Pure and bounded."""

from collections import deque

from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.frame import Frame

MAX_SPAN_90K = 12 * TICKS_PER_SECOND  # fragments of ten seconds, one track after the other
MAX_HELD_BYTES = 8 << 20


class Interleaver:
    """Frames in the order of their container in; frames in decoding order out.

    A track that has nothing waiting holds the others back, until ``max_span_90k`` of media or
    ``max_held_bytes`` wait: then it is taken to have ended or to be far behind.
    """

    def __init__(self, *, max_span_90k: int = MAX_SPAN_90K, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self._max_span_90k = max_span_90k
        self._max_held_bytes = max_held_bytes
        self._queues: dict[int, deque[Frame]] = {}
        self._newest_90k: int | None = None
        self.held_bytes = 0  # of memory

    def put(self, frames: list[Frame], tracks: int) -> list[Frame]:
        """The frames that can go; ``tracks`` is how many tracks there are."""
        for frame in frames:
            self._queues.setdefault(frame.track.id, deque()).append(frame)
            self.held_bytes += frame.held_bytes
            if self._newest_90k is None or frame.dts_90k > self._newest_90k:
                self._newest_90k = frame.dts_90k
        if tracks <= 1 and len(self._queues) <= 1:
            return self._pop_all()
        out: list[Frame] = []
        complete = len(self._queues) >= tracks and all(self._queues.values())
        while (queue := self._earliest()) is not None:
            if not complete and not self._is_full(queue[0]):
                break
            out.append(self._pop(queue))
            complete = complete and bool(queue)
        return out

    def end(self) -> list[Frame]:
        """Nothing more comes in this pass: the rest, and forget the tracks."""
        out = self._pop_all()
        self._queues.clear()
        self._newest_90k = None
        return out

    def _pop_all(self) -> list[Frame]:
        out: list[Frame] = []
        while (queue := self._earliest()) is not None:
            out.append(self._pop(queue))
        return out

    def _earliest(self) -> deque[Frame] | None:
        """The queue whose head is decoded first; None when all are empty."""
        found: deque[Frame] | None = None
        for queue in self._queues.values():
            if queue and (found is None or queue[0].dts_90k < found[0].dts_90k):
                found = queue
        return found

    def _is_full(self, head: Frame) -> bool:
        assert self._newest_90k is not None
        return self.held_bytes > self._max_held_bytes or self._newest_90k - head.dts_90k > self._max_span_90k

    def _pop(self, queue: deque[Frame]) -> Frame:
        frame = queue.popleft()
        self.held_bytes -= frame.held_bytes
        return frame
