"""The media application: presentations over HTTP, outside the REST framework's cost per request.

A path is a stream's code, which may contain slashes, and a name below it; the longest known code wins.
"""

import re
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import unquote_plus

from openstreamer.listen.http.asgi import (
    RESPONSE_EXTENSION,
    Buffer,
    Header,
    Receive,
    Scope,
    Send,
    respond,
    respond_error,
)
from openstreamer.listen.http.media_cors import MediaCors
from openstreamer.listen.http.ranges import UnsatisfiableRangeError, byte_range, cut
from openstreamer.packager.errors import NotReady, RequestError

MAX_PATH_CHARS = 512  # a code of 128, a rendition, a name
MAX_SEGMENTS = 70  # of a path: a code of 128 characters has at most 64
MAX_QUERY_BYTES = 2048
MAX_QUERY_FIELDS = 32
_GZIP_REFUSED = re.compile(rb"gzip\s*;\s*q=0(?:\.0*)?\s*(?:,|$)")
_ROUTES = {"m3u8": "/{code}/*.m3u8", "m4s": "/{code}/*.m4s", "mp4": "/{code}/*.mp4"}
_NO_QUERY: Mapping[str, str] = {}


class Response(Protocol):
    """What a presentation answers with; the body's chunks are shared between viewers."""

    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    @property
    def chunks(self) -> tuple[bytes, ...]: ...
    @property
    def cache_control(self) -> str: ...
    @property
    def headers(self) -> tuple[Header, ...]: ...
    @property
    def compressible(self) -> bool: ...
    @property
    def gzip_chunks(self) -> tuple[bytes, ...] | None: ...


class Presentation(Protocol):
    """Everything one stream serves over HTTP."""

    async def fetch(self, name: str, query: Mapping[str, str]) -> Response:
        """The resource ``name``; raises ``packager.errors.RequestError``."""


class Directory(Protocol):
    """Where presentations are found."""

    def presentation(self, code: str) -> Presentation | None:
        """The presentation of a stream, or None when there is nothing to serve."""


class Durations(Protocol):
    """Where the duration of each answer is counted."""

    def observe(self, route: str, method: str, status: int, duration_s: float) -> None:
        """Count one answer; ``route`` is a template."""


class _RefusedError(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class MediaApp:
    """An ASGI application that serves the presentations of ``directory``."""

    def __init__(
        self, directory: Directory, durations: Durations | None = None, cors: MediaCors | None = None
    ) -> None:
        self._directory = directory
        self._durations = durations
        self._cors = cors or MediaCors()
        # Heads differ by content type and caching only, of which there are a handful.
        self._heads: dict[tuple[str, str], tuple[Header, ...]] = {}

    def use_cors(self, cors: MediaCors) -> None:
        """Answer pages by these rules from now on."""
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        began_s = perf_counter()
        method: str = scope["method"]
        extension = scope["extensions"].get(RESPONSE_EXTENSION) if "extensions" in scope else None
        if extension is not None:
            extension["cancel_on_disconnect"]()  # whoever waits for a part is freed when its client leaves
        try:
            if method in ("GET", "HEAD"):
                status = await self._serve(scope, send, method)
            elif method == "OPTIONS":
                status = 204
                await respond(scope, send, 204, self._cors.preflight(scope), ())
            else:
                raise _RefusedError(405, "METHOD_NOT_ALLOWED", "media can be read only")
        except _RefusedError as err:
            status = err.status
            allow = [(b"allow", b"GET, HEAD, OPTIONS")] if status == 405 else []
            await respond_error(scope, send, status, err.code, str(err), [*self._cors.headers(scope), *allow])
        except RequestError as err:
            status = err.status
            retry = [(b"retry-after", b"1")] if isinstance(err, NotReady) else []
            await respond_error(scope, send, status, err.code, str(err), [*self._cors.headers(scope), *retry])
        if self._durations is not None:
            route = _ROUTES.get(scope["path"].rpartition(".")[2], "/{code}/*")
            self._durations.observe(route, method, status, perf_counter() - began_s)

    async def _serve(self, scope: Scope, send: Send, method: str) -> int:
        presentation, name = self._resolve(scope["path"])
        raw_query = scope["query_string"]
        query = _parse_query(raw_query) if raw_query else _NO_QUERY
        response = await presentation.fetch(name, query)
        headers: list[Header] = [*self._head(response), *self._cors.headers(scope), *response.headers]
        chunks: Sequence[Buffer] = response.chunks
        status = response.status
        accept_encoding, range_header = _request_fields(scope)
        if response.compressible:
            headers.append((b"vary", b"accept-encoding"))
            if accepts_gzip(accept_encoding) and (packed := response.gzip_chunks) is not None:
                headers.append((b"content-encoding", b"gzip"))
                chunks, range_header = packed, b""
        else:
            headers.append((b"accept-ranges", b"bytes"))
        if range_header and status == 200 and method == "GET":
            status, chunks = _select(range_header, chunks, headers)
        await respond(scope, send, status, headers, chunks)
        return status

    def _head(self, response: Response) -> tuple[Header, ...]:
        key = response.content_type, response.cache_control
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= 256:
                self._heads.clear()
            head = self._heads[key] = (
                (b"content-type", key[0].encode("latin-1")),
                (b"cache-control", key[1].encode("latin-1")),
            )
        return head

    def _resolve(self, path: str) -> tuple[Presentation, str]:
        """The presentation and the name that a decoded path means."""
        segments = path.split("/")[1:]
        if len(path) > MAX_PATH_CHARS or len(segments) > MAX_SEGMENTS or _is_unsafe(path, segments):
            raise _RefusedError(400, "BAD_REQUEST", "the path is not one of a stream")
        for count in range(len(segments) - 1, 0, -1):
            presentation = self._directory.presentation("/".join(segments[:count]))
            if presentation is not None:
                return presentation, "/".join(segments[count:])
        raise _RefusedError(404, "STREAM_NOT_FOUND", "there is no such stream on the air")


def _is_unsafe(path: str, segments: list[str]) -> bool:
    """Whether a path could mean something else to a cache, a proxy or a file system than to us."""
    return (
        "\0" in path
        or "\\" in path
        or "" in segments[:-1]
        or ".." in segments
        or "." in segments
        or not path.isprintable()
    )


def _parse_query(raw: bytes) -> Mapping[str, str]:
    """The fields of a query; of one that is given twice the first counts."""
    fields: dict[str, str] = {}
    parts = raw.decode("latin-1").split("&")
    if len(raw) > MAX_QUERY_BYTES or len(parts) > MAX_QUERY_FIELDS:
        raise _RefusedError(400, "BAD_REQUEST", "the query is too long")
    for part in parts:
        if "%" in part or "+" in part:
            name, _, value = part.partition("=")
            fields.setdefault(unquote_plus(name), unquote_plus(value))
        elif part:
            name, _, value = part.partition("=")
            fields.setdefault(name, value)
    return fields


def _request_fields(scope: Scope) -> tuple[bytes, bytes]:
    """Accept-Encoding and Range. A range with If-Range is dropped: nothing here has a validator to match."""
    accept_encoding = range_header = b""
    conditional = False
    headers: Sequence[tuple[bytes, Any]] = scope["headers"]
    for name, value in headers:
        if name == b"accept-encoding":
            accept_encoding = value
        elif name == b"range":
            range_header = value
        elif name == b"if-range":
            conditional = True
    return accept_encoding, b"" if conditional else range_header


def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether ``Accept-Encoding`` allows gzip (RFC 9110 12.5.3)."""
    return b"gzip" in accept_encoding and _GZIP_REFUSED.search(accept_encoding) is None


def _select(
    range_header: bytes, chunks: Sequence[Buffer], headers: list[Header]
) -> tuple[int, Sequence[Buffer]]:
    """Apply a Range: the status and the body to answer with; ``headers`` gets a Content-Range."""
    length = sum(map(len, chunks))
    try:
        selected = byte_range(range_header, length)
    except UnsatisfiableRangeError:
        headers.append((b"content-range", b"bytes */%d" % length))
        return 416, ()
    if selected is None:
        return 200, chunks
    start, end = selected
    headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, length)))
    return 206, cut(chunks, start, end)
