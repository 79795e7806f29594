"""GET over HTTP/1.1 for sources: redirects, credentials, documents and endless bodies, everything bounded.

Not a general client: no request bodies, no cookies, no proxies. Redirects are followed here, so that every
hop passes the egress guard and secrets stay with the origin they were given for.
"""

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, NamedTuple, Self
from urllib.parse import SplitResult, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

from openstreamer import __version__
from openstreamer.config.defaults import HTTP_TIMEOUT_S
from openstreamer.config.models import Input
from openstreamer.config.urls import redact_request_url
from openstreamer.media.errors import SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.sources.http_connection import HttpConnection
from openstreamer.sources.outbound import Outbound, Target

MAX_REDIRECTS: Final = 5
MAX_URL_CHARS: Final = 8192
MAX_IDLE_CONNECTIONS: Final = 4
IDLE_S: Final = 15.0  # servers keep idle connections for 5 to 75 s; an older one is not worth the risk

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OURS: Final = frozenset({"connection", "content-length", "transfer-encoding", "accept-encoding", "te"})
_MEANINGS: Final = {
    401: "it wants credentials",
    403: "it refuses us",
    404: "it has no such stream",
    410: "the stream is gone",
}
_TRY_LATER: Final = frozenset({408, 425, 429})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL_CHARACTERS: Final = "!#$%&'()*+,/:;=?@[]~"  # what quote() leaves as it is, besides letters and digits


class Origin(NamedTuple):
    """Scheme, host and port: whom a secret was given for (RFC 6454)."""

    scheme: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How an input's requests are made.

    ``headers`` and ``credentials`` (``user:password``) go to ``origin`` only. ``timeout_s`` bounds connecting
    and the head of a response, and is the longest silence in a body.
    """

    origin: Origin | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: str = field(default="", repr=False)
    timeout_s: float = HTTP_TIMEOUT_S
    insecure_tls: bool = False

    @classmethod
    def of(cls, chosen: Input) -> "HttpOptions":
        """What an input says: headers, ``net``, and the user of its URL."""
        split = split_url(chosen.url)
        return cls(
            origin=origin_of(split),
            headers=dict(chosen.headers),
            credentials=_credentials(split),
            timeout_s=float(chosen.net.timeout_sec or HTTP_TIMEOUT_S),
            insecure_tls=chosen.net.insecure_tls,
        )


def input_url(chosen: Input) -> str:
    """The URL that an input asks for: its ``params`` added to the query, the rest as it was written."""
    split = split_url(chosen.url)
    query = "&".join(part for part in (split.query, urlencode(dict(chosen.params))) if part)
    return urlunsplit((split.scheme, split.netloc, split.path, query, ""))


class HttpResponse:
    """The head of a response, and its body in pieces.

    ``url`` is where it came from after redirects, ``headers`` has lower-case names.
    """

    def __init__(self, connection: HttpConnection, url: str, timeout_s: float) -> None:
        self.status = connection.status
        self.headers = connection.headers
        self.url = url
        self._connection = connection
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status} {redact_request_url(self.url)}>"

    @property
    def content_type(self) -> str:
        """In lower case, without parameters; empty when the server does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """Of the body, when the server says and it is not chunked."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    @property
    def complete(self) -> bool:
        """After ``chunk`` returned nothing: whether the server said that this is the end, rather than that
        the connection just was closed."""
        return self._connection.delimited

    @property
    def connection(self) -> HttpConnection:
        """For counters and bounds."""
        return self._connection

    def require_success(self) -> None:
        """Return for 200 and 206.

        Raises:
            SourceRejected: the server refuses, or has no such thing (4xx).
            SourceUnreachable: it cannot answer now (5xx, 408, 429).
        """
        if self.status in (200, 206):
            return
        message = f"{self._label}: the server answered {self.status}{_meaning(self.status)}"
        if 400 <= self.status < 500 and self.status not in _TRY_LATER:
            raise SourceRejected(message)
        raise SourceUnreachable(message)

    async def chunk(self) -> bytes:
        """What arrived of the body, at most 64 KiB; empty at its end.

        Raises:
            SourceStalled: nothing arrived within the timeout.
            SourceUnreachable: the connection broke before the end.
        """
        return await self._connection.piece(self._timeout_s)

    async def read(self, max_bytes: int, *, deadline_s: float | None = None) -> bytes:
        """The whole body, unpacked when it is gzip.

        Raises:
            SourceRejected: it has more than ``max_bytes``, or a coding we did not ask for.
            SourceStalled: it was not complete within ``deadline_s`` (default: the timeout).
            SourceUnreachable: the connection broke before the end.
        """
        limit_s = self._timeout_s if deadline_s is None else deadline_s
        unpack = _unpacker(self.headers.get("content-encoding", ""), self._label)
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(limit_s):
                while piece := await self.chunk():
                    part = unpack(piece, max_bytes - size + 1)
                    size += len(part)
                    if size > max_bytes:
                        raise SourceRejected(f"{self._label}: a document of more than {max_bytes} bytes")
                    parts.append(part)
        except TimeoutError as err:
            raise SourceStalled(f"{self._label}: the body was not complete within {limit_s:g} s") from err
        return b"".join(parts)

    def require_plain(self) -> None:
        """Refuse a packed body: media is taken as it is."""
        coding = self.headers.get("content-encoding", "").strip().lower()
        if coding not in ("", "identity"):
            raise SourceRejected(f"{self._label}: media in the content coding {coding[:32]!r} is not taken")

    def follow_rate(self) -> None:
        """The body is media in real time: let the kernel collect crumbs of it."""
        self._connection.follow_rate(self._timeout_s)

    @property
    def _label(self) -> str:
        return f"http: {redact_request_url(self.url)}"


class HttpClient:
    """The requests of one input; an async context manager that closes what is idle.

    ``get`` may run several times at once.
    """

    def __init__(self, outbound: Outbound, options: HttpOptions) -> None:
        self.options = options
        self._outbound = outbound
        self._idle: dict[Origin, list[tuple[float, HttpConnection]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the idle connections."""
        idle, self._idle = self._idle, {}
        for connections in idle.values():
            for _, connection in connections:
                connection.abort()

    @asynccontextmanager
    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        compressed: bool = False,
    ) -> AsyncIterator[HttpResponse]:
        """The response to ``url``, redirects followed; of any status.

        ``headers`` are added to the input's own and go wherever the request goes, such as ``Range``.
        ``deadline_s`` (default: the timeout) bounds everything up to the end of the head, ``compressed`` asks
        for gzip, which ``read`` unpacks.

        Raises:
            SourceRejected: the guard, a certificate, a redirect that may not be followed.
            SourceUnreachable: no connection, or not HTTP.
            SourceStalled: the head was not complete within the deadline.
        """
        limit_s = self.options.timeout_s if deadline_s is None else deadline_s
        extra = {"Accept-Encoding": "gzip" if compressed else "identity", **(headers or {})}
        try:
            async with asyncio.timeout(limit_s):
                connection, origin, final_url = await self._follow(url, extra, limit_s)
        except TimeoutError as err:
            where = redact_request_url(url)
            raise SourceStalled(f"http: {where}: connected, but no answer within {limit_s:g} s") from err
        try:
            yield HttpResponse(connection, final_url, self.options.timeout_s)
        finally:
            self._give_back(origin, connection)

    async def _follow(
        self, url: str, extra: Mapping[str, str], limit_s: float
    ) -> tuple[HttpConnection, Origin, str]:
        for _ in range(MAX_REDIRECTS + 1):
            split = split_url(url)
            origin = origin_of(split)
            connection = await self._request(origin, self._message(split, origin, extra), limit_s, url)
            location = connection.headers.get("location", "")
            if connection.status not in _REDIRECTS or not location:
                return connection, origin, _without_user(split)
            self._give_back(origin, connection)
            url = self._redirected(url, location)
        raise SourceRejected(f"http: {redact_request_url(url)}: more than {MAX_REDIRECTS} redirects")

    def _redirected(self, url: str, location: str) -> str:
        try:
            following = urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))
            downgrade = (urlsplit(url).scheme, urlsplit(following).scheme) == ("https", "http")
        except ValueError as err:
            raise SourceRejected(f"http: {redact_request_url(url)}: redirects to what is no URL") from err
        if downgrade and not self.options.insecure_tls:
            where = redact_request_url(url)
            raise SourceRejected(
                f"http: {where}: redirects to plain HTTP, which net.insecure_tls would allow"
            )
        return following

    async def _request(self, origin: Origin, message: bytes, limit_s: float, url: str) -> HttpConnection:
        connection = self._take_idle(origin)
        if connection is not None:
            received_before = connection.received_bytes
            try:
                return await self._exchange(connection, message)
            except SourceUnreachable:
                if connection.received_bytes != received_before:
                    raise
                # Closed while the request was on its way: a GET is repeated (RFC 9112, section 9.3.1).
        target = Target(
            label=origin.scheme,
            host=origin.host,
            port=origin.port,
            connect_s=limit_s,
            tls=origin.scheme == "https",
            insecure_tls=self.options.insecure_tls,
            alpn=("http/1.1",),
        )
        where = f"http: {redact_request_url(url)}"
        _, connection = await self._outbound.connect(
            lambda connected: HttpConnection(where, connected), target
        )
        return await self._exchange(connection, message)

    async def _exchange(self, connection: HttpConnection, message: bytes) -> HttpConnection:
        try:
            connection.send_request(message)
            await connection.head()
        except BaseException:
            connection.abort()
            raise
        return connection

    def _message(self, split: SplitResult, origin: Origin, extra: Mapping[str, str]) -> bytes:
        default = _DEFAULT_PORTS[origin.scheme] == origin.port
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        fields = {
            "host": ("Host", host if default else f"{host}:{origin.port}"),
            "user-agent": ("User-Agent", f"openstreamer/{__version__}"),
            "accept": ("Accept", "*/*"),
        }
        options = self.options
        credentials = _credentials(split)
        if options.origin is not None and _may_know(options.origin, origin):
            credentials = credentials or options.credentials
            own = {name: value for name, value in options.headers.items() if name.lower() not in _OURS}
            fields |= {name.lower(): (name, value) for name, value in own.items()}
        if credentials and "authorization" not in fields:
            encoded = base64.b64encode(credentials.encode()).decode()
            fields["authorization"] = ("Authorization", f"Basic {encoded}")
        fields |= {name.lower(): (name, value) for name, value in extra.items()}
        path = quote(split.path or "/", safe=_URL_CHARACTERS)
        query = f"?{quote(split.query, safe=_URL_CHARACTERS)}" if split.query else ""
        lines = [f"GET {path}{query} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.values())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")

    # ------------------------------------------------------------------ idle connections

    def _take_idle(self, origin: Origin) -> HttpConnection | None:
        now_s = asyncio.get_running_loop().time()
        connections = self._idle.get(origin, [])
        while connections:
            since_s, connection = connections.pop()
            if connection.usable and now_s - since_s <= IDLE_S:
                return connection
            connection.abort()
        return None

    def _give_back(self, origin: Origin, connection: HttpConnection) -> None:
        if not connection.finish():
            return
        connections = self._idle.setdefault(origin, [])
        connections.append((asyncio.get_running_loop().time(), connection))
        if sum(map(len, self._idle.values())) > MAX_IDLE_CONNECTIONS:
            oldest = min((each for each in self._idle.values() if each), key=lambda each: each[0][0])
            oldest.pop(0)[1].abort()


def split_url(url: str) -> SplitResult:
    """An http or https URL taken apart.

    Raises:
        SourceRejected: it is not one; the message repeats no secret.
    """
    if len(url) > MAX_URL_CHARS:
        raise SourceRejected(f"http: a URL of more than {MAX_URL_CHARS} characters")
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError as err:
        raise SourceRejected("http: the server names a URL that is none") from err
    if split.scheme not in _DEFAULT_PORTS:
        raise SourceRejected(
            f"http: a redirect or playlist names {split.scheme[:16]!r}, which is not followed"
        )
    if not split.hostname:
        raise SourceRejected("http: a URL without a host")
    if any(character < " " or character == "\x7f" for character in url):
        raise SourceRejected("http: a URL with control characters")
    return split


def origin_of(split: SplitResult) -> Origin:
    """Whom a URL asks."""
    host = split.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as err:
            raise SourceRejected("http: a host name that cannot be") from err
    return Origin(split.scheme, host, split.port or _DEFAULT_PORTS[split.scheme])


def _may_know(given_for: Origin, asked: Origin) -> bool:
    """Whether ``asked`` may see what was given for another: it is the same, or the same host under TLS."""
    upgraded = Origin("https", given_for.host, 443)
    return asked == given_for or (given_for == Origin("http", given_for.host, 80) and asked == upgraded)


def _credentials(split: SplitResult) -> str:
    if not split.username and not split.password:
        return ""
    return f"{unquote(split.username or '')}:{unquote(split.password or '')}"


def _without_user(split: SplitResult) -> str:
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2], fragment=""))


def _meaning(status: int) -> str:
    words = {
        401: "it wants credentials",
        403: "it refuses us",
        404: "it has no such stream",
        410: "it is gone",
    }
    return f": {words[status]}" if status in words else ""


class _Gunzip:
    """A gzip body, unpacked no further than its bound."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)  # 16: the gzip header

    def __call__(self, data: bytes, most_bytes: int) -> bytes:
        try:
            return self._stream.decompress(data, most_bytes)
        except zlib.error as err:
            raise SourceRejected(f"{self._label}: the body is not the gzip it is said to be") from err


def _unpacker(coding: str, label: str) -> "_Gunzip | _Plain":
    coding = coding.strip().lower()
    if coding in ("gzip", "x-gzip"):
        return _Gunzip(label)
    if coding in ("", "identity"):
        return _Plain()
    raise SourceRejected(f"{label}: the content coding {coding[:32]!r} was not asked for")


class _Plain:
    def __call__(self, data: bytes, most_bytes: int) -> bytes:
        return data
