"""One pass over a file: blocks in, frames out. Blocking; a source calls it off the event loop."""

import enum
from collections import OrderedDict
from collections.abc import Iterator
from typing import Protocol

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.media.frame import Frame
from openstreamer.media.track import Track
from openstreamer.sources.base import left_out_of
from openstreamer.sources.file.opening import MediaFile
from openstreamer.wire.demuxer import Demuxer, DemuxStatistics, ListedProgram, programs_in
from openstreamer.wire.flv import FlvDemuxer
from openstreamer.wire.mp4.box_reader import LARGE_BOX_HEADER_BYTES, parse_box_header
from openstreamer.wire.mp4.movie import StoredSample
from openstreamer.wire.mp4.movie_frames import MovieFrames
from openstreamer.wire.mp4.reader import Fmp4Demuxer
from openstreamer.wire.mp4.sample_table import MAX_SAMPLE_BYTES, Mp4Index
from openstreamer.wire.mpegts import MpegTsDemuxer
from openstreamer.wire.packed_audio import PackedAudioDemuxer, looks_like_packed_audio

BLOCK_BYTES = 256 << 10  # at 3 Mbit/s one read in 0.7 s
CACHED_BLOCKS = 6  # of a file with a sample table: picture and sound are read in different places
MAX_MOOV_BYTES = 64 << 20  # half a day of small samples
MAX_TOP_LEVEL_BOXES = 65_536  # until the moov: a recording in fragments that was finished with one
SNIFFED_BYTES = 4096

_TS_PACKET_BYTES = (188, 192, 204)
_TS_SYNC = 0x47
_TS_PACKETS_SEEN = 4
_MP4_FIRST_BOXES = frozenset(
    (b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"free", b"skip", b"wide", b"mdat", b"pnot", b"uuid")
)


class Container(enum.Enum):
    """What a file is, by its first bytes."""

    MPEG_TS = "MPEG-TS"
    MP4 = "MP4"
    FLV = "FLV"
    PACKED_AUDIO = "audio"
    OTHER = "other"  # for libav


def sniff(head: bytes) -> Container:
    """The container that a file with these first ``SNIFFED_BYTES`` is."""
    if head.startswith(b"FLV\x01"):
        return Container.FLV
    if head[4:8] in _MP4_FIRST_BOXES:
        return Container.MP4
    if _is_transport_stream(head):
        return Container.MPEG_TS
    return Container.PACKED_AUDIO if looks_like_packed_audio(head) else Container.OTHER


def _is_transport_stream(head: bytes) -> bool:
    """Whether sync bytes stand at the distance of packets; recordings may begin within a packet."""
    for packet_bytes in _TS_PACKET_BYTES:
        needed = min(_TS_PACKETS_SEEN, len(head) // packet_bytes)
        for start in range(min(packet_bytes, len(head))):
            seen = head[start::packet_bytes][:_TS_PACKETS_SEEN]
            if needed and len(seen) >= needed and all(byte == _TS_SYNC for byte in seen):
                return True
    return False


class PassReader(Protocol):
    """Reads a file once, from the beginning to the end."""

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks known so far."""
        ...

    @property
    def statistics(self) -> DemuxStatistics:
        """What was noticed in this pass."""
        ...

    @property
    def left_out(self) -> str | None:
        """In words, what is not carried although the rest is."""
        ...

    def read(self) -> list[Frame] | None:
        """The next frames; empty when a block had none, ``None`` when there is no more.

        Raises:
            RemoteProtocolError: the container is broken.
            SourceRejected: what is in it cannot be carried.
            SourceUnreachable: the file changed, or the disk fails.
        """
        ...


def open_pass(file: MediaFile, container: Container, program: int | None, pids: list[int]) -> PassReader:
    """A reader for the file from its beginning.

    Raises what :meth:`PassReader.read` does.
    """
    match container:
        case Container.MPEG_TS:
            return StreamedPass(file, MpegTsDemuxer(program=program, pids=pids))
        case Container.FLV:
            return StreamedPass(file, FlvDemuxer())
        case Container.PACKED_AUDIO:
            return StreamedPass(file, PackedAudioDemuxer())
        case Container.MP4:
            return _open_mp4(file)
        case Container.OTHER:
            raise AssertionError("libav reads it, in a child")


class StreamedPass:
    """A file that is read from front to back."""

    def __init__(self, file: MediaFile, demuxer: Demuxer) -> None:
        self._file = file
        self._demuxer = demuxer
        self._offset = 0
        self._ended = False

    @property
    def tracks(self) -> tuple[Track, ...]:
        """See :class:`PassReader`."""
        return self._demuxer.tracks

    @property
    def statistics(self) -> DemuxStatistics:
        """See :class:`PassReader`."""
        return self._demuxer.statistics

    @property
    def left_out(self) -> str | None:
        """See :class:`PassReader`."""
        return left_out_of(self._demuxer)

    @property
    def listed_programs(self) -> tuple[ListedProgram, ...]:
        """Those of a transport stream."""
        return programs_in(self._demuxer)

    def read(self) -> list[Frame] | None:
        """See :class:`PassReader`."""
        if self._ended:
            return None
        data = self._file.read(self._offset, BLOCK_BYTES)
        self._offset += len(data)
        if data:
            return self._demuxer.receive_data(data)
        self._ended = True
        return self._demuxer.receive_eof()


class IndexedPass:
    """An MP4 file with a sample table: samples in decoding order, wherever they lie."""

    def __init__(self, file: MediaFile, index: Mp4Index) -> None:
        self.statistics = DemuxStatistics()
        self.missing_samples = 0  # beyond the end of a file that was cut off
        self._blocks = BlockCache(file)
        self._movie_frames = MovieFrames(self.statistics)
        self._movie_frames.use(index.played)
        self._samples: Iterator[StoredSample] | None = index.samples(
            self._movie_frames.is_selected, self._movie_frames.decode_time_90k
        )

    @property
    def tracks(self) -> tuple[Track, ...]:
        """See :class:`PassReader`."""
        return self._movie_frames.tracks

    @property
    def left_out(self) -> str | None:
        """See :class:`PassReader`."""
        return self._movie_frames.left_out

    def read(self) -> list[Frame] | None:
        """Frames of about one block; see :class:`PassReader`."""
        if self._samples is None:
            return None
        frames: list[Frame] = []
        taken_bytes = 0
        for sample in self._samples:
            frames += self._movie_frames.sample(sample, self._payload(sample))
            taken_bytes += sample.size
            if taken_bytes >= BLOCK_BYTES:
                return frames
        self._samples = None
        return frames + self._movie_frames.end()

    def _payload(self, sample: StoredSample) -> bytes:
        if sample.size > MAX_SAMPLE_BYTES:
            raise RemoteProtocolError(f"MP4: a sample of {sample.size} bytes")
        payload = self._blocks.read(sample.offset, sample.size)
        if len(payload) < sample.size:
            self.statistics.malformed += 1
            self.statistics.dropped_frames += 1
            self.missing_samples += 1
            return b""
        return payload


class BlockCache:
    """Small reads of a file out of aligned blocks, of which the newest few are kept."""

    def __init__(self, file: MediaFile, block_bytes: int = BLOCK_BYTES, blocks: int = CACHED_BLOCKS) -> None:
        self._file = file
        self._block_bytes = block_bytes
        self._most = blocks
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._newest: tuple[int, bytes] = (-1, b"")

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the file; fewer at its end."""
        number, start = divmod(offset, self._block_bytes)
        if start + size <= self._block_bytes:
            return self._block(number)[start : start + size]
        if size > self._block_bytes:
            return self._file.read(offset, size)
        head = self._block(number)[start:]
        return head + self._block(number + 1)[: size - len(head)]

    def _block(self, number: int) -> bytes:
        if number == self._newest[0]:  # nearly always
            return self._newest[1]
        block = self._blocks.pop(number, None)
        if block is None:
            block = self._file.read(number * self._block_bytes, self._block_bytes)
        self._blocks[number] = block
        if len(self._blocks) > self._most:
            self._blocks.popitem(last=False)
        self._newest = number, block
        return block


def _open_mp4(file: MediaFile) -> PassReader:
    moov = _find_moov(file)
    if moov is None:  # fragments of a stream without its beginning, or a recording that was never finished
        raise RemoteProtocolError("MP4: there is no moov box: it is cut off, or was never finished")
    index = Mp4Index(moov, file.size_bytes)
    if index.movie.fragmented and not index.sample_count:
        return StreamedPass(file, Fmp4Demuxer())
    return IndexedPass(file, index)


def _find_moov(file: MediaFile) -> bytes | None:
    """The content of the moov box, wherever in the file it is."""
    offset = 0
    for _ in range(MAX_TOP_LEVEL_BOXES):
        header = parse_box_header(file.read(offset, LARGE_BOX_HEADER_BYTES), 0)
        if header is None:
            return None
        size = file.size_bytes - offset if header.size is None else header.size
        if header.kind == b"moov":
            if size > MAX_MOOV_BYTES:
                raise RemoteProtocolError(f"MP4: a moov box of {size} bytes")
            content = file.read(offset + header.header_bytes, size - header.header_bytes)
            return content if len(content) == size - header.header_bytes else None
        offset += size
        if offset >= file.size_bytes:
            return None
    return None
