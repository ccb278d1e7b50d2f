"""What all actions share: the store, its clock, and one transaction for each change."""

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from streamferry.control.clock import Clock
from streamferry.store import Store, asks_again, calls
from streamferry.store.database import read_now_ms
from streamferry.tasks.signed_calls import SignedCall, current_call
from streamferry.tasks.times import from_ms, to_ms


class Transactions:
    """``clock`` replaces the store's."""

    def __init__(self, store: Store, clock: Clock | None = None) -> None:
        self._store = store
        self._seal = store.seal
        self._clock = clock

    @asks_again
    async def now(self) -> datetime:
        """The store's clock, by which tasks begin and end."""
        async with self._store.read() as connection:
            return from_ms(await self._now_ms(connection))

    async def _now_ms(self, connection: AsyncConnection) -> int:
        return to_ms(self._clock.now()) if self._clock else await read_now_ms(connection)

    @contextlib.asynccontextmanager
    async def _change(self, made: str | None = None) -> AsyncIterator[tuple[AsyncConnection, int]]:
        """A transaction that changes tasks or groups, and its time, for the signed call that asks for it.

        ``made``: the id of the task that it makes. Raises DoneBefore.
        """
        async with self._store.write() as connection:
            if (call := current_call()) is None:
                now_ms = await self._now_ms(connection)
            else:
                now_ms = await calls.claim(connection, call, made=made)
            yield connection, to_ms(self._clock.now()) if self._clock else now_ms

    async def keep_refusal(self, call: SignedCall, refusal: str) -> None:
        """Record the refusal of a signed call, for when it comes again. Raises DoneBefore if it has an answer."""
        async with self._store.write(is_durable=False) as connection:
            await calls.claim(connection, call, refusal=refusal)
