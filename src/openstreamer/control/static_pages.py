"""The built pages: start page, player, OpenAPI page and what they load. Nothing comes from another host."""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DIST = Path(__file__).parent / "pages" / "dist"
MOST_FILES = 200  # a build has about ten

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_COMPRESSED = frozenset({".css", ".html", ".js", ".json", ".map", ".svg", ".txt", ".wasm"})
_HASHED_NAME = re.compile(r"-[A-Z0-9]{8}\.[a-z0-9]+$")  # esbuild's [name]-[hash]
FOR_EVER = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "media-src": "'self' blob:",  # hls.js feeds the video element from a MediaSource URL
    "worker-src": "'self' blob:",  # and remuxes in a worker made from a blob
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


@dataclass(frozen=True, slots=True)
class PageResponse:
    """An answer that is ready to be sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    compressed: bytes | None
    etag: str
    content_type: str
    cache_control: str


class StaticPages:
    """Files of a build directory, found by name in a list made when it was scanned: no path of a client
    reaches the file system. A file is read and compressed, on another thread, at its first request and kept.
    """

    def __init__(self, directory: Path = DIST) -> None:
        self._directory = directory
        self._paths: dict[str, Path] = {}
        self._files: dict[str, _File] = {}

    async def start_page(self, headers: Mapping[str, str]) -> PageResponse:
        """``/``."""
        return await self._page("index.html", headers, {})

    async def player(self, headers: Mapping[str, str]) -> PageResponse:
        """``/play/{code}``; other sites may frame it, that is what embedding a player is."""
        return await self._page("play.html", headers, {"frame-ancestors": "*"})

    async def openapi_page(self, headers: Mapping[str, str]) -> PageResponse:
        """``/swagger/``; Swagger UI sets style attributes."""
        return await self._page("swagger.html", headers, {"style-src": "'self' 'unsafe-inline'"})

    async def asset(self, name: str, headers: Mapping[str, str]) -> PageResponse:
        """``/assets/{name}``."""
        file = await self._file(f"assets/{name}")
        if file is None:
            return _plain(404, "no such file")
        return _respond(file, headers, {})

    async def _page(self, name: str, headers: Mapping[str, str], policy: Mapping[str, str]) -> PageResponse:
        file = await self._file(name)
        if file is None:
            return _plain(
                503,
                "The pages of this server are not built. Run `make pages` in the source tree and reload.\n"
                "Streams, players elsewhere and the API work without them.\n",
            )
        return _respond(file, headers, {"content-security-policy": _policy_text(policy)})

    async def _file(self, name: str) -> _File | None:
        if not self._paths:  # not built yet, at least not when it was last looked at
            self._paths = await asyncio.to_thread(_scan, self._directory)
        known = self._files.get(name)
        if known is not None:
            return known
        path = self._paths.get(name)
        if path is None:
            return None
        try:
            file = await asyncio.to_thread(_load, path)
        except OSError:  # removed by a new build
            self._paths, self._files = {}, {}
            return None
        self._files[name] = file
        return file


def _scan(directory: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink() and len(found) < MOST_FILES:
            found[path.relative_to(directory).as_posix()] = path
    return found


def _load(path: Path) -> _File:
    body = path.read_bytes()
    return _File(
        body=body,
        compressed=gzip.compress(body, 6, mtime=0) if path.suffix in _COMPRESSED else None,
        etag=f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"',
        content_type=_CONTENT_TYPES.get(path.suffix, "application/octet-stream"),
        cache_control=FOR_EVER if _HASHED_NAME.search(path.name) else REVALIDATE,
    )


def _respond(file: _File, request_headers: Mapping[str, str], extra: Mapping[str, str]) -> PageResponse:
    headers = {
        "content-type": file.content_type,
        "cache-control": file.cache_control,
        "etag": file.etag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",  # a player's address may carry a token
        **extra,
    }
    if file.etag in request_headers.get("if-none-match", ""):
        return PageResponse(304, headers, b"")
    if file.compressed is not None and _accepts_gzip(request_headers.get("accept-encoding", "")):
        headers["content-encoding"] = "gzip"
        return PageResponse(200, headers, file.compressed)
    return PageResponse(200, headers, file.body)


def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return parameter.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _policy_text(changes: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in {**_POLICY, **changes}.items())


def _plain(status: int, text: str) -> PageResponse:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    return PageResponse(status, headers, text.encode())
