"""Request bodies: bounded, JSON objects only, every way of being malformed answered with 400."""

import json
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.types import Message, Receive

from openstreamer.control.errors import ApiError

MAX_BODY_BYTES = 1 << 20
MAX_INTEGER_CHARS = 100  # no setting takes 20; from 4,300 on Python refuses, in words about itself
MAX_CONFIGURATION_BYTES = 8 << 20  # the whole configuration, of some thousands of streams

_LARGE_BODIES = {"/config/yaml": MAX_CONFIGURATION_BYTES}


def most_bytes(path: str) -> int:
    """The bound of request bodies at ``path``."""
    return _LARGE_BODIES.get(path, MAX_BODY_BYTES)


def too_large(limit_bytes: int) -> ApiError:
    """The refusal of a body above the bound."""
    return ApiError(413, "BODY_TOO_LARGE", f"the body is larger than {limit_bytes} bytes")


def refuse_declared_length(value: str | None, limit_bytes: int) -> None:
    """Refuse a ``Content-Length`` above the bound before a byte is read; the listener checks its syntax."""
    if value is not None and value.isdecimal() and (len(value) > 18 or int(value) > limit_bytes):
        raise too_large(limit_bytes)


def bounded(receive: Receive, limit_bytes: int) -> Receive:
    """``receive`` that raises once more than the bound arrived, whatever the length header said."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit_bytes:
                raise too_large(limit_bytes)
        return message

    return receive_bounded


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object.

    Raises:
        ApiError: 400 ``INVALID_BODY``, 413 ``BODY_TOO_LARGE``.
    """
    raw = await request.body()
    if not raw.strip():
        return {}
    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant, parse_int=_integer)
    except (ValueError, RecursionError) as err:
        # json speaks of "line 1 column 5"; a RecursionError has nothing useful to say.
        reason = "nested too deeply" if isinstance(err, RecursionError) else str(err)
        raise ApiError(400, "INVALID_BODY", f"the body is not JSON: {reason}") from err
    if not isinstance(document, dict):
        raise ApiError(400, "INVALID_BODY", "the body must be a JSON object")
    return document


async def text_body(request: Request) -> str:
    """The body as UTF-8 text.

    Raises:
        ApiError: 400 ``INVALID_BODY``, 413 ``BODY_TOO_LARGE``.
    """
    try:
        return (await request.body()).decode("utf-8")
    except UnicodeDecodeError as err:
        raise ApiError(400, "INVALID_BODY", "the body is not UTF-8 text") from err


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_CHARS:
        raise ValueError(f"a number has more than {MAX_INTEGER_CHARS} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
