"""ASGI types, and the one extension of ours: a whole response in one message.

A server that has ``openstreamer.response`` in ``scope["extensions"]`` takes a message of that type instead of
``http.response.start`` and ``http.response.body``::

    {"type": "openstreamer.response", "status": int, "headers": [(bytes, bytes)],
     "chunks": Sequence[bytes | memoryview], "length": int}

The chunks are written without being joined or copied. The extension's value is a dictionary with one entry,
``cancel_on_disconnect``: a function without arguments after whose call the application's task is cancelled
as soon as the client is gone. Both spare a media request the tasks and copies of the general protocol.
"""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]
Buffer = bytes | memoryview

RESPONSE_EXTENSION = "openstreamer.response"


async def respond(
    scope: Scope, send: Send, status: int, headers: Sequence[Header], chunks: Sequence[Buffer]
) -> None:
    """Send one whole response, in one message where the server allows it. Adds ``content-length``."""
    length = sum(map(len, chunks))
    if status != 204:  # RFC 9110 8.6: not with 204
        headers = [*headers, (b"content-length", b"%d" % length)]
    if RESPONSE_EXTENSION in scope.get("extensions", ()):
        await send(
            {
                "type": RESPONSE_EXTENSION,
                "status": status,
                "headers": headers,
                "chunks": chunks,
                "length": length,
            }
        )
        return
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else b"".join(chunks)
    await send({"type": "http.response.body", "body": body})


def error_body(code: str, message: str) -> bytes:
    """The JSON of an error (CONTRACT 1)."""
    return json.dumps({"error": {"code": code, "message": message}}).encode()


async def respond_error(
    scope: Scope, send: Send, status: int, code: str, message: str, headers: Sequence[Header] = ()
) -> None:
    """Send a JSON error, never to be cached."""
    head = [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), *headers]
    await respond(scope, send, status, head, (error_body(code, message),))
