"""Which addresses the server may connect to on somebody's word: that of an input's URL, a playlist, a
redirect, a hook.

The guard judges addresses, not names, and is asked about the very address that is about to be connected, so
that a name cannot mean one host when it is checked and another when it is used.
"""

import ipaddress
from collections.abc import Callable
from typing import Final, TypeAlias

from openstreamer.media.errors import SourceRejected

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

# Whatever the switch says: nobody's media lives there, and credentials of cloud machines do.
_FORBIDDEN: Final[tuple[tuple[str, _Network], ...]] = tuple(
    (why, ipaddress.ip_network(network))
    for why, networks in {
        "link-local": ("169.254.0.0/16", "fe80::/10"),  # RFC 3927, RFC 4291; the metadata of most clouds
        "a metadata address": (
            "100.100.100.200/32",  # Alibaba Cloud
            "192.0.0.192/32",  # Oracle Cloud
            "168.63.129.16/32",  # Azure's host agent
            "fd00:ec2::254/128",  # Amazon
            "fd20:ce::254/128",  # Google
        ),
        "multicast": ("224.0.0.0/4", "ff00::/8"),
        "broadcast": ("255.255.255.255/32",),
        "unspecified": ("0.0.0.0/8", "::/128"),  # "this host" (RFC 1122): Linux connects it to loopback
    }.items()
    for network in networks
)

# Allowed or not by the switch. ``is_private`` of the standard library changes with its version.
_PRIVATE: Final[tuple[_Network, ...]] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # carriers' NAT (RFC 6598)
        "192.0.0.0/24",
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "240.0.0.0/4",
        "::1/128",
        "fc00::/7",
        "fec0::/10",
    )
)

_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")


class EgressGuard:
    """Says no to addresses by raising :class:`SourceRejected`.

    ``allow_private`` is asked at every check: the setting behind it may change while the server runs.
    """

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._allow_private = allow_private

    def check(self, address: str) -> None:
        """Return when ``address``, an IP literal, may be connected.

        Raises:
            SourceRejected: it may not; the message says what it is.
        """
        for each in meanings(address):
            self._check(each)

    def _check(self, address: IpAddress) -> None:
        for why, network in _FORBIDDEN:
            if address in network:
                raise SourceRejected(f"the server may not connect to {address}: it is {why}")
        if not self._allow_private() and any(address in network for network in _PRIVATE):
            raise SourceRejected(f"the server may not connect to {address}: private addresses are off")


def meanings(address: str) -> tuple[IpAddress, ...]:
    """``address`` and, where it is an IPv6 form that carries an IPv4 address, that one.

    IPv4-mapped and -compatible (RFC 4291, 2.5.5), 6to4 (RFC 3056), NAT64 (RFC 6052, RFC 8215), Teredo
    (RFC 4380): packets to these end at the IPv4 host. Raises :class:`SourceRejected` for what is no address.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])  # a scope is no part of the judgement
    except ValueError as err:
        raise SourceRejected(f"{address[:64]!r} is not an IP address") from err
    if isinstance(parsed, ipaddress.IPv4Address):
        return (parsed,)
    inside = _embedded(parsed)
    return (parsed,) if inside is None else (parsed, inside)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    low_bits = int(address) & 0xFFFFFFFF
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(low_bits)
    if address in _COMPATIBLE and low_bits > 1:  # not the unspecified address and not loopback
        return ipaddress.IPv4Address(low_bits)
    return None
