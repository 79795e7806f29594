"""Token buckets for failed logins."""

from openstreamer.access.failures import FailureLimiter, FailureLimits, limiter_key

S = 1_000_000_000


def test_a_burst_is_allowed_and_then_one_per_refill() -> None:
    limiter = FailureLimiter(FailureLimits(burst=3, refill_s=6))
    for _ in range(3):
        assert limiter.retry_after_s("a", 0) == 0
        limiter.take("a", 0)
    assert limiter.retry_after_s("a", 0) == 6
    assert limiter.retry_after_s("a", 5 * S) == 1
    assert limiter.retry_after_s("a", 6 * S) == 0


def test_keys_do_not_share_a_bucket() -> None:
    limiter = FailureLimiter(FailureLimits(burst=1, refill_s=6))
    limiter.take("a", 0)
    assert limiter.retry_after_s("a", 0) > 0
    assert limiter.retry_after_s("b", 0) == 0


def test_a_right_password_costs_nothing_and_leaves_nothing() -> None:
    limiter = FailureLimiter(FailureLimits(burst=2, refill_s=6))
    limiter.take("a", 0)
    limiter.give_back("a", 0)
    assert len(limiter) == 0


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    limiter = FailureLimiter(FailureLimits(burst=2, refill_s=1))
    limiter.take("a", 0)
    for _ in range(2):
        limiter.take("a", 1000 * S)
    assert limiter.retry_after_s("a", 1000 * S) > 0


def test_the_table_is_bounded_and_forgets_the_oldest() -> None:
    limiter = FailureLimiter(FailureLimits(burst=1, refill_s=1000, most_keys=10))
    for number in range(100):
        limiter.take(str(number), 0)
    assert len(limiter) == 10
    assert limiter.retry_after_s("0", 0) == 0
    assert limiter.retry_after_s("99", 0) > 0


def test_an_ipv6_host_is_limited_by_its_64_prefix_and_an_ipv4_host_by_itself() -> None:
    assert limiter_key("2001:db8:1:2::1") == limiter_key("2001:db8:1:2:ffff::9")
    assert limiter_key("2001:db8:1:2::1") != limiter_key("2001:db8:1:3::1")
    assert limiter_key("192.0.2.1") == "192.0.2.1"
    assert limiter_key("unknown") == "unknown"
