"""Which addresses may be connected to."""

import pytest

from openstreamer.access.egress import EgressGuard
from openstreamer.media.errors import SourceRejected

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "239.255.0.1",
    "ff02::1",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "255.255.255.255",
    "::ffff:169.254.169.254",  # IPv4-mapped
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",  # IPv4-compatible
    "2002:a9fe:a9fe::1",  # 6to4
    "64:ff9b::169.254.169.254",  # NAT64
    "64:ff9b:1::a9fe:a9fe",
    "2001:0:1::5601:5601",  # Teredo: the client's address is stored inverted
]
BY_SWITCH = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "::1",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::10.0.0.1",
]
ALWAYS = ["93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", NEVER)
def test_never_whatever_the_switch_says(address: str) -> None:
    with pytest.raises(SourceRejected, match="may not connect"):
        EgressGuard(lambda: True).check(address)


@pytest.mark.parametrize("address", BY_SWITCH)
def test_private_addresses_by_the_switch(address: str) -> None:
    EgressGuard(lambda: True).check(address)
    with pytest.raises(SourceRejected, match="private addresses are off"):
        EgressGuard(lambda: False).check(address)


@pytest.mark.parametrize("address", ALWAYS)
def test_public_addresses_always(address: str) -> None:
    EgressGuard(lambda: False).check(address)


def test_the_switch_is_asked_each_time() -> None:
    allowed = True
    guard = EgressGuard(lambda: allowed)
    guard.check("10.0.0.1")
    allowed = False
    with pytest.raises(SourceRejected):
        guard.check("10.0.0.1")


@pytest.mark.parametrize("address", ["", "localhost", "2130706433", "127.1", "0x7f000001", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SourceRejected, match="not an IP address"):
        EgressGuard(lambda: True).check(address)
