"""The segments of one track that can be fetched, newest last, and which of them a playlist lists."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from openstreamer.media.track import TrackKind
from openstreamer.packager.options import PackagerOptions
from openstreamer.packager.segment import Init, Opening, Part, Segment

LEAST_LISTED_TARGETS: Final = 3  # section 6.2.2: no removal below three target durations of playlist


class TrackWindow:
    """A bounded run of segments with consecutive media sequence numbers, and the one that is growing.

    ``version`` rises with every part and segment: what is rendered from a window is valid for a version.
    ``least_listed_s`` is what a playlist has to last, even if that takes more segments than are asked for:
    where segments became shorter, or key frames closer, the target duration stays what it was.
    """

    def __init__(self, kind: TrackKind, options: PackagerOptions) -> None:
        self.kind = kind
        self.closed: deque[Segment] = deque()
        self.open: Segment | None = None
        self.version = 0
        self.media_bytes = 0
        self.least_listed_s = 0.0
        self._list_of = options.window_segments
        self._unlisted_of = options.retained_segments - options.window_segments
        self._first_listed_msn = 0
        self._most_bytes = options.max_window_bytes
        self._inits: dict[int, Init] = {}

    def begin(self, segment: Segment) -> None:
        """``segment`` grows from now on."""
        assert self.open is None, f"{self.open!r} is still open"
        self._use(segment.init)
        self.open = segment

    def amend(self, opening: Opening, init: Init | None) -> None:
        """The open segment, which has no part yet, begins otherwise than was decided. It remains the same
        object: its first part is hinted at, and may be waited for."""
        segment = self.open
        assert segment is not None
        segment.opening, segment.init = opening, init
        segment.start_pts_90k = opening.pts_90k
        self._use(init)

    def _use(self, init: Init | None) -> None:
        if init is not None:
            self._inits[init.number] = init

    def add_part(self, part: Part) -> None:
        """The open segment has one more part."""
        assert self.open is not None
        self.open.parts.append(part)
        self.open.size_bytes += len(part.data)
        self.media_bytes += len(part.data)
        self.version += 1
        self._fit()

    def adopt(self, options: PackagerOptions) -> None:
        """List and retain as many segments as ``options`` say from now on. What left the playlists does not
        come back: their media sequence number must not fall (section 6.2.2)."""
        self._list_of = options.window_segments
        self._unlisted_of = options.retained_segments - options.window_segments
        self._slide()
        self.version += 1

    def _slide(self) -> None:
        """Segments leave the playlist when there are enough after them, and memory a while later."""
        listed = self.listed
        listed_s = sum(segment.duration_s for segment in listed)
        for index in range(len(listed) - self._list_of):
            listed_s -= listed[index].duration_s
            if listed_s < self.least_listed_s:
                break
            self._first_listed_msn = listed[index + 1].msn
        while self.closed and self.closed[0].msn < self._first_listed_msn - self._unlisted_of:
            self._drop_oldest()

    def limit(self, most_bytes: int) -> None:
        """Hold no more than ``most_bytes`` from now on, except for the newest complete segment and the one
        that grows."""
        self._most_bytes = most_bytes
        self.version += self._fit()

    def _fit(self) -> bool:
        """Let the oldest segments go that are beyond the bound; returns whether there were any."""
        count = len(self.closed)
        while self.media_bytes > self._most_bytes and len(self.closed) > 1:
            self._drop_oldest()
        return len(self.closed) < count

    def close(self) -> Segment:
        """The open segment is complete; what slid out of the window is let go."""
        segment = self.open
        assert segment is not None
        self.open = None
        segment.closed = True
        self.closed.append(segment)
        self.version += 1
        self._slide()
        return segment

    def _drop_oldest(self) -> None:
        gone = self.closed.popleft()
        self.media_bytes -= gone.size_bytes
        needed = self.closed[0].init
        if gone.init is not None and gone.init is not needed:
            self._inits.pop(gone.init.number, None)

    def forget_lines(self) -> None:
        """PART-TARGET changed: lines with parts are rendered anew."""
        for segment in self.closed:
            segment.lines_with_parts = None

    @property
    def listed(self) -> Sequence[Segment]:
        """The complete segments that a playlist lists."""
        if not self.closed:
            return []
        return list(self.closed)[max(0, self._first_listed_msn - self.closed[0].msn) :]

    @property
    def has_media(self) -> bool:
        """Whether a player finds anything but gaps here."""
        if self.open is not None and self.open.parts:
            return True
        return any(not segment.gap for segment in self.listed)

    @property
    def last_msn(self) -> int | None:
        """The media sequence number of the last complete segment."""
        return self.closed[-1].msn if self.closed else None

    @property
    def last_part(self) -> tuple[int, int | None]:
        """Media sequence number and index of the newest part (the index is None after a gap)."""
        if self.open is not None and self.open.parts:
            return self.open.msn, len(self.open.parts) - 1
        last = self.closed[-1]
        return last.msn, len(last.parts) - 1 if last.parts else None

    def segment(self, msn: int) -> Segment | None:
        """The complete segment of this number that has media, while it is retained."""
        if not self.closed:
            return None
        index = msn - self.closed[0].msn
        if not 0 <= index < len(self.closed):
            return None
        segment = self.closed[index]
        return None if segment.gap else segment

    def part(self, msn: int, index: int) -> Part | None:
        """A part that exists."""
        segment = self.open if self.open is not None and self.open.msn == msn else self.segment(msn)
        if segment is None or not 0 <= index < len(segment.parts):
            return None
        return segment.parts[index]

    def init(self, number: int) -> Init | None:
        """An initialisation segment that a retained segment needs."""
        return self._inits.get(number)

    @property
    def inits(self) -> Sequence[Init]:
        return list(self._inits.values())
