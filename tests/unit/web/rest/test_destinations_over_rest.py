"""Several destinations of a task over REST: added, changed, switched, removed, guarded, and never shown in full."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rest_api import PLANTED, Rest, new_task

from streamferry.control.relay_specs import relay_spec_of
from streamferry.control.store_ledger import StoreLedger
from streamferry.media.errors import Fault
from streamferry.reasons import Code, Reason
from streamferry.relay import DestinationStatus, Latency, RelayStatus, State
from streamferry.relay.spec import MAX_DESTINATIONS
from streamferry.relay.status import START
from streamferry.store import Store
from streamferry.worker import Change, Outcome, Report

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)

LIVE = {"kind": "live", "sources": [{"url": "rtmp://in.example/live/cam"}]}


def address(number: int) -> str:
    return f"rtmp://{number}.example/live/{PLANTED}{number}"


def files_with_it(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and PLANTED.encode() in one.read_bytes()]


async def make(rest: Rest, *destinations: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A live task with these destinations; with none, of two."""
    wanted = destinations or ({"to": address(1)}, {"to": address(2), "name": "Two"})
    made: dict[str, Any] = await rest.create(**LIVE, destination=None, destinations=list(wanted), **fields)
    return made


async def relayed(rest: Rest, task: dict[str, Any]) -> list[Any]:
    """What a worker would push to: (id, address)."""
    spec = relay_spec_of((await rest.actions.get_task(task["task_id"])).spec, START)
    return [(int(one.id), one.url.reveal()) for one in spec.destinations]


async def test_one_destination_is_a_list_of_one(rest: Rest) -> None:
    """As it ever was given; and its list can be sent back."""
    made = await rest.create(**LIVE, destination=address(1))
    (one,) = made["destinations"]
    assert (one["id"], one["to"], one["enabled"], one["run"]) == (1, made["destination"], True, None)
    sent = {"destinations": [{"id": 1, "to": one["to"]}]}
    again = await rest.call("PATCH", f"/tasks/{made['task_id']}", sent)
    assert await relayed(rest, again) == [(1, address(1))]


async def test_one_comes_is_changed_and_goes(rest: Rest) -> None:
    """Each keeps its number; the first may go, too, and the next is the first then."""
    made = await make(rest)
    path = f"/tasks/{made['task_id']}/destinations"
    apart = {"server": "rtmp://3.example/live", "key": f"{PLANTED}3"}
    added = await rest.call("POST", path, {"to": apart, "name": "x"})
    assert [one["id"] for one in added["destinations"]] == [1, 2, 3]
    assert (added["destinations"][2]["server"], added["destinations"][2]["name"]) == ("rtmp://3.example/live", "x")
    changed = await rest.call("PATCH", f"{path}/2", {"enabled": False, "name": "b", "latency": "low"})
    assert [one["enabled"] for one in changed["destinations"]] == [True, False, True]
    assert await relayed(rest, made) == [(1, address(1)), (3, f"rtmp://3.example/live/{PLANTED}3")]
    await rest.call("DELETE", f"{path}/1")
    await rest.call("PATCH", f"{path}/2", {"enabled": True, "latency": None})
    left = await rest.call("GET", f"/tasks/{made['task_id']}")
    assert [(one["id"], one["latency"]) for one in left["destinations"]] == [(2, None), (3, None)]
    assert left["destination"] == left["destinations"][0]["to"]
    assert (await relayed(rest, made))[0] == (2, address(2))
    # The lowest free number is given again.
    assert [one["id"] for one in (await rest.call("POST", path, {"to": address(4)}))["destinations"]] == [2, 3, 1]


async def test_a_key_is_changed_alone(rest: Rest) -> None:
    """What was shown, sent back, keeps each secret, also in another order."""
    made = await make(rest)
    path = f"/tasks/{made['task_id']}"
    first, second = made["destinations"]
    await rest.call("PATCH", path, {"destinations": [{"id": 2, "to": second["to"]}, {"id": 1, "to": first["to"]}]})
    assert await relayed(rest, made) == [(2, address(2)), (1, address(1))]
    await rest.call("PATCH", f"{path}/destinations/1", {"to": address(7)})
    assert await relayed(rest, made) == [(2, address(2)), (1, address(7))]
    # The field of one destination is that of the first.
    await rest.call("PATCH", path, {"destination": address(8)})
    assert await relayed(rest, made) == [(2, address(8)), (1, address(7))]


async def test_no_key_is_shown(rest: Rest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In no answer, event, sample, log, nor in the file of the store."""
    caplog.set_level("DEBUG")
    options = {"tc_url": f"rtmp://x.example/app?a={PLANTED}", "proxy": f"http://u:{PLANTED}@proxy.example:1"}
    made = await make(rest, {"to": address(1)}, {"to": address(2), "options": options})
    path = f"/tasks/{made['task_id']}"
    told = [made, *[await rest.call("GET", one) for one in (path, "/tasks", f"{path}/events", f"{path}/request")]]
    told.append(await rest.refusal(422, "POST", f"{path}/destinations", {"to": address(1)}))
    told.append(await rest.refusal(422, "POST", f"{path}/destinations", {"to": f"ftp://x/{PLANTED}"}))
    assert PLANTED not in json.dumps(told)
    assert PLANTED not in caplog.text
    assert not files_with_it(tmp_path)
    sample = told[4]["rest_body"]
    assert "destination" not in sample
    assert [one["id"] for one in sample["destinations"]] == [1, 2]


@pytest.mark.parametrize(
    ("destinations", "field"),
    [
        ([{"to": address(1)}, {"to": address(1)}], "destinations[1]"),
        ([{"to": address(1), "enabled": False}], "destinations"),
        ([{"to": address(1)}, {}], "destinations[1]"),
        ([{"to": address(1)}, {"to": "rtmp://h.example/nokey"}], "destinations[1]"),
        ([{"to": address(1)}, {"to": {"server": "http://x.example/a", "key": "k"}}], "destinations[1].server"),
        ([{"id": 1, "to": address(1)}, {"id": 1, "to": address(2)}], "destinations[1].id"),
        ([{"to": address(1), "backup_of": 2}, {"to": address(2)}], "destinations[0].backup_of"),
        ([{"to": address(1)}, {"to": "srt://h.example:1", "backup_of": 1}], "destinations[1].backup_of"),
        ([{"to": address(1)}, {"to": address(2), "name": "a\x1b[2J"}], "destinations[1].name"),
        ([{"to": address(1)}, {"to": address(2), "name": "two\nlines"}], "destinations[1].name"),
        ([{"to": address(n)} for n in range(MAX_DESTINATIONS + 1)], "destinations"),
        ([{"to": address(1), "options": {"headers": {"A": "b"}}}], "destinations[0].options.headers"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(rest: Rest, destinations: list[Any], field: str) -> None:
    """The field is the one to look at."""
    body = new_task(**LIVE, destination=None, destinations=destinations)
    refusal = await rest.refusal(422, "POST", "/tasks", body)
    assert refusal["field"] == field
    assert PLANTED not in json.dumps(refusal)


async def test_the_last_that_is_on_stays_on_and_a_list_may_have_several(rest: Rest) -> None:
    """Who wants to end all of them stops the task."""
    made = await make(rest)
    path = f"/tasks/{made['task_id']}"
    await rest.call("PATCH", f"{path}/destinations/1", {"enabled": False})
    for method, body in (("PATCH", {"enabled": False}), ("DELETE", None)):
        assert (await rest.refusal(422, method, f"{path}/destinations/2", body))["field"] == "destinations"
    assert (await rest.refusal(422, "PATCH", f"{path}/destinations/9", {"name": "a"}))["field"] == "destination_id"
    files = {"kind": "vod", "sources": [{"url": "https://h.example/a.mp4"}]}
    await rest.call("PATCH", path, files)
    await rest.call("PATCH", f"{path}/destinations/1", {"enabled": True})
    both = relay_spec_of((await rest.actions.get_task(made["task_id"])).spec, START).destinations
    assert [(one.id, one.url.reveal()) for one in both] == [("1", address(1)), ("2", address(2))]
    await rest.call("PATCH", path, {"destinations": [{"id": 2}]})
    (only,) = relay_spec_of((await rest.actions.get_task(made["task_id"])).spec, START).destinations
    assert only.url.reveal() == address(2)


async def test_a_pair_loses_its_partner(rest: Rest) -> None:
    """The backup of one that goes is a destination like any other; of one that is off it is none meanwhile."""
    made = await make(rest, {"to": address(1)}, {"to": address(2)}, {"to": address(3), "backup_of": 2})
    path = f"/tasks/{made['task_id']}/destinations"

    async def pairs() -> list[str | None]:
        spec = relay_spec_of((await rest.actions.get_task(made["task_id"])).spec, START)
        return [one.backup_of for one in spec.others]

    assert await pairs() == [None, "2"]
    await rest.call("PATCH", f"{path}/2", {"enabled": False})
    assert await pairs() == [None]
    await rest.call("PATCH", f"{path}/2", {"enabled": True})
    assert await pairs() == [None, "2"]
    left = await rest.call("DELETE", f"{path}/2")
    assert [one["backup_of"] for one in left["destinations"]] == [None, None]


async def test_no_two_tasks_push_to_one_of_them(rest: Rest) -> None:
    """Whichever of the destinations of either it is; one that is switched off or gone is free."""
    made = await make(rest)
    path = f"/tasks/{made['task_id']}/destinations"
    other = await make(rest, {"to": address(5)}, {"to": address(6)})
    theirs = f"/tasks/{other['task_id']}/destinations"
    for number in (1, 2):
        refusal = await rest.refusal(409, "POST", theirs, {"to": address(number)})
        assert made["task_id"] in refusal["message"]
    await rest.refusal(409, "POST", path, {"to": address(6)})
    await rest.call("PATCH", f"{path}/2", {"enabled": False})
    await rest.call("POST", theirs, {"to": address(2)})
    await rest.refusal(409, "PATCH", f"{path}/2", {"enabled": True})
    await rest.call("DELETE", f"{theirs}/3")
    await rest.call("PATCH", f"{path}/2", {"enabled": True})
    await rest.call("DELETE", f"/tasks/{made['task_id']}")
    await rest.call("POST", theirs, {"to": address(2)})
    await rest.call("POST", theirs, {"to": address(1)})


async def test_latency_of_each(rest: Rest) -> None:
    """Its own, or that of the task; also of the first."""
    latencies = ({"to": address(1), "latency": "dense"}, {"to": address(2)}, {"to": address(3), "latency": "low"})
    made = await make(rest, *latencies, latency="normal")
    spec = relay_spec_of((await rest.actions.get_task(made["task_id"])).spec, START)
    assert [one.latency or spec.latency for one in spec.destinations] == [Latency.DENSE, Latency.NORMAL, Latency.LOW]
    assert spec.visits == Latency.LOW.visits


async def test_how_each_is_doing_is_shown_and_told(rest: Rest, store: Store) -> None:
    """In the view of the task, in its events and in its callbacks: by number, and nothing secret."""
    now = datetime.now(UTC)
    made = await make(rest, callback_url="http://calls.example/", start_at=(now - timedelta(minutes=1)).isoformat())
    ledger = StoreLedger(store, "w", capacity=5)
    await ledger.register()
    await ledger.poll(0, 5)
    (held,) = (await ledger.assignments({})).values()
    assert held is not None
    why = Reason.of(Code.DESTINATION_CLOSED)
    second = DestinationStatus("2", State.RETRYING, 10, 20, 3, 400, 1.5, 7, Fault.USER_DESTINATION, why)
    status = RelayStatus(State.STREAMING, destinations=(DestinationStatus("1", State.STREAMING, 5), second))
    changes = (Change(status, 0.0), Change(status, 0.0, destination=second))
    await ledger.report([Report(held.task_id, held.epoch, held.version, status, changes, {}, None, None)], 1, None)
    path = f"/tasks/{made['task_id']}"
    shown = (await rest.call("GET", path))["destinations"]
    assert [one["run"]["state"] for one in shown] == ["streaming", "retrying"]
    run = shown[1]["run"]
    assert (run["kbps_out"], run["dropped_tags"], run["lost_s"], run["retries"]) == (20, 3, 0.4, 7)
    assert (run["fault"], run["reason"]) == ("user_destination", str(why))
    last, before = (await rest.call("GET", f"{path}/events"))[:2]
    assert (before["kind"], before["detail"]["destination"]) == ("streaming", 1)
    assert (last["kind"], last["detail"]["destination"]) == ("destination_changed", 2)
    assert last["detail"]["destination_state"] == "retrying"
    sent = (await rest.call("GET", "/callbacks"))["deliveries"]
    details = {one["event"]: one["detail"] for one in sent}
    told = {event: (one["state"], one["destination"], one.get("destination_state")) for event, one in details.items()}
    assert told == {"streaming": ("streaming", 1, None), "destination_changed": ("streaming", 2, "retrying")}
    # Nothing is happening any more once no worker has it.
    await rest.call("POST", f"{path}/stop")
    gone = replace(status, state=State.STOPPED)
    report = Report(held.task_id, held.epoch, held.version, gone, (), {}, None, Outcome.HANDED_BACK)
    await ledger.report([report], 0, None)
    assert [one["run"] for one in (await rest.call("GET", path))["destinations"]] == [None, None]


async def test_a_new_one_has_nothing_of_one_that_goes(rest: Rest) -> None:
    """Though it gets its number: neither its name, nor that it is off, nor what its server was told."""
    gone = {"to": address(2), "name": "Two", "enabled": False, "latency": "low"}
    made = await make(rest, {"to": address(1)}, gone | {"options": {"tc_url": f"rtmp://2.example/live?t={PLANTED}"}})
    sent = {"destinations": [{"id": 1}, {"to": address(7)}]}
    new = (await rest.call("PATCH", f"/tasks/{made['task_id']}", sent))["destinations"][1]
    assert (new["id"], new["name"], new["enabled"], new["latency"]) == (2, "", True, None)
    spec = relay_spec_of((await rest.actions.get_task(made["task_id"])).spec, START)
    assert spec.others[0].options == spec.destination_options


async def test_a_backup_of_one_that_is_not_rtmp_any_more_is_a_destination_of_its_own(rest: Rest) -> None:
    """The task goes on: it is not one that no worker can run."""
    made = await make(rest, {"to": address(1)}, {"to": address(2), "backup_of": 1})
    changed = await rest.call("PATCH", f"/tasks/{made['task_id']}/destinations/1", {"to": "srt://1.example:9000"})
    assert [one["backup_of"] for one in changed["destinations"]] == [None, None]
    assert len(await relayed(rest, made)) == 2
