"""The socket of a UDP source: unicast, multicast, source-specific multicast (RFC 3678), IPv4 and IPv6."""

import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

from openstreamer.config.input_urls import UdpInput
from openstreamer.media.errors import SourceRejected

RECEIVE_BUFFER_BYTES = 4 << 20  # ten seconds of 3 Mbit/s: a busy loop must not lose datagrams

# Linux, not in Python's socket module
_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8  # SK_MEMINFO_DROPS, of nine 32-bit numbers
_MEMINFO = struct.Struct("=9I")
_MCAST_JOIN_GROUP = 42
_MCAST_JOIN_SOURCE_GROUP = 46
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_SIOCGIFADDR = 0x8915
_SCOPES_OF_LINK = (1, 2)  # interface-local and link-local groups (RFC 4291 section 2.7)
_IF_INET6 = Path("/proc/net/if_inet6")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def open_socket(settings: UdpInput) -> socket.socket:
    """A bound, non-blocking socket that has joined what ``settings`` name.

    Raises:
        SourceRejected: an interface, address or source that cannot be.
        OSError: the port is taken, or the system refuses.
    """
    host = _numeric(settings.host, "host") if settings.host else _address_of_interface(settings.interface)
    family = socket.AF_INET6 if isinstance(host, ipaddress.IPv6Address) else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        _enlarge_buffer(opened)
        if settings.multicast:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # several streams may take one group
            index = _group_interface(settings, host)
            opened.bind(_name(host, settings.port, index))  # to the group: nothing else comes in
            _join(opened, settings, host, index)
        else:
            opened.bind(_name(host, settings.port, 0))
    except BaseException:
        opened.close()
        raise
    return opened


def kernel_drops(opened: socket.socket) -> int:
    """How many datagrams the kernel dropped because the receive buffer was full."""
    try:
        memory = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    except OSError:
        return 0
    return int(_MEMINFO.unpack(memory)[_MEMINFO_DROPS]) if len(memory) == _MEMINFO.size else 0


def _address_of_interface(name_or_address: str) -> IpAddress:
    """Where to listen when no host is named: everywhere, or at the interface's first address."""
    if not name_or_address:
        return ipaddress.IPv4Address(0)
    name = socket.if_indextoname(interface_index(name_or_address))
    if name != name_or_address:
        return ipaddress.ip_address(name_or_address)
    addresses = _addresses_of(name)
    if not addresses:
        raise SourceRejected(f"udp: the interface {name} has no address")
    return addresses[0]


def _numeric(text: str, what: str) -> IpAddress:
    try:
        return ipaddress.ip_address("127.0.0.1" if text == "localhost" else text)
    except ValueError:
        raise SourceRejected(f"udp: the {what} {text} is no IP address") from None


def _enlarge_buffer(opened: socket.socket) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:  # without CAP_NET_ADMIN the system's bound (net.core.rmem_max) holds
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def _name(host: IpAddress, port: int, index: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """What ``bind`` takes. A scope in the address (``fe80::1%eth0``) is resolved by the system."""
    if isinstance(host, ipaddress.IPv4Address) or (not index and host.scope_id):
        return str(host), port
    return str(ipaddress.IPv6Address(host.packed)), port, 0, index


def _group_interface(settings: UdpInput, group: IpAddress) -> int:
    """The index of the interface that a group is joined on; 0 leaves the choice to the system."""
    scope = group.scope_id if isinstance(group, ipaddress.IPv6Address) else None
    index = interface_index(settings.interface or scope or "")
    if not index and isinstance(group, ipaddress.IPv6Address) and group.packed[1] & 0x0F in _SCOPES_OF_LINK:
        raise SourceRejected(f"udp: the group {group} is local to a link: say which with iface=")
    return index


def _join(opened: socket.socket, settings: UdpInput, group: IpAddress, index: int) -> None:
    request = struct.pack("@I4x", index) + _sockaddr(group)
    if isinstance(group, ipaddress.IPv4Address):
        level = socket.IPPROTO_IP
        opened.setsockopt(level, _IP_MULTICAST_ALL, 0)
    else:
        level = socket.IPPROTO_IPV6
        opened.setsockopt(level, _IPV6_MULTICAST_ALL, 0)
    if settings.source:
        source = _numeric(settings.source, "source")
        if source.version != group.version:
            raise SourceRejected(f"udp: the source {source} and the group {group} are of different families")
        opened.setsockopt(level, _MCAST_JOIN_SOURCE_GROUP, request + _sockaddr(source))
    else:
        opened.setsockopt(level, _MCAST_JOIN_GROUP, request)


def _sockaddr(address: IpAddress) -> bytes:
    """A ``struct sockaddr_storage``."""
    if isinstance(address, ipaddress.IPv4Address):
        packed = struct.pack("=H2x4s", socket.AF_INET, address.packed)
    else:
        packed = struct.pack("=H6x16sI", socket.AF_INET6, address.packed, 0)
    return packed.ljust(128, b"\0")


def interface_index(name_or_address: str) -> int:
    """The index of the interface with this name or address; 0, the system's choice, for an empty name."""
    if not name_or_address:
        return 0
    try:
        address = ipaddress.ip_address(name_or_address)
    except ValueError:
        try:
            return socket.if_nametoindex(name_or_address)
        except OSError:
            raise SourceRejected(f"udp: there is no interface {name_or_address}") from None
    for index, name in socket.if_nameindex():
        if address in _addresses_of(name):
            return index
    raise SourceRejected(f"udp: no interface has the address {address}")


def _addresses_of(name: str) -> list[IpAddress]:
    """The first IPv4 address of an interface and all its IPv6 addresses."""
    found: list[IpAddress] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
        except OSError:
            pass  # it has none
        else:
            found.append(ipaddress.IPv4Address(answer[20:24]))
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return found
    fields = [line.split() for line in lines]
    return found + [ipaddress.IPv6Address(int(each[0], 16)) for each in fields if each[5] == name]
