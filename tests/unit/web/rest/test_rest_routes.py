"""REST from outside, over a real store: who may call, what is refused and how, what is never shown."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bucket_time import BucketTime
from rest_api import PLANTED, Rest, make_rest, new_task
from signed_api import NO_LIMITS

import streamferry
from kit.virtual_clock import VirtualClock
from streamferry.control.login_throttle import FREE_FAILURES
from streamferry.relay.spec import Codecs, Latency
from streamferry.store import Store
from streamferry.store.records import KeyPair
from streamferry.web.compat.sample import write_body
from streamferry.web.rate_limits import FAILURES_AT_ONCE, Rates
from streamferry.web.reads import Reads
from streamferry.web.rest.event_stream import Follower
from streamferry.web.rest.parts import RestSettings
from streamferry.web.rest.rest_errors import _STATUS, RestError
from streamferry.web.rest.token_gate import MAX_BODY_BYTES, OPEN
from streamferry.web.rest.tokens import Tokens

# Both databases are under test in the tests of actions and reads; here one is enough.
pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def routes(rest: Rest) -> list[tuple[str, str]]:
    """Method and path of every route there is, parameters filled in, and one that there is not."""
    paths = {"/openapi.json": ("GET",), "/docs": ("GET",), "/no/such/path": ("GET",), **rest.app.openapi()["paths"]}
    found = [
        (
            method.upper(),
            path.format(
                task_id="0" * 32, verb="stop", name="sport", event_id="evt_x", worker_id="w", destination_id=1, number=1
            ),
        )
        for path, methods in paths.items()
        for method in methods
    ]
    assert len(found) > 20
    return found


async def test_no_route_is_open_without_a_token(rest: Rest) -> None:
    """Every route but those meant to be open answers 401 without a token, with a broken one and with another scheme."""
    for method, path in routes(rest):
        for value in ("", "Bearer", "Bearer nonsense", "Basic YTpi", f"Bearer sf1.QUs.99999999999.{'0' * 32}"):
            answer = await rest.client.request(method, path, headers={"authorization": value})
            assert (answer.status_code == 401) == ((method, path) not in OPEN), (method, path, value)


async def test_a_read_only_key_changes_nothing(rest: Rest) -> None:
    """Every route that is no GET refuses it; the reads serve it."""
    task = await rest.create()
    rest.client.headers["authorization"] = f"Bearer {await rest.token(rest.reader)}"
    for method, path in routes(rest):
        if (method, path) not in OPEN and method not in ("GET", "HEAD"):
            assert (await rest.refusal(403, method, path, {}))["code"] == "read_only", (method, path)
    assert await rest.call("GET", f"/tasks/{task['task_id']}") == task


async def test_a_token_ends_with_its_key_and_its_time(rest: Rest, store: Store) -> None:
    """Disabled, given another secret, or too old: it is refused at once."""
    assert (await rest.call("GET", "/tasks"))["total"] == 0
    await rest.actions.import_key(KeyPair(rest.key.access_key_id, "another-secret"))
    assert (await rest.refusal(401, "GET", "/tasks"))["code"] == "wrong_token"
    key = await rest.actions.create_key()
    rest.client.headers["authorization"] = f"Bearer {await rest.token(key)}"
    await rest.actions.disable_key(key.access_key_id)
    assert (await rest.refusal(401, "GET", "/tasks"))["code"] == "wrong_token"
    clock = VirtualClock(datetime.now(UTC))
    tokens = Tokens(rest.actions, store.seal, clock)
    token, expires_at = tokens.make(rest.reader, timedelta(seconds=60))
    assert (await tokens.prove(token)).read_only
    clock.set(expires_at)
    with pytest.raises(RestError, match="expired"):
        await tokens.prove(token)


async def test_tokens_that_prove_nothing_had_no_brake(rest: Rest, bucket_time: BucketTime) -> None:
    """Each asked the store; a peer gets so many at once, and then not even a right one is looked at for a moment."""
    wrong = {"authorization": f"Bearer sf1.QUs.99999999999.{'0' * 32}"}
    for _ in range(FAILURES_AT_ONCE):
        assert (await rest.client.get("/tasks", headers=wrong)).status_code == 401
    refused = await rest.client.get("/tasks")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")
    bucket_time.now += int(refused.headers["retry-after"])
    assert (await rest.client.get("/tasks")).status_code == 200


async def test_who_fails_too_often_is_locked_out_for_a_while(rest: Rest, store: Store) -> None:
    """Then even the right secret is refused, until the time has passed; others are not concerned."""
    tokens = Tokens(rest.actions, store.seal, VirtualClock(datetime.now(UTC)))
    key = rest.key
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(RestError) as refused:
            await tokens.log_in(key.access_key_id, "wrong", peer="a", now=100)
        assert refused.value.status == 401
    with pytest.raises(RestError) as refused:
        await tokens.log_in(key.access_key_id, key.secret, peer="a", now=101)
    assert refused.value.status == 429
    assert await tokens.log_in(key.access_key_id, key.secret, peer="b", now=101) == key
    assert await tokens.log_in(key.access_key_id, key.secret, peer="a", now=200) == key


async def test_a_wrong_secret_and_an_unknown_key_are_one_answer(rest: Rest) -> None:
    """The answer does not tell which keys there are, and repeats neither."""
    answers = [
        await rest.refusal(401, "POST", "/tokens", {"access_key_id": name, "secret_access_key": PLANTED})
        for name in (rest.key.access_key_id, "AKnosuch", "\u0000", "")
    ]
    assert all(one == answers[0] for one in answers)
    assert PLANTED not in json.dumps(answers)


async def test_no_read_shows_a_secret(rest: Rest) -> None:
    """Stream keys, query values and user info of a task are in the answer of no route that shows it."""
    body = new_task(callback_url=f"https://{PLANTED}@hook.example/?t={PLANTED}")
    task_id = (await rest.call("POST", "/tasks", body))["task_id"]
    await rest.call("PATCH", f"/tasks/{task_id}", {"title": "b"})
    await rest.refusal(409, "POST", "/tasks", body)
    for path in ("", "/request"):
        assert PLANTED not in json.dumps(await rest.call("GET", f"/tasks/{task_id}{path}"))
    for path in ("/tasks", "/events", "/overview", "/workers", "/groups", "/cache"):
        assert PLANTED not in json.dumps(await rest.call("GET", path))


async def test_what_a_read_shows_can_be_sent_back(rest: Rest) -> None:
    """A list that was shown, changed and sent back whole keeps the secrets of what was not changed."""
    task = await rest.create(sources=[{"url": f"https://h.example/a.mp4?t={PLANTED}"}, {"url": "https://h.example/b"}])
    before = (await rest.actions.get_task(task["task_id"])).spec
    sources = [{**task["sources"][0], "start_s": 2}, task["sources"][1]]
    changed = await rest.call(
        "PATCH", f"/tasks/{task['task_id']}", {"sources": sources, "destination": task["destination"]}
    )
    assert changed["sources"][0]["start_s"] == 2
    after = (await rest.actions.get_task(task["task_id"])).spec
    assert [item.url for item in after.items] == [item.url for item in before.items]
    assert after.destination == before.destination


async def test_a_patch_changes_what_it_gives(rest: Rest) -> None:
    """The rest stays; null or an empty text takes away what can be taken away."""
    task = await rest.create(title="a", loops=4, callback_url="https://h.example/x", continue_strategy="at_break")
    path = f"/tasks/{task['task_id']}"
    changed = await rest.call("PATCH", path, {"continue_strategy": "at_break_plus_elapsed", "pre_download": False})
    assert changed == {
        **task,
        "continue_strategy": "at_break_plus_elapsed",
        "pre_download": False,
        "version": task["version"] + 1,
    }
    emptied = await rest.call("PATCH", path, {"title": "", "callback_url": None, "loops": None})
    assert (emptied["title"], emptied["callback_url"], emptied["loops"]) == ("", "", 4)


async def test_the_latency_of_a_task_is_set_kept_and_changed(rest: Rest) -> None:
    """By its name; another word is refused with the field's name. One that says nothing has the default."""
    task = await rest.create(latency="dense")
    path = f"/tasks/{task['task_id']}"
    assert (task["latency"], (await rest.create())["latency"]) == ("dense", "normal")
    assert (await rest.call("PATCH", path, {"title": "kept"}))["latency"] == "dense"
    assert (await rest.call("PATCH", path, {"latency": "low"}))["latency"] == "low"
    assert (await rest.call("GET", path))["latency"] == "low"
    assert (await rest.actions.get_task(task["task_id"])).spec.latency is Latency.LOW
    refused = await rest.refusal(422, "PATCH", path, {"latency": "lowest"})
    assert "latency" in str(refused)


@pytest.mark.parametrize("kind", ["live", "vod"])
async def test_the_codecs_of_a_destination_are_set_kept_and_changed(rest: Rest, kind: str) -> None:
    """By their name, of lists and live sources; another word is refused with the field's name."""
    task = await rest.create(kind=kind, codecs="h264")
    path = f"/tasks/{task['task_id']}"
    assert (task["codecs"], (await rest.create())["codecs"]) == ("h264", "any")
    assert (await rest.call("PATCH", path, {"title": "kept"}))["codecs"] == "h264"
    assert (await rest.actions.get_task(task["task_id"])).spec.codecs is Codecs.H264
    assert (await rest.call("PATCH", path, {"codecs": "h264_if_needed"}))["codecs"] == "h264_if_needed"
    assert (await rest.actions.get_task(task["task_id"])).spec.codecs is Codecs.H264_IF_NEEDED
    assert (await rest.call("PATCH", path, {"codecs": "any"}))["codecs"] == "any"
    assert (await rest.call("GET", path))["codecs"] == "any"
    refused = await rest.refusal(422, "PATCH", path, {"codecs": "h265"})
    assert "codecs" in str(refused)


async def test_who_says_which_version_was_seen_overwrites_no_other(rest: Rest) -> None:
    """By header or by field; * is any version."""
    task = await rest.create()
    path = f"/tasks/{task['task_id']}"
    await rest.call("PATCH", path, {"title": "a"}, headers={"if-match": '"1"'})
    assert (await rest.refusal(412, "PATCH", path, {"title": "b"}, headers={"if-match": '"1"'}))["code"] == (
        "version_conflict"
    )
    await rest.refusal(412, "PATCH", path, {"title": "b", "version": 1})
    await rest.call("PATCH", path, {"title": "b"}, headers={"if-match": "*"})
    await rest.refusal(422, "PATCH", path, {"title": "b"}, headers={"if-match": "x"})


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("loops", {"loops": 0}),
        ("loops", {"loops": True}),
        ("title", {"title": "no spaces"}),
        ("start_at", {"start_at": "2026-01-01T00:00:00"}),
        ("end_at", {"end_at": "2020-01-01T00:00:00Z"}),
        ("sources[0].url", {"sources": [{"url": "ftp://h/a"}]}),
        ("sources[1].end_s", {"sources": [{"url": "http://h/a"}, {"url": "http://h/b", "start_s": 5, "end_s": 3}]}),
        ("sources[0].start_s", {"sources": [{"url": "http://h/a", "start_s": -1}]}),
        ("sources", {"kind": "live", "sources": [{"url": "http://h/a.flv"}, {"url": "http://h/b.flv"}]}),
        ("sources", {"sources": []}),
        ("sources[0].url", {"sources": [{"url": "file:///etc/passwd"}]}),
        ("destination", {"destination": "rtmp://h/live/***"}),
        ("destination", {"destination": "http://h/x"}),
        ("watermark.picture", {"watermark": {"picture": "x", "x": 0, "y": 0, "ratio": 0.1}}),
        ("watermark", {"watermark": {}}),
        ("callback_url", {"callback_url": "ftp://h/"}),
        ("group", {"group": "a b"}),
        ("colour", {"colour": "red"}),
    ],
)
async def test_a_wrong_field_is_named(rest: Rest, field: str, change: dict[str, object]) -> None:
    """The error has the field under its name in REST, and a sentence; no task is made."""
    for path in ("/tasks/validate", "/tasks"):
        error = await rest.refusal(422, "POST", path, {**new_task(), **change})
        assert error["field"] == field, error
        assert PLANTED not in error["message"]
    assert (await rest.call("GET", "/tasks"))["total"] == 0


async def test_validating_writes_nothing(rest: Rest) -> None:
    """A task that could be created is told so; one with a destination in use is not."""
    body = new_task()
    assert await rest.call("POST", "/tasks/validate", body) is None
    await rest.call("POST", "/tasks", body)
    assert (await rest.refusal(409, "POST", "/tasks/validate", body))["code"] == "destination_conflict"
    assert (await rest.call("GET", "/tasks"))["total"] == 1


async def test_tasks_are_asked_for_their_states(rest: Rest) -> None:
    """Stop, continue, relaunch, restart and delete do what the actions' table allows."""
    path = f"/tasks/{(await rest.create())['task_id']}"
    assert (await rest.call("POST", f"{path}/stop"))["status"] == "disabled"
    assert (await rest.refusal(409, "POST", f"{path}/stop"))["code"] == "wrong_state"
    for verb in ("continue", "relaunch", "stop", "restart"):
        await rest.call("POST", f"{path}/{verb}")
    await rest.refusal(422, "POST", f"{path}/explode")
    await rest.call("DELETE", path)
    assert (await rest.refusal(404, "GET", path))["field"] == "task_id"


async def test_groups_live_and_end(rest: Rest) -> None:
    """Made, listed, labelled anew, deleted; the errors name the group."""
    await rest.call("POST", "/groups", {"name": "sport", "tags": [{"key": "a", "value": "b"}]})
    await rest.refusal(409, "POST", "/groups", {"name": "sport"})
    await rest.call("PATCH", "/groups/sport", {"tags": []})
    page = await rest.call("GET", "/groups")
    assert [(one["name"], one["tags"]) for one in page["groups"]] == [("default", []), ("sport", [])]
    await rest.call("DELETE", "/groups/sport")
    assert (await rest.refusal(404, "DELETE", "/groups/sport"))["code"] == "group_not_found"


async def test_a_large_body_is_refused_unread(rest: Rest) -> None:
    """Beyond the limit nothing is parsed; the answer is in REST's form."""
    answer = await rest.client.post("/tasks", content=b" " * (MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert (await rest.client.post("/tokens", content=b"[]" * MAX_BODY_BYTES)).status_code == 413
    for content in (b"", b"{", b"[]", b"\xff", b'{"a":"\\ud800"}', b"null"):
        assert (await rest.client.post("/tasks", content=content)).status_code in (400, 422)


async def test_rates_hold_for_each_key(store: Store, bucket_time: BucketTime) -> None:
    """Beyond its rate a key is told to wait; another one is served."""
    async with make_rest(store, RestSettings(sdk_body=write_body, rates=Rates(write=1, list=2))) as rest:
        reader = await rest.token(rest.reader)
        answers = [await rest.client.get("/tasks") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert answers[-1].headers["retry-after"]
        assert (await rest.client.get("/tasks", headers={"authorization": f"Bearer {reader}"})).status_code == 200


async def test_the_page_of_documents_needs_no_network(rest: Rest) -> None:
    """It names every path and loads nothing; the document has a schema for every answer."""
    page = (await rest.client.get("/docs", headers={"authorization": ""})).text
    document = (await rest.client.get("/openapi.json")).json()
    assert all(path in page for path in document["paths"])
    assert "src=" not in page
    assert "http://" not in page.replace("http://127.0.0.1", "")
    assert "https://" not in page
    assert document["servers"] == [{"url": "/api/v1"}]


async def test_every_refusal_is_in_the_document(rest: Rest) -> None:
    """Each status and each code that the code can answer with stands in the document, and on the page."""
    texts = [path.read_text() for path in Path(streamferry.__file__).parent.rglob("*.py")]
    raised = {found for text in texts for found in re.findall(r'RestError\((\d{3}), "(\w+)"', text)}
    raised |= {(str(status), code) for status, code in _STATUS.values()}
    page = (await rest.client.get("/docs")).text
    for path, methods in (await rest.client.get("/openapi.json")).json()["paths"].items():
        for one in methods.values():
            told = {status: answer["description"] for status, answer in one["responses"].items()}
            assert [(status, code) for status, code in raised if f"`{code}`" not in told.get(status, "")] == [], path
    assert [code for _, code in raised if f"<code>{code}</code>" not in page] == []
    assert len(raised) > 20


async def test_a_stream_of_events_goes_on_behind_the_last_one_seen(store: Store) -> None:
    """The first look gives what happened since; what happens then follows, each once, until the service stops."""
    async with make_rest(store, RestSettings(sdk_body=write_body, rates=NO_LIMITS)) as rest:
        stopping = asyncio.Event()
        follower = Follower(Reads(rest.actions), stopping)
        task_id = (await rest.create())["task_id"]
        cursor = (await rest.call("GET", "/events"))["next_after"]
        path = f"/tasks/{task_id}"
        await rest.call("PATCH", path, {"title": "a"})
        lines = (await follower.follow(None, cursor)).__aiter__()
        assert f"id: {cursor}\n" in await anext(lines)
        assert '"detail":{"version":2}' in await anext(lines)
        await rest.call("PATCH", path, {"title": "b"})
        last = await anext(lines)
        assert '"detail":{"version":3}' in last
        resumed = (await follower.follow(task_id, int(last.split()[1]))).__aiter__()
        await anext(resumed)
        stopping.set()
        assert [line async for line in resumed] == []
        assert [line async for line in lines] == []


async def test_trouble_with_the_store_is_told_without_its_address(rest: Rest, store: Store) -> None:
    """503 with a sentence that says what is wrong; neither statement nor parameters are in it."""
    async with store.write() as connection:
        await connection.exec_driver_sql("ALTER TABLE task RENAME TO task_away")
    why = "no such table: task" if store.is_file else "SQLSTATE 42P01"
    assert (await rest.refusal(503, "GET", "/tasks"))["message"] == f"the store cannot be asked now: {why}"


async def test_callbacks_are_listed_and_replayed(rest: Rest) -> None:
    """What a task owed its receiver is shown without the receiver's address; what waits already is not replayed."""
    task = await rest.create(callback_url=f"https://hook.example/?t={PLANTED}")
    await rest.call("DELETE", f"/tasks/{task['task_id']}")
    page = await rest.call("GET", "/callbacks", params={"task_id": task["task_id"], "state": "waiting"})
    assert page["total"] >= 1
    (*_, first) = page["deliveries"]
    assert await rest.call("GET", f"/callbacks/{first['event_id']}") == first
    assert PLANTED not in json.dumps(page)
    assert (await rest.refusal(409, "POST", f"/callbacks/{first['event_id']}/replay"))["code"] == "wrong_state"
    assert (await rest.refusal(404, "GET", "/callbacks/evt_x"))["code"] == "callback_not_found"
    assert await rest.call("POST", "/callbacks/replay_dead", {}) == {"count": 0}
    assert await rest.call("POST", "/callbacks/drop_dead", {"task_id": task["task_id"]}) == {"count": 0}
