"""``HOST:PORT`` as an operator writes it."""

import re
from dataclasses import dataclass

from openstreamer.config.defaults import LISTEN_HOST
from openstreamer.media.errors import ConfigError

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}", re.ASCII)
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,32})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; port 0 lets the system pick one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """``0.0.0.0:8080``, ``:8080`` (every address), ``localhost:0``, ``[::1]:80``, or :class:`ConfigError`."""
    host, colon, port_text = text.strip().rpartition(":")
    if not colon or not (port_text.isascii() and port_text.isdigit()) or int(port_text) > 65_535:
        raise ConfigError(f"{text!r} is not HOST:PORT, such as 0.0.0.0:8080")
    if host.startswith("[") and host.endswith("]") and _IPV6.fullmatch(host[1:-1]):
        return Address(host[1:-1], int(port_text))
    if host and not _HOST.fullmatch(host):
        raise ConfigError(f"{text!r} is not HOST:PORT (an IPv6 address stands in brackets)")
    return Address(host or LISTEN_HOST, int(port_text))
