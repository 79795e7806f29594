"""Peers, proxies and loopback."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openstreamer.access.addresses import client_address, is_loopback, parse_address, parse_networks
from openstreamer.media.errors import ConfigError

TRUSTED = parse_networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "[::1]:80", "127.0.0.1:5"]
)
def test_loopback_in_every_spelling(peer: str) -> None:
    assert is_loopback(peer)


@pytest.mark.parametrize(
    "peer", [None, "", "localhost", "10.0.0.1", "::", "0.0.0.0", "::ffff:10.0.0.1", "fe80::1"]
)
def test_anything_else_is_not_loopback(peer: str | None) -> None:
    assert not is_loopback(peer)


@pytest.mark.parametrize(
    "text", ["[::1]evil", "[::1", "::1]", "[::1]:x", "127.0.0.1:x", "127.0.0.1:80:", "1.2.3.4%eth0", "[a]"]
)
def test_what_only_begins_like_an_address_is_none(text: str) -> None:
    assert parse_address(text) is None


def test_a_zone_is_dropped() -> None:
    assert str(parse_address("fe80::1%eth0")) == str(parse_address("[fe80::1%eth0]:80")) == "fe80::1"


def test_an_untrusted_peer_is_believed_nothing() -> None:
    assert client_address("198.51.100.1", ["203.0.113.9"], TRUSTED) == "198.51.100.1"


def test_behind_trusted_proxies_the_nearest_untrusted_hop_counts() -> None:
    chain = ["1.1.1.1, 203.0.113.9", "192.0.2.7"]
    assert client_address("10.1.1.1", chain, TRUSTED) == "203.0.113.9"


def test_a_client_cannot_choose_its_address_through_a_trusted_proxy() -> None:
    # The client sent "127.0.0.1"; the proxy appended whom it saw.
    assert client_address("10.1.1.1", ["127.0.0.1, 203.0.113.9"], TRUSTED) == "203.0.113.9"


def test_nonsense_in_the_chain_ends_the_search_at_the_last_known_hop() -> None:
    assert client_address("10.1.1.1", ["203.0.113.9, unknown"], TRUSTED) == "10.1.1.1"


def test_ports_brackets_and_mapped_addresses_are_read() -> None:
    assert client_address("::ffff:10.0.0.1", ["[2001:db9::1]:443"], TRUSTED) == "2001:db9::1"
    assert client_address("10.0.0.1", ["203.0.113.9:5555"], TRUSTED) == "203.0.113.9"


def test_a_bad_network_names_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_networks(["10.0.0.0/8", "proxy.example"])
    assert caught.value.field == "server.trusted_proxies[1]"


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text: str) -> None:
    parse_address(text)
    client_address(text, [text], TRUSTED)


def test_a_chain_of_a_million_hops_is_cut() -> None:
    assert client_address("10.0.0.1", [",".join(["10.0.0.1"] * 1000)], TRUSTED) == "10.0.0.1"
