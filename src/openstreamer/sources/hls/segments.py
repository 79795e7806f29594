"""Segments to frames: which container they are in, and one demuxer for as long as they belong together.

Pure: bytes in, frames out. Times are those of the container; tracks are the source's own: video 0, audio 1.
"""

from collections.abc import Callable, Collection
from typing import Final

from openstreamer.media.errors import RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.hls.follow import Period
from openstreamer.wire.demuxer import Demuxer, DemuxStatistics
from openstreamer.wire.mp4.reader import Fmp4Demuxer
from openstreamer.wire.mpegts import MpegTsDemuxer
from openstreamer.wire.packed_audio import PackedAudioDemuxer

VIDEO_TRACK_ID: Final = 0
AUDIO_TRACK_ID: Final = 1
SLICE_BYTES: Final = 64 << 10  # what is demuxed without a pause: about 0.4 ms of a transport stream

_TELLING_BYTES: Final = 12
_SYNC_BYTE: Final = 0x47
_BOXES: Final = frozenset((b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"emsg", b"prft", b"free", b"mdat"))


class SegmentReader:
    """Reads the segments of one playlist.

    ``wanted`` says which kinds of tracks are taken, by ``is_video``; of each kind the first one is.
    """

    def __init__(
        self,
        *,
        wanted: Callable[[bool], bool] = lambda _is_video: True,
        program: int | None = None,
        pids: Collection[int] = (),
    ) -> None:
        self.period: Period | None = None
        self._wanted = wanted
        self._program = program
        self._pids = tuple(pids)
        self._demuxer: Demuxer | None = None
        self._head: bytes | None = b""  # the first bytes of a segment, until its container is known
        self._initialization = b""
        self._initialized = False
        self._announced: tuple[Track, ...] = ()
        self._chosen: dict[bool, int] = {}  # the demuxer's id of the first track of each kind
        self._mapped: dict[int, tuple[Track, Track | None]] = {}  # by id() of the demuxer's track
        self._tracks: dict[bool, Track] = {}  # by is_video; they outlive demuxers
        self._finished = DemuxStatistics()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks that are taken, video first; complete once frames came."""
        return tuple(self._tracks[kind] for kind in (True, False) if kind in self._tracks)

    @property
    def statistics(self) -> DemuxStatistics:
        """What all demuxers so far noticed."""
        total = DemuxStatistics()
        for each in (self._finished, self._demuxer.statistics if self._demuxer else None):
            if each is not None:
                total.packets += each.packets
                total.lost_packets += each.lost_packets
                total.dropped_frames += each.dropped_frames
                total.malformed += each.malformed
                total.started = total.started or each.started
        return total

    def begin_segment(self, period: Period, initialization: bytes) -> None:
        """A segment, or a part of one, begins; ``initialization`` is what its EXT-X-MAP names, if anything.
        ``end`` must have been called before a new period."""
        self.period = period
        if initialization != self._initialization:
            self._initialization = initialization
            self._initialized = False
        if self._demuxer is None:
            self._head = b""
        elif isinstance(self._demuxer, Fmp4Demuxer):
            self._demuxer.begin_segment()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that the next bytes of the segment complete.

        Raises:
            RemoteProtocolError: they are in no known container, or damaged beyond use.
            SourceRejected: the media cannot be carried.
        """
        if self._demuxer is None:
            self._head = (self._head or b"") + data
            if len(self._head) < _TELLING_BYTES:
                return []
            data, self._head = self._head, None
            self._demuxer = self._make(data)
            # Only the first demuxer joins the stream: what a later one leaves out is missing in the middle.
            self._demuxer.statistics.started = self._finished.started
        frames: list[Frame] = []
        if not self._initialized and isinstance(self._demuxer, Fmp4Demuxer):
            self._initialized = True
            if self._initialization:
                frames += self._demuxer.receive_data(self._initialization)
                self._demuxer.begin_segment()
        frames += self._demuxer.receive_data(data)
        return self._take(frames)

    def end(self) -> list[Frame]:
        """The period is over: the frames that its last demuxer held back."""
        demuxer = self._demuxer
        if demuxer is None:
            return []
        try:
            frames = self._take(demuxer.receive_eof())
        except (RemoteProtocolError, SourceRejected):
            frames = []  # nothing was held back, or nothing that is of use
        self.lose()
        return frames

    def lose(self) -> None:
        """The rest of a segment that was begun will not come: what follows cannot continue it."""
        if self._demuxer is not None:
            self._finished = self.statistics
        self._demuxer = None
        self._head = b""
        self._initialized = False
        self._announced = ()
        self._chosen.clear()
        self._mapped.clear()

    def _make(self, head: bytes) -> Demuxer:
        if self._initialization or head[4:8] in _BOXES:
            return Fmp4Demuxer()
        if head.startswith(b"ID3") or (head[0] == 0xFF and head[1] & 0xE0 == 0xE0) or head[:2] == b"\x0bw":
            return PackedAudioDemuxer()
        if head[0] == _SYNC_BYTE or bytes((_SYNC_BYTE,)) in head:
            return MpegTsDemuxer(program=self._program, pids=self._pids)
        if head.startswith(b"WEBVTT"):
            raise SourceRejected("hls: the playlist lists subtitles, not media")
        raise RemoteProtocolError("the segment is neither MPEG-TS nor fragmented MP4 nor packed audio")

    # ------------------------------------------------------------------ tracks

    def _take(self, frames: list[Frame]) -> list[Frame]:
        """Give the frames the source's tracks; those of other tracks are left out."""
        assert self._demuxer is not None
        if not frames:
            return frames
        announced = self._demuxer.tracks
        if announced is not self._announced:
            self._announced = announced
            for track in announced:
                self._map(track)
        taken: list[Frame] = []
        mapped = self._mapped
        for frame in frames:
            known = mapped.get(id(frame.track))
            mine = known[1] if known is not None else self._map(frame.track)
            if mine is not None:
                frame.track = mine
                taken.append(frame)
        return taken

    def _map(self, track: Track) -> Track | None:
        """The source's track for a demuxer's. The same object as long as it is the same configuration, also
        over demuxers: a new object is a change for everybody who reads."""
        known = self._mapped.get(id(track))
        if known is not None:
            return known[1]
        kind = track.is_video
        mine: Track | None = None
        if self._wanted(kind) and self._chosen.setdefault(kind, track.id) == track.id:
            mine = Track(VIDEO_TRACK_ID if kind else AUDIO_TRACK_ID, track.config, track.language)
            if self._tracks.get(kind) == mine:
                mine = self._tracks[kind]
            self._tracks[kind] = mine
        self._mapped[id(track)] = (track, mine)  # with the object itself, so that its id stays its own
        return mine
