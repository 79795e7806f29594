"""``test://``: colour bars, a burnt-in clock and a tone, made by a child process."""

import asyncio
from types import TracebackType
from typing import Any, Self

from openstreamer.config.input_urls import TestInput
from openstreamer.media.errors import (
    SourceEnded,
    SourceError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.child import START_DEADLINE_S, ChildDied, ChildLimits, ChildProcess
from openstreamer.wire.pipe import End, Hello, Message, PipeEvent, TracksAnnounced

CHILD_MODULE = "openstreamer.sources.testcard_child"
SILENCE_S = 5.0  # the child speaks at least every 50 ms
PENDING_BYTES = 1024 * 1024  # four seconds at the default bit rate


class TestcardSource:
    """A :class:`~openstreamer.sources.base.Source` that makes its own pictures.

    ``silence_s`` is how long the child may say nothing; ``pending_bytes`` how much it may be ahead of
    ``receive`` before it is blocked.
    """

    __test__ = False

    def __init__(
        self,
        settings: TestInput,
        *,
        silence_s: float = SILENCE_S,
        pending_bytes: int = PENDING_BYTES,
        child: ChildProcess | None = None,
    ) -> None:
        self.child = child or ChildProcess(
            CHILD_MODULE,
            _arguments(settings),
            name="the test card",
            limits=ChildLimits(pending_bytes=pending_bytes),
        )
        self._silence_s = silence_s
        self._tracks: tuple[Track, ...] = ()
        self._frames: list[Frame] = []
        self._farewell: SourceError | None = None
        self._statistics = SourceStatistics()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Video and audio; known once it is entered."""
        return self._tracks

    @property
    def protocol(self) -> str:
        """``test``."""
        return "test"

    @property
    def statistics(self) -> SourceStatistics:
        """``dropped_frames`` are the pictures left out because somebody stalled."""
        return self._statistics

    @property
    def arrived_ns(self) -> None:
        """Nothing came over a network."""

    async def __aenter__(self) -> Self:
        try:
            await self.child.__aenter__()
        except ChildDied as err:
            raise SourceUnreachable(str(err)) from err
        try:
            async with asyncio.timeout(START_DEADLINE_S):
                while not self._tracks:
                    await self._take()
        except TimeoutError as err:
            await self.child.__aexit__(TimeoutError, err, None)
            raise SourceUnreachable(f"the test card did not start within {START_DEADLINE_S:g} s") from err
        except BaseException as err:
            await self.child.__aexit__(type(err), err, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.child.__aexit__(exc_type, exc, tb)

    async def receive(self) -> list[Frame]:
        """The next frames; see the contract in ``sources/base``."""
        try:
            async with asyncio.timeout(self._silence_s):
                while not self._frames:
                    await self._take()
        except TimeoutError as err:
            raise SourceStalled(f"the test card said nothing for {self._silence_s:g} s") from err
        frames = self._frames
        self._frames = []
        self._statistics.received_packets += len(frames)
        self._statistics.received_bytes += sum(len(frame.payload) for frame in frames)
        return frames

    async def _take(self) -> None:
        """Handle what the child says next; raises what ended it once everything before was handled."""
        if self._farewell is not None:
            raise self._farewell
        try:
            events = await self.child.receive()
        except ChildDied as err:
            raise SourceUnreachable(str(err)) from err
        for event in events:
            self._handle(event)

    def _handle(self, event: PipeEvent) -> None:
        match event:
            case Frame():
                self._frames.append(event)
            case TracksAnnounced(tracks):
                self._tracks = tracks
            case Message(body):
                self._handle_message(body)
            case End(reason):
                self._farewell = SourceEnded(f"the test card ended: {reason}")
            case Hello():
                pass

    def _handle_message(self, body: dict[str, Any]) -> None:
        match body:
            case {"error": str(reason)}:
                self._farewell = SourceRejected(f"the test card {reason}")
            case {"skipped_frames": int(count)}:
                self._statistics.dropped_frames += max(0, count)


def _arguments(settings: TestInput) -> tuple[str, ...]:
    """What the child is started with."""
    size = str(settings.width), str(settings.height)
    return *size, str(settings.fps), str(settings.video_bitrate_bps)
