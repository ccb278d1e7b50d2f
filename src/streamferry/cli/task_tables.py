"""Tasks and events as tables for people. What is shown comes from REST, which shows no secrets."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from streamferry.cli.task_rows import (
    air_rows,
    content_of,
    destination_rows,
    insert_of,
    named_source,
    series_rows,
    source_of,
    time_of,
    told,
)
from streamferry.cli.text_options import text_rows

#: Wide enough that nothing is cut off in a pipe or a file.
_PIPE_COLUMNS = 240
_STYLES = {
    "streaming": "green",
    "stalled": "yellow",
    "retrying": "yellow",
    "recovering": "yellow",
    "failed": "red",
    "stopped": "dim",
    "ended": "dim",
}


#: States that REST names differently -> the words of the dashboard.
_WORDS = {"disabled": "stopped", "not_started": "waiting", "ended": "ended"}
_ORDER = {"preparing": 1, "connecting": 1, "streaming": 2, "waiting": 3, "stopped": 4, "ended": 5}
_SHORT_ID = 8
#: A narrower terminal has no column for the rate: the reason is worth more.
_RATE_COLUMNS = 76
_FAULTS = {"user_source": "the source", "user_destination": "the destination", "service": "the service"}

#: What a destination is sent, where that is not what the source sends.
_CODECS = {"h264": "H.264 and AAC only", "h264_if_needed": "H.264 and AAC where the destination lists nothing else"}


def console() -> Console:
    """The console on standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_COLUMNS)


def show_tasks(page: Mapping[str, Any], *, wide: bool) -> None:
    """A page of tasks, fitted to the terminal's width; in a pipe everything."""
    out = console()
    out.print(_wide_table(page["tasks"]) if wide or not sys.stdout.isatty() else narrow_table(page["tasks"], out.width))
    first = (page["page"] - 1) * page["size"]
    shown = f"{first + 1} to {first + len(page['tasks'])} of " if page["tasks"] else ""
    out.print(f"{shown}{page['total']} tasks", style="dim")


def watched(page: Mapping[str, Any], heard_at: datetime, problem: str, width: int) -> Group:
    """The same for ``watch``: tasks in trouble first, and the age of the data."""
    tasks = sorted(page["tasks"], key=lambda task: (trouble_of(task) is None, _ORDER.get(str(state_of(task)), 0)))
    head = Text(f"{page['total']} tasks at {heard_at:%H:%M:%S}", style="dim")
    if problem:
        head = Text(f"No contact since {heard_at:%H:%M:%S}: {problem}", style="bold red")
    return Group(head, narrow_table(tasks, width))


def narrow_table(tasks: Sequence[Mapping[str, Any]], width: int) -> Table:
    """The most important columns, one line per task; what does not fit is cut where least is lost."""
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True, collapse_padding=True)
    table.add_column("id", no_wrap=True)
    table.add_column("title", no_wrap=True, overflow="ellipsis", max_width=min(24, max(8, width - 62)))
    table.add_column("state", no_wrap=True)
    table.add_column("reason", no_wrap=True, overflow="ellipsis", ratio=1, min_width=8)
    has_rate = width >= _RATE_COLUMNS
    if has_rate:
        table.add_column("kbps", no_wrap=True, justify="right")
    table.add_column("ends", no_wrap=True, justify="right")
    now = datetime.now(UTC)
    length = _id_length([task["task_id"] for task in tasks])
    for task in tasks:
        table.add_row(
            task["task_id"][:length],
            Text(task["title"]),
            state_of(task),
            Text(_reason(task, now), style="yellow"),
            *([str(task["run"]["kbps_out"] or "")] if has_rate else []),
            _when(task, now),
        )
    return table


def _wide_table(tasks: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("task id", no_wrap=True)
    for name in ("title", "state", "reason", "kbps", "at", "retries", "source", "destination", "ends"):
        table.add_column(name, overflow="fold", justify="right" if name in ("kbps", "retries") else "left")
    now = datetime.now(UTC)
    for task in tasks:
        run = task["run"]
        table.add_row(
            task["task_id"],
            Text(task["title"]),
            state_of(task),
            Text(_reason(task, now)),
            str(run["kbps_out"] or ""),
            _place(run["playhead"]),
            str(run["retries"] or ""),
            Text(_sources(task)),
            Text(task["destination"]),
            _end(task),
        )
    return table


def _id_length(ids: Sequence[str]) -> int:
    """How much of each id is shown: eight digits, or as many as tell these apart."""
    length = _SHORT_ID
    while length < 32 and len({one[:length] for one in ids}) < len(set(ids)):
        length += 1
    return length


def _reason(task: Mapping[str, Any], now: datetime) -> str:
    """What keeps it from streaming, and for how long so far; or what is wrong with what it sends."""
    trouble = trouble_of(task)
    if trouble is None:
        return str(task["run"]["reason"]) if _has_failed(task) else content_of(task)
    return f"{_span(now - datetime.fromisoformat(trouble['since_at']))}: {trouble['reason']}"


def _when(task: Mapping[str, Any], now: datetime) -> str:
    """When it ends or, if it waits, begins."""
    if task["status"] == "not_started":
        return f"starts {_span(datetime.fromisoformat(task['start_at']) - now)}"
    if task["end_at"] == "never":
        return "no end"
    left = datetime.fromisoformat(task["end_at"]) - now
    return f"in {_span(left)}" if left > timedelta(0) else ""


def _end(task: Mapping[str, Any]) -> str:
    return "no end" if task["end_at"] == "never" else time_of(task["end_at"])


def _span(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _sends(run: Mapping[str, Any]) -> str:
    words = [f"{run['kbps_out']} kbps", f"{run['retries']} retries", f"{run['dropped_tags']} frames dropped"]
    if lost_packets := run.get("lost_packets"):
        words.append(f"{lost_packets} packets lost")
    if lost_s := run.get("lost_s"):
        words.append(f"{lost_s:.1f} s lost")
    if (rtt_ms := run.get("rtt_ms")) is not None:
        words.append(f"round trip {rtt_ms:.0f} ms")
    return ", ".join(words)


def show_task(task: Mapping[str, Any]) -> None:
    """One task, one line per fact."""
    run, mark = task["run"], task["watermark"]
    rows: list[tuple[str, str | Text]] = [
        ("task id", task["task_id"]),
        ("title", task["title"]),
        *text_rows(task),
        ("group", task["group"]),
        ("state", state_of(task)),
        ("why", _why(task)),
        ("content", Text(content_of(task), style="yellow")),
        ("sends", _sends(run)),
        ("stands", _place(run["playhead"])),
        ("worker", run["worker_id"] or ""),
        ("window", f"{time_of(task['start_at'])} to {_end(task)}"),
        *series_rows(task.get("series")),
        *air_rows(task),
        *((f"insert {one['number']}", insert_of(one)) for one in task.get("inserts") or []),
        *((f"source {number}", source_of(one)) for number, one in enumerate(task["sources"], 1)),
        ("destination", task["destination"]),
        ("server", task.get("destination_server") or ""),
        *destination_rows(task.get("destinations") or []),
        *(
            (f"{end}: {name.replace('_', ' ')}", told(value))
            for end in ("source", "destination")
            for name, value in task.get(f"{end}_options", {}).items()
        ),
        ("loops", ("without end" if task["loops"] < 0 else str(task["loops"])) if task["kind"] == "vod" else ""),
        ("continues", task["continue_strategy"].replace("_", " ") if task["kind"] == "vod" else ""),
        ("latency", task.get("latency", "") if task["kind"] == "live" else ""),
        ("codecs", _CODECS.get(task.get("codecs", ""), "")),
        ("runs on", ", ".join(task.get("placement", ()))),
        ("priority", str(task.get("priority") or "")),
        ("watermark", f"{mark['media_type']} at {mark['x']:g},{mark['y']:g}, {mark['ratio']:g} wide" if mark else ""),
        ("callbacks", Text(task["callback_url"]) + Text(_callback_trouble(task), style="yellow")),
        ("version", str(task["version"])),
    ]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value:
            table.add_row(name, value if isinstance(value, Text) else Text(value))
    console().print(table)


def show_done(task: Mapping[str, Any]) -> None:
    """The result of an action on a task."""
    console().print(Text(f"{task['task_id']}  ") + state_of(task))


def show_event(event: Mapping[str, Any], out: Console, *, with_task: bool) -> None:
    """One event on one line."""
    line = Text(f"{time_of(event['at'], seconds=True)}  ", style="dim")
    if with_task:
        line.append(f"{event['task_id']}  ")
    line.append(f"{event['kind']:<13}", style=_STYLES.get(event["kind"], ""))
    # The state is left out: the kind of the event, or what follows, says it.
    # So is what programs read: the reason is a sentence.
    hidden = ("state", "reason_code", "reason_params")
    known = {name: value for name, value in event["detail"].items() if name not in hidden}
    line.append(f"  {_detail(known)}")
    # For a worker and the schedule the kind says it.
    if (who := event.get("actor")) and who.startswith(("key:", "session:", "command:")):
        line.append(f"  by {who}", style="dim")
    out.print(line, soft_wrap=True)


def state_of(task: Mapping[str, Any]) -> Text:
    """The run's state while its window is open, otherwise the status; a failed task is shown as failed."""
    word = "failed" if _has_failed(task) else _WORDS.get(task["status"]) or task["run"]["state"]
    if task["status"] == "active" and word == "stopped":
        # It was continued a moment ago, and no worker has taken it yet.
        word = "waiting"
    trouble = trouble_of(task)
    if trouble is None or word in ("failed", "stalled"):
        return Text(word, style=_STYLES.get(word, ""))
    if word == "streaming":
        # It has not streamed long enough to have recovered.
        word = "recovering"
    elif trouble["tries"]:
        word = f"retrying (try {trouble['tries']})"
    return Text(word, style="yellow")


def trouble_of(task: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What keeps an active task from streaming, the same between two tries: ``trouble`` of its run in REST."""
    found: Mapping[str, Any] | None = task["run"].get("trouble") if task["status"] == "active" else None
    return found


def _has_failed(task: Mapping[str, Any]) -> bool:
    """Whether its time is over and it had failed by then."""
    return bool(task["status"] == "ended" and task["run"]["state"] == "failed")


def _why(task: Mapping[str, Any]) -> str:
    trouble = trouble_of(task)
    if trouble is None:
        return f"{task['run']['reason']} ({task['run']['fault']})" if _has_failed(task) else ""
    tries = f", {trouble['tries']} tries" if trouble["tries"] else ""
    return f"{trouble['reason']} ({trouble['fault']}), since {time_of(trouble['since_at'], seconds=True)}{tries}"


def _callback_trouble(task: Mapping[str, Any]) -> str:
    """What its receiver does, if it does not take what it is owed. A service of an older version does not say."""
    if task.get("callbacks_ended"):
        return "  wants no more (410)"
    failures = task.get("callback_failures", 0)
    return f"  not taken, failed tries in a row: {failures} (streamferry callbacks list)" if failures else ""


def _detail(detail: Mapping[str, Any]) -> str:
    words = []
    for name, value in detail.items():
        if name == "playhead" and isinstance(value, Mapping):
            words.append(f"loop {value['loop'] + 1}, file {value['item'] + 1}, {value['position_ms'] / 1000:.1f} s")
        elif name == "reason":
            words.append(str(value))
        elif value not in (False, 0, None, ""):
            words.append(name if value is True else f"{name} {value}")
    return ", ".join(words)


def _place(playhead: Mapping[str, Any] | None) -> str:
    if playhead is None:
        return ""
    minutes, seconds = divmod(int(playhead["position_s"]), 60)
    return f"loop {playhead['loop'] + 1}, file {playhead['item'] + 1}, {minutes}:{seconds:02}"


def _sources(task: Mapping[str, Any]) -> str:
    sources = task["sources"]
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return f"{named_source(sources[0]['url'])}{more}"
