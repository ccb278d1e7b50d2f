"""The doors: guesses at once, at several doors, by links that were never made, and from many peers."""

import asyncio

import pytest

from streamferry.control.actions import Actions
from streamferry.control.login_throttle import FREE_FAILURES, FREE_FAILURES_OF_NAME, LoginThrottle
from streamferry.control.sign_ins import NOTED_AGAIN_S, MustWait, WrongKey
from streamferry.store import Store

PEER = "192.0.2.1"
# The order of what is awaited is under test, not the store.
pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def refusals(results: list[object], kind: type[Exception]) -> int:
    """How many were refused so."""
    return sum(isinstance(one, kind) for one in results)


async def test_guesses_at_once_escaped_the_brake(store: Store) -> None:
    """Each was let through before the first one was counted; and each door had free guesses of its own."""
    actions = Actions(store)
    key = await actions.create_key()
    doors = ("rest", "dashboard")
    tries = (
        actions.sign_ins.by_secret(key.access_key_id, f"guess-{n}", doors[n % 2], peer=PEER, request_id="r", now=100.0)
        for n in range(40)
    )
    results: list[object] = list(await asyncio.gather(*tries, return_exceptions=True))
    assert (refusals(results, WrongKey), refusals(results, MustWait)) == (FREE_FAILURES + 1, 39 - FREE_FAILURES)


async def test_many_who_have_the_secret_get_in_at_once(store: Store) -> None:
    """None of them is taken for a failure while its key is looked up."""
    actions = Actions(store)
    key = await actions.create_key()
    tries = (
        actions.sign_ins.by_secret(key.access_key_id, key.secret, "rest", peer=PEER, request_id="r", now=100.0)
        for _ in range(40)
    )
    assert await asyncio.gather(*tries) == [key] * 40


async def test_links_that_were_never_made_had_no_brake(store: Store) -> None:
    """Each asked the store and wrote a line; then the peer waits, and who has a secret does not."""
    actions = Actions(store)
    key = await actions.create_key()
    tries = (
        actions.sign_ins.by_link(lambda: None, "dashboard", peer=PEER, request_id="r", now=100.0) for _ in range(40)
    )
    results: list[object] = list(await asyncio.gather(*tries, return_exceptions=True))
    assert refusals(results, WrongKey) == FREE_FAILURES + 1
    failed = [one for one in await actions.list_audit() if one.kind == "sign_in_failed"]
    assert len(failed) == FREE_FAILURES + 1
    assert await actions.sign_ins.by_secret(
        key.access_key_id, key.secret, "dashboard", peer=PEER, request_id="r", now=100.0
    )


async def test_many_peers_had_as_many_guesses_of_one_key(store_url: str) -> None:
    """Beyond a number each one more makes all wait a second, but for who got in from the same peer before."""
    throttle = LoginThrottle()
    throttle.forgive(PEER, "AK")
    for number in range(FREE_FAILURES_OF_NAME):
        throttle.fail(f"10.0.{number // 250}.{number % 250}", "AK", 0.0)
    assert throttle.wait_s("198.51.100.1", "AK", 0.0) == 0.0
    throttle.fail("198.51.100.1", "AK", 0.0)
    assert throttle.wait_s("198.51.100.2", "AK", 0.0) == 1.0
    assert throttle.wait_s("198.51.100.2", "another", 0.0) == 0.0
    assert throttle.wait_s("198.51.100.2", "AK", 1.0) == 0.0
    assert throttle.wait_s(PEER, "AK", 0.0) == 0.0


async def test_each_call_of_a_script_left_a_line(store: Store) -> None:
    """A key from one peer at one door leaves one an hour; another door or peer leaves its own."""
    actions = Actions(store)
    key = await actions.create_key()

    async def sign_in(door: str, peer: str, now: float) -> None:
        await actions.sign_ins.by_secret(key.access_key_id, key.secret, door, peer=peer, request_id="r", now=now)

    for number in range(5):
        await sign_in("rest", PEER, 100.0 + number)
    await sign_in("dashboard", PEER, 110.0)
    await sign_in("rest", "192.0.2.2", 110.0)
    await sign_in("rest", PEER, 100.0 + NOTED_AGAIN_S)
    lines = [(one.peer, one.detail["door"]) for one in await actions.list_audit() if one.kind == "signed_in"]
    assert sorted(lines) == [(PEER, "dashboard"), (PEER, "rest"), (PEER, "rest"), ("192.0.2.2", "rest")]
