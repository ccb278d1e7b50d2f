"""What is unreadable in the store, and the key it is unreadable without."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from task_samples import PLANTED_KEY, make_spec

from streamferry.control.actions import Actions
from streamferry.store import Seal, SealBroken, Store, load_or_make_key
from streamferry.store.schema import metadata


def test_a_sealed_text_opens_under_its_key_only() -> None:
    """Sealed twice it looks different; changed or under another key it does not open."""
    seal, other = (Seal(Fernet.generate_key().decode()) for _ in range(2))
    sealed = seal.seal("密钥")
    assert seal.open(sealed) == "密钥"
    assert seal.seal("密钥") != sealed
    for broken in (sealed[:-1], b"", b"x" + sealed[1:]):
        with pytest.raises(SealBroken):
            seal.open(broken)
    with pytest.raises(SealBroken):
        other.open(sealed)


def test_digests_are_equal_for_equal_texts_under_one_key() -> None:
    """And say nothing under another."""
    key = Fernet.generate_key().decode()
    assert Seal(key).digest("a") == Seal(key).digest("a") != Seal(key).digest("b")
    assert Seal(Fernet.generate_key().decode()).digest("a") != Seal(key).digest("a")


def test_a_malformed_key_is_refused_without_being_repeated() -> None:
    """With a sentence."""
    with pytest.raises(ValueError, match="32 bytes") as refused:
        Seal("planted-seal-key")
    assert "planted" not in str(refused.value)


def test_the_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    """However many ask for it at the same time."""
    path = tmp_path / "seal.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: load_or_make_key(path), range(8)))
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["seal.key"]
    Seal(keys.pop())


async def test_no_table_holds_a_secret_in_the_clear(store: Store) -> None:
    """Neither stream keys nor queries nor the secrets of access keys."""
    actions = Actions(store)
    await actions.create_task(make_spec(callback_url="http://calls.example/?k=planted-callback"))
    pair = await actions.create_key()
    async with store.read() as connection:
        rows = [
            bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
            for table in metadata.tables.values()
            for row in await connection.execute(sa.select(table))
            for value in row
        ]
    for secret in (PLANTED_KEY, "token=t", "planted-callback", pair.secret):
        assert not any(secret.encode() in value for value in rows)
