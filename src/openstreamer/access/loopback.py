"""Protection of the admin API while no user exists, and of browsers always.

While there is no user the API answers this machine only: loopback peers, no request that passed a proxy or
a port forwarder, no host name that DNS could have pointed here (DNS rebinding). A browser on this machine is
a deputy that any web page can use, so a change of state must also come from the API's own origin.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from openstreamer.access.addresses import is_loopback
from openstreamer.media.errors import AccessError

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 section 9.2.1, those the API has

# What proxies and content delivery networks add to what they forward, and no client does by itself.
FORWARDING_HEADERS = frozenset(
    {
        "forwarded",  # RFC 7239
        "via",  # RFC 9110 section 7.6.3
        "cdn-loop",  # RFC 8586
        "client-ip",
        "do-connecting-ip",
        "front-end-https",
        "incap-client-ip",
        "proxy-client-ip",
        "true-client-ip",
        "x-amz-cf-id",
        "x-amzn-trace-id",
        "x-client-ip",
        "x-cloud-trace-context",
        "x-cluster-client-ip",
        "x-nf-client-connection-ip",
        "x-originating-ip",
        "x-proxyuser-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-varnish",
    }
)
FORWARDING_PREFIXES = (
    "x-forward",  # X-Forwarded-For and all that is written like it, X-Forwarded and X-Forward-For too
    "x-original-",  # IIS, Envoy, what nginx rewrote
    "x-arr-",  # IIS
    "x-azure-",
    "x-envoy-",
    "cf-",  # Cloudflare
    "cloudfront-",
    "fastly-",
    "fly-",
    "wl-proxy-",  # WebLogic
)

_LOCAL_NAME = re.compile(r"(?:[a-z0-9_-]+\.)*localhost\.?(?::[0-9]{0,5})?", re.ASCII | re.IGNORECASE)

_ADD_A_USER = "add a user with `openstreamer user add` to use the API from elsewhere"


def forwarding_header(headers: Mapping[str, str]) -> str | None:
    """The name of a header that only a proxy adds, if there is one. Names are in lower case."""
    for name in headers:
        if name in FORWARDING_HEADERS or name.startswith(FORWARDING_PREFIXES):
            return name
    return None


def names_this_machine(host: str) -> bool:
    """Whether ``host`` can mean nothing but the machine it is sent on: a loopback address, or ``localhost``
    (RFC 6761, 6.3). DNS may have pointed any other name here, and who asks for another address of this
    machine comes from that address: over loopback, it was handed on."""
    return is_loopback(host) or _LOCAL_NAME.fullmatch(host) is not None


def require_local(peer: str | None, http_version: str, headers: Mapping[str, str]) -> None:
    """Let only this machine's own, direct requests pass.

    Raises:
        AccessError: ``LOOPBACK_ONLY`` or ``HOST_NOT_ALLOWED``, with what to do about it.
    """
    if not is_loopback(peer):
        raise AccessError(
            f"no user exists yet, so the API answers this machine only; {_ADD_A_USER}", code="LOOPBACK_ONLY"
        )
    name = forwarding_header(headers)
    if name is not None:
        raise AccessError(
            f"no user exists yet, and the header {name} says that a proxy forwards this; {_ADD_A_USER}",
            code="LOOPBACK_ONLY",
        )
    if http_version == "1.0":
        # nginx forwards by HTTP/1.0 and without any of the headers above unless it is told otherwise.
        raise AccessError(
            f"no user exists yet, and HTTP/1.0 is what a reverse proxy speaks; {_ADD_A_USER}",
            code="LOOPBACK_ONLY",
        )
    host = headers.get("host", "")
    if not names_this_machine(host):
        raise AccessError(
            "no user exists yet, so the API answers to localhost or a loopback address, "
            f"not to {host!r}; {_ADD_A_USER}",
            code="HOST_NOT_ALLOWED",
        )


def require_same_origin(method: str, headers: Mapping[str, str], allowed_origins: frozenset[str]) -> None:
    """Refuse changes that a page of another origin makes a browser send (Fetch standard, ``Origin``).

    Clients that are no browsers send neither header and pass. ``allowed_origins`` are those of the
    operator's CORS settings; ``*`` in it allows every origin.

    Raises:
        AccessError: ``CROSS_ORIGIN``.
    """
    if method in SAFE_METHODS:
        return
    origin = headers.get("origin")
    if origin is None:
        if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            raise AccessError("a page of another origin may not change anything here", code="CROSS_ORIGIN")
        return
    if origin in allowed_origins or "*" in allowed_origins:
        return
    if not _same_authority(origin, headers.get("host", "")):
        raise AccessError(f"a page of {origin} may not change anything here", code="CROSS_ORIGIN")


def _same_authority(origin: str, host: str) -> bool:
    # The scheme is not compared: a proxy in front may have ended TLS. ``null`` has no authority.
    try:
        authority = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(authority) and authority.lower() == host.lower()
