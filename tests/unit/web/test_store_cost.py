"""What a call, a pass and a worker ask of the store: at most so many statements in so many transactions.

On PostgreSQL each is a round trip, and each transaction that writes waits for the disk. A statement more is no mistake,
but has to be somebody's decision.
"""

import time
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from rest_api import make_rest
from signed_api import NO_LIMITS, make_api
from sqlalchemy.sql.compiler import SQLCompiler
from task_samples import make_spec

from kit.store_work import store_work
from streamferry.control.actions import Actions
from streamferry.control.pulse import Pulse
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.relay.status import Playhead, RelayStatus, State
from streamferry.store import Store
from streamferry.store.schema import run, task
from streamferry.tasks.model import TaskKind
from streamferry.web.compat.routes import ApiSettings
from streamferry.worker import Change, Outcome, Report
from streamferry.worker.ledger import Usage

pytestmark = pytest.mark.both_databases

#: Action -> statements of it on PostgreSQL. On SQLite a destination needs no lock. What changes a task asks whether a
#: second worker is about to have it, which is told as well.
CALLS = {
    "CreatePullToPushTask": 9,
    "CreatePullToPushTask with a receiver": 10,
    "UpdatePullToPushTask": 12,
    "StopPullToPushTask": 8,
    "ContinuePullToPushTask": 10,
    "RelaunchPullToPushTask": 10,
    "ListPullToPushTask": 3,
    "DeletePullToPushTask": 10,
}


def live(**fields: object) -> dict[str, Any]:
    """The body of a new task, with a destination of its own."""
    now = int(time.time())
    window = {"StartTime": now + 600, "EndTime": now + 4200}
    key = f"key-{time.monotonic_ns()}"
    return {**window, "Type": 0, "SrcAddr": "http://s.example/a.flv", "DstAddr": f"rtmp://d.example/a/{key}", **fields}


async def test_the_statements_of_a_signed_call(store: Store) -> None:
    """The key is read in a transaction of its own, all else is one."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    asked: dict[str, int] = {}
    async with api.client:
        made = await api.call("CreatePullToPushTask", live())
        bodies: Mapping[str, Mapping[str, Any]] = {
            "CreatePullToPushTask": live(),
            "CreatePullToPushTask with a receiver": live(CallbackURL="https://c.example/x"),
            "UpdatePullToPushTask": {**made, "Title": "other"},
        }
        for name in CALLS:
            with store_work() as seen:
                await api.call(name.partition(" ")[0], bodies.get(name, {} if "List" in name else made))
            asked[name] = len(seen.statements)
            assert seen.transactions == 2, name
    locks = (0 if one in ("StopPullToPushTask", "ListPullToPushTask", "DeletePullToPushTask") else 1 for one in CALLS)
    without_locks = {name: count - lock for (name, count), lock in zip(CALLS.items(), locks, strict=True)}
    assert asked == (without_locks if store.is_file else CALLS)


async def test_a_call_compiled_statements_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of a signed call was compiled for each of them, which took longer than to insert it."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    compiled: list[object] = []
    real = SQLCompiler.__init__

    def compiling(self: SQLCompiler, *arguments: Any, **options: Any) -> None:
        compiled.append(arguments[1])
        real(self, *arguments, **options)

    async with api.client:
        for _ in range(2):
            compiled.clear()
            monkeypatch.setattr(SQLCompiler, "__init__", compiling)
            made = await api.call("CreatePullToPushTask", live())
            await api.call("UpdatePullToPushTask", {**made, "Title": "other"})
            for action in ("Stop", "Continue", "Relaunch", "Delete"):
                await api.call(f"{action}PullToPushTask", made)
            await api.call("ListPullToPushTask", {})
    assert compiled == []


async def test_the_statements_of_a_call_over_rest(store: Store) -> None:
    """What was made is read to be shown."""
    now = datetime.now(UTC)
    body = {
        "kind": "live",
        "sources": [{"url": "http://s.example/a.flv"}],
        "destination": "rtmp://d.example/a/rest",
        "start_at": (now + timedelta(minutes=5)).isoformat(),
        "end_at": (now + timedelta(minutes=50)).isoformat(),
    }
    async with make_rest(store) as rest:
        with store_work() as seen:
            made = await rest.client.post("/tasks", json=body)
        assert made.status_code == 201, made.text
        assert seen.counts == (9 if store.is_file else 10, 3)
        with store_work() as seen:
            await rest.client.get(f"/tasks/{made.json()['task_id']}")
        assert seen.counts == (2, 2)
        with store_work() as seen:
            await rest.client.get("/tasks")
        assert seen.counts == (4, 2)


class Asked:
    """Runs one thing after another, and notes what each asks of the store."""

    def __init__(self) -> None:
        self.counts: dict[str, tuple[int, int]] = {}

    async def note(self, what: str, call: Awaitable[Any]) -> Any:
        with store_work() as seen:
            answer = await call
        self.counts[what] = seen.counts
        return answer


async def test_the_statements_of_those_that_never_rest(store: Store) -> None:
    """However many tasks there are: scheduler, pulse and worker."""
    actions, scheduler, asked = Actions(store), Scheduler(store), Asked()
    ledger = StoreLedger(store, "one", capacity=10)
    await Pulse(store).beat()
    await ledger.register()
    await asked.note("a pass that looks for old rows", scheduler.run_once())
    for number in range(3):
        await actions.create_task(make_spec(destination=MediaUrl.parse(f"rtmp://p.example/a/{number}")))
    playing = RelayStatus(state=State.STREAMING, playhead=Playhead(0, 0, 500), media_time_ms=500)
    await asked.note("a pass without work", scheduler.run_once())
    await asked.note("a beat", Pulse(store).beat())
    await asked.note("a poll that takes three", ledger.poll(0, 10))
    await asked.note("a poll", ledger.poll(3, 7))
    held = await asked.note("reading what is new", ledger.assignments({}))
    known = {task_id: (one.epoch, one.version) for task_id, one in held.items()}
    await asked.note("reading what is known", ledger.assignments(known))

    def reports(changes: tuple[Change, ...] = (), usage: Usage | None = None) -> list[Report]:
        return [Report(task_id, *both, playing, changes, {}, usage, None) for task_id, both in known.items()]

    await asked.note("a report of changes", ledger.report(reports((Change(playing, 0.1),)), 3, None))
    await asked.note("a report of progress", ledger.report(reports(), 3, None))
    await asked.note("a report of usage", ledger.report(reports(usage=Usage(500, 1000)), 3, None))
    await asked.note("a report of nothing", ledger.report([], 3, None))
    async with store.write() as connection:
        await connection.execute(task.update().values(end_ms=task.c.start_ms + 10))
        await connection.execute(run.update().values(due_ms=1, worker_id=None))
    await asked.note("a pass that ends three", scheduler.run_once())
    async with store.read() as connection:
        assert set((await connection.execute(sa.select(run.c.state))).scalars()) == {State.ENDED.value}
    assert asked.counts == {
        "a pass that looks for old rows": (2, 2),
        "a pass without work": (1, 1),
        "a beat": (2, 1),
        "a poll that takes three": (7, 3),
        "a poll": (1, 1),
        "reading what is new": (2, 1),
        "reading what is known": (1, 1),
        "a report of changes": (7, 1),
        "a report of progress": (4, 1),
        "a report of usage": (6, 1),
        "a report of nothing": (1, 1),
        "a pass that ends three": (5, 2),
    }


async def test_a_report_was_a_statement_for_each_task(store: Store) -> None:
    """It takes as many for twenty tasks as for two, whatever there is to report."""
    actions, asked = Actions(store), Asked()
    ledger = StoreLedger(store, "one", capacity=100)
    await ledger.register()
    kinds = (TaskKind.LIVE, TaskKind.VOD)
    for number in range(20):
        to = MediaUrl.parse(f"rtmp://p.example/a/{number}")
        await actions.create_task(make_spec(destination=to, kind=kinds[number % 2]))
    await ledger.poll(0, 100)
    held = [one for one in (await ledger.assignments({})).values() if one is not None]
    held.sort(key=lambda one: one.spec is not None and one.spec.is_live)

    def reports(count: int, at_ms: int, **values: Any) -> list[Report]:
        some = held[: count // 2] + held[-count // 2 :]
        made = []
        for one in some:
            assert one.spec is not None
            playhead = None if one.spec.is_live else Playhead(1, 0, at_ms)
            status = RelayStatus(State.STREAMING, media_time_ms=at_ms, kbps_out=at_ms, playhead=playhead)
            given = {"changes": (Change(status, 0.1),), "item_ends_ms": {}, "usage": None, "outcome": None, **values}
            made.append(Report(one.task_id, one.epoch, one.version, status, **given))
        return made

    for count in (2, 20):
        much: dict[str, Any] = {"item_ends_ms": {0: 9_000}, "usage": Usage(500, 1000)}
        await asked.note(f"all of {count}", ledger.report(reports(count, 1_000 + count, **much), 20, None))
        moved = reports(count, 2_000 + count, changes=(), is_place=True)
        await asked.note(f"places of {count}", ledger.report(moved, 20, None))
    assert asked.counts["all of 20"] == asked.counts["all of 2"] == (10, 1)
    assert asked.counts["places of 20"] == asked.counts["places of 2"] == (4, 1)
    async with store.read() as connection:
        of_tasks = sa.select(run, task.c.source_digest).join(task, task.c.id == run.c.task_id)
        rows = (await connection.execute(of_tasks)).all()
    # The position is of the last report, the counters are of the one before.
    assert {one.kbps_out for one in rows} == {1_020}
    assert {(one.position_ms, one.loop) for one in rows if one.source_digest is None} == {(2_020, 1)}
    assert {(one.position_ms, one.playhead_ms) for one in rows if one.source_digest} == {(0, None)}
    assert {one.item_ends for one in rows} == {"[9000]"}
    back = [replace(one, outcome=Outcome.HANDED_BACK, is_place=False) for one in reports(20, 3_000, changes=())]
    await asked.note("handing back 4", ledger.report(back[:4], 16, None))
    await asked.note("handing back 16", ledger.report(back[4:], 0, None))
    assert asked.counts["handing back 4"] == asked.counts["handing back 16"]


async def test_the_tasks_of_a_lost_worker_were_a_statement_each(store: Store) -> None:
    """They wait for another one, so it is done while nothing streams."""
    actions, asked = Actions(store), Asked()
    for number in range(12):
        await actions.create_task(make_spec(destination=MediaUrl.parse(f"rtmp://p.example/a/{number}")))
    for worker_id, room in (("one", 2), ("two", 10)):
        ledger = StoreLedger(store, worker_id, capacity=20)
        await ledger.register()
        await ledger.poll(0, room)
        await asked.note(worker_id, ledger.leave())
        async with store.write() as connection:
            taken = await connection.execute(sa.select(run.c.due_ms).where(run.c.due_ms.is_(None)))
            assert taken.all() == []
    assert asked.counts["one"] == asked.counts["two"]
