"""The sample table of a whole file: where every sample lies, and when (ISO/IEC 14496-12 section 8.6 and 8.7).

Tables stay in the packed form they have in the file (arrays of 32 and 64 bits, runs as runs), so that hours
of media take some bytes per sample; samples are made one by one as they are walked over.
"""

import heapq
import sys
from array import array
from collections.abc import Callable, Iterator

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.mp4.box_reader import Box, Fields, children
from openstreamer.wire.mp4.movie import Movie, MovieTrack, StoredSample, parse_movie

MAX_SAMPLE_BYTES = 12 << 20  # as in fragments

_STZ2_FIELD_BITS = (4, 8, 16)


class SampleTable:
    """The samples of one track, in decoding order.

    Raises RemoteProtocolError when a table is malformed, or promises more samples than the file has bytes.
    """

    def __init__(self, moov: bytes, track: MovieTrack, file_bytes: int) -> None:
        self.track = track
        boxes = {box.kind: box for box in children(moov, track.table.start, track.table.end, "stbl")}
        self._size, self.count, self._sizes = _sizes(moov, boxes)
        self._offsets = _chunk_offsets(moov, boxes)
        self._chunk_runs = _table(moov, boxes.get(b"stsc"), "I", 3)
        self._durations = _table(moov, boxes.get(b"stts"), "I", 2)
        self._composition = _table(moov, boxes.get(b"ctts"), "i", 2)  # signed in version 0, too, in practice
        sync = boxes.get(b"stss")
        self._sync = None if sync is None else _table(moov, sync, "I", 1)
        if self.count and self._size * self.count > file_bytes:
            raise RemoteProtocolError(
                f"MP4: {self.count} samples of {self._size} bytes in {file_bytes} bytes"
            )
        if self.count and not (len(self._offsets) and len(self._chunk_runs)):
            raise RemoteProtocolError("MP4: the sample table does not say where its samples are")
        if 0 in self._chunk_runs[1::3]:
            raise RemoteProtocolError("MP4: a chunk without samples")
        # No sample is to be presented before it is decoded: see FragmentTracks.
        self._shift = max(0, -min(self._composition[1::2], default=0))

    def __iter__(self) -> Iterator[StoredSample]:
        """The samples; the last duration and a composition offset of 0 go on where tables end early."""
        track_id, sizes, constant, shift = self.track.id, self._sizes, self._size, self._shift
        durations, composition = _run_values(self._durations), _run_values(self._composition)
        sync = self._sync_flags()
        left, duration, offset_left, offset = 0, 0, 0, 0
        number, time = 0, -shift
        for at, samples, entry in self._chunks():
            for _ in range(min(samples, self.count - number)):
                size = sizes[number] if sizes is not None else constant
                if not left:
                    left, duration = next(durations, (self.count, duration))
                if not offset_left:
                    offset_left, offset = next(composition, (self.count, 0))
                yield StoredSample(at, size, track_id, entry, time, offset + shift, next(sync))
                at += size
                time += duration
                left -= 1
                offset_left -= 1
                number += 1
            if number >= self.count:
                return

    def _chunks(self) -> Iterator[tuple[int, int, int]]:
        """Offset, number of samples and sample entry of each chunk (section 8.7.4)."""
        runs = self._chunk_runs
        for run in range(0, len(runs), 3):
            first, samples, entry = runs[run : run + 3]
            last = runs[run + 3] if run + 3 < len(runs) else len(self._offsets) + 1
            for chunk in range(max(first, 1), min(last, len(self._offsets) + 1)):
                yield self._offsets[chunk - 1], samples, entry

    def _sync_flags(self) -> Iterator[bool]:
        """Whether each sample is a sync sample; without a table all are (section 8.6.2)."""
        if self._sync is None:
            while True:
                yield True
        number = 1
        for sync in self._sync:
            while number < sync:
                yield False
                number += 1
            if number == sync:
                yield True
                number += 1
        while True:
            yield False


class Mp4Index:
    """A progressive MP4 file: its movie, and its samples over all tracks in decoding order.

    ``moov`` is the content of the box. Memory: 4 to 12 bytes per sample.
    """

    def __init__(self, moov: bytes, file_bytes: int) -> None:
        self.movie: Movie = parse_movie(moov)
        self._tables = [SampleTable(moov, track, file_bytes) for track in self.movie.tracks]

    @property
    def sample_count(self) -> int:
        """The samples of all video and audio tracks together."""
        return sum(table.count for table in self._tables)

    @property
    def played(self) -> Movie:
        """The movie without tracks that have no sample."""
        tracks = tuple(table.track for table in self._tables if table.count)
        return Movie(tracks, self.movie.fragmented)

    def samples(
        self, wanted: Callable[[int], bool], decode_time_90k: Callable[[StoredSample], int]
    ) -> Iterator[StoredSample]:
        """The samples of the tracks that are ``wanted``, merged by ``decode_time_90k``."""
        tables = [table for table in self._tables if wanted(table.track.id)]
        return heapq.merge(*tables, key=decode_time_90k)


def _table(moov: bytes, box: Box | None, typecode: str, columns: int) -> "array[int]":
    """The entries of a full box that is a counted list of rows, flat."""
    if box is None:
        return array(typecode)
    fields = Fields(moov, box)
    fields.version_and_flags()
    return _array(fields, typecode, fields.u(4) * columns)


def _array(fields: Fields, typecode: str, count: int) -> "array[int]":
    values = array(typecode)
    values.frombytes(fields.take(count * values.itemsize))
    if sys.byteorder == "little":
        values.byteswap()
    return values


def _sizes(moov: bytes, boxes: dict[bytes, Box]) -> "tuple[int, int, array[int] | None]":
    """The constant size, the number of samples, and the sizes where they differ (section 8.7.3)."""
    if (stsz := boxes.get(b"stsz")) is not None:
        fields = Fields(moov, stsz)
        fields.version_and_flags()
        size, count = fields.u(4), fields.u(4)
        return size, count, None if size else _array(fields, "I", count)
    stz2 = boxes.get(b"stz2")
    if stz2 is None:
        raise RemoteProtocolError("MP4: the sample table has no sizes")
    fields = Fields(moov, stz2)
    fields.skip(7)
    bits, count = fields.u(1), fields.u(4)
    if bits not in _STZ2_FIELD_BITS:
        raise RemoteProtocolError(f"MP4: sizes of {bits} bits in stz2")
    if bits == 4:
        packed = fields.take((count + 1) // 2)
        halves = array("B", (half for byte in packed for half in (byte >> 4, byte & 0xF)))
        return 0, count, halves[:count]
    return 0, count, _array(fields, "B" if bits == 8 else "H", count)


def _chunk_offsets(moov: bytes, boxes: dict[bytes, Box]) -> "array[int]":
    if (co64 := boxes.get(b"co64")) is not None:
        return _table(moov, co64, "Q", 1)
    return _table(moov, boxes.get(b"stco"), "I", 1)


def _run_values(runs: "array[int]") -> Iterator[tuple[int, int]]:
    """Length and value of each run that has a length."""
    for at in range(0, len(runs) - 1, 2):
        if runs[at] > 0:
            yield runs[at], runs[at + 1]
