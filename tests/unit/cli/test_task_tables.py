"""The list of tasks in a terminal: a line each, and the reason of trouble in it."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from streamferry.cli.task_tables import narrow_table, show_event, show_task, show_tasks, state_of, watched
from streamferry.reasons import Code, Reason

NOW = datetime.now(UTC)
TROUBLE = {
    "since_at": (NOW - timedelta(hours=12, minutes=10)).isoformat(),
    "tries": 46,
    "fault": "user_destination",
    "reason": "the destination refused the stream: the key is in use by somebody else, as it says itself",
}


def task(task_id: str, title: str = "", status: str = "active", state: str = "streaming", **run: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "title": title,
        "status": status,
        "start_at": (NOW + timedelta(hours=2, minutes=50)).isoformat(),
        "end_at": (NOW + timedelta(days=3, hours=12)).isoformat(),
        "run": {"state": state, "kbps_out": 0, "reason": None, "trouble": None, **run},
    }


def shown(tasks: list[dict[str, Any]], width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(narrow_table(tasks, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


TASKS = [
    task("2a8e0000" + "0" * 24, "a title of 20 letters", kbps_out=1773),
    task("91c01234" + "0" * 24, "周末节目周末节目周末节目周末节目周末节目", state="connecting", trouble=TROUBLE),
    task("77770000" + "0" * 24, status="not_started", state="stopped"),
    task("88880000" + "0" * 24, status="disabled", state="stopped", reason="x"),
    task("99990000" + "0" * 24, status="ended", state="ended"),
]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_each_task_takes_one_line_of_any_terminal(width: int) -> None:
    """At 80 columns a task took eight, broken inside words."""
    head, *rows = shown(TASKS, width)
    assert head.split() == ["id", "title", "state", "reason", *(["kbps"] if width > 60 else []), "ends"]
    assert len(rows) == len(TASKS)
    assert [row.split()[0] for row in rows] == [one["task_id"][:8] for one in TASKS]
    for row, state in zip(rows, ("streaming", "retrying", "waiting", "stopped", "ended"), strict=True):
        assert f" {state} " in f"{row} "
    assert "12 h" in rows[1]
    assert rows[0].endswith("in 3 d")


def test_between_two_tries_a_task_is_in_trouble() -> None:
    """With its reason, the number of tries and since when; it was "connecting", without a word."""
    assert str(state_of(TASKS[1])) == "retrying (try 46)"
    assert f"12 h: {TROUBLE['reason']}" in shown(TASKS, 300)[2]


def test_ids_are_as_long_as_tells_them_apart() -> None:
    """Eight digits are enough but for two that begin alike."""
    alike = [task("2a8e123456" + end + "0" * 21) for end in "ab"]
    assert [row.split()[0] for row in shown(alike, 100)[1:]] == ["2a8e123456a", "2a8e123456b"]


def test_what_is_watched_has_trouble_on_top_and_says_how_old_it_is() -> None:
    """Also when the service is away: what was seen last stays, with the time it is of."""
    out = io.StringIO()
    page = {"tasks": TASKS, "total": 5}
    Console(file=out, width=100).print(watched(page, datetime(2026, 1, 31, 14, 46, 32), "it cannot be reached", 100))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("No contact since 14:46:32: it cannot be reached")
    assert [line.split()[0] for line in lines[2:]] == ["91c01234", "2a8e0000", "77770000", "88880000", "99990000"]


def test_files_have_the_names_that_people_gave_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A Chinese name was shown as it is on the wire; an address of a server stays as it is."""
    sources = [
        {"url": "file:///srv/media/%E5%91%A8%E6%9C%AB%20film.mp4", "start_s": 0, "end_s": 5},
        {"url": "https://h.example/a%20b.mp4", "start_s": 0, "end_s": 0},
    ]
    run = {"state": "stopped", "kbps_out": 0, "retries": 0, "dropped_tags": 0, "playhead": None, "worker_id": None}
    facts = {"group": "default", "kind": "vod", "loops": 1, "continue_strategy": "at_break", "watermark": None}
    said = {"destination": "rtmp://h.example/a/***", "callback_url": "", "version": 1, "sources": sources, "run": run}
    show_task({**TASKS[2], **facts, **said})
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines() if line.startswith("source")]
    assert [line[2].strip() for line in lines] == ["/srv/media/周末 film.mp4 to 5 s", "https://h.example/a%20b.mp4"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "https://calls.example/***"),
        ({"callback_failures": 0, "callbacks_ended": False}, "https://calls.example/***"),
        ({"callback_failures": 3, "callbacks_ended": False}, "not taken, failed tries in a row: 3"),
        ({"callback_failures": 0, "callbacks_ended": True}, "wants no more (410)"),
    ],
)
def test_callbacks_that_are_not_taken_are_told(
    facts: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside their address; a service of an older version says nothing of it."""
    run = {"state": "stopped", "kbps_out": 0, "retries": 0, "dropped_tags": 0, "playhead": None, "worker_id": None}
    said = {"group": "default", "kind": "live", "loops": -1, "continue_strategy": "at_break", "watermark": None}
    said |= {"destination": "rtmp://h.example/a/***", "callback_url": "https://calls.example/***", "version": 1}
    show_task({**TASKS[2], **said, "sources": [], "run": run, **facts})
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("callbacks")]
    assert line.rstrip().partition(" ")[2].strip().startswith("https://calls.example/***")
    assert words in line


def test_a_file_is_shown_by_the_name_that_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    """``%E5%91%A8%E6%9C%AB`` is for machines; and nothing in a name reaches the terminal as a command."""
    one = task("2a8e0000" + "0" * 24, "films") | {
        "sources": [{"url": "file:///srv/%E5%91%A8%E6%9C%AB%20one%1B%5B31m.mp4", "start_s": 0, "end_s": 0}],
        "destination": "rtmp://live.example/app/***",
    }
    one["run"] |= {"retries": 0, "playhead": None}
    show_tasks({"tasks": [one], "total": 1, "page": 1, "size": 50}, wide=True)
    assert "/srv/周末 one\ufffd[31m.mp4" in capsys.readouterr().out


def test_what_failed_was_said_to_have_ended() -> None:
    """A task that no worker took in its time has not been played."""
    run = {"state": "failed", "fault": "service", "reason": "was never started: no worker took it in its time"}
    one = task("2a8e0000" + "0" * 24, status="ended", **run)
    assert state_of(one).plain == "failed"
    assert "was never started" in shown([one], 200)[1]


def test_what_is_on_air_and_what_is_wrong_with_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """``task show`` said nothing of further inputs, the slate and the content; a list nothing of the content."""
    run = {"state": "streaming", "kbps_out": 900, "retries": 0, "dropped_tags": 0, "playhead": None, "worker_id": None}
    run |= {
        "on_air": {"shown": "input", "input": 1, "since_at": "2026-01-31T12:00:00Z", "reason": "input 0 is away"},
        "found": [{"fault": "black", "reason": "the picture has been black for 12 s"}],
    }
    said = {"group": "default", "kind": "live", "loops": -1, "continue_strategy": "at_break", "watermark": None}
    said |= {"destination": "rtmp://h.example/a/***", "callback_url": "", "version": 1, "sources": []}
    said |= {
        "inputs": [
            {
                "kind": "live",
                "sources": [{"url": "rtmp://b.example/live/***", "start_s": 0, "end_s": 0}],
                "warm": True,
                "options": {"flash_ver": "FMLE/3.0", "headers": {"Cookie": "***"}},
            }
        ],
        "slate": {"kind": "card", "title": "Back soon", "text": "", "clip": None},
        "switching": {"switch_after_s": 3.0, "return_after_s": 30.0, "returns": False, "normalize": "first"},
        "watch": {"black": {"threshold": 0.98, "duration_s": 10.0, "switches": True}},
        "pinned": 1,
    }
    one = {**TASKS[2], **said, "trouble": None, "status": "active", "run": {**TASKS[2]["run"], **run}}
    show_task(one)
    lines = {line[:16].rstrip(): " ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    told = "\n".join(lines.values())
    for words in (
        "content the picture has been black for 12 s",
        "on air input 1, since",
        "input 0 is away",
        "by hand input 1",
        "input 1 rtmp://b.example/live/***; warm; flash ver: FMLE/3.0; headers: Cookie: ***",
        "slate card Back soon",
        "switches after 3 s, back by hand, one form: first",
        "watch black 0.98 for 10 s, switches",
    ):
        assert words in told
    assert "the picture has been black" in shown([one], 200)[1]


def test_an_event_is_told_without_what_programs_read() -> None:
    """A switch ended in ``reason_code on_air.insert, reason_params {}``."""
    detail = {"from": "input 0", "to": "insert", **Reason.of(Code.ON_AIR_INSERT).told()}
    out = Console(width=200, record=True, file=io.StringIO())
    show_event({"at": "2026-12-01T00:00:00Z", "kind": "switched", "detail": detail}, out, with_task=False)
    assert out.export_text().rstrip().endswith("from input 0, to insert, a file was inserted")
