"""The ``moov`` box: which tracks a file has, and how to read their times (ISO/IEC 14496-12 section 8)."""

from dataclasses import dataclass
from typing import NamedTuple

from openstreamer.media.clock import TICKS_PER_SECOND, rescale
from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire.mp4.box_reader import Box, Fields, children, find
from openstreamer.wire.mp4.sample_entry_reader import SampleEntry, parse_sample_entries

MAX_TRACKS = 64
MAX_EDITS = 4_096

_HANDLERS = {b"vide": True, b"soun": False}
_TRACK_ENABLED = 1
_QUICKTIME_LANGUAGES_END = 0x400  # below it the field is a Macintosh language code, not three letters
_SIGNED_64_END = 1 << 63


class StoredSample(NamedTuple):
    """Where one sample lies in the file, and when it is decoded in the time of its track.

    ``entry`` is its sample entry, counted from 1.
    """

    offset: int
    size: int
    track_id: int
    entry: int
    time: int
    composition_offset: int
    sync: bool


@dataclass(frozen=True, slots=True)
class SampleDefaults:
    """What ``trex`` says about the samples of fragments (section 8.8.3)."""

    entry: int = 1
    duration: int = 0
    size: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class MovieTrack:
    """A video or audio track.

    A sample at ``time`` ticks of ``timescale_hz`` is presented ``time - media_time`` ticks, and
    ``delay_90k`` more, after the beginning: that is what the edit list says. ``table`` is where the
    sample table lies in the moov.
    """

    id: int
    is_video: bool
    enabled: bool
    timescale_hz: int
    language: str
    entries: tuple[SampleEntry, ...]
    media_time: int
    delay_90k: int
    defaults: SampleDefaults
    table: Box

    @property
    def refusal(self) -> str:
        """Why no sample of the track can be carried; empty when some can."""
        if not self.entries:
            return f"MP4 {'video' if self.is_video else 'audio'}: the track describes no samples"
        refusals = [entry.refusal for entry in self.entries]
        return refusals[0] if all(refusals) else ""


@dataclass(frozen=True, slots=True)
class Movie:
    """The video and audio tracks of a file; ``fragmented`` when it says that fragments follow."""

    tracks: tuple[MovieTrack, ...]
    fragmented: bool


def parse_movie(moov: bytes) -> Movie:
    """Reads the content of a ``moov`` box.

    Raises:
        RemoteProtocolError: it is malformed or exceeds a bound.
        SourceRejected: a decoder configuration cannot be understood.
    """
    whole = Box(b"moov", 0, len(moov))
    boxes = list(children(moov, 0, len(moov), "moov"))
    mvex = next((box for box in boxes if box.kind == b"mvex"), None)
    defaults = _track_defaults(moov, mvex) if mvex is not None else {}
    timescale_hz = _movie_timescale(moov, whole)
    traks = [box for box in boxes if box.kind == b"trak"]
    if len(traks) > MAX_TRACKS:
        raise RemoteProtocolError(f"MP4: {len(traks)} tracks, at most {MAX_TRACKS} are read")
    tracks = [_track(moov, trak, timescale_hz, defaults) for trak in traks]
    return Movie(tuple(track for track in tracks if track is not None), mvex is not None)


def _movie_timescale(moov: bytes, whole: Box) -> int:
    mvhd = find(moov, whole, b"mvhd")
    if mvhd is None:
        raise RemoteProtocolError("MP4: the moov has no mvhd box")
    return _timescale(moov, mvhd)


def _timescale(moov: bytes, header: Box) -> int:
    """The timescale of ``mvhd`` or ``mdhd``, which begin alike."""
    fields = Fields(moov, header)
    version, _ = fields.version_and_flags()
    fields.skip(16 if version == 1 else 8)  # creation and modification time
    timescale_hz = fields.u(4)
    if not timescale_hz:
        raise RemoteProtocolError(f"MP4: the timescale in {header.name!r} is 0")
    return timescale_hz


def _track_defaults(moov: bytes, mvex: Box) -> dict[int, SampleDefaults]:
    defaults: dict[int, SampleDefaults] = {}
    for box in children(moov, mvex.start, mvex.end, "mvex"):
        if box.kind == b"trex" and len(defaults) < MAX_TRACKS:
            fields = Fields(moov, box)
            fields.version_and_flags()
            track_id = fields.u(4)
            defaults[track_id] = SampleDefaults(fields.u(4), fields.u(4), fields.u(4), fields.u(4))
    return defaults


def _track(
    moov: bytes, trak: Box, movie_timescale_hz: int, defaults: dict[int, SampleDefaults]
) -> MovieTrack | None:
    """The track, unless it is neither video nor audio."""
    mdia, tkhd = find(moov, trak, b"mdia"), find(moov, trak, b"tkhd")
    if mdia is None or tkhd is None:
        raise RemoteProtocolError("MP4: a trak box without tkhd or mdia")
    is_video = _HANDLERS.get(_handler(moov, mdia))
    if is_video is None:
        return None
    mdhd, stbl = find(moov, mdia, b"mdhd"), find(moov, mdia, b"minf", b"stbl")
    stsd = None if stbl is None else find(moov, stbl, b"stsd")
    if mdhd is None or stbl is None or stsd is None:
        raise RemoteProtocolError("MP4: a trak box without mdhd or stsd")
    fields = Fields(moov, tkhd)
    version, flags = fields.version_and_flags()
    fields.skip(16 if version == 1 else 8)
    track_id = fields.u(4)
    media_time, delay = _edits(moov, trak)
    return MovieTrack(
        id=track_id,
        is_video=is_video,
        enabled=bool(flags & _TRACK_ENABLED),
        timescale_hz=_timescale(moov, mdhd),
        language=_language(moov, mdia, mdhd),
        entries=parse_sample_entries(moov, stsd, is_video=is_video),
        media_time=media_time,
        delay_90k=rescale(delay, movie_timescale_hz, TICKS_PER_SECOND),
        defaults=defaults.get(track_id, SampleDefaults()),
        table=stbl,
    )


def _handler(moov: bytes, mdia: Box) -> bytes:
    hdlr = find(moov, mdia, b"hdlr")
    if hdlr is None:
        return b""
    fields = Fields(moov, hdlr)
    fields.skip(8)
    return fields.take(4)


def _edits(moov: bytes, trak: Box) -> tuple[int, int]:
    """Where presentation begins in the media, in its ticks; how much later than the movie, in the movie's.

    Empty edits delay; the first other one says where the media begins (section 8.6.6). What else an edit list
    can say (cuts, dwells) is left out: a stream plays the whole media.
    """
    elst = find(moov, trak, b"edts", b"elst")
    if elst is None:
        return 0, 0
    fields = Fields(moov, elst)
    version, _ = fields.version_and_flags()
    width = 8 if version == 1 else 4
    delay = 0
    for _ in range(min(fields.u(4), MAX_EDITS)):
        duration, media_time = fields.u(width), fields.s(width)
        fields.skip(4)  # media_rate
        if media_time >= 0:
            return media_time, delay
        delay = min(delay + duration, _SIGNED_64_END)
    return 0, delay


def _language(moov: bytes, mdia: Box, mdhd: Box) -> str:
    """The extended language tag, or the packed ISO 639-2 code (sections 8.4.2 and 8.4.6)."""
    elng = find(moov, mdia, b"elng")
    if elng is not None:
        text = moov[elng.start + 4 : elng.end].split(b"\0")[0].decode("ascii", "ignore")
        if text.replace("-", "").isalnum():
            return text[:35]  # RFC 5646, section 4.4.1: longer ones do not occur
    fields = Fields(moov, mdhd)
    version, _ = fields.version_and_flags()
    fields.skip(28 if version == 1 else 16)
    packed = fields.u(2)
    letters = [(packed >> shift & 0x1F) + 0x60 for shift in (10, 5, 0)]
    if packed < _QUICKTIME_LANGUAGES_END or not all(97 <= letter <= 122 for letter in letters):
        return "und"
    return bytes(letters).decode()
