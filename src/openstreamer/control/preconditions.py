"""Revisions as entity tags (RFC 9110 section 13): ``ETag: "7"`` on what is read, ``If-Match`` on changes."""

import re

from openstreamer.control.errors import ApiError

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
