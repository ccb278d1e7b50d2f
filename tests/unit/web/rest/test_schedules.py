"""When tasks run and what plays when, over REST and a real store."""

import csv
from datetime import UTC, datetime, timedelta

import icalendar
import pytest
from rest_api import PLANTED, Rest, new_task

from streamferry.reasons import Code, Reason
from streamferry.store import events
from streamferry.store.events import NewEvent
from streamferry.tasks.times import to_ms

pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(hour=20, minute=0, second=0, microsecond=0)
DAILY = {"rule": "FREQ=DAILY;COUNT=3", "time_zone": "UTC"}


def evening(**fields: object) -> dict[str, object]:
    """From 20:00 to 21:00 UTC, tomorrow at first."""
    ends = TOMORROW + timedelta(hours=1)
    return new_task(start_at=TOMORROW.isoformat(), end_at=ends.isoformat(), **fields)


async def test_a_series_is_made_shown_changed_and_removed(rest: Rest) -> None:
    """As it was given; a change of anything else leaves it alone."""
    made = await rest.call("POST", "/tasks", evening(series=DAILY))
    assert made["series"] == {**DAILY, "exdates": [], "rdates": [], "slate_between": False}
    path = f"/tasks/{made['task_id']}"
    assert (await rest.call("PATCH", path, {"title": "News"}))["series"] == made["series"]
    exdate = TOMORROW.replace(tzinfo=None).isoformat()
    changed = await rest.call("PATCH", path, {"series": {**DAILY, "exdates": [exdate]}})
    assert datetime.fromisoformat(changed["start_at"]) == TOMORROW + timedelta(days=1)
    moved = await rest.call("PATCH", path, {"end_at": (TOMORROW + timedelta(days=1, hours=2)).isoformat()})
    assert (datetime.fromisoformat(moved["end_at"]) - datetime.fromisoformat(moved["start_at"])).seconds == 7200
    removed = await rest.call("PATCH", path, {"series": None})
    assert (removed["series"], removed["start_at"]) == (None, moved["start_at"])


async def test_the_slate_between_windows(rest: Rest) -> None:
    """It needs a slate, as long as it is asked for; the guide has it between two windows."""
    series = {**DAILY, "slate_between": True}
    refused = await rest.refusal(422, "POST", "/tasks", evening(series=series))
    assert (refused["field"], "needs a slate" in refused["message"]) == ("series.slate_between", True)
    made = await rest.call("POST", "/tasks", evening(series=series, slate={"title": "Soon"}))
    path = f"/tasks/{made['task_id']}"
    assert made["series"]["slate_between"]
    assert (await rest.call("PATCH", path, {"title": "News"}))["series"] == made["series"]
    refused = await rest.refusal(422, "PATCH", path, {"slate": None})
    assert refused["field"] == "series.slate_between"
    guide = await rest.call("GET", f"{path}/guide?limit=9")
    assert [one["slate"] for one in guide["entries"]] == [False, True, False, True, False]
    between = (TOMORROW + timedelta(hours=3)).isoformat().replace("+00:00", "Z")
    [at] = (await rest.call("GET", f"{path}/guide?limit=1&at={between}"))["entries"]
    assert (at["slate"], at["source"]) == (True, "")
    assert datetime.fromisoformat(at["end_at"]) == TOMORROW + timedelta(days=1)
    ended = await rest.call("PATCH", path, {"series": DAILY, "slate": None})
    assert (ended["series"]["slate_between"], ended["slate"]) == (False, None)


async def test_the_log_has_windows_without_the_slate_between_them(rest: Rest) -> None:
    """Of a live source: from when it came on air to the end of its window; also where a run began with the slate."""
    task_id = (await rest.create(kind="live", sources=[{"url": "rtmp://studio.example/live/a"}]))["task_id"]
    began_ms = to_ms(datetime.now(UTC))
    between, well = Reason.of(Code.ON_AIR_BETWEEN).told(), Reason.of(Code.ON_AIR_WELL, input=0).told()
    told: list[tuple[str, dict[str, object]]] = [
        ("streaming", {}),
        ("switched", {"from": "input 0", "to": "slate", **between}),
        ("lost", {}),
        ("streaming", {"on_air": "slate"}),
        ("switched", {"from": "slate", "to": "input 0", **well}),
        ("switched", {"from": "input 0", "to": "slate", **between}),
    ]
    async with rest.actions._store.write() as connection:
        await events.append(
            connection, [NewEvent(task_id, kind, began_ms + 1000 * n, detail) for n, (kind, detail) in enumerate(told)]
        )
    answer = await rest.client.get(f"/tasks/{task_id}/as_run.csv")
    rows = list(csv.DictReader(answer.text.splitlines(keepends=True)))
    assert [(row["seconds"], row["ended_by"]) for row in rows] == [("1.0", "window_over")] * 2


async def test_a_task_without_an_end(rest: Rest) -> None:
    """It stays so when anything else is changed, and gets an end when one is given."""
    made = await rest.create(end_at="never")
    path = f"/tasks/{made['task_id']}"
    assert made["end_at"] == "never"
    assert (await rest.call("PATCH", path, {"title": "Forever"}))["end_at"] == "never"
    assert (await rest.call("PATCH", path, {"end_at": evening()["end_at"]}))["end_at"] != "never"
    assert (await rest.call("PATCH", path, {"end_at": "never"}))["end_at"] == "never"
    for end_at in ("9998-12-31T23:59:59Z", (TOMORROW + timedelta(days=30)).isoformat()):
        refused = await rest.refusal(422, "POST", "/tasks", new_task(end_at=end_at))
        assert (refused["field"], "at most 7 days" in refused["message"]) == ("end_at", True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"series": {"rule": "FREQ=HOURLY", "time_zone": "UTC"}}, "series.rule"),
        ({"series": {"rule": "FREQ=DAILY", "time_zone": "Moon"}}, "series.time_zone"),
        ({"series": {**DAILY, "exdates": ["soon"]}}, "series.exdates"),
        ({"series": {**DAILY, "rdates": ["2027-01-01T20:00Z"]}}, "series.rdates"),
        ({"series": DAILY, "end_at": "never"}, "end_at"),
        ({"series": {"rule": "FREQ=DAILY"}}, "series.time_zone"),
    ],
)
async def test_a_bad_series_is_refused_by_the_name_of_its_field(
    rest: Rest, changes: dict[str, object], field: str
) -> None:
    """And nothing is made."""
    assert (await rest.refusal(422, "POST", "/tasks", evening() | changes))["field"] == field
    assert (await rest.call("GET", "/tasks"))["total"] == 0


async def test_the_windows_of_a_series(rest: Rest) -> None:
    """All that are to come; and of one that is over what happened in it."""
    made = await rest.call("POST", "/tasks", evening(series=DAILY))
    async with rest.actions._store.write() as connection:
        detail = {"start": 1_700_000_000, "end": 1_700_003_600, "state": "ended", "media_time_ms": 1500, "retries": 2}
        await events.append(connection, [NewEvent(made["task_id"], "moved_on", to_ms(TOMORROW), detail)])
    found = await rest.call("GET", f"/tasks/{made['task_id']}/windows")
    assert [datetime.fromisoformat(one["start_at"]) for one in found["upcoming"]] == [
        TOMORROW + timedelta(days=day) for day in range(3)
    ]
    (past,) = found["past"]
    assert (past["state"], past["media_time_s"], past["retries"], past["lost_s"]) == ("ended", 1.5, 2, 0)
    once = await rest.create()
    assert len((await rest.call("GET", f"/tasks/{once['task_id']}/windows"))["upcoming"]) == 1


async def test_what_plays_at_a_time(rest: Rest) -> None:
    """By the offsets, as long as nothing has been seen of the files; no secret of an address is shown."""
    sources = [{"url": f"https://h.example/{n}.mp4?token={PLANTED}", "end_s": 600} for n in range(2)]
    made = await rest.call("POST", "/tasks", evening(sources=sources))
    at = (TOMORROW + timedelta(minutes=15)).isoformat().replace("+", "%2B")
    found = await rest.call("GET", f"/tasks/{made['task_id']}/guide?at={at}&limit=1")
    (entry,) = found["entries"]
    assert (entry["item"], entry["loop"]) == (1, 0)
    assert datetime.fromisoformat(entry["end_at"]) == TOMORROW + timedelta(minutes=20)
    assert PLANTED not in str(found)
    await rest.call("POST", f"/tasks/{made['task_id']}/stop")
    assert (await rest.call("GET", f"/tasks/{made['task_id']}/guide"))["entries"] == []
    assert (await rest.refusal(404, "GET", f"/tasks/{'0' * 32}/guide"))["code"] == "task_not_found"


async def test_the_log_of_what_was_played(rest: Rest) -> None:
    """A line each, with when, which, how it ended and why, read back by a reader of CSV."""
    made = await rest.create(sources=[{"url": f"https://h.example/{n}.mp4?t={PLANTED}"} for n in range(3)])
    task_id, began_ms = made["task_id"], to_ms(datetime.now(UTC))

    def place(loop: int, item: int) -> dict[str, object]:
        return {"playhead": {"loop": loop, "item": item, "position_ms": 0}}

    told = [
        ("item_started", place(0, 0)),
        ("streaming", place(0, 0)),
        ("item_finished", place(0, 0)),
        ("item_failed", {**place(0, 1), "reason": 'it is, as "they" say,\nno film'}),
        ("item_started", place(0, 2)),
        ("retrying", {**place(0, 2), "reason": "the destination is away"}),
        ("item_started", place(1, 0)),
    ]
    async with rest.actions._store.write() as connection:
        await events.append(
            connection, [NewEvent(task_id, kind, began_ms + 1000 * n, detail) for n, (kind, detail) in enumerate(told)]
        )
    answer = await rest.client.get(f"/tasks/{task_id}/as_run.csv")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    rows = list(csv.DictReader(answer.text.splitlines(keepends=True)))
    assert [(row["loop"], row["item"], row["seconds"], row["ended_by"], row["reason"]) for row in rows] == [
        ("0", "0", "2.0", "finished", ""),
        ("0", "1", "0.0", "failed", 'it is, as "they" say,\nno film'),
        ("0", "2", "1.0", "retrying", "the destination is away"),
        ("1", "0", "", "", ""),
    ]
    assert PLANTED not in answer.text
    # However far it is asked for.
    assert (await rest.client.get(f"/tasks/{task_id}/as_run.csv?until_at=9999-12-31T23:59:59Z")).text == answer.text
    assert (await rest.refusal(404, "GET", f"/tasks/{'0' * 32}/as_run.csv"))["code"] == "task_not_found"


_INSERT, _OVER = Reason.of(Code.ON_AIR_INSERT).told(), Reason.of(Code.ON_AIR_INSERT_OVER).told()
_FAILED = Reason.of(Code.ON_AIR_INSERT_FAILED, why=Reason.text("gone")).told()
_DOWN, _WELL = Reason.of(Code.ON_AIR_DOWN, input=0).told(), Reason.of(Code.ON_AIR_WELL, input=0).told()
_AD, _NEXT = {"file": "file:ad.mp4"}, {"file": "https://h.example/next.mp4?t=***"}
_PLACE = {"playhead": {"loop": 0, "item": 0, "position_ms": 0}}


def _switched(before: str, after: str, **detail: object) -> tuple[str, dict[str, object]]:
    return "switched", {"from": before, "to": after, **detail}


@pytest.mark.parametrize(
    ("kind", "told", "rows"),
    [
        (
            "live",
            [
                ("streaming", {}),
                _switched("input 0", "insert", **_AD, **_INSERT),
                _switched("insert", "insert", **_NEXT, **_INSERT),
                _switched("insert", "input 1", **_NEXT, **_OVER),
                _switched("input 1", "input 1", **_AD, **_FAILED),
                ("stopped", {}),
            ],
            [
                ("cam", "1.0", "insert"),
                ("ad", "1.0", "next"),
                ("next", "1.0", "finished"),
                ("ad", "0.0", "failed"),
                ("backup", "2.0", "stopped"),
            ],
        ),
        (
            "live",
            [
                ("streaming", {}),
                _switched("input 0", "input 1", **_DOWN),
                ("retrying", {"reason": "the destination is away"}),
                ("streaming", {}),
                _switched("input 1", "slate", **_DOWN),
                _switched("slate", "input 2", **_DOWN),
                _switched("input 2", "input 0", **_WELL),
                ("lost", {}),
                ("claimed", {}),
                ("streaming", {}),
            ],
            [
                ("cam", "1.0", "switch"),
                ("backup", "1.0", "retrying"),
                ("backup", "1.0", "switch"),
                ("films", "1.0", "switch"),
                ("cam", "1.0", "lost"),
                ("cam", "", ""),
            ],
        ),
        (
            "vod",
            [
                ("item_started", _PLACE),
                _switched("input 0", "input 1", **_DOWN),
                _switched("input 1", "input 0", **_WELL),
                ("item_finished", _PLACE),
            ],
            [("cam", "1.0", "switch"), ("backup", "1.0", "switch"), ("cam", "1.0", "finished")],
        ),
        (
            "live",
            [
                ("streaming", {}),
                _switched("input 0", "insert", **_AD, **_INSERT),
                ("lost", {}),
                ("streaming", {"on_air": "insert", **_NEXT}),
                _switched("insert", "slate", **_NEXT, **_OVER),
                _switched("slate", "input 0", **_WELL),
            ],
            [
                ("cam", "1.0", "insert"),
                ("ad", "1.0", "lost"),
                ("next", "1.0", "finished"),
                ("cam", "", ""),
            ],
        ),
        (
            "vod",
            [
                ("item_started", _PLACE),
                _switched("input 0", "insert", **_AD, **_INSERT),
                ("item_failed", {"playhead": {"loop": 0, "item": 1, "position_ms": 0}}),
                ("streaming", _PLACE),
                _switched("insert", "input 0", **_AD, **_FAILED),
                ("item_finished", _PLACE),
                _switched("input 0", "insert", **_NEXT, **_INSERT),
                _switched("insert", "input 0", **_NEXT, **_OVER),
                ("item_started", _PLACE),
            ],
            [
                ("cam", "1.0", "insert"),
                ("", "0.0", "failed"),
                ("ad", "3.0", "failed"),
                ("cam", "1.0", "finished"),
                ("next", "1.0", "finished"),
                ("cam", "", ""),
            ],
        ),
    ],
)
async def test_the_log_has_what_was_on_air(
    rest: Rest, kind: str, told: list[tuple[str, dict[str, object]]], rows: list[tuple[str, str, str]]
) -> None:
    """Each file that was inserted, and each further input, from when it came on air to its end; what was on air before
    in parts. The log had the source while its backup was shown, or the slate."""
    films = [{"url": f"https://h.example/{name}.mp4?t={PLANTED}"} for name in ("a", "b")]
    inputs = [
        {"kind": "live", "sources": [{"url": f"https://h.example/live.flv?backup={PLANTED}"}]},
        {"kind": "vod", "sources": films},
    ]
    made = await rest.create(kind=kind, sources=[{"url": f"https://h.example/cam?t={PLANTED}"}], inputs=inputs)
    began_ms = to_ms(datetime.now(UTC))
    async with rest.actions._store.write() as connection:
        await events.append(
            connection,
            [NewEvent(made["task_id"], event, began_ms + 1000 * n, detail) for n, (event, detail) in enumerate(told)],
        )
    answer = await rest.client.get(f"/tasks/{made['task_id']}/as_run.csv")
    found = list(csv.DictReader(answer.text.splitlines(keepends=True)))
    sources = {one["file"]: name for name, one in (("ad", _AD), ("next", _NEXT))}
    backup, listed = ([source["url"] for source in one["sources"]] for one in made["inputs"])
    sources |= {" ".join(backup): "backup", " ".join(listed): "films"}
    shown = [
        (sources.get(row["source"], "cam" if row["source"] else ""), row["seconds"], row["ended_by"]) for row in found
    ]
    assert shown == rows
    assert PLANTED not in answer.text


async def test_a_calendar_subscribes_without_signing_in(rest: Rest) -> None:
    """By an address that reads this and nothing else, and ends with its key."""
    made = await rest.call("POST", "/tasks", evening(series=DAILY, title="News"))
    stopped = await rest.create(title="Stopped")
    await rest.call("POST", f"/tasks/{stopped['task_id']}/stop")
    await rest.create(title="Forever", end_at="never")
    link = (await rest.call("GET", "/calendar_link"))["path"]
    token = link.partition("token=")[2]
    answer = await rest.client.get(f"/calendar.ics?token={token}", headers={"authorization": ""})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    shown = [
        (str(one["summary"]), one.decoded("dtstart"))
        for one in icalendar.Calendar.from_ical(answer.content).walk("VEVENT")
    ]
    assert sorted(shown)[1:] == [("News", TOMORROW + timedelta(days=day)) for day in range(3)]
    assert shown[0][0] == "Forever"
    assert PLANTED not in answer.text
    for path in (f"/tasks?token={token}", "/calendar.ics?token=sfcal1.QUs." + "0" * 32, "/calendar.ics"):
        await rest.refusal(401, "GET", path, headers={"authorization": ""})
    await rest.refusal(401, "GET", "/tasks", headers={"authorization": f"Bearer {token}"})
    await rest.refusal(401, "POST", f"/calendar.ics?token={token}", headers={"authorization": ""})
    bearer = await rest.client.get("/calendar.ics?group=other")
    assert (bearer.status_code, "VEVENT" in bearer.text) == (200, False)
    await rest.actions.disable_key(rest.key.access_key_id)
    await rest.refusal(401, "GET", f"/calendar.ics?token={token}", headers={"authorization": ""})
    assert made["task_id"] in answer.text
