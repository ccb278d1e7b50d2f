"""A store whose tasks have receivers, and dispatchers that work when they are told to."""

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa
from task_samples import make_spec

from kit.waiting import PATIENCE_S
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.callbacks.dispatcher import Dispatcher
from streamferry.control.callbacks.sender import Sender
from streamferry.media.url import MediaUrl
from streamferry.store import Store, events
from streamferry.store.database import now_ms
from streamferry.store.events import NewEvent
from streamferry.store.schema import delivery, mailbox
from streamferry.tasks.model import DeliveryState, TaskSpec
from streamferry.tasks.times import to_ms
from streamferry.web.compat.callback_body import serialize

TOKEN = "planted-callback-token"


class Office:
    """A store with a few short words for what the tests do with it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.actions = Actions(store)
        self.callbacks = Callbacks(store)

    async def task(self, callback_url: str, **values: object) -> str:
        """A task with that receiver."""
        destination = MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(8)}")
        return await self.actions.create_task(
            make_spec(**{"destination": destination, "callback_url": callback_url, **values})
        )

    async def change(self, task_id: str, **values: object) -> None:
        """An update."""

        def revise(spec: TaskSpec) -> TaskSpec:
            return replace(spec, **values)  # type: ignore[arg-type]

        await self.actions.update_task(task_id, revise)

    async def happen(self, task_id: str, *kinds: str, **detail: object) -> None:
        """Events of the task, each in a transaction of its own."""
        for kind in kinds:
            async with self.store.write() as connection:
                await events.append(connection, [NewEvent(task_id, kind, to_ms(datetime.now(UTC)), detail)])

    async def shift(self, by_s: float) -> None:
        """Make time pass: all that is timed is that much longer ago."""
        by_ms = round(by_s * 1000)
        async with self.store.write() as connection:
            await connection.execute(mailbox.update().values(due_ms=mailbox.c.due_ms - by_ms))
            times = {name: delivery.c[name] - by_ms for name in ("owed_ms", "settled_ms")}
            await connection.execute(delivery.update().values(times))

    async def states(self, task_id: str) -> dict[int, str]:
        """State of each callback of a task."""
        page = await self.callbacks.list_deliveries(task_id=task_id, size=1000)
        return {one.number: one.state.value for one in page.records}

    async def until(self, what: str, is_true: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Wait in the event loop, while dispatchers work."""
        try:
            async with asyncio.timeout(seconds):
                while not is_true():  # noqa: ASYNC110 -- a thread
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"no {what} within {seconds} s") from None

    async def until_none_wait(self, seconds: float = PATIENCE_S) -> None:
        """Until everything was delivered or given up."""
        async with asyncio.timeout(seconds):
            while (await self.callbacks.list_deliveries(state=DeliveryState.WAITING)).total:  # noqa: ASYNC110 -- the store
                # Each look costs as much as a delivery.
                await asyncio.sleep(0.05)

    async def due_in_s(self, task_id: str) -> float | None:
        """When its mailbox is tried next."""
        query = sa.select(mailbox.c.due_ms - now_ms()).where(mailbox.c.task_id == task_id)
        async with self.store.read() as connection:
            due_ms = (await connection.execute(query)).scalar_one()
        return None if due_ms is None else due_ms / 1000

    @contextlib.asynccontextmanager
    async def dispatcher(self, send_s: float = 2.0) -> AsyncIterator[Dispatcher]:
        """One that works for as long as the block."""
        stopping = asyncio.Event()
        async with Sender(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), allow=None, send_s=send_s) as sender:
            dispatcher = Dispatcher(self.store, sender, serialize, chance=lambda: 0.5)
            async with asyncio.TaskGroup() as group:
                group.create_task(dispatcher.run(stopping), name="dispatcher")
                try:
                    yield dispatcher
                finally:
                    stopping.set()
