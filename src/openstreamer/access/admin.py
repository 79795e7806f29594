"""The gate of the admin API: one decision per request, from what the request says and who exists now."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from openstreamer.access.addresses import IpNetwork, client_address
from openstreamer.access.credentials import parse_authorization
from openstreamer.access.loopback import SAFE_METHODS, require_local, require_same_origin
from openstreamer.access.users import Authenticator, Role, User
from openstreamer.media.errors import AccessError

RULES_MAX_AGE_S = 1.0  # another process (`openstreamer user add`) may have changed them


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who exists and what the operator allows, at one instant. Without users the loopback rule holds."""

    users: Mapping[str, User] = field(default_factory=dict)
    trusted_proxies: tuple[IpNetwork, ...] = ()
    allowed_origins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """What the gate looks at. Header names are in lower case; ``forwarded_for`` has every occurrence."""

    method: str
    peer: str | None
    http_version: str
    headers: Mapping[str, str]
    forwarded_for: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: ``name`` is the user's, or ``local`` under the loopback rule."""

    name: str
    role: Role
    address: str


class RulesCache:
    """The newest :class:`AccessRules`, read at most once a second and when something was changed here."""

    def __init__(
        self,
        load: Callable[[], Awaitable[AccessRules]],
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        max_age_s: float = RULES_MAX_AGE_S,
    ) -> None:
        self._load = load
        self._clock_ns = clock_ns
        self._max_age_ns = int(max_age_s * 1e9)
        self._rules: AccessRules | None = None
        self._read_ns = 0
        self._generation = 0
        self._lock = asyncio.Lock()

    def invalidate(self) -> None:
        """The next request reads anew."""
        self._rules = None
        self._generation += 1

    async def current(self) -> AccessRules:
        """The rules. An error of the store is raised: who cannot be checked does not enter."""
        if (rules := self._fresh()) is not None:
            return rules
        async with self._lock:
            if (rules := self._fresh()) is not None:
                return rules
            read_ns, generation = self._clock_ns(), self._generation
            rules = await self._load()
            if generation == self._generation:  # else what was read may be older than the change
                self._rules, self._read_ns = rules, read_ns
            return rules

    def _fresh(self) -> AccessRules | None:
        if self._rules is not None and self._clock_ns() - self._read_ns <= self._max_age_ns:
            return self._rules
        return None


class AdminGate:
    """Decides who may do what on the admin API."""

    def __init__(self, rules: RulesCache, authenticator: Authenticator) -> None:
        self._rules = rules
        self._authenticator = authenticator

    def invalidate(self) -> None:
        """Users or settings were changed."""
        self._rules.invalidate()

    async def rules(self) -> AccessRules:
        """The rules that hold now."""
        return await self._rules.current()

    async def admit(self, request: AdminRequest) -> Principal:
        """Who sends ``request``.

        Raises:
            AccessError: ``UNAUTHORIZED``, ``FORBIDDEN``, ``LOOPBACK_ONLY``, ``HOST_NOT_ALLOWED``,
                ``CROSS_ORIGIN``, ``BUSY``, or :class:`~openstreamer.access.users.RateLimited`.
        """
        rules = await self._rules.current()
        address = client_address(request.peer, request.forwarded_for, rules.trusted_proxies)
        if not rules.users:
            require_local(request.peer, request.http_version, request.headers)
            # A wildcard was meant for reading: without a login every page of the web would be an operator.
            require_same_origin(request.method, request.headers, rules.allowed_origins - {"*"})
            return Principal("local", Role.WRITE, address)
        require_same_origin(request.method, request.headers, rules.allowed_origins)
        user = await self._log_in(request, rules, address)
        if user.role is Role.READ and request.method not in SAFE_METHODS:
            raise AccessError(f"user {user.username} has the role read and may not change anything")
        return Principal(user.username, user.role, address)

    async def _log_in(self, request: AdminRequest, rules: AccessRules, address: str) -> User:
        header = request.headers.get("authorization")
        credentials = parse_authorization(None if header is None else header.encode("latin-1", "replace"))
        if credentials is None:
            raise AccessError("log in with Basic or Bearer", code="UNAUTHORIZED")
        return await self._authenticator.authenticate(credentials, rules.users, address)
