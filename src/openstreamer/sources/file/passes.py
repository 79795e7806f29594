"""Pass after pass over a file, without blocking the event loop: our readers in a thread, libav in a child."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from openstreamer.media.errors import (
    MediaError,
    RemoteProtocolError,
    SourceRejected,
    SourceStalled,
    SourceUnreachable,
)
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.child import START_DEADLINE_S, ChildDied, ChildLimits, ChildProcess
from openstreamer.sources.file.opening import MediaFile
from openstreamer.sources.file.readers import Container, IndexedPass, PassReader, open_pass
from openstreamer.wire.demuxer import ListedProgram, programs_in
from openstreamer.wire.pipe import End, Hello, Message, PipeEvent, TracksAnnounced

CHILD_MODULE = "openstreamer.sources.file.libav_child"
READ_DEADLINE_S = 10.0  # a disk that answers later is a network mount whose server is gone
CHILD_DEADLINE_S = 10.0  # finding the next packet
CHILD_PENDING_BYTES = 1 << 20
CHILD_ADDRESS_SPACE_BYTES = 4 << 30  # a hostile file must not take the machine's memory

_Result = TypeVar("_Result")


class RunBlocking(Protocol):
    """Runs a function that blocks, off the event loop: :func:`asyncio.to_thread`, or another way in tests."""

    def __call__(self, work: Callable[[], _Result], /) -> Awaitable[_Result]: ...


class Passes(Protocol):
    """The frames of a file, over and over."""

    dropped_frames: int
    left_out: str | None  # in words, what is not carried although the rest is
    missing_samples: int  # of the pass that ended, beyond the end of a file that was cut off

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None: ...

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far."""
        ...

    async def read(self) -> list[Frame] | None:
        """The next frames, perhaps none; ``None`` at the end of a pass: the next call begins another."""
        ...


async def within_deadline(work: Awaitable[_Result], name: str) -> _Result:
    """Wait for a read of the disk, but not for ever."""
    try:
        async with asyncio.timeout(READ_DEADLINE_S):
            return await work
    except TimeoutError as err:
        raise SourceStalled(f"file: {name}: the disk did not answer for {READ_DEADLINE_S:g} s") from err


class OwnPasses:
    """Passes by our own readers."""

    def __init__(
        self,
        file: MediaFile,
        container: Container,
        run_blocking: RunBlocking,
        *,
        program: int | None,
        pids: list[int],
    ) -> None:
        self.dropped_frames = 0
        self.left_out: str | None = None
        self.missing_samples = 0
        self._file = file
        self._open = functools.partial(open_pass, file, container, program, pids)
        self._run_blocking = run_blocking
        self._reader: PassReader | None = None
        self._tracks: tuple[Track, ...] = ()
        self._passes = 0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """See :class:`Passes`."""
        return self._tracks

    @property
    def listed_programs(self) -> tuple[ListedProgram, ...]:
        """Those of a transport stream, in the pass that is under way."""
        return programs_in(self._reader)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """The file is the source's."""

    async def read(self) -> list[Frame] | None:
        """See :class:`Passes`."""
        frames, reader = await within_deadline(self._run_blocking(self._read), self._file.name)
        self._reader = reader
        self._tracks = reader.tracks
        self.left_out = reader.left_out
        if frames is None:
            self.dropped_frames += reader.statistics.dropped_frames
            self.missing_samples = reader.missing_samples if isinstance(reader, IndexedPass) else 0
            self._reader = None
            self._passes += 1
        return frames

    def _read(self) -> tuple[list[Frame] | None, PassReader]:
        """Blocks. Touches nothing that the event loop does, but the reader, which is one's or the other's."""
        reader = self._reader
        if reader is None and self._passes:
            self._file.check_unchanged()
        try:
            reader = reader or self._open()
            return reader.read(), reader
        except (RemoteProtocolError, MediaError, SourceRejected) as err:
            raise SourceRejected(f"file: {self._file.name}: {err}") from err


class LibavPasses:
    """Passes by libav, in a child process: what a file can do to it costs the child."""

    def __init__(
        self, file: MediaFile, *, loop: bool, run_blocking: RunBlocking, child: ChildProcess | None = None
    ) -> None:
        self.dropped_frames = 0
        self.left_out: str | None = None
        self.missing_samples = 0
        self.child = child or ChildProcess(
            CHILD_MODULE,
            (str(file.path), "LOOP" if loop else "ONCE"),
            name="the reader of files",
            limits=ChildLimits(
                pending_bytes=CHILD_PENDING_BYTES, address_space_bytes=CHILD_ADDRESS_SPACE_BYTES
            ),
        )
        self._file = file
        self._run_blocking = run_blocking
        self._tracks: tuple[Track, ...] = ()
        self._events: deque[PipeEvent] = deque()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """See :class:`Passes`."""
        return self._tracks

    async def __aenter__(self) -> Self:
        try:
            await self.child.__aenter__()
        except ChildDied as err:
            raise SourceUnreachable(f"file: {self._file.name}: {err}") from err
        try:
            self._events.extend(await self._receive(START_DEADLINE_S))
        except BaseException as err:
            await self.child.__aexit__(type(err), err, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.child.__aexit__(exc_type, exc, tb)

    async def read(self) -> list[Frame] | None:
        """See :class:`Passes`."""
        if not self._events:
            self._events.extend(await self._receive(CHILD_DEADLINE_S))
        frames: list[Frame] = []
        while self._events:
            event = self._events[0]
            if isinstance(event, Frame):
                frames.append(event)
            elif frames:
                return frames  # what is next holds for what comes after these
            elif self._handle(event):
                self._events.popleft()
                await within_deadline(self._run_blocking(self._file.check_unchanged), self._file.name)
                return None
            self._events.popleft()
        return frames

    async def _receive(self, within_s: float) -> list[PipeEvent]:
        try:
            async with asyncio.timeout(within_s):
                return await self.child.receive()
        except TimeoutError as err:
            raise SourceStalled(
                f"file: {self._file.name}: its reader said nothing for {within_s:g} s"
            ) from err
        except ChildDied as err:
            raise SourceUnreachable(f"file: {self._file.name}: {err}") from err

    def _handle(self, event: PipeEvent) -> bool:
        """Follow what is no frame; whether a pass is over."""
        match event:
            case TracksAnnounced(tracks):
                self._tracks = tracks
            case Message(body):
                return self._handle_message(body)
            case End() | Hello() | Frame():
                pass
        return False

    def _handle_message(self, body: dict[str, Any]) -> bool:
        match body:
            case {"refused": str(reason)}:
                raise SourceRejected(f"file: {self._file.name}: {reason}")
            case {"left_out": str(words)}:
                self.left_out = words
            case {"end_of_pass": True}:
                return True
        return False
