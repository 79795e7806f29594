"""Errors as the API speaks them: ``{"error": {"code": "UPPER_SNAKE", "message": "..."}}`` and a status."""

import json
from collections.abc import Mapping
from typing import Any

from openstreamer.access.users import RateLimited
from openstreamer.media.errors import AccessError, ConfigError, OpenstreamerError, StoreError

REALM = "Openstreamer"
FAULT_MESSAGE = "the server failed to answer this; its log says why"

_STATUS_BY_CODE = {
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "LOOPBACK_ONLY": 403,
    "HOST_NOT_ALLOWED": 403,
    "CROSS_ORIGIN": 403,
    "NOT_FOUND": 404,
    "STREAM_NOT_FOUND": 404,
    "TEMPLATE_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "PREFIX_OVERLAP": 409,
    "TEMPLATE_IN_USE": 409,
    "POLICY_IN_USE": 409,
    "REVISION_CONFLICT": 412,
    "BODY_TOO_LARGE": 413,
    "TOO_MANY_FAILURES": 429,
    "BUSY": 503,
    "STREAM_DISABLED": 400,
}


class ApiError(OpenstreamerError):
    """A refusal that the API itself makes. ``extra`` stands beside ``error`` in the body."""

    def __init__(
        self, status: int, code: str, message: str, *, extra: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.extra = dict(extra or {})


def status_of(error: OpenstreamerError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, ApiError):
        return error.status
    known = _STATUS_BY_CODE.get(getattr(error, "code", ""))
    if known is not None:
        return known
    match error:
        case ConfigError():
            return 400
        case AccessError():
            return 403
        case StoreError():
            return 503
        case _:
            return 500


def body_of(error: OpenstreamerError) -> dict[str, Any]:
    """The JSON body of an error: ``field`` is ours, the dotted path of the setting that is wrong."""
    detail: dict[str, Any] = {"code": getattr(error, "code", "INTERNAL"), "message": str(error)}
    if isinstance(error, ConfigError) and error.field:
        detail["field"] = error.field
        if error.field not in detail["message"]:
            detail["message"] = f"{error.field}: {error}"
    extra = {**_details(error), **(error.extra if isinstance(error, ApiError) else {})}
    return {"error": detail, **extra}


def headers_of(error: OpenstreamerError) -> dict[str, str]:
    """What an error says outside its body."""
    headers: dict[str, str] = {}
    status = status_of(error)
    if status == 401:
        headers["www-authenticate"] = f'Basic realm="{REALM}", charset="UTF-8"'  # RFC 7617 section 2.1
    if isinstance(error, RateLimited):
        headers["retry-after"] = str(int(error.retry_after_s + 0.999))
    elif status == 503:
        headers["retry-after"] = "1"
    return headers


def error_body(code: str, message: str) -> bytes:
    """The encoded body of an error that has no exception."""
    return encode({"error": {"code": code, "message": message}})


def encode(body: Mapping[str, Any]) -> bytes:
    """The JSON text of an error's body."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _details(error: OpenstreamerError) -> dict[str, Any]:
    """Fields of the contract that some conflicts carry, such as ``streams`` of ``TEMPLATE_IN_USE``."""
    details = getattr(error, "details", None)
    return dict(details) if isinstance(details, Mapping) else {}
