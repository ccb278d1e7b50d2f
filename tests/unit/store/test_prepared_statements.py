"""PostgreSQL parses and plans what the service asks again and again once a session, where the session is its own."""

import pytest
import sqlalchemy as sa

from streamferry.control.actions import Actions
from streamferry.store import Store

store_url = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)

_KEPT = sa.text("SELECT name, generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE :like")


@store_url
async def test_a_statement_is_prepared_once(store: Store) -> None:
    """Each call runs the one that the session has."""
    actions = Actions(store)
    for _ in range(5):
        await actions.list_keys()
    async with store.read() as connection:
        [(name, runs)] = (await connection.execute(_KEPT, {"like": "%FROM access_key ORDER BY%"})).all()
    assert (name.startswith("streamferry_"), runs) == (True, 5)


@store_url
async def test_a_session_keeps_so_many_statements(store: Store) -> None:
    """However many different ones are asked, those that were asked last stay: their memory is the server's."""
    async with store.read() as connection:
        for number in range(400):
            await connection.execute(sa.text(f"SELECT {number} AS some"))
        kept = (await connection.execute(_KEPT, {"like": "% AS some"})).all()
    assert 0 < len(kept) <= 150
