"""What the tags of HLS playlists mean, collected line by line (draft-pantos-hls-rfc8216bis, section 4.4).

``tags`` maps each tag to what takes its value. Errors are ``ValueError`` with words; the reader adds the
line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire import m3u8_values as values
from openstreamer.wire.m3u8_documents import (
    ByteRange,
    Key,
    MediaInitialization,
    MediaPlaylist,
    MediaSegment,
    MultivariantPlaylist,
    PartialSegment,
    PreloadHint,
    Rendition,
    RenditionKind,
    RenditionReport,
    ServerControl,
    Variant,
)


@dataclass(frozen=True, slots=True)
class PlaylistLimits:
    """What a playlist may hold before it is refused."""

    max_bytes: int = 4 << 20  # 16 hours of 2 s segments with long names
    max_line_bytes: int = 16 << 10
    max_segments: int = 30_000
    max_parts: int = 30_000
    max_variants: int = 256
    max_renditions: int = 256
    max_variables: int = 64
    max_hints: int = 8
    max_reports: int = 64


class DeltaUnusable(RemoteProtocolError):  # noqa: N818 - reads so
    """A delta update leaves out what is not known: the whole playlist has to be fetched."""


class MultivariantTags:
    """The tags of section 4.4.6."""

    def __init__(self, limits: PlaylistLimits) -> None:
        self.used = False
        self.tags: dict[str, Callable[[str], None]] = {
            "#EXT-X-STREAM-INF": self._stream_inf,
            "#EXT-X-MEDIA": self._rendition,
            "#EXT-X-I-FRAME-STREAM-INF": self._ignored,
        }
        self._limits = limits
        self._variants: list[Variant] = []
        self._renditions: list[Rendition] = []
        self._pending: Variant | None = None

    def uri(self, uri: str) -> bool:
        """Take the URI of the variant that was announced before it, if one was."""
        if self._pending is None:
            return False
        self._variants.append(replace(self._pending, uri=uri))
        self._pending = None
        if len(self._variants) > self._limits.max_variants:
            raise ValueError(f"more than {self._limits.max_variants} variants")
        return True

    def finish(self, variables: Mapping[str, str]) -> MultivariantPlaylist:
        return MultivariantPlaylist(
            tuple(self._variants), tuple(self._renditions), tuple(sorted(variables.items()))
        )

    def _ignored(self, _text: str) -> None:
        self.used = True

    def _stream_inf(self, text: str) -> None:
        self.used = True
        found = values.attributes(text)
        width, height = values.resolution(found.get("RESOLUTION", ""))
        self._pending = Variant(
            uri="",
            bandwidth_bps=values.integer(found.get("BANDWIDTH", "0")),
            codecs=tuple(codec.strip() for codec in found.get("CODECS", "").split(",") if codec.strip()),
            width=width,
            height=height,
            audio_group=found.get("AUDIO", ""),
            video_range=found.get("VIDEO-RANGE", ""),
        )

    def _rendition(self, text: str) -> None:
        self.used = True
        found = values.attributes(text)
        try:
            kind = RenditionKind(found.get("TYPE", ""))
        except ValueError:
            return  # a kind of a later version
        rendition = Rendition(
            kind=kind,
            group_id=found.get("GROUP-ID", ""),
            name=found.get("NAME", ""),
            uri=found.get("URI", ""),
            language=found.get("LANGUAGE", ""),
            default=found.get("DEFAULT") == "YES",
            autoselect=found.get("AUTOSELECT") == "YES",
        )
        self._renditions.append(rendition)
        if len(self._renditions) > self._limits.max_renditions:
            raise ValueError(f"more than {self._limits.max_renditions} renditions")


class MediaTags:
    """The tags of sections 4.4.3 to 4.4.5."""

    def __init__(self, limits: PlaylistLimits, previous: MediaPlaylist | None) -> None:
        self.used = False
        self.tags: dict[str, Callable[[str], None]] = {
            "#EXTINF": self._extinf,
            "#EXT-X-TARGETDURATION": self._target_duration,
            "#EXT-X-MEDIA-SEQUENCE": self._media_sequence,
            "#EXT-X-DISCONTINUITY-SEQUENCE": self._discontinuity_sequence,
            "#EXT-X-DISCONTINUITY": self._discontinuity,
            "#EXT-X-BYTERANGE": self._byte_range,
            "#EXT-X-MAP": self._map,
            "#EXT-X-KEY": self._key,
            "#EXT-X-PROGRAM-DATE-TIME": self._program_date_time,
            "#EXT-X-GAP": self._gap_tag,
            "#EXT-X-ENDLIST": self._endlist,
            "#EXT-X-PLAYLIST-TYPE": self._playlist_type,
            "#EXT-X-I-FRAMES-ONLY": self._i_frames,
            "#EXT-X-START": self._start,
            "#EXT-X-SERVER-CONTROL": self._server_control,
            "#EXT-X-PART-INF": self._part_inf,
            "#EXT-X-PART": self._part,
            "#EXT-X-PRELOAD-HINT": self._hint,
            "#EXT-X-RENDITION-REPORT": self._report,
            "#EXT-X-SKIP": self._skip,
        }
        self._limits = limits
        self._previous = previous
        self._segments: list[MediaSegment] = []
        self._media_sequence_number = 0
        self._discontinuities = 0  # the discontinuity sequence number at this line
        self._target_s: float | None = None
        self._ended = False
        self._kind: Literal["VOD", "EVENT"] | None = None
        self._control = ServerControl()
        self._part_target_s: float | None = None
        self._hints: list[PreloadHint] = []
        self._reports: list[RenditionReport] = []
        self._start_offset_s: float | None = None
        self._i_frames_only = False
        self._part_count = 0
        # In force until another tag changes them
        self._initialization: MediaInitialization | None = None
        self._key_in_force: Key | None = None
        self._keys_may_join = False
        self._date_ms: float | None = None
        # Of the segment that comes next
        self._duration_s: float | None = None
        self._range: str | None = None
        self._gap = False
        self._parts: list[PartialSegment] = []
        # The last range of a resource, for ranges that follow it
        self._last_uri = ""
        self._last_end = 0
        self._last_part_uri = ""
        self._last_part_end = 0

    # ------------------------------------------------------------------ the playlist

    def _target_duration(self, text: str) -> None:
        self.used = True
        self._target_s = values.seconds(text)

    def _media_sequence(self, text: str) -> None:
        self.used = True
        if self._segments:
            raise ValueError("it stands after the first segment")
        self._media_sequence_number = values.integer(text)

    def _discontinuity_sequence(self, text: str) -> None:
        if self._segments:
            raise ValueError("it stands after the first segment")
        self._discontinuities = values.integer(text)

    def _endlist(self, _text: str) -> None:
        self.used = True
        self._ended = True

    def _playlist_type(self, text: str) -> None:
        kind = text.strip().upper()
        self._kind = "VOD" if kind == "VOD" else "EVENT" if kind == "EVENT" else None

    def _i_frames(self, _text: str) -> None:
        self._i_frames_only = True

    def _start(self, text: str) -> None:
        offset = values.attributes(text).get("TIME-OFFSET")
        self._start_offset_s = values.signed_seconds(offset) if offset is not None else None

    def _server_control(self, text: str) -> None:
        found = values.attributes(text)

        def optional_s(name: str) -> float | None:
            return values.seconds(found[name]) if name in found else None

        self._control = ServerControl(
            can_block_reload=found.get("CAN-BLOCK-RELOAD") == "YES",
            can_skip_until_s=optional_s("CAN-SKIP-UNTIL"),
            hold_back_s=optional_s("HOLD-BACK"),
            part_hold_back_s=optional_s("PART-HOLD-BACK"),
        )

    def _part_inf(self, text: str) -> None:
        self._part_target_s = values.seconds(values.attributes(text).get("PART-TARGET", ""))

    def _hint(self, text: str) -> None:
        found = values.attributes(text)
        length = found.get("BYTERANGE-LENGTH")
        if len(self._hints) >= self._limits.max_hints:
            raise ValueError(f"more than {self._limits.max_hints}")
        self._hints.append(
            PreloadHint(
                kind=found.get("TYPE", ""),
                uri=_required(found, "URI"),
                start=values.integer(found.get("BYTERANGE-START", "0")),
                length=values.integer(length) if length is not None else None,
            )
        )

    def _report(self, text: str) -> None:
        found = values.attributes(text)
        if len(self._reports) >= self._limits.max_reports:
            raise ValueError(f"more than {self._limits.max_reports}")
        last_msn, last_part = found.get("LAST-MSN"), found.get("LAST-PART")
        self._reports.append(
            RenditionReport(
                found.get("URI", ""),
                values.integer(last_msn) if last_msn is not None else None,
                values.integer(last_part) if last_part is not None else None,
            )
        )

    # ------------------------------------------------------------------ segments

    @property
    def _msn(self) -> int:
        return self._media_sequence_number + len(self._segments)

    def _extinf(self, text: str) -> None:
        self.used = True
        duration = text.partition(",")[0].split(" ", 1)[0]
        if duration.startswith("-"):
            raise ValueError("a negative duration: this is a list of channels, not a stream")
        self._duration_s = values.seconds(duration)

    def _discontinuity(self, _text: str) -> None:
        self._discontinuities += 1
        self._date_ms = None

    def _byte_range(self, text: str) -> None:
        self._range = text

    def _gap_tag(self, _text: str) -> None:
        self._gap = True

    def _program_date_time(self, text: str) -> None:
        self._date_ms = values.unix_ms(text)

    def _key(self, text: str) -> None:
        """Of several keys for the same segments (one for each system) the one we can use counts."""
        key = values.key(values.attributes(text))
        mine = self._key_in_force
        if self._keys_may_join and key is not None and mine is not None and mine.key_format == "identity":
            return
        self._key_in_force = key
        self._keys_may_join = True

    def _map(self, text: str) -> None:
        found = values.attributes(text)
        text_range = found.get("BYTERANGE")
        self._initialization = MediaInitialization(
            _required(found, "URI"),
            values.byte_range(text_range, 0) if text_range is not None else None,
            self._key_in_force,
        )

    def _part(self, text: str) -> None:
        self.used = True
        self._part_count += 1
        if self._part_count > self._limits.max_parts:
            raise ValueError(f"more than {self._limits.max_parts} parts")
        found = values.attributes(text)
        uri = _required(found, "URI")
        text_range = found.get("BYTERANGE")
        part_range = None
        if text_range is not None:
            following = self._last_part_end if uri == self._last_part_uri else None
            part_range = values.byte_range(text_range, following)
            self._last_part_uri, self._last_part_end = uri, part_range.start + part_range.length
        self._parts.append(
            PartialSegment(
                uri,
                values.seconds(_required(found, "DURATION")),
                found.get("INDEPENDENT") == "YES",
                part_range,
                found.get("GAP") == "YES",
            )
        )
        self._keys_may_join = False

    def uri(self, uri: str) -> None:
        """A segment is complete."""
        if self._duration_s is None:
            raise ValueError("it has no EXTINF")
        self._add(self._made(uri, self._duration_s, self._range_of(uri)))

    def _range_of(self, uri: str) -> ByteRange | None:
        if self._range is None:
            return None
        found = values.byte_range(self._range, self._last_end if uri == self._last_uri else None)
        self._last_uri, self._last_end = uri, found.start + found.length
        return found

    def _made(self, uri: str, duration_s: float, byte_range: ByteRange | None) -> MediaSegment:
        return MediaSegment(
            msn=self._msn,
            uri=uri,
            duration_s=duration_s,
            discontinuity_sequence=self._discontinuities,
            byte_range=byte_range,
            initialization=self._initialization,
            key=self._key_in_force,
            program_date_time_ms=round(self._date_ms) if self._date_ms is not None else None,
            gap=self._gap,
            parts=tuple(self._parts),
        )

    def _add(self, segment: MediaSegment) -> None:
        self._segments.append(segment)
        if len(self._segments) > self._limits.max_segments:
            raise ValueError(f"more than {self._limits.max_segments} segments")
        if self._date_ms is not None:
            self._date_ms += segment.duration_s * 1000
        self._duration_s = self._range = None
        self._gap = self._keys_may_join = False
        self._parts = []

    def _skip(self, text: str) -> None:
        """A delta update, section 6.2.5.1: what it leaves out comes from the playlist before."""
        self.used = True
        count = values.integer(_required(values.attributes(text), "SKIPPED-SEGMENTS"))
        previous = self._previous
        if previous is None or self._segments:
            raise DeltaUnusable("playlist: a delta update without the playlist that it is about")
        first = self._media_sequence_number - previous.media_sequence
        known = previous.segments[first : first + count] if first >= 0 else ()
        if not known or len(known) != count:
            raise DeltaUnusable("playlist: a delta update leaves out segments that were never listed")
        self._segments += known
        last = known[-1]
        self._discontinuities = last.discontinuity_sequence
        self._initialization, self._key_in_force = last.initialization, last.key
        if last.program_date_time_ms is not None:
            self._date_ms = last.program_date_time_ms + last.duration_s * 1000

    # ------------------------------------------------------------------ the end

    def finish(self) -> MediaPlaylist:
        growing = None
        if self._parts:
            growing = self._made("", sum(part.duration_s for part in self._parts), None)
        if self._target_s is None:
            self._target_s = max((segment.duration_s for segment in self._segments), default=0.0)
        return MediaPlaylist(
            target_duration_s=self._target_s,
            media_sequence=self._media_sequence_number,
            segments=tuple(self._segments),
            growing=growing,
            ended=self._ended,
            kind=self._kind,
            control=self._control,
            part_target_s=self._part_target_s,
            hints=tuple(self._hints),
            reports=tuple(self._reports),
            start_offset_s=self._start_offset_s,
            i_frames_only=self._i_frames_only,
        )


def _required(found: Mapping[str, str], name: str) -> str:
    value = found.get(name)
    if not value:
        raise ValueError(f"{name} is missing")
    return value
