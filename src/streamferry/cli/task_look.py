"""``streamferry task list``, ``watch``, ``show`` and ``events``: what tasks are doing, and what happened to them."""

import contextlib
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from streamferry.cli.options import AsJson
from streamferry.cli.task_session import DEFAULT_URL, TaskName, Url, find_task, print_json, print_task, session
from streamferry.cli.time_arguments import read_past

#: The list's and the dashboard's words -> those of REST, which are older; both are accepted.
_STATUSES = {"stopped": "disabled", "waiting": "not_started"}
#: Kinds of events that are problems.
PROBLEMS = ("retrying", "stalled", "failed", "lost", "item_failed")
_WATCH_S = 2.0

Title = Annotated[str, typer.Option(help="Part of the title.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="Repeat for more.", show_default=False)]
Status = Annotated[
    list[str] | None,
    typer.Option("--status", help="waiting, active, stopped or ended. Repeat for more.", show_default=False),
]
State = Annotated[
    list[str] | None,
    typer.Option("--state", help="Of the run: streaming, retrying and so on. Repeat for more.", show_default=False),
]
Trouble = Annotated[bool, typer.Option("--trouble", help="Only those that should be streaming and are not.")]
Wide = Annotated[bool, typer.Option("--wide", "-w", help="Everything, with full ids, however wide.")]


def show_list(
    title: Title = "",
    group: Groups = None,
    status: Status = None,
    state: State = None,
    trouble: Trouble = False,
    page: Annotated[int, typer.Option(min=1, help="Page, from 1.")] = 1,
    size: Annotated[int, typer.Option(min=1, max=500, help="Tasks on a page.")] = 50,
    wide: Wide = False,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """List tasks, newest first, fitted to the terminal's width."""
    from streamferry.cli.task_tables import show_tasks

    query = _query(title, group, status, state, trouble) | {"page": page, "size": size}
    with session(url) as service:
        found = service.call("GET", "/tasks", query=query)
        if as_json:
            print_json(found)
        else:
            show_tasks(found, wide=wide)


def watch(
    title: Title = "",
    group: Groups = None,
    status: Status = None,
    state: State = None,
    trouble: Trouble = False,
    size: Annotated[int, typer.Option(min=1, max=500, help="Tasks at most.")] = 100,
    url: Url = DEFAULT_URL,
) -> None:
    """Keep the list on the screen, tasks in trouble first, until Ctrl-C."""
    from rich.live import Live

    from streamferry.cli.task_tables import console, watched
    from streamferry.client.errors import NoAnswer, Refused

    if not sys.stdout.isatty():
        typer.echo("streamferry task: watch needs a terminal; for a program: task events --follow --json", err=True)
        raise typer.Exit(2)
    query = _query(title, group, status, state, trouble) | {"page": 1, "size": size}
    with session(url) as service, contextlib.suppress(KeyboardInterrupt):
        found, heard_at = service.call("GET", "/tasks", query=query), datetime.now()
        out, problem = console(), ""
        with Live(console=out, screen=True, auto_refresh=False) as screen:
            while True:
                screen.update(watched(found, heard_at, problem, out.width), refresh=True)
                time.sleep(_WATCH_S)
                try:
                    found, heard_at, problem = service.call("GET", "/tasks", query=query), datetime.now(), ""
                except Refused as refused:
                    problem = refused.message
                except NoAnswer as error:
                    problem = str(error)


def show(task_id: TaskName, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Show one task."""
    with session(url) as service:
        print_task(service.get_task(find_task(service, task_id)), as_json)


def events(
    task_id: Annotated[
        str | None,
        typer.Argument(metavar="[TASK]", help="One task, by its id or title; otherwise all.", show_default=False),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new events until Ctrl-C.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many of the last events.")] = 100,
    since: Annotated[str | None, typer.Option(help="1h, 2d or a time: none older.", show_default=False)] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Of this kind. Repeat for more.", show_default=False)] = None,
    problems: Annotated[bool, typer.Option("--problems", help="Only what went wrong.")] = False,
    after: Annotated[
        int | None,
        typer.Option(help="All after this event's id; without it --follow starts now.", show_default=False),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Show what happened: the most recent events, newest last."""
    from streamferry.cli.task_tables import console, show_event

    out = console()
    kinds = [*(kind or ()), *(PROBLEMS if problems else ())]
    told = False

    def tell(event: Mapping[str, Any]) -> None:
        nonlocal told
        if kinds and event["kind"] not in kinds:
            return
        told = True
        if as_json:
            print_json(event)
        else:
            show_event(event, out, with_task=task_id is None)

    with session(url) as service, contextlib.suppress(KeyboardInterrupt):
        since_at = read_past("--since", since, datetime.now(UTC)) if since else None
        of_task = find_task(service, task_id) if task_id else None
        if after is not None and not follow:
            page = service.call("GET", "/events", query={"task_id": of_task, "after": after, "limit": limit})
            for event in page["events"]:
                tell(event)
            return
        if not follow or since_at:
            query = {"task_id": of_task, "since_at": since_at and since_at.isoformat(), "kind": kinds, "limit": limit}
            page = service.call("GET", "/events/latest", query=query)
            for event in page["events"]:
                tell(event)
            after = page["next_after"]
            if not as_json and not follow and page["total"] > len(page["events"]):
                typer.echo(f"{page['total']} events, the last {len(page['events'])} shown", err=True)
        if follow:
            for event in service.follow_events(task_id=of_task, after=after):
                tell(event)
        elif not told and not as_json:
            typer.echo("no problems" if problems and not kind else "no events", err=True)


def _query(
    title: str, group: list[str] | None, status: list[str] | None, state: list[str] | None, trouble: bool
) -> dict[str, Any]:
    return {
        "title": title,
        "group": group,
        "status": [_STATUSES.get(one, one) for one in status or ()],
        "state": state,
        "in_trouble": "true" if trouble else None,
    }
