"""Orders are followed once: noted before they are, by the worker that holds the task, and not once taken back."""

from datetime import UTC, datetime, timedelta

import pytest
from task_samples import make_spec

from streamferry.control.actions import Actions
from streamferry.control.address_rules import address_rules
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import Store
from streamferry.tasks.errors import InvalidField
from streamferry.tasks.inputs import InputSourceDraft
from streamferry.worker import Assignment

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
