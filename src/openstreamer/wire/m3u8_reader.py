"""Reading HLS playlists: draft-pantos-hls-rfc8216bis, all tags that decide what is fetched, when and how.

Sans-IO: bytes in as they arrive, one document at the end. Tolerant where players are (CRLF, a BOM, unknown
tags, dates that are none, a missing EXT-X-TARGETDURATION), and bounded in everything that a peer chooses.
"""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from openstreamer.media.errors import RemoteProtocolError
from openstreamer.wire import m3u8_values as values
from openstreamer.wire.m3u8_documents import MediaPlaylist, Playlist
from openstreamer.wire.m3u8_tags import DeltaUnusable, MediaTags, MultivariantTags, PlaylistLimits

__all__ = ["DeltaUnusable", "PlaylistLimits", "PlaylistReader", "read_playlist"]

_BOM: Final = b"\xef\xbb\xbf"
_HEADER: Final = "#EXTM3U"
MAX_QUERY_FIELDS: Final = 256


class PlaylistReader:
    """Reads one playlist.

    ``url`` is where it came from (variables may be made of its query); ``imported`` are the variables of the
    multivariant playlist that named it; ``previous`` is the same playlist before, for delta updates.
    """

    def __init__(
        self,
        *,
        url: str = "",
        imported: Mapping[str, str] | None = None,
        previous: MediaPlaylist | None = None,
        limits: PlaylistLimits | None = None,
    ) -> None:
        self._url = url
        self._imported = imported or {}
        self._limits = limits or PlaylistLimits()
        self._rest = b""
        self._size = 0
        self._substituted = 0
        self._line_number = 0
        self._variables: dict[str, str] = {}
        self._media = MediaTags(self._limits, previous)
        self._multivariant = MultivariantTags(self._limits)
        self._tags: dict[str, Callable[[str], None]] = {
            **self._media.tags,
            **self._multivariant.tags,
            "#EXT-X-DEFINE": self._define,
        }

    def receive_data(self, data: bytes | memoryview) -> None:
        """Bytes of the playlist.

        Raises:
            RemoteProtocolError: it is no playlist, or breaks a bound; the message names the line.
        """
        self._size += len(data)
        if self._size > self._limits.max_bytes:
            raise RemoteProtocolError(f"playlist: more than {self._limits.max_bytes} bytes")
        lines = (self._rest + bytes(data)).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > self._limits.max_line_bytes:
            raise self._error(f"longer than {self._limits.max_line_bytes} bytes", self._line_number + 1)
        for line in lines:
            self._read(line)

    def finish(self) -> Playlist:
        """The document; to be called once, after the last byte.

        Raises:
            DeltaUnusable: it is a delta update, and what it leaves out is not known.
            RemoteProtocolError: as ``receive_data``.
        """
        if self._rest:
            rest, self._rest = self._rest, b""
            self._read(rest)
        if self._line_number == 0:
            raise RemoteProtocolError("playlist: it is empty")
        if self._multivariant.used and self._media.used:
            raise RemoteProtocolError("playlist: tags of multivariant and media playlists are mixed")
        if self._multivariant.used:
            return self._multivariant.finish(self._variables)
        return self._media.finish()

    def _error(self, words: str, line_number: int | None = None) -> RemoteProtocolError:
        return RemoteProtocolError(f"playlist line {line_number or self._line_number}: {words}")

    def _read(self, raw: bytes) -> None:
        self._line_number += 1
        if len(raw) > self._limits.max_line_bytes:
            raise self._error(f"longer than {self._limits.max_line_bytes} bytes")
        if self._line_number == 1:
            self._read_header(raw.removeprefix(_BOM))
            return
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError as err:
            raise self._error("no UTF-8") from err
        if not line:
            return
        try:
            self._handle(line)
        except ValueError as err:
            name = line.partition(":")[0][1:64] if line.startswith("#EXT") else "URI"
            raise self._error(f"{name}: {err}") from err

    def _read_header(self, raw: bytes) -> None:
        if raw.split(maxsplit=1)[:1] != [_HEADER.encode()]:
            raise self._error("does not begin with #EXTM3U: this is no playlist")

    def _handle(self, line: str) -> None:
        if line[0] != "#":
            line = self._substitute(line)
            if not self._multivariant.uri(line):
                self._media.uri(line)
            return
        if not line.startswith("#EXT"):
            return
        name, _, value = line.partition(":")
        handler = self._tags.get(name)
        if handler is not None:
            handler(self._substitute(value))

    def _substitute(self, text: str) -> str:
        if not self._variables or "{$" not in text:
            return text
        replaced = values.substitute(text, self._variables, self._limits.max_line_bytes)
        self._substituted += len(replaced)
        if self._substituted > self._limits.max_bytes:
            raise ValueError(f"more than {self._limits.max_bytes} bytes after variables were replaced")
        return replaced

    def _define(self, text: str) -> None:
        """EXT-X-DEFINE, section 4.4.2.3."""
        found = values.attributes(text)
        if "NAME" in found:
            name, value = found["NAME"], found.get("VALUE")
        elif "IMPORT" in found:
            name = found["IMPORT"]
            value = self._imported.get(name)
        else:
            name = found.get("QUERYPARAM", "")
            query = parse_qs(urlsplit(self._url).query, max_num_fields=MAX_QUERY_FIELDS)
            value = query[name][0] if name in query else None
        if not name or value is None:
            raise ValueError(f"{name[:64]!r} has no value")
        self._variables[name] = value
        if len(self._variables) > self._limits.max_variables:
            raise ValueError(f"more than {self._limits.max_variables} variables")


def read_playlist(
    data: bytes,
    *,
    url: str = "",
    imported: Mapping[str, str] | None = None,
    previous: MediaPlaylist | None = None,
    limits: PlaylistLimits | None = None,
) -> Playlist:
    """Read a whole playlist at once; see :class:`PlaylistReader`."""
    reader = PlaylistReader(url=url, imported=imported, previous=previous, limits=limits)
    reader.receive_data(data)
    return reader.finish()
