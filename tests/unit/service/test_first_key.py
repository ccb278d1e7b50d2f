"""The access key of the settings, at each start of the service."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from streamferry.config import load_settings
from streamferry.control.actions import Actions
from streamferry.service.assembly import ensure_first_key
from streamferry.store import Seal, Store, migrate, sqlite_url


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


async def test_the_first_secret_went_to_the_log(tmp_path: Path, actions: Actions) -> None:
    """It is in a file for the owner of the data folder only; what is no terminal is only told where."""
    settings = load_settings(data_dir=tmp_path)
    made = await ensure_first_key(settings, actions)
    assert made is not None
    file = tmp_path / "first-access-key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() == f"access key id      {made.access_key_id}\nsecret access key  {made.secret}\n"
    assert await actions.find_key(made.access_key_id) == made
    assert await ensure_first_key(settings, actions) is None


async def test_a_first_key_that_cannot_be_kept_is_not_made(tmp_path: Path, actions: Actions) -> None:
    """Else nobody could ever get in."""
    settings = load_settings(data_dir=tmp_path / "is-not-there")
    with pytest.raises(OSError, match="No such file"):
        await ensure_first_key(settings, actions)
    assert await actions.list_keys() == []
