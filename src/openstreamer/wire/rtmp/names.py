"""How an RTMP application and stream name become a path and a query.

RTMP has no URL on the wire: ``rtmp://host/live/news?key=abc`` arrives as the application ``live`` and the
stream name ``news?key=abc``, from other encoders as ``live?key=abc`` and ``news``, or all in either one.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from openstreamer.media.errors import RemoteProtocolError

MAX_NAME_BYTES = 2048  # tokens are long, paths are not
MAX_QUERY_FIELDS = 32


def path_and_query(app: str, stream_name: str) -> tuple[str, Mapping[str, str]]:
    """The joined path without empty segments, and the merged query of both parts.

    ``+`` in a query stays ``+``: keys are random strings, and nothing form-encodes an RTMP name.
    """
    if len(app) > MAX_NAME_BYTES or len(stream_name) > MAX_NAME_BYTES:
        raise RemoteProtocolError(f"RTMP: an application or stream name longer than {MAX_NAME_BYTES}")
    app_path, _, app_query = app.partition("?")
    name_path, _, name_query = stream_name.partition("?")
    segments = [unquote(segment) for segment in f"{app_path}/{name_path}".split("/") if segment]
    query: dict[str, str] = {}
    for text in (name_query, app_query):
        _merge(query, text)
    return "/".join(segments), query


def _merge(query: dict[str, str], text: str) -> None:
    fields = [field for field in text.split("&") if field]
    if len(query) + len(fields) > MAX_QUERY_FIELDS:
        raise RemoteProtocolError(f"RTMP: more than {MAX_QUERY_FIELDS} query fields in a stream name")
    for field in fields:
        name, _, value = field.partition("=")
        query.setdefault(unquote(name), unquote(value))
