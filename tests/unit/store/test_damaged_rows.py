"""One row that cannot be opened, parsed or validated is one task's trouble, on SQLite and on PostgreSQL."""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from callback_office import Office
from cryptography.fernet import Fernet
from rest_api import make_rest, new_task
from signed_api import NO_LIMITS, make_api
from task_samples import make_spec

from kit.pictures import png
from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.pulse import Pulse
from streamferry.control.scheduler import Scheduler
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.url import MediaUrl
from streamferry.media.watermark import Watermark
from streamferry.relay import State
from streamferry.store import Seal, SealBroken, Store, events, sealing
from streamferry.store.dump import dump
from streamferry.store.events import NewEvent
from streamferry.store.schema import (
    access_key,
    callback_secret,
    delivery,
    event,
    mailbox,
    run,
    task_group,
    task_spec,
    usage,
    worker,
)
from streamferry.tasks.model import DeliveryState
from streamferry.web.compat.routes import ApiSettings
from streamferry.web.metrics import Metrics

Damage = Callable[[Store, str], Awaitable[None]]
_LEAST = -(2**31)


def _nested(depth: int) -> str:
    """JSON that a parser reads and nobody can write again."""
    return '{"a":' * depth + "1" + "}" * depth


def _rewritten(change: Callable[[dict[str, object]], object]) -> Damage:
    """The spec's JSON, changed and sealed again."""

    async def damage(store: Store, task_id: str) -> None:
        async with store.write() as connection:
            where = task_spec.c.task_id == task_id
            sealed = (await connection.execute(sa.select(task_spec.c.sealed_spec).where(where))).scalar_one()
            values = json.loads(store.seal.open(sealed))
            changed = change(values)
            text = changed if isinstance(changed, str) else json.dumps(values)
            await connection.execute(task_spec.update().where(where).values(sealed_spec=store.seal.seal(text)))

    return damage


def _set(table: sa.Table, column: str, value: object) -> Damage:
    async def damage(store: Store, task_id: str) -> None:
        async with store.write() as connection:
            await connection.execute(table.update().where(table.c.task_id == task_id).values({column: value}))

    return damage


#: What may stand where a spec is to be.
SPECS: dict[str, Damage] = {
    "spoiled": _set(task_spec, "sealed_spec", b"spoiled"),
    "empty": _set(task_spec, "sealed_spec", b""),
    "of another key": _set(task_spec, "sealed_spec", Fernet(Fernet.generate_key()).encrypt(b"{}")),
    "no JSON": _rewritten(lambda values: "{"),
    "deep JSON": _rewritten(lambda values: "[" * 100_000),
    "no object": _rewritten(lambda values: "[1]"),
    "unknown SourceForm": _rewritten(lambda values: values.update(source_form="SrcAddrs2031")),
    "unknown kind": _rewritten(lambda values: values.update(kind=7)),
    "unknown strategy": _rewritten(lambda values: values.update(continue_strategy=9)),
    "a field of a newer version": _rewritten(lambda values: values.update(colour="blue")),
    "a field that an older version had not": _rewritten(lambda values: values.pop("pre_download")),
    "a text for a number": _rewritten(lambda values: values.update(loops="many")),
    "no loops": _rewritten(lambda values: values.update(loops=0)),
    "no items": _rewritten(lambda values: values.update(items=[])),
    "an address that is none": _rewritten(lambda values: values.update(destination="rtmp://")),
    "a callback that is none": _rewritten(lambda values: values.update(callback_url="https://")),
    "an offset that is none": _rewritten(lambda values: values.update(items=[["http://a.example/a.mp4", -1, 0]])),
    "a watermark without its picture": _set(task_spec, "picture_digest", None),
    "a watermark whose picture was lost": _set(task_spec, "picture_digest", "0" * 64),
    "a watermark beside the video": _rewritten(lambda values: values.update(watermark=[5.0, 0.1, 0.1])),
}


async def make(store: Store, **values: object) -> str:
    destination = MediaUrl.parse(f"rtmp://push.example/live/{secrets.token_hex(8)}")
    return await Actions(store).create_task(make_spec(**{"destination": destination, **values}))


@contextlib.asynccontextmanager
async def a_worker(store: Store) -> AsyncIterator[StoreLedger]:
    ledger = StoreLedger(store, "worker-1", capacity=10)
    await ledger.register()
    yield ledger
    await ledger.leave()


@pytest.mark.parametrize("has_played", [True, False])
async def test_one_row_took_the_whole_fleet_down(store: Store, has_played: bool) -> None:
    """Each fails by itself with a way out; a task beside them is claimed, listed and run as if they were not there."""
    bad: dict[str, str] = {}
    for kind, damage in SPECS.items():
        mark = {"watermark": Watermark(png(), 0.1, 0.1, 0.1)} if "watermark" in kind else {}
        bad[kind] = await make(store, title="bad", loops=1, **mark)
        await damage(store, bad[kind])
    good = await make(store, title="good")
    if has_played:
        played_at = round((datetime.now(UTC) - timedelta(seconds=5)).timestamp() * 1000)
        for task_id in bad.values():
            await _set(run, "playhead_ms", played_at)(store, task_id)
    await Scheduler(store).run_once()
    async with a_worker(store) as ledger:
        await ledger.poll(0, 100)
        held = await ledger.assignments({})
        assigned = held[good]
        assert assigned is not None
        assert assigned.spec is not None
        for kind, task_id in bad.items():
            refused = held[task_id]
            assert refused is not None, kind
            assert refused.spec is None, kind
            assert "update it with all its fields, or delete it" in str(refused.problem), kind
        # It is told once for what it is, and asked no more as long as nothing changes.
        known = {one.task_id: (one.epoch, one.version) for one in held.values() if one is not None}
        assert set((await ledger.assignments(known)).values()) == {None}
    shown = {one.task_id: one for one in (await Actions(store).list_tasks(size=500)).records}
    assert shown[good].problem is None
    for kind, task_id in bad.items():
        one = shown[task_id]
        assert (one.state, one.fault, one.spec.title) == (State.FAILED, "service", "bad"), kind
        assert (await Actions(store).get_task(task_id)).problem == one.why, kind


async def test_every_front_end_answers_beside_a_row_that_cannot_be_read(store: Store) -> None:
    """Lists, one task, its request, its events, metrics and a backup; and the way out that is named there works."""
    bad, other, good = [await make(store, title=title) for title in ("bad", "other", "good")]
    for task_id in (bad, other):
        await SPECS["unknown SourceForm"](store, task_id)
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client, make_rest(store) as rest:
        found = {one["TaskId"]: one for one in (await api.call("ListPullToPushTask", {"Size": 500}))["List"]}
        assert found[bad]["Run"]["State"] == "failed"
        assert found[bad]["Run"]["Fault"] == "service"
        assert found[good]["SrcAddr"]
        listed = {one["task_id"]: one for one in (await rest.call("GET", "/tasks?size=500"))["tasks"]}
        assert listed[bad]["run"]["state"] == "failed"
        assert listed[bad]["run"]["reason"] == (await rest.call("GET", f"/tasks/{bad}"))["run"]["reason"]
        await rest.call("GET", f"/tasks/{bad}/request")
        await rest.call("GET", f"/tasks/{bad}/events")
        await rest.refusal(404, "GET", f"/tasks/{bad}/watermark")
        assert (
            "failed"
            in (await Metrics(rest.actions, Callbacks(store), Pulse(store), of_each_task=True).render()).decode()
        )
        assert len([line async for line in dump(store)]) > 5
        # What cannot be read can be stopped, but not be set going.
        await rest.call("POST", f"/tasks/{bad}/stop")
        for verb in ("continue", "relaunch"):
            assert "delete it" in (await rest.refusal(409, "POST", f"/tasks/{bad}/{verb}"))["message"]
        # A part of it mends nothing; what is shown of it is no address.
        whole = new_task(title="mended")
        assert (await rest.refusal(422, "PATCH", f"/tasks/{bad}", {"title": "x"}))["code"] == "invalid_field"
        shown_address = {**whole, "destination": listed[bad]["destination"]}
        assert "***" in (await rest.refusal(422, "PATCH", f"/tasks/{bad}", shown_address))["message"]
        mended = await rest.call("PATCH", f"/tasks/{bad}", whole)
        assert (mended["title"], mended["run"]["fault"]) == ("mended", None)
        await rest.call("POST", f"/tasks/{bad}/continue")
        await rest.call("DELETE", f"/tasks/{other}")
        await rest.refusal(404, "GET", f"/tasks/{other}")


async def test_a_place_in_a_list_that_is_none_is_its_beginning(store: Store) -> None:
    """A run row tells of the past: what is damaged in it costs the task its place, and nothing else."""
    ends = ("", "{", "[[", '{"a":1}', "[-1]", '["x"]', "[true")
    places = ((0, 0, 0), (-3, 0, 0), (0, 70, 5), (0, _LEAST, _LEAST))
    made = {await make(store): (text, place) for text in ends for place in places}
    for task_id, (text, place) in made.items():
        values = dict(zip(("loop", "item", "position_ms"), place, strict=True))
        for column, value in {**values, "item_ends": text, "playhead_ms": 1_000}.items():
            await _set(run, column, value)(store, task_id)
    await Scheduler(store).run_once()
    async with a_worker(store) as ledger:
        await ledger.poll(0, 100)
        held = await ledger.assignments({})
        for task_id in made:
            assigned = held[task_id]
            assert assigned is not None
            assert assigned.spec is not None
            playhead = assigned.spec.playhead
            assert min(playhead.loop, playhead.item, playhead.position_ms) >= 0
    async with make_rest(store) as rest:
        await rest.call("GET", "/tasks?size=500")


async def test_what_only_describes_may_be_damaged(store: Store) -> None:
    """Events, usage, groups, workers, callbacks and states of a newer version: each list answers."""
    task_id = await make(store, callback_url="http://calls.example/hook")
    async with store.write() as connection:
        await events.append(connection, [NewEvent(task_id, "streaming", 1)])
    async with a_worker(store) as ledger:
        await ledger.report([], 0, None)
    damages = [
        (event, {"detail": "{", "kind": "of-a-newer-version"}),
        (event, {"detail": "[1]", "at_ms": 2**62}),
        (delivery, {"detail": "{", "kind": "of-a-newer-one"}),
        (task_group, {"tags": "{"}),
        (task_group, {"tags": '[{"category": 1}, 3, {"category": "a", "key": "b", "value": "c"}]'}),
        (event, {"detail": _nested(400)}),
        (delivery, {"detail": _nested(400)}),
        (task_group, {"tags": f"[{_nested(400)}]"}),
        (worker, {"health": "{", "started_ms": 2**62}),
        (worker, {"health": '{"of": "a newer version"}'}),
        (worker, {"health": _nested(400)}),
        (run, {"state": "dancing", "fault": "the moon", "kbps_out": -5}),
        (run, {"trouble_ms": 2**62, "trouble_fault": "the moon", "trouble_reason": None, "trouble_tries": -1}),
    ]
    async with store.write() as connection:
        row = {"minute_ms": 0, "task_id": "", "group_name": "", "stream_digest": ""}
        await connection.execute(usage.insert(), {**row, "streamed_ms": -5, "bytes_out": -(2**60)})
    async with make_rest(store) as rest:
        for table, values in damages:
            async with store.write() as connection:
                await connection.execute(table.update().values(values))
            now = datetime.now(UTC)
            span = {"start_at": (now - timedelta(days=1)).isoformat(), "end_at": now.isoformat()}
            for path in ("/tasks", "/events", "/callbacks", "/groups", "/workers", f"/tasks/{task_id}", "/overview"):
                await rest.call("GET", path)
            await rest.call("GET", "/usage", params=span)
            await Metrics(rest.actions, Callbacks(store), Pulse(store), of_each_task=True).render()
        assert (await rest.call("GET", f"/tasks/{task_id}"))["run"]["state"] == "failed"


async def test_an_access_key_that_cannot_be_opened_is_no_key(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Who calls with it is refused as with a wrong one, the log says which it is, and the other keys are good."""
    actions = Actions(store)
    bad, good = await actions.create_key(), await actions.create_key()
    async with store.write() as connection:
        where = access_key.c.id == bad.access_key_id
        await connection.execute(access_key.update().where(where).values(sealed_secret=b"spoiled"))
    assert await actions.find_key(bad.access_key_id) is None
    assert bad.access_key_id in caplog.text
    assert bad.secret not in caplog.text
    assert await actions.find_key(good.access_key_id) == good
    assert len(await actions.list_keys()) == 2


@pytest.mark.parametrize("column", ["sealed_url", "detail"])
async def test_a_mailbox_that_cannot_be_read_ended_the_service(store: Store, column: str) -> None:
    """Its callbacks wait with a sentence that says why, and those of other tasks are sent."""
    office = Office(store)
    bad, good = [await office.task(f"http://127.0.0.1:9/{name}") for name in ("bad", "good")]
    for task_id in (bad, good):
        await office.happen(task_id, "streaming")
    table = mailbox if column == "sealed_url" else delivery
    await _set(table, column, b"spoiled" if column == "sealed_url" else "{")(store, bad)
    async with office.dispatcher():

        async def problems() -> dict[str, str | None]:
            page = await office.callbacks.list_deliveries(size=100)
            return {one.task_id: one.problem and str(one.problem) for one in page.records}

        while None in (told := await problems()).values():
            await office.until("an attempt", lambda: True)
    assert "cannot be read" in (told[bad] or "")
    assert "connect" in (told[good] or "").lower() or "refused" in (told[good] or "").lower()


async def test_a_signing_secret_that_cannot_be_opened_is_not_replaced_in_silence(store: Store) -> None:
    """Receivers check with it: callbacks wait, saying what to do, until somebody makes another one."""
    office = Office(store)
    task_id = await office.task("http://127.0.0.1:9/hook")
    await office.callbacks.secret()
    await office.happen(task_id, "streaming")
    async with store.write() as connection:
        await connection.execute(callback_secret.update().values(sealed_secret=b"spoiled"))
    async with office.dispatcher():
        while not (page := await office.callbacks.list_deliveries()).records[0].problem:
            await office.until("an attempt", lambda: True)
    assert "streamferry callbacks secret --replace" in str(page.records[0].problem)
    with pytest.raises(SealBroken, match="--replace"):
        await office.callbacks.secret()
    made = await office.callbacks.replace_secret()
    assert await office.callbacks.secret() == made
    assert (await office.callbacks.list_deliveries()).records[0].state is DeliveryState.WAITING


async def test_a_worker_whose_key_was_exchanged_fails_no_task(store: Store, store_url: str) -> None:
    """It is the worker that cannot read: it ends with a sentence, and takes nothing."""
    good = await make(store)
    async with store.write() as connection:
        await sealing.open_seal(connection, store.seal)
    stranger = Store(store_url, Seal(Fernet.generate_key().decode()))
    try:
        with pytest.raises(SealBroken, match="sealed under key"):
            await StoreLedger(stranger, "stranger", capacity=10).register()
        with pytest.raises(SealBroken, match="sealed under key"):
            await make(stranger)
        with pytest.raises(SealBroken, match="sealed under key"):
            await Actions(stranger).create_key()
    finally:
        await stranger.aclose()
    assert (await Actions(store).get_task(good)).state is State.WAITING
    assert await Actions(store).list_keys() == []
