"""What is told of tasks whose worker says nothing any more, on SQLite and on PostgreSQL: not that they stream."""

import re

import pytest
import sqlalchemy as sa
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.control.store_ledger import StoreLedger
from streamferry.reasons import Reason
from streamferry.relay import RelayStatus, State
from streamferry.store import Store
from streamferry.store.schema import worker
from streamferry.web.compat import operations, schemas
from streamferry.web.dashboard.filters import FILTERS
from streamferry.web.metrics import Metrics
from streamferry.web.reads import Reads
from streamferry.worker import Report

pytestmark = pytest.mark.usefixtures("standing_clock")
STREAMING = RelayStatus(State.STREAMING, kbps_in=900, kbps_out=1000, media_time_ms=5000, bytes_out=5000)


class Watch:
    """A task that a worker streams, and all the places where that is told."""

    def __init__(self, store: Store, *, is_attached: bool, lease_s: float = 6.0) -> None:
        self.store = store
        self.actions = Actions(store)
        self.reads = Reads(self.actions)
        self.metrics = Metrics(self.actions, Callbacks(store), Pulse(store), of_each_task=True)
        self.ledger = StoreLedger(store, "one", capacity=1, is_attached=is_attached, lease_s=lease_s)

    async def begin(self, status: RelayStatus = STREAMING) -> None:
        self.task_id = await self.actions.create_task(make_spec())
        await self.ledger.register()
        await self.ledger.poll(0, 1)
        await self.tell(status)

    async def tell(self, status: RelayStatus = STREAMING) -> None:
        """Report."""
        await self.ledger.report([Report(self.task_id, 1, 1, status, (), {}, None, None)], 1, None)

    async def be_silent(self, ms: int) -> None:
        """Let as much time pass since the last report."""
        async with self.store.write() as connection:
            await connection.execute(worker.update().values(lease_ms=worker.c.lease_ms - ms))

    async def told(self) -> dict[str, object]:
        """The state of the task by each way of asking; and whether it is in trouble."""
        listed = await operations.OPERATIONS["ListPullToPushTask"].run(
            operations.Context(self.actions, address_rules()), schemas.ListTasks.model_validate({})
        )
        assert listed is not None
        by_state = [state for state in State if (await self.reads.tasks(states=[state])).total]
        overview = await self.reads.overview()
        page = (await self.metrics.render()).decode()
        task = await self.reads.task(self.task_id)
        (counted,) = [state for state, tasks in overview.by_state.items() if tasks]
        (filtered,) = by_state
        troubled = {
            "page": (await FILTERS["trouble"].page(self.reads)).total,
            "task": int(task.run.trouble is not None),
            "overview": overview.in_trouble,
            "metrics": int(_sample(page, "streamferry_tasks_in_trouble")),
            "metrics of the task": int(_sample(page, f'streamferry_task_in_trouble{{task="{self.task_id}"}}')),
        }
        rates = {
            "task": task.run.kbps_out,
            "overview": overview.kbps_out,
            "metrics": int(_sample(page, "streamferry_sent_kbps")),
            "metrics of the task": int(_sample(page, f'streamferry_task_sent_kbps{{task="{self.task_id}"}}')),
        }
        assert len(set(troubled.values())) == 1, troubled
        assert len(set(rates.values())) == 1, rates
        states = {
            "task": task.run.state,
            "list": (await self.reads.tasks()).tasks[0].run.state,
            "filter": filtered,
            "overview": counted,
            "compatible": State(listed["List"][0]["Run"]["State"]),
            "metrics": next(
                State(found[1]) for found in re.finditer(r'streamferry_tasks{state="(\w+)",status="active"} 1.0', page)
            ),
            "metrics of the task": State(_match(r'task_state{state="(\w+)"', page)),
        }
        assert len(set(states.values())) == 1, states
        return {"state": task.run.state, "troubled": troubled["page"], "kbps": rates["task"], "reason": task.run.reason}


def _match(pattern: str, page: str) -> str:
    found = re.search(pattern, page)
    assert found is not None
    return found[1]


def _sample(page: str, name: str) -> float:
    return float(_match(rf"^{re.escape(name)} (\S+)$".replace("^", "(?m:^)").replace("$", "(?m:$)"), page))


@pytest.mark.parametrize("is_attached", [False, True], ids=["alone", "attached"])
async def test_nobody_is_told_that_a_silent_workers_task_streams(store: Store, is_attached: bool) -> None:
    """By no way of asking, from 3 s after the worker's last report on, and until it reports again."""
    watch = Watch(store, is_attached=is_attached)
    await watch.begin()
    assert await watch.told() == {"state": State.STREAMING, "troubled": 0, "kbps": 1000, "reason": None}
    await watch.be_silent(7_000)
    found = await watch.told()
    reason = str(found.pop("reason"))
    assert found == {"state": State.STALLED, "troubled": 1, "kbps": 0}
    assert re.fullmatch(r"its worker has not been heard of for (\d+) s", reason)
    await watch.tell()
    assert await watch.told() == {"state": State.STREAMING, "troubled": 0, "kbps": 1000, "reason": None}


async def test_how_long_a_lease_is_says_nothing_of_silence(store: Store) -> None:
    """Leases of minutes are for outages of the store; what is told of a stream is not good for longer by them."""
    watch = Watch(store, is_attached=False, lease_s=300)
    await watch.begin()
    assert (await watch.told())["state"] is State.STREAMING
    await watch.be_silent(10_000)
    assert (await watch.told())["state"] is State.STALLED


async def test_what_does_not_claim_to_stream_is_told_as_it_was(store: Store) -> None:
    """That it retries, and why, is the last that anybody knows."""
    watch = Watch(store, is_attached=False)
    await watch.begin(RelayStatus(State.RETRYING, why=Reason.text("refused")))
    await watch.be_silent(7_000)
    assert (await watch.told())["state"] is State.RETRYING


async def test_a_clock_that_is_set_back_keeps_nothing_alive(store: Store) -> None:
    """A report of the future is one of before, until the next one."""
    watch = Watch(store, is_attached=False)
    await watch.begin()
    await watch.be_silent(-3_600_000)
    assert (await watch.told())["state"] is State.STALLED
    await watch.tell()
    assert (await watch.told())["state"] is State.STREAMING


async def test_silence_is_looked_up_once_and_not_for_each_task(store: Store) -> None:
    """A list of many tasks asks for the workers that are silent, of which there are few."""
    statements: list[str] = []
    engine = store._reader.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    watch = Watch(store, is_attached=False)
    await watch.begin()
    statements.clear()
    await watch.actions.count_tasks()
    (count,) = [one for one in statements if "count(" in one]
    assert "worker.id = run.worker_id" not in count
