"""Packed audio → frames: HLS segments of nothing but audio frames, and plain ``.aac`` and ``.mp3`` files.

RFC 8216 section 3.4: an ID3 tag says when a segment begins, in a PRIV frame that is owned by
``com.apple.streaming.transportStreamTimestamp``; then come ADTS, MPEG audio, AC-3 or E-AC-3 frames. Within a
segment samples are counted, so times are exact. ID3: id3.org, *ID3 tag version 2.4.0*, section 3.
"""

import enum
import re
from dataclasses import dataclass

from openstreamer.media.aac import AacConfig, parse_adts_header
from openstreamer.media.aac_sbr import FRAMES_LOOKED_AT, with_implicit_sbr
from openstreamer.media.ac3 import Ac3Config, Eac3Config, is_eac3, parse_ac3_header, parse_eac3_header
from openstreamer.media.clock import TICKS_PER_SECOND, Unwrapper, rescale
from openstreamer.media.errors import MediaError, OpenstreamerError, RemoteProtocolError, SourceRejected
from openstreamer.media.frame import Frame
from openstreamer.media.mp3 import Mp3Config, parse_frame_header
from openstreamer.media.track import AudioConfig, Track
from openstreamer.wire.demuxer import DemuxStatistics

AUDIO_TRACK_ID = 1

_TIMESTAMP_OWNER = b"com.apple.streaming.transportStreamTimestamp\0"
_TIMESTAMP_BITS = 33
_SAME_TIME_90K = 180  # 2 ms: a segment that begins where the last one ended, give or take rounding
_ID3_HEADER_BYTES = 10
_ID3_FOOTER_PRESENT = 0x10
_ID3V1_BYTES = 128  # "TAG" and 125 bytes, at the end of old MP3 files
_HEADER_BYTES = 20  # the longest that is looked at, of E-AC-3
_EAC3_DEPENDENT = 1
# What a frame or a tag may begin with: ADTS; MPEG audio of a layer, bit rate and sample rate that exist
_BEGINNING = re.compile(
    rb"\xff[\xf0\xf1\xf8\xf9]|\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef]|\x0b\x77|ID3|TAG", re.DOTALL
)
_LONGEST_BEGINNING_BYTES = 3
_CONSUMED_AT_ONCE = 1 << 16


class _Kind(enum.Enum):
    ADTS = "AAC"
    MPEG = "MPEG audio"
    AC3 = "AC-3"
    EAC3 = "E-AC-3"


@dataclass(frozen=True, slots=True)
class PackedAudioLimits:
    """What is refused."""

    max_tag_bytes: int = 4 << 20  # of one ID3 tag: cover pictures
    max_junk_bytes: int = 32 << 10  # between two audio frames, or before the first


class PackedAudioDemuxer:
    """A :class:`~openstreamer.wire.demuxer.Demuxer` for packed audio of one codec.

    Segments may follow each other without notice: a timestamp that does not fit the samples so far moves the
    clock. Without any timestamp, time begins at 0.
    """

    def __init__(self, limits: PackedAudioLimits | None = None) -> None:
        self.statistics = DemuxStatistics()
        self._limits = limits or PackedAudioLimits()
        self._buffer = bytearray()
        self._at = 0
        self._skip_bytes = 0  # of an ID3 tag that is too long to be looked at
        self._junk_bytes = 0
        self._kind: _Kind | None = None
        self._track: Track | None = None
        self._tracks: tuple[Track, ...] = ()
        self._described: object = None  # what of the last header decides the configuration
        self._unwrapper = Unwrapper(_TIMESTAMP_BITS)
        self._anchor_90k = 0
        self._samples = 0  # since the anchor
        self._last_90k: int | None = None
        self._unit: bytearray | None = None  # an E-AC-3 access unit whose dependent frames may follow
        self._probed: list[bytes] | None = None  # AAC frames that show whether there is SBR
        self._failure: OpenstreamerError | None = None

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The audio track, once a frame of it was seen."""
        return self._tracks

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._buffer)

    def receive_data(self, data: bytes | memoryview) -> list[Frame]:
        """The frames that ``data`` completed; see :class:`~openstreamer.wire.demuxer.Demuxer`.

        Raises:
            RemoteProtocolError: there is no audio in it, or it breaks a bound.
            SourceRejected: the codec cannot be carried.
        """
        return self._run(data, at_end=False)

    def receive_eof(self) -> list[Frame]:
        """The last frame; one that is cut off is left out."""
        return self._run(b"", at_end=True)

    def _run(self, data: bytes | memoryview, *, at_end: bool) -> list[Frame]:
        if self._failure is not None:
            raise self._failure
        self._buffer += data
        frames: list[Frame] = []
        try:
            while self._step(frames, at_end):
                if self._at > _CONSUMED_AT_ONCE:
                    self._consume()
            if at_end:
                self._end_unit(frames)
                self._end_probe(frames)
        except (RemoteProtocolError, SourceRejected) as err:
            self._failure = err
            self._buffer.clear()
            if not frames:
                raise
        else:
            self._consume()
        return frames

    def _consume(self) -> None:
        del self._buffer[: self._at]
        self._at = 0

    def _step(self, frames: list[Frame], at_end: bool) -> bool:
        """Take one frame, tag or byte of junk; whether there was enough for it."""
        buffer, at = self._buffer, self._at
        there = len(buffer) - at
        if self._skip_bytes:
            taken = min(self._skip_bytes, there)
            self._skip_bytes -= taken
            self._at += taken
            return taken > 0
        if there < _HEADER_BYTES and not at_end:
            return False
        head = bytes(buffer[at : at + _HEADER_BYTES])
        if len(head) < 7:
            return False
        if head.startswith(b"ID3"):
            return self._take_tag(head, frames)
        if head.startswith(b"TAG"):
            self._skip_bytes = _ID3V1_BYTES
            return True
        frame_bytes = self._frame_bytes(head)
        if not frame_bytes:
            self._pass_over_junk()
            return True
        if there < frame_bytes:
            return False
        if (
            self._kind is None or self._junk_bytes
        ):  # one sync word can be chance: what follows must be one too
            following = bytes(buffer[at + frame_bytes : at + frame_bytes + _HEADER_BYTES])
            if len(following) < _HEADER_BYTES and not at_end:
                return False
            if following and not self._may_follow(following, head):
                self._pass_over_junk()
                return True
        self._at += frame_bytes
        self._take_frame(bytes(memoryview(buffer)[at : at + frame_bytes]), head, frames)
        return True

    # ------------------------------------------------------------------ ID3

    def _take_tag(self, head: bytes, frames: list[Frame]) -> bool:
        """The tag says when the next frame begins, or something of no interest."""
        if len(head) < _ID3_HEADER_BYTES:
            return False
        size = _ID3_HEADER_BYTES + _syncsafe(head[6:10])
        if head[5] & _ID3_FOOTER_PRESENT:
            size += _ID3_HEADER_BYTES
        if size > self._limits.max_tag_bytes:
            raise RemoteProtocolError(f"packed audio: an ID3 tag of {size} bytes")
        if len(self._buffer) - self._at < size:
            return False
        tag = bytes(memoryview(self._buffer)[self._at : self._at + size])
        self._at += size
        self._end_unit(frames)
        self._end_probe(frames)
        at = tag.find(_TIMESTAMP_OWNER)
        raw = tag[at + len(_TIMESTAMP_OWNER) :][:8] if at >= 0 else b""
        if len(raw) == 8:
            self._set_time(self._unwrapper.unwrap(int.from_bytes(raw, "big") & (1 << _TIMESTAMP_BITS) - 1))
        return True

    def _set_time(self, time_90k: int) -> None:
        if self._last_90k is None or abs(time_90k - self._now_90k()) > _SAME_TIME_90K:
            self._anchor_90k = time_90k
            self._samples = 0

    def _now_90k(self) -> int:
        """When the next frame begins."""
        if self._track is None:
            return self._anchor_90k
        return self._anchor_90k + rescale(self._samples, self._track.audio.timescale, TICKS_PER_SECOND)

    # ------------------------------------------------------------------ frames

    def _may_follow(self, following: bytes, head: bytes) -> bool:
        """Whether ``following`` can stand behind the frame that begins with ``head``."""
        if following[:3] in (b"ID3", b"TAG"):
            return True
        return _kind_of(following) is _kind_of(head) and self._frame_bytes(following) > 0

    def _frame_bytes(self, head: bytes) -> int:
        """How long the frame that begins here is; 0 where none begins."""
        kind = self._kind or _kind_of(head)
        try:
            match kind:
                case _Kind.ADTS:
                    size = parse_adts_header(head).frame_bytes
                case _Kind.MPEG:
                    size = parse_frame_header(head).frame_bytes
                case _Kind.AC3:
                    size = parse_ac3_header(head).frame_bytes
                case _Kind.EAC3:
                    size = parse_eac3_header(head).frame_bytes
                case None:
                    return 0
        except MediaError:
            return 0
        return size

    def _pass_over_junk(self) -> None:
        """Go to where a frame may begin next."""
        buffer, start = self._buffer, self._at
        found = _BEGINNING.search(buffer, start + 1)
        # The last bytes may be the beginning of one.
        cut_off = len(buffer) - _LONGEST_BEGINNING_BYTES + 1
        self._at = found.start() if found is not None else max(start + 1, cut_off)
        if self._junk_bytes == 0:
            self.statistics.malformed += 1
        self._junk_bytes += self._at - start
        if self._junk_bytes > self._limits.max_junk_bytes:
            raise RemoteProtocolError(f"packed audio: no audio frame within {self._junk_bytes} bytes")

    def _take_frame(self, frame: bytes, head: bytes, frames: list[Frame]) -> None:
        self._junk_bytes = 0
        self.statistics.packets += 1
        if self._kind is None:
            self._kind = _kind_of(head)
        match self._kind:
            case _Kind.ADTS:
                header = parse_adts_header(head)
                if header.configuration != self._described:
                    self._end_probe(frames)
                if self._describe(header.configuration, frame):
                    self._probe_or_emit(frame[header.header_bytes :], frames)
            case _Kind.MPEG:
                if not _is_xing(frame) and self._describe(
                    (frame[1], frame[2] & 0x0C, frame[3] & 0xC0), frame
                ):
                    self._emit(frame, frames)
            case _Kind.EAC3:
                eac3 = parse_eac3_header(head)
                if eac3.stream_type == _EAC3_DEPENDENT or eac3.substream:
                    if self._unit is not None:
                        self._unit += frame
                    return
                self._end_unit(frames)
                self._unit = bytearray(frame)
            case _:
                if self._describe(frame[4:7], frame):
                    self._emit(frame, frames)

    def _end_unit(self, frames: list[Frame]) -> None:
        if self._unit is None:
            return
        unit, self._unit = bytes(self._unit), None
        if self._describe(unit[2:6], unit):
            self._emit(unit, frames)

    def _probe_or_emit(self, payload: bytes, frames: list[Frame]) -> None:
        """ADTS never says SBR: the first frames are held back until they have shown whether they have it."""
        if self._probed is None:
            self._emit(payload, frames)
            return
        self._probed.append(payload)
        if len(self._probed) == FRAMES_LOOKED_AT:
            self._end_probe(frames)

    def _end_probe(self, frames: list[Frame]) -> None:
        if self._probed is None:
            return
        payloads, self._probed = self._probed, None
        assert self._track is not None
        config = self._track.config
        assert isinstance(config, AacConfig)
        self._know(with_implicit_sbr(config, payloads))
        for payload in payloads:
            self._emit(payload, frames)

    def _know(self, config: AudioConfig) -> None:
        if self._track is None or self._track.config != config:
            self._anchor_90k, self._samples = self._now_90k(), 0
            self._track = Track(AUDIO_TRACK_ID, config)
            self._tracks = (self._track,)

    def _describe(self, described: object, frame: bytes) -> bool:
        """Follow what the header of ``frame`` says; whether it can be carried."""
        if described == self._described:
            return True
        try:
            config = self._configuration(frame)
        except MediaError:
            self.statistics.malformed += 1
            self.statistics.dropped_frames += 1
            return False
        self._described = described
        self._know(config)
        self._probed = [] if isinstance(config, AacConfig) and config.info.sbr_possible else None
        return True

    def _configuration(self, frame: bytes) -> AudioConfig:
        match self._kind:
            case _Kind.ADTS:
                return AacConfig.from_adts(frame)
            case _Kind.MPEG:
                return Mp3Config.from_frame_header(frame)
            case _Kind.EAC3:
                return Eac3Config.from_sync_frame(frame)
            case _:
                return Ac3Config.from_sync_frame(frame)

    def _emit(self, payload: bytes, frames: list[Frame]) -> None:
        track = self._track
        assert track is not None
        try:
            samples = track.audio.samples_in(payload)
        except MediaError:
            samples = 0
        if not payload or not samples:
            self.statistics.malformed += 1
            self.statistics.dropped_frames += 1
            return
        pts_90k = self._now_90k()
        self._samples += samples
        if self._last_90k is not None:
            pts_90k = max(pts_90k, self._last_90k)
        self._last_90k = pts_90k
        frames.append(Frame(track, pts_90k, pts_90k, True, payload))


def looks_like_packed_audio(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is packed audio: an ID3 tag or a frame header."""
    return head.startswith(b"ID3") or _kind_of(head) is not None


def _kind_of(head: bytes) -> _Kind | None:
    """The kind of audio by the sync word of its first frame."""
    if head[:2] == b"\x0b\x77":
        return _Kind.EAC3 if is_eac3(head) else _Kind.AC3
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    return _Kind.ADTS if head[1] & 0xF6 == 0xF0 else _Kind.MPEG  # the layer bits of ADTS are always 0


def _syncsafe(size: bytes) -> int:
    """A size of four times seven bits (section 6.2)."""
    first, second, third, fourth = (byte & 0x7F for byte in size)
    return first << 21 | second << 14 | third << 7 | fourth


def _is_xing(frame: bytes) -> bool:
    """Whether an MPEG audio frame is the one that describes the file, which encoders put first: no sound."""
    mpeg_1, mono = frame[1] & 0x08, frame[3] >> 6 == 3
    at = 4 + ((17 if mono else 32) if mpeg_1 else (9 if mono else 17))
    return frame[at : at + 4] in (b"Xing", b"Info")
