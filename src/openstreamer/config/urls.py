"""URLs without their secrets: for logs, metric labels, runtime and the API.

``redact_url`` hides passwords, and of a query every value whose name is not known to be harmless: providers
call their keys what they like. It works on text, not on a parsed URL, so that a malformed URL hides its
secrets too. ``unmask_url`` puts the stored secrets back when a client returns a redacted URL.
"""

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, unquote_plus

from openstreamer.config.input_urls import InputUrl, is_publish, parse_input_url, scheme_of
from openstreamer.media.errors import ConfigError

__all__ = [
    "MASK",
    "InputUrl",
    "has_mask",
    "is_publish",
    "is_secret_name",
    "parse_input_url",
    "redact_push_url",
    "redact_request_url",
    "redact_text",
    "redact_url",
    "scheme_of",
    "unmask_url",
]

MASK: Final = "********"

# A name holds a secret when it contains one of these after dropping case and punctuation: stream_key, apiKey,
# access_token, X-Amz-Signature, wmsAuthSign, wowzatokenhash, hdnts, txSecret, Key-Pair-Id, passphrase …
_SECRET_PARTS: Final = (
    "key", "token", "pass", "pwd", "secret", "sig", "auth", "cred", "hash", "hmac", "md5", "jwt", "hdn",
    "session", "ticket", "cookie", "policy",
)  # fmt: skip
_SECRET_WORDS: Final = frozenset({"pw", "k", "st", "sk", "ak", "sid", "sas", "otp", "pin"})
# The only query fields whose values are shown. What has a name of its own in input_urls is among them.
_PLAIN_NAMES: Final = frozenset(
    {"audio_failure", "endpoint", "fps", "iface", "loop", "region", "size", "source", "video_bitrate",
     "latency", "mode", "pbkeylen", "transtype",  # of SRT; its stream id is looked into
     "program", "variant", "type", "format", "output", "_hls_msn", "_hls_part", "_hls_skip"}
)  # fmt: skip
_VALUE = re.compile(r"(?<==)[^&;]+")
_BARE_FLAGS: Final = frozenset({"", "loop"})  # query parts without "=" that are no token

_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(:(?P<port>\d*))?", re.ASCII)
_ROUTE = re.compile(r"((publish|read|play|request):)?[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)+", re.ASCII)
_SRT_PLAIN_KEYS: Final = frozenset({"r", "m", "h", "t"})  # SRT access control: resource, mode, host, type
# IPTV panels put the credentials into the path: /live/<user>/<password>/<number>.ts
_PANEL_PATH = re.compile(r"(?P<head>/(?:live|movie|series))/(?P<user>[^/]+)/[^/]+(?P<tail>/\d+(?:\.\w+)?)")
# … or do without the first part. What servers call the first part of a path of their own is no user.
_BARE_PANEL_PATH = re.compile(
    r"(?P<head>)/(?!(?:app|dash|hls|live|media|movie|series|stream|streams|vod)/)(?P<user>[^/]+)/[^/]+"
    r"(?P<tail>/\d+(?:\.(?:ts|m3u8))?)"
)


@dataclass(frozen=True, slots=True)
class _Parts:
    """A URL cut at its punctuation; joining the parts gives the same text."""

    scheme: str
    username: str | None  # None without an @
    password: str | None
    host: str
    path: str
    query: str | None
    fragment: str | None

    def joined(self) -> str:
        password = "" if self.password is None else f":{self.password}"
        user = "" if self.username is None else f"{self.username}{password}@"
        query = "" if self.query is None else f"?{self.query}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{self.scheme}{user}{self.host}{self.path}{query}{fragment}"


def redact_url(url: str) -> str:
    """``url`` with every secret replaced by :data:`MASK`; redacting twice changes nothing."""
    return _redacted(_cut(url), push=False).joined()


def redact_push_url(url: str) -> str:
    """As :func:`redact_url` for a destination: there the RTMP stream name and SRT stream id are the key."""
    return _redacted(_cut(url), push=True).joined()


def redact_request_url(url: str) -> str:
    """As :func:`redact_url` for what is requested: the ``params`` of an input were added to that, and they
    are secret whatever they are called, so no value of the query is shown."""
    shown = _redacted(_cut(url), push=False)
    return replace(shown, query=shown.query and _VALUE.sub(MASK, shown.query)).joined()


def redact_text(text: str) -> str:
    """Free text, such as a library's error message, with every URL in it redacted."""
    return _URL_IN_TEXT.sub(lambda match: redact_url(match[0]), text)


def is_secret_name(name: str) -> bool:
    """Whether a query field, parameter or header of this name holds a secret."""
    word = re.sub(r"[^a-z0-9]", "", unquote(name).lower())
    return word in _SECRET_WORDS or any(part in word for part in _SECRET_PARTS)


def is_plain_name(name: str) -> bool:
    """Whether the value of a query field of this name may be shown."""
    return unquote(name).lower() in _PLAIN_NAMES


def has_mask(text: str) -> bool:
    """Whether ``text`` is, or holds, the mask."""
    return MASK in text


def unmask_url(url: str, stored: str | None, *, push: bool = False) -> str:
    """``url`` with each mask replaced by the secret that stands at that place of ``stored``.

    A secret goes back only to the host it was given for: whoever may write must not be able to send a secret
    they cannot read to a host of their own. Raises :class:`ConfigError` when a mask cannot be replaced.
    """
    if not has_mask(url):
        return url
    if stored is None:
        raise ConfigError("carries the mask of a secret, but none is stored: give the secret itself")
    mine, theirs = _cut(url), _cut(stored)
    if (mine.scheme.lower(), mine.host.lower()) != (theirs.scheme.lower(), theirs.host.lower()):
        raise ConfigError("carries the mask of a secret that was stored for another host: give it again")
    shown = _redacted(theirs, push=push)
    restored = replace(
        mine,
        username=_restore(mine.username, shown.username, theirs.username),
        password=_restore(mine.password, shown.password, theirs.password),
        path=_restore(mine.path, shown.path, theirs.path) or "",
        query=_restore_query(mine, shown, theirs),
        fragment=_restore(mine.fragment, shown.fragment, theirs.fragment),
    ).joined()
    if has_mask(restored):
        raise ConfigError("carries the mask of a secret that is not stored: give the secret itself")
    return restored


def _cut(url: str) -> _Parts:
    scheme, found, rest = url.strip().partition("://")
    if not found:
        scheme, rest = "", url.strip()
    scheme += found
    end = _authority_end(rest) if found else 0
    userinfo, at, host = rest[:end].rpartition("@")
    username, colon, password = userinfo.partition(":")
    rest = rest[end:]
    fragment: str | None = None
    if not scheme.lower().startswith("srt:"):  # there "#!::" begins a stream id and no fragment
        rest, hash_sign, text = rest.partition("#")
        fragment = text if hash_sign else None
    path, question_mark, query = rest.partition("?")
    return _Parts(
        scheme=scheme,
        username=username if at else None,
        password=password if colon else None,
        host=host,
        path=path,
        query=query if question_mark else None,
        fragment=fragment,
    )


def _authority_end(rest: str) -> int:
    """Where the authority ends: at the first of ``/?#``, unless a password holds one of them unescaped."""
    end = next((index for index, character in enumerate(rest) if character in "/?#"), len(rest))
    last_at = rest.rfind("@")
    if last_at < end or _AUTHORITY.fullmatch(rest[:end].rpartition("@")[2]):
        return end
    return next((i for i in range(last_at, len(rest)) if rest[i] in "/?#"), len(rest))


def _redacted(parts: _Parts, *, push: bool) -> _Parts:
    username, password = parts.username, parts.password
    if password:
        password = MASK
    elif username and password is None:
        username = MASK  # a token that stands alone before the @
    query = None if parts.query is None else _redacted_query(parts, push=push)
    fragment = MASK if parts.fragment else parts.fragment
    path = _redacted_path(parts, push=push)
    return replace(parts, username=username, password=password, path=path, query=query, fragment=fragment)


def _redacted_path(parts: _Parts, *, push: bool) -> str:
    path = parts.path
    panel = _PANEL_PATH.fullmatch(path) or _BARE_PANEL_PATH.fullmatch(path)
    if panel is not None and parts.scheme.lower().startswith("http"):
        return f"{panel['head']}/{panel['user']}/{MASK}{panel['tail']}"
    if push and parts.scheme.lower().startswith("rtmp"):
        head, slash, name = path.rpartition("/")
        return f"{head}{slash}{MASK}" if name else path
    return "/".join(_redacted_segment(segment) for segment in path.split("/"))


def _redacted_segment(segment: str) -> str:
    """Content networks put ``hdnts=exp=1~hmac=…`` into the path; ``=`` is ordinary there otherwise."""
    name, equals, value = segment.partition("=")
    return f"{name}={MASK}" if equals and value and is_secret_name(name) else segment


def _redacted_query(parts: _Parts, *, push: bool) -> str:
    query = parts.query or ""
    if parts.scheme.lower().startswith("srt:"):
        return _redacted_srt_query(query, push=push)
    return "".join(
        piece if piece in "&;" else _redacted_field(piece) for piece in re.split(r"([&;])", query) if piece
    )


def _redacted_field(field: str) -> str:
    """One ``name=value`` of a query."""
    name, equals, value = field.partition("=")
    if not equals:
        return field if field in _BARE_FLAGS else MASK
    if not value:
        return field
    if not is_plain_name(name):
        return f"{name}={MASK}"
    decoded = unquote_plus(value)  # a URL inside the URL, such as ?endpoint=https://user:password@host
    is_plain = redact_url(decoded) == decoded if "://" in decoded else "@" not in decoded
    return field if is_plain else f"{name}={MASK}"


def _redacted_srt_query(query: str, *, push: bool) -> str:
    """A stream id may hold ``?`` and ``&`` of its own, so each piece between those is looked at alone."""
    pieces = []
    for piece in re.split(r"([&?])", query):
        name, equals, value = piece.partition("=")
        if name.lower() == "streamid" and equals and value:
            pieces.append(f"{name}={MASK if push else _redacted_stream_id(value)}")
        else:
            pieces.append(piece if piece in ("&", "?", "") else _redacted_field(piece))
    return "".join(pieces)


def _redacted_stream_id(value: str) -> str:
    """``live/news`` and ``#!::r=live/news,m=publish`` stay, except for their keys; anything else is a key."""
    decoded = unquote(value)
    if decoded.startswith("#!::"):
        fields = [field.partition("=") for field in decoded[4:].split(",")]
        shown = [f"{n}{e}{v if n in _SRT_PLAIN_KEYS or not v else MASK}" for n, e, v in fields]
        return "#!::" + ",".join(shown)
    route, separator, rest = decoded.partition("?")
    if separator:
        return f"{route}?{'&'.join(_redacted_field(f) for f in rest.split('&'))}"
    return value if _ROUTE.fullmatch(decoded) else MASK


def _restore(mine: str | None, shown: str | None, stored: str | None) -> str | None:
    """``stored`` when the client left this component as it was shown."""
    return stored if mine is not None and has_mask(mine) and mine == shown else mine


def _restore_query(mine: _Parts, shown: _Parts, stored: _Parts) -> str | None:
    if mine.query is None or not has_mask(mine.query) or shown.query is None or stored.query is None:
        return mine.query
    if mine.query == shown.query:
        return stored.query
    shown_fields, stored_fields = shown.query.split("&"), stored.query.split("&")
    if len(shown_fields) != len(stored_fields):
        return mine.query
    secrets: dict[str, str] = {}
    for hidden, secret in zip(shown_fields, stored_fields, strict=True):
        # Two of one name that look alike: which is meant is not known, so neither is put back.
        secrets[hidden] = hidden if secrets.get(hidden, secret) != secret else secret
    return "&".join(
        secrets.get(field, field) if has_mask(field) else field for field in mine.query.split("&")
    )
