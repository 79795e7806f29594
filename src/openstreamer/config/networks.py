"""Lists of addresses and networks, as policies and trusted proxies hold them."""

import ipaddress

from openstreamer.config.base import refuse


def check_networks(value: tuple[str, ...]) -> tuple[str, ...]:
    """The entries without surrounding spaces, or the validator's error when one is no address or network."""
    stripped = tuple(each.strip() for each in value)
    for each in stripped:
        try:
            ipaddress.ip_network(each, strict=False)
        except ValueError as err:
            raise refuse(f"must hold addresses or networks such as 10.0.0.0/8, not {each[:64]!r}") from err
    return stripped
