"""What every reader of a container looks like to a source: bytes in, frames out."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from openstreamer.media.frame import Frame
from openstreamer.media.track import Track


@dataclass(slots=True)
class DemuxStatistics:
    """What a demuxer noticed since it was made."""

    packets: int = 0  # of the container: TS packets, FLV tags, fragments
    lost_packets: int = 0  # by continuity counters, where the container has them
    dropped_frames: int = 0  # could not be passed on: no configuration, damaged
    # The same before the first frame that was passed on: no loss, but where a stream was joined.
    before_start_frames: int = 0
    malformed: int = 0  # structures that could not be understood and were skipped
    scrambled_packets: int = 0
    unknown_streams: int = 0  # elementary streams of a codec that the server does not carry
    started: bool = False  # whether a frame was passed on

    def drop(self, count: int = 1) -> None:
        """Count frames that cannot be passed on."""
        if self.started:
            self.dropped_frames += count
        else:
            self.before_start_frames += count


class Demuxer(Protocol):
    """Bytes in, frames out.

    Keeps the promises of :class:`openstreamer.sources.base.Source` about frames: they come out once the
    tracks are known or did not show up within a bound of media time, video begins with a key frame that has
    its parameter sets, timestamps are unwrapped and in 90 kHz of the container's own origin, and DTS do not
    fall per track. The same bytes, split in any way, give the same frames.
    """

    @property
    def statistics(self) -> DemuxStatistics:
        """What it noticed so far; a container may count more than this."""
        ...

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first: the same object for as long as they are the same."""
        ...

    def receive_data(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that ``data`` completed, in the order of the container; often none.

        Raises:
            SourceRejected: the media cannot be carried; the message names the codec and why.
            RemoteProtocolError: this is not the container, or it breaks a bound.
        """
        ...

    def receive_eof(self) -> list[Frame]:
        """The frames that the end of the data completes."""
        ...


@dataclass(frozen=True, slots=True)
class ListedStream:
    """An elementary stream that a program lists. ``carried``: its codec is one that the server reads.

    ``track_id`` is that of its frames; ``None`` when it is not read: it is not of the chosen program, not
    among the wanted PIDs, or a second picture.
    """

    pid: int
    description: str
    carried: bool
    scrambled: bool = False
    track_id: int | None = None


@dataclass(frozen=True, slots=True)
class ListedProgram:
    """A program of a multiplex. ``chosen``: it is the one that is read."""

    number: int
    chosen: bool
    streams: tuple[ListedStream, ...]


@runtime_checkable
class Multiplexed(Protocol):
    """A reader of a container that may hold several programs."""

    @property
    def listed_programs(self) -> tuple[ListedProgram, ...]:
        """All programs, as far as they are known."""
        ...


def programs_in(reader: object) -> tuple[ListedProgram, ...]:
    """The programs of a reader; none where its container has no such thing."""
    return reader.listed_programs if isinstance(reader, Multiplexed) else ()
