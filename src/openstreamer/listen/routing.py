"""Which stream a path on the RTMP, RTSP or SRT port means (CONTRACT 2).

Codes of one segment are reached under ``live/``, codes of several directly or under ``live/``; a bare
single segment is refused.
"""

from openstreamer.config.codes import validate_stream_code
from openstreamer.media.errors import AccessError, ConfigError

LIVE = "live"


def stream_codes_of(path: str) -> tuple[str, ...]:
    """The codes that ``path`` may mean, the likeliest first.

    ``live/news`` is the stream ``news``, or else one whose whole code is ``live/news`` (auto-publish makes
    those). ``path`` has no leading or trailing slash and no query.

    Raises:
        AccessError: the path can mean no stream; the message says why, and how it would be right.
    """
    first, _, rest = path.partition("/")
    if not rest:
        shown = f"{LIVE}/{first}" if first and first != LIVE else f"{LIVE}/<stream>"
        raise AccessError(
            f"{path!r} is not a stream path: a single name goes as {shown}", code="INVALID_PATH"
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
        raise AccessError(f"{path!r} is not a stream path: {problem}", code="INVALID_PATH")
    return tuple(codes)
