"""Authentication: right, wrong, remembered, limited, never on the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator

import bcrypt
import pytest

from openstreamer.access.credentials import Credentials
from openstreamer.access.failures import FailureLimits
from openstreamer.access.users import VERIFIED_TTL_S, Authenticator, RateLimited, Role, User
from openstreamer.media.errors import AccessError


def user(name: str, password: str, role: Role = Role.WRITE) -> User:
    return User(name, bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode(), role)


OPS = user("ops", "right")
USERS = {"ops": OPS, "viewer": user("viewer", "look", Role.READ)}
RIGHT = Credentials("ops", "right")
WRONG = Credentials("ops", "wrong")


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class CountingVerifier:
    """The real verification, with a count and the threads it ran on; it can be held back."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()

    def __call__(self, password: str, password_hash: str) -> bool:
        self.calls.append((password, password_hash))
        self.threads.add(threading.current_thread().name)
        self.started.set()
        self.gate.wait(10)
        return bcrypt.checkpw(password.encode(), password_hash.encode())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier() -> CountingVerifier:
    return CountingVerifier()


@pytest.fixture
async def authenticator(clock: Clock, verifier: CountingVerifier) -> AsyncIterator[Authenticator]:
    made = Authenticator(
        clock_ns=clock,
        verify=verifier,
        name_limits=FailureLimits(burst=3, refill_s=6),
        address_limits=FailureLimits(burst=5, refill_s=6),
        most_pending=4,
    )
    yield made
    verifier.gate.set()
    made.close()


async def failure(authenticator: Authenticator, credentials: Credentials, address: str = "192.0.2.1") -> str:
    with pytest.raises(AccessError) as caught:
        await authenticator.authenticate(credentials, USERS, address)
    return caught.value.code


async def test_the_right_password_gives_the_user(authenticator: Authenticator) -> None:
    assert await authenticator.authenticate(RIGHT, USERS, "192.0.2.1") is OPS


async def test_a_wrong_password_and_an_unknown_name_are_the_same_refusal(
    authenticator: Authenticator,
) -> None:
    with pytest.raises(AccessError) as wrong:
        await authenticator.authenticate(WRONG, USERS, "192.0.2.1")
    with pytest.raises(AccessError) as unknown:
        await authenticator.authenticate(Credentials("nobody", "right"), USERS, "192.0.2.1")
    assert (wrong.value.code, str(wrong.value)) == (unknown.value.code, str(unknown.value))


async def test_an_unknown_name_costs_a_hash_and_never_enters_with_somebodys_password(
    authenticator: Authenticator, verifier: CountingVerifier
) -> None:
    assert await failure(authenticator, Credentials("nobody", "right")) == "UNAUTHORIZED"
    assert len(verifier.calls) == 1


async def test_hashes_are_computed_on_another_thread(
    authenticator: Authenticator, verifier: CountingVerifier
) -> None:
    await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
    assert all(name.startswith("passwords") for name in verifier.threads)


async def test_a_verified_password_is_remembered_for_a_while(
    authenticator: Authenticator, verifier: CountingVerifier, clock: Clock
) -> None:
    for _ in range(3):
        await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
    assert len(verifier.calls) == 1
    clock.now_ns = int(VERIFIED_TTL_S * 1e9)
    await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
    assert len(verifier.calls) == 2


async def test_a_changed_or_removed_user_is_out_at_once(authenticator: Authenticator) -> None:
    await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
    changed = {"ops": user("ops", "new")}
    with pytest.raises(AccessError):
        await authenticator.authenticate(RIGHT, changed, "192.0.2.1")
    with pytest.raises(AccessError):
        await authenticator.authenticate(RIGHT, {"viewer": USERS["viewer"]}, "192.0.2.1")


async def test_a_changed_role_holds_at_once(authenticator: Authenticator) -> None:
    await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
    demoted = User("ops", OPS.password_hash, Role.READ)
    assert (await authenticator.authenticate(RIGHT, {"ops": demoted}, "192.0.2.1")).role is Role.READ


async def test_failures_of_one_name_are_limited_per_address(
    authenticator: Authenticator, clock: Clock
) -> None:
    for _ in range(3):
        assert await failure(authenticator, WRONG) == "UNAUTHORIZED"
    with pytest.raises(RateLimited) as caught:
        await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
    assert caught.value.retry_after_s == 6
    await authenticator.authenticate(RIGHT, USERS, "198.51.100.1")
    clock.now_ns = 6_000_000_000
    await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")


async def test_failures_over_many_names_are_limited_too(authenticator: Authenticator) -> None:
    for number in range(5):
        assert await failure(authenticator, Credentials(f"name{number}", "x")) == "UNAUTHORIZED"
    assert await failure(authenticator, Credentials("name9", "x")) == "TOO_MANY_FAILURES"


async def test_parallel_guesses_do_not_pass_the_limit_together(
    authenticator: Authenticator, verifier: CountingVerifier
) -> None:
    guesses = [Credentials("ops", f"guess{number}") for number in range(50)]
    results = await asyncio.gather(
        *(authenticator.authenticate(guess, USERS, "192.0.2.1") for guess in guesses), return_exceptions=True
    )
    assert len(verifier.calls) == 3
    assert sum(isinstance(result, RateLimited) for result in results) == 47


async def test_right_logins_are_never_limited(authenticator: Authenticator, clock: Clock) -> None:
    for _ in range(20):
        await authenticator.authenticate(RIGHT, USERS, "192.0.2.1")
        clock.now_ns += int(VERIFIED_TTL_S * 1e9)


async def test_equal_logins_that_arrive_together_cost_one_hash(
    authenticator: Authenticator, verifier: CountingVerifier
) -> None:
    users = await asyncio.gather(*(authenticator.authenticate(RIGHT, USERS, "192.0.2.1") for _ in range(30)))
    assert {found.username for found in users} == {"ops"}
    assert len(verifier.calls) == 1


async def test_a_client_that_leaves_does_not_spoil_the_others(
    authenticator: Authenticator, verifier: CountingVerifier
) -> None:
    verifier.gate.clear()
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(authenticator.authenticate(RIGHT, USERS, "192.0.2.1"))
        staying = group.create_task(authenticator.authenticate(RIGHT, USERS, "192.0.2.1"))
        await asyncio.to_thread(verifier.started.wait, 10)
        leaving.cancel()
        verifier.gate.set()
    assert staying.result() is OPS


async def test_waiting_logins_are_bounded(authenticator: Authenticator, verifier: CountingVerifier) -> None:
    verifier.gate.clear()
    async with asyncio.TaskGroup() as group:
        waiting = [
            group.create_task(failure(authenticator, Credentials("ops", str(number)), f"192.0.2.{number}"))
            for number in range(4)
        ]
        await asyncio.to_thread(verifier.started.wait, 10)
        assert await failure(authenticator, Credentials("ops", "more"), "198.51.100.1") == "BUSY"
        verifier.gate.set()
    assert {task.result() for task in waiting} == {"UNAUTHORIZED"}
