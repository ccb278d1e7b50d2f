"""Orders are followed once: noted before they are, by the worker that holds the task, and not once taken back."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.control.store_ledger import StoreLedger
from streamferry.reasons import Code, Reason
from streamferry.relay import RelayStatus, State
from streamferry.relay.eyes.judge import ContentFault
from streamferry.relay.status import Found, OnAir, Shown
from streamferry.store import Store
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.worker import Assignment, Report

pytestmark = pytest.mark.both_databases
FILM = InputSourceDraft("https://h.example/x.mp4")


async def given(ledger: StoreLedger, task_id: str) -> Assignment:
    """The task as its worker gets it."""
    assignment = (await ledger.assignments({}))[task_id]
    assert assignment is not None
    return assignment


async def test_an_order_is_followed_once_or_taken_back(store: Store) -> None:
    """By one worker of all; a worker that does not know the latest version is to read that first."""
    actions, rules = Actions(store), address_rules()
    now = datetime.now(UTC)
    task_id = await actions.create_task(make_spec(start_at=now - timedelta(minutes=1), end_at=now + timedelta(hours=1)))
    first, second = (StoreLedger(store, name, capacity=10) for name in ("first", "second"))
    for ledger in (first, second):
        await ledger.register()
    await first.poll(0, 10)
    for _ in range(3):
        await actions.insert_file(task_id, FILM, None, rules)
    seen = await given(first, task_id)
    assert seen.spec is not None
    assert [order.number for order in seen.spec.orders] == [1, 2, 3]

    async def claim(ledger: StoreLedger, number: int, version: int = seen.version) -> bool | None:
        return await ledger.claim_order(task_id, epoch=seen.epoch, version=version, number=number)

    assert await claim(second, 1) is False
    assert await claim(first, 1) is True
    assert await claim(first, 1) is False
    with pytest.raises(InvalidField):
        await actions.cancel_insert(task_id, 1)
    await actions.cancel_insert(task_id, 2)
    assert await claim(first, 2) is None
    after = await given(first, task_id)
    assert after.spec is not None
    assert [order.number for order in after.spec.orders] == [3]
    assert await claim(first, 3, after.version) is True

    # The next worker gets none of them again, and numbers go on.
    await first.leave()
    await second.poll(0, 10)
    await actions.insert_file(task_id, FILM, None, rules)
    again = await given(second, task_id)
    assert again.spec is not None
    assert [order.number for order in again.spec.orders] == [4]


@pytest.mark.parametrize("ahead_s", [60.0, -60.0])
async def test_a_file_to_be_inserted_now_was_late_or_forgotten_where_the_clocks_differ(
    store: Store, ahead_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine whose clock is a minute behind it began a minute later, and one ahead left it out as too old."""
    actions, ledger = Actions(store), StoreLedger(store, "one", capacity=10)
    now = datetime.now(UTC)
    task_id = await actions.create_task(make_spec(start_at=now - timedelta(minutes=1), end_at=now + timedelta(hours=1)))
    await ledger.register()
    await ledger.poll(0, 10)
    machines_time = time.time
    monkeypatch.setattr(time, "time", lambda: machines_time() + ahead_s)
    before = time.time()
    await actions.insert_file(task_id, FILM, None, address_rules())
    seen = await given(ledger, task_id)
    assert seen.spec is not None
    (order,) = seen.spec.orders
    # But for how long the answers took, and the millisecond to which the store tells the time.
    assert abs(order.at - before) <= time.time() - before + 0.001


async def test_what_was_on_air_was_told_to_be_so_since_a_moment_that_had_not_come(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the clock of its worker, which is a minute ahead, and not by that of the store."""
    actions, ledger = Actions(store), StoreLedger(store, "one", capacity=10)
    now = datetime.now(UTC)
    task_id = await actions.create_task(make_spec(start_at=now - timedelta(minutes=1), end_at=now + timedelta(hours=1)))
    await ledger.register()
    await ledger.poll(0, 10)
    machines_time, minute = time.time, timedelta(minutes=1)
    monkeypatch.setattr(time, "time", lambda: machines_time() + 60.0)
    seen, why = await given(ledger, task_id), Reason.of(Code.ON_AIR_FIRST)
    on_air, found = OnAir(Shown.INPUT, now + minute, why, 0), Found(ContentFault.BLACK, now + minute, why)
    status = RelayStatus(State.STREAMING, media_time_ms=9, on_air=on_air, found=(found,))
    await ledger.report([Report(task_id, seen.epoch, seen.version, status, (), {}, None, None)], 1, None)
    told = await actions.get_task(task_id)
    assert told.on_air is not None
    for since in (told.on_air.since, told.found[0].since):
        assert abs(since - now) < minute / 2


async def test_clocks_that_agree_are_not_told_apart_by_how_long_an_answer_takes(store: Store) -> None:
    """A file for a moment comes at that moment."""
    actions, ledger = Actions(store), StoreLedger(store, "one", capacity=10)
    now = datetime.now(UTC)
    task_id = await actions.create_task(make_spec(start_at=now - timedelta(minutes=1), end_at=now + timedelta(hours=1)))
    await ledger.register()
    await ledger.poll(0, 10)
    at = datetime.fromtimestamp(int(now.timestamp()) + 600, UTC)
    await actions.insert_file(task_id, FILM, at, address_rules())
    seen = await given(ledger, task_id)
    assert seen.spec is not None
    assert [round(order.at, 2) for order in seen.spec.orders] == [at.timestamp()]
