"""Further inputs, a slate and what is on air over both APIs: kept, changed, refused, and never a secret."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rest_api import PLANTED, Rest
from signed_api import NO_LIMITS, make_api

from kit.pictures import png
from streamferry.control.relay_specs import relay_spec_of
from streamferry.relay.inputs.policy import SLATE, Normalize, Switching
from streamferry.relay.spec import RelaySpec
from streamferry.relay.status import START
from streamferry.store import Store
from streamferry.web.compat.routes import ApiSettings

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)

CAMERA = {"kind": "live", "sources": [{"url": f"rtmp://cam.example/live/{PLANTED}"}], "warm": True}
FILMS = {"kind": "vod", "sources": [{"url": f"https://h.example/b.mp4?t={PLANTED}", "start_s": 5.0, "end_s": 9.5}]}
CARD = {"kind": "card", "title": "马上回来", "text": "Back soon", "color": "#102030"}
PICTURE = "data:image/png;base64," + base64.b64encode(png()).decode()


def files_with_it(folder: Path) -> list[Path]:
    """Files that hold the planted secret."""
    return [one for one in folder.rglob("*") if one.is_file() and PLANTED.encode() in one.read_bytes()]


async def spec_of(rest: Rest, task_id: str) -> RelaySpec:
    """What its worker gets."""
    return relay_spec_of((await rest.actions.get_task(task_id)).spec, START)


async def test_inputs_and_slate_come_to_the_relay_and_nothing_secret_is_shown(
    rest: Rest, store: Store, tmp_path: Path
) -> None:
    """As they were given; addresses redacted in both APIs, and sealed in the store's file."""
    rules = {"switch_after_s": 5.0, "return_after_s": 0.0, "returns": False, "normalize": "1280x720"}
    made = await rest.create(inputs=[CAMERA, FILMS], slate=CARD, switching=rules)
    path = f"/tasks/{made['task_id']}"
    told = [made, *[await rest.call("GET", one) for one in (path, "/tasks", f"{path}/events", f"{path}/request")]]
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        listed = await api.call("ListPullToPushTask", {})
    told.append(listed)
    assert PLANTED not in json.dumps(told)
    assert not files_with_it(tmp_path)
    spec = await spec_of(rest, made["task_id"])
    first, second = spec.more_inputs
    assert (first.is_live, first.warm, first.items[0].url.reveal()) == (True, True, CAMERA["sources"][0]["url"])
    assert (second.is_live, second.items[0].start_s, second.items[0].end_s) == (False, 5.0, 9.5)
    assert spec.slate is not None
    assert (spec.slate.title, spec.slate.text, spec.slate.color) == ("马上回来", "Back soon", "#102030")
    assert spec.switching == Switching(5.0, 0.0, False, Normalize(size=(1280, 720)))
    assert made["switching"] == rules
    item = listed["List"][0]
    assert [one["Type"] for one in item["Inputs"]] == [0, 1]
    assert item["Slate"]["Title"] == "马上回来"
    assert item["Switching"] == {
        "SwitchAfter": 5.0,
        "ReturnAfter": 0.0,
        "Returns": 0,
        "Normalize": "1280x720",
    }


async def test_an_update_with_what_was_shown_changes_nothing(rest: Rest) -> None:
    """Addresses and the picture, sent back as they were shown, mean those that the task has."""
    slate = {"kind": "picture", "picture": PICTURE, "color": "#000000"}
    made = await rest.create(inputs=[CAMERA, FILMS], slate=slate)
    before = await spec_of(rest, made["task_id"])
    for change in ({"title": "b"}, {name: made[name] for name in ("inputs", "slate", "switching")}, {"slate": {}}):
        changed = await rest.call("PATCH", f"/tasks/{made['task_id']}", change)
        after = await spec_of(rest, made["task_id"])
        assert (after.more_inputs, after.slate, after.switching) == (before.more_inputs, before.slate, before.switching)
        assert changed["inputs"] == made["inputs"]
    cleared = await rest.call("PATCH", f"/tasks/{made['task_id']}", {"inputs": [], "slate": None})
    assert (cleared["inputs"], cleared["slate"]) == ([], None)


def now() -> str:
    """As the start of a task that runs."""
    return datetime.now(UTC).isoformat()


async def test_a_switch_an_insert_and_a_skip_come_to_the_relay(rest: Rest) -> None:
    """With numbers that rise; old ones are forgotten, and an input that is taken away is no longer asked for."""
    made = await rest.create(inputs=[CAMERA], slate=CARD, start_at=now())
    path = f"/tasks/{made['task_id']}"
    assert made["pinned"] is None
    assert (await rest.call("POST", f"{path}/switch", {"input": 1}))["pinned"] == 1
    assert (await spec_of(rest, made["task_id"])).pinned == 1
    assert (await rest.call("POST", f"{path}/switch", {"input": "slate"}))["pinned"] == "slate"
    assert (await spec_of(rest, made["task_id"])).pinned == SLATE
    later = datetime.now(UTC) + timedelta(minutes=1)
    await rest.call("POST", f"{path}/insert", {"url": f"https://h.example/x.mp4?t={PLANTED}", "at": later.isoformat()})
    await rest.call("POST", f"{path}/skip")
    insert, skip = (await spec_of(rest, made["task_id"])).orders
    assert (insert.number, skip.number) == (1, 2)
    assert insert.item is not None
    assert abs(insert.at - later.timestamp()) < 1
    assert skip.item is None
    changed = await rest.call("PATCH", path, {"slate": None})
    assert changed["pinned"] is None
    assert PLANTED not in json.dumps([changed, await rest.call("GET", f"{path}/events")])


async def test_an_input_has_options_of_its_own_and_their_secrets_stay(rest: Rest, tmp_path: Path) -> None:
    """They come to the relay, are hidden wherever they are shown, and go with their input through edits."""
    options = {"headers": {"X-Key": PLANTED}, "proxy": f"http://user:{PLANTED}@proxy.example:3128"}
    films = {**FILMS, "options": options}
    made = await rest.create(inputs=[CAMERA, films])
    path = f"/tasks/{made['task_id']}"
    told = [made, *[await rest.call("GET", one) for one in (path, "/tasks", f"{path}/events", f"{path}/request")]]
    assert PLANTED not in json.dumps(told)
    assert not files_with_it(tmp_path)
    assert made["inputs"][0]["options"] == {}
    assert list(made["inputs"][1]["options"]["headers"]) == ["X-Key"]

    async def kept() -> list[str]:
        spec = await spec_of(rest, made["task_id"])
        return [one.options.to_json().get("headers", {}).get("X-Key", "") for one in spec.more_inputs]

    assert await kept() == ["", PLANTED]
    for inputs, wanted in (
        (made["inputs"], ["", PLANTED]),
        ([FILMS, CAMERA], [PLANTED, ""]),
        ([{**FILMS, "options": {"keep_drift": None}}, CAMERA], [PLANTED, ""]),
        ([CAMERA], [""]),
        ([CAMERA, films], ["", PLANTED]),
        ([CAMERA, {**FILMS, "options": None}], ["", ""]),
    ):
        await rest.call("PATCH", path, {"inputs": inputs})
        assert await kept() == wanted
    await rest.call("PATCH", path, {"inputs": [films]})
    # Whoever may change where it goes does not learn what is secret of it.
    moved = {**FILMS, "sources": [{"url": "https://thief.example/x.mp4"}]}
    error = await rest.refusal(422, "PATCH", path, {"inputs": [moved]})
    assert error["field"].startswith("inputs[0].options")
    wrong = {**CAMERA, "options": {"headers": {"X-A": "b"}}}
    assert (await rest.refusal(422, "PATCH", path, {"inputs": [wrong]}))["field"] == "inputs[0].options.headers"


async def test_the_input_that_was_asked_for_by_hand_is_the_same_after_an_edit(rest: Rest) -> None:
    """Whatever its number has become; where it is gone, or has another address, the rules hold again."""
    other = {"kind": "live", "sources": [{"url": "rtmp://other.example/live/a"}]}
    made = await rest.create(inputs=[CAMERA, other], slate=CARD)
    path = f"/tasks/{made['task_id']}"
    await rest.call("POST", f"{path}/switch", {"input": 2})
    for inputs, pinned in (
        ([other, CAMERA], 1),
        ([FILMS, CAMERA, other], 3),
        ([FILMS, CAMERA, {**other, "warm": True}], 3),
        ([FILMS, CAMERA, other, other], 3),
        ([other, FILMS], 1),
        ([FILMS, CAMERA], None),
    ):
        changed = await rest.call("PATCH", path, {"inputs": inputs})
        assert changed["pinned"] == pinned
        assert (await spec_of(rest, made["task_id"])).pinned == pinned
    await rest.call("POST", f"{path}/switch", {"input": 1})
    moved = {**FILMS, "sources": [{"url": "https://other.example/x.mp4"}]}
    assert (await rest.call("PATCH", path, {"inputs": [moved, CAMERA]}))["pinned"] is None
    await rest.call("POST", f"{path}/switch", {"input": 0})
    assert (await rest.call("PATCH", path, {"inputs": [CAMERA]}))["pinned"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": [CAMERA] * 5}, "inputs"),
        ({"inputs": [{**CAMERA, "sources": [{"url": "rtmp://a.example/b/c"}] * 2}]}, "inputs[0].sources"),
        ({"inputs": [{**CAMERA, "sources": [{"url": "ftp://a.example/b"}]}]}, "inputs[0].sources[0].url"),
        ({"inputs": [FILMS, {**FILMS, "sources": [{"url": "file:///etc/passwd"}]}]}, "inputs[1].sources[0].url"),
        ({"inputs": [{**FILMS, "sources": [{"url": "https://***@h.example/***"}]}]}, "inputs[0].sources[0].url"),
        ({"slate": {"kind": "clip"}}, "slate.clip"),
        ({"slate": {"kind": "clip", "clip": "file:///etc/passwd"}}, "slate.clip"),
        ({"slate": {"kind": "picture"}}, "slate.picture"),
        ({"slate": {"kind": "picture", "picture": "data:image/png;base64,AAAA"}}, "slate.picture"),
        ({"slate": {"kind": "picture", "picture": PICTURE + "A" * 400_000}}, "slate.picture"),
        ({"slate": {"title": "two\nlines"}}, "slate.title"),
        ({"slate": {"color": "red"}}, "slate.color"),
        ({"switching": {"switch_after_s": 0.1}}, "switching.switch_after_s"),
        ({"switching": {"return_after_s": -1}}, "switching.return_after_s"),
        ({"slate": {"text": "It is {clock Moon/Base}"}}, "slate.text"),
        ({"switching": {"normalize": "1281x720"}}, "switching.normalize"),
        ({"switching": {"normalize": ""}}, "switching.normalize"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_name(rest: Rest, change: dict[str, Any], field: str) -> None:
    """By the field and a sentence."""
    made = await rest.create()
    error = await rest.refusal(422, "PATCH", f"/tasks/{made['task_id']}", change)
    assert error["field"] == field
    assert error["message"].startswith(field)
    if field.startswith("inputs["):
        # Everywhere else the source is input 0.
        assert f" (input {int(field[7]) + 1}): " in error["message"]


async def test_a_switch_needs_something_to_switch_to_and_a_file_does_not(rest: Rest) -> None:
    """A task with one source and no slate says what it needs; a file can be inserted into each, and skipped."""
    for task in ({}, {"kind": "live", "sources": [{"url": "rtmp://cam.example/live/one"}]}):
        made = await rest.create(**task, start_at=now())
        path = f"/tasks/{made['task_id']}"
        error = await rest.refusal(422, "POST", f"{path}/switch", {"input": 0})
        assert error["field"] == "input"
        assert "slate" in error["message"]
        (insert,) = (await rest.call("POST", f"{path}/insert", {"url": "https://h.example/x.mp4"}))["inserts"]
        assert (insert["number"], insert["url"]) == (1, "https://h.example/x.mp4")
        await rest.call("POST", f"{path}/skip")
        assert [one.number for one in (await spec_of(rest, made["task_id"])).orders] == [1, 2]


async def test_orders_that_cannot_be_are_refused(rest: Rest) -> None:
    """An input that is not there, a file that may not be read, a time that has passed, and more than can wait."""
    path = f"/tasks/{(await rest.create(inputs=[CAMERA], start_at=now()))['task_id']}"
    for call, body, field in (
        ("switch", {"input": 2}, "input"),
        ("switch", {"input": "slate"}, "input"),
        ("insert", {"url": "file:///etc/passwd"}, "url"),
        ("insert", {"url": "https://h.example/x.mp4", "at": "2020-01-01T00:00:00Z"}, "at"),
    ):
        assert (await rest.refusal(422, "POST", f"{path}/{call}", body))["field"] == field
    for _ in range(10):
        await rest.call("POST", f"{path}/insert", {"url": "https://h.example/x.mp4"})
    assert (await rest.refusal(422, "POST", f"{path}/insert", {"url": "https://h.example/x.mp4"}))["field"] == "at"


async def test_the_compatible_api_takes_them_under_names_of_our_own(rest: Rest, store: Store) -> None:
    """Created, listed, sent back as listed, and cleared; errors have its names."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    began = int(datetime.now(UTC).timestamp())
    body = {
        "Type": 0,
        "SrcAddr": "rtmp://cam.example/live/one",
        "DstAddr": "rtmp://push.example/live/key",
        "StartTime": began + 600,
        "EndTime": began + 3600,
        "Inputs": [
            {"Type": 0, "SrcAddr": f"rtmp://cam.example/live/{PLANTED}", "Warm": 1},
            {"Type": 1, "SrcAddrS": ["https://h.example/a.mp4"]},
        ],
        "Slate": {"Title": "Soon"},
        "Switching": {"SwitchAfter": 2},
    }
    async with api.client:
        task_id = (await api.call("CreatePullToPushTask", body))["TaskId"]
        (item,) = (await api.call("ListPullToPushTask", {}))["List"]
        assert item["Slate"] == {"Kind": "card", "Title": "Soon", "Color": "#101826"}
        assert PLANTED not in json.dumps(item)
        before = await spec_of(rest, task_id)
        assert [one.is_live for one in before.more_inputs] == [True, False]
        sent = {name: item[name] for name in ("Inputs", "Slate", "Switching")}
        await api.call("UpdatePullToPushTask", {"TaskId": task_id, **sent})
        after = await spec_of(rest, task_id)
        assert (after.more_inputs, after.slate, after.switching) == (before.more_inputs, before.slate, before.switching)
        await api.call("UpdatePullToPushTask", {"TaskId": task_id, "Clear": ["Inputs", "Slate"]})
        (item,) = (await api.call("ListPullToPushTask", {}))["List"]
        assert "Inputs" not in item
        assert "Slate" not in item


async def test_the_compatible_api_takes_options_of_inputs(rest: Rest, store: Store) -> None:
    """Given, shown without what is secret, and sent back as shown; without them they stay, and an empty object clears
    them. Errors have its names."""
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    camera = {"Type": 0, "SrcAddr": "rtmp://b.example/live/two"}
    films = {"Type": 1, "SrcAddrS": ["https://h.example/a.mp4"]}
    of_camera = {"FlashVer": "FMLE/3.0", "TcUrl": f"rtmp://b.example/live?t={PLANTED}", "KeepDrift": 1}
    headers = {"User-Agent": "a/1", "Cookie": PLANTED}
    of_films = {"Proxy": f"socks5h://user:{PLANTED}@p.example:1080", "Headers": headers}
    made = await rest.create(inputs=[])
    task_id = made["task_id"]

    async def update(*inputs: dict[str, Any]) -> list[dict[str, Any]]:
        await api.call("UpdatePullToPushTask", {"TaskId": task_id, "Inputs": list(inputs)})
        (item,) = (await api.call("ListPullToPushTask", {}))["List"]
        assert PLANTED not in json.dumps(item)
        return list(item["Inputs"])

    async with api.client:
        listed = await update({**camera, "Options": of_camera}, {**films, "Options": of_films})
        assert listed[0]["Options"] == {"FlashVer": "FMLE/3.0", "TcUrl": "rtmp://b.example/live?***", "KeepDrift": 1}
        assert listed[1]["Options"]["Headers"] == {"User-Agent": "a/1", "Cookie": "***"}
        before = (await spec_of(rest, task_id)).more_inputs
        assert before[1].options.to_json()["headers"]["Cookie"] == PLANTED
        for again in (listed, [camera, films], [{**camera, "Options": of_camera}, films]):
            await update(*again)
            assert (await spec_of(rest, task_id)).more_inputs == before
        assert (await update(films))[0]["Options"] == listed[1]["Options"]
        assert "Options" not in (await update({**films, "Options": {}}))[0]
        for wrong, field in (
            ({**films, "Options": {"Proxy": "h:80"}}, "Inputs[0].Options.Proxy"),
            ({**films, "Options": {"KeepDrift": 2}}, "Inputs[0].Options.KeepDrift"),
            ({**films, "Options": {"Headers": {"Host": "a"}}}, "Inputs[0].Options.Headers"),
            ({**camera, "Options": {"Bind": "eth0"}}, "Inputs[0].Options.Bind"),
        ):
            error = await api.refusal("UpdatePullToPushTask", {"TaskId": task_id, "Inputs": [wrong]})
            assert f"{field} (input 1): " in json.dumps(error)


async def test_inputs_that_differ_in_their_secrets_alone_can_be_sent_back(rest: Rest, store: Store) -> None:
    """A main and a backup ingest of one server look the same where they are shown; offsets stay over both APIs."""
    cameras = [{"kind": "live", "sources": [{"url": f"rtmp://cam.example/live/{PLANTED}{one}"}]} for one in "ab"]
    made = await rest.create(inputs=[*cameras, FILMS])
    before = (await spec_of(rest, made["task_id"])).more_inputs
    await rest.call("PATCH", f"/tasks/{made['task_id']}", {"inputs": made["inputs"]})
    assert (await spec_of(rest, made["task_id"])).more_inputs == before
    api = await make_api(store, ApiSettings(rates=NO_LIMITS))
    async with api.client:
        (item,) = (await api.call("ListPullToPushTask", {}))["List"]
        sent = {"TaskId": made["task_id"], "Type": item["Type"], "Inputs": item["Inputs"]}
        await api.call("UpdatePullToPushTask", sent)
    assert (await spec_of(rest, made["task_id"])).more_inputs == before


async def test_an_insert_that_would_never_come_is_refused(rest: Rest) -> None:
    """After the end of the task, or so far ahead that it can only be a slip: ten of them would be in the way of all."""
    path = f"/tasks/{(await rest.create(inputs=[CAMERA]))['task_id']}"
    endless = f"/tasks/{(await rest.create(inputs=[CAMERA], end_at='never'))['task_id']}"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    begins, ends = (tomorrow.isoformat(), (tomorrow + timedelta(hours=1)).isoformat())
    later = f"/tasks/{(await rest.create(inputs=[CAMERA], start_at=begins, end_at=ends))['task_id']}"
    daily = {"rule": "FREQ=DAILY", "time_zone": "UTC"}
    again = f"/tasks/{(await rest.create(inputs=[CAMERA], start_at=begins, end_at=ends, series=daily))['task_id']}"
    for one, days in (
        (path, 1),
        (endless, 8),
        (endless, 365_000),
        (later, 0),
        (later, 0.5),
        (again, 0.5),
        (again, 2.5),
    ):
        at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        body = {"url": "https://h.example/x.mp4", "at": at}
        assert (await rest.refusal(422, "POST", f"{one}/insert", body))["field"] == "at"
    for one, days in ((later, 1.01), (again, 1.01), (again, 3.01)):
        at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        await rest.call("POST", f"{one}/insert", {"url": "https://h.example/x.mp4", "at": at})


async def test_an_insert_at_the_end_of_all_time_is_refused(rest: Rest) -> None:
    """No window of a series was counted up to then, which ended in an error of ours where its clocks are ahead."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    begins, ends = (tomorrow.isoformat(), (tomorrow + timedelta(hours=1)).isoformat())
    daily = {"rule": "FREQ=DAILY", "time_zone": "Asia/Shanghai"}
    made = await rest.create(inputs=[CAMERA], start_at=begins, end_at=ends, series=daily)
    body = {"url": "https://h.example/x.mp4", "at": "9999-12-31T23:59:59Z"}
    assert (await rest.refusal(422, "POST", f"/tasks/{made['task_id']}/insert", body))["field"] == "at"


async def test_a_field_of_several_forms_is_named_as_it_is_given(rest: Rest) -> None:
    """Without the names that forms have in our code."""
    path = f"/tasks/{(await rest.create(inputs=[CAMERA]))['task_id']}"
    for method, one, body, field in (
        ("POST", "/switch", {"input": -1}, "input"),
        ("PATCH", "", {"end_at": "soon"}, "end_at"),
        ("PATCH", "", {"destination": {"server": 5, "key": ""}}, "destination"),
    ):
        assert (await rest.refusal(422, method, path + one, body))["field"] == field


async def test_a_file_that_waits_is_shown_and_taken_back(rest: Rest) -> None:
    """By its number, which is never given again; what has begun or never was is refused."""
    made = await rest.create(kind="vod", sources=[{"url": "https://h.example/a.mp4"}], start_at=now())
    path = f"/tasks/{made['task_id']}"
    assert made["inserts"] == []
    at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    await rest.call("POST", f"{path}/insert", {"url": f"https://h.example/b.mp4?t={PLANTED}", "at": at})
    next_one = {"url": "https://h.example/c.mp4", "start_s": 2.0, "end_s": 9.5, "after_item": True}
    shown = (await rest.call("POST", f"{path}/insert", next_one))["inserts"]
    assert [(one["number"], one["at"] is None, one["start_s"], one["end_s"]) for one in shown] == [
        (2, True, 2.0, 9.5),
        (1, False, 0.0, 0.0),
    ]
    assert PLANTED not in json.dumps(shown)
    orders = (await spec_of(rest, made["task_id"])).orders
    assert [(one.number, one.after_item) for one in orders] == [(1, False), (2, True)]
    left = (await rest.call("DELETE", f"{path}/inserts/2"))["inserts"]
    assert [one["number"] for one in left] == [1]
    assert [one.number for one in (await spec_of(rest, made["task_id"])).orders if one.item is not None] == [1]
    for number in (2, 3):
        error = await rest.refusal(422, "DELETE", f"{path}/inserts/{number}")
        assert error["field"] == "number"
        assert "cancelled" in error["message"]
    again = (await rest.call("POST", f"{path}/insert", next_one))["inserts"]
    assert sorted(one["number"] for one in again) == [1, 3]


async def test_what_follows_an_item_has_no_time_and_needs_a_list(rest: Rest) -> None:
    """Named by its field."""
    listed = await rest.create(kind="vod", sources=[{"url": "https://h.example/a.mp4"}])
    at = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    live = await rest.create(kind="live", sources=[{"url": "rtmp://cam.example/live/one"}])
    for task, more in ((listed, {"at": at}), (live, {})):
        body = {"url": "https://h.example/b.mp4", "after_item": True, **more}
        error = await rest.refusal(422, "POST", f"/tasks/{task['task_id']}/insert", body)
        assert error["field"] == "after_item"
