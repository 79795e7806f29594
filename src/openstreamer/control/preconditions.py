"""Revisions as entity tags (RFC 9110 section 13): ``ETag: "7"`` on what is read, ``If-Match`` on changes and
``If-None-Match: *`` where nothing may be there yet."""

import re
from collections.abc import Awaitable

from openstreamer.control.errors import ApiError
from openstreamer.media.errors import StoreError
from openstreamer.store.collection import ABSENT

_TAG = re.compile(r'(?:W/)?"?(\d{1,18})"?', re.ASCII)


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def required_revision(if_match: str | None, *, exists: bool) -> int | None:
    """The revision that a change demands, ``None`` for any.

    Bare numbers and weak tags are taken as well: scripts write them, and a revision is never ambiguous.

    Raises:
        ApiError: 400 ``INVALID_IF_MATCH``; 412 for ``*`` when there is nothing yet.
    """
    if if_match is None:
        return None
    if if_match.strip() == "*":
        if not exists:
            raise ApiError(412, "REVISION_CONFLICT", "If-Match: * needs something that exists")
        return None
    match = _TAG.fullmatch(if_match.strip())
    if match is None:
        raise ApiError(400, "INVALID_IF_MATCH", 'If-Match holds one revision, such as "7"')
    return int(match[1])


def wanted_revision(if_match: str | None, if_none_match: str | None, *, exists: bool) -> int | None:
    """As :func:`required_revision`; ``If-None-Match: *`` demands that there is nothing yet.

    Raises:
        ApiError: 400 ``INVALID_IF_MATCH``, for other uses of ``If-None-Match`` too; 412.
    """
    if if_none_match is None:
        return required_revision(if_match, exists=exists)
    if if_none_match.strip() != "*" or if_match is not None:
        message = "If-None-Match of a change is *, without If-Match: nothing may be there yet"
        raise ApiError(400, "INVALID_IF_MATCH", message)
    return ABSENT


async def is_stored(record: Awaitable[object | None]) -> bool:
    """Whether a record is there, which one that cannot be read is too."""
    try:
        return await record is not None
    except StoreError as err:
        if err.code == "STORED_INVALID":
            return True
        raise
