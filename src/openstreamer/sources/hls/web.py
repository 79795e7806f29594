"""What HLS fetches over HTTP: playlists, keys, initialization segments and media, each within its bounds."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urljoin

from openstreamer.config.defaults import (
    HLS_MAX_SEGMENT_BUFFER,
    HLS_PLAYLIST_TIMEOUT_S,
    HLS_SEGMENT_TIMEOUT_S,
)
from openstreamer.config.urls import redact_request_url
from openstreamer.media.errors import RemoteProtocolError, SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.sources.base import SourceStatistics
from openstreamer.sources.hls.decrypt import KEY_BYTES
from openstreamer.sources.hls.follow import STALE_LEAST_S
from openstreamer.sources.http_client import HttpClient, HttpResponse
from openstreamer.wire.m3u8_documents import ByteRange, MediaPlaylist, Playlist
from openstreamer.wire.m3u8_reader import PlaylistLimits, PlaylistReader

READ_AT_ONCE_BYTES: Final = 32 << 10  # of a playlist, between two turns of the loop: 2 ms
KEPT: Final = 8  # keys and initialization segments
GONE: Final = frozenset({404, 410})
TRY_LATER: Final = frozenset({408, 425, 429})
DIRECTIVES: Final = frozenset({"_HLS_msn", "_HLS_part", "_HLS_skip"})  # section 6.2.5


@dataclass(frozen=True, slots=True)
class HlsLimits:
    """What a pull waits for and holds."""

    playlist_timeout_s: float = HLS_PLAYLIST_TIMEOUT_S
    segment_timeout_s: float = HLS_SEGMENT_TIMEOUT_S  # of time that is spent waiting for the network
    stale_least_s: float = STALE_LEAST_S
    max_segments_ahead: int = HLS_MAX_SEGMENT_BUFFER
    max_queued_bytes: int = 32 << 20  # of frames: 18 s at 14 Mbit/s
    max_segment_bytes: int = 128 << 20
    max_initialization_bytes: int = 1 << 20
    playlist: PlaylistLimits = field(default_factory=PlaylistLimits)


class AnsweredBadly(SourceUnreachable):
    """The server answered with a status other than success."""

    def __init__(self, what: str, url: str, status: int) -> None:
        super().__init__(f"hls: {redact_request_url(url)}: the server answered {status} for {what}")
        self.status = status

    @property
    def is_refusal(self) -> bool:
        """Whether asking again at once is pointless."""
        return 400 <= self.status < 500 and self.status not in TRY_LATER


class HlsWeb:
    """Everything that one pull fetches, over one client. URLs are absolute."""

    def __init__(self, client: HttpClient, limits: HlsLimits, statistics: SourceStatistics) -> None:
        self.limits = limits
        self._client = client
        self._statistics = statistics
        self._kept: OrderedDict[tuple[str, ByteRange | None], bytes] = OrderedDict()

    async def playlist(
        self,
        url: str,
        *,
        directives: Mapping[str, str] | None = None,
        imported: Mapping[str, str] | None = None,
        previous: MediaPlaylist | None = None,
        wait_s: float = 0.0,
    ) -> tuple[Playlist, str]:
        """A playlist, and where it came from after redirects. ``wait_s`` is how much longer than usual the
        server may take, because it was asked to wait.

        Raises:
            AnsweredBadly, SourceUnreachable, SourceStalled, SourceRejected: it could not be had.
            RemoteProtocolError: it is no playlist, or breaks a bound.
        """
        asked = url
        if directives:
            asked += ("&" if "?" in url else "?") + urlencode(directives)
        limit_s = self.limits.playlist_timeout_s + wait_s
        async with self._client.get(asked, compressed=True, deadline_s=limit_s) as response:
            if response.status != 200:
                raise AnsweredBadly("a playlist", url, response.status)
            body = await response.read(self.limits.playlist.max_bytes, deadline_s=limit_s)
            came_from = without_fields(response.url, DIRECTIVES)
        self._statistics.received_bytes += len(body)
        reader = PlaylistReader(url=url, imported=imported, previous=previous, limits=self.limits.playlist)
        view = memoryview(body)
        for at in range(0, len(body), READ_AT_ONCE_BYTES):
            if at:
                await asyncio.sleep(0)
            reader.receive_data(view[at : at + READ_AT_ONCE_BYTES])
        return reader.finish(), came_from

    async def key(self, url: str) -> bytes:
        """An AES-128 key.

        Raises :class:`SourceRejected` when it is none.
        """
        found = await self._document(url, None, KEY_BYTES, "a key")
        if len(found) != KEY_BYTES:
            raise SourceRejected(
                f"hls: {redact_request_url(url)}: the key has {len(found)} bytes instead of 16"
            )
        return found

    async def initialization(self, url: str, byte_range: ByteRange | None) -> bytes:
        """A media initialization section."""
        most = self.limits.max_initialization_bytes
        return await self._document(url, byte_range, most, "an initialization segment")

    async def _document(self, url: str, byte_range: ByteRange | None, most_bytes: int, what: str) -> bytes:
        kept = self._kept.get((url, byte_range))
        if kept is not None:
            self._kept.move_to_end((url, byte_range))
            return kept
        if byte_range is not None and byte_range.length > most_bytes:
            raise RemoteProtocolError(f"hls: {what} of {byte_range.length} bytes")
        body = b""
        async with self.media(url, byte_range, what) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > most_bytes:
                    raise SourceRejected(
                        f"hls: {redact_request_url(url)}: {what} of more than {most_bytes} bytes"
                    )
        self._kept[url, byte_range] = body
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return body

    @asynccontextmanager
    async def media(
        self, url: str, byte_range: ByteRange | None, what: str, *, wait_s: float = 0.0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a resource, or of a part of it, as they arrive. ``wait_s`` as for ``playlist``.

        Raises:
            AnsweredBadly, SourceUnreachable, SourceStalled, SourceRejected: it could not be had.
        """
        headers = {}
        if byte_range is not None:
            headers["Range"] = f"bytes={byte_range.start}-{byte_range.start + byte_range.length - 1}"
        deadline_s = self._client.options.timeout_s + wait_s
        async with self._client.get(url, headers=headers, deadline_s=deadline_s) as response:
            if response.status not in (200, 206):
                raise AnsweredBadly(what, url, response.status)
            response.require_plain()
            pieces = self._pieces(response, byte_range, wait_s)
            try:
                yield pieces
            finally:
                await pieces.aclose()

    async def _pieces(
        self, response: HttpResponse, byte_range: ByteRange | None, wait_s: float
    ) -> AsyncGenerator[bytes, None]:
        """The wanted bytes of a body, within the bounds of time and size."""
        # A server that does not know ranges sends all of it (RFC 9110, section 14.2).
        ahead = byte_range.start if byte_range is not None and response.status == 200 else 0
        left = byte_range.length if byte_range is not None else self.limits.max_segment_bytes + 1
        loop = asyncio.get_running_loop()
        budget_s = self.limits.segment_timeout_s + wait_s
        received = 0
        while left > 0:
            before_s = loop.time()
            try:
                async with asyncio.timeout(budget_s):
                    piece = await response.chunk()
            except TimeoutError as err:
                limit_s = self.limits.segment_timeout_s
                where = redact_request_url(response.url)
                raise SourceStalled(f"hls: {where}: not complete within {limit_s:g} s") from err
            budget_s -= loop.time() - before_s
            if not piece:
                return
            received += len(piece)
            self._statistics.received_bytes += len(piece)
            if received > self.limits.max_segment_bytes:
                raise RemoteProtocolError(f"a body of more than {self.limits.max_segment_bytes} bytes")
            if ahead:
                dropped = min(ahead, len(piece))
                ahead -= dropped
                piece = piece[dropped:]
            if piece:
                piece = piece[:left]
                left -= len(piece)
                yield piece


def without_fields(url: str, names: Container[str]) -> str:
    """``url`` without some fields of its query; the rest as it was written."""
    path, _, query = url.partition("?")
    kept = [each for each in query.split("&") if each and each.partition("=")[0] not in names]
    return path + ("?" + "&".join(kept) if kept else "")


def resolve(base: str, uri: str) -> str:
    """The absolute URL of a URI that a playlist at ``base`` names.

    Raises :class:`SourceRejected` when it cannot be one.
    """
    try:
        return urljoin(base, uri)
    except ValueError as err:
        raise SourceRejected("hls: the playlist names a URL that is none") from err
