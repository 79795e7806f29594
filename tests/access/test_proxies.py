"""Proxies that the operator trusts, and whom they stand for."""

import pytest

from openstreamer.access.proxies import MAX_REMEMBERED_CHARS, TrustedProxies
from openstreamer.media.errors import ConfigError


@pytest.fixture
def proxies() -> TrustedProxies:
    return TrustedProxies(["10.0.0.0/8", "::1"])


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "::1"])
def test_addresses_of_its_networks_are_covered(proxies: TrustedProxies, address: str) -> None:
    assert proxies.covers(address)


@pytest.mark.parametrize("address", ["11.0.0.1", "::2", "proxy.example", ""])
def test_others_are_not(proxies: TrustedProxies, address: str) -> None:
    assert not proxies.covers(address)
    assert not TrustedProxies().covers(address)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "key"),
    [
        ("10.0.0.1", ("203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", ("198.51.100.1, 203.0.113.9, 10.0.0.2",), "203.0.113.9"),
        ("10.0.0.1", ("198.51.100.1", "203.0.113.9"), "203.0.113.9"),
        ("10.0.0.1", ("2001:db8::7",), "2001:db8::/64"),
        ("10.0.0.1", (f"{'x' * MAX_REMEMBERED_CHARS}, 203.0.113.9",), "203.0.113.9"),
        ("10.0.0.1", (), ""),
        ("10.0.0.1", ("unknown",), ""),
        ("10.0.0.1", ("203.0.113.9, unknown",), ""),
        ("10.0.0.1", ("10.0.0.3",), ""),
        ("192.0.2.1", ("203.0.113.9",), "192.0.2.1"),
    ],
)
def test_a_request_counts_for_the_nearest_that_is_no_proxy_where_that_is_told(
    proxies: TrustedProxies, peer: str, forwarded_for: tuple[str, ...], key: str
) -> None:
    for _ in range(2):  # the second time from memory
        assert proxies.client_key(peer, forwarded_for) == key


def test_what_is_remembered_is_forgotten_with_the_networks(proxies: TrustedProxies) -> None:
    assert proxies.client_key("10.0.0.1", ("203.0.113.9",)) == "203.0.113.9"
    proxies.use(["192.0.2.1"])
    assert not proxies.covers("10.0.0.1")
    assert proxies.client_key("10.0.0.1", ("203.0.113.9",)) == "10.0.0.1"


def test_an_entry_that_is_no_network_is_named_and_changes_nothing(proxies: TrustedProxies) -> None:
    with pytest.raises(ConfigError, match=r"'proxy\.example'"):
        proxies.use(["proxy.example"])
    assert proxies.covers("10.0.0.1")
