"""A strict reader of HLS media playlists for tests: everything in its place, or ``PlaylistSyntaxError``."""

import re
from dataclasses import dataclass, field
from datetime import datetime

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_ONCE = (
    "EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE",
    "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-SKIP", "EXT-X-ENDLIST",
)  # fmt: skip
_BEFORE_SEGMENTS = _ONCE[2:4]


class PlaylistSyntaxError(Exception):
    """The text is not a media playlist."""


@dataclass(frozen=True)
class ListedPart:
    uri: str
    duration_s: float
    independent: bool
    gap: bool


@dataclass(frozen=True)
class ListedSegment:
    """A segment as a playlist lists it; ``uri`` is None while only parts of it are there."""

    msn: int
    discontinuity_sequence: int
    discontinuity: bool
    map_uri: str | None
    program_date_time: datetime | None
    parts: tuple[ListedPart, ...]
    duration_s: float | None = None
    uri: str | None = None
    gap: bool = False


@dataclass
class MediaPlaylist:
    """What a playlist says. ``segments`` are complete ones; ``growing`` has parts only. ``skipped`` is how
    many segments a delta update leaves out before the first of ``segments``."""

    tags: dict[str, str] = field(default_factory=dict)
    segments: list[ListedSegment] = field(default_factory=list)
    growing: ListedSegment | None = None
    skipped: int = 0
    hints: list[dict[str, str]] = field(default_factory=list)
    reports: list[dict[str, str]] = field(default_factory=list)

    def number(self, tag: str) -> int:
        if tag not in self.tags:
            raise PlaylistSyntaxError(f"{tag} is missing")
        return int(self.tags[tag])

    @property
    def media_sequence(self) -> int:
        return self.number("EXT-X-MEDIA-SEQUENCE")

    @property
    def target_duration_s(self) -> int:
        return self.number("EXT-X-TARGETDURATION")

    @property
    def control(self) -> dict[str, str]:
        return attributes(self.tags.get("EXT-X-SERVER-CONTROL", ""))

    @property
    def part_target_s(self) -> float | None:
        value = attributes(self.tags.get("EXT-X-PART-INF", "")).get("PART-TARGET")
        return float(value) if value is not None else None

    @property
    def newest(self) -> tuple[int, int]:
        """Media sequence number and part index of the newest part; a complete segment counts as all parts."""
        if self.growing is not None:
            return self.growing.msn, len(self.growing.parts) - 1
        return self.segments[-1].msn, 1_000_000


def attributes(text: str) -> dict[str, str]:
    """An attribute list; quoted strings lose their quotes."""
    position, found = 0, {}
    while position < len(text):
        match = _ATTRIBUTE.match(text, position)
        if match is None:
            raise PlaylistSyntaxError(f"not an attribute list: {text!r}")
        name, value = match.groups()
        if name in found:
            raise PlaylistSyntaxError(f"{name} twice in {text!r}")
        found[name] = value.strip('"')
        position = match.end()
    return found


def parse(text: str) -> MediaPlaylist:
    """Read a live media playlist."""
    if not text.startswith("#EXTM3U\n"):
        raise PlaylistSyntaxError("does not begin with #EXTM3U")
    if _CONTROL.search(text):
        raise PlaylistSyntaxError("control characters")
    return _Reader().read(text.split("\n")[1:])


class _Reader:
    def __init__(self) -> None:
        self.playlist = MediaPlaylist()
        self.map_uri: str | None = None
        self.discontinuities = 0
        self._fresh()

    def _fresh(self) -> None:
        self.pending: dict[str, str] = {}
        self.parts: list[ListedPart] = []

    def read(self, lines: list[str]) -> MediaPlaylist:
        for line in lines:
            if line.startswith("#EXT"):
                name, _, value = line[1:].partition(":")
                self._tag(name, value)
            elif line and not line.startswith("#"):
                self._uri(line)
        if self.parts:
            self.playlist.growing = self._segment(None)
        return self.playlist

    def _tag(self, name: str, value: str) -> None:
        playlist = self.playlist
        if name in _ONCE:
            if name in playlist.tags:
                raise PlaylistSyntaxError(f"{name} twice")
            if name in _BEFORE_SEGMENTS and (playlist.segments or self.parts or self.pending):
                raise PlaylistSyntaxError(f"{name} after the first segment")
            playlist.tags[name] = value
            if name == "EXT-X-SKIP":
                playlist.skipped = int(attributes(value)["SKIPPED-SEGMENTS"])
        elif name == "EXT-X-PART":
            found = attributes(value)
            self.parts.append(
                ListedPart(
                    found["URI"],
                    float(found["DURATION"]),
                    found.get("INDEPENDENT") == "YES",
                    found.get("GAP") == "YES",
                )
            )
        elif name == "EXT-X-PRELOAD-HINT":
            playlist.hints.append(attributes(value))
        elif name == "EXT-X-RENDITION-REPORT":
            playlist.reports.append(attributes(value))
        else:
            self._segment_tag(name, value)

    def _segment_tag(self, name: str, value: str) -> None:
        if name in ("EXT-X-DISCONTINUITY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME") and self.parts:
            # Section 4.4.4.9: they must appear before the first EXT-X-PART of their segment.
            raise PlaylistSyntaxError(f"{name} after an EXT-X-PART of its segment")
        if name == "EXT-X-MAP":
            self.map_uri = attributes(value)["URI"]
            return
        if name in self.pending:
            raise PlaylistSyntaxError(f"{name} twice before a segment")
        if name not in ("EXT-X-DISCONTINUITY", "EXT-X-PROGRAM-DATE-TIME", "EXTINF", "EXT-X-GAP"):
            raise PlaylistSyntaxError(f"unexpected tag {name}")
        if name == "EXT-X-DISCONTINUITY":
            self.discontinuities += 1
            self.map_uri = None  # a new one is demanded after each discontinuity
        self.pending[name] = value

    def _uri(self, uri: str) -> None:
        if "EXTINF" not in self.pending:
            raise PlaylistSyntaxError(f"{uri} has no EXTINF")
        duration, comma, _ = self.pending["EXTINF"].partition(",")
        if not comma:
            raise PlaylistSyntaxError("EXTINF without a comma")
        gap = "EXT-X-GAP" in self.pending
        self.playlist.segments.append(self._segment(uri, float(duration), gap))
        self._fresh()

    def _segment(self, uri: str | None, duration_s: float | None = None, gap: bool = False) -> ListedSegment:
        playlist = self.playlist
        date = self.pending.get("EXT-X-PROGRAM-DATE-TIME")
        return ListedSegment(
            msn=playlist.media_sequence + playlist.skipped + len(playlist.segments),
            discontinuity_sequence=playlist.number("EXT-X-DISCONTINUITY-SEQUENCE") + self.discontinuities,
            discontinuity="EXT-X-DISCONTINUITY" in self.pending,
            map_uri=self.map_uri,
            program_date_time=datetime.fromisoformat(date) if date is not None else None,
            parts=tuple(self.parts),
            duration_s=duration_s,
            uri=uri,
            gap=gap,
        )
