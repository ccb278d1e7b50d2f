"""Whose clock tasks go by: the store's, on SQLite and on PostgreSQL, however wrong that of the service is."""

from datetime import UTC, datetime, timedelta

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.control.clock import SystemClock
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import Store
from streamferry.tasks.draft import SourceDraft, TaskDraft
from streamferry.tasks.model import ApiStatus, TaskKind
from streamferry.web.compat import operations, schemas
from streamferry.web.reads import Reads
from streamferry.web.views import Status
from streamferry.web.writes import Verb, Writes

pytestmark = pytest.mark.both_databases

PUSH = "rtmp://push.example/live/"
SOURCE = "rtmp://live.example/live/in"


@pytest.fixture(params=[-7200, 7200], ids=["behind", "ahead"], autouse=True)
def wrong_s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The machine's clock is wrong by two hours, which is longer than the windows below."""
    by_s: int = request.param
    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + timedelta(seconds=by_s))
    return by_s


async def test_a_window_is_judged_by_the_stores_clock(store: Store) -> None:
    """By either API a task whose window is open can be made, is due at once, and each read says that it is active."""
    actions = Actions(store)
    reads, writes = Reads(actions), Writes(actions, address_rules())
    now = datetime.now(UTC).replace(microsecond=0)
    window = {"start_at": now - timedelta(minutes=1), "end_at": now + timedelta(hours=1)}
    made = await writes.create_task(
        TaskDraft(kind=TaskKind.LIVE, sources=[SourceDraft(SOURCE)], destination=PUSH + "a", **window)
    )
    asked = schemas.CreateTask.model_validate(
        {
            "Type": 0,
            "SrcAddr": SOURCE,
            "DstAddr": PUSH + "b",
            "StartTime": int(window["start_at"].timestamp()),
            "EndTime": int(window["end_at"].timestamp()),
        }
    )
    answer = await operations.OPERATIONS["CreatePullToPushTask"].run(
        operations.Context(actions, address_rules()), asked
    )
    assert answer is not None
    for task_id in (made.task_id, answer["TaskId"]):
        assert (await reads.task(task_id)).status is Status.ACTIVE
        assert abs((await actions.get_task(task_id)).created_at - now) < timedelta(minutes=1)
    ledger = StoreLedger(store, "one", capacity=10)
    await ledger.register()
    await ledger.poll(0, 10)
    assert len(await ledger.assignments({})) == 2
    assert {one.status for one in await actions.count_tasks()} == {ApiStatus.ACTIVE}
    assert (await reads.tasks(statuses=[Status.ACTIVE])).total == 2


async def test_what_may_be_asked_for_is_what_is_shown(store: Store) -> None:
    """A running task can be stopped, continued and changed, and each event has the store's time."""
    actions = Actions(store)
    writes = Writes(actions, address_rules())
    task_id = await actions.create_task(make_spec())
    assert (await writes.ask_task(task_id, Verb.STOP)).status is Status.DISABLED
    assert (await writes.ask_task(task_id, Verb.CONTINUE)).status is Status.ACTIVE
    assert (await writes.update_task(task_id, TaskDraft(title="changed"))).status is Status.ACTIVE
    for one in await actions.list_feed(task_id):
        assert abs(one.at - datetime.now(UTC)) < timedelta(minutes=1), one.kind
