"""From a decoded header list to a request: the rules of RFC 9113 section 8.3 for a server."""

from dataclasses import dataclass

from openstreamer.wire.hpack import Header

# 8.2.2: fields that belong to one HTTP/1.1 connection and make an HTTP/2 message malformed.
_CONNECTION_FIELDS = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_PSEUDO_FIELDS = frozenset((b":method", b":scheme", b":authority", b":path"))


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a HEADERS frame asked for. ``content_length`` is None when it is not announced."""

    method: bytes
    scheme: bytes
    target: bytes
    headers: list[Header]
    content_length: int | None


def request_head(fields: list[Header]) -> RequestHead | None:
    """The request in ``fields``, or None when the message is malformed (8.1.1)."""
    pseudo: dict[bytes, bytes] = {}
    headers: list[Header] = []
    cookies: list[bytes] = []
    content_length: int | None = None
    hosts: list[bytes] = []
    for field in fields:
        name, value = field
        if name[0] == 0x3A:  # a colon
            # 8.3: pseudo-fields come first, once each, and only the known ones
            if headers or cookies or name in pseudo or name not in _PSEUDO_FIELDS:
                return None
            pseudo[name] = value
        elif name in _CONNECTION_FIELDS or (name == b"te" and value != b"trailers"):
            return None
        elif name == b"cookie":
            cookies.append(value)
        else:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                if content_length is not None or not value.isdigit():
                    return None
                content_length = int(value[:20])
            headers.append(field)
    if cookies:  # 8.2.3: crumbs are joined before a generic application sees them
        headers.append((b"cookie", b"; ".join(cookies)))
    authority = pseudo.get(b":authority")
    if hosts:
        # 8.3.1: a Host that names somebody else than :authority makes the request malformed, and so do two of
        # them (RFC 9112 3.2): a rule about hosts must not be met by one while another one is meant.
        named = [*hosts, authority] if authority is not None else hosts
        if len(hosts) > 1 or len({_normalized(host, pseudo.get(b":scheme")) for host in named}) > 1:
            return None
    elif authority is not None:
        headers.insert(0, (b"host", authority))
    return _assemble(pseudo, headers, content_length)


def _normalized(authority: bytes, scheme: bytes | None) -> bytes:
    """As RFC 3986 compares it (sections 6.2.2.1 and 6.2.3): in lower case, without the default port."""
    default_port = b"443" if scheme == b"https" else b"80"
    host, colon, port = authority.lower().rpartition(b":")
    return host if colon and port in (b"", default_port) else authority.lower()


def _assemble(
    pseudo: dict[bytes, bytes], headers: list[Header], content_length: int | None
) -> RequestHead | None:
    method, scheme = pseudo.get(b":method", b""), pseudo.get(b":scheme", b"")
    target = pseudo.get(b":path", b"")
    # 8.5 CONNECT has no path: nothing here is a proxy, so it is refused like any head without one.
    if not method.isalpha() or not scheme or not (target.startswith(b"/") or target == b"*"):
        return None
    if not target.isascii() or b" " in target:
        return None
    return RequestHead(method, scheme, target, headers, content_length)


def are_trailers(fields: list[Header]) -> bool:
    """Whether a second header block is fit to be trailers: no pseudo-field (8.1)."""
    return all(name[0] != 0x3A and name not in _CONNECTION_FIELDS for name, _ in fields)
