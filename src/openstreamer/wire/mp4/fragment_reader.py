"""The ``moof`` box: where the samples of a fragment lie, and when (ISO/IEC 14496-12 section 8.8)."""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import repeat
from typing import NamedTuple

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.mp4.box_reader import Box, Fields, children
from openstreamer.wire.mp4.movie import MovieTrack, SampleDefaults, StoredSample

MAX_FRAGMENT_SAMPLES = 65_536  # twelve minutes of audio in one fragment
MAX_FRAGMENT_TRACKS = 64

# tf_flags of tfhd, section 8.8.7
_BASE_DATA_OFFSET, _SAMPLE_ENTRY, _DURATION, _SIZE, _FLAGS = 0x01, 0x02, 0x08, 0x10, 0x20
_DEFAULT_BASE_IS_MOOF = 0x02_0000
# tr_flags of trun, section 8.8.8
_DATA_OFFSET, _FIRST_SAMPLE_FLAGS = 0x001, 0x004
_RUN_DURATION, _RUN_SIZE, _RUN_FLAGS, _RUN_COMPOSITION = 0x100, 0x200, 0x400, 0x800
_RUN_FIELDS = (_RUN_DURATION, _RUN_SIZE, _RUN_FLAGS)

_NON_SYNC = 0x01_0000  # sample_is_non_sync_sample, section 8.8.3.1


class FragmentTracks:
    """The tracks of a movie while its fragments are read: what they inherit, and where their time is."""

    def __init__(self, tracks: Iterable[MovieTrack]) -> None:
        self._defaults = {track.id: track.defaults for track in tracks}
        self._next_time = dict.fromkeys(self._defaults, 0)
        self._shift: dict[int, int] = {}  # from the times in the file to decoding times

    def follow(self, tracks: Iterable[MovieTrack]) -> None:
        """A new ``moov``: what it does not say anew, the time, goes on."""
        before = self._next_time
        self._defaults = {track.id: track.defaults for track in tracks}
        self._next_time = {track_id: before.get(track_id, 0) for track_id in self._defaults}
        self._shift = {}

    def parse(self, moof: bytes, moof_offset: int) -> list[StoredSample]:
        """The samples of a fragment in the order of their places in the file.

        ``moof`` is the content of the box, ``moof_offset`` where the box (its header) begins in the file.

        Raises:
            RemoteProtocolError: the box is malformed or exceeds a bound.
        """
        samples: list[StoredSample] = []
        base = moof_offset
        for number, box in enumerate(
            each for each in children(moof, 0, len(moof), "moof") if each.kind == b"traf"
        ):
            if number == MAX_FRAGMENT_TRACKS:
                raise RemoteProtocolError(f"MP4: more than {MAX_FRAGMENT_TRACKS} tracks in one fragment")
            base = self._parse_traf(moof, box, moof_offset, base, samples)
        samples.sort(key=_offset_of)
        if any(self._shift.values()):
            samples = [_shifted(sample, self._shift.get(sample.track_id, 0)) for sample in samples]
        return samples

    def _note_offsets(self, track_id: int, least: int) -> None:
        """Composition offsets may be negative (section 8.6.1.3): then decoding times are moved back so far
        that no sample is presented before it is decoded, which other containers cannot say."""
        if least < 0:
            self._shift[track_id] = max(self._shift.get(track_id, 0), -least)

    def _parse_traf(
        self, moof: bytes, traf: Box, moof_offset: int, base: int, samples: list[StoredSample]
    ) -> int:
        """Append the samples of a track; returns where its data ends: a base for the track that follows."""
        header: _Header | None = None
        at = base
        for box in children(moof, traf.start, traf.end, "traf"):
            if box.kind == b"tfhd":
                header = self._parse_tfhd(moof, box, moof_offset, base)
                at = header.base
            elif header is None:
                continue
            elif box.kind == b"tfdt":
                fields = Fields(moof, box)
                version, _ = fields.version_and_flags()
                self._next_time[header.track_id] = fields.u(8 if version == 1 else 4)
            elif box.kind == b"trun":
                at = self._parse_trun(moof, box, header, at, samples)
        return at

    def _parse_tfhd(self, moof: bytes, tfhd: Box, moof_offset: int, base: int) -> "_Header":
        fields = Fields(moof, tfhd)
        _, flags = fields.version_and_flags()
        track_id = fields.u(4)
        defaults = self._defaults.get(track_id, SampleDefaults())
        self._next_time.setdefault(track_id, 0)
        if len(self._next_time) > 4 * MAX_FRAGMENT_TRACKS:
            raise RemoteProtocolError("MP4: the fragments belong to more and more tracks")
        if flags & _BASE_DATA_OFFSET:
            base = fields.u(8)
        elif flags & _DEFAULT_BASE_IS_MOOF:
            base = moof_offset
        return _Header(
            track_id,
            base,
            SampleDefaults(
                fields.u(4) if flags & _SAMPLE_ENTRY else defaults.entry,
                fields.u(4) if flags & _DURATION else defaults.duration,
                fields.u(4) if flags & _SIZE else defaults.size,
                fields.u(4) if flags & _FLAGS else defaults.flags,
            ),
        )

    def _parse_trun(
        self, moof: bytes, trun: Box, header: "_Header", at: int, samples: list[StoredSample]
    ) -> int:
        """Append the samples of a run that begins at ``at`` unless it says otherwise; returns its end."""
        fields = Fields(moof, trun)
        version, flags = fields.version_and_flags()
        count = fields.u(4)
        if count + len(samples) > MAX_FRAGMENT_SAMPLES:
            raise RemoteProtocolError(f"MP4: more than {MAX_FRAGMENT_SAMPLES} samples in one fragment")
        if flags & _DATA_OFFSET:
            at = header.base + fields.s(4)
        first_flags = fields.u(4) if flags & _FIRST_SAMPLE_FLAGS else None
        table = fields.take(count * 4 * (flags >> 8 & 0xF).bit_count())
        track_id, entry, time = header.track_id, header.defaults.entry, self._next_time[header.track_id]
        append = samples.append
        rows = _rows(table, count, version, flags, header.defaults)
        if flags & _RUN_COMPOSITION:
            rows = list(rows)
            self._note_offsets(track_id, min((row[3] for row in rows), default=0))
        for duration, size, sample_flags, offset in rows:
            if first_flags is not None:
                sample_flags, first_flags = first_flags, None
            append(StoredSample(at, size, track_id, entry, time, offset, not sample_flags & _NON_SYNC))
            at += size
            time += duration
        self._next_time[track_id] = time
        return at


class _Header(NamedTuple):
    """What ``tfhd`` says."""

    track_id: int
    base: int
    defaults: SampleDefaults


def _rows(
    table: bytes, count: int, version: int, flags: int, defaults: SampleDefaults
) -> Iterable[tuple[int, int, int, int]]:
    """Duration, size, flags and composition offset of each sample; what the run leaves out is inherited."""
    columns: Iterator[Iterable[int]] = iter(())
    if table:
        columns = iter(zip(*_layout(flags, version).iter_unpack(table), strict=True))
    inherited = (defaults.duration, defaults.size, defaults.flags)
    chosen: list[Iterable[int]] = [
        next(columns, ()) if flags & flag else repeat(value, count)
        for flag, value in zip(_RUN_FIELDS, inherited, strict=True)
    ]
    chosen.append(next(columns, ()) if flags & _RUN_COMPOSITION else repeat(0, count))
    return zip(*chosen, strict=True)


@lru_cache(maxsize=64)
def _layout(flags: int, version: int) -> struct.Struct:
    """One row of a run. Composition offsets are signed in version 1; writers sign them in version 0 too."""
    composition = "i" if flags & _RUN_COMPOSITION else ""
    return struct.Struct(">" + "I" * (flags >> 8 & 0x7).bit_count() + composition)


def _shifted(sample: StoredSample, shift: int) -> StoredSample:
    if not shift:
        return sample
    return sample._replace(time=sample.time - shift, composition_offset=sample.composition_offset + shift)


def _offset_of(sample: StoredSample) -> int:
    return sample.offset
