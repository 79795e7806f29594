"""Whose request is it: peers, trusted proxies, loopback. Pure functions over strings."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from openstreamer.media.errors import ConfigError

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_FORWARDED_HOPS = 32  # a longer chain is an attack, not a route

# What may follow the address: nothing, or a port. Anything else is a name that only begins like an address.
_BRACKETED = re.compile(r"\[(?P<address>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?)\](?::[0-9]{0,5})?", re.ASCII)
_WITH_PORT = re.compile(r"(?P<address>[0-9.]+):[0-9]{0,5}", re.ASCII)


def parse_address(text: str) -> IpAddress | None:
    """An IP address, IPv4-mapped IPv6 folded to IPv4; brackets, a zone and a port are dropped.

    What only begins like an address (``[::1]evil.com``) is none.
    """
    text = text.strip().strip('"')
    if (match := _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)) is not None:
        text = match["address"]
    try:
        address = ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def is_loopback(address: str | None) -> bool:
    """Whether the peer is this machine. An unknown peer is not."""
    parsed = parse_address(address) if address else None
    return parsed is not None and parsed.is_loopback


def parse_networks(texts: Iterable[str]) -> tuple[IpNetwork, ...]:
    """``trusted_proxies`` as networks; a bare address is a network of one.

    Raises:
        ConfigError: naming the entry that is neither.
    """
    networks: list[IpNetwork] = []
    for index, text in enumerate(texts):
        try:
            networks.append(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError as err:
            raise ConfigError(
                f"{text!r} is neither an IP address nor a network in CIDR form",
                field=f"server.trusted_proxies[{index}]",
            ) from err
    return tuple(networks)


def _within(address: IpAddress, networks: Sequence[IpNetwork]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def is_within(address: str, networks: Sequence[IpNetwork]) -> bool:
    """Whether ``address`` is one, and in one of ``networks``."""
    parsed = parse_address(address)
    return parsed is not None and _within(parsed, networks)


def client_address(peer: str | None, forwarded_for: Sequence[str], trusted: Sequence[IpNetwork]) -> str:
    """The address that limits and logs count: the peer, or behind trusted proxies the nearest hop that is
    not one of them. What an untrusted peer claims is ignored.

    ``forwarded_for`` holds the values of ``X-Forwarded-For``, in order.
    """
    nearest = parse_address(peer or "")
    if nearest is None:
        return peer or "unknown"
    hops = ",".join(forwarded_for).split(",")[-MAX_FORWARDED_HOPS:] if forwarded_for else []
    for hop in reversed(hops):
        if not _within(nearest, trusted):
            break
        earlier = parse_address(hop)
        if earlier is None:
            break
        nearest = earlier
    return str(nearest)
