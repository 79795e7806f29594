"""The loopback rule and the protection of browsers."""

import pytest

from openstreamer.access.loopback import (
    FORWARDING_HEADERS,
    FORWARDING_PREFIXES,
    names_this_machine,
    require_local,
    require_same_origin,
)
from openstreamer.media.errors import AccessError

LOCAL = {"host": "localhost:8080"}


def refused(peer: str | None, headers: dict[str, str], version: str = "1.1") -> str:
    with pytest.raises(AccessError) as caught:
        require_local(peer, version, headers)
    return caught.value.code


def test_this_machine_is_let_in() -> None:
    require_local("127.0.0.1", "1.1", LOCAL)
    require_local("::1", "2", {"host": "[::1]:8080"})


@pytest.mark.parametrize("peer", ["192.0.2.1", "10.0.0.1", None, "2001:db8::1"])
def test_another_machine_is_not(peer: str | None) -> None:
    assert refused(peer, LOCAL) == "LOOPBACK_ONLY"


@pytest.mark.parametrize(
    "name",
    [
        *sorted(FORWARDING_HEADERS),
        *(f"{prefix}anything" for prefix in FORWARDING_PREFIXES),
        *("x-forwarded", "x-forwarded-for", "x-original-host", "x-azure-clientip", "wl-proxy-client-ip"),
        *("cf-connecting-ip", "cf-connecting-ipv6", "cf-ray", "fly-client-ip", "fastly-client-ip"),
    ],
)
def test_no_request_that_passed_a_proxy_is_let_in(name: str) -> None:
    assert refused("127.0.0.1", {**LOCAL, name: "127.0.0.1"}) == "LOOPBACK_ONLY"


def test_what_browsers_and_command_lines_send_is_let_in() -> None:
    names = "accept authorization cache-control connection content-type cookie dnt origin pragma priority "
    names += "proxy-connection referer sec-ch-ua sec-fetch-mode te user-agent x-requested-with"
    require_local("127.0.0.1", "1.1", {**LOCAL, **dict.fromkeys(names.split(), "x")})


def test_http_1_0_is_how_a_default_nginx_forwards_and_is_refused() -> None:
    assert refused("127.0.0.1", LOCAL, "1.0") == "LOOPBACK_ONLY"


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "localhost.evil.example", "evil.example:8080", "", "127.0.0.1.nip.io"),
        *("[::1]evil.example", "[::1].evil.example:80", "[::1]:evil.example", "127.0.0.1:80.evil.example"),
        *("localhost:80.evil.example", "evil.example:localhost", "[::1", "127.0.0.1%evil.example"),
    ],
)
def test_a_name_that_dns_could_have_pointed_here_is_refused(host: str) -> None:
    assert refused("127.0.0.1", {"host": host}) == "HOST_NOT_ALLOWED"


@pytest.mark.parametrize(
    "host",
    [
        *("192.0.2.2", "192.0.2.2:18081", "10.1.2.3:80", "0.0.0.0:8080", "[2001:db8::1]:8080", "[::]"),
        *("[fe80::1%25eth0]:8080", "[::ffff:192.0.2.2]", "128.0.0.1"),
    ],
)
def test_an_address_of_another_interface_came_through_a_forwarder_and_is_refused(host: str) -> None:
    assert refused("127.0.0.1", {"host": host}) == "HOST_NOT_ALLOWED"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:1", "localhost.", "a.localhost:8080"),
        *("127.0.0.1", "127.8.9.10:80", "[::1]", "[::1]:8080", "[::ffff:127.0.0.1]:8080"),
    ],
)
def test_names_and_addresses_of_loopback_pass(host: str) -> None:
    assert names_this_machine(host)
    require_local("127.0.0.1", "1.1", {"host": host})


def crossing(
    headers: dict[str, str], allowed: frozenset[str] = frozenset(), method: str = "POST"
) -> str | None:
    try:
        require_same_origin(method, {**LOCAL, **headers}, allowed)
    except AccessError as err:
        return err.code
    return None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://localhost:8080"},
        {"origin": "https://localhost:8080"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_own_pages_and_clients_without_a_page_may_change_things(headers: dict[str, str]) -> None:
    assert crossing(headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://[broken"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example", "sec-fetch-site": "same-origin"},
    ],
)
def test_pages_of_other_origins_may_not(headers: dict[str, str]) -> None:
    assert crossing(headers) == "CROSS_ORIGIN"
    assert crossing(headers, method="DELETE") == "CROSS_ORIGIN"


def test_reading_is_left_to_the_browsers_own_rule() -> None:
    assert crossing({"origin": "http://evil.example"}, method="GET") is None


def test_an_origin_that_the_operator_allows_may() -> None:
    allowed = frozenset({"https://console.example"})
    assert crossing({"origin": "https://console.example"}, allowed) is None
    assert crossing({"origin": "https://other.example"}, allowed) == "CROSS_ORIGIN"
