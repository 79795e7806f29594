"""Where publishers and streams meet: one publish point per ``publish://`` input.

A listener asks for a slot, then runs its source in it; the stream takes sources from its publish point one
after the other. A slot is released in ``finally``, whatever ends it, and is visible to the API.
"""

import asyncio
import enum
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from openstreamer.media.errors import AccessError
from openstreamer.sources.base import Source

TAKEOVER_SILENCE_NS = 1_000_000_000  # a publisher that sent nothing for 1 s may be replaced (DESIGN 5)


class PublishRefusal(enum.Enum):
    """Why a publisher may not publish (any more). The value is the API's and the metric's word."""

    UNKNOWN_STREAM = "unknown_stream"
    DISABLED = "disabled"
    NO_PUBLISH_INPUT = "no_publish_input"
    WRONG_KEY = "wrong_key"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    OCCUPIED = "occupied"
    STOPPED = "stopped"
    TAKEN_OVER = "taken_over"
    OUT_OF_MEMORY = "out_of_memory"


class PublishRefused(AccessError):  # noqa: N818 - reads as what happened to the publisher
    """The publisher is not let in, or is sent away."""

    def __init__(self, reason: PublishRefusal, message: str) -> None:
        super().__init__(message, code=f"PUBLISH_{reason.name}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """Who wants to publish what.

    ``codes`` are the stream codes that the URL may mean, best first (``live/news`` may be the stream
    ``news`` or the stream ``live/news``); ``peer`` is ``address:port`` for logs; ``key`` is what the
    publisher presented as its stream key.
    """

    codes: tuple[str, ...]
    key: str | None
    protocol: str
    peer: str


def key_matches(expected: str | None, presented: str | None) -> bool:
    """Whether ``presented`` opens a stream whose key is ``expected``; constant time over equal lengths."""
    if not expected:
        return True
    return hmac.compare_digest(expected.encode(), (presented or "").encode())


class PublishSlot:
    """The right of one publisher to feed one stream; a context manager that gives it back."""

    def __init__(self, point: "PublishPoint", request: PublishRequest, now_ns: int) -> None:
        self.code = point.code
        self.request = request
        self.opened_ns = now_ns
        self.last_frame_ns = now_ns
        self._point = point
        self.eviction: PublishRefused | None = None
        self.on_evict: Callable[[], None] | None = None  # of whoever reads the source: to stop at once
        self._source: Source | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.release()

    async def run(self, source: Source) -> None:
        """Feed the stream from ``source`` until the source ends.

        Raises:
            PublishRefused: the stream stopped or another publisher took the slot over.
        """
        try:
            self._source = source
            self._point.source_arrived.set()
            await asyncio.shield(self._ended)
        finally:
            self.release()

    @property
    def source(self) -> Source | None:
        """What the publisher feeds, once its media session began."""
        return self._source

    def finish(self) -> None:
        """The stream has read the source to its end: ``run`` returns."""
        if not self._ended.done():
            self._ended.set_result(None)

    def evict(self, refusal: PublishRefused) -> None:
        """Send the publisher away: ``run`` raises ``refusal``, and whoever reads its source is told."""
        self.eviction = refusal
        tell, self.on_evict = self.on_evict, None
        if tell is not None:
            tell()
        if not self._ended.done():
            self._ended.set_exception(refusal)
            self._ended.exception()  # a slot that never ran must not warn about an unread exception
        self.release()

    def release(self) -> None:
        """Give the slot back; the next publisher is let in."""
        self.finish()
        self._point.remove(self)


class PublishPoint:
    """The one slot of a ``publish://`` input, with the rule of who may hold it."""

    def __init__(
        self, code: str, *, stream_key: str | None, clock_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.code = code
        self.stream_key = stream_key
        self.source_arrived = asyncio.Event()
        self.slot: PublishSlot | None = None
        self._clock_ns = clock_ns

    def offer(self, request: PublishRequest) -> PublishSlot:
        """Let a publisher in, or raise :class:`PublishRefused` with the reason."""
        if not key_matches(self.stream_key, request.key):
            raise PublishRefused(PublishRefusal.WRONG_KEY, f"stream {self.code}: wrong or missing stream key")
        now_ns = self._clock_ns()
        if self.slot is not None:
            self._take_over(self.slot, request, now_ns)
        self.slot = PublishSlot(self, request, now_ns)
        return self.slot

    def _take_over(self, current: PublishSlot, request: PublishRequest, now_ns: int) -> None:
        silent_ns = now_ns - current.last_frame_ns
        if silent_ns < TAKEOVER_SILENCE_NS:
            raise PublishRefused(
                PublishRefusal.OCCUPIED,
                f"stream {self.code} is being published by another encoder ({current.request.protocol})",
            )
        words = (
            f"the publisher was taken over by another one ({request.protocol} from {request.peer}):"
            f" no frame came from it for {silent_ns / 1e9:.1f} s"
        )
        current.evict(PublishRefused(PublishRefusal.TAKEN_OVER, words))

    async def next_source(self) -> tuple[PublishSlot, Source]:
        """Wait for a publisher whose source is ready."""
        while True:
            await self.source_arrived.wait()
            self.source_arrived.clear()
            slot = self.slot
            if slot is not None and slot.source is not None:
                return slot, slot.source

    def remove(self, slot: PublishSlot) -> None:
        """Forget ``slot`` if it still holds the point."""
        if self.slot is slot:
            self.slot = None

    def close(self) -> None:
        """Send the publisher away because the stream stops."""
        if self.slot is not None:
            self.slot.evict(
                PublishRefused(
                    PublishRefusal.STOPPED, f"stream {self.code} was stopped or restarts: connect again"
                )
            )
