"""Who did it: each event names it, and keys, secrets and sign-ins leave lines that outlive events."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from rest_api import PLANTED, Rest
from signed_api import KEY, NO_LIMITS, make_api

from streamferry.control.actions import Actions
from streamferry.control.callbacks import Callbacks
from streamferry.control.scheduler import Scheduler
from streamferry.control.sign_ins import FailureLines, WrongKey
from streamferry.control.store_ledger import StoreLedger
from streamferry.store import Store, retention
from streamferry.store.dump import dump
from streamferry.store.retention import Retention
from streamferry.store.schema import audit, event, task
from streamferry.tasks.actor import Actor, ActorKind, acting_as
from streamferry.web.compat.routes import ApiSettings


@pytest.mark.both_databases
async def test_events_say_who_caused_them(store: Store, rest: Rest) -> None:
    """A key by either API with the request's name, a worker, the schedule; a stranger's header names nothing."""
    answer = await rest.client.post("/tasks", json=_soon(), headers={"X-Request-Id": "a-strangers"})
    made, named = answer.json()["task_id"], answer.headers["x-request-id"]
    assert answer.status_code == 201
    assert named != "a-strangers"
    ledger = StoreLedger(store, "worker-1", capacity=10)
    await ledger.register()
    await ledger.poll(0, 10)
    await ledger.leave()
    async with store.write() as connection:
        await connection.execute(task.update().values(end_ms=task.c.start_ms - 3_600_000))
    await _run_scheduler(store)
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        body = b'{"TaskId": "%s"}' % made.encode()
        told = (await api.raw("DeletePullToPushTask", body)).json()["ResponseMetadata"]["RequestId"]
    found = {one["kind"]: (one["actor"], one["request_id"]) for one in await rest.call("GET", f"/tasks/{made}/events")}
    assert found["created"] == (f"key:{rest.key.access_key_id}", named)
    assert found["claimed"] == ("worker:worker-1", None)
    assert found["lost"] == ("worker:worker-1", None)
    assert found["ended"] == ("schedule", None)
    assert found["deleted"] == (f"key:{KEY.access_key_id}", told)


@pytest.mark.both_databases
async def test_the_audit_stream_tells_of_keys_secrets_and_sign_ins(store: Store, rest: Rest) -> None:
    """With who, from where and by which request; newest first, by pages, and never with a secret."""
    actions = rest.actions
    with acting_as(Actor(ActorKind.COMMAND, "root")):
        made = await actions.create_key(read_only=True)
        await actions.import_key(made)
        await actions.disable_key(made.access_key_id)
        await Callbacks(store).replace_secret()
    wrong = {"access_key_id": "AK\u202e" + "x" * 500, "secret_access_key": PLANTED}
    refused = await rest.client.post("/tokens", json={**wrong, "access_key_id": wrong["access_key_id"][:100]})
    assert refused.status_code == 401
    lines = (await rest.call("GET", "/audit"))["lines"]
    newest = lines[0]
    assert (newest["kind"], newest["actor"], newest["peer"]) == ("sign_in_failed", "nobody", "127.0.0.1")
    assert newest["request_id"] == refused.headers["x-request-id"]
    assert newest["subject"] == ""
    told = [(one["kind"], one["actor"], one["subject"]) for one in reversed(lines[1:5])]
    assert told == [
        ("key_made", "command:root", made.access_key_id),
        ("key_replaced", "command:root", made.access_key_id),
        ("key_disabled", "command:root", made.access_key_id),
        ("callback_secret_replaced", "command:root", ""),
    ]
    signed_in = lines[5]
    assert (signed_in["kind"], signed_in["actor"]) == ("signed_in", f"key:{rest.key.access_key_id}")
    assert signed_in["detail"] == {"door": "rest"}
    first = await rest.call("GET", "/audit?limit=2")
    second = await rest.call("GET", f"/audit?limit=100&before={first['next_before']}")
    assert [one["id"] for one in first["lines"] + second["lines"]] == [one["id"] for one in lines]
    assert second["next_before"] is None
    assert not any(secret in str(lines) for secret in (PLANTED, rest.key.secret, made.secret))
    assert any(['"table":"audit"' in line async for line in dump(store)])


@pytest.mark.both_databases
async def test_a_key_that_may_only_read_does_not_see_who_let_whom_in(rest: Rest) -> None:
    """Ids of keys and addresses of people are for who may write."""
    reader = {"authorization": f"Bearer {await rest.token(rest.reader)}"}
    assert (await rest.refusal(403, "GET", "/audit", headers=reader))["code"] == "read_only"
    await rest.call("GET", "/tasks", headers=reader)


async def test_every_answer_names_its_request(rest: Rest) -> None:
    """A refusal too, each by another name."""
    answers = [await rest.client.get(path) for path in ("/tasks", "/nowhere", "/tasks/0", "/openapi.json")]
    answers.append(await rest.client.get("/tasks", headers={"authorization": ""}))
    names = [one.headers.get_list("x-request-id") for one in answers]
    assert all(len(one) == 1 for one in names)
    assert len({one[0] for one in names}) == len(names)


@pytest.mark.both_databases
async def test_the_audit_stream_outlives_events(store: Store, rest: Rest) -> None:
    """It has days of its own."""
    await rest.create()
    old_ms = round((datetime.now(UTC) - timedelta(days=100)).timestamp() * 1000)
    async with store.write() as connection:
        for table in (event, audit):
            await connection.execute(table.update().values(at_ms=old_ms))
    for keep, left in ((Retention(events_days=30, audit_days=366), True), (Retention(audit_days=99), False)):
        async with store.write() as connection:
            await retention.prune(connection, keep)
        assert bool((await rest.call("GET", "/audit"))["lines"]) is left
    assert (await rest.call("GET", "/events"))["events"] == []


def test_strangers_cannot_fill_the_audit_stream() -> None:
    """So many lines a minute; the next one says how many were left out."""
    lines = FailureLines(3)
    peers = [f"192.0.2.{number}" for number in range(5)]
    assert [lines.admits(peer, 100.0) for peer in peers] == [True, True, True, False, False]
    assert lines.admits(peers[0], 161.0)
    assert (lines.tell_untold(), lines.tell_untold()) == (2, 0)


def test_one_stranger_blinded_the_audit_stream() -> None:
    """With its own failures it used up the lines of all others; an IPv6 network is one stranger."""
    lines = FailureLines()
    assert sum(lines.admits(f"2001:db8::{number:x}", 100.0) for number in range(1_000)) == 5
    assert lines.admits("192.0.2.1", 100.0)


async def _fail(rest: Rest, name: str, peer: str = "192.0.2.1", in_s: float = 0) -> None:
    now = monotonic() + in_s
    with pytest.raises(WrongKey):
        await rest.actions.sign_ins.by_secret(name, PLANTED, "dashboard", peer=peer, request_id="r", now=now)


async def test_untold_failures_are_counted(rest: Rest) -> None:
    """In the line that follows them."""
    rest.actions.sign_ins._failure_lines = FailureLines(1)
    for _ in range(3):
        await _fail(rest, "AKX")
    await _fail(rest, "AKX", in_s=61)
    line = (await rest.call("GET", "/audit"))["lines"][0]
    assert line["detail"] == {"door": "dashboard", "untold": 2}


@pytest.mark.parametrize("typed", [PLANTED, "AK\0", "", "\u202e"])
async def test_a_secret_that_was_typed_in_the_wrong_field_was_kept(rest: Rest, typed: str) -> None:
    """A failed line names a key that there is, also one that is disabled, and nothing else that was typed."""
    await rest.actions.disable_key(rest.reader.access_key_id)
    for name in (rest.key.access_key_id, rest.reader.access_key_id, typed):
        await _fail(rest, name)
    lines = (await rest.call("GET", "/audit"))["lines"]
    assert [one["subject"] for one in lines[:3]] == ["", rest.reader.access_key_id, rest.key.access_key_id]
    assert PLANTED not in str(lines)


def _soon() -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "kind": "vod",
        "sources": [{"url": "https://h.example/a.mp4"}],
        "destination": "rtmp://push.example/live/one",
        "start_at": now.isoformat(),
        "end_at": (now + timedelta(hours=1)).isoformat(),
    }


async def _run_scheduler(store: Store) -> None:
    """A pass as the service makes it."""
    stopping = asyncio.Event()
    running = asyncio.create_task(Scheduler(store).run(stopping))
    async with asyncio.timeout(30):
        while not await _has_ended(store):  # noqa: ASYNC110 -- the store
            await asyncio.sleep(0.02)
    stopping.set()
    await running


async def _has_ended(store: Store) -> bool:
    return any(one.kind == "ended" for one in await Actions(store).list_feed())
