"""Logging in to an RTMP server by Adobe's access manager (``authmod=adobe``).

It is in no specification of RTMP; encoders have it from Flash Media Live Encoder. A server that refuses
``connect`` says in its description what is missing, and closes; the client comes back with more in the query
of its application name: first the user, then an answer to the server's challenge.
"""

import base64
import hashlib
from typing import Final
from urllib.parse import quote

from openstreamer.media.errors import RemoteProtocolError

MAX_TRIES: Final = 3  # connections: without a name, with one, with the answer
_SCHEME: Final = "authmod=adobe"


def wants_login(description: str) -> bool:
    """Whether a refusal of ``connect`` asks for a login that we know."""
    return _SCHEME in description and "reason=authfailed" not in description


def login_query(description: str, username: str, password: str, challenge: str) -> str:
    """What the application name needs behind it at the next try; begins with ``?``.

    ``challenge`` is ours: eight random hexadecimal digits.

    Raises:
        RemoteProtocolError: the server asks for something else than a user or an answer.
    """
    user = f"?{_SCHEME}&user={quote(username, safe='')}"
    if "reason=needauth" not in description:
        return user
    asked = _fields(description)
    if "salt" not in asked:
        raise RemoteProtocolError("RTMP login: the server asks for an answer and gives no salt")
    opaque = asked.get("opaque", "")
    hashed = _digest(username + asked["salt"] + password)
    response = _digest(hashed + (opaque or asked.get("challenge", "")) + challenge)
    answer = f"{user}&challenge={challenge}&response={response}"
    return f"{answer}&opaque={opaque}" if opaque else answer


def _fields(description: str) -> dict[str, str]:
    """Of ``[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=…&salt=…&challenge=…``."""
    query = description.rpartition("?")[2].strip()
    pairs = (field.partition("=") for field in query.split("&"))
    return {name: value for name, _, value in pairs}


def _digest(text: str) -> str:
    digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()  # the scheme knows no other
    return base64.b64encode(digest).decode()
