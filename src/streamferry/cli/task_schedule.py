"""``streamferry task schedule``, ``as-run`` and ``calendar``: when tasks run, what plays when, and what was played."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.task_session import DEFAULT_URL, TaskName, Url, find_task, print_json, session
from streamferry.cli.time_arguments import read_past, read_time, show_time

_SHOWN = 10


def show_schedule(
    task_id: TaskName,
    at: Annotated[
        str | None, typer.Option("--at", help="What plays then: a time, or +2h from now.", show_default=False)
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=500, help="How many windows and items.")] = _SHOWN,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show when a task runs, and what it plays next or at a time, if nothing breaks."""
    with session(url) as service:
        task_id = find_task(service, task_id)
        then = None if at is None else read_time("--at", at, datetime.now(UTC))
        guide = service.show_guide(task_id, at=then, limit=count if at is None else 1)["entries"]
        windows = service.list_windows(task_id, limit=count)
        if as_json:
            print_json({**windows, "guide": guide})
            return
        for one in guide:
            loop, item = one["loop"], one["item"]
            place = "" if loop is None or item is None else f"  loop {loop + 1}, file {item + 1}"
            typer.echo(f"{_from_to(one)}{place}  {one['source'] or 'the slate'}")
        if at is None:
            for past in reversed(windows["past"]):
                told = f"{past['state']}, {past['retries']} retries, {past['lost_s']:.1f} s lost"
                typer.echo(f"{_from_to(past)}  {told}")
            for window in windows["upcoming"]:
                typer.echo(f"{_from_to(window)}  to come")


def show_as_run(
    task_id: TaskName,
    since: Annotated[str | None, typer.Option("--since", help="24h, or a time; else all.", show_default=False)] = None,
    url: Url = DEFAULT_URL,
) -> None:
    """Print what a task has played and when, as CSV."""
    with session(url) as service:
        since_at = read_past("--since", since, datetime.now(UTC)) if since else None
        typer.echo(service.show_as_run(find_task(service, task_id), since_at=since_at), nl=False)


def show_calendar(
    group: Annotated[str | None, typer.Option(help="Only of this group.", show_default=False)] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Print the address at which calendars can subscribe to when tasks run. Who knows it can read that."""
    with session(url) as service:
        path = service.get_calendar_link()
        address = f"{url.rstrip('/')}{path}{f'&group={group}' if group else ''}"
        if as_json:
            print_json({"url": address})
        else:
            typer.echo(address)


def _from_to(one: Mapping[str, Any]) -> str:
    start_at, end_at = (datetime.fromisoformat(one[name]) if one[name] else None for name in ("start_at", "end_at"))
    if end_at is not None and end_at.year >= 9998:
        return f"{_show(start_at)} -> no end"
    return f"{_show(start_at)} -> {_show(end_at)}"


def _show(at: datetime | None) -> str:
    return "?" if at is None else show_time(at, seconds=True)
