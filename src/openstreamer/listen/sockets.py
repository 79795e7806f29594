"""Listening sockets, the same for every protocol."""

import socket
from typing import Any, Final

from openstreamer.config.addresses import Address
from openstreamer.media.errors import ConfigError

BACKLOG: Final = 1024  # connections that the kernel completes while the loop is busy


def listening_socket(host: str, port: int, *, field: str = "server.http_addr") -> socket.socket:
    """A listening TCP socket. An empty host is every address, IPv6 with IPv4 where the machine has both.

    ``field`` is the setting that an error names.

    Raises:
        ConfigError: the host is unknown, the port taken or forbidden.
    """
    try:
        if not host and socket.has_dualstack_ipv6():
            return _listening(socket.AF_INET6, ("::", port))
        family, _, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _listening(family, address)
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        message = f"cannot listen on {Address(host, port)}: {reason} ({field})"
        raise ConfigError(message, field=field, code="LISTEN_FAILED") from err


def _listening(family: int, address: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock
