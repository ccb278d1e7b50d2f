"""Sessions and failed sign-ins of several services on one store."""

import asyncio
import time

import pytest

from kit.store_work import store_work
from streamferry.control.actions import Actions
from streamferry.control.login_throttle import FREE_FAILURES, FREE_FAILURES_OF_PEER
from streamferry.control.sign_ins import MustWait, WrongKey
from streamferry.store import Store
from streamferry.web.dashboard.session_shelf import SessionShelf
from streamferry.web.dashboard.sessions import Sessions

PEER = "192.0.2.1"


async def test_a_session_holds_at_every_service(store: Store) -> None:
    """And after a restart: another process is another set of sessions. It may do there what it may do here."""
    actions = Actions(store)
    for is_read_only in (False, True):
        key = await actions.create_key(read_only=is_read_only)
        here, there = SessionShelf(store, Sessions()), SessionShelf(store, Sessions())
        token = await here.begin(key.access_key_id, can_write=not is_read_only)
        found = await there.find(token)
        assert found is not None
        assert (found.access_key_id, found.can_write) == (key.access_key_id, not is_read_only)
        assert found.is_live(time.monotonic())
        assert await there.find(token) is found


async def test_a_sign_out_ends_it_everywhere(store: Store) -> None:
    """Open pages of another service, too, at its next look."""
    key = await Actions(store).create_key()
    here, there = SessionShelf(store, Sessions()), SessionShelf(store, Sessions())
    token, other = [await here.begin(key.access_key_id, can_write=True) for _ in range(2)]
    open_page, kept = await there.find(token), await there.find(other)
    assert open_page is not None
    assert kept is not None
    await here.end(token)
    assert await here.find(token) is None
    await there.follow()
    assert open_page.is_ended
    assert await there.find(token) is None
    assert not kept.is_ended


async def test_a_page_and_its_files_are_one_session(store: Store) -> None:
    """A browser asks for several things at once of a service that has just started; a sign-out ends what each got."""
    key = await Actions(store).create_key()
    here, there = SessionShelf(store, Sessions()), SessionShelf(store, Sessions())
    token = await here.begin(key.access_key_id, can_write=True)
    found = await asyncio.gather(*(there.find(token) for _ in range(4)))
    await here.end(token)
    await there.follow()
    assert [one is None or one.is_ended for one in found] == [True] * 4
    assert None not in found


@pytest.mark.parametrize("change", ["disabled", "another secret"])
async def test_a_session_ends_with_its_key(store: Store, change: str) -> None:
    """Whichever service began it."""
    actions = Actions(store)
    key = await actions.create_key()
    here, there = SessionShelf(store, Sessions()), SessionShelf(store, Sessions())
    token = await here.begin(key.access_key_id, can_write=True)
    if change == "disabled":
        await actions.disable_key(key.access_key_id)
    else:
        await actions.import_key(type(key)(key.access_key_id, "another-secret"))
    assert await there.find(token) is None
    await here.follow()
    assert await here.find(token) is None


async def test_what_no_service_signed_is_not_looked_up(store: Store) -> None:
    """A stranger's cookie costs the store nothing, whatever is in it."""
    key = await Actions(store).create_key()
    token = await SessionShelf(store, Sessions()).begin(key.access_key_id, can_write=True)
    shelf = SessionShelf(store, Sessions())
    with store_work() as seen:
        for guess in ("", ".", token[:-1], token + "0", "x" + token, "\udcff." + token, token.partition(".")[0]):
            assert await shelf.find(guess) is None
    assert seen.counts == (0, 0)


async def _guess(actions: Actions, key_id: str, peer: str = PEER) -> type[Exception] | None:
    try:
        await actions.sign_ins.by_secret(key_id, "wrong", "rest", peer=peer, request_id="r", now=time.monotonic())
    except (WrongKey, MustWait) as error:
        return type(error)
    return None


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_guesses_at_two_services_are_counted_together(store: Store) -> None:
    """Turning to the other one gives no further guesses; a sign-in at one ends the wait at both."""
    services = [Actions(store), Actions(store)]
    key = await services[0].create_key()
    found = [await _guess(services[number % 2], key.access_key_id) for number in range(FREE_FAILURES + 5)]
    assert found == [WrongKey] * (FREE_FAILURES + 1) + [MustWait] * 4
    # A new one, after a restart, knows it, too.
    assert await _guess(Actions(store), key.access_key_id) is MustWait
    assert await _guess(services[0], key.access_key_id, "198.51.100.7") is WrongKey


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_a_sign_in_forgives_at_both_services(store: Store) -> None:
    """Whoever mistyped it a few times begins anew."""
    one, other = Actions(store), Actions(store)
    key = await one.create_key()
    asked = {"peer": PEER, "request_id": "r", "now": time.monotonic()}
    for _ in range(FREE_FAILURES):
        assert await _guess(one, key.access_key_id) is WrongKey
    await other.sign_ins.by_secret(key.access_key_id, key.secret, "rest", **asked)  # type: ignore[arg-type]
    for _ in range(FREE_FAILURES):
        assert await _guess(one, key.access_key_id) is WrongKey


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_made_up_names_are_counted_by_peer_at_both(store: Store) -> None:
    """They buy no further guesses."""
    services = [Actions(store), Actions(store)]
    found = [await _guess(services[number % 2], f"AK{number}") for number in range(FREE_FAILURES_OF_PEER + 3)]
    assert found[-2:] == [MustWait] * 2
    assert set(found[:FREE_FAILURES_OF_PEER]) == {WrongKey}
