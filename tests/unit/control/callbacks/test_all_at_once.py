"""Several dispatchers, reports, changed addresses and replays at the same time on one store."""

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import Mapping

import pytest
import sqlalchemy as sa
from callback_office import Office

from streamferry.control.callbacks import dispatcher
from streamferry.control.callbacks.dispatcher import Dispatcher
from streamferry.control.callbacks.sender import Failure
from streamferry.media.url import MediaUrl
from streamferry.reasons import Reason
from streamferry.store import events
from streamferry.store.events import NewEvent
from streamferry.store.schema import run
from streamferry.web.compat.callback_body import serialize

pytestmark = pytest.mark.both_databases

SECONDS = 1.0


class UnreliableSender:
    """Every fifth attempt fails; what was tried is kept."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    async def send(self, url: MediaUrl, headers: Mapping[str, str], body: bytes) -> Failure | None:
        await asyncio.sleep(random.random() / 50)
        self.tried.append(headers["webhook-id"])
        return None if random.random() < 0.8 else Failure(Reason.text("answered 503"))


async def report(office: Office, made: list[str]) -> int:
    """Append as a worker's report does: the run rows are locked in order, the mailboxes as it comes."""
    some = sorted(random.sample(made, 5))
    async with office.store.write() as connection:
        locked = sa.select(run.c.task_id).where(run.c.task_id.in_(some)).order_by(run.c.task_id)
        await connection.execute(locked.with_for_update())
        random.shuffle(some)
        for part in (some[:3], some[3:]):
            await events.append(connection, [NewEvent(task_id, "streaming", 1) for task_id in part])
    return len(some)


async def test_nothing_is_lost_or_out_of_order(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes between: each callback is tried in the order of its task until it is taken; nobody deadlocks."""
    monkeypatch.setattr(dispatcher, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(dispatcher, "POLL_S", 0.05)
    sender, stopping = UnreliableSender(), asyncio.Event()
    made = [await office.task(f"http://calls.example/{number}") for number in range(8)]
    end = asyncio.get_running_loop().time() + SECONDS
    owed: list[int] = []

    async def reports() -> None:
        while asyncio.get_running_loop().time() < end:
            owed.append(await report(office, made))

    async def changes() -> None:
        for number in itertools.takewhile(lambda _: asyncio.get_running_loop().time() < end, itertools.count()):
            await office.change(random.choice(made), callback_url=f"http://calls.example/other/{number}")
            await office.callbacks.replay_dead()

    async with asyncio.TaskGroup() as dispatchers:
        for _ in range(3):
            dispatchers.create_task(Dispatcher(office.store, sender, serialize).run(stopping))  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as others:
            for _ in range(2):
                others.create_task(reports())
            others.create_task(changes())
        await office.until_none_wait(60)
        stopping.set()
    first_seen: dict[str, list[int]] = defaultdict(list)
    for event_id in dict.fromkeys(sender.tried):
        task_id, number = event_id.removeprefix("evt_").split("_")
        first_seen[task_id].append(int(number))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in first_seen.values())
    assert sum(map(len, first_seen.values())) == sum(owed)
