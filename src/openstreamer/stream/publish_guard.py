"""Stream keys cannot be guessed by trying: an address that presented wrong ones has to wait.

Counted are wrong keys, by address and stream, and by address over all streams. An encoder that is set up with
an old key and tries again for ever locks nobody out: attempts that its own limit refuses count no further, so
it never exhausts its address, which it may share with a whole broadcasting house.
"""

import time
from collections.abc import Callable
from typing import Final

from openstreamer.access.addresses import parse_address
from openstreamer.access.failures import FailureLimiter, FailureLimits, limiter_key
from openstreamer.stream.publish import PublishRefusal, PublishRefused, PublishRequest, PublishSlot

# A key of 8 random letters and digits has 40 bits: at ten attempts a minute for ever, it holds.
STREAM_LIMITS: Final = FailureLimits(burst=10, refill_s=6.0)
ADDRESS_LIMITS: Final = FailureLimits(burst=50, refill_s=1.2)  # five encoders with a wrong key do not fill it


class PublishGuard:
    """Stands before ``offer``, which lets publishers in or refuses them, for listeners of every protocol."""

    def __init__(
        self,
        offer: Callable[[PublishRequest], PublishSlot],
        clock_ns: Callable[[], int] = time.monotonic_ns,
        *,
        stream_limits: FailureLimits = STREAM_LIMITS,
        address_limits: FailureLimits = ADDRESS_LIMITS,
    ) -> None:
        self._offer = offer
        self._clock_ns = clock_ns
        self._by_stream = FailureLimiter(stream_limits)
        self._by_address = FailureLimiter(address_limits)

    def offer_publisher(self, request: PublishRequest) -> PublishSlot:
        """Let a publisher in, or raise :class:`PublishRefused` with the reason."""
        address = parse_address(request.peer)
        by_address = limiter_key(str(address) if address is not None else request.peer)
        by_stream = f"{by_address} {request.codes[-1]}"
        now_ns = self._clock_ns()
        wait_s = max(
            self._by_address.retry_after_s(by_address, now_ns),
            self._by_stream.retry_after_s(by_stream, now_ns),
        )
        if wait_s > 0:
            raise PublishRefused(
                PublishRefusal.TOO_MANY_ATTEMPTS,
                f"too many wrong stream keys from this address; try again in {max(1, round(wait_s))} s",
            )
        try:
            return self._offer(request)
        except PublishRefused as err:
            if err.reason is PublishRefusal.WRONG_KEY:
                self._by_address.take(by_address, now_ns)
                self._by_stream.take(by_stream, now_ns)
            raise
