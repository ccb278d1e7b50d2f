"""What REST shows, over a real store."""

from datetime import UTC, datetime, timedelta

import pytest
from task_samples import PLANTED_KEY, make_spec

from kit.virtual_clock import VirtualClock
from streamferry.control.actions import Actions
from streamferry.media.url import MediaUrl
from streamferry.relay import State
from streamferry.store import Store, workers
from streamferry.store.events import NewEvent, append
from streamferry.tasks.errors import InvalidField, TaskNotFound, VersionConflict
from streamferry.tasks.model import SourceForm, TaskItem
from streamferry.web.reads import Reads
from streamferry.web.views import Status

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOW)


@pytest.fixture
def actions(store: Store, clock: VirtualClock) -> Actions:
    return Actions(store, clock, refuses_conflicts=False)


@pytest.fixture
def reads(actions: Actions) -> Reads:
    return Reads(actions)


@pytest.mark.both_databases
async def test_filters_by_status_are_the_status_that_is_shown(
    reads: Reads, actions: Actions, clock: VirtualClock
) -> None:
    """For every status the database finds exactly the tasks that show it, at each moment of a window."""
    start, end = NOW + timedelta(minutes=1), NOW + timedelta(minutes=9)
    kept = await actions.create_task(make_spec(start_at=start, end_at=end))
    stopped = await actions.create_task(make_spec(start_at=start, end_at=end))
    await actions.stop_task(stopped)
    for minutes, status in ((0, Status.NOT_STARTED), (1, Status.ACTIVE), (5, Status.ACTIVE), (9, Status.ENDED)):
        clock.set(NOW + timedelta(minutes=minutes))
        for one in Status:
            found = await reads.tasks(statuses=[one])
            wanted = {Status.DISABLED: {stopped}, status: {kept}}.get(one, set())
            assert {task.task_id for task in found.tasks} == wanted
            assert found.total == len(wanted)
            assert all(task.status is one for task in found.tasks)
        numbers = await reads.overview()
        assert (numbers.tasks, numbers.by_status[status], numbers.by_status[Status.DISABLED]) == (2, 1, 1)


@pytest.mark.both_databases
async def test_pages_are_filtered_by_state_title_and_group_together(reads: Reads, actions: Actions) -> None:
    """A page holds what passes all filters, newest first, and tells how many there are."""
    await actions.create_group("sport", "default")
    ids = [await actions.create_task(make_spec(title=f"Match{number}", group="sport")) for number in range(3)]
    await actions.create_task(make_spec(title="Match9"))
    page = await reads.tasks(title="match", groups=["sport"], states=[State.WAITING], page=2, size=2)
    assert [task.task_id for task in page.tasks] == ids[:1]
    assert page.total == 3
    assert (await reads.tasks(states=[State.STREAMING])).total == 0


async def test_a_task_shows_no_secret(reads: Reads, actions: Actions) -> None:
    """Stream key, query values and user info are in no read; a local file keeps its form."""
    task_id = await actions.create_task(
        make_spec(
            items=(
                TaskItem(MediaUrl.parse("https://me:planted-password@h.example/a.mp4?t=planted-token"), 1.5, 9),
                TaskItem(MediaUrl.parse("file:///media/a%20b.mp4")),
            ),
            callback_url="https://hook.example/x?planted=planted-query",
            source_form=SourceForm.RANGES,
        )
    )
    task = await reads.task(task_id)
    assert PLANTED_KEY not in task.model_dump_json()
    assert "planted-" not in task.model_dump_json()
    assert [one.url for one in task.sources] == ["https://***@h.example/a.mp4?***", "file:///media/a%20b.mp4"]
    assert task.destination == "rtmp://push.example/live/***"
    assert (task.sources[0].start_s, task.sources[0].end_s) == (1.5, 9)


@pytest.mark.both_databases
@pytest.mark.parametrize("task_id", ["", "no-id", "0" * 32, "x\0", "\ud800"])
async def test_what_is_no_id_is_no_task(reads: Reads, task_id: str) -> None:
    """Any text may be asked for."""
    with pytest.raises(TaskNotFound):
        await reads.task(task_id)


@pytest.mark.both_databases
async def test_events_are_read_by_cursor(reads: Reads, actions: Actions) -> None:
    """Page behind page gives every event once, in order; a task's own are those of all that are its."""
    first = await actions.create_task(make_spec())
    second = await actions.create_task(make_spec())
    await actions.stop_task(first)
    seen, after = [], 0
    while (page := await reads.events(after=after, limit=1)).events:
        seen += page.events
        after = page.next_after
    assert [(one.task_id, one.seq, one.kind) for one in seen] == [
        (first, 1, "created"),
        (second, 1, "created"),
        (first, 2, "disabled"),
        (first, 3, "stopped"),
    ]
    assert after == await reads.last_event()
    assert (await reads.events(first)).events == [seen[0], *seen[2:]]


@pytest.mark.both_databases
async def test_workers_are_listed_alive_or_gone(reads: Reads, store: Store) -> None:
    """A worker with a lease is alive and counts in the overview; one that left does not."""
    async with store.write() as connection:
        await workers.register(connection, "one", 10)
        await workers.register(connection, "two", 20)
        await workers.leave(connection, "two")
    found = {one.worker_id: one for one in (await reads.workers()).workers}
    assert (found["one"].is_alive, found["one"].capacity) == (True, 10)
    assert not found["two"].is_alive
    numbers = await reads.overview()
    assert (numbers.workers, numbers.capacity, numbers.room) == (1, 10, 10)


async def test_room_is_what_workers_can_take_beside_what_they_hold(
    reads: Reads, actions: Actions, store: Store
) -> None:
    """A task that nobody holds takes no room, whatever the state of its run; a worker that is gone gives none."""
    for _ in range(2):
        await actions.create_task(make_spec(start_at=NOW, end_at=NOW + timedelta(hours=1)))
    async with store.write() as connection:
        for name in ("one", "two"):
            await workers.register(connection, name, 10)
        await workers.renew(connection, "one", load=3, health=None)
        await workers.leave(connection, "two")
    assert (await reads.overview()).room == 7


async def test_usage_is_asked_for_in_allowed_ranges(reads: Reads) -> None:
    """The ranges are those of the compatible API."""
    assert (await reads.usage(NOW - timedelta(hours=2), NOW, step_s=3600)).buckets == []
    with pytest.raises(InvalidField, match="step_s"):
        await reads.usage(NOW - timedelta(hours=2), NOW, step_s=7)


async def test_an_update_of_another_version_is_refused(actions: Actions) -> None:
    """Who says which version was seen changes that one or nothing; the error tells the present one."""
    task_id = await actions.create_task(make_spec(title="a"))
    await actions.update_task(task_id, lambda _: make_spec(title="b"), expected_version=1)
    with pytest.raises(VersionConflict, match="version 2"):
        await actions.update_task(task_id, lambda _: make_spec(title="c"), expected_version=1)
    assert (await actions.get_task(task_id)).spec.title == "b"


@pytest.mark.both_databases
@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
async def test_who_follows_events_misses_none_that_is_committed_late(
    reads: Reads, actions: Actions, store: Store
) -> None:
    """An event with a smaller id that is not committed yet holds back those behind it."""
    slow, quick = await actions.create_task(make_spec()), await actions.create_task(make_spec())
    after = await reads.last_event()
    async with store.write() as connection:
        await append(connection, [NewEvent(slow, "updated", 0)])
        await actions.update_task(quick, lambda _: make_spec(title="b"))
        assert (await reads.events(after=after)).events == []
        assert await reads.last_event() == after
    found = (await reads.events(after=after)).events
    assert [one.task_id for one in found] == [slow, quick]
    assert found[0].id < found[1].id
