"""The gate: one decision per request."""

from collections.abc import AsyncIterator, Mapping

import bcrypt
import pytest

from openstreamer.access.addresses import parse_networks
from openstreamer.access.admin import AccessRules, AdminGate, AdminRequest, Principal, RulesCache
from openstreamer.access.users import Authenticator, Role, User
from openstreamer.media.errors import AccessError, StoreError


def quick(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


USERS = {
    "ops": User("ops", quick("right"), Role.WRITE),
    "viewer": User("viewer", quick("look"), Role.READ),
}
CLOSED = AccessRules(users=USERS, trusted_proxies=parse_networks(["10.0.0.0/8"]))


class Rules:
    """What the store says, changeable by a test."""

    def __init__(self, rules: AccessRules) -> None:
        self.rules: AccessRules | Exception = rules
        self.reads = 0
        self.now_ns = 0

    async def __call__(self) -> AccessRules:
        self.reads += 1
        if isinstance(self.rules, Exception):
            raise self.rules
        return self.rules

    def clock_ns(self) -> int:
        return self.now_ns


@pytest.fixture
def rules() -> Rules:
    return Rules(AccessRules())


@pytest.fixture
async def gate(rules: Rules) -> AsyncIterator[AdminGate]:
    authenticator = Authenticator()
    yield AdminGate(RulesCache(rules, clock_ns=rules.clock_ns), authenticator)
    authenticator.close()


def request(
    method: str = "GET",
    peer: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
    forwarded_for: tuple[str, ...] = (),
) -> AdminRequest:
    return AdminRequest(method, peer, "1.1", {"host": "localhost", **(headers or {})}, forwarded_for)


async def refusal(gate: AdminGate, asked: AdminRequest) -> str:
    with pytest.raises(AccessError) as caught:
        await gate.admit(asked)
    return caught.value.code


async def test_without_users_this_machine_may_do_everything(gate: AdminGate) -> None:
    assert await gate.admit(request("DELETE")) == Principal("local", Role.WRITE, "127.0.0.1")


async def test_without_users_other_machines_may_do_nothing(gate: AdminGate) -> None:
    assert await refusal(gate, request(peer="192.0.2.1")) == "LOOPBACK_ONLY"
    assert (
        await refusal(gate, request(peer="192.0.2.1", headers={"authorization": "Bearer a.b"}))
        == "LOOPBACK_ONLY"
    )


async def test_a_proxy_on_this_machine_does_not_open_the_api(gate: AdminGate, rules: Rules) -> None:
    rules.rules = AccessRules(trusted_proxies=parse_networks(["127.0.0.1"]))
    asked = request(headers={"x-forwarded-for": "127.0.0.1"}, forwarded_for=("127.0.0.1",))
    assert await refusal(gate, asked) == "LOOPBACK_ONLY"


async def test_without_users_a_cors_wildcard_opens_nothing_for_other_pages(
    gate: AdminGate, rules: Rules
) -> None:
    rules.rules = AccessRules(allowed_origins=frozenset({"*", "https://console.example"}))
    assert await refusal(gate, request("POST", headers={"origin": "https://evil.example"})) == "CROSS_ORIGIN"
    await gate.admit(request("POST", headers={"origin": "https://console.example"}))


async def test_with_users_even_this_machine_logs_in(gate: AdminGate, rules: Rules) -> None:
    rules.rules = CLOSED
    assert await refusal(gate, request()) == "UNAUTHORIZED"


async def test_a_user_comes_from_anywhere_by_either_scheme(gate: AdminGate, rules: Rules) -> None:
    rules.rules = CLOSED
    bearer = request("POST", "198.51.100.1", {"authorization": "Bearer ops.right", "host": "tv.example"})
    assert await gate.admit(bearer) == Principal("ops", Role.WRITE, "198.51.100.1")
    basic = request("POST", "198.51.100.1", {"authorization": "Basic b3BzOnJpZ2h0"})
    assert (await gate.admit(basic)).name == "ops"


async def test_a_reader_may_look_and_not_touch(gate: AdminGate, rules: Rules) -> None:
    rules.rules = CLOSED
    login = {"authorization": "Bearer viewer.look"}
    for method in ("GET", "HEAD", "OPTIONS"):
        await gate.admit(request(method, headers=login))
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert await refusal(gate, request(method, headers=login)) == "FORBIDDEN"


async def test_a_page_of_another_origin_cannot_use_a_logged_in_browser(gate: AdminGate, rules: Rules) -> None:
    rules.rules = CLOSED
    headers = {"authorization": "Bearer ops.right", "origin": "https://evil.example"}
    assert await refusal(gate, request("POST", headers=headers)) == "CROSS_ORIGIN"


async def test_the_address_of_a_principal_comes_through_trusted_proxies_only(
    gate: AdminGate, rules: Rules
) -> None:
    rules.rules = CLOSED
    login = {"authorization": "Bearer ops.right"}
    trusted = request(peer="10.0.0.9", headers=login, forwarded_for=("203.0.113.5",))
    assert (await gate.admit(trusted)).address == "203.0.113.5"
    spoofed = request(peer="192.0.2.66", headers=login, forwarded_for=("203.0.113.5",))
    assert (await gate.admit(spoofed)).address == "192.0.2.66"


async def test_rules_are_read_once_a_second_and_after_a_change(gate: AdminGate, rules: Rules) -> None:
    for _ in range(5):
        await gate.admit(request())
    assert rules.reads == 1
    rules.now_ns = 1_000_000_001
    await gate.admit(request())
    assert rules.reads == 2
    gate.invalidate()
    rules.rules = CLOSED
    assert await refusal(gate, request()) == "UNAUTHORIZED"


async def test_rules_read_before_a_change_are_not_kept_after_it() -> None:
    cache: RulesCache

    async def load() -> AccessRules:
        reads.append(1)
        if len(reads) == 1:
            cache.invalidate()  # a user is added while the old table is being read
            return AccessRules()
        return CLOSED

    reads: list[int] = []
    cache = RulesCache(load, clock_ns=lambda: 0)
    await cache.current()
    assert (await cache.current()) is CLOSED


async def test_who_cannot_be_checked_does_not_enter(gate: AdminGate, rules: Rules) -> None:
    rules.rules = StoreError("disk gone")
    with pytest.raises(StoreError):
        await gate.admit(request())
