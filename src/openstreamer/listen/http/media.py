"""The media application: presentations over HTTP, outside the REST framework's cost per request.

A path is a stream's code, which may contain slashes, and a name below it; the longest known code wins.
"""

from collections.abc import Coroutine, Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol
from urllib.parse import unquote_plus

from openstreamer.access.playback import require_playback
from openstreamer.listen.http.asgi import (
    RESPONSE_EXTENSION,
    Buffer,
    Header,
    Receive,
    Scope,
    Send,
    error_body,
    respond,
)
from openstreamer.listen.http.media_cors import MediaCors
from openstreamer.listen.http.plain import PlainAnswer, PlainGet, accepts_gzip
from openstreamer.listen.http.ranges import UnsatisfiableRangeError, byte_range, cut
from openstreamer.media.errors import AccessError
from openstreamer.packager.errors import NotReady, RequestError

MAX_PATH_CHARS = 512  # a code of 128, a rendition, a name
MAX_SEGMENTS = 70  # of a path: a code of 128 characters has at most 64
MAX_QUERY_BYTES = 2048
MAX_QUERY_FIELDS = 32
_ROUTES = {"m3u8": "/{code}/*.m3u8", "m4s": "/{code}/*.m4s", "mp4": "/{code}/*.mp4"}
_OF_A_BODY = (b"content-type", b"cache-control")
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

    def fetch(self, name: str, query: Mapping[str, str]) -> Coroutine[Any, Any, Response]:
        """The resource ``name``; raises ``packager.errors.RequestError``."""


class Directory(Protocol):
    """Where presentations are found."""

    def presentation(self, code: str) -> Presentation | None:
        """The presentation of a stream, or None when there is nothing to serve."""

    def playback_policy(self, code: str) -> str | None:
        """The policy of that stream, or None when everybody may watch it."""


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
        except (_RefusedError, RequestError) as err:
            status = err.status
            await respond(scope, send, *_refusal(err, self._cors.headers(scope)))
        if self._durations is not None:
            self._durations.observe(_route(scope["path"]), method, status, perf_counter() - began_s)

    async def _serve(self, scope: Scope, send: Send, method: str) -> int:
        presentation, name = self._resolve(scope["path"])
        raw_query = scope["query_string"]
        query = _parse_query(raw_query) if raw_query else _NO_QUERY
        response = await presentation.fetch(name, query)
        accept_encoding, range_header = _request_fields(scope)
        headers, chunks = self._shape(response, self._cors.headers(scope), accepts_gzip(accept_encoding))
        status = response.status
        # A range of a compressed body would be one of bytes that the next state packs differently.
        if range_header and status == 200 and method == "GET" and chunks is response.chunks:
            status, chunks = _select(range_header, chunks, headers)
        await respond(scope, send, status, headers, chunks)
        return status

    def answer(self, request: PlainGet) -> PlainAnswer | None:
        """The answer to a plain request; None when it must be waited for, which the general way does."""
        if b"_HLS_" in request.query:
            return None
        began_s = perf_counter()
        cors = self._cors.headers({"headers": request.headers})
        try:
            presentation, name = self._resolve(request.path)
            query = _parse_query(request.query) if request.query else _NO_QUERY
            fetching = presentation.fetch(name, query)
            fetching.send(None)
        except StopIteration as done:
            response: Response = done.value
            status = response.status
            headers, chunks = self._shape(response, cors, request.gzip)
        except (_RefusedError, RequestError) as err:
            status, headers, chunks = _refusal(err, cors)
        else:
            fetching.close()
            return None
        length = sum(map(len, chunks))
        if length > request.most_bytes:
            return None
        if self._durations is not None:
            self._durations.observe(_route(request.path), "GET", status, perf_counter() - began_s)
        return status, headers, chunks, length

    def _shape(
        self, response: Response, cors: Sequence[Header], gzip: bool
    ) -> tuple[list[Header], Sequence[Buffer]]:
        """Headers and body for a client that takes ``gzip`` or does not."""
        headers: list[Header] = [*self._head(response), *cors, *response.headers]
        if not response.compressible:
            headers.append((b"accept-ranges", b"bytes"))
            return headers, response.chunks
        headers.append((b"vary", b"accept-encoding"))
        if gzip and (packed := response.gzip_chunks) is not None:
            headers.append((b"content-encoding", b"gzip"))
            return headers, packed
        return headers, response.chunks

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
            code = "/".join(segments[:count])
            presentation = self._directory.presentation(code)
            if presentation is not None:
                self._admit(code)
                return presentation, "/".join(segments[count:])
        raise _RefusedError(404, "STREAM_NOT_FOUND", "there is no such stream on the air")

    def _admit(self, code: str) -> None:
        """Both ways to an answer lead through here: whoever may not watch gets none."""
        try:
            require_playback(self._directory.playback_policy(code))
        except AccessError as err:
            raise _RefusedError(403, err.code, str(err)) from err


def _refusal(
    err: _RefusedError | RequestError, cors: Sequence[Header]
) -> tuple[int, list[Header], Sequence[Buffer]]:
    """Status, headers and body of the answer to what cannot be served."""
    headers: list[Header] = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *cors]
    if err.status == 405:
        headers.append((b"allow", b"GET, HEAD, OPTIONS"))
    if isinstance(err, NotReady):
        headers.append((b"retry-after", b"1"))
    return err.status, headers, (error_body(err.code, str(err)),)


def _route(path: str) -> str:
    """The template that ``path`` is counted under."""
    return _ROUTES.get(path.rpartition(".")[2], "/{code}/*")


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


def _select(
    range_header: bytes, chunks: Sequence[Buffer], headers: list[Header]
) -> tuple[int, Sequence[Buffer]]:
    """Apply a Range: the status and the body to answer with; ``headers`` gets a Content-Range."""
    length = sum(map(len, chunks))
    try:
        selected = byte_range(range_header, length)
    except UnsatisfiableRangeError:
        # What was said of the body holds for a body: the next request of the same range may be answered.
        headers[:] = [header for header in headers if header[0] not in _OF_A_BODY]
        headers += [(b"cache-control", b"no-store"), (b"content-range", b"bytes */%d" % length)]
        return 416, ()
    if selected is None:
        return 200, chunks
    start, end = selected
    headers.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, length)))
    return 206, cut(chunks, start, end)
