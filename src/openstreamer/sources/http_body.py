"""The body of a response, continued over a new connection where it broke (RFC 9110, section 14).

Only one whose length is known is: then it is a file, and a byte of it stays what it was. It is continued if
the server still has the same representation; what it sends from the beginning again is not taken.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final, Self

from openstreamer.media.errors import SourceError, SourceRejected, SourceStalled, SourceUnreachable
from openstreamer.sources.http_client import HttpClient, HttpResponse

WAITS_S: Final = (0.0, 0.2, 0.6)  # before each try, as for live connections
BUDGET_S: Final = 1.5  # until the server answers: less than the 2 s of silence after which a stream gives up
STABLE_S: Final = 10.0  # a rest that was cut again within this is not asked for again

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII | re.IGNORECASE)
_STRONG_AFTER_S: Final = 1.0  # section 8.8.2.2: between the last change and the answer


class HttpBody:
    """The response to ``url`` and its body; an async context manager."""

    def __init__(self, client: HttpClient, url: str) -> None:
        self._client = client
        self._url = url
        self._stack = AsyncExitStack()
        self._response: HttpResponse | None = None
        self._length: int | None = None
        self._first_headers: Mapping[str, str] = {}
        self._taken_bytes = 0
        self._earlier_bytes = 0  # received over connections that broke
        self._resumed_at_s: float | None = None
        self.resumptions = 0

    async def __aenter__(self) -> Self:
        self._response = response = await self._ask({})
        self._length = response.content_length if response.status == 200 else None
        self._first_headers = response.headers
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def response(self) -> HttpResponse:
        """The newest one."""
        assert self._response is not None, "not entered"
        return self._response

    @property
    def received_bytes(self) -> int:
        """Over all connections."""
        return self._earlier_bytes + self.response.connection.received_bytes

    async def chunk(self) -> bytes:
        """What arrived of the body, at most 64 KiB; empty at its end.

        Raises:
            SourceStalled: nothing arrived within the timeout.
            SourceUnreachable: the connection broke before the end, and the body cannot be continued.
        """
        while True:
            try:
                piece = await self.response.chunk()
                if not piece and self._resumed_at_s is not None and self._taken_bytes != self._length:
                    raise SourceUnreachable("http: the rest of the body is shorter than announced")
            except SourceUnreachable as err:
                await self._resume(err)
                continue
            self._taken_bytes += len(piece)
            return piece

    # ------------------------------------------------------------------ going on where it broke

    async def _resume(self, broken: SourceUnreachable) -> None:
        """Replace the response by one of the rest; raises ``broken`` when there is none to be had."""
        if not self._may_resume():
            raise broken
        self._earlier_bytes = self.received_bytes
        loop = asyncio.get_running_loop()
        until_s = loop.time() + BUDGET_S
        for wait_s in WAITS_S:
            await self._stack.aclose()
            if loop.time() + wait_s >= until_s:
                break
            await asyncio.sleep(wait_s)
            rest = await self._rest(until_s - loop.time())
            if rest is None:
                continue
            self._require_rest(rest, broken)
            self._response = rest
            self._resumed_at_s = loop.time()
            self.resumptions += 1
            return
        raise broken

    def _may_resume(self) -> bool:
        """As for a live connection: not when it breaks again at once."""
        now_s = asyncio.get_running_loop().time()
        stable = self._resumed_at_s is None or now_s - self._resumed_at_s >= STABLE_S
        ranges = self._first_headers.get("accept-ranges", "").strip().lower() != "none"
        return self._length is not None and self._taken_bytes < self._length and stable and ranges

    async def _rest(self, deadline_s: float) -> HttpResponse | None:
        """What the server answers to a request of the rest; ``None`` when it may answer otherwise soon."""
        wanted = {"Range": f"bytes={self._taken_bytes}-"}
        validator = _validator(self._first_headers)
        if validator:
            wanted["If-Range"] = validator
        try:
            rest = await self._ask(wanted, deadline_s)
        except (SourceUnreachable, SourceStalled):
            return None
        return rest if rest.status in (200, 206, 412, 416) else None

    def _require_rest(self, rest: HttpResponse, broken: SourceError) -> None:
        """Raise unless ``rest`` is what is missing, of the same representation."""
        where = f"{broken}, at byte {self._taken_bytes} of {self._length}"
        if rest.status != 206:
            raise SourceUnreachable(f"{where}; the server does not continue it there") from broken
        found = _CONTENT_RANGE.fullmatch(rest.headers.get("content-range", "").strip())
        expected = (str(self._taken_bytes), str((self._length or 0) - 1))
        if found is None or (found[1], found[2]) != expected or found[3] not in ("*", str(self._length)):
            raise SourceUnreachable(f"{where}; the server sends another part of it") from broken
        for name in ("etag", "last-modified"):
            before, now = self._first_headers.get(name), rest.headers.get(name)
            if before is not None and now is not None and before != now:
                raise SourceUnreachable(f"{where}; it has changed since") from broken
        try:
            rest.require_plain()
        except SourceRejected as err:
            raise SourceUnreachable(f"{where}; {err}") from broken

    async def _ask(self, headers: Mapping[str, str], deadline_s: float | None = None) -> HttpResponse:
        asked = self._client.get(self._url, headers=headers, deadline_s=deadline_s)
        return await self._stack.enter_async_context(asked)


def _validator(headers: Mapping[str, str]) -> str:
    """What ``If-Range`` may say (RFC 9110, section 13.1.5): a strong entity tag, or a date that is as strong
    where there is no tag; empty when there is neither."""
    tag = headers.get("etag", "")
    if tag:
        return "" if tag.startswith("W/") else tag
    changed = headers.get("last-modified", "")
    try:
        age = parsedate_to_datetime(headers.get("date", "")) - parsedate_to_datetime(changed)
    except (TypeError, ValueError):  # there is none, or one with and one without a zone
        return ""
    return changed if age.total_seconds() >= _STRONG_AFTER_S else ""
