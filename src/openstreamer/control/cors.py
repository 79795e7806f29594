"""Cross-origin access to the admin API, by the operator's ``server.cors`` settings (Fetch standard, CORS)."""

from dataclasses import dataclass

from openstreamer.config.global_config import Cors

DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
DEFAULT_HEADERS = ("authorization", "content-type", "if-match")
DEFAULT_EXPOSED = ("etag",)

NOTHING_ALLOWED = Cors()


@dataclass(frozen=True, slots=True)
class CorsRules:
    """What pages of other origins may do; nothing unless it is enabled."""

    settings: Cors = NOTHING_ALLOWED

    @property
    def allowed_origins(self) -> frozenset[str]:
        """Origins whose pages may change things."""
        return frozenset(self.settings.allowed_origins) if self.settings.enabled else frozenset()

    def headers(self, origin: str | None) -> dict[str, str]:
        """What to add to a response for a page of ``origin``."""
        allowed = self._allow_origin(origin)
        if allowed is None:
            return {"vary": "origin"} if self.settings.enabled else {}
        exposed = self.settings.exposed_headers or DEFAULT_EXPOSED
        headers = {
            "access-control-allow-origin": allowed,
            "access-control-expose-headers": ", ".join(exposed),
            "vary": "origin",
        }
        if self._with_credentials:
            headers["access-control-allow-credentials"] = "true"
        return headers

    def preflight(self, origin: str | None) -> dict[str, str] | None:
        """The headers that answer a preflight, or ``None`` when its origin is not allowed."""
        if self._allow_origin(origin) is None:
            return None
        headers = self.headers(origin)
        headers["access-control-allow-methods"] = ", ".join(self.settings.allowed_methods or DEFAULT_METHODS)
        headers["access-control-allow-headers"] = ", ".join(self.settings.allowed_headers or DEFAULT_HEADERS)
        if self.settings.max_age:
            headers["access-control-max-age"] = str(self.settings.max_age)
        return headers

    @property
    def _with_credentials(self) -> bool:
        # A wildcard with credentials would let every page of the web act as the logged-in operator: the
        # Fetch standard forbids the pair, and it is not worked around by echoing the origin.
        return self.settings.allow_credentials and "*" not in self.settings.allowed_origins

    def _allow_origin(self, origin: str | None) -> str | None:
        if origin is None or not self.settings.enabled:
            return None
        if "*" in self.settings.allowed_origins:
            return "*"
        return origin if origin in self.settings.allowed_origins else None
