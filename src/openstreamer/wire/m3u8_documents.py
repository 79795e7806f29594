"""What HLS playlists say (draft-pantos-hls-rfc8216bis), as values. URIs stand as written, variables replaced.

Media sequence numbers and discontinuity sequence numbers are absolute in every segment, byte ranges and keys
are those in force for it: nobody needs the lines before a segment to fetch it.
"""

import enum
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a resource."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Key:
    """EXT-X-KEY, section 4.4.4.4. ``iv`` None: the media sequence number is the IV."""

    method: str  # AES-128, SAMPLE-AES …: as written, what can be decrypted is for the reader to say
    uri: str
    iv: bytes | None
    key_format: str = "identity"


@dataclass(frozen=True, slots=True)
class MediaInitialization:
    """EXT-X-MAP, section 4.4.4.5, and the key in force where it stands."""

    uri: str
    byte_range: ByteRange | None = None
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class PartialSegment:
    """EXT-X-PART, section 4.4.4.9."""

    uri: str
    duration_s: float
    independent: bool = False
    byte_range: ByteRange | None = None
    gap: bool = False


@dataclass(frozen=True, slots=True)
class MediaSegment:
    """One media segment. ``uri`` is empty, and ``duration_s`` that of the parts, while it grows.

    ``program_date_time_ms`` (Unix time) is carried on from an earlier segment when this one has none.
    """

    msn: int
    uri: str
    duration_s: float
    discontinuity_sequence: int
    byte_range: ByteRange | None = None
    initialization: MediaInitialization | None = None
    key: Key | None = None
    program_date_time_ms: int | None = None
    gap: bool = False
    parts: tuple[PartialSegment, ...] = ()


@dataclass(frozen=True, slots=True)
class PreloadHint:
    """EXT-X-PRELOAD-HINT, section 4.4.5.3. ``length`` None: to the end of the resource."""

    kind: str
    uri: str
    start: int = 0
    length: int | None = None


@dataclass(frozen=True, slots=True)
class RenditionReport:
    """EXT-X-RENDITION-REPORT, section 4.4.5.4."""

    uri: str
    last_msn: int | None
    last_part: int | None


@dataclass(frozen=True, slots=True)
class ServerControl:
    """EXT-X-SERVER-CONTROL, section 4.4.3.8."""

    can_block_reload: bool = False
    can_skip_until_s: float | None = None
    hold_back_s: float | None = None
    part_hold_back_s: float | None = None


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist, delta updates applied. ``growing`` is the segment of which only parts are there."""

    target_duration_s: float
    media_sequence: int
    segments: tuple[MediaSegment, ...]
    growing: MediaSegment | None = None
    ended: bool = False
    kind: Literal["VOD", "EVENT"] | None = None
    control: ServerControl = ServerControl()
    part_target_s: float | None = None
    hints: tuple[PreloadHint, ...] = ()
    reports: tuple[RenditionReport, ...] = ()
    start_offset_s: float | None = None
    i_frames_only: bool = False

    @property
    def next_msn(self) -> int:
        """The number of the first segment that is not complete yet."""
        return self.media_sequence + len(self.segments)

    @property
    def newest(self) -> tuple[int, int]:
        """The growing segment and how many parts it has: it rises with everything that is added."""
        growing = self.growing
        return (self.next_msn, 0) if growing is None else (growing.msn, len(growing.parts))


class RenditionKind(enum.Enum):
    """TYPE of EXT-X-MEDIA."""

    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    SUBTITLES = "SUBTITLES"
    CLOSED_CAPTIONS = "CLOSED-CAPTIONS"


@dataclass(frozen=True, slots=True)
class Rendition:
    """EXT-X-MEDIA, section 4.4.6.1. ``uri`` is empty when it is inside the variant's own segments."""

    kind: RenditionKind
    group_id: str
    name: str
    uri: str = ""
    language: str = ""
    default: bool = False
    autoselect: bool = False


@dataclass(frozen=True, slots=True)
class Variant:
    """EXT-X-STREAM-INF, section 4.4.6.2."""

    uri: str
    bandwidth_bps: int
    codecs: tuple[str, ...] = ()
    width: int = 0
    height: int = 0
    audio_group: str = ""
    video_range: str = ""


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """A multivariant ("master") playlist. ``variables`` are for media playlists that import them."""

    variants: tuple[Variant, ...]
    renditions: tuple[Rendition, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()


Playlist: TypeAlias = MediaPlaylist | MultivariantPlaylist
