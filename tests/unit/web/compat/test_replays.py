"""Signed calls that come twice: captured ones, and those that an SDK repeats."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from bucket_time import BucketTime
from signed_api import KEY, NO_LIMITS, Api, make_api

from streamferry.client.signing import canonical_query, sign_request
from streamferry.control.scheduler import Scheduler
from streamferry.store import Seal, Store, calls
from streamferry.store.schema import signed_call
from streamferry.web.compat.operations import VERSION
from streamferry.web.compat.routes import ApiSettings


class Captured:
    """A signed call as somebody on the way has read it."""

    def __init__(
        self, api: Api, action: str, body: dict[str, Any], *, query: dict[str, str] | None = None, age_s: float = 0
    ) -> None:
        everything = {"Action": action, "Version": VERSION, **(query or {})}
        self._client, self._content = api.client, json.dumps(body).encode()
        self._url = f"http://api/?{canonical_query(everything)}"
        self._headers = sign_request(
            api.credentials,
            method="POST",
            host="api",
            query=everything,
            body=self._content,
            region="cn-north-1",
            now=datetime.now(UTC) - timedelta(seconds=age_s),
        )

    async def send(self, service: Api | None = None) -> httpx.Response:
        """Once more, byte for byte, to the service that it was meant for or to another one."""
        client = service.client if service else self._client
        return await client.post(self._url, headers=self._headers, content=self._content)


def live(**fields: object) -> dict[str, Any]:
    now = int(time.time())
    key = f"key-{time.monotonic_ns()}"
    window = {"StartTime": now + 600, "EndTime": now + 4200}
    return {
        **window,
        "Type": 0,
        "SrcAddr": "http://src.example/a.flv",
        "DstAddr": f"rtmp://d.example/a/{key}",
        **fields,
    }


async def is_past(store: Store, seconds: float) -> None:
    """What was done was done that much earlier."""
    past = {column.name: column - round(seconds * 1000) for column in (signed_call.c.first_ms, signed_call.c.ends_ms)}
    async with store.write() as connection:
        await connection.execute(signed_call.update().values(**past))


async def count_rows(store: Store) -> int:
    async with store.read() as connection:
        return (await connection.execute(sa.select(sa.func.count()).select_from(signed_call))).scalar_one()


async def test_a_captured_creation_makes_nothing_more(api: Api) -> None:
    """It gets the answer of then, at once and later, though its task is gone by now."""
    call = Captured(api, "CreatePullToPushTask", live())
    made = (await call.send()).json()["Result"]
    assert (await call.send()).json()["Result"] == made
    await api.call("DeletePullToPushTask", made)
    again = await call.send()
    assert (again.status_code, again.json()["Result"]) == (200, made)
    assert (await api.call("ListPullToPushTask", {}))["List"] == []


@pytest.mark.both_databases
@pytest.mark.parametrize("action", ["StopPullToPushTask", "RelaunchPullToPushTask", "DeletePullToPushTask"])
async def test_a_captured_change_changes_nothing_more(api: Api, store: Store, action: str) -> None:
    """Sent again after a while it is answered as then, and what was done since stays."""
    made = await api.call("CreatePullToPushTask", live())
    call = Captured(api, action, made, age_s=10)
    first = await call.send()
    assert first.status_code == 200
    if action != "DeletePullToPushTask":
        undo = "StopPullToPushTask" if action.startswith("Relaunch") else "ContinuePullToPushTask"
        await api.call(undo, made)
    before = (await api.call("ListPullToPushTask", {}))["List"]
    await is_past(store, 3)
    again = await call.send()
    assert (again.status_code, "Error" in again.json()["ResponseMetadata"]) == (200, False)
    assert (await api.call("ListPullToPushTask", {}))["List"] == before


async def test_a_refusal_is_as_final_as_a_success(api: Api, store: Store) -> None:
    """What was refused does not come true later, when somebody sends it again."""
    body = live()
    made = await api.call("CreatePullToPushTask", body)
    call = Captured(api, "CreatePullToPushTask", {**body, "Title": "second"})
    assert (await call.send()).status_code == 400
    await api.call("DeletePullToPushTask", made)
    await is_past(store, 60)
    assert (await call.send()).status_code == 400
    assert (await api.call("ListPullToPushTask", {}))["List"] == []


async def test_two_calls_of_one_second_are_two(api: Api) -> None:
    """A client that stops, continues and stops within a second signs both stops alike, and means both."""
    made = await api.call("CreatePullToPushTask", live())
    stop, go = Captured(api, "StopPullToPushTask", made), Captured(api, "ContinuePullToPushTask", made)
    for call, status in ((stop, "停用"), (go, "未开始"), (stop, "停用"), (go, "未开始")):
        assert (await call.send()).status_code == 200
        assert (await api.task(made["TaskId"]))["Status"] == status


async def test_a_change_is_good_for_fifteen_minutes_at_most(api: Api) -> None:
    """Whatever X-Expires says; a read may live longer."""
    query = {"X-Expires": "604800"}
    made = await api.call("CreatePullToPushTask", live())
    old = Captured(api, "StopPullToPushTask", made, query=query, age_s=1000)
    refused = (await old.send()).json()["ResponseMetadata"]["Error"]
    assert refused["Code"] == "InvalidTimestamp"
    assert "valid for 900 s" in refused["Message"]
    assert (await Captured(api, "ListPullToPushTaskV2", {}, query=query, age_s=1000).send()).status_code == 200


@pytest.mark.both_databases
async def test_attempts_of_one_invocation_are_one(api: Api) -> None:
    """volcengine-python-sdk signs each attempt anew, with a header of its own that says that they are one."""
    body, made = live(), []
    for attempt, invocation in enumerate(("one", "one", "two")):
        headers = {"x-sdk-invocation-id": invocation, "x-sdk-request": f"attempt={attempt}; max=4"}
        made.append(await signed_with(api, "CreatePullToPushTask", body, headers))
    assert made[0].json()["Result"] == made[1].json()["Result"]
    # Another invocation is another call, which the destination in use refuses.
    assert made[2].json()["ResponseMetadata"]["Error"]["Code"] == "InvalidParam"


async def signed_with(api: Api, action: str, body: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
    """A call with further headers signed."""
    from streamferry.web.compat.signature import SignedRequest, _candidates, read_claim, sign, signing_key

    content = json.dumps(body).encode()
    everything = {"Action": action, "Version": VERSION}
    mine = sign_request(
        api.credentials,
        method="POST",
        host="api",
        query=everything,
        body=content,
        region="cn-north-1",
        now=datetime.now(UTC),
    )
    mine |= headers
    words = mine["authorization"]
    listed = words.split("SignedHeaders=")[1].split(",")[0]
    words = words.replace(listed, ";".join([listed, *headers]))
    mine["authorization"] = words
    query = canonical_query(everything)
    request = SignedRequest(
        "POST",
        query.encode(),
        [(b"host", b"api"), *((name.encode(), value.encode()) for name, value in mine.items())],
        mine["x-content-sha256"],
    )
    claim = read_claim(request)
    signature = sign(signing_key(KEY.secret, claim), claim, next(_candidates(claim, request, ())))
    mine["authorization"] = words.replace(claim.signature, signature)
    return await api.client.post(f"http://api/?{query}", headers=mine, content=content)


@pytest.mark.both_databases
@pytest.mark.parametrize("action", ["CreatePullToPushTask", "StopPullToPushTask"])
async def test_a_call_is_known_to_every_service_and_after_a_restart(
    api: Api, store: Store, store_url: str, action: str
) -> None:
    """A captured call is answered as then by another process on the store, be it beside or after the first."""
    made = await api.call("CreatePullToPushTask", live())
    body = live() if action.startswith("Create") else made
    call = Captured(api, action, body)
    first = await call.send()
    if action.startswith("Stop"):
        await api.call("ContinuePullToPushTask", made)
    await is_past(store, 3)
    before = (await api.call("ListPullToPushTask", {}))["List"]
    other = Store(store_url, Seal(store.seal.reveal()))
    second = await make_api(other, ApiSettings(rates=NO_LIMITS))
    async with second.client:
        again = await call.send(second)
    await other.aclose()
    assert (again.status_code, again.json().get("Result")) == (200, first.json().get("Result"))
    assert (await api.call("ListPullToPushTask", {}))["List"] == before


@pytest.mark.both_databases
async def test_copies_at_once_at_two_services_are_one_call(api: Api, store: Store, store_url: str) -> None:
    """Who comes second waits for the first, and gets its answer."""
    other = Store(store_url, Seal(store.seal.reveal()))
    second = await make_api(other, ApiSettings(rates=NO_LIMITS))
    call = Captured(api, "CreatePullToPushTask", live())
    async with second.client:
        answers = await asyncio.gather(*(call.send(one) for one in (api, second, api, second, api, second)))
    await other.aclose()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["Result"]["TaskId"] for answer in answers}) == 1
    assert len((await api.call("ListPullToPushTask", {}))["List"]) == 1


@pytest.mark.both_databases
async def test_what_failed_for_a_reason_of_ours_is_done_when_it_comes_again(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of a call is in the transaction of what it does: without the one there is not the other."""
    call = Captured(api, "CreatePullToPushTask", live())
    with monkeypatch.context() as patch:
        patch.setattr("streamferry.store.events.append", _break)
        assert (await call.send()).status_code == 503
    assert await count_rows(store) == 0
    assert (await call.send()).status_code == 200
    assert len((await api.call("ListPullToPushTask", {}))["List"]) == 1


async def _break(*_: object, **__: object) -> None:
    raise sa.exc.OperationalError("", {}, OSError("gone"))


@pytest.mark.both_databases
async def test_an_answer_that_was_lost_comes_again_whatever_is_now(api: Api, store: Store) -> None:
    """A deletion that names a group is sent again: by then there is no such task, and yet it was done."""
    made = await api.call("CreatePullToPushTask", live())
    call = Captured(api, "DeletePullToPushTask", {**made, "GroupName": "default"})
    assert (await call.send()).status_code == 200
    await is_past(store, 3)
    assert (await call.send()).status_code == 200


@pytest.mark.both_databases
async def test_what_is_kept_is_bounded_in_time_and_rows(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes a while after its signature; and beyond a number the oldest go."""
    scheduler = Scheduler(store)
    for _ in range(5):
        await api.call("CreatePullToPushTask", live())
    await scheduler.run_once()
    assert await count_rows(store) == 5
    await is_past(store, 900 + calls.CLOCKS_APART_MS / 1000 - 10)
    await Scheduler(store).run_once()
    assert await count_rows(store) == 5
    await is_past(store, 20)
    await api.call("CreatePullToPushTask", live())
    await Scheduler(store).run_once()
    assert await count_rows(store) == 1
    monkeypatch.setattr(calls, "MAX_ROWS", 2)
    for _ in range(4):
        await api.call("CreatePullToPushTask", live())
        await is_past(store, 1)
    await Scheduler(store).run_once()
    assert await count_rows(store) == 2


async def test_the_memory_of_calls_costs_a_statement_a_change(api: Api) -> None:
    """In the transaction that a change is anyway, so no commit more; a list costs nothing more."""
    body = live()
    made = await api.call("CreatePullToPushTask", body)
    for action, asked in (("CreatePullToPushTask", live()), ("StopPullToPushTask", made)):
        with what_the_store_does() as seen:
            await api.call(action, asked)
        assert [words.split()[0] for words in seen if "signed_call" in words] == ["INSERT"]
        assert len([words for words in seen if words == "COMMIT of a change"]) == 1
    with what_the_store_does() as seen:
        await api.call("ListPullToPushTask", {})
        await api.refusal("CreatePullToPushTask", {**body, "StartTime": "soon"})
    assert not [words for words in seen if "signed_call" in words]


@contextmanager
def what_the_store_does() -> Iterator[list[str]]:
    """Statements as they are sent, and commits of transactions that changed something."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    def note_commit(_: object) -> None:
        begun = max((at for at, words in enumerate(seen) if words.startswith("COMMIT")), default=-1)
        has_changed = any(words.startswith(("INSERT", "UPDATE", "DELETE")) for words in seen[begun + 1 :])
        seen.append("COMMIT of a change" if has_changed else "COMMIT")

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    sa.event.listen(sa.Engine, "commit", note_commit)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        sa.event.remove(sa.Engine, "commit", note_commit)


async def test_too_many_calls_are_not_remembered_as_such(store: Store, bucket_time: BucketTime) -> None:
    """Once there is room again, the same signature is done."""
    api = await make_api(store, ApiSettings(rates=type(NO_LIMITS)(1, 0, 0)))
    async with api.client:
        first, second = Captured(api, "CreatePullToPushTask", live()), Captured(api, "CreatePullToPushTask", live())
        assert (await first.send()).status_code == 200
        assert (await second.send()).status_code == 429
        bucket_time.now += 1
        assert (await second.send()).status_code == 200
        assert len((await api.call("ListPullToPushTask", {}))["List"]) == 2


@pytest.mark.both_databases
async def test_copies_take_nothing_from_what_a_key_may_do(store: Store) -> None:
    """Somebody who sends a captured call again and again does not keep the key from its changes."""
    api = await make_api(store, ApiSettings(rates=type(NO_LIMITS)(0.001, 0, 0)))
    async with api.client:
        first, second = Captured(api, "CreatePullToPushTask", live()), Captured(api, "CreatePullToPushTask", live())
        assert (await first.send()).status_code == 200
        assert (await first.send()).status_code == 429
    api = await make_api(store, ApiSettings(rates=type(NO_LIMITS)(1, 0, 0)))
    async with api.client:
        assert [(await first.send(api)).status_code for _ in range(5)] == [200] * 5
        assert (await second.send(api)).status_code == 200


@pytest.mark.parametrize("spaces", [0, 100_000])
async def test_a_body_whose_hash_is_not_told_is_read_and_then_proved(api: Api, spaces: int) -> None:
    """As PHP's SDK signs: small ones at once, large ones in a place."""
    content = json.dumps({"Size": 1}).encode() + b" " * spaces
    now = datetime.now(UTC)
    date, scope = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}/r/live/request"
    query = f"Action=ListPullToPushTaskV2&Version={VERSION}"
    hashed = hashlib.sha256(content).hexdigest()
    request = "\n".join(("POST", "/", query, f"host:api\nx-date:{date}\n", "host;x-date", hashed))
    text = "\n".join(("HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = KEY.secret.encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    words = f"HMAC-SHA256 Credential={KEY.access_key_id}/{scope}, SignedHeaders=host;x-date, Signature={key.hex()}"
    headers = {"x-date": date, "authorization": words}
    answer = await api.client.post(f"http://api/?{query}", headers=headers, content=content)
    assert answer.status_code == 200, answer.text
    forged = await api.client.post(f"http://api/?{query}", headers=headers, content=content + b" ")
    assert forged.json()["ResponseMetadata"]["Error"]["Code"] == "SignatureDoesNotMatch"
