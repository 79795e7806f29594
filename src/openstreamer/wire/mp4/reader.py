"""Fragmented MP4 and CMAF as a stream of bytes → frames (ISO/IEC 14496-12, 23000-19).

Bytes come in as they arrive; samples go out one by one as soon as they are whole. What carries no media
(``styp sidx emsg prft free mfra`` and whatever is unknown) is skipped without being kept.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from openstreamer.media.errors import OpenstreamerError, RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.wire.demuxer import DemuxStatistics
from openstreamer.wire.mp4.box_reader import BoxHeader, parse_box_header
from openstreamer.wire.mp4.fragment_reader import FragmentTracks
from openstreamer.wire.mp4.movie import StoredSample, parse_movie
from openstreamer.wire.mp4.movie_frames import MovieFrames, OpeningLimits

_ENDLESS = 1 << 62  # the end of a box that reaches to the end of the file


@dataclass(frozen=True, slots=True)
class Fmp4Limits:
    """What is refused, and what is held back; everything that is kept is bounded by these."""

    max_moov_bytes: int = 8 << 20
    max_moof_bytes: int = 4 << 20
    max_sample_bytes: int = 12 << 20  # a 4K intra picture at lossless quality stays below it
    opening: OpeningLimits = field(default_factory=OpeningLimits)


class Fmp4Demuxer:
    """A :class:`~openstreamer.wire.demuxer.Demuxer` for fragmented MP4.

    HLS feeds it the initialisation segment and then segment after segment, with ``begin_segment`` before
    each. A ``moov`` in mid-stream changes the tracks.
    """

    def __init__(self, limits: Fmp4Limits | None = None) -> None:
        self.statistics = DemuxStatistics()
        self._limits = limits or Fmp4Limits()
        self._frames = MovieFrames(self.statistics, self._limits.opening)
        self._tracks: FragmentTracks | None = None
        self._buffer = bytearray()
        self._at = 0  # what of the buffer is consumed
        self._buffer_offset = 0  # where the buffer begins in the file
        self._box_end = 0  # of the box that is inside now, in the file
        self._state: Callable[[list[Frame]], bool] = self._read_header
        self._pending: deque[StoredSample] = deque()
        self._failure: OpenstreamerError | None = None

    @property
    def left_out(self) -> str | None:
        """In words, sound that is not carried beside a picture."""
        return self._frames.left_out

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far, video first: the same object for as long as they are the same."""
        return self._frames.tracks

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the rest of their box or sample."""
        return len(self._buffer)

    @property
    def is_inside_box(self) -> bool:
        """Whether data that ended here would be cut off."""
        endless = self._box_end >= _ENDLESS
        return bool(self._buffer) or (self._state != self._read_header and not endless)

    def receive_data(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that ``data`` completed; see :class:`~openstreamer.wire.demuxer.Demuxer`.

        Raises:
            SourceRejected: a codec that cannot be carried, encryption, or a file whose samples are not in
                fragments.
            RemoteProtocolError: this is not MP4, or it breaks a bound.
        """
        if self._failure is not None:
            raise self._failure
        self._buffer += data
        frames: list[Frame] = []
        try:
            while self._state(frames):
                pass
        except (RemoteProtocolError, SourceRejected) as err:
            self._failure = err
            self._buffer.clear()
            if not frames:
                raise
            return frames  # those before the fault; the next call raises
        del self._buffer[: self._at]
        self._buffer_offset += self._at
        self._at = 0
        return frames

    def receive_eof(self) -> list[Frame]:
        """The frames that were held back. A box that is cut off is left out."""
        if self._failure is not None:
            raise self._failure
        return self._frames.end()

    def begin_segment(self) -> None:
        """What follows is another resource: offsets count from its beginning. What was cut off is dropped."""
        self._drop_pending()
        self._buffer.clear()
        self._at = self._buffer_offset = self._box_end = 0
        self._state = self._read_header

    # ------------------------------------------------------------------ states: they return whether to go on

    def _read_header(self, frames: list[Frame]) -> bool:
        header = parse_box_header(self._buffer, self._at)
        if header is None:
            return False
        start = self._buffer_offset + self._at
        self._box_end = _ENDLESS if header.size is None else start + header.size
        kind = header.kind
        if kind == b"mdat":
            self._at += header.header_bytes
            self._state = self._read_samples
        elif kind == b"moov":
            self._expect_whole(header, self._limits.max_moov_bytes, self._read_moov)
        elif kind == b"moof":
            self._expect_whole(header, self._limits.max_moof_bytes, self._read_moof)
        elif start == 0 and not _is_plausible(kind):
            raise RemoteProtocolError("MP4: this is not an MP4 file")
        else:
            self._state = self._skip
        return True

    def _expect_whole(self, header: BoxHeader, most_bytes: int, state: Callable[[list[Frame]], bool]) -> None:
        if header.size is None or header.size > most_bytes:
            name = header.kind.decode()
            raise RemoteProtocolError(f"MP4: a {name} box of more than {most_bytes} bytes")
        self._state = state

    def _whole_box(self) -> tuple[bytes, int] | None:
        """Content and place of the box that begins here, once all of it is there."""
        start = self._buffer_offset + self._at
        end = self._box_end - self._buffer_offset
        if len(self._buffer) < end:
            return None
        header = parse_box_header(self._buffer, self._at)
        assert header is not None
        content = bytes(memoryview(self._buffer)[self._at + header.header_bytes : end])
        self._at = end
        self._state = self._read_header
        return content, start

    def _skip(self, frames: list[Frame]) -> bool:
        end = self._box_end - self._buffer_offset
        if len(self._buffer) < end:
            self._at = len(self._buffer)
            return False
        self._at = end
        self._state = self._read_header
        return True

    def _read_moov(self, frames: list[Frame]) -> bool:
        found = self._whole_box()
        if found is None:
            return False
        movie = parse_movie(found[0])
        if not movie.fragmented:
            raise SourceRejected(
                "MP4: its samples are not in fragments, so it cannot be read as a stream: "
                "copy it into a file root and use file://, or have it served as HLS or as fragmented MP4"
            )
        self._frames.use(movie)
        if self._tracks is None:
            self._tracks = FragmentTracks(movie.tracks)
        else:
            self._tracks.follow(movie.tracks)
        return True

    def _read_moof(self, frames: list[Frame]) -> bool:
        found = self._whole_box()
        if found is None:
            return False
        self._drop_pending()
        self.statistics.packets += 1
        if self._tracks is None:
            raise RemoteProtocolError("MP4: a fragment comes before the moov box that describes it")
        self._pending.extend(self._tracks.parse(*found))
        return True

    def _read_samples(self, frames: list[Frame]) -> bool:
        buffer, pending = self._buffer, self._pending
        there = self._buffer_offset + len(buffer)
        while pending:
            sample = pending[0]
            start, end = sample.offset, sample.offset + sample.size
            if start >= self._box_end:
                break  # it is in another mdat
            if sample.size > self._limits.max_sample_bytes:
                raise RemoteProtocolError(f"MP4: a sample of {sample.size} bytes")
            if end > self._box_end or start < self._buffer_offset + self._at:
                self._drop_sample()
                continue
            if not self._frames.is_selected(sample.track_id):
                pending.popleft()
                continue
            if end > there:
                self._at = max(self._at, min(start - self._buffer_offset, len(buffer)))
                return False
            start -= self._buffer_offset
            self._at = end - self._buffer_offset
            with memoryview(buffer) as view:
                payload = bytes(view[start : self._at])
            pending.popleft()
            frames += self._frames.sample(sample, payload)
        return self._skip(frames)

    # ------------------------------------------------------------------ samples

    def _drop_sample(self) -> None:
        """The sample at the head lies where no data is."""
        self._pending.popleft()
        self.statistics.malformed += 1
        self.statistics.dropped_frames += 1

    def _drop_pending(self) -> None:
        """Samples of a fragment whose data never came."""
        while self._pending:
            self._drop_sample()


def _is_plausible(kind: bytes) -> bool:
    """Whether a file may begin with a box of this type: four printable characters."""
    return all(0x20 <= byte < 0x7F for byte in kind)
