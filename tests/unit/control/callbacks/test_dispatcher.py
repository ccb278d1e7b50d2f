"""Callbacks from the store to real receivers: in order, at least once, and none held up by another."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from callback_office import TOKEN, Office
from standardwebhooks import Webhook

from kit.callback_receiver import Answer, CallbackReceiver
from kit.waiting import PATIENCE_S
from streamferry.control.callbacks import dispatcher
from streamferry.control.callbacks.dispatcher import (
    FIRST_PAUSE_S,
    LEASE_MS,
    LONGEST_PAUSE_S,
    PLACES_OF_HOST,
    decide_pause_ms,
)
from streamferry.control.callbacks.sender import FAILURES, REFUSALS
from streamferry.reasons import Reason
from streamferry.store import mailboxes
from streamferry.store.host_places import HostPlaces
from streamferry.store.retention import Retention, has_old, prune
from streamferry.store.schema import delivery, mailbox
from streamferry.tasks.errors import DeliveryNotFound, WrongState
from streamferry.tasks.model import DeliveryState
from streamferry.web.compat.callback_body import CallbackBody

DAY_S = 24 * 3600
STORY = ("starting", "streaming", "stalled", "retrying", "streaming", "ended")


async def test_what_happens_is_told_in_order_and_signed(office: Office, receiver: CallbackReceiver) -> None:
    """Each body is what the schema says, its signature verifies, and the numbers count from 1."""
    task_id = await office.task(receiver.url(f"/hook?token={TOKEN}"), title="晚会")
    await office.happen(task_id, *STORY)
    async with office.dispatcher():
        await office.until("last", lambda: len(receiver.received) == len(STORY))
    assert receiver.events == list(STORY)
    verifier = Webhook(await office.callbacks.secret())
    for number, one in enumerate(receiver.received, 1):
        verifier.verify(one.body, one.headers)
        body = CallbackBody.model_validate(one.json)
        assert (body.EventId, body.Sequence) == (one.headers["webhook-id"], number)
        assert (body.TaskId, body.Title, body.Status, body.Final) == (task_id, "晚会", "生效中", False)
        assert one.target == f"/hook?token={TOKEN}"
    assert set((await office.states(task_id)).values()) == {"delivered"}


async def test_bookkeeping_is_not_told(office: Office, receiver: CallbackReceiver) -> None:
    """Claims, updates and states on the way to another are events, but no callbacks."""
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "claimed", "updated", "waiting", "connecting", "preparing", "enabled")
    assert await office.states(task_id) == {}
    await office.happen(task_id, "lost", fault="service", reason="its worker is gone")
    async with office.dispatcher():
        await office.until("callback", lambda: receiver.received)
    told = receiver.received[0].json
    assert (told["Event"], told["Fault"], told["Reason"]) == ("retrying", "service", "its worker is gone")


@pytest.mark.both_databases
async def test_an_error_is_tried_again_under_the_same_id_and_holds_back_what_follows(
    office: Office, receiver: CallbackReceiver
) -> None:
    """500, then taken: both attempts have one id and one body; the second callback comes after it."""
    receiver.answers.append(Answer(500))
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting", "streaming")
    async with office.dispatcher():
        await office.until("attempt", lambda: receiver.received)
        while (await office.due_in_s(task_id) or 99) > FIRST_PAUSE_S:  # noqa: ASYNC110 -- the store
            await asyncio.sleep(0.01)
        await office.shift(FIRST_PAUSE_S)
        await office.until("rest", lambda: len(receiver.received) == 3)
        await office.until_none_wait()
    assert receiver.events == ["starting", "starting", "streaming"]
    first, again, _ = receiver.received
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    assert first.body == again.body
    records = (await office.callbacks.list_deliveries(task_id=task_id)).records
    assert [(one.number, one.attempts) for one in records] == [(2, 1), (1, 2)]


def test_pauses_grow_to_half_an_hour() -> None:
    """About sixty attempts in a day, spread by a quarter to both sides."""
    pauses = [decide_pause_ms(failures, 0.5) / 1000 for failures in range(1, 100)]
    assert pauses[:4] == [5, 10, 20, 40]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S
    attempts = next(count for count in range(100) if sum(pauses[:count]) > DAY_S)
    assert 50 <= attempts <= 70
    assert (decide_pause_ms(1, 0.0), decide_pause_ms(1, 1.0)) == (3750, 6250)
    assert decide_pause_ms(10**6, 0.5) == LONGEST_PAUSE_S * 1000


async def claim_as(office: Office, holder: str) -> list[mailboxes.Claim]:
    """All that is due."""
    async with office.store.write() as connection:
        return await mailboxes.claim(
            connection, office.store.seal, holder, limit=9, lease_ms=LEASE_MS, places=HostPlaces(9, 9)
        )


async def attempt(office: Office, problem: str | None = "answered 500") -> mailboxes.Attempt:
    """Claim the one mailbox that is due, and settle it."""
    (claim,) = await claim_as(office, "one")
    pause_ms = decide_pause_ms(claim.failures + 1, 0.5)
    made = mailboxes.Attempt(claim.record.task_id, claim.record.number, problem and Reason.text(problem), pause_ms)
    async with office.store.write() as connection:
        assert (await mailboxes.settle(connection, "one", [made]))[0] == []
    return made


async def test_after_a_day_all_that_waited_for_it_is_given_up(office: Office) -> None:
    """Not one day after the other: what came later than the day before is still tried."""
    task_id = await office.task(f"http://calls.example/?t={TOKEN}")
    await office.happen(task_id, "starting", "streaming")
    passed_s, attempts = 0.0, 0
    while set((await office.states(task_id)).values()) == {"waiting"}:
        pause_s = (await attempt(office)).pause_ms / 1000
        await office.shift(pause_s)
        passed_s += pause_s
        attempts += 1
        if attempts == 20:
            await office.happen(task_id, "stalled")
        assert attempts < 100
    assert await office.states(task_id) == {1: "dead", 2: "dead", 3: "waiting"}
    assert DAY_S <= passed_s <= DAY_S + 2 * LONGEST_PAUSE_S
    records = (await office.callbacks.list_deliveries(state=DeliveryState.DEAD)).records
    assert [(one.number, one.attempts, one.problem and str(one.problem)) for one in records] == [
        (2, 0, "answered 500"),
        (1, attempts, "answered 500"),
    ]
    await attempt(office, None)
    assert (await office.states(task_id))[3] == "delivered"


@pytest.mark.both_databases
async def test_dead_letters_are_replayed_in_order(office: Office, receiver: CallbackReceiver) -> None:
    """All at once or one by its id, each for another day; one that waits is not."""
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting", "streaming")
    await office.shift(DAY_S)
    await attempt(office)
    assert await office.states(task_id) == {1: "dead", 2: "dead"}
    await office.happen(task_id, "ended")
    assert await office.callbacks.replay_dead() == 2
    with pytest.raises(WrongState):
        await office.callbacks.replay(f"evt_{task_id}_1")
    with pytest.raises(DeliveryNotFound):
        await office.callbacks.replay(f"evt_{task_id}_9")
    async with office.dispatcher():
        await office.until_none_wait()
        assert receiver.events == ["starting", "streaming", "ended"]
        await office.callbacks.replay(f"evt_{task_id}_2")
        await office.until_none_wait()
    assert receiver.events[3:] == ["streaming"]
    assert receiver.received[1].body == receiver.received[3].body


@pytest.mark.both_databases
async def test_dead_letters_can_be_dropped(office: Office) -> None:
    """At once; else they are forgotten after a month."""
    task_id = await office.task("http://calls.example/")
    await office.happen(task_id, "starting")
    await office.shift(DAY_S)
    await attempt(office)
    assert await office.callbacks.drop_dead(task_id) == 1
    assert await office.states(task_id) == {}


@pytest.mark.both_databases
async def test_a_crash_between_sending_and_writing_down_sends_again(office: Office, receiver: CallbackReceiver) -> None:
    """Under the same id, once the claim is given up, and before what follows."""
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting", "streaming")
    (claim,) = await claim_as(office, "dead")
    assert claim.record.number == 1
    # Who died has sent it; nobody else touches it as long as the claim holds.
    assert await claim_as(office, "other") == []
    async with office.dispatcher():
        await office.shift(LEASE_MS / 1000)
        await office.until("both", lambda: len(receiver.received) == 2)
    assert receiver.received[0].headers["webhook-id"] == claim.record.event_id
    # What the dead one would still say of a claim that it has lost changes nothing.
    await office.happen(task_id, "ended")
    async with office.store.write() as connection:
        late = mailboxes.Attempt(task_id, 1, Reason.text("answered 500"), 5000)
        assert await mailboxes.settle(connection, "dead", [late]) == ([], 0)
    assert await office.states(task_id) == {1: "delivered", 2: "delivered", 3: "waiting"}
    assert (await office.due_in_s(task_id) or 0) <= 0


@pytest.mark.both_databases
async def test_couriers_of_several_services_send_nothing_twice(office: Office, receiver: CallbackReceiver) -> None:
    """Three of them on one store: each callback comes once, each task's in order."""
    made = [await office.task(receiver.url()) for _ in range(8)]
    for task_id in made:
        await office.happen(task_id, *STORY)
    async with office.dispatcher(), office.dispatcher(), office.dispatcher():
        await office.until_none_wait()
    assert len(receiver.received) == len(made) * len(STORY)
    for task_id in made:
        assert [one.json["Event"] for one in receiver.received if one.json["TaskId"] == task_id] == list(STORY)


async def crowd(office: Office, address: str) -> None:
    """Far more tasks with something to tell than a host has places."""
    for _ in range(PLACES_OF_HOST * 3):
        await office.happen(await office.task(address), "starting")


@pytest.mark.both_databases
async def test_a_dead_receiver_holds_up_nobody_else(
    office: Office, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it has all its places taken, and more wait for them, another's callbacks come at once."""
    monkeypatch.setattr(dispatcher, "_LEAVE_S", 0.1)
    with CallbackReceiver(Answer(manner="silent")) as dead:
        await crowd(office, dead.url())
        async with office.dispatcher(send_s=60):
            await office.until("places taken", lambda: len(dead.received) == PLACES_OF_HOST)
            task_id = await office.task(receiver.url())
            await office.happen(task_id, *STORY)
            await office.until("story", lambda: len(receiver.received) == len(STORY))
            assert len(dead.received) == PLACES_OF_HOST


@pytest.mark.both_databases
async def test_an_address_that_has_failed_gets_a_single_place(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it has taken something: so a hundred dead ones do not take all places."""
    monkeypatch.setattr(dispatcher, "_LEAVE_S", 0.1)
    with CallbackReceiver(Answer(manner="silent")) as dead:
        await crowd(office, dead.url())
        async with office.dispatcher(send_s=1):
            await office.until("next", lambda: len(dead.received) > PLACES_OF_HOST)
            assert len(dead.received) == PLACES_OF_HOST + 1


@pytest.mark.both_databases
async def test_a_path_that_fails_held_up_the_other_paths_of_its_host(
    office: Office, receiver: CallbackReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three callbacks of a good path waited for a slow one, and for one that says 429, ten seconds each."""
    monkeypatch.setattr(dispatcher, "_LEAVE_S", 0.1)
    receiver.at = {"/slow": Answer(manner="silent"), "/busy": Answer(429, retry_after="20")}
    for path in ("/slow", "/busy"):
        for _ in range(PLACES_OF_HOST):
            await office.happen(await office.task(receiver.url(path)), "starting")
    async with office.dispatcher(send_s=1):
        await office.until(
            "second attempt at the slow path",
            lambda: sum(one.target == "/slow" for one in list(receiver.received)) > PLACES_OF_HOST - 1,
        )
        # From here on it has failed; that its one place is taken all the time holds up nobody else.
        good = await office.task(receiver.url("/good"))
        await office.happen(good, *STORY)
        before, began = len(receiver.received), time.monotonic()
        await office.until("story", lambda: sum(one.target == "/good" for one in list(receiver.received)) == len(STORY))
        slow = [one for one in receiver.received[before:] if one.target == "/slow"]
        # One place takes a second a time.
        assert len(slow) <= PLACES_OF_HOST + time.monotonic() - began
    assert set((await office.states(good)).values()) == {"delivered"}


async def attempts_until_given_up(office: Office, receiver: CallbackReceiver, number: int, task_id: str) -> int:
    """Let a dispatcher try one callback until it is given up, without waiting for the pauses."""
    tried, state = 0, DeliveryState.WAITING
    async with asyncio.timeout(PATIENCE_S):
        while state is DeliveryState.WAITING:
            # Until an attempt is settled: before, the time at which it is due is that of its lease.
            delivery = await office.callbacks.get_delivery(f"evt_{task_id}_{number}")
            state = delivery.state
            if delivery.attempts > tried:
                tried = delivery.attempts
                await office.shift(LONGEST_PAUSE_S)
            await asyncio.sleep(0.01)
    return sum(one.json["Sequence"] == number for one in list(receiver.received))


@pytest.mark.parametrize(
    ("answer", "attempts"), [(Answer(400), REFUSALS), (Answer(302, location="/"), REFUSALS), (Answer(500), FAILURES)]
)
async def test_a_refused_callback_held_up_what_followed_for_a_day(
    office: Office, receiver: CallbackReceiver, answer: Answer, attempts: int
) -> None:
    """It is given up alone after some attempts, and the next one is sent; it can be sent again by hand."""
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting", "streaming")
    receiver.answers.extend([answer] * attempts)
    async with office.dispatcher():
        assert await attempts_until_given_up(office, receiver, 1, task_id) == attempts
        await office.until_none_wait()
    assert await office.states(task_id) == {1: "dead", 2: "delivered"}
    record = await office.callbacks.get_delivery(f"evt_{task_id}_1")
    assert f"answered {answer.status}" in str(record.problem)
    assert await office.callbacks.replay_dead(task_id) == 1
    async with office.dispatcher():
        await office.until_none_wait()
    assert set((await office.states(task_id)).values()) == {"delivered"}


async def test_a_receiver_without_time_is_no_refusal(office: Office, receiver: CallbackReceiver) -> None:
    """However often it says so; nor do its time-outs count when it then refuses something once."""
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting")
    receiver.answers.extend([Answer(503)] * (FAILURES + 2) + [Answer(404)])
    async with office.dispatcher():
        for number in range(len(receiver.answers)):
            await office.until("attempt", lambda number=number: len(receiver.received) > number)  # type: ignore[misc]
            # Until it is settled: before, the time at which it is due is that of its lease.
            while (await office.callbacks.get_delivery(f"evt_{task_id}_1")).attempts <= number:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await office.shift(LONGEST_PAUSE_S)
        await office.until_none_wait()
    assert await office.states(task_id) == {1: "delivered"}


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(office: Office, receiver: CallbackReceiver, status: int) -> None:
    """The next attempt comes no sooner than the receiver says."""
    receiver.answers.append(Answer(status, retry_after="1200"))
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting")
    async with office.dispatcher():
        await office.until("attempt", lambda: receiver.received)
        while (await office.due_in_s(task_id) or 0) < 1100:  # noqa: ASYNC110 -- the store
            await asyncio.sleep(0.01)
        await office.shift(1150)
        assert 0 < (await office.due_in_s(task_id) or 0) <= 50
        await office.shift(50)
        await office.until_none_wait()
    assert len(receiver.received) == 2


@pytest.mark.both_databases
async def test_an_address_that_is_gone_gets_nothing_more(office: Office, receiver: CallbackReceiver) -> None:
    """After one 410: what waited is given up with the reason, what follows is not owed, until somebody acts."""
    receiver.answers.append(Answer(410))
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting", "streaming")
    async with office.dispatcher():
        await office.until_none_wait()
        await office.happen(task_id, "stalled")
        assert await office.states(task_id) == {1: "dead", 2: "dead"}
        record = await office.callbacks.get_delivery(f"evt_{task_id}_2")
        assert "answered 410" in str(record.problem)
        assert len(receiver.received) == 1
        await office.change(task_id, title="again")
        await office.happen(task_id, "streaming")
        await office.until_none_wait()
        assert await office.states(task_id) == {1: "dead", 2: "dead", 3: "delivered"}
        receiver.answers.append(Answer(410))
        await office.happen(task_id, "stalled")
        await office.until_none_wait()
        assert await office.callbacks.replay_dead(task_id) == 3
        await office.until_none_wait()
        await office.happen(task_id, "ended")
        await office.until_none_wait()
    assert set((await office.states(task_id)).values()) == {"delivered"}


async def test_a_task_says_that_its_callbacks_are_not_taken(office: Office, receiver: CallbackReceiver) -> None:
    """As a fact of the task, in lists and by itself: it was told nowhere but among its callbacks."""

    async def facts() -> list[tuple[int, bool]]:
        records = [await office.actions.get_task(task_id), *(await office.actions.list_tasks()).records]
        return [(one.callback_failures, one.callbacks_ended) for one in records]

    receiver.answers.append(Answer(500))
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting")
    assert await facts() == [(0, False)] * 2
    async with office.dispatcher():
        await office.until("attempt", lambda: len(receiver.received) == 1)
        while await facts() != [(1, False)] * 2:  # noqa: ASYNC110 -- the store
            await asyncio.sleep(0.01)
        await office.shift(60)
        await office.until_none_wait()
        assert await facts() == [(0, False)] * 2
        receiver.answers.append(Answer(410))
        await office.happen(task_id, "streaming")
        await office.until_none_wait()
    assert await facts() == [(1, True)] * 2


@pytest.mark.both_databases
async def test_dead_letters_were_kept_for_ever(office: Office) -> None:
    """They are forgotten after the days of the settings, with the mailbox of a deleted task; what waits never is."""
    task_id, kept = await office.task("http://calls.example/"), await office.task("http://calls.example/kept")
    await office.happen(task_id, "starting")
    await office.shift(DAY_S)
    await attempt(office)
    await office.happen(kept, "starting")
    await office.actions.delete_task(task_id)
    async with office.store.write() as connection:
        await connection.execute(delivery.delete().where(delivery.c.task_id == task_id, delivery.c.number == 2))
    await office.shift(31 * DAY_S)
    async with office.store.write() as connection:
        assert await has_old(connection, Retention())
        assert not await has_old(connection, Retention(dead_callbacks_days=40))
        await prune(connection, Retention())
        left = (await connection.execute(sa.select(mailbox.c.task_id))).scalars().all()
    assert await office.states(task_id) == {}
    assert await office.states(kept) == {1: "waiting"}
    assert list(left) == [kept]


@pytest.mark.both_databases
async def test_another_address_gets_what_waits_and_none_gets_nothing(
    office: Office, receiver: CallbackReceiver
) -> None:
    """At once, without the pauses of the old one; taken away, what waits is dropped and what follows not owed."""
    moved = await office.task("http://127.0.0.1:9/hook")
    cleared = await office.task("http://127.0.0.1:9/hook")
    for task_id in (moved, cleared):
        await office.happen(task_id, "starting")
    async with office.dispatcher():
        while ((await office.callbacks.get_delivery(f"evt_{cleared}_1")).attempts) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await office.change(moved, callback_url=receiver.url(), title="new")
        await office.change(cleared, callback_url="")
        await office.happen(cleared, "streaming")
        await office.until_none_wait()
    assert [(one.json["TaskId"], one.json["Title"]) for one in receiver.received] == [(moved, "")]
    assert await office.states(cleared) == {}
    await office.change(cleared, callback_url=receiver.url())
    await office.happen(cleared, "stalled")
    assert await office.states(cleared) == {2: "waiting"}


async def test_a_deleted_task_still_tells_its_end(office: Office, receiver: CallbackReceiver) -> None:
    """Although the task and its address are gone when the callback is sent."""
    task_id = await office.task(receiver.url(), title="gone")
    await office.happen(task_id, "streaming")
    await office.actions.delete_task(task_id)
    async with office.dispatcher():
        await office.until("end", lambda: len(receiver.received) == 2)
    told = receiver.received[1].json
    assert (told["Event"], told["Title"], told["Final"]) == ("deleted", "gone", True)


async def test_stopping_a_task_that_nobody_runs_is_told(office: Office, receiver: CallbackReceiver) -> None:
    """There is no run to tell it."""
    task_id = await office.task(receiver.url())
    await office.actions.stop_task(task_id)
    async with office.dispatcher():
        await office.until("end", lambda: receiver.received)
    told = receiver.received[0].json
    assert (told["Event"], told["State"], told["Status"], told["Final"]) == ("stopped", "stopped", "停用", True)


async def test_a_replaced_secret_is_signed_with_for_a_day(office: Office, receiver: CallbackReceiver) -> None:
    """Receivers that know either verify what comes meanwhile; the first start makes one."""
    old = await office.callbacks.secret()
    assert await office.callbacks.secret() == old
    new = await office.callbacks.replace_secret()
    assert new != old
    task_id = await office.task(receiver.url())
    await office.happen(task_id, "starting")
    async with office.dispatcher():
        await office.until("callback", lambda: receiver.received)
    (one,) = receiver.received
    for secret in (old, new):
        Webhook(secret).verify(one.body, one.headers)
    assert abs(int(one.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 10


async def test_leaving_writes_down_what_was_sent(office: Office, receiver: CallbackReceiver) -> None:
    """A dispatcher that is told to stop lets what is under way end."""
    task_id = await office.task(receiver.url())
    async with office.dispatcher():
        await office.happen(task_id, "starting")
        await office.until("callback", lambda: receiver.received)
    assert await office.states(task_id) == {1: "delivered"}
