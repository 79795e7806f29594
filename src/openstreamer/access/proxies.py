"""The proxies that the operator trusts: one peer that stands for many clients."""

import functools
from collections.abc import Iterable, Sequence

from openstreamer.access.addresses import client_address, is_within, parse_networks
from openstreamer.access.failures import limiter_key

MAX_REMEMBERED = 1024  # clients; to read an address takes longer than to answer a request
MAX_REMEMBERED_CHARS = 128  # of X-Forwarded-For, which strangers may have made long


class TrustedProxies:
    """``server.trusted_proxies``, which may be replaced while listeners ask.

    Args:
        texts: addresses, and networks in CIDR form.

    Raises:
        ConfigError: naming the entry that is neither.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.use(texts)

    def use(self, texts: Iterable[str]) -> None:
        """Trust these from now on, and no others. Raises as the constructor does."""
        self._networks = parse_networks(texts)
        self._remembered = functools.lru_cache(MAX_REMEMBERED)(self._client_key)

    def covers(self, address: str) -> bool:
        """Whether ``address`` is one of them."""
        return bool(self._networks) and is_within(address, self._networks)

    def client_key(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Under what limits count the client for which ``peer`` asks; empty when it does not say.

        ``forwarded_for`` holds the values of ``X-Forwarded-For``, in order.
        """
        chain = ",".join(forwarded_for)
        if len(chain) > MAX_REMEMBERED_CHARS:
            return self._client_key(peer, chain)
        return self._remembered(peer, chain)

    def _client_key(self, peer: str, chain: str) -> str:
        client = client_address(peer, (chain,) if chain else (), self._networks)
        return "" if self.covers(client) else limiter_key(client)
