"""An application with one behaviour per path, a raw HTTP/1.1 client, and curl."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from openstreamer.listen.http.asgi import RESPONSE_EXTENSION, respond
from openstreamer.listen.http.limits import HttpLimits
from openstreamer.listen.http.listener import HttpListener

BIG = tuple(bytes((n,)) * 125_000 for n in range(6))
BIG_BODY = b"".join(BIG)
WITHIN_S = 20.0  # for what must happen at all; never a measure


@dataclass
class Behaviours:
    """The application under the listener; what happened in it is recorded."""

    starts_at_once: bool = False
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(dict(scope))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await getattr(self, "on_" + scope["path"].strip("/").replace("-", "_"))(scope, receive, send)
        finally:
            self.running -= 1

    async def on_small(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(scope, send, 200, [(b"content-type", b"text/plain")], (b"small",))

    async def on_big(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await respond(scope, send, 200, [(b"content-type", b"video/mp4")], BIG)
        finally:
            self.gone.set()

    async def on_empty(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(scope, send, 204, [], ())

    async def on_parts(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-kind", b"parts")]})
        for part in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    async def on_endless(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
        finally:
            self.gone.set()

    async def on_echo(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await respond(scope, send, 200, [], (body,))

    async def on_reject_body(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(scope, send, 413, [], (b"too large",))

    async def on_fail(self, scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("secret detail")

    async def on_fail_late(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("secret detail")

    async def on_silent(self, scope: Any, receive: Any, send: Any) -> None:
        return

    async def on_short(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"four"})

    async def on_split_header(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(scope, send, 200, [(b"x-name", b"a\r\nx-injected: b")], (b"",))

    async def on_wait(self, scope: Any, receive: Any, send: Any) -> None:
        """Like a blocking playlist reload: is cancelled when its client leaves."""
        scope["extensions"][RESPONSE_EXTENSION]["cancel_on_disconnect"]()
        self.entered.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.gone.set()
            raise
        await respond(scope, send, 200, [], (b"waited",))

    async def on_stubborn(self, scope: Any, receive: Any, send: Any) -> None:
        """Goes on when its client leaves."""
        await self.release.wait()
        await respond(scope, send, 200, [], (b"at last",))

    async def on_watch(self, scope: Any, receive: Any, send: Any) -> None:
        """Learns from ``receive`` that its client left."""
        self.entered.set()
        while True:
            message = await receive()
            self.received.append(message)
            if message["type"] == "http.disconnect":
                self.gone.set()
                return

    async def on_socket(self, scope: Any, receive: Any, send: Any) -> None:
        """Echoes WebSocket messages."""
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
        while True:
            message = await receive()
            self.received.append(message)
            if message["type"] == "websocket.disconnect":
                self.gone.set()
                return
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4000, "reason": "asked"})
            elif message.get("text") == "fail":
                raise ValueError("secret detail")
            elif "text" in message:
                await send({"type": "websocket.send", "text": message["text"]})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"]})

    async def on_refused_socket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})


@contextlib.asynccontextmanager
async def serving(
    app: Any, *, tls: Any = None, proxies: Any = None, **limits: Any
) -> AsyncIterator[HttpListener]:
    """A listener on a free loopback port."""
    async with HttpListener(app, "127.0.0.1", 0, HttpLimits(**limits), tls, proxies) as listener:
        yield listener


@dataclass
class Answer:
    """A response as read by the raw client."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawClient:
    """A TCP connection and just enough HTTP/1.1 to read responses."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def get(self, path: str, *headers: str) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: test", *headers, "", ""]
        self.send("\r\n".join(lines).encode())

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next response."""
        async with asyncio.timeout(WITHIN_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
            status = int(head[0].split(" ")[1])
            body = b""
            if head_only or status < 200 or status in (204, 304):
                pass
            elif headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                body = await self.reader.read()
            return Answer(status, headers, body)

    async def closed(self) -> bytes:
        """Wait until the server closes; what it still sent."""
        rest = b""
        async with asyncio.timeout(WITHIN_S):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65_536):
                    rest += data
        return rest


@contextlib.asynccontextmanager
async def connected(listener: HttpListener, **options: Any) -> AsyncIterator[RawClient]:
    """A raw client of ``listener``."""
    host, _, port = listener.bound.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), **options)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def curl(*arguments: str, stdin: bytes = b"") -> tuple[int, bytes]:
    """Run curl; its exit status and output."""
    process = await asyncio.create_subprocess_exec(
        "curl",
        "-s",
        "-S",
        "--max-time",
        str(int(WITHIN_S)),
        *arguments,
        # It may be over before anything is written to it, which some transports take for a fault.
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(stdin or None)
    assert process.returncode is not None
    return process.returncode, out
