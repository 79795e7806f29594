"""Audio elementary streams: PES payloads → frames with their exact times.

The time of a PES packet belongs to the first frame that begins in it (ISO/IEC 13818-1 section 2.4.3.7); the
others follow by their samples. Frames that cross the border of PES packets are joined. Behind a loss, and
where no frame header stands, bytes are skipped up to two frame headers that fit together.
"""

from openstreamer.media.aac import AacConfig
from openstreamer.media.aac_sbr import FRAMES_LOOKED_AT, with_implicit_sbr
from openstreamer.media.clock import TICKS_PER_SECOND, SampleClock, rescale
from openstreamer.media.errors import MediaError
from openstreamer.media.frame import Frame
from openstreamer.media.track import AudioConfig, Track
from openstreamer.wire.mpegts.framings import AdtsFraming, Unit, framing_of
from openstreamer.wire.mpegts.statistics import MpegTsStatistics
from openstreamer.wire.mpegts.tables import ElementaryStreamInfo
from openstreamer.wire.mpegts.times import TrackTimes

_PARTIAL_BYTES_MAX = 16_384  # no frame is longer: LOAS 8194, ADTS 8191, E-AC-3 4096 each


class AudioStream:
    """PES payloads in, frames out, once their configuration is known.

    ``key`` of the frames is false: whether there is video beside them is not known here. An HE-AAC stream
    that does not say so (ADTS cannot) is recognised by its first frames, which come out together.
    """

    is_video = False

    def __init__(
        self, info: ElementaryStreamInfo, track_id: int, times: TrackTimes, statistics: MpegTsStatistics
    ) -> None:
        self.track_id = track_id
        self._language = info.language
        self._times = times
        self._statistics = statistics
        self._framing = framing_of(info)
        self._adts = self._framing if isinstance(self._framing, AdtsFraming) else None
        self._partial = b""
        self._synced = False
        self._clock: SampleClock | None = None
        self._next_90k: int | None = None  # the time of the next frame
        self._stamp_90k: int | None = None  # of the PES packet that the unfinished frame began in
        self._said: AudioConfig | None = None  # what the stream says, which may be less than what it is
        self._deciding = False
        self._undecided: list[tuple[bytes, int]] = []
        self.track: Track | None = None

    def feed(self, payload: bytes, times_90k: tuple[int, int] | None) -> list[Frame]:
        """The frames that one PES payload completes; ``times_90k`` are its PTS and DTS."""
        adts = self._adts
        if adts is not None and self._goes_on(adts.config, times_90k):
            run = adts.run(payload)
            if run is not None:
                return self._feed_run(run[0], payload[run[1] :], times_90k)
        return self._feed(payload, times_90k)

    def _goes_on(self, config: AudioConfig | None, times_90k: tuple[int, int] | None) -> bool:
        """Whether frames of ``config`` that begin with a PES packet may be taken as one run."""
        return (
            self._synced
            and not self._partial
            and config is not None
            and config is self._said
            and not self._deciding
            and (times_90k is not None or self._next_90k is not None)
        )

    def _feed_run(
        self, payloads: list[bytes], partial: bytes, times_90k: tuple[int, int] | None
    ) -> list[Frame]:
        """Frames that all are of the configuration that is known, and the beginning of another one."""
        self._partial = partial
        stamp_90k = times_90k[0] if times_90k else None
        if not payloads:
            self._stamp_90k = stamp_90k
            return []
        self._stamp_90k = None
        next_90k = self._next_90k if stamp_90k is None else stamp_90k
        clock, track, config, place = self._clock, self.track, self._said, self._times.place
        assert next_90k is not None
        assert clock is not None
        assert track is not None
        assert isinstance(config, AacConfig)
        samples = config.samples_per_frame
        lasts_90k = rescale(samples, config.timescale, TICKS_PER_SECOND)
        frames: list[Frame] = []
        for payload in payloads:
            pts_90k = clock.stamp(next_90k, samples)
            next_90k = pts_90k + lasts_90k
            placed_90k = place(pts_90k)
            frames.append(Frame(track, placed_90k, placed_90k, False, payload))
        self._next_90k = next_90k
        return frames

    def _feed(self, payload: bytes, times_90k: tuple[int, int] | None) -> list[Frame]:
        before = len(self._partial)
        data = self._partial + payload if before else payload
        stamp_90k, next_stamp_90k = self._stamp_90k, times_90k[0] if times_90k else None
        self._partial = b""
        frames: list[Frame] = []
        for start, end in self._split(data):
            if start >= before:
                stamp_90k, next_stamp_90k, before = next_stamp_90k, None, len(data)
            if stamp_90k is not None:
                self._next_90k, stamp_90k = stamp_90k, None
            try:
                units = self._framing.units(data[start:end])
            except MediaError:
                self._statistics.malformed += 1
                continue
            for unit in units:
                frames += self._frames(unit)
        begins_here = len(self._partial) <= len(payload)
        self._stamp_90k = next_stamp_90k if begins_here else stamp_90k
        return frames

    def feed_damaged(self, payload: bytes, times_90k: tuple[int, int] | None) -> list[Frame]:
        """The frames that are whole in a PES packet of which only the beginning came."""
        frames = self.feed(payload, times_90k)
        self.lose()
        return frames

    def lose(self) -> list[Frame]:
        """Packets are missing: what was begun is lost. Returns nothing."""
        if self._partial:
            self._statistics.drop()
        self._partial = b""
        self._synced = False
        self._next_90k = self._stamp_90k = None
        return []

    def end(self) -> list[Frame]:
        """There is no more."""
        return self._decide()

    def _split(self, data: bytes) -> list[tuple[int, int]]:
        """Where the access units in ``data`` are; an unfinished one becomes ``_partial``."""
        framing = self._framing
        header_bytes, head_bytes = framing.header_bytes, framing.head_bytes
        found: list[tuple[int, int]] = []
        position, end = 0, len(data)
        while end - position >= header_bytes:
            if not self._synced:
                position = self._resync(data, position)
                if not self._synced:
                    break
            head = data[position : position + head_bytes]
            try:
                following = position + framing.frame_bytes(head)
            except MediaError:
                self._statistics.malformed += 1
                self._synced = False
                position += 1
                continue
            if following > end:
                break
            if found and framing.continues(head):
                found[-1] = (found[-1][0], following)
            else:
                found.append((position, following))
            position = following
        self._partial = data[position:] if end - position <= _PARTIAL_BYTES_MAX else b""
        return found

    def _resync(self, data: bytes, position: int) -> int:
        """Where a frame header stands that another one, or the end of the data, follows."""
        framing = self._framing
        end = len(data)
        while 0 <= (candidate := data.find(framing.sync, position)) <= end - framing.header_bytes:
            try:
                following = candidate + framing.frame_bytes(data[candidate : candidate + framing.head_bytes])
                if following + framing.header_bytes <= end:
                    framing.frame_bytes(data[following : following + framing.head_bytes])
                elif following != end:
                    return candidate  # perhaps: the next PES packet will tell
            except MediaError:
                position = candidate + 1
                continue
            self._synced = True
            return candidate
        return max(position, end - framing.header_bytes) if candidate < 0 else candidate

    def _frames(self, unit: Unit) -> list[Frame]:
        config = unit.config
        if config is None or self._next_90k is None:
            self._statistics.drop()
            return []
        frames = [] if config is self._said else self._learn(config)
        try:
            samples = config.samples_in(unit.payload)
        except MediaError:
            self._statistics.malformed += 1
            return frames
        assert self._clock is not None
        pts_90k = self._clock.stamp(self._next_90k, samples)
        self._next_90k = pts_90k + rescale(samples, config.timescale, TICKS_PER_SECOND)
        if self._deciding:
            self._undecided.append((unit.payload, pts_90k))
            if len(self._undecided) >= FRAMES_LOOKED_AT:
                frames += self._decide()
        else:
            frames.append(self._frame(unit.payload, pts_90k))
        return frames

    def _frame(self, payload: bytes, pts_90k: int) -> Frame:
        assert self.track is not None
        placed_90k = self._times.place(pts_90k)
        return Frame(self.track, placed_90k, placed_90k, False, payload)

    def _learn(self, config: AudioConfig) -> list[Frame]:
        """The stream says another configuration; returns what waited for a decision about the old one."""
        frames = self._decide()
        known = self._said
        self._said = config
        if known != config:
            if known is None or known.timescale != config.timescale:
                self._clock = SampleClock(config.timescale)
            self._deciding = isinstance(config, AacConfig) and config.info.sbr_possible
            if not self._deciding:
                self._set_track(config)
        return frames

    def _decide(self) -> list[Frame]:
        """Tell HE-AAC from AAC-LC by the frames that wait, and release these."""
        if not self._deciding or not self._undecided:
            return []
        assert isinstance(self._said, AacConfig)
        self._set_track(with_implicit_sbr(self._said, [payload for payload, _ in self._undecided]))
        frames = [self._frame(payload, pts_90k) for payload, pts_90k in self._undecided]
        self._undecided.clear()
        self._deciding = False
        return frames

    def _set_track(self, config: AudioConfig) -> None:
        if self.track is None or self.track.config != config:
            self.track = Track(self.track_id, config, self._language)
