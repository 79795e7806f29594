"""What a presentation answers a request with."""

import gzip
from dataclasses import dataclass, field
from typing import Final

PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"  # rfc8216bis section 4
# Names of media are never reused, so a copy may be kept for ever; a day covers every live use.
IMMUTABLE: Final = "public, max-age=86400, immutable"
NO_CACHE: Final = "no-cache"
_GZIP_LEVEL = 5  # a playlist of 4 kB: 3 % larger than level 9, in half the time


@dataclass(slots=True)
class MediaResponse:
    """Status, headers and body of an answer. The body is ``chunks`` in order; they are shared and must not
    be changed. ``gzip_chunks`` is the same body compressed, for what gains from it: made when first asked
    for, and kept for the other viewers of the same state."""

    status: int
    content_type: str
    chunks: tuple[bytes, ...]
    cache_control: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    compressible: bool = False
    _gzip: tuple[bytes, ...] | None = field(default=None, repr=False)

    @property
    def gzip_chunks(self) -> tuple[bytes, ...] | None:
        """The compressed body, or None if this kind of body does not gain from it."""
        if not self.compressible:
            return None
        if self._gzip is None:
            self._gzip = (gzip.compress(b"".join(self.chunks), _GZIP_LEVEL, mtime=0),)
        return self._gzip


def media(content_type: str, chunks: tuple[bytes, ...]) -> MediaResponse:
    """An initialisation segment, a segment or a part."""
    return MediaResponse(200, content_type, chunks, IMMUTABLE)


def playlist(text: str, cache_control: str) -> MediaResponse:
    """A playlist."""
    return MediaResponse(200, PLAYLIST_TYPE, (text.encode(),), cache_control, compressible=True)
