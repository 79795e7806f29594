"""Why a request for a playlist or a piece of media is not answered with one.

Each carries the HTTP status that fits and a plain message for the client.
"""

from typing import ClassVar

from openstreamer.media.errors import OpenstreamerError


class RequestError(OpenstreamerError):
    """The request cannot be answered; ``status`` is what HTTP calls it."""

    status: ClassVar[int]
    code: ClassVar[str]


class NotFound(RequestError):  # noqa: N818 - named after what the client is told
    """There is no such name, or no longer."""

    status = 404
    code = "NOT_FOUND"


class BadRequest(RequestError):  # noqa: N818
    """A delivery directive is malformed, or asks too far ahead (rfc8216bis section 6.2.5.2)."""

    status = 400
    code = "BAD_REQUEST"


class NotReady(RequestError):  # noqa: N818
    """What was asked for did not come into being in time, or too many wait for it already."""

    status = 503
    code = "NOT_READY"
