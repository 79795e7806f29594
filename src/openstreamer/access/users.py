"""Who may use the admin API, and the check of a password that never runs on the event loop."""

import asyncio
import enum
import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from openstreamer.access.credentials import Credentials
from openstreamer.access.failures import FailureLimiter, FailureLimits, limiter_key
from openstreamer.access.passwords import verify_password
from openstreamer.media.errors import AccessError

logger = structlog.get_logger(__name__)

VERIFIED_TTL_S = 300.0  # how long a verified password is believed without another hash
MOST_VERIFIED = 1024
MOST_PENDING = 32  # verifications that wait for the thread; more is an attack or a fault
ADDRESS_LIMITS = FailureLimits(burst=50, refill_s=1.2)  # 50 a minute over all names of one address
NAME_LIMITS = FailureLimits(burst=10, refill_s=6.0)  # 10 a minute for one name from one address
VERIFIER_NICENESS = 10  # a flood of logins must not take CPU from media


class Role(enum.Enum):
    """``read`` may look, ``write`` may change."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class User:
    """An account of the admin API."""

    username: str
    password_hash: str = field(repr=False)
    role: Role


class RateLimited(AccessError):  # noqa: N818 - reads as what happened to the client
    """Too many failures from there. ``retry_after_s`` says when to come back."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(
            f"too many failed logins from this address; try again in {retry_after_s:.0f} s",
            code="TOO_MANY_FAILURES",
        )
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class _Verified:
    username: str
    password_hash: str
    expires_ns: int


class Authenticator:
    """Checks credentials against users.

    What was verified is remembered under an HMAC with a key of this process, together with the hash that it
    matched: a user who was removed or got a new password is out at once. One thread of low priority computes
    hashes; equal credentials that arrive together share one computation.
    """

    def __init__(
        self,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        verify: Callable[[str, str], bool] = verify_password,
        address_limits: FailureLimits = ADDRESS_LIMITS,
        name_limits: FailureLimits = NAME_LIMITS,
        most_pending: int = MOST_PENDING,
    ) -> None:
        self._clock_ns = clock_ns
        self._verify = verify
        self._by_address = FailureLimiter(address_limits)
        self._by_name = FailureLimiter(name_limits)
        self._most_pending = most_pending
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        self._pending: dict[tuple[bytes, str], asyncio.Future[bool]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_be_nice)

    def close(self) -> None:
        """Let the thread end; a hash that is being computed is finished first."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def authenticate(self, credentials: Credentials, users: Mapping[str, User], address: str) -> User:
        """The user whose credentials these are.

        Raises:
            RateLimited: too many failures of this address or name.
            AccessError: ``UNAUTHORIZED`` (the same for a wrong name and a wrong password), ``BUSY``.
        """
        keys = self._limiter_keys(credentials, address)
        self._refuse_the_limited(keys)
        user = users.get(credentials.username)
        digest = self._digest(credentials)
        if user is not None and self._is_verified(digest, user):
            return user
        # An unknown name costs what a known one costs: a hash of somebody, whose result does not count.
        candidate = user or next(iter(users.values()))
        matches = await self._check(digest, credentials.password, candidate.password_hash, keys)
        if user is None or not matches:
            raise AccessError("wrong user name or password", code="UNAUTHORIZED")
        self._remember(digest, user)
        return user

    def _limiter_keys(self, credentials: Credentials, address: str) -> tuple[str, str]:
        source = limiter_key(address)
        name = hashlib.blake2b(credentials.username.encode("utf-8", "surrogatepass"), digest_size=16)
        return source, f"{source} {name.hexdigest()}"

    def _refuse_the_limited(self, keys: tuple[str, str]) -> None:
        now_ns = self._clock_ns()
        wait_s = max(
            self._by_address.retry_after_s(keys[0], now_ns), self._by_name.retry_after_s(keys[1], now_ns)
        )
        if wait_s > 0:
            raise RateLimited(max(1.0, wait_s))

    def _digest(self, credentials: Credentials) -> bytes:
        name = credentials.username.encode("utf-8", "surrogatepass")
        password = credentials.password.encode("utf-8", "surrogatepass")
        message = len(name).to_bytes(4, "big") + name + password
        return hmac.digest(self._key, message, "sha256")

    def _is_verified(self, digest: bytes, user: User) -> bool:
        entry = self._verified.get(digest)
        if entry is None:
            return False
        if entry.expires_ns <= self._clock_ns() or entry.password_hash != user.password_hash:
            del self._verified[digest]
            return False
        self._verified.move_to_end(digest)
        return entry.username == user.username

    def _remember(self, digest: bytes, user: User) -> None:
        expires_ns = self._clock_ns() + int(VERIFIED_TTL_S * 1e9)
        self._verified[digest] = _Verified(user.username, user.password_hash, expires_ns)
        self._verified.move_to_end(digest)
        if len(self._verified) > MOST_VERIFIED:
            self._verified.popitem(last=False)

    async def _check(self, digest: bytes, password: str, password_hash: str, keys: tuple[str, str]) -> bool:
        pending_key = (digest, password_hash)
        running = self._pending.get(pending_key)
        if running is None:
            if len(self._pending) >= self._most_pending:
                raise AccessError("too many logins at once; try again", code="BUSY")
            running = self._start_check(pending_key, password, keys)
        return await asyncio.shield(running)

    def _start_check(
        self, pending_key: tuple[bytes, str], password: str, keys: tuple[str, str]
    ) -> "asyncio.Future[bool]":
        now_ns = self._clock_ns()
        self._by_address.take(keys[0], now_ns)
        self._by_name.take(keys[1], now_ns)
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._pool, self._verify, password, pending_key[1])
        self._pending[pending_key] = running

        def done(future: "asyncio.Future[bool]") -> None:
            self._pending.pop(pending_key, None)
            if not future.cancelled() and future.exception() is None and future.result():
                self._by_address.give_back(keys[0], now_ns)
                self._by_name.give_back(keys[1], now_ns)

        running.add_done_callback(done)
        return running


def _be_nice() -> None:
    """Lower the priority of the calling thread (Linux has one per thread; others keep theirs)."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), VERIFIER_NICENESS)
    except OSError as err:
        logger.debug("access.priority_kept", error=str(err))
