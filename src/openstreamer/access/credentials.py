"""What a client presents in ``Authorization``: Basic (RFC 7617) or Bearer (RFC 6750).

A bearer token of this server is ``<user name>.<password>``: a static token is a user whose password is the
token, so that one table and one hash check serve both schemes. The name ends at the first dot; user names
with a dot can use Basic only.
"""

import base64
import binascii
from dataclasses import dataclass, field

from openstreamer.media.errors import AccessError

MAX_AUTHORIZATION_BYTES = 4096  # a name and a password of the longest kind, in base64, with room


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password as presented; the password never shows in a ``repr``."""

    username: str
    password: str = field(repr=False)


def _malformed(what: str) -> AccessError:
    return AccessError(f"Authorization: {what}", code="UNAUTHORIZED")


def parse_authorization(value: bytes | None) -> Credentials | None:
    """The credentials in an ``Authorization`` header, or ``None`` when there is no header.

    Raises:
        AccessError: ``UNAUTHORIZED`` when the header is there and cannot be understood.
    """
    if value is None:
        return None
    if len(value) > MAX_AUTHORIZATION_BYTES:
        raise _malformed(f"longer than {MAX_AUTHORIZATION_BYTES} bytes")
    scheme, _, rest = value.strip().partition(b" ")
    match scheme.lower():
        case b"basic":
            return _basic(rest.strip())
        case b"bearer":
            return _bearer(rest.strip())
        case _:
            raise _malformed("only the schemes Basic and Bearer are known")


def _basic(encoded: bytes) -> Credentials:
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as err:
        raise _malformed("Basic needs base64 of name:password in UTF-8") from err
    # RFC 7617 section 2: the user-id holds no colon, the password may.
    name, colon, password = text.partition(":")
    if not colon:
        raise _malformed("Basic needs base64 of name:password in UTF-8")
    return Credentials(name, password)


def _bearer(token: bytes) -> Credentials:
    try:
        name, dot, password = token.decode("utf-8").partition(".")
    except UnicodeDecodeError as err:
        raise _malformed("a Bearer token is <name>.<password> in UTF-8") from err
    if not dot:
        raise _malformed("a Bearer token is <name>.<password> in UTF-8")
    return Credentials(name, password)
