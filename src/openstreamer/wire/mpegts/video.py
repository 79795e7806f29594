"""Video elementary streams: PES payloads → frames.

One PES packet is one access unit nearly always, but the standard allows several in one, and one over
several; where access units begin is told from the NAL units. The time of a PES packet belongs to the first
access unit that begins in it (ISO/IEC 13818-1 section 2.4.3.7).

An access unit is known to be whole only when the next one begins. Once ``_LEARNING`` PES packets in a row
have begun with an access unit, that is taken for granted, and one is passed on when its PES packet is whole.
"""

from collections.abc import Callable
from typing import TypeAlias

from openstreamer.media import av1, h264, h265
from openstreamer.media.av1 import Av1Config
from openstreamer.media.bits import remove_emulation_prevention
from openstreamer.media.clock import TICKS_PER_SECOND
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.h264 import H264Config
from openstreamer.media.h264_sets import H264Sps
from openstreamer.media.h265 import H265Config
from openstreamer.media.nal import NALS_PER_ACCESS_UNIT_MAX, START_CODE, split_annex_b, to_length_prefixed
from openstreamer.media.track import Track, VideoConfig
from openstreamer.wire.mpegts.decoding_times import DecodingTimes
from openstreamer.wire.mpegts.fields import FieldOfFrame, field_of
from openstreamer.wire.mpegts.limits import MpegTsLimits
from openstreamer.wire.mpegts.nal_units import BEGINS, DROPPED, H264_RULES, H265_RULES, PARAMETERS, SLICE
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo, TsCodec
from openstreamer.wire.mpegts.times import TrackTimes

_LEARNING = 8
# in front of a NAL unit; START_CODE has a zero byte more
_START_CODE = b"\x00\x00\x01"
_LONGEST_PICTURE_90K = TICKS_PER_SECOND  # what is believed of the distance of two pictures

Times = tuple[int, int]  # PTS and DTS


class VideoStream:
    """Access units of one video track → frames with their configuration.

    Until the first key frame with its parameter sets nothing comes out. A picture without a time, in a PES
    packet that has one for an earlier picture only, gets the time of its predecessor in decoding order plus
    the duration of a picture: exact unless pictures are reordered.
    """

    is_video = True

    def __init__(
        self,
        info: ElementaryStreamInfo,
        track_id: int,
        times: TrackTimes,
        statistics: MpegTsStatistics,
        limits: MpegTsLimits,
    ) -> None:
        assert info.codec is not None
        self._info = info
        self.track_id = track_id
        self._times = times
        self._statistics = statistics
        self._limits = limits
        self._is_random_access, self._config_kind = _CODECS[info.codec]
        self._last_dts_90k: int | None = None
        self._picture_90k = 0
        self._dts_written = False  # of any picture: they are believed then
        self._decoding_times = DecodingTimes()
        self.track: Track | None = None

    def _frame(self, payload: bytes, times_90k: Times | None, first: bytes = b"") -> list[Frame]:
        """``first`` is the part that says whether decoding can begin here, when that is not all."""
        times_90k = times_90k or self._next_times()
        if times_90k is None:
            self._statistics.drop()
            return []
        pts_90k, dts_90k = times_90k
        self._measure(dts_90k)
        try:
            key = self._is_random_access(first or payload)
            if key:
                self._configure(payload)
        except MediaError:
            self._statistics.malformed += 1
            return []
        if self.track is None:
            self._statistics.drop()
            return []
        if pts_90k != dts_90k:
            self._dts_written = True
        elif not self._dts_written:
            dts_90k = self._decoding_times.of(pts_90k)
        placed_90k = self._times.place(dts_90k)
        offset_90k = self._times.offset_90k
        shown_90k = pts_90k + offset_90k
        if placed_90k != dts_90k + offset_90k:  # only its decoding was too early
            shown_90k = max(shown_90k, placed_90k)
        return [Frame(self.track, shown_90k, placed_90k, key, payload)]

    def _configure(self, payload: bytes) -> None:
        known = self.track.video if self.track is not None else None
        config = _config_at(self._config_kind, known, payload)
        if config is not None and config is not known and (known is None or config != known):
            self.track = Track(self.track_id, config, self._info.language)
            if isinstance(config, H264Config | H265Config):
                rate = config.frame_rate
                picture_90k = round(TICKS_PER_SECOND / rate) if rate else 0
                self._decoding_times.expect(config.info.reorder_frames or 0, picture_90k)

    def _measure(self, dts_90k: int) -> None:
        if self._last_dts_90k is not None and 0 < dts_90k - self._last_dts_90k <= _LONGEST_PICTURE_90K:
            self._picture_90k = dts_90k - self._last_dts_90k
        self._last_dts_90k = dts_90k

    def _next_times(self) -> Times | None:
        """By the declared frame rate, or by the distance of the last two pictures."""
        if self._last_dts_90k is None:
            return None
        rate = self.track.video.frame_rate if self.track is not None else None
        picture_90k = round(TICKS_PER_SECOND / rate) if rate else self._picture_90k
        if not picture_90k:
            return None
        return self._last_dts_90k + picture_90k, self._last_dts_90k + picture_90k


class NalStream(VideoStream):
    """H.264 and H.265."""

    def __init__(
        self,
        info: ElementaryStreamInfo,
        track_id: int,
        times: TrackTimes,
        statistics: MpegTsStatistics,
        limits: MpegTsLimits,
    ) -> None:
        super().__init__(info, track_id, times, statistics, limits)
        self._rules = H265_RULES if info.codec is TsCodec.H265 else H264_RULES
        self._nals: list[bytes] = []  # of the access unit that is not over yet
        self._nals_bytes = 0
        self._open = False  # an access unit has begun
        self._has_slice = False
        self._damaged = False  # its beginning is missing, or it is too large
        self._times_90k: Times | None = None  # of that access unit
        self._stamp_90k: Times | None = None  # of the next access unit that begins
        self._tail: list[bytes] = []  # from the last start code on: a NAL unit that may go on
        self._tail_bytes = 0
        self._aligned = 0  # PES packets in a row that began with an access unit; -1: one did not
        self._sps: H264Sps | None = None  # of H.264 that may have fields
        self._sps_nal = b""
        self._first_field: tuple[FieldOfFrame, list[bytes], Times | None] | None = None

    def feed(self, payload: bytes, times_90k: Times | None) -> list[Frame]:
        """The frames that are complete with one PES payload; ``times_90k`` are its PTS and DTS."""
        try:
            return self._feed(payload, times_90k)
        except MediaError:  # a flood of NAL units
            self._statistics.malformed += 1
            self._forget()
            return []

    def feed_damaged(self, payload: bytes, times_90k: Times | None) -> list[Frame]:
        """Only the beginning of a PES packet came: its access unit is dropped, the one before it goes out.

        Decoders conceal a missing picture; a mutilated one makes some of them fail.
        """
        frames = self._end_tail() + self._end_unit() if self._begins_unit(payload) else []
        frames += self._end_field()
        if not self._open:
            self._statistics.drop()
        self._forget()
        return frames

    def lose(self) -> list[Frame]:
        """Packets between PES packets are missing."""
        frames = self._end_tail() + self._end_unit() if self._aligned > 0 else []
        frames += self._end_field()
        self._forget()
        return frames

    def end(self) -> list[Frame]:
        """There is no more."""
        return self._end_tail() + self._end_unit() + self._end_field()

    def _feed(self, payload: bytes, times_90k: Times | None) -> list[Frame]:
        whole = self._aligned >= _LEARNING
        if self._begins_unit(payload):
            if self._aligned >= 0:
                self._aligned += 1
            frames = self._end_tail()
        else:
            if whole:
                self._statistics.malformed += 1  # the end of an access unit that went out already
            self._aligned, whole = -1, False
            frames, payload = self._continue_tail(payload)
            if not payload:
                return frames
        if self._open and not self._has_slice and times_90k is not None:
            self._times_90k, times_90k = times_90k, None  # its parameter sets had a PES packet of their own
        self._stamp_90k = times_90k
        if whole:
            frames += self._add(split_annex_b(payload))
            return frames + self._end_unit() if self._has_slice else frames
        last = payload.rfind(_START_CODE)
        frames += self._add(split_annex_b(payload[:last]))
        self._keep_tail(payload[last:])
        return frames

    def _begins_unit(self, payload: bytes) -> bool:
        """Whether ``payload`` begins with a NAL unit that begins an access unit."""
        if payload.startswith(START_CODE):
            at = 4
        elif payload.startswith(_START_CODE):
            at = 3
        else:
            return False
        head = payload[at : at + 3]
        kind = self._rules.kinds[head[0]] if head else 0
        size = self._rules.header_bytes
        return bool(kind & BEGINS or (kind & SLICE and len(head) > size and head[size] & 0x80))

    # ------------------------------------------------------------------ NAL units over several PES packets

    def _continue_tail(self, payload: bytes) -> tuple[list[Frame], bytes]:
        """Give the unfinished NAL unit what belongs to it, and return what begins with a start code."""
        before = b"".join(self._tail[-2:])[-2:]
        crossing = (before + payload[:2]).find(_START_CODE)
        if crossing >= 0:
            tail = b"".join(self._tail)
            self._tail = [tail[: len(tail) - len(before) + crossing]]
            return self._end_tail(), before[crossing:] + payload
        at = payload.find(_START_CODE)
        if self._tail:
            self._keep_tail(payload if at < 0 else payload[:at])
        return (self._end_tail(), payload[at:]) if at >= 0 else ([], b"")

    def _keep_tail(self, piece: bytes) -> None:
        self._tail.append(piece)
        self._tail_bytes += len(piece)
        if self._tail_bytes > self._limits.max_unit_bytes or len(self._tail) > NALS_PER_ACCESS_UNIT_MAX:
            self._statistics.malformed += 1
            self._forget()

    def _end_tail(self) -> list[Frame]:
        if not self._tail:
            return []
        nals = split_annex_b(b"".join(self._tail))
        self._tail = []
        self._tail_bytes = 0
        return self._add(nals)

    # ------------------------------------------------------------------ access units

    def _add(self, nals: list[bytes]) -> list[Frame]:
        """Add NAL units to the access unit that is open; returns those that they end."""
        kinds, size = self._rules
        frames: list[Frame] = []
        for nal in nals:
            kind = kinds[nal[0]]
            first = kind & SLICE and len(nal) > size and nal[size] & 0x80
            if self._has_slice and (first or kind & BEGINS):
                frames += self._end_unit()
            if not self._open:
                self._open = True
                self._times_90k, self._stamp_90k = self._stamp_90k, None
            if kind & SLICE:
                self._damaged |= not (self._has_slice or first)
                self._has_slice = True
            elif kind & PARAMETERS and nal != self._sps_nal:
                self._read_sps(nal)
            if not kind & DROPPED:
                self._nals.append(nal)
                self._nals_bytes += len(nal)
        if self._nals_bytes > self._limits.max_unit_bytes or len(self._nals) > NALS_PER_ACCESS_UNIT_MAX:
            self._statistics.malformed += 1
            self._nals.clear()
            self._nals_bytes = 0
            self._damaged = True
        return frames

    def _end_unit(self) -> list[Frame]:
        nals, times_90k = self._nals, self._times_90k
        whole = self._has_slice and not self._damaged
        if self._damaged:
            self._statistics.drop()
        self._nals = []
        self._nals_bytes = 0
        self._open = self._has_slice = self._damaged = False
        if not whole:
            return []
        if self._sps is not None:
            return self._pair_fields(nals, times_90k, self._sps)
        return self._frame(to_length_prefixed(nals), times_90k)

    # ------------------------------------------------------------------ fields

    def _read_sps(self, nal: bytes) -> None:
        self._sps_nal = nal
        try:
            sps = h264.parse_sps(nal)
        except MediaError:
            return  # the key frame that it belongs to is refused
        self._sps = None if sps.progressive else sps

    def _pair_fields(self, nals: list[bytes], times_90k: Times | None, sps: H264Sps) -> list[Frame]:
        """Hold a first field back until its second one comes, with which it is one frame."""
        kinds = self._rules.kinds
        try:
            field = field_of(next(nal for nal in nals if kinds[nal[0]] & SLICE), sps)
        except MediaError:
            field = None
        if self._first_field is not None:
            first, first_nals, first_times_90k = self._first_field
            if first.is_followed_by(field):
                self._first_field = None
                whole, head = to_length_prefixed(first_nals + nals), to_length_prefixed(first_nals)
                return self._frame(whole, first_times_90k, head)
        frames = self._end_field()
        if field is None:
            return frames + self._frame(to_length_prefixed(nals), times_90k)
        self._first_field = field, nals, times_90k
        return frames

    def _end_field(self) -> list[Frame]:
        """A field that stays alone is a frame."""
        if self._first_field is None:
            return []
        _, nals, times_90k = self._first_field
        self._first_field = None
        return self._frame(to_length_prefixed(nals), times_90k)

    def _forget(self) -> None:
        """What was begun is lost."""
        if self._nals or self._tail:
            self._statistics.drop()
        self._nals = []
        self._tail = []
        self._nals_bytes = self._tail_bytes = 0
        self._open = self._has_slice = self._damaged = False
        self._times_90k = self._stamp_90k = None


class Av1Stream(VideoStream):
    """AV1: one PES packet is one temporal unit ("Carriage of AV1 in MPEG-2 TS" section 2)."""

    def feed(self, payload: bytes, times_90k: Times | None) -> list[Frame]:
        """The frame of one PES payload; ``times_90k`` are its PTS and DTS."""
        try:
            unit = av1.drop_temporal_delimiters(_low_overhead(payload))
        except MediaError:
            self._statistics.malformed += 1
            return []
        return self._frame(unit, times_90k) if unit else []

    def feed_damaged(self, payload: bytes, times_90k: Times | None) -> list[Frame]:
        """Only the beginning of a PES packet came: it is dropped."""
        self._statistics.drop()
        return []

    def lose(self) -> list[Frame]:
        """Packets between PES packets are missing."""
        return []

    def end(self) -> list[Frame]:
        """There is no more."""
        return []


def _low_overhead(payload: bytes) -> bytes:
    """OBUs with size fields, of OBUs with start codes; older multiplexers write the former at once."""
    if not payload.startswith((START_CODE, _START_CODE)):
        return payload
    pieces = payload.split(_START_CODE, av1.OBUS_PER_TEMPORAL_UNIT_MAX)[1:]
    return b"".join(_sized_obu(remove_emulation_prevention(piece)) for piece in pieces if piece)


def _sized_obu(data: bytes) -> bytes:
    """An OBU without the zero bytes that may stand behind it."""
    if not data[0] & 0x02:  # obu_has_size_field
        return av1.with_size(data.rstrip(b"\x00"))
    start = 2 if data[0] & 0x04 else 1
    size, start = av1.read_leb128(data, start)
    return data[: start + size]


def _config_at(kind: "_Kind", known: VideoConfig | None, payload: bytes) -> VideoConfig | None:
    """The configuration at a key frame: ``known``, unless the frame brings one or it is of another codec."""
    if isinstance(known, kind):
        return known.with_parameter_sets_from(payload)
    return kind.from_key_frame(payload)


_Kind: TypeAlias = type[H264Config] | type[H265Config] | type[Av1Config]
_CODECS: dict[TsCodec, tuple[Callable[[bytes], bool], _Kind]] = {
    TsCodec.H264: (h264.is_random_access, H264Config),
    TsCodec.H265: (h265.is_random_access, H265Config),
    TsCodec.AV1: (av1.is_random_access, Av1Config),
}
