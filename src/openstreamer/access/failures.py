"""How often an address may fail to authenticate: token buckets in a bounded table; time is a parameter."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """``burst`` failures at once, then one per ``refill_s``; ``most_keys`` buckets are remembered."""

    burst: int = 10
    refill_s: float = 6.0
    most_keys: int = 4096


class FailureLimiter:
    """Token buckets by key, each kept as one number: the time at which it is full again (the generic cell
    rate algorithm of ITU-T I.371).

    A token is taken before a password is checked and given back when it was right, so that requests sent in
    parallel cannot pass the limit together. When the table is full the bucket that was touched longest ago
    is forgotten.
    """

    def __init__(self, limits: FailureLimits) -> None:
        self._refill_ns = int(limits.refill_s * 1e9)
        self._tolerance_ns = (limits.burst - 1) * self._refill_ns
        self._most_keys = limits.most_keys
        self._full_at_ns: OrderedDict[str, int] = OrderedDict()

    def retry_after_s(self, key: str, now_ns: int) -> float:
        """0 when an attempt is allowed now, else the seconds until the next one is."""
        wait_ns = self._full_at_ns.get(key, now_ns) - now_ns - self._tolerance_ns
        return max(0, wait_ns) / 1e9

    def take(self, key: str, now_ns: int) -> None:
        """Count an attempt."""
        self._full_at_ns[key] = max(self._full_at_ns.get(key, now_ns), now_ns) + self._refill_ns
        self._full_at_ns.move_to_end(key)
        if len(self._full_at_ns) > self._most_keys:
            self._full_at_ns.popitem(last=False)

    def give_back(self, key: str, now_ns: int) -> None:
        """The attempt was not a failure."""
        full_at_ns = self._full_at_ns.get(key, now_ns) - self._refill_ns
        if full_at_ns > now_ns:
            self._full_at_ns[key] = full_at_ns
        else:
            self._full_at_ns.pop(key, None)

    def __len__(self) -> int:
        return len(self._full_at_ns)


def limiter_key(address: str) -> str:
    """IPv6 hosts own a /64 (RFC 6177): one bucket for it, or rotating addresses would never be limited."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address
