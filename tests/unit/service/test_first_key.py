"""The access key of the settings, at each start of the service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from streamferry.config import load_settings
from streamferry.control.actions import Actions
from streamferry.control.store import Seal, Store, migrate, sqlite_url
from streamferry.service.serve import ensure_first_key


@pytest.fixture
async def actions(tmp_path: Path) -> AsyncIterator[Actions]:
    """Over an empty store."""
    store = Store(sqlite_url(tmp_path / "store.db"), Seal(Fernet.generate_key().decode()))
    await migrate(store)
    yield Actions(store)
    await store.aclose()


async def test_the_key_of_the_settings_is_taken_over(actions: Actions) -> None:
    """With the secret that they hold at each start."""
    for secret in ("first", "second"):
        settings = load_settings(access_key_id="AKOURS", secret_access_key=secret)
        assert await ensure_first_key(settings, actions) is None
        known = await actions.find_key("AKOURS")
        assert known is not None
        assert known.secret == secret


async def test_a_disabled_key_came_back_at_the_next_start(actions: Actions) -> None:
    """Who disabled a key that leaked can rely on it, though the settings still name it; it cannot be used."""
    settings = load_settings(access_key_id="AKOURS", secret_access_key="leaked")
    await ensure_first_key(settings, actions)
    await actions.disable_key("AKOURS")
    assert await ensure_first_key(settings, actions) is None
    assert await actions.find_key("AKOURS") is None
