"""Signed calls that come twice: captured ones, and those that an SDK repeats."""

import asyncio
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from signed_api import KEY, NO_LIMITS, Api, make_api

from streamferry.client.signing import canonical_query, sign_request
from streamferry.control.api.operations import VERSION
from streamferry.control.api.replays import SAME_SECOND_S, Replays
from streamferry.control.api.routes import ApiSettings
from streamferry.control.errors import WrongState
from streamferry.control.store import Store

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


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

    async def send(self) -> httpx.Response:
        """Once more, byte for byte."""
        return await self._client.post(self._url, headers=self._headers, content=self._content)


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


async def is_past(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock is that much further."""
    real = time.monotonic
    monkeypatch.setattr("streamferry.control.api.routes.time.monotonic", lambda: real() + seconds)


async def test_a_captured_creation_makes_nothing_more(api: Api) -> None:
    """It gets the answer of then, at once and later, though its task is gone by now."""
    call = Captured(api, "CreatePullToPushTask", live())
    made = (await call.send()).json()["Result"]
    assert (await call.send()).json()["Result"] == made
    await api.call("DeletePullToPushTask", made)
    again = await call.send()
    assert (again.status_code, again.json()["Result"]) == (200, made)
    assert (await api.call("ListPullToPushTask", {}))["List"] == []


@pytest.mark.parametrize("action", ["StopPullToPushTask", "RelaunchPullToPushTask", "DeletePullToPushTask"])
async def test_a_captured_change_changes_nothing_more(api: Api, action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sent again after a while it is answered as then, and what was done since stays."""
    made = await api.call("CreatePullToPushTask", live())
    call = Captured(api, action, made, age_s=10)
    first = await call.send()
    assert first.status_code == 200
    if action != "DeletePullToPushTask":
        undo = "StopPullToPushTask" if action.startswith("Relaunch") else "ContinuePullToPushTask"
        await api.call(undo, made)
    before = (await api.call("ListPullToPushTask", {}))["List"]
    await is_past(SAME_SECOND_S + 1, monkeypatch)
    again = await call.send()
    assert (again.status_code, "Error" in again.json()["ResponseMetadata"]) == (200, False)
    assert (await api.call("ListPullToPushTask", {}))["List"] == before


async def test_a_refusal_is_as_final_as_a_success(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was refused does not come true later, when somebody sends it again."""
    body = live()
    made = await api.call("CreatePullToPushTask", body)
    call = Captured(api, "CreatePullToPushTask", {**body, "Title": "second"})
    assert (await call.send()).status_code == 400
    await api.call("DeletePullToPushTask", made)
    await is_past(60, monkeypatch)
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
    from streamferry.control.api.signature import SignedRequest, _candidates, read_claim, sign, signing_key

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


async def test_a_call_under_way_is_waited_for(store_url: str) -> None:
    """Its second attempt does nothing by itself; when the first was not done after all, it does it."""
    replays, begun, may_end = Replays(), asyncio.Event(), asyncio.Event()
    done = 0

    async def act() -> dict[str, object] | None:
        nonlocal done
        begun.set()
        await may_end.wait()
        done += 1
        if done == 1:
            raise OSError("the store is away")
        return {"TaskId": str(done)}

    async def ask() -> object:
        return await replays.perform(["name"], act, is_creation=True, valid_s=900, now=0.0)

    first, second = asyncio.ensure_future(ask()), asyncio.ensure_future(ask())
    await begun.wait()
    may_end.set()
    with pytest.raises(OSError, match="away"):
        await first
    assert await second == {"TaskId": "2"}
    assert await ask() == {"TaskId": "2"}


async def test_what_is_remembered_is_bounded(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with the signature; and beyond a number the oldest go."""
    monkeypatch.setattr("streamferry.control.api.replays._MAX_REMEMBERED", 5)
    replays, done = Replays(), []

    async def ask(name: str, now: float) -> None:
        async def act() -> dict[str, object] | None:
            done.append(name)
            raise WrongState("refused")

        with pytest.raises(WrongState):
            await replays.perform([name], act, is_creation=True, valid_s=900, now=now)

    for number in range(8):
        await ask(str(number), float(number))
    assert len(replays._calls) == 5
    await ask("7", 906.0)
    assert done.count("7") == 1
    await ask("7", 908.0)
    assert done.count("7") == 2
    assert len(replays._calls) == 1


async def test_too_many_calls_are_not_remembered_as_such(store: Store) -> None:
    """Once there is room again, the same signature is done."""
    api = await make_api(store, ApiSettings(rates=type(NO_LIMITS)(1, 0, 0)))
    async with api.client:
        first, second = Captured(api, "CreatePullToPushTask", live()), Captured(api, "CreatePullToPushTask", live())
        assert (await first.send()).status_code == 200
        assert (await second.send()).status_code == 429
        assert (await first.send()).status_code == 200
        async with asyncio.timeout(5):
            while (await second.send()).status_code == 429:  # noqa: ASYNC110 -- the bucket fills
                await asyncio.sleep(0.05)
        assert len((await api.call("ListPullToPushTask", {}))["List"]) == 2


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
