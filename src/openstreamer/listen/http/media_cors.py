"""Cross-origin access to media by the operator's ``server.cors`` (Fetch standard, CORS protocol).

While the setting is off, pages of all origins may play: a player on the operator's own site is the usual
case, and media that not everybody may watch has a policy. Once it is on, the listed origins may.
"""

from openstreamer.config.global_config import Cors
from openstreamer.listen.http.asgi import Header, Scope

_EXPOSED = ("content-length", "content-range", "date")  # what players read: sizes, and the server's clock
_METHODS = ("GET", "HEAD", "OPTIONS")
_DEFAULT_MAX_AGE_S = 86_400
_VARY = (b"vary", b"origin")


class MediaCors:
    """The headers of answers to pages, made once."""

    def __init__(self, settings: Cors | None = None) -> None:
        cors = settings or Cors()
        everybody = not cors.enabled or "*" in cors.allowed_origins
        exposed = (b"access-control-expose-headers", _joined((*_EXPOSED, *cors.exposed_headers)))
        self._allowed = frozenset(origin.encode() for origin in cors.allowed_origins)
        # The Fetch standard forbids credentials with a wildcard, and echoing the origin would undo that rule.
        credentials = ((b"access-control-allow-credentials", b"true"),) if cors.allow_credentials else ()
        self._for_listed: tuple[Header, ...] = (exposed, *credentials, _VARY)
        self._for_all: tuple[Header, ...] | None = (
            ((b"access-control-allow-origin", b"*"), exposed) if everybody else None
        )
        self._preflight: tuple[Header, ...] = (
            (b"access-control-allow-methods", _joined(_METHODS)),
            (b"access-control-allow-headers", _joined(cors.allowed_headers) or b"*"),
            (b"access-control-max-age", b"%d" % (cors.max_age or _DEFAULT_MAX_AGE_S)),
        )

    def headers(self, scope: Scope) -> tuple[Header, ...]:
        """On every answer to the request of ``scope``."""
        if self._for_all is not None:
            return self._for_all
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin not in self._allowed:
            return (_VARY,)
        return ((b"access-control-allow-origin", origin), *self._for_listed)

    def preflight(self, scope: Scope) -> tuple[Header, ...]:
        """On the answer to an OPTIONS request."""
        return (*self.headers(scope), *self._preflight)


def _joined(names: tuple[str, ...]) -> bytes:
    return ", ".join(names).encode("latin-1", "replace")
