"""Sessions and the keys they were begun with, over a real store."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from streamferry.control.actions import Actions
from streamferry.store import Store
from streamferry.store.records import KeyPair
from streamferry.web.dashboard import key_watch
from streamferry.web.dashboard.key_watch import watch_keys
from streamferry.web.dashboard.sessions import Session, Sessions


@pytest.fixture
async def sessions(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sessions]:
    """Sessions that are watched."""
    monkeypatch.setattr(key_watch, "LOOK_S", 0.02)
    sessions, stopping = Sessions(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch_keys(Actions(store), sessions, stopping))
        yield sessions
        stopping.set()


async def _begin(sessions: Sessions, key: KeyPair) -> Session:
    token = sessions.begin(key.access_key_id, can_write=not key.read_only, now=time.monotonic())
    found = sessions.find(token, time.monotonic())
    assert found is not None
    return found


async def _wait_ended(session: Session) -> None:
    async with asyncio.timeout(30):
        while session.is_live(time.monotonic()):  # noqa: ASYNC110 -- a flag
            await asyncio.sleep(0.01)


async def test_a_session_of_a_disabled_key_went_on(store: Store, sessions: Sessions) -> None:
    """It ends within moments, for pages that are open too; sessions of other keys stay."""
    actions = Actions(store)
    gone, kept = await actions.create_key(), await actions.create_key(read_only=True)
    ending, staying = await _begin(sessions, gone), await _begin(sessions, kept)
    await actions.disable_key(gone.access_key_id)
    await _wait_ended(ending)
    assert staying.is_live(time.monotonic())


async def test_a_session_outlived_the_secret_it_was_begun_with(store: Store, sessions: Sessions) -> None:
    """Who had the old secret has to show the new one."""
    actions = Actions(store)
    key = await actions.create_key()
    session, witness = await _begin(sessions, key), await _begin(sessions, await actions.create_key())
    # Until it has looked at them once.
    marker = await _begin(sessions, KeyPair("AKNOBODY", ""))
    await _wait_ended(marker)
    await actions.import_key(KeyPair(key.access_key_id, "another"))
    await _wait_ended(session)
    assert witness.is_live(time.monotonic())
