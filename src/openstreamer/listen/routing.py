"""Which stream a path on the RTMP, RTSP or SRT port means (CONTRACT 2).

Codes of one segment are reached under ``live/``, codes of several directly or under ``live/``; a bare
single segment is refused.
"""

import re

from openstreamer.config.codes import validate_stream_code
from openstreamer.media.errors import AccessError, ConfigError

LIVE = "live"

_MAY_BE_A_CODE = re.compile(r"[A-Za-z0-9_/-]*", re.ASCII)


def stream_codes_of(path: str) -> tuple[str, ...]:
    """The codes that ``path`` may mean, the likeliest first.

    ``live/news`` is the stream ``news``, or else one whose whole code is ``live/news`` (auto-publish makes
    those). ``path`` has no leading or trailing slash and no query.

    Raises:
        AccessError: the path can mean no stream; the message says why, and how it would be right.
    """
    first, _, rest = path.partition("/")
    shown = shown_path(path)
    if not rest:
        name = f"{LIVE}/{shown_path(first)}" if first and first != LIVE else f"{LIVE}/<stream>"
        raise AccessError(
            f"{shown!r} is not a stream path: a single name goes as {name}", code="INVALID_PATH"
        )
    candidates = (rest, path) if first == LIVE else (path,)
    codes: list[str] = []
    problem = ""
    for candidate in candidates:
        try:
            codes.append(validate_stream_code(candidate))
        except ConfigError as err:
            problem = problem or str(err)
    if not codes:
        if shown != path:
            problem += "; a key goes behind a question mark, as in ?key=..."
        raise AccessError(f"{shown!r} is not a stream path: {problem}", code="INVALID_PATH")
    return tuple(codes)


def shown_path(path: str) -> str:
    """``path`` as it may be logged and told: up to the first character that no code can have. Behind that, a
    key that was typed in a wrong way may stand (``live/news&key=secret``)."""
    match = _MAY_BE_A_CODE.match(path)
    assert match is not None
    return path if match.end() == len(path) else f"{match[0]}..."
