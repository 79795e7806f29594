"""Names that an operator may give: stream codes, template codes, prefixes.

A stream code is part of media URLs (``/{code}/index.m3u8``), of admin URLs (``/streams/{code}/restart``) and
of publish paths, so it may not look like a name that those URLs use themselves (CONTRACT 1).
"""

import re

from openstreamer.media.errors import ConfigError

MAX_CODE_CHARS = 128  # CONTRACT 3
MAX_HOOK_ID_CHARS = 128

# First path segments of the HTTP port that belong to the server: CONTRACT 1, and the pages of our own.
# ``live`` is not among them: it is a prefix of the other listeners only.
RESERVED_NAMES: tuple[str, ...] = (
    "api",
    "assets",
    "config",
    "docs",
    "events",
    "favicon.ico",
    "healthz",
    "hooks",
    "login",
    "metrics",
    "openapi.json",
    "play",
    "policies",
    "readyz",
    "redoc",
    "robots.txt",
    "sessions",
    "streams",
    "swagger",
    "templates",
    "ui",
    "vod",
    "watermarks",
)

# Segments after the first that would make another stream's URL ambiguous: ``/news/mpegts`` is the transport
# stream of ``news``, ``/streams/news/restart`` an action on it. Names with a dot (index.m3u8, segments,
# thumbnail.jpg) cannot occur in a code at all.
RESERVED_INNER_NAMES: tuple[str, ...] = ("mpegts", "restart", "sessions", "switch")

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_RENDITION = re.compile(r"track_[0-9]+", re.ASCII)  # /{code}/track_1/… is a rendition of {code}


def validate_stream_code(code: str, *, field: str = "code") -> str:
    """Return ``code`` or raise :class:`ConfigError` that says which rule it breaks."""
    segments = _path_segments(code, "stream code", field)
    if segments[0] in RESERVED_NAMES:
        raise _invalid(f"a stream code may not begin with {segments[0]!r}: the server uses that name", field)
    for segment in segments[1:]:
        if segment in RESERVED_INNER_NAMES or _RENDITION.fullmatch(segment):
            raise _invalid(f"a stream code may not contain /{segment}: media and admin URLs use it", field)
    return code


def validate_template_code(code: str, *, field: str = "code") -> str:
    """Return ``code`` or raise :class:`ConfigError`: one segment, no slash."""
    return _single_segment(code, "template code", field)


def validate_policy_code(code: str, *, field: str = "code") -> str:
    """Return ``code`` or raise :class:`ConfigError`: one segment, no slash."""
    return _single_segment(code, "policy code", field)


def validate_hook_id(hook_id: str, *, field: str = "id") -> str:
    """Return ``hook_id`` or raise :class:`ConfigError`: one segment, no slash."""
    return _single_segment(hook_id, "hook id", field)


def normalise_prefix(prefix: str, *, field: str = "prefixes") -> str:
    """A template prefix without its trailing slash, or :class:`ConfigError` (code ``INVALID_PREFIX``)."""
    stripped = prefix.strip()
    trimmed = stripped[:-1] if stripped.endswith("/") else stripped
    try:
        segments = _path_segments(trimmed, "prefix", field)
    except ConfigError as err:
        raise ConfigError(str(err), field=field, code="INVALID_PREFIX") from err
    if segments[0] in RESERVED_NAMES:
        message = f"a prefix may not begin with {segments[0]!r}: the server uses that name"
        raise ConfigError(message, field=field, code="INVALID_PREFIX")
    return trimmed


def prefix_matches(prefix: str, path: str) -> bool:
    """Whether ``path`` lies under ``prefix`` by whole segments: ``live`` has ``live/a``, not ``lives``."""
    return path == prefix or path.startswith(prefix + "/")


def prefixes_overlap(one: str, other: str) -> bool:
    """Whether some path would match both prefixes (CONTRACT 1, ``PREFIX_OVERLAP``)."""
    return prefix_matches(one, other) or prefix_matches(other, one)


def _path_segments(text: str, what: str, field: str) -> list[str]:
    _check_length(text, what, field)
    segments = text.split("/")
    for segment in segments:
        if not _SEGMENT.fullmatch(segment):
            raise _invalid(f"a {what} is made of [A-Za-z0-9_-] segments joined by single slashes", field)
    return segments


def _single_segment(text: str, what: str, field: str) -> str:
    _check_length(text, what, field)
    if not _SEGMENT.fullmatch(text):
        raise _invalid(f"a {what} is made of the characters [A-Za-z0-9_-] only", field)
    return text


def _check_length(text: str, what: str, field: str) -> None:
    if not text:
        raise _invalid(f"a {what} is required", field)
    if len(text) > MAX_CODE_CHARS:
        raise _invalid(f"a {what} has at most {MAX_CODE_CHARS} characters, this one {len(text)}", field)


def _invalid(message: str, field: str) -> ConfigError:
    return ConfigError(message, field=field, code="INVALID_CODE")
