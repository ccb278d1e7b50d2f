"""Rates of each key, counted apart by kind."""

import pytest

from streamferry.web.rate_limits import Kind, RateLimiter, Rates


def calls_allowed(limiter: RateLimiter, kind: Kind, now: float, key: str = "AK1", tries: int = 100) -> int:
    """How many of the tries at one moment pass."""
    return sum(limiter.take(key, kind, now) for _ in range(tries))


@pytest.mark.parametrize(("kind", "rate"), [(Kind.WRITE, 10), (Kind.LIST, 15), (Kind.USAGE, 30)])
def test_a_second_holds_as_many_calls_as_the_rate(kind: Kind, rate: int) -> None:
    """At once, again a second later, and a part of them after a part of a second."""
    limiter = RateLimiter(Rates())
    assert calls_allowed(limiter, kind, 100.0) == rate
    assert calls_allowed(limiter, kind, 101.0) == rate
    assert calls_allowed(limiter, kind, 101.5) == rate // 2
    assert calls_allowed(limiter, kind, 500.0) == rate


def test_keys_and_kinds_do_not_disturb_each_other() -> None:
    """A greedy key harms itself only."""
    limiter = RateLimiter(Rates())
    calls_allowed(limiter, Kind.WRITE, 0.0)
    assert calls_allowed(limiter, Kind.WRITE, 0.0, key="AK2") == 10
    assert calls_allowed(limiter, Kind.LIST, 0.0) == 15


def test_a_rate_below_one_lets_single_calls_through() -> None:
    """One call in ten seconds is a rate, too."""
    limiter = RateLimiter(Rates(write=0.1))
    assert [calls_allowed(limiter, Kind.WRITE, now) for now in (0.0, 5.0, 10.0)] == [1, 0, 1]


def test_zero_is_no_limit() -> None:
    """For those who limit elsewhere."""
    assert calls_allowed(RateLimiter(Rates(write=0)), Kind.WRITE, 0.0) == 100
