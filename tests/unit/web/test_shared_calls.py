"""Limits on calls where several services share a store: what a key calls at others is taken from what it may here."""

import itertools

import pytest

from kit.store_work import store_work
from streamferry.control.shared_calls import SharedCalls
from streamferry.store import Seal, Store
from streamferry.web.rate_limits import Kind, RateLimiter, Rates

RATE = 10
SECONDS = 10

pytestmark = pytest.mark.both_databases


class Services:
    """Some services on one store, whose seconds are the test's."""

    def __init__(self, store: Store, count: int) -> None:
        self._shared = [SharedCalls(store) for _ in range(count)]
        self._limiters = [RateLimiter(Rates(write=RATE), one, "api") for one in self._shared]
        self._began_at = self._shared[0]._counted_at

    async def calls(self, *tries: int) -> list[list[int]]:
        """Of each service, how many calls of one key were allowed in each second, of so many tries."""
        allowed: list[list[int]] = [[] for _ in tries]
        for second in range(SECONDS):
            for number, limiter in enumerate(self._limiters):
                times = [self._began_at + second + one / tries[number] for one in range(tries[number])]
                allowed[number].append(sum(limiter.take("AK", Kind.WRITE, at) for at in times))
            for one in self._shared:
                await one.tell(self._began_at + second + 1)
        return allowed


async def test_a_key_behind_two_services_did_twice_as_much(store: Store) -> None:
    """From the second second on both together allow what is set, and neither is left out."""
    first, second = await Services(store, 2).calls(40, 40)
    for both in itertools.islice(zip(first, second, strict=True), 2, None):
        assert sum(both) <= RATE + 1
        assert min(both) >= RATE // 2 - 1


@pytest.mark.parametrize(("beside", "least", "most"), [(0, RATE, RATE), (2, RATE - 3, RATE - 1)])
async def test_a_key_has_at_one_service_what_the_other_leaves(store: Store, beside: int, least: int, most: int) -> None:
    """All, where it calls that one alone."""
    first, second = await Services(store, 2).calls(40, beside)
    assert set(second) == {beside}
    assert all(least <= one <= most for one in first[2:])


async def test_what_nobody_calls_costs_the_store_nothing(store: Store) -> None:
    """A service that was called says once that it is not any more."""
    one = SharedCalls(store)
    limiter = RateLimiter(Rates(), one, "api")
    for takes, transactions in ((False, 0), (True, 1), (False, 1), (False, 0)):
        if takes:
            assert limiter.take("AK", Kind.LIST, 0.0)
        with store_work() as seen:
            await one.tell(one._counted_at + 1)
        assert seen.transactions == transactions


async def test_while_the_store_is_away_each_service_counts_for_itself(store: Store) -> None:
    """Its limit is its own, as for a service that is alone."""
    away = Store("postgresql://nobody@127.0.0.1:9/none", Seal(store.seal.reveal()))
    allowed = await Services(away, 1).calls(40)
    assert allowed[0][1:] == [RATE] * (SECONDS - 1)
    await away.aclose()
